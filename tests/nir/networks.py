"""Small spiking networks, written by hand and drawn at random, and the equality that a file must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from hypothesis import strategies as st

from spikeport.backends.reference import simulate
from spikeport.graph import output_shape
from spikeport.primitives import (
    Accumulator,
    Approximation,
    Connection,
    Conv,
    Dense,
    ExecutionContract,
    GradedIF,
    InputEncoder,
    OneToOne,
    Pad,
    Population,
    Reshape,
    SignedIF,
    Slice,
    SpikingNetwork,
    SumPool,
)


def integers(rng, *shape, low=-6, high=7):
    return rng.integers(low, high, shape)


def neuron(rng, shape, code="signed", *, step=0, per_position=False):
    compact = shape if per_position else (shape[0], *(1,) * (len(shape) - 1))
    threshold, initial = integers(rng, *compact, low=2, high=25), integers(rng, *compact, low=0, high=4)
    bias = integers(rng, *compact, low=-30, high=31)
    low, high = int(rng.integers(-3, 1)), int(rng.integers(1, 8))
    if code == "signed":
        return SignedIF(threshold, initial, bias, low, high)
    return GradedIF(threshold, initial, bias, low, high, step)


def network(rng, shape, stages, *, code="signed", kind="static", presentation=4, readout=None, per_position=False):
    """Populations one after the other; `stages` lists the chains into each of them, all from the population before."""
    encoder = InputEncoder(
        "in/put", shape, kind, np.asarray(1 if kind == "events" else 0.05), 0 if kind == "events" else -40, 40
    )
    populations, connections = [], []
    source = encoder.name
    for index, chains in enumerate(stages):
        name, start = f"block.{index}/neuron", shape
        for chain in chains:
            shape = start
            for synapse in chain:
                shape = output_shape(synapse, [shape])
            connections.append(Connection(source, name, tuple(chain)))
        step = presentation - 1 + index
        populations.append(Population(name, shape, neuron(rng, shape, code, step=step, per_position=per_position)))
        source = name
    if readout is None:
        flat = (Reshape((int(np.prod(shape)),)),) if len(shape) > 1 else ()
        readout = (*flat, Dense(integers(rng, 3, int(np.prod(shape)))))
    for synapse in readout:
        shape = output_shape(synapse, [shape])
    populations.append(Population("out", shape, Accumulator(integers(rng, *shape), 0.1 + 0.2)))
    connections.append(Connection(source, "out", tuple(readout)))
    return SpikingNetwork(
        name="a small network",
        input=encoder,
        populations=tuple(populations),
        connections=tuple(connections),
        output="out",
        contract=ExecutionContract(code, presentation, 400, 24, dt=0.1 / 3),
        ledger=(Approximation("block.0/neuron", "weights rounded", 0.125, "of a weight"),),
        host_tail=("log_softmax",),
    )


def chain_cases():
    """A chain for each form that a synapse takes in NIR, and the shape that it starts from."""
    rng = np.random.default_rng(1)
    maps, line, units = (4, 6, 6), (4, 9), (6,)
    one, one_each = (1, 1), (1, 1, 1)

    def conv(*shape, stride=one, padding=((1, 1), (1, 1)), dilation=one, groups=1):
        return Conv(integers(rng, *shape), stride, padding, dilation, groups)

    return {
        "dense": (units, (Dense(integers(rng, 5, 6)),)),
        "convolution": (maps, (conv(3, 4, 3, 3),)),
        "strided and dilated convolution": (
            maps,
            (conv(3, 4, 3, 3, stride=(2, 2), dilation=(2, 2), padding=((2, 2), (2, 2))),),
        ),
        "grouped convolution": (maps, (conv(6, 2, 3, 3, groups=2),)),
        "depthwise convolution": (maps, (conv(8, 1, 3, 3, groups=4),)),
        "rectangular kernel": (maps, (conv(3, 4, 1, 3, padding=((0, 0), (1, 1))),)),
        "rectangular kernel of other parity": (maps, (conv(3, 4, 1, 4, padding=((0, 0), (0, 0))),)),
        "uneven padding": (maps, (conv(3, 4, 2, 3, padding=((0, 1), (2, 0))),)),
        "convolution in one dimension": (line, (Conv(integers(rng, 4, 2, 3), (2,), ((2, 1),), (2,), 2),)),
        "sum pool": (maps, (SumPool((3, 2), (3, 2), ((0, 0), (1, 1))),)),
        "unevenly padded sum pool": (maps, (SumPool((2, 2), (2, 2), ((0, 1), (1, 1))),)),
        "sum pool in one dimension": (line, (SumPool((3,), (2,), ((1, 1),)),)),
        "flatten": (maps, (Reshape((144,)), Dense(integers(rng, 4, 144)))),
        "partly flatten": (maps, (Reshape((4, 36)), Conv(integers(rng, 2, 4, 5), (3,), ((0, 0),), (1,)))),
        "coefficient of every neuron": (maps, (OneToOne(integers(rng, 4, 6, 6)),)),
        "coefficient of a channel": (maps, (OneToOne(integers(rng, 4, 1, 1)),)),
        "one coefficient": (maps, (OneToOne(np.asarray(3)),)),
        "concatenation of maps": (maps, (Pad(((2, 3), (0, 0), (0, 0))),)),
        "concatenation of units": (units, (Pad(((2, 3),)), OneToOne(integers(rng, 11)))),
        "slice in the middle": (maps, (Slice((1, 2, 0), (3, 5, 6), (1, 1, 2)),)),
        "pad after a slice": (maps, (Slice((1, 2, 0), (3, 5, 6), (1, 1, 2)), Pad(((1, 0), (2, 1), (0, 3))))),
        "pad behind an early end": (maps, (Slice((0, 0, 0), (4, 4, 4), one_each), Pad(((0, 0), (0, 2), (0, 1))))),
        "direct": (maps, ()),
    }


def residual(rng, **options):
    """Strided convolution, and a shortcut that slices space and pads channels, as CIFAR ResNets have it."""
    conv = Conv(integers(rng, 8, 4, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    shortcut = (Slice((0, 0, 0), (4, 6, 6), (1, 2, 2)), Pad(((2, 2), (0, 0), (0, 0))), OneToOne(integers(rng, 8, 1, 1)))
    pool = (SumPool((3, 3), (3, 3), ((0, 0), (0, 0))), Reshape((8,)), Dense(integers(rng, 5, 8)))
    return network(rng, (4, 6, 6), [[(conv,), shortcut]], readout=pool, **options)


def data(rng, network, batch=3):
    if network.input.kind == "events":
        return rng.integers(0, 5, (network.contract.presentation, batch, *network.input.shape))
    return rng.normal(size=(batch, *network.input.shape))


def assert_same(a: SpikingNetwork, b: SpikingNetwork) -> None:
    """Every field equal, every array of the same shape and values."""
    assert (a.name, a.output, a.contract, a.ledger, a.host_tail) == (
        b.name,
        b.output,
        b.contract,
        b.ledger,
        b.host_tail,
    )
    _same_values(a.input, b.input)
    for left, right in zip(a.populations, b.populations, strict=True):
        assert (left.name, left.shape) == (right.name, right.shape)
        _same_values(left.neuron, right.neuron)
    for one, two in zip(a.connections, b.connections, strict=True):
        assert (one.source, one.target) == (two.source, two.target)
        for left, right in zip(one.synapses, two.synapses, strict=True):
            _same_values(left, right)


def _same_values(a: object, b: object) -> None:
    assert type(a) is type(b)
    for item in fields(a):
        left, right = getattr(a, item.name), getattr(b, item.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert np.array_equal(left, right), item.name
        else:
            assert left == right
            assert type(left) is type(right)


def assert_same_spikes(a: SpikingNetwork, b: SpikingNetwork, x: np.ndarray) -> None:
    names = [p.name for p in a.populations]
    one, two = simulate(a, x, record=names), simulate(b, x, record=names)
    assert one.n_steps == two.n_steps
    assert np.array_equal(one.readout, two.readout)
    assert np.array_equal(one.output, two.output)
    assert np.array_equal(one.quiet_after, two.quiet_after)
    for name in names:
        assert np.array_equal(one.spikes[name].raster, two.spikes[name].raster), name
        assert np.array_equal(one.potentials[name], two.potentials[name]), name


@st.composite
def chains(draw, shape: Sequence[int], rng: np.random.Generator):
    """A chain of synapses that NIR can say, on a population of this shape."""
    small = st.integers(1, 3)
    if len(shape) == 1:
        kind = draw(st.sampled_from(["dense", "one", "choice", "same"]))
        if kind == "dense":
            return (Dense(integers(rng, draw(st.integers(1, 5)), shape[0])),)
    else:
        kind = draw(st.sampled_from(["conv", "conv", "pool", "one", "choice", "flat", "same"]))
    n = len(shape) - 1
    if kind == "same":
        return ()
    if kind == "one":
        full = draw(st.booleans())
        return (OneToOne(integers(rng, *(shape if full else (shape[0], *(1,) * n)))),)
    if kind == "flat":
        return (Reshape((int(np.prod(shape)),)), Dense(integers(rng, 4, int(np.prod(shape)))))
    if kind == "choice":
        start = tuple(draw(st.integers(0, size - 1)) for size in shape)
        stop = tuple(draw(st.integers(a + 1, size)) for a, size in zip(start, shape, strict=True))
        width = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in shape)
        parts = [Slice(start, stop, tuple(draw(small) for _ in shape)), Pad(width)]
        if draw(st.booleans()):
            parts.reverse()
        sliced = shape
        for part in parts:
            if isinstance(part, Slice):
                part = replace(part, stop=tuple(min(b, size) for b, size in zip(stop, sliced, strict=True)))
            sliced = output_shape(part, [sliced])
        weight = OneToOne(integers(rng, sliced[0], *(1,) * n))
        return (*parts, weight) if draw(st.booleans()) else tuple(parts)
    kernel = tuple(draw(small) for _ in range(n))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(n)) if kind == "conv" else (1,) * n
    padding = []
    for size, k, d in zip(shape[1:], kernel, dilation, strict=True):
        need = max(0, (k - 1) * d + 1 - size)
        padding.append((need + draw(st.integers(0, 2)), draw(st.integers(0, 2))))
    stride = tuple(draw(small) for _ in range(n))
    if kind == "pool":
        return (SumPool(kernel, stride, tuple(padding)),)
    groups = draw(st.sampled_from([g for g in (1, 2, 4) if shape[0] % g == 0]))
    out = groups * draw(st.integers(1, 2))
    return (Conv(integers(rng, out, shape[0] // groups, *kernel), stride, tuple(padding), dilation, groups),)


@st.composite
def networks(draw, presentation=None):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    start = draw(st.sampled_from([(4,), (2, 7), (4, 5, 6), (2, 4, 4), (1, 5, 3)]))
    stages, shape = [], start
    for _ in range(draw(st.integers(0, 3))):
        chain = draw(chains(shape, rng))
        before = shape
        for synapse in chain:
            shape = output_shape(synapse, [shape])
        incoming = [chain]
        if shape == before:
            incoming += draw(st.lists(st.sampled_from([(), (OneToOne(np.asarray(3)),)]), max_size=3))
        stages.append(incoming)
    return network(
        rng,
        start,
        stages,
        code=draw(st.sampled_from(["signed", "graded"])),
        kind=draw(st.sampled_from(["static", "events"])),
        presentation=presentation or draw(st.integers(1, 7)),
        readout=draw(st.sampled_from([None, ()])) if stages else None,
        per_position=draw(st.booleans()),
    )
