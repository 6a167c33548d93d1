"""One layer's integers: thresholds, weights, biases and identity coefficients from real weights and scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem, QuantizeError
from spikeport.graph import per_channel
from spikeport.primitives import Connection, Conv, Dense, OneToOne, Shape
from spikeport.quantize.bounds import Interval, combine, membrane, reach, with_constant
from spikeport.quantize.integer import CountLayer, NeuronLayer, Readout, StaircaseLayer
from spikeport.quantize.paths import Path, carried_scale, channel_source, compact, synapses

Floats = NDArray[np.floating]

BEYOND = 2.0**60
"""Larger than any membrane: what is rounded beyond it is found not to fit."""
IDENTITY_BITS = 4
"""Identity coefficients may be this much wider than weights where a layer has no other weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One path into a layer with its real weights: what one count of the source adds, in the model's units."""

    path: Path
    weight: Floats
    """float64; shape of the path's weight, or of the layer for an identity."""
    channel: NDArray[np.int64] | None
    """For each channel of the layer the weights' output channel, -1 for none; None for an identity."""

    @property
    def is_identity(self) -> bool:
        return self.path.weight is None


def term(
    path: Path, shape: Shape, source_shape: Shape, source_scale: Floats, weight_output: Shape, *, channels: bool = True
) -> Term:
    """Multiply a path's weights by the scale of what enters them.

    `channels` False: the layer has one scale for all channels, so that it does not matter which weights feed which.

    Raises:
        QuantizeError: the path mixes counts of different sizes in a way that no integer weight can undo.
    """
    scale = carried_scale(source_scale, source_shape, path.before)
    where = f"path from {path.source}"
    if scale is None:
        raise QuantizeError(
            Problem(where, "sums activations that are scaled differently", "use one scale for the pooled channels")
        )
    match path.weight:
        case None:
            return Term(path, np.nan_to_num(scale), None)
        case Dense(weight):
            real = weight.astype(np.float64) * np.nan_to_num(scale)
        case Conv(weight, groups=groups):
            uniform = per_channel(scale, scale.shape)
            if uniform is None:
                raise QuantizeError(
                    Problem(where, "scales the positions of a feature map differently", "scale channels instead")
                )
            incoming = np.nan_to_num(uniform).reshape(groups, 1, -1).repeat(len(weight) // groups, axis=1)
            incoming = incoming.reshape(len(weight), -1, *(1,) * (weight.ndim - 2))
            real = weight.astype(np.float64) * incoming
    found = channel_source(path, shape[0], weight_output) if channels else None
    if found is None and channels:
        raise QuantizeError(
            Problem(where, "mixes channels between the weights and the neuron", "apply the activation first")
        )
    return Term(path, real, found)


def count_layer(
    name: str,
    shape: Shape,
    terms: Sequence[Term],
    constant: Floats,
    scale: Floats,
    *,
    low: int,
    high: int,
    weight_bits: int,
    state_bits: int,
    sources: Mapping[str, Interval],
    together: bool = False,
) -> tuple[CountLayer, tuple[Connection, ...]]:
    """A counting layer with the largest thresholds that use the weights' width and fit the membrane.

    Args:
        scale: wished size of one count of each channel, shape (channel,); raised where a threshold would fall below 1.
        together: all channels keep one scale.
        constant: what reaches the neuron when nothing spikes, in the model's units, shape of the layer.
        sources: interval of the counts of each source.

    Raises:
        QuantizeError: a channel whose threshold would fall below 1.
    """
    widest = 2 ** (weight_bits - 1) - 1
    weighted = [t for t in terms if not t.is_identity]
    largest = np.zeros(shape[0])
    for t in weighted or terms:
        largest = np.maximum(largest, largest_per_channel(t, shape))
    limit = widest if weighted else widest * 2**IDENTITY_BITS
    # with a finer scale the threshold would be 0: such a channel is nearly silent, and is rounded more coarsely
    finest = largest / limit * (1 + 1e-9)
    scale = np.maximum(scale, finest.max() if together else finest)
    with np.errstate(divide="ignore"):
        wished = np.floor(limit * scale / largest)
    threshold = np.minimum(wished, 2.0 ** (state_bits - 3) / (high - low)).clip(max=2.0**40)
    room = 2 ** (state_bits - 1)
    while True:
        threshold = np.floor(threshold)
        if threshold.min() < 1:
            raise QuantizeError(_too_small(name, threshold, wished))
        layer, connections = _rounded(name, shape, terms, constant, scale, threshold, low, high)
        total = combine([reach(c.synapses, sources[c.source]) for c in connections])
        excess = needed(layer, total, state_bits).reshape(shape[0], -1).max(axis=1) / room
        if excess.max() <= 1:
            return layer, connections
        threshold = np.where(excess > 1, np.minimum(threshold - 1, threshold / excess * 0.999), threshold)


def needed(layer: NeuronLayer | Readout, total: Interval, state_bits: int) -> NDArray[np.int64]:
    """Largest `-v` or `v + 1` that each membrane can reach under its effective bias; up to 2**(bits - 1) it fits.

    On a staircase `v + 2`: one value above all sums is left for steps that nothing climbs.
    """
    if isinstance(layer, Readout):
        sums = with_constant(total, layer.bias)
        return np.maximum(-sums.low, sums.high + 1)
    if isinstance(layer, StaircaseLayer):
        sums = with_constant(total, effective_bias(layer, total, state_bits))
        return np.maximum(-sums.low, sums.high + 2)
    sums = with_constant(total, effective_bias(layer, total, state_bits), layer.offset)
    held = membrane(layer, sums)
    return np.maximum(np.maximum(-held.low, held.high + 1), np.maximum(-sums.low, sums.high + 1))


def with_correction(layer: Any, shift: NDArray[np.int64], total: Interval, state_bits: int) -> Any:
    """The layer with its bias shifted where the membranes still fit; elsewhere unchanged."""
    corrected = replace(layer, bias=layer.bias + shift)
    good = needed(corrected, total, state_bits) <= 2 ** (state_bits - 1)
    if good.all():
        return corrected
    kept = _over_like(good, corrected.bias)
    return replace(layer, bias=np.where(kept, corrected.bias, layer.bias))


def _over_like(good: NDArray[np.bool_], like: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether all places hold that share one value of `like`, which broadcasts to the shape of `good`."""
    padded = (1,) * (good.ndim - like.ndim) + like.shape
    shared = tuple(axis for axis, size in enumerate(padded) if size == 1)
    return np.asarray(good.all(axis=shared, keepdims=True)).reshape(like.shape)


def effective_bias(layer: NeuronLayer, total: Interval, state_bits: int) -> NDArray[np.int64]:
    """The bias without what makes no difference: far below silence it is silence, far above the last level saturation.

    U <= th * (low + 1) - 1 gives the lowest count, U >= th * high the highest, whatever arrives; on a staircase the first and the
    last step inside a membrane of that width stand for these two.
    """
    if isinstance(layer, StaircaseLayer):
        first, last = _steps_inside(layer.steps, 2 ** (state_bits - 1))
        deepest, highest = first - 1 - total.high, last - total.low
    else:
        deepest = layer.threshold * (layer.low + 1) - 1 - layer.offset - total.high
        highest = layer.threshold * layer.high - layer.offset - total.low
    padded = (1,) * (len(layer.shape) - layer.bias.ndim) + layer.bias.shape
    shared = tuple(axis for axis, size in enumerate(padded) if size == 1)
    low = deepest.min(axis=shared, keepdims=True).reshape(layer.bias.shape)
    high = highest.max(axis=shared, keepdims=True).reshape(layer.bias.shape)
    return np.clip(layer.bias, low, high)


def _steps_inside(steps: NDArray[np.int64], end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last step of each table that stand at neither end of the membrane's range; 0 where none does."""
    inside = (steps > -end) & (steps < end - 1)
    first = np.where(inside, steps, end).min(axis=0)
    last = np.where(inside, steps, -end).max(axis=0)
    none = ~inside.any(axis=0)
    return np.where(none, 0, first), np.where(none, 0, last)


def settled(layer: Any, total: Interval, state_bits: int) -> Any:
    """The layer as it is kept, when its weights and bias are final: with its effective bias."""
    return layer if isinstance(layer, Readout) else replace(layer, bias=effective_bias(layer, total, state_bits))


def fits(layer: NeuronLayer | Readout, total: Interval, state_bits: int) -> bool:
    """Whether no membrane can leave its width."""
    return bool(needed(layer, total, state_bits).max() <= 2 ** (state_bits - 1))


def readout_layer(
    name: str,
    shape: Shape,
    terms: Sequence[Term],
    constant: Floats,
    *,
    weight_bits: int,
    state_bits: int,
    sources: Mapping[str, Interval],
) -> tuple[Readout, tuple[Connection, ...]]:
    """The read-out: integer weights of one common scale, so that outputs can be compared; coarser where sums would not fit."""
    weighted = [t for t in terms if not t.is_identity]
    widest = 2 ** (weight_bits - 1) - 1
    limit = widest if weighted else widest * 2**IDENTITY_BITS
    largest = max(float(np.abs(t.weight).max()) for t in weighted or terms)
    scale = largest / limit if largest else 1.0
    coarse = float(np.abs(constant).max()) / 2 ** (state_bits - 2)  # large biases cost small weights their bits
    scale = max(scale, coarse)
    while True:
        connections = tuple(
            Connection(t.path.source, name, synapses(t.path, integer_weight(t, t.weight / scale))) for t in terms
        )
        layer = Readout(name, shape, rint(compact(constant / scale)), scale)
        total = combine([reach(c.synapses, sources[c.source]) for c in connections])
        excess = float(needed(layer, total, state_bits).max()) / 2 ** (state_bits - 1)
        if excess <= 1:
            return layer, connections
        if scale >= largest > coarse:
            why = f"its sums need {excess:.3g} times the membrane's range even with weights of 1 bit"
            raise QuantizeError(Problem(name, why, "raise state_bits, or lower levels"))
        scale *= max(excess, 1.01)


def _rounded(
    name: str,
    shape: Shape,
    terms: Sequence[Term],
    constant: Floats,
    scale: Floats,
    threshold: Floats,
    low: int,
    high: int,
) -> tuple[CountLayer, tuple[Connection, ...]]:
    spread = (-1, *(1,) * (len(shape) - 1))
    factor = threshold / scale
    connections = tuple(
        Connection(t.path.source, name, synapses(t.path, integer_weight(t, scaled_weight(t, factor)))) for t in terms
    )
    whole = rint(threshold).reshape(spread)
    bias = rint(compact(constant * factor.reshape(spread)))
    layer = CountLayer(name, shape, whole, bias, whole // 2, low, high, scale.reshape(spread).astype(np.float64))
    return layer, connections


def scaled_weight(t: Term, factor: Floats) -> Floats:
    """A term's real weights in units of the membrane; `factor` is threshold / scale, of each channel of the layer or of all."""
    if factor.ndim == 0:
        return t.weight * factor
    if t.channel is None:
        return t.weight * factor.reshape(-1, *(1,) * (t.weight.ndim - 1))
    rows = np.zeros(len(t.weight))
    used = t.channel >= 0
    rows[t.channel[used]] = factor[used]
    return t.weight * rows.reshape(-1, *(1,) * (t.weight.ndim - 1))


def integer_weight(t: Term, scaled: Floats) -> Dense | Conv | OneToOne:
    match t.path.weight:
        case None:
            return OneToOne(rint(compact(scaled)))
        case weight:
            return replace(weight, weight=rint(scaled))


def largest_per_channel(t: Term, shape: Shape) -> Floats:
    """Largest absolute real weight into each channel of the layer."""
    if t.channel is None:
        return np.abs(np.broadcast_to(t.weight, shape)).reshape(shape[0], -1).max(axis=1)
    rows = np.abs(t.weight).reshape(len(t.weight), -1).max(axis=1)
    return np.where(t.channel >= 0, rows[t.channel], 0.0)


def rint(array: Floats) -> NDArray[np.int64]:
    return np.rint(np.clip(array, -BEYOND, BEYOND)).astype(np.int64)


def _too_small(name: str, threshold: Floats, wished: Floats) -> Problem:
    channel = int(np.argmin(threshold))
    if wished[channel] < 1:
        why = f"channel {channel} has a weight larger than {'its whole activation range'}: its threshold would fall below 1"
        return Problem(name, why, "raise weight_bits, lower levels, or equalize the layer before it")
    why = f"channel {channel} does not fit into the membrane: its sums reach too far for any threshold of at least 1"
    return Problem(name, why, "raise state_bits, or lower levels or weight_bits")
