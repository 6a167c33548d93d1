"""From a normalized graph to layers: which spikes reach each neuron, and through which linear operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem, QuantizeError
from spikeport.graph import Add, Affine, Concat, Graph, Node, apply, is_spiking, output_shape, per_channel
from spikeport.primitives import Conv, Dense, MaxPool, OneToOne, Pad, Reshape, Routing, Shape, Slice, SumPool, Synapse

Floats = NDArray[np.floating]
MAX_PATHS = 1024
"""Ways from spikes into one layer; concatenating a value with itself doubles them each time."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way from a source of spikes into a layer: `after(weight(before(spikes)))`.

    `before` may hold scales (`Affine` without shift); they change the size of a count, not the counts.
    """

    source: str
    before: tuple[Synapse | Affine, ...]
    weight: Dense | Conv | None
    after: tuple[Synapse, ...]


def paths_into(graph: Graph, name: str) -> tuple[Path, ...]:
    """All paths from spiking values to the value `name`; shifts are left to `constant_terms`."""
    found: list[Path] = []
    stack: list[tuple[str, tuple[Synapse | Affine, ...]]] = [(name, ())]
    while stack:
        if len(found) + len(stack) > MAX_PATHS:
            why = f"is reached on more than {MAX_PATHS:,} ways from spikes, without a neuron on them"
            raise QuantizeError(Problem(name, why, "put an activation between repeated sums and concatenations"))
        current, below = stack.pop()
        node = graph[current]
        if is_spiking(node.op):
            found.append(_path(current, below))
            continue
        match node.op:
            case Add():
                stack.extend((i, below) for i in reversed(node.inputs))
            case Concat(axis):
                stack.extend((i, (pad, *below)) for i, pad in reversed(_places(graph, node, axis)))
            case Affine(scale):
                step = () if scale is None else (Affine(scale),)
                stack.append((node.inputs[0], (*step, *below)))
            case op:
                stack.append((node.inputs[0], (op, *below)))  # type: ignore[arg-type]
    return tuple(_merged(graph, found))


def _path(source: str, chain: tuple[Synapse | Affine, ...]) -> Path:
    at = [i for i, op in enumerate(chain) if isinstance(op, Dense | Conv)]
    if not at:
        return Path(source, chain, None, ())
    assert len(at) == 1, "two weighted operations without spikes between them"
    after = chain[at[0] + 1 :]
    assert not any(isinstance(op, Affine) for op in after), "a scale after the weights"
    weight = chain[at[0]]
    assert isinstance(weight, Dense | Conv)
    return Path(source, chain[: at[0]], weight, after)  # type: ignore[arg-type]


def _places(graph: Graph, node: Node, axis: int) -> list[tuple[str, Pad]]:
    """Inputs of a concatenation as paddings to its full shape, whose sum it is."""
    places, start = [], 0
    for name in node.inputs:
        size = graph[name].shape[axis]
        width: list[tuple[int, int]] = [(0, 0)] * len(node.shape)
        width[axis] = (start, node.shape[axis] - start - size)
        places.append((name, Pad(tuple(width))))
        start += size
    return places


def _merged(graph: Graph, paths: list[Path]) -> list[Path]:
    """Paths without useless work: weights of silent channels are cut, equal identities become one of twice the weight."""
    slim = [_without_silent_channels(graph, path) for path in paths]
    result: list[Path] = []
    for path in slim:
        twin = next((i for i, p in enumerate(result) if _same_identity(p, path)), None)
        if twin is None:
            result.append(path)
        else:
            total = _gain(result[twin]) + _gain(path)
            result[twin] = Path(path.source, (Affine(np.asarray(total)),), None, ())
    return result


def _gain(path: Path) -> Any:
    gain: Any = np.float64(1.0)
    for op in path.before:
        assert isinstance(op, Affine)
        assert op.scale is not None
        gain = gain * op.scale
    return gain


def _same_identity(a: Path, b: Path) -> bool:
    """Whether two paths are weightless, from one source, with nothing but scales on the way."""
    return a.source == b.source and all(
        p.weight is None and all(isinstance(op, Affine) for op in p.before) for p in (a, b)
    )


def _without_silent_channels(graph: Graph, path: Path) -> Path:
    """A convolution or dense layer after a channel padding reads only the channels that can spike."""
    if not path.before or path.weight is None:
        return path
    *rest, last = path.before
    if (
        isinstance(path.weight, Conv)
        and isinstance(last, Pad)
        and path.weight.groups == 1
        and not any(map(any, last.width[1:]))
    ):
        low, high = last.width[0]
        channels = slice(low, path.weight.weight.shape[1] - high)
        slim = Conv(path.weight.weight[:, channels], path.weight.stride, path.weight.padding, path.weight.dilation)
        return _without_silent_channels(graph, Path(path.source, tuple(rest), slim, path.after))
    if isinstance(path.weight, Dense) and isinstance(last, Routing):
        routing = list(path.before)
        keep = len(routing)
        while keep and isinstance(routing[keep - 1], Routing):
            keep -= 1
        if any(isinstance(op, Pad | Slice) for op in routing[keep:]):
            return _gathered(graph, path, keep)
    return path


def _gathered(graph: Graph, path: Path, keep: int) -> Path:
    """Routing before a dense layer becomes a choice of its columns."""
    assert isinstance(path.weight, Dense)
    shape = shape_after(graph[path.source].shape, path.before[:keep])
    size = int(np.prod(shape))
    index = np.arange(1, size + 1).reshape(1, *shape)
    for op in path.before[keep:]:
        index = apply(op, [index])
    flat = index.reshape(-1)
    weight = np.zeros((len(path.weight.weight), size), dtype=path.weight.weight.dtype)
    np.add.at(weight.T, flat[flat > 0] - 1, path.weight.weight.T[flat > 0])
    flatten = (Reshape((size,)),) if len(shape) > 1 else ()
    return Path(path.source, (*path.before[:keep], *flatten), Dense(weight), path.after)


def shape_after(shape: Shape, chain: tuple[Synapse | Affine, ...]) -> Shape:
    """Shape of a value after a chain of weightless operations."""
    for op in chain:
        shape = output_shape(op, [shape])
    return shape


def carried_scale(scale: Floats, shape: Shape, chain: tuple[Synapse | Affine, ...]) -> Floats | None:
    """Size of one count in the model's units after a chain of weightless operations; NaN where nothing ever spikes.

    None where counts of different sizes would be summed.
    """
    value = np.array(np.broadcast_to(scale, shape), dtype=np.float64)[None]
    for op in chain:
        match op:
            case Affine(gain):
                assert gain is not None
                value = value * gain
            case SumPool(kernel, stride, padding):
                window = MaxPool(kernel, stride, padding, (1,) * len(kernel))
                highest = apply(window, [np.where(np.isnan(value), -np.inf, value)])
                lowest = -apply(window, [np.where(np.isnan(value), -np.inf, -value)])
                highest = np.where(highest <= -np.finfo(float).max, np.nan, highest)
                lowest = np.where(lowest >= np.finfo(float).max, np.nan, lowest)
                if not np.array_equal(highest, lowest, equal_nan=True):
                    return None
                value = highest
            case Pad(width):
                value = np.pad(value, ((0, 0), *width), constant_values=np.nan)
            case _:
                value = apply(op, [value])
    return np.asarray(value[0])


def needs_one_scale(graph: Graph, path: Path, reader: object = None) -> bool:
    """Whether a path mixes channels of its source before the weights or a maximum, so that all must share one scale."""
    shape = graph[path.source].shape
    channels = np.arange(1.0, shape[0] + 1).reshape(-1, *(1,) * (len(shape) - 1))
    plain = tuple(op for op in path.before if not isinstance(op, Affine))
    value = carried_scale(channels, shape, plain)
    if value is None:
        return True
    return isinstance(path.weight or reader, Conv | MaxPool) and per_channel(value, value.shape) is None


def channel_source(path: Path, channels: int, shape: Shape) -> NDArray[np.int64] | None:
    """For each channel of the layer the output channel of the weights that feeds it, -1 for none.

    None where the operations after the weights mix them.
    """
    if path.weight is None:
        return np.arange(channels)
    index = np.arange(1.0, len(path.weight.weight) + 1)
    scale = carried_scale(index.reshape(-1, *(1,) * (len(shape) - 1)), shape, path.after)
    found = None if scale is None else per_channel(scale, scale.shape)
    if found is None:
        return None
    return np.where(np.isnan(found), 0, found).astype(np.int64) - 1


def constant_terms(graph: Graph) -> dict[str, Floats]:
    """Value of every node when nothing spikes: what biases and shifts add up to, padding included."""
    values: dict[str, Floats] = {}
    for node in graph.nodes:
        if is_spiking(node.op):
            values[node.name] = np.zeros((1, *node.shape))
        else:
            values[node.name] = apply(node.op, [values[i] for i in node.inputs])
    return {name: value[0] for name, value in values.items()}


def compact(array: NDArray[Any]) -> NDArray[Any]:
    """One value a channel, of shape (channel, 1, ...), where the array does not vary inside channels."""
    found = per_channel(array, array.shape) if array.ndim > 1 else None
    return array if found is None else found.astype(array.dtype).reshape(-1, *(1,) * (array.ndim - 1))


def synapses(path: Path, weighted: Dense | Conv | OneToOne | None) -> tuple[Synapse, ...]:
    """The chain of a connection, with integer weights in place of the path's."""
    before = tuple(op for op in path.before if not isinstance(op, Affine))
    middle = () if weighted is None else (weighted,)
    return (*before, *middle, *path.after)
