"""Models and data named on the command line: files, and references `package.module:name` to Python code."""

from __future__ import annotations

import importlib
import os
import pickle
import re
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeport.cli.npz import open_npz
from spikeport.errors import DataError, FileError, OptionError, Problem

if TYPE_CHECKING:
    from torch import nn

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
NESTED = ("state_dict", "model_state_dict")
"""Keys under which training programs keep the weights of a checkpoint."""
WITH_DEBUG = "--debug shows the traceback"


def is_reference(argument: str) -> bool:
    """Whether an argument names Python code rather than a file.

    >>> is_reference("nets.mnist:mlp"), is_reference("mnist.npz"), is_reference("C:\\\\mnist.npz")
    (True, False, False)
    """
    return ":" in argument and not DRIVE.match(argument) and not Path(argument).exists()


def load_model(argument: str, weights: str | None = None) -> nn.Module:
    """The model that a reference or a `.pt2` archive names, with weights from a file if one is given. Executes code.

    Args:
        argument: `package.module:name` of an `nn.Module` or of a callable without arguments that gives one; or a
            `torch.export` archive.
        weights: a `.pt` or `.safetensors` file that holds a state dict.

    Raises:
        OptionError: nothing usable has this name, or the weights do not fit.
        FileError: a file that is missing or cannot be read.
    """
    if not is_reference(argument):
        if weights is not None and argument.lower().endswith(".pt2"):
            raise OptionError(Problem("--weights", "a .pt2 archive has its own weights", "leave it out"))
        return _exported(Path(argument))
    if weights is not None:
        _check_file(Path(weights), (".pt", ".pth", ".safetensors"), "weights are a .pt or .safetensors file")
    from torch import nn

    value = resolve(argument)
    model = value if isinstance(value, nn.Module) else _called(argument, value)
    if not isinstance(model, nn.Module):
        why = f"gives an object of type {type(model).__name__}, not a torch.nn.Module"
        raise OptionError(Problem(argument, why, "name a model, or a function without arguments that returns one"))
    if weights is not None:
        fill(model, read_weights(Path(weights)), weights)
    return model


def load_data(argument: str) -> Iterable[Any]:
    """Batches from an `.npz` file or from a reference; the latter executes code.

    Args:
        argument: `.npz` file with an array `x` and perhaps `y`; or `package.module:name` of an iterable of batches or
            of a callable without arguments that gives one.

    Raises:
        OptionError: nothing usable has this name.
        FileError, DataError: a file that is missing, cannot be read, or holds other things.
    """
    if not is_reference(argument):
        path = Path(argument)
        _check_file(path, (".npz",), "data is an .npz file, or package.module:loader")
        return open_npz(path)
    value = resolve(argument)
    data = value if _iterable(value) else _called(argument, value)
    if not _iterable(data):
        why = f"gives an object of type {type(data).__name__}, no iterable of batches"
        raise OptionError(Problem(argument, why, "name batches `x` or `(x, y)`, for example a DataLoader"))
    return data if hasattr(data, "shape") else Loader(argument, data)


@dataclass(frozen=True, slots=True, eq=False)
class Loader:
    """Batches from foreign code; what it raises becomes a `DataError` with its name."""

    name: str
    batches: Iterable[Any]

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type] # a TypeError says that the length is not known

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            for batch in self.batches:
                yield batch
                given += 1
        except Exception as error:
            where = f"{self.name}: batch {given}"
            raise DataError(Problem(where, f"reading it raised {described(error)}", WITH_DEBUG)) from error


def resolve(reference: str) -> Any:
    """Import what `package.module:name` names; the current directory is importable."""
    if not REFERENCE.fullmatch(reference):
        raise OptionError(Problem(reference, "is neither a file nor package.module:name"))
    module_name, _, path = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    importlib.invalidate_caches()
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            hint = "the current directory and installed packages are searched"
            raise OptionError(Problem(reference, f"there is no module {error.name}", hint)) from error
        if error.name in ("torch", "safetensors"):
            raise
        raise OptionError(
            Problem(reference, f"importing {module_name} raised {described(error)}", WITH_DEBUG)
        ) from error
    except (Exception, SystemExit) as error:
        raise OptionError(
            Problem(reference, f"importing {module_name} raised {described(error)}", WITH_DEBUG)
        ) from error
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            names = [known for known in dir(value) if not known.startswith("_")]
            hint = f"it has {', '.join(names[:20])}" if names else ""
            raise OptionError(Problem(reference, f"{module_name} has no {path}", hint)) from error
    return value


def described(error: BaseException) -> str:
    """An exception in one line, with the place that raised it."""
    place = ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({error.filename}, line {error.lineno})"
    elif frames := traceback.extract_tb(error.__traceback__):
        place = f" ({frames[-1].filename}, line {frames[-1].lineno})"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    first = text.strip().partition("\n")[0]
    return f"{type(error).__name__}{f': {first}' if first else ''}{place}"


def read_weights(path: Path) -> Mapping[str, Any]:
    """The state dict in a file, also one nested in a checkpoint; code in the file is refused.

    Raises:
        FileError: missing, damaged, with code, or without a state dict.
    """
    if path.suffix.lower() == ".safetensors":
        content = _read_safetensors(path)
    else:
        content = _read_pt(path)
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    import torch

    tensors = (
        [value for value in content.values() if isinstance(value, torch.Tensor)] if isinstance(content, Mapping) else []
    )
    if not tensors or not all(isinstance(key, str) for key in content):
        found = (
            f"a mapping with {_few(content)}"
            if isinstance(content, Mapping)
            else f"an object of type {type(content).__name__}"
        )
        hint = f"save model.state_dict(), alone or under {' or '.join(NESTED)}"
        raise FileError(Problem(str(path), f"holds {found}, no state dict", hint))
    state: Mapping[str, Any] = content
    return state


def fill(model: nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Load a state dict into a model; what does not fit is one error.

    Raises:
        OptionError: missing and unexpected keys, and shapes that differ, all of them.
    """
    from torch.nn.parameter import is_lazy

    own = model.state_dict()
    problems = []
    for key in sorted(own.keys() & state.keys()):
        if is_lazy(own[key]):
            continue  # its shape comes from the state
        shapes = [tuple(getattr(side[key], "shape", ())) for side in (own, state)]
        if shapes[0] != shapes[1]:
            problems.append(Problem(f"{source}: {key}", f"has shape {shapes[1]}, the model takes {shapes[0]}"))
    if not problems:
        try:
            result = model.load_state_dict(dict(state), strict=False)
        except (RuntimeError, TypeError, KeyError, AttributeError, ValueError) as error:
            raise OptionError(Problem(source, f"does not fit the model: {error}")) from error
        missing, unexpected = result.missing_keys, result.unexpected_keys
    else:
        missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    problems += [Problem(f"{source}: {key}", "is missing") for key in missing]
    hint = ""
    if unexpected and all(key.startswith("module.") for key in unexpected):
        hint = "the weights of a DataParallel: save model.module.state_dict()"
    problems += [Problem(f"{source}: {key}", "is not in the model", hint) for key in unexpected]
    if problems:
        raise OptionError(problems)


def check_outputs(*outputs: tuple[str | None, Sequence[str]]) -> None:
    """Find out before the work begins what would keep its results from being written.

    Args:
        outputs: a path, or None for one that is not wanted, and the suffixes it may have.

    Raises:
        FileError: a wrong suffix, or a folder that is missing or not writable; all of them.
    """
    problems = []
    for name, suffixes in outputs:
        if name is None:
            continue
        path = Path(name)
        if path.suffix.lower() not in suffixes:
            problems.append(
                Problem(name, f"does not end in {' or '.join(suffixes)}", f"write {path.stem}{suffixes[0]}")
            )
        elif path.is_dir():
            problems.append(Problem(name, "is a folder", "give the path of a file"))
        else:
            try:
                with tempfile.NamedTemporaryFile(prefix=".spikeport.", suffix=".part", dir=path.parent):
                    pass
            except OSError as error:
                why = f"cannot be written: {error.strerror or error}"
                problems.append(Problem(name, why, "choose a folder that exists and is writable"))
    if problems:
        raise FileError(problems)


def _exported(path: Path) -> nn.Module:
    hint = "name a model as package.module:factory, its weights with --weights; or give a torch.export archive, .pt2"
    _check_file(path, (".pt2",), hint)
    import torch

    if not zipfile.is_zipfile(path):
        raise FileError(
            Problem(str(path), "is no torch.export archive", "write it with torch.export.save(program, path)")
        )
    try:
        return torch.export.load(path).module()
    except Exception as error:
        why = f"is no torch.export archive that this torch reads: {described(error)}"
        raise FileError(Problem(str(path), why, "write it with torch.export.save(program, path)")) from error


def _read_pt(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        why = "holds more than tensors, or no tensors at all; it is not read, as it could execute code"
        raise FileError(
            Problem(str(path), why, "save the weights alone: torch.save(model.state_dict(), path)")
        ) from error
    except Exception as error:  # torch lets out whatever its readers of three formats raise
        hint = "save the weights with torch.save(model.state_dict(), path)"
        raise FileError(Problem(str(path), f"cannot be read: {described(error)}", hint)) from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise FileError(Problem(str(path), f"cannot be read: {error}")) from error


def _check_file(path: Path, suffixes: tuple[str, ...], hint: str) -> None:
    if path.suffix.lower() not in suffixes:
        raise OptionError(Problem(str(path), f"does not end in {' or '.join(suffixes)}", hint))
    if not path.is_file():
        raise FileError(Problem(str(path), "is a folder" if path.is_dir() else "does not exist"))


def _called(reference: str, value: Any) -> Any:
    if not callable(value):
        why = f"is of type {type(value).__name__}, which can neither be used nor called"
        raise OptionError(Problem(reference, why, "name an object, or a function without arguments that returns it"))
    try:
        return value()
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in ("torch", "safetensors"):
            raise
        raise OptionError(Problem(reference, f"calling it raised {described(error)}", WITH_DEBUG)) from error


def _iterable(value: Any) -> bool:
    """Whether it may hold batches; not iterated over here, as that may start worker processes."""
    if isinstance(value, str | bytes | Mapping | type):
        return False
    return hasattr(value, "__iter__") or hasattr(value, "__getitem__")


def _few(content: Mapping[Any, Any]) -> str:
    names = [str(key) for key in list(content)[:10]]
    return ", ".join(names) or "nothing in it"


def existing(name: str, suffixes: tuple[str, ...]) -> str:
    """The name of a file that is there and ends in one of these."""
    if not name.lower().endswith(suffixes):
        raise OptionError(Problem(name, f"does not end in {' or '.join(suffixes)}"))
    path = Path(name)
    if not path.is_file():
        raise FileError(Problem(name, "is a folder" if path.is_dir() else "does not exist"))
    return name
