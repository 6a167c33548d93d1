"""Where a node of an exported program comes from: module path and line of the user's program."""

from __future__ import annotations

import inspect
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch
from torch import fx, nn

FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
INSIDE_TORCH = str(Path(torch.__file__).parent)


@dataclass(frozen=True, slots=True)
class Origin:
    """Module path (`layer1.0.conv1`, empty for the model itself), the module's class, and `file:line` if known."""

    path: str
    module: str
    line: str

    @property
    def library(self) -> bool:
        """Whether the module is one of torch's own layers."""
        return self.module.startswith("torch.nn.modules.") and ".container." not in self.module

    @property
    def short_line(self) -> str:
        """File name without its folders."""
        file, _, number = self.line.rpartition(":")
        return f"{Path(file).name}:{number}" if file else ""


def origin(node: fx.Node) -> Origin:
    """Where a call comes from; the line is the innermost one outside torch."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, module = stack[-1] if stack else ("", "")
    path = re.sub(r"@\d+", "", str(path))
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    lines = [f"{file}:{line}" for file, line in frames if not file.startswith(INSIDE_TORCH)]
    return Origin(path, module if isinstance(module, str) else module.__qualname__, lines[-1] if lines else "")


def raised_at(trace: TracebackType | None) -> str:
    """`file:line` of the innermost frame that is neither torch's nor ours."""
    ours = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(trace)
    outside = [f for f in frames if not f.filename.startswith((INSIDE_TORCH, ours, "<"))]
    return f"{outside[-1].filename}:{outside[-1].lineno}" if outside else ""


def forward_line(module: nn.Module) -> str:
    """The model's class and the line at which its forward method begins."""
    name = type(module).__name__
    try:
        forward = inspect.unwrap(type(module).forward)
        file = inspect.getsourcefile(forward) or ""
        return name if file.startswith(INSIDE_TORCH) else f"{name} ({file}:{inspect.getsourcelines(forward)[1]})"
    except (OSError, TypeError):
        return name
