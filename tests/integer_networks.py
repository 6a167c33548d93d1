"""Random small integer networks: every kind of connection and layer, drawn from a seed."""

from __future__ import annotations

import numpy as np

from spikeport.graph import output_shape
from spikeport.primitives import (
    Connection,
    Conv,
    Dense,
    InputEncoder,
    MaxPool,
    OneToOne,
    Pad,
    Reshape,
    Slice,
    SumPool,
    Synapse,
    Transpose,
    Upsample,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, MaxLayer, Readout, StaircaseLayer


def random_network(
    seed: int,
    *,
    kind: str = "static",
    layers: int = 4,
    everything: bool = True,
    digits: bool = False,
    curved: bool = False,
) -> IntegerNetwork:
    """A feed-forward network with skip connections over feature maps, then a dense read-out.

    `everything` False leaves out what NIR cannot say; `digits` gives every layer 2**K - 1 levels, as the radix code needs;
    `curved` makes about half of the layers staircases.
    """
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.integers(2, 6)), int(rng.integers(2, 6)))
    low, high = (-7, 7) if kind == "static" else (0, 15)
    source = InputEncoder("input", shape, kind, np.ones(()), low, high)  # type: ignore[arg-type]
    built: list[Layer] = []
    connections: list[Connection] = []
    shapes = {"input": shape}
    for i in range(layers):
        name = f"layer{i}"
        before = list(shapes)[-1]
        kinds = ["conv", "conv", "one", "pool", "slice"]
        kinds += ["max", "upsample", "transpose"] if everything else []
        chain, window = _chain(rng, str(rng.choice(kinds)), shapes[before])
        out = shapes[before]
        for synapse in chain:
            out = output_shape(synapse, [out])
        connections.append(Connection(before, name, chain))
        for other in [n for n, s in shapes.items() if s == out and n != before][:2]:  # skip connections
            weight = rng.integers(-4, 5, size=(out[0], 1, 1))
            connections.append(Connection(other, name, (OneToOne(weight),)))
        if window is not None:
            final = output_shape(window, [out])
            connections = [c for c in connections if c.target != name or c.source == before]
            built.append(MaxLayer(name, final, window, np.ones(())))
            shapes[name] = final
            continue
        threshold = rng.integers(1, 12, size=(out[0], 1, 1))
        bias = rng.integers(-9, 10, size=out if rng.random() < 0.3 else (out[0], 1, 1))
        top = int(rng.choice([1, 3, 7])) if digits else int(rng.integers(1, 6))
        bottom = -top if rng.random() < 0.3 else 0
        if curved and rng.random() < 0.5:
            table = random_table(rng, top - bottom, out)
            built.append(StaircaseLayer(name, out, table, bias, bottom, np.ones(())))
            shapes[name] = out
            continue
        built.append(CountLayer(name, out, threshold, bias, threshold // 2, bottom, top, np.ones(())))
        shapes[name] = out
    last, size = list(shapes)[-1], int(np.prod(list(shapes.values())[-1]))
    readout = Dense(rng.integers(-5, 6, size=(3, size)))
    connections.append(Connection(last, "output", (Reshape((size,)), readout)))
    built.append(Readout("output", (3,), rng.integers(-9, 10, size=(3,)), 0.25))
    return IntegerNetwork(source, tuple(built), tuple(connections), 8, 24)


def random_table(rng: np.random.Generator, levels: int, shape: tuple[int, ...]) -> np.ndarray:
    """Thresholds that never fall and rise unevenly: one table, one a channel, or one a neuron."""
    channels, *space = shape
    each = [(), (1,) * len(shape), (channels, *(1,) * len(space)), shape][int(rng.integers(4))]
    rises = rng.integers(0, 12, size=(levels, *each)) * (rng.random((levels, *each)) < 0.7)
    return rng.integers(-40, 20, size=each) + rises.cumsum(axis=0)


def _chain(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> tuple[tuple[Synapse, ...], MaxPool | None]:
    channels, *space = shape
    match kind:
        case "one":
            return (OneToOne(rng.integers(-5, 6, size=(channels, 1, 1))),), None
        case "pool" if min(space) >= 2:
            return (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))),), None
        case "slice" if min(space) >= 2:
            start, step = (0, 0, 0), (1, 2, 2)
            return (Slice(start, shape, step), Pad(((1, 0), (0, 0), (0, 0)))), None
        case "max" if min(space) >= 2:
            return (), MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
        case "upsample" if max(space) <= 4:
            return (Upsample((1, 2, 1)),), None
        case "transpose":
            return (Transpose((0, 2, 1)),), None
        case _:
            groups = channels if rng.random() < 0.3 else 1
            out = channels * int(rng.integers(1, 3)) if groups > 1 else int(rng.integers(1, 4))
            size = int(rng.integers(1, 4))
            dilation = 1
            padding = size // 2 + (1 if size > min(space) else 0)
            weight = rng.integers(-5, 6, size=(out, channels // groups, size, size))
            stride = int(rng.integers(1, 3))
            return (Conv(weight, (stride, 1), ((padding, padding),) * 2, (dilation, dilation), groups),), None


def random_input(network: IntegerNetwork, seed: int, samples: int = 3) -> np.ndarray:
    """Encoded values over the whole range, extremes included; scale 1, so values are integers."""
    rng = np.random.default_rng(seed)
    encoder = network.input
    x = rng.integers(encoder.low, encoder.high + 1, size=(samples, *encoder.shape))
    x[0] = encoder.high
    if samples > 1:
        x[1] = encoder.low
    return x.astype(np.float64)
