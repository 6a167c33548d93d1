"""The proof of capture: graph and model are the same function on real inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.capture.float_model import FloatModel
from spikeport.errors import Problem, ProofError
from spikeport.graph import Graph, Operations, evaluate

CAPTURE_TOLERANCE = 1e-5
"""Largest difference over the output's scale: float32 sums in another order stay below, another function does not."""


@dataclass(frozen=True, slots=True)
class CaptureProof:
    """Agreement of graph and model on real inputs."""

    largest_difference: float
    output_scale: float
    """Largest absolute output of the model."""
    samples: int

    @property
    def relative(self) -> float:
        """Largest difference over the output's scale."""
        return self.largest_difference / self.output_scale if self.output_scale else self.largest_difference


def compare(
    graph: Graph, model: FloatModel, inputs: Iterable[NDArray[Any]], *, operations: Operations | None = None
) -> CaptureProof:
    """How far graph and model are apart on batches of inputs.

    Raises:
        ProofError: outputs of different shapes, or that are not finite.
    """
    difference = scale = 0.0
    samples = 0
    for x in inputs:
        expected = model.run(x)
        found = evaluate(graph, np.asarray(x, np.float32), operations=operations)
        if found.shape != expected.shape:
            hint = "the shape of its output must not depend on the size of the batch"
            raise ProofError(Problem(model.name, f"returns shape {expected.shape}, its graph {found.shape}", hint))
        if not np.isfinite(expected).all():
            hint = "check its weights and the range of the data"
            raise ProofError(Problem(model.name, "returns NaN or infinite values", hint))
        difference = max(difference, float(np.abs(found - expected).max(initial=0.0)))
        scale = max(scale, float(np.abs(expected).max(initial=0.0)))
        samples += len(x)
    return CaptureProof(difference, scale, samples)


def prove(
    graph: Graph, model: FloatModel, inputs: Iterable[NDArray[Any]], *, operations: Operations | None = None
) -> CaptureProof:
    """The same, and an error where they differ by more than `CAPTURE_TOLERANCE` of the output's scale.

    Raises:
        ProofError: they do.
    """
    proof = compare(graph, model, inputs, operations=operations)
    if not proof.relative <= CAPTURE_TOLERANCE:
        why = f"model and graph differ by {proof.relative:.2e} of the output's scale on {proof.samples} samples"
        hint = "the model may compute differently from call to call, or depend on other samples of its batch"
        raise ProofError(Problem(model.name, why, hint))
    return proof
