"""`torch.export` of a model, with its failures in the user's words."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from spikeport.capture.float_model import FloatModel
from spikeport.capture.source import forward_line, raised_at
from spikeport.errors import CaptureError, Problem

BATCHES = (3, 5, 7, 11, 13)


@dataclass(frozen=True, slots=True)
class Exported:
    """A program, the batch size that it was traced with, and what is wrong with its output, if anything."""

    program: ExportedProgram
    batch: int
    problem: Problem | None


def export(model: FloatModel, example: Tensor) -> Exported:
    """Trace a model; the batch size is a number that is no other size of the input.

    Raises:
        DataError: the model fails on the example.
        CaptureError: the model's control flow depends on its data, or torch cannot trace it.
    """
    batch = next(k for k in BATCHES if k not in example.shape[1:])
    x = example[torch.arange(batch) % len(example)].to(torch.float32)
    model.call(x)  # fails in the user's words if the data does not fit
    try:
        with _quiet():
            program = torch.export.export(model.module, (x,)).run_decompositions({})
    except Exception as error:
        raise CaptureError(_failed(model, error)) from error
    spec = program.call_spec.out_spec
    problem = None
    if spec is None or spec != pytree.tree_structure(0):
        kind = getattr(getattr(spec, "type", None), "__name__", "structure")
        hint = "wrap it in a module that returns the one tensor to convert"
        problem = Problem(forward_line(model.module), f"returns a {kind}, not one tensor", hint)
    return Exported(program, batch, problem)


def _failed(model: FloatModel, error: Exception) -> Problem:
    line = raised_at(error.__traceback__)
    where = f"{model.name} ({line})" if line else forward_line(model.module)
    kind = type(error).__name__
    text = str(error).strip()
    if "DataDependent" in kind or "data-dependent" in text.lower():
        hint = "compute both branches and keep one, or convert each branch as a model of its own"
        return Problem(where, "takes a branch that depends on its data", hint)
    first = text.splitlines()[0] if text else kind
    return Problem(where, f"torch.export cannot trace it: {first}", "torch.export.export(model, (x,)) shows all of it")


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings and log lines of the tracer: what matters in them becomes an error of ours."""
    loggers = [
        logging.getLogger(name) for name in ("torch", *logging.root.manager.loggerDict) if name.startswith("torch")
    ]
    disabled = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, was in zip(loggers, disabled, strict=True):
            logger.disabled = was
