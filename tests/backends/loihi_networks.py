"""Random networks of Loihi's fixed-point neurons: values at the ends of registers, loops, delays, all kinds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikeport.lower import Part
from spikeport.primitives import (
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    OneToOne,
    Projection,
    Sparse,
    SpikeInput,
)

SHAPES = [(5,), (1,), (40,), (2, 3), (3, 4, 4)]


def cuba(rng: np.random.Generator, shape: tuple[int, ...], chip: str) -> FixedCubaLIF:
    size = shape if rng.random() < 0.5 else ()
    decays = [0, 1, 7, 409, 2047, 4000, 4095]
    values: dict[str, Any] = {
        "du": rng.choice(decays, size),
        "dv": rng.choice([*decays, 4096], size),
        "threshold": rng.integers(0, 12, size) << 6 if rng.random() < 0.7 else rng.integers(0, 2**17, size) << 6,
        "bias": rng.integers(-300, 300, size) if rng.random() < 0.7 else rng.integers(-4095, 4096, size) << 7,
        "initial": rng.integers(-500, 500, size),
    }
    if chip == "loihi1":
        values["refractory"] = rng.integers(1, 5, size)
        if rng.random() < 0.4:
            values["v_min"], values["v_max"] = (
                1 - 2 ** int(rng.integers(0, 23)),
                2 ** (9 + 2 * int(rng.integers(0, 7))) - 1,
            )
    return FixedCubaLIF(**values)


def neuron(rng: np.random.Generator, shape: tuple[int, ...], chip: str) -> Any:
    kind = 0 if chip == "loihi1" else int(rng.integers(6))
    size = shape if rng.random() < 0.5 else ()
    match kind:
        case 1:
            exponent = int(rng.integers(0, 8)) if rng.random() < 0.5 else 0
            activation: Any = "relu" if rng.random() < 0.5 else "unit"
            return FixedSigmaDelta(
                threshold=rng.integers(0, 40, size) << exponent,
                bias=rng.integers(-20, 20, size),
                state_exp=exponent,
                activation=activation,
            )
        case 2 | 3:
            what: Any = "rf" if kind == 2 else "izhikevich"
            turn = {"cos": rng.integers(-4096, 4097, size), "sin": rng.integers(-4096, 4097, size)}
            more = {"state_exp": int(rng.integers(0, 8)), "decay_bits": int(rng.integers(0, 13))}
            return FixedResonateAndFire(
                **turn, **more, threshold=rng.integers(0, 200, size) << more["state_exp"], kind=what
            )
        case 4:
            return GradedThreshold(threshold=rng.integers(0, 9, size), relu=bool(rng.random() < 0.5))
        case _:
            return cuba(rng, shape, chip)


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mostly small ones, so that sums meet thresholds; now and then those at the ends."""
    w = rng.integers(-4, 6, shape) * 2
    return np.where(rng.random(shape) < 0.1, rng.choice([-256, 254, 0], shape), w)


def synapses(rng: np.random.Generator, source: tuple[int, ...], target: tuple[int, ...]) -> tuple[Any, ...]:
    pre, post = int(np.prod(source)), int(np.prod(target))
    if len(source) == 3 and len(target) == 3:
        kernel = Conv(weights(rng, (target[0], source[0], 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
        if rng.random() < 0.7:
            return (kernel,)
    if source == target and rng.random() < 0.5:
        return (OneToOne(weights(rng, source if rng.random() < 0.5 else ())),)
    if len(source) == 1 and len(target) == 1 and rng.random() < 0.6:
        return (Dense(weights(rng, (post, pre))),)
    count = int(rng.integers(0, 3 * post))
    return (
        Sparse.from_pairs(
            rng.integers(0, pre, count), rng.integers(0, post, count), weights(rng, (count,)), pre=pre, post=post
        ),
    )


@st.composite
def fixed_networks(draw: Any) -> tuple[DynamicNetwork, dict[str, np.ndarray]]:
    """A network of one of the chips, and what enters."""
    chip = draw(st.sampled_from(["loihi2", "loihi1"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32), label="seed"))
    contract = DynamicsContract.loihi(chip)
    inputs = tuple(SpikeInput(f"in{i}", SHAPES[rng.integers(len(SHAPES))]) for i in range(int(rng.integers(1, 3))))
    shapes = [SHAPES[rng.integers(len(SHAPES))] for _ in range(int(rng.integers(1, 4)))]
    populations = tuple(DynamicPopulation(f"p{i}", shape, neuron(rng, shape, chip)) for i, shape in enumerate(shapes))
    # payloads of vectors must not blow up around a loop: what is graded leads forward only
    projections = []
    for _ in range(int(rng.integers(1, 6))):
        to = int(rng.integers(len(populations)))
        target = populations[to]
        if rng.random() < 0.5:
            source: Any = inputs[rng.integers(len(inputs))]
        else:
            source = populations[rng.integers(len(populations))]
            graded = isinstance(source.neuron, FixedSigmaDelta | GradedThreshold)
            if graded and populations.index(source) >= to:
                continue
        exponent = int(rng.integers(-7, 8)) if rng.random() < 0.4 else 0
        delay = int(rng.choice([0, 0, 1, 2, 5]))
        port: Any = "imag" if isinstance(target.neuron, FixedResonateAndFire) and rng.random() < 0.5 else ""
        chain = synapses(rng, source.shape, target.shape)
        projections.append(Projection(source.name, target.name, chain, delay=delay, exponent=exponent, port=port))
    network = DynamicNetwork("random", inputs, populations, tuple(projections), contract)
    steps, samples = int(rng.integers(1, 14)), int(rng.integers(1, 4))
    wide = rng.random() < 0.3
    x = {}
    for i in inputs:
        raster = (
            rng.integers(-(2**20), 2**20, (steps, samples, *i.shape))
            if wide
            else np.ones((steps, samples, *i.shape), int)
        )
        x[i.name] = raster * (rng.random(raster.shape) < 0.3)
    return network, x


def parts_of(places: Any, rng: np.random.Generator) -> tuple[Part, ...]:
    """A random placement: each population cut at random places, cores in any order."""
    parts, core = [], 0
    for place in places:
        size = int(np.prod(place.shape))
        cuts = sorted({0, size, *rng.integers(0, size + 1, int(rng.integers(0, 4))).tolist()})
        for start, stop in pairwise(cuts):
            parts.append(Part(place.name, start, stop, core))
            core += int(rng.integers(0, 2))
    return tuple(parts)
