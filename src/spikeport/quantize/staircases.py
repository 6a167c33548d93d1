"""Layers of curved activations: tables of integer thresholds from a float function, and differences of two such layers.

With U = factor * x, the sum in units of the membrane, and s the size of one count:

    c[k] = smallest integer U with f(U / factor) >= (k - 1/2) s            n = clip(round(f(x) / s), low, high) = low + #{k : U >= c[k]}

The factor is free: it uses the full width of the weights, of each channel. A function that first falls, to `turn`, and then rises is
the difference n = n1 - n2 of two staircases of the same sum, the fewest steps there are (its Jordan decomposition):

    falls[k] = smallest U left of the turn with f(U / factor) < (k - 1/2) s, for the counts k = 0, -1, ... that it leaves
    rises[k] = smallest U right of it with f(U / factor) >= (k - 1/2) s

Two layers of neurons have one table each, and whoever reads them reads the second with the opposite weights. A count of zero is the
activation zero under all tables, so that zero padding stays silence: sigmoid(0) is half of all steps climbed, not an offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem, QuantizeError
from spikeport.graph import Activation, output_shape
from spikeport.primitives import Connection, Conv, Dense, OneToOne, Shape
from spikeport.quantize.bounds import Interval, combine, reach
from spikeport.quantize.integer import CountLayer, Layer, MaxLayer, StaircaseLayer
from spikeport.quantize.layers import (
    IDENTITY_BITS,
    Term,
    integer_weight,
    largest_per_channel,
    needed,
    rint,
    scaled_weight,
)
from spikeport.quantize.paths import compact, synapses
from spikeport.quantize.scales import best_scales

Floats = NDArray[np.floating]
FALLING = " (falling)"
"""Suffix of the layer that is subtracted."""
JOINED = " (joined)"
"""Suffix of the layer that sends the difference, where a maximum reads it."""
FINEST = 2.0**40
"""Largest factor; finer than any weight."""


@dataclass(frozen=True, slots=True, eq=False)
class Curved:
    """A layer's sum with two tables in one: first the steps at which its count falls, then those at which it rises."""

    layer: StaircaseLayer
    """All steps; its `low` is that of the rising part."""
    falling: int
    """How many of the steps come first and count down."""

    @property
    def parts(self) -> tuple[StaircaseLayer, ...]:
        """The layers as they are kept: the rising one under the name of the node, and the falling one, if there is one."""
        rising = replace(self.layer, steps=self.layer.steps[self.falling :])
        if not self.falling:
            return (rising,)
        name = self.layer.name + FALLING
        return rising, replace(self.layer, name=name, steps=self.layer.steps[: self.falling], low=0)

    @property
    def interval(self) -> Interval:
        """Of the difference, at every moment."""
        rising = self.parts[0]
        return Interval(np.full(rising.shape, rising.low - self.falling), np.full(rising.shape, rising.high))


def curved_scales(
    activation: Activation, target: Floats, seen: Floats, *, levels: int, together: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scale of each channel, shape (channel,), as `best_scales`; and how many counts a falling function leads below zero.

    It leads down and up again: as many of its levels as the calibration data asks for lie below zero.
    """
    low: int | Floats = 0 if activation.is_never_negative else -levels
    value = activation(np.asarray(seen, np.float64)).astype(np.float32)
    if activation.turn is None:
        return best_scales(target, value, low=low, high=levels, together=together), np.zeros(len(target), np.int64)
    above, below = (np.maximum(sign * target, 0).max(axis=1).astype(np.float64) for sign in (1, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(below / (above + below))
    deep = np.floor(share * levels + 0.5).clip(0, levels - 1)
    deep = np.full_like(deep, deep.max()) if together else deep
    scale = best_scales(target, value, low=-deep, high=levels - deep, together=together)
    return scale, deep.astype(np.int64)


def tables(
    activation: Activation,
    scale: Floats,
    factor: Floats,
    *,
    levels: int,
    depth: NDArray[np.int64],
    state_bits: int,
) -> tuple[NDArray[np.int64], int, int]:
    """Thresholds of each channel, shape (step, channel): the falling ones first, how many they are, and the lowest count.

    A step that no sum of `state_bits` reaches stands at the end of their range.

    Args:
        activation: the function.
        scale: size of one count, shape (channel,).
        factor: units of the membrane to one unit of the model, shape (channel,).
        levels: steps up at most; counts reach from `-levels` at the lowest.
        depth: steps down of each channel, where the function falls.
        state_bits: width of the membrane.
    """
    end = 2 ** (state_bits - 1)
    first, last = np.full(len(scale), -end), np.full(len(scale), end - 1)
    if activation.turn is not None:
        turn = np.ceil(activation.turn * factor).clip(-end, end - 1).astype(np.int64)
        row = np.arange(max(levels, 1))[:, None]
        down, up = -row[: depth.max()], row + 1 - depth
        falls = _first(lambda y, level: y < level, activation, down, scale, factor, first, turn)
        rises = _first(lambda y, level: y >= level, activation, up, scale, factor, turn, last)
        falls = np.where(down > -depth, falls, last)  # channels that lead less far down than others
        return np.concatenate([falls, rises]), len(falls), 0
    lowest = activation(np.array(-end / factor)) / scale
    low = int(np.floor(np.clip(lowest, -levels, 0) + 0.5).min())
    up = np.arange(low + 1, levels + 1)[:, None]
    return _first(lambda y, level: y >= level, activation, up, scale, factor, first, last), 0, low


def _first(
    reached: Callable[[Floats, Floats], NDArray[np.bool_]],
    activation: Activation,
    k: NDArray[np.int64],
    scale: Floats,
    factor: Floats,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Smallest integer in [first, last) at which each level k is reached, `last` if none is, by bisection; shape (k, channel)."""
    level = (k - 0.5) * scale
    low = np.broadcast_to(first, level.shape).copy()
    high = np.broadcast_to(last, level.shape).copy()
    while (low < high).any():
        middle = (low + high) >> 1
        found = reached(activation(middle / factor), level)
        high = np.where(found, middle, high)
        low = np.where(found, low, np.minimum(middle + 1, high))
    return np.maximum.accumulate(high, axis=0)  # rounding of the float function may disorder equal steps


def curved_layer(
    name: str,
    shape: Shape,
    terms: Sequence[Term],
    constant: Floats,
    scale: Floats,
    activation: Activation,
    *,
    levels: int,
    depth: NDArray[np.int64],
    weight_bits: int,
    state_bits: int,
    sources: Mapping[str, Interval],
) -> tuple[Curved, tuple[Connection, ...], Floats]:
    """Steps, connections and factors that use the weights' width and fit the membrane.

    Args:
        scale, depth: of `curved_scales`.
        constant: what reaches the neuron when nothing spikes, in the model's units, shape of the layer.
        sources: interval of the counts of each source.

    Returns:
        The steps, the connections into the rising layer, and the factor of each channel.

    Raises:
        QuantizeError: a channel whose sums do not fit the membrane with weights of any size.
    """
    widest = 2 ** (weight_bits - 1) - 1
    weighted = [t for t in terms if not t.is_identity]
    largest = np.zeros(shape[0])
    for t in weighted or terms:
        largest = np.maximum(largest, largest_per_channel(t, shape))
    limit = widest if weighted else widest * 2**IDENTITY_BITS
    with np.errstate(divide="ignore"):
        wished = limit / largest
    factor = np.minimum(wished, 2.0 ** (state_bits - 3) / (levels * scale)).clip(max=FINEST)
    spread = (-1, *(1,) * (len(shape) - 1))
    while True:
        if (factor * largest < 0.5).any() and (factor < wished).any():
            channel = int(np.argmin(factor * largest))
            why = f"channel {channel} does not fit into the membrane: its sums reach too far for weights of any size"
            raise QuantizeError(Problem(name, why, "raise state_bits, or lower levels or weight_bits"))
        steps, falling, low = tables(activation, scale, factor, levels=levels, depth=depth, state_bits=state_bits)
        connections = tuple(
            Connection(t.path.source, name, synapses(t.path, integer_weight(t, scaled_weight(t, factor))))
            for t in terms
        )
        bias = rint(compact(constant * factor.reshape(spread)))
        table = steps.reshape(len(steps), *spread)
        layer = StaircaseLayer(name, shape, table, bias, low, scale.reshape(spread).astype(np.float64))
        total = combine([reach(c.synapses, sources[c.source]) for c in connections])
        excess = needed(layer, total, state_bits).reshape(shape[0], -1).max(axis=1) / 2 ** (state_bits - 1)
        if excess.max() <= 1:
            return Curved(layer, falling), connections, factor
        factor = np.where(excess > 1, factor / excess * 0.999, factor)


def trimmed(curved: Curved, total: Interval) -> Curved:
    """The same function of every sum that can arrive, without steps that no channel can climb, or that all have climbed."""
    layer, falling = curved.layer, curved.falling
    channels = layer.shape[0]
    low = (total.low + layer.bias).reshape(channels, -1).min(axis=1)
    high = (total.high + layer.bias).reshape(channels, -1).max(axis=1)
    spread = (-1, *(1,) * (len(layer.shape) - 1))
    steps = np.clip(layer.steps, low.reshape(spread), high.reshape(spread) + 1)
    climbed = (steps <= low.reshape(spread)).reshape(len(steps), -1).all(axis=1)
    beyond = (steps > high.reshape(spread)).reshape(len(steps), -1).all(axis=1)
    if falling:
        down = int(np.count_nonzero(~beyond[:falling]))
        up = max(1, int(np.count_nonzero(~beyond[falling:])))
        return Curved(replace(layer, steps=np.concatenate([steps[:down], steps[falling:][:up]])), down)
    start = min(int(np.count_nonzero(climbed)), -layer.low)
    stop = max(len(steps) - int(np.count_nonzero(beyond)), 1 - layer.low)  # silence stays below the highest count
    return Curved(replace(layer, steps=steps[start:stop], low=layer.low + start), 0)


def read_both(
    layers: Iterable[Layer], connections: Iterable[Connection], pairs: Mapping[str, Curved]
) -> tuple[tuple[Layer, ...], tuple[Connection, ...]]:
    """The network in which readers of a difference read both of its layers, the falling one with opposite weights.

    A maximum cannot: it reads a layer that adds the two up and sends the difference, count for count.
    """
    layers, connections = list(layers), list(connections)
    maxima = {layer.name for layer in layers if isinstance(layer, MaxLayer)}
    joined = {c.source for c in connections if c.source in pairs and c.target in maxima}
    built: list[Layer] = []
    for layer in layers:
        built.append(layer)
        name = layer.name.removesuffix(FALLING)
        if name in joined and layer.name != name:
            built.append(_joined(pairs[name]))
    read: list[Connection] = []
    for connection in connections:
        if connection.source not in pairs:
            read.append(connection)
        elif connection.target in maxima:
            read.append(replace(connection, source=connection.source + JOINED))
        else:
            opposite = negated(connection, pairs[connection.source].layer.shape)
            read += [connection, replace(opposite, source=connection.source + FALLING)]
    for name in sorted(joined):
        plain = Connection(name, name + JOINED, ())
        opposite = negated(plain, pairs[name].layer.shape)
        read += [plain, replace(opposite, source=name + FALLING)]
    return tuple(built), tuple(read)


def _joined(curved: Curved) -> CountLayer:
    """Neurons that send what they receive."""
    rising = curved.parts[0]
    one, zero = np.ones((), dtype=np.int64), np.zeros((), dtype=np.int64)
    low = rising.low - curved.falling
    return CountLayer(rising.name + JOINED, rising.shape, one, zero, zero, low, rising.high, rising.scale)


def negated(connection: Connection, source: Shape) -> Connection:
    """A connection that delivers the opposite of what it delivers from a source of that shape."""
    return multiplied(connection, source, -1)


def multiplied(connection: Connection, source: Shape, factor: int) -> Connection:
    """A connection that delivers a multiple of what it delivers from a source of that shape."""
    chain = list(connection.synapses)
    for index, synapse in enumerate(chain):
        if isinstance(synapse, Dense | Conv | OneToOne):
            chain[index] = replace(synapse, weight=factor * synapse.weight)
            return replace(connection, synapses=tuple(chain))
    shape = source
    for synapse in chain:
        shape = output_shape(synapse, [shape])
    times = OneToOne(np.full((1,) * len(shape), factor, dtype=np.int64))
    return replace(connection, synapses=(*chain, times))
