"""Cases from converted networks: populations of CUBA-LIF units under the population code, as compiled for either Loihi."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chips import Case, Link
from spikeport import codes
from spikeport.backends.loihi import effective_weights, found_sign
from spikeport.backends.loihi.cuba import CubaView, carry
from spikeport.backends.loihi.engine import line_spikes, open_engine
from spikeport.backends.loihi.placed import Chip, apply_chain
from spikeport.plugin.exact import static_currents
from spikeport.primitives import Connection, Conv, Dense, InputEncoder, OneToOne, Reshape, SpikingNetwork, SumPool
from spikeport.primitives.fixed_neurons import STATE_LIMIT
from spikeport.quantize import CountLayer, IntegerNetwork, Readout

PAYLOAD_BITS = 24


def trained(rng: np.random.Generator) -> SpikingNetwork:
    """Two convolutions with a skip around the second, a pool and a read-out; the integers are random."""
    source = InputEncoder("input", (2, 4, 4), "static", np.ones(()), -7, 7)
    kernels = [rng.integers(-128, 128, (3, channels, 3, 3)) for channels in (2, 3)]
    convs = [Conv(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1)) for kernel in kernels]
    threshold = [int(rng.integers(300, 900)), int(rng.integers(150, 500))]
    levels = [int(rng.integers(1, 4)) for _ in range(2)]
    layers = tuple(
        CountLayer(
            f"layer{i}", (3, 4, 4), np.array(threshold[i]), rng.integers(-300, 300, (3, 1, 1)),
            np.array(threshold[i] // 2), 0, levels[i], np.ones(()),
        )
        for i in range(2)
    )  # fmt: skip
    readout = Readout("output", (5,), rng.integers(-99, 99, 5), 1.0)
    ends = (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))), Reshape((12,)), Dense(rng.integers(-128, 128, (5, 12))))
    connections = (
        Connection("input", "layer0", (convs[0],)),
        Connection("layer0", "layer1", (convs[1],)),
        Connection("layer0", "layer1", (OneToOne(np.array(threshold[1])),)),
        Connection("layer1", "output", ends),
    )
    return codes.encode(IntegerNetwork(source, (*layers, readout), connections, 8, 24), "population")


def converted(rng: np.random.Generator, n: int, steps: int) -> Case:
    """One population of such a network, for Lava."""
    population, links, size = _population(rng, steps, "loihi2")
    numbers = {"du": population.du, "dv": population.dv, "vth": population.threshold >> 6}
    each = {name: np.full(size, value) for name, value in numbers.items()}
    each |= dict.fromkeys(("bias_mant", "bias_exp", "v"), np.zeros(size, np.int64))
    return Case("converted", "lif", (size,), links[0].x.shape[-1], links, each)


def converted_loihi1(rng: np.random.Generator, n: int, steps: int) -> Case:
    """The same for nengo-loihi: what enters is binary."""
    population, links, size = _population(rng, steps, "loihi1")
    numbers = {"du": population.du, "dv": population.dv, "threshold": population.threshold, "bias": 0, "refractory": 1}
    numbers |= {"v_min": -STATE_LIMIT, "v_max": STATE_LIMIT}
    each = {name: np.full(size, value) for name, value in numbers.items()}
    return Case("converted", "loihi1", (size,), links[0].x.shape[-1], links, each)


def _population(rng: np.random.Generator, steps: int, chip: Chip) -> tuple[Any, tuple[Any, ...], int]:
    """Neurons, links with what sources send on the simulator, sample after sample, and how many there are."""
    network = trained(rng)
    view, _ = carry(network, chip, None)
    assert view.network is not None
    period = max(view.offsets.values()) + 2
    samples = max(1, steps // period)
    rasters = _rasters(view, network, rng, samples, period)
    population = view.network.populations[int(rng.integers(len(view.network.populations)))]
    links = []
    for p in view.network.projections:
        if p.target != population.name:
            continue
        raster = rasters[p.source]
        size = int(np.prod(raster.shape[2:]))
        late = p.delay - (p.source in view.placed.prompt)  # the host sends a step ahead
        x = np.roll(raster.reshape(period, samples, size), late, axis=0)
        x = x.transpose(2, 1, 0).reshape(size, samples * period)  # sample after sample
        matrix = apply_chain(p.synapses, np.eye(size, dtype=np.int64).reshape(size, *raster.shape[2:])).T
        if not np.array_equal(effective_weights(matrix), matrix):
            raise AssertionError(f"{p.name}: weights that the memory does not hold")
        graded = PAYLOAD_BITS if chip == "loihi2" and p.source in view.placed.prompt else 0
        links.append(Link(matrix, x, exponent=p.exponent, message_bits=graded, sign=found_sign(matrix)))
    return population.neuron, tuple(links), population.size


def _rasters(
    view: CubaView, network: SpikingNetwork, rng: np.random.Generator, samples: int, period: int
) -> dict[str, NDArray[np.int64]]:
    """What every line and population sends, (step, sample, *source)."""
    encoded = rng.integers(-7, 8, (samples, *network.input.shape))
    lines = {}
    for name, total in static_currents(network, encoded).items():
        fed = np.zeros((period, *total.shape), np.int64)
        fed[view.offsets[name]] = total
        lines |= view.feed(name, fed)
    for name in view.at_once:
        lines[name] = np.zeros((period, samples, 1), np.int64)
        lines[name][0] = 1
    engine = open_engine(view.placed, samples)
    names = list(view.offsets)
    chunk = engine.advance(period, {n: line_spikes(raster) for n, raster in lines.items()}, record=names)
    return {**lines, **{name: raster.astype(np.int64) for name, raster in chunk.rasters.items()}}
