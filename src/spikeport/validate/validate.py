"""Measure or prove every arrow of the road for one model on one data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, OptionError, Problem
from spikeport.graph import evaluate
from spikeport.model import SpikingModel
from spikeport.progress import track
from spikeport.report import Report
from spikeport.undisturbed import undisturbed
from spikeport.validate.agreement import Counts, Stepped, affordable_samples, step_and_compare
from spikeport.validate.batches import Batch, batches
from spikeport.validate.findings import Outputs, Proof, make_report
from spikeport.validate.fingerprint import Fingerprint

STEPPING_WORK = 2e11
"""Synaptic operations that `validate` spends on stepping samples unless told how many to step."""

PROVED = 64
"""Samples on which a given model is compared with the graph."""

Model = Callable[[NDArray[Any]], NDArray[Any]]


def validate(
    snn: SpikingModel,
    data: Iterable[Any],
    *,
    model: Any = None,
    tolerance: float | None = None,
    stepped: int | None = None,
    progress: bool = True,
) -> Report:
    """Compare a spiking model with the model it came from, on all of `data`.

    Args:
        snn: as converted or loaded.
        data: any iterable of batches `x` or `(x, y)`.
        model: the float model, an `nn.Module`; without it the graph saved at conversion serves.
        tolerance: largest acceptable upper end of the gap's 95 % interval in percentage points (default 1); without
            labels the largest acceptable percentage of disagreements; for regression the largest relative error in
            percent (default 10).
        stepped: how many samples to step spike by spike and compare; by default as many as take about a minute.
        progress: show bars on standard error when it is a terminal.

    Returns:
        A `Report`; `report.ok` says whether all of it holds.

    Raises:
        DataError: empty data, wrong shapes, values that are not finite.
        OptionError: a tolerance or number of samples out of range.
    """
    problems = []
    number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if tolerance is not None and not (number and 0 <= tolerance <= 100):
        problems.append(Problem("tolerance", f"is {tolerance!r}", "give percentage points from 0 to 100"))
    if stepped is not None and not (isinstance(stepped, int) and not isinstance(stepped, bool) and stepped >= 0):
        problems.append(Problem("stepped", f"is {stepped!r}", "give a number of samples, or None"))
    if problems:
        raise OptionError(problems)

    with undisturbed():
        run, proof_with = _float_model(snn, model)
        limit = (
            stepped if stepped is not None else min(200, affordable_samples(snn.integer, snn.network, STEPPING_WORK))
        )
        seen = Fingerprint()
        outputs, first = _outputs(snn, run, data, max(limit, PROVED), progress, seen)
        _check_labels(outputs)
        proof = Proof(snn.report.capture_difference, snn.report.capture_samples)
        if proof_with is not None:
            proof = proof_with(first[:PROVED])
        to_step = first[:limit]
        found = Stepped() if not len(to_step) else _step(snn, to_step, outputs.classes, progress)
    return make_report(snn.integer, snn.network, outputs, found, proof, tolerance=tolerance, data_hash=seen.hexdigest())


def _float_model(snn: SpikingModel, model: Any) -> tuple[Model, Callable[[NDArray[Any]], Proof] | None]:
    """How to run the float side, and how to prove that the graph is the same function."""
    if model is None:
        operations, _ = float_operations()
        return lambda x: evaluate(snn.graph, x, operations=operations), None
    from spikeport.capture import FloatModel, compare

    float_model = FloatModel(model)

    def proof(x: NDArray[Any]) -> Proof:
        found = compare(snn.graph, float_model, [x], operations=float_operations()[0])
        return Proof(found.relative, found.samples)

    return float_model.run, proof


def float_operations() -> tuple[Any, Any]:
    """Operations in float32 and in float64: torch's where it is installed; None, which is numpy's, otherwise."""
    try:
        import torch

        from spikeport.backends.torch import TorchOperations
    except ImportError:
        return None, None
    return TorchOperations(), TorchOperations(dtype=torch.float64)


def _outputs(
    snn: SpikingModel, run: Model, data: Iterable[Any], limit: int, progress: bool, seen: Fingerprint
) -> tuple[Outputs, NDArray[Any]]:
    """Outputs of both sides for all samples, and the first `limit` samples, from as many batches as it takes."""
    model: list[NDArray[Any]] = []
    spiking: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    kept: list[NDArray[Any]] = []
    left = limit
    for x, y in track(_fitting(snn, data), "validate", total=_length(data), enabled=progress):
        seen.add(x, y)
        model.append(run(x))
        spiking.append(outputs_of(snn, x))
        if y is not None:
            labels.append(y)
        if left:
            kept.append(x[:left])
            left -= len(kept[-1])
    every = Outputs(np.concatenate(model), np.concatenate(spiking), np.concatenate(labels) if labels else None)
    return every, np.concatenate(kept)


def _fitting(snn: SpikingModel, data: Iterable[Any]) -> Iterable[Batch]:
    for x, y in batches(data):
        if x.shape[1:] != snn.integer.input.shape:
            expected = ", ".join(map(str, snn.integer.input.shape))
            raise DataError(
                Problem("data", f"holds batches of shape {x.shape}", f"the model takes (batch, {expected})")
            )
        yield x, y


def _check_labels(outputs: Outputs) -> None:
    """Refuse labels that are one number a sample beside scores of classes, and are no classes."""
    labels, model = outputs.labels, outputs.model
    if labels is None or outputs.classes or labels.ndim != 1 or model.ndim != 2 or model.shape[1] < 2:
        return
    hint = f"give whole numbers from 0 to {model.shape[1] - 1}, or leave the labels out"
    seen = f"{labels.dtype} from {labels.min():g} to {labels.max():g}"
    raise DataError(Problem("labels", f"are {seen}, the model has {model.shape[1]} classes", hint))


def _length(data: Any) -> int | None:
    try:
        return len(data) if not hasattr(data, "shape") else 1
    except TypeError:
        return None


def outputs_of(snn: SpikingModel, x: NDArray[Any]) -> NDArray[Any]:
    """What calling the model gives, as an array; through torch where it is installed."""
    return np.asarray(_called(snn, x, snn.__call__))


def counts_of(snn: SpikingModel, x: NDArray[Any]) -> Counts:
    """Counts of every layer and the read-out, from the one-pass evaluator that serves calls."""
    found: dict[str, list[NDArray[np.int64]]] = {}

    def visit(layer: Any, value: Any) -> None:
        array = value if isinstance(value, np.ndarray) else value.numpy(force=True)
        found.setdefault(layer.name, []).append(array.astype(np.int64))

    _called(snn, x, lambda batch: snn.readout(batch, visit=visit))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _called(snn: SpikingModel, x: NDArray[Any], call: Callable[[Any], Any]) -> Any:
    try:
        import torch
    except ImportError:
        return call(x)
    result = call(torch.tensor(x))
    return result.numpy(force=True)


def _step(snn: SpikingModel, x: NDArray[Any], classes: bool, progress: bool) -> Stepped:
    return step_and_compare(
        snn.network, snn.integer, x, lambda part: counts_of(snn, part), classes=classes, progress=progress
    )
