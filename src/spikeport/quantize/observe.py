"""What the calibration data says: the range of the input, and samples of each layer's activations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem
from spikeport.graph import Affine, Graph, Node, build
from spikeport.primitives import Approximation, InputEncoder, InputKind

Floats = NDArray[np.floating]
Normalization = tuple[Floats | None, Floats | None]

POSITIONS = 8192
"""Activations a channel that the search for a scale looks at."""


def take_normalization(graph: Graph, kind: InputKind) -> tuple[Graph, Normalization]:
    """Move an affine operation right after a static input into the encoder, so that normalized values are quantized.

    Events are counts: there the operation stays, and its shift becomes a bias.
    """
    users = graph.consumers()[graph.input.name]
    if kind == "events" or len(users) != 1 or not isinstance(users[0].op, Affine) or users[0].name == graph.output:
        return graph, (None, None)
    taken, name = users[0], graph.input.name
    nodes = [
        replace(n, inputs=tuple(name if i == taken.name else i for i in n.inputs))
        for n in graph.nodes
        if n.name != taken.name
    ]
    assert isinstance(taken.op, Affine)
    return build(nodes, graph.output), (taken.op.scale, taken.op.shift)


def encoder_for(
    node: Node, samples: NDArray[Any], kind: InputKind, bits: int, normalization: Normalization, together: bool
) -> tuple[InputEncoder, list[Approximation]]:
    """The input encoder: per-channel scales for static input, whole counts for events.

    Raises:
        DataError: frames that are no event counts, or look clipped or binarised.
    """
    spread = (-1, *(1,) * (len(node.shape) - 1))
    if kind == "events":
        encoder = InputEncoder(node.name, node.shape, kind, np.ones(()), 0, 2**bits - 1)
        problem = clipped_frames(samples)
        if problem is not None:
            raise DataError(problem)
        return encoder, []
    gain, shift = normalization
    value = samples.astype(np.float64)
    value = value if gain is None else value * gain
    value = value if shift is None else value + shift
    largest = np.abs(value).max(axis=(0, *range(2, value.ndim)))
    overall = largest.max() if largest.max() > 0 else 1.0
    largest = np.full_like(largest, overall) if together else np.where(largest > 0, largest, overall)
    high = 2 ** (bits - 1) - 1
    encoder = InputEncoder(node.name, node.shape, kind, (largest / high).reshape(spread), -high, high, gain, shift)
    what = f"values rounded to {bits} bits; values beyond the range of the calibration data are clipped"
    return encoder, [Approximation(node.name, what, float(largest.max() / high / 2), "of the model's units")]


def clipped_frames(samples: NDArray[Any]) -> Problem | None:
    """Whether frames of event counts look as if their counts had been cut off: values pile up at the highest one."""
    highest = samples.max() if samples.size else 0
    if highest < 1:
        return None
    at_top = int(np.count_nonzero(samples == highest))
    below = int(np.count_nonzero(samples == highest - 1)) if highest > 1 else 0
    if at_top < 100 or (highest > 1 and at_top <= 2 * below):
        return None
    what = "binarised" if highest == 1 else f"clipped at {int(highest)}"
    hint = (
        f'give raw counts, and put `x.clamp(0, {int(highest)})` first into the model\'s forward; or pass input="static"'
    )
    return Problem("input", f"event frames look {what}: {at_top} values are {int(highest)}, none is larger", hint)


def channel_samples(model: list[Floats], seen: list[Floats]) -> tuple[Floats, Floats]:
    """Activations by channel, shape (channel, sample): what the model computes and what the neuron will see.

    At most `POSITIONS` a channel, evenly spread over samples and positions.
    """
    channels = model[0].shape[1]
    total = sum(part[:, 0].size for part in model)
    step = max(1, total // POSITIONS)

    def pick(parts: list[Floats]) -> Floats:
        rows = np.concatenate([np.moveaxis(p, 1, 0).reshape(channels, -1)[:, :: _odd(step)] for p in parts], axis=1)
        return rows.astype(np.float32)

    return pick(model), pick(seen)


def _odd(step: int) -> int:
    """An odd stride visits all columns of an even-sized map."""
    return step | 1
