"""Hand-made networks of a target's plainest neuron: delays, loops, skips, every operator, networks of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import SpikeportError
from spikeport.primitives import (
    IF,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    OneToOne,
    Projection,
    Reshape,
    Shape,
    Sparse,
    SpikeInput,
    SumPool,
    Synapse,
    Threshold,
    Upsample,
)
from spikeport.targets import Target
from spikeport.testing.handmade import Simulation, contracts, raster

Chain = tuple[Synapse | Sparse, ...]
LONG = 100


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """The plainest neuron that spikes which a target has, under one contract."""

    contract: DynamicsContract
    make: Callable[[int, Shape], Any]
    """The neurons that fire when a sum of so many units has arrived, of a shape."""
    scale: int
    """A weight of one unit: 2 where weights of both signs have to be even."""
    exponent: int = 0

    def population(self, name: str, shape: Shape, threshold: int = 1) -> DynamicPopulation:
        return DynamicPopulation(name, shape, self.make(threshold, shape))

    def weights(self, values: Any) -> NDArray[np.int64]:
        return np.asarray(values) * self.scale

    def join(self, source: str, target: str, chain: Chain, delay: int = 0) -> Projection:
        return Projection(source, target, chain, delay, exponent=self.exponent)


def plain(target: Target) -> Plain | None:
    """The first of them; None where a target has no such neurons."""
    return next(plains(target), None)


def plains(target: Target) -> Iterator[Plain]:
    """The plainest neuron under each contract of a target that has one in integers."""
    offered: frozenset[str] = target.known("neurons", frozenset())
    even = 2 if target.known("mixed_signs") == "even" else 1
    for contract in contracts(target):
        if contract.chip and "FixedCubaLIF" in offered:
            # weights are doubled and their exponent is -1; a current that lasts one step, a potential that stays
            yield Plain(contract, _fixed, 2, -1)
        elif contract.arithmetic == "integer" and not contract.chip:
            kind = IF if "IF" in offered else Threshold
            if kind.__name__ in offered:
                yield Plain(contract, partial(_whole, kind, even, 0 if contract.compare == ">=" else 1), even)


def _fixed(threshold: int, shape: Shape) -> Any:
    return FixedCubaLIF(du=4095, dv=0, threshold=(threshold - 1) * 64)


def _whole(kind: Any, scale: int, beyond: int, threshold: int, shape: Shape) -> Any:
    return kind(threshold=threshold * scale - beyond)  # `>` t is `>=` t + 1


def chain(unit: Plain, target: Target, *, delay: int = 0, back: bool = False, skip: bool = False) -> Simulation:
    """Input -> first -> last, the second arrow delayed; `back` closes the loop, `skip` feeds the last one from the input too.

    The spike of step 0 reaches `first` at once, or `layer_latency` steps later, and `last` so much later again plus the delay.
    """
    shape = (2,)
    first, last = unit.population("first", shape), unit.population("last", shape, 2 if skip else 1)
    one = OneToOne(unit.weights([1, 1]))
    projections = [unit.join("in", "first", (one,)), unit.join("first", "last", (one,), delay)]
    if back:
        # one step at least, so that the loop is no effect of a step on itself
        least = 0 if unit.contract.layer_latency else 1
        projections.append(unit.join("last", "first", (one,), least))
    if skip:
        projections.append(unit.join("in", "last", (OneToOne(unit.weights([1, 2])),)))
    network = DynamicNetwork("chain", (SpikeInput("in", shape),), (first, last), tuple(projections), unit.contract)
    n_steps = min(delay, 64) + 8 if delay <= 64 else delay + 8
    x = np.zeros((n_steps, 2, *shape), dtype=np.int64)
    x[0, 0] = x[3, 0, 1] = 1
    x[1::2, 1, 0] = 1
    return Simulation(network, {"in": x}, n_steps)


def arrivals(unit: Plain, delay: int) -> tuple[int, int]:
    """Steps in which the spike of step 0 makes `first` and `last` of a chain fire."""
    latency = unit.contract.layer_latency
    return latency, 2 * latency + delay


def operator(unit: Plain, target: Target, kind: str) -> Simulation:
    """Two populations joined by one kind of synapse."""
    shape, after, chain_ = OPERATORS(unit)[kind]
    populations = (unit.population("before", shape), unit.population("after", after, 2))
    into = OneToOne(unit.weights(np.ones((1,) * len(shape), np.int64)))
    network = DynamicNetwork(
        "operator",
        (SpikeInput("in", shape),),
        populations,
        (unit.join("in", "before", (into,)), unit.join("before", "after", chain_)),
        unit.contract,
    )
    return Simulation(network, {"in": raster(shape, target)}, 12)


def OPERATORS(unit: Plain) -> Mapping[str, tuple[Shape, Shape, Chain]]:  # noqa: N802
    """Shape before, shape after, and what lies between."""
    kernel = [[[[1, -1], [2, 0]], [[0, 1], [-1, 1]]], [[[0, 1], [1, 1]], [[2, 0], [0, -2]]]]
    sparse = Sparse(np.array([0, 2, 2, 5, 6]), np.array([0, 2, 1, 1, 0, 2]), unit.weights([1, 2, 1, 1, -1, 1]), 3)
    one = OneToOne(unit.weights([[[1]], [[1]]]))
    return {
        "dense": ((4,), (3,), (Dense(unit.weights([[1, -1, 2, 0], [0, 1, 1, 1], [2, 0, -2, 1]])),)),
        "sparse": ((4,), (3,), (sparse,)),
        "one to one": ((4,), (4,), (OneToOne(unit.weights([1, 2, -1, 3])),)),
        "convolution": ((2, 4, 4), (2, 3, 3), (Conv(unit.weights(kernel), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),)),
        "sum pooling": ((2, 4, 4), (2, 2, 2), (SumPool((2, 2), (2, 2), ((0, 0), (0, 0))), one)),
        "routing": ((2, 2, 2), (16,), (Upsample((1, 2, 1)), Reshape((16,)), OneToOne(unit.weights([1] * 16)))),
    }


def many(unit: Plain, target: Target, neurons: int) -> Simulation:
    """One population of so many neurons, each with one synapse."""
    shape = (neurons,)
    network = DynamicNetwork(
        "many",
        (SpikeInput("in", shape),),
        (unit.population("cells", shape),),
        (unit.join("in", "cells", (OneToOne(unit.weights([1])),)),),
        unit.contract,
    )
    x = np.zeros((3, 1, *shape), dtype=np.int64)
    x[0, 0, :: max(1, neurons // 7)] = x[0, 0, -1] = 1
    return Simulation(network, {"in": x}, 3)


def wide(unit: Plain, target: Target, weight: int) -> Simulation:
    """One synapse of a weight beside a small one of its sign; the weight is as the synapse memory has it."""
    small = np.sign(weight) * unit.scale
    network = DynamicNetwork(
        "wide",
        (SpikeInput("in", (2,)),),
        (unit.population("cells", (2,)),),
        (unit.join("in", "cells", (OneToOne(np.array([weight, small])),)),),
        unit.contract,
    )
    x = np.ones((4, 1, 2), dtype=np.int64)
    return Simulation(network, {"in": x}, 4)


def fan_in(unit: Plain, target: Target, sources: int, targets: int = 1) -> Simulation:
    """One neuron, or several, reached by so many lines."""
    weight = np.ones((targets, sources), dtype=np.int64)
    network = DynamicNetwork(
        "fan",
        (SpikeInput("in", (sources,)),),
        (unit.population("cells", (targets,), max(1, sources // 2)),),
        (unit.join("in", "cells", (Dense(unit.weights(weight)),)),),
        unit.contract,
    )
    rng = np.random.default_rng(sources)
    x = (rng.random((4, 2, sources)) < 0.3).astype(np.int64)
    return Simulation(network, {"in": x}, 4)


def drawn(unit: Plain, target: Target, seed: int) -> Simulation | None:
    """A random network: one to four populations, any operators that are offered, delays, loops where there may be some."""
    rng = np.random.default_rng(seed)
    longest = min(target.known("delay_max", 4), 4)
    shapes = [tuple(int(n) for n in rng.integers(1, 9, 1)) for _ in range(int(rng.integers(1, 5)))]
    populations = tuple(unit.population(f"p{i}", shape, int(rng.integers(1, 5))) for i, shape in enumerate(shapes))
    inputs = (SpikeInput("in", (int(rng.integers(1, 7)),)),)
    projections = []
    fed: dict[str, str] = {}
    for i, population in enumerate(populations):
        sources: list[Any] = [inputs[0] if i == 0 else populations[i - 1]]
        if target.known("skips", True):
            sources += [p for p in (*inputs, *populations[: max(0, i - 1)]) if rng.random() < 0.3 and p not in sources]
        if target.known("recurrent", True) and target.known("skips", True):
            sources += [p for p in populations[i:] if rng.random() < 0.3]
        for source in sources:
            later = source in inputs or populations.index(source) < i
            least = 0 if later or unit.contract.layer_latency else 1
            if longest < least:
                continue
            delay = int(rng.integers(least, longest + 1))
            projections.append(
                unit.join(
                    source.name, population.name, _joined(unit, target, rng, source.shape, population.shape), delay
                )
            )
            fed[population.name] = source.name
    try:
        network = DynamicNetwork("drawn", inputs, populations, tuple(projections), unit.contract)
    except SpikeportError:
        return None
    n_steps = int(rng.integers(1, 40))
    x = (rng.random((n_steps, int(rng.integers(1, 4)), *inputs[0].shape)) < 0.5).astype(np.int64)
    return Simulation(network, {"in": x}, n_steps)


def _joined(unit: Plain, target: Target, rng: np.random.Generator, source: Shape, shape: Shape) -> Chain:
    pre, post = prod(source), prod(shape)
    offered = target.known("synapses", frozenset(["dense", "sparse", "one to one"]))
    if source == shape and "one to one" in offered and rng.random() < 0.4:
        return (OneToOne(unit.weights(rng.integers(-3, 4, shape))),)
    if "sparse" in offered and rng.random() < 0.4:
        count = int(rng.integers(0, 2 * max(pre, post)))
        sources, targets = np.sort(rng.integers(0, pre, count)), rng.integers(0, post, count)
        return (Sparse.from_pairs(sources, targets, unit.weights(rng.integers(-3, 4, count)), pre=pre, post=post),)
    return (Dense(unit.weights(rng.integers(-3, 4, (post, pre)))),)


def tall(unit: Plain, target: Target, threshold: int) -> Simulation:
    """Neurons with a threshold as the register of the chip has it, fed by the smallest weights: none of them fires."""
    neuron = replace(unit.make(1, (2,)), threshold=threshold)
    return _fed("tall", unit, neuron, OneToOne(unit.weights([1, 2])), 4)


def resting(unit: Plain, target: Target, steps: int) -> Simulation | None:
    """Neurons that could fire in every step, and are refractory for so many; None where the plain neuron is never."""
    neuron = unit.make(1, (2,))
    if not hasattr(neuron, "refractory"):
        return None
    period = steps if unit.contract.chip else steps * unit.contract.dt
    return _fed("resting", unit, replace(neuron, refractory=period), OneToOne(unit.weights([1, 2])), steps + 4)


def biased(unit: Plain, target: Target, bias: int) -> Simulation:
    """Neurons with a bias of either sign, as the register of the chip has it."""
    neuron = replace(unit.make(1, (2,)), bias=np.array([bias, -bias]))
    return _fed("biased", unit, neuron, OneToOne(unit.weights([1, 2])), 4)


def scaled(unit: Plain, target: Target, exponent: int) -> Simulation:
    """Large weights of both signs, scaled by a power of two."""
    top = 2 ** (target.known("weight_bits", 8) - 1) - 2
    made = _fed("scaled", unit, unit.make(1, (2,)), OneToOne(np.array([top, -top])), 4)
    (projection,) = made.network.projections
    return replace(made, network=replace(made.network, projections=(replace(projection, exponent=exponent),)))


def _fed(name: str, unit: Plain, neuron: Any, chain_: Synapse, n_steps: int) -> Simulation:
    """Two neurons, each with a line that spikes in every step."""
    network = DynamicNetwork(
        name,
        (SpikeInput("in", (2,)),),
        (DynamicPopulation("cells", (2,), neuron),),
        (unit.join("in", "cells", (chain_,)),),
        unit.contract,
    )
    return Simulation(network, {"in": np.ones((n_steps, 1, 2), dtype=np.int64)}, n_steps)


def fan_out(unit: Plain, target: Target, targets: int) -> Simulation:
    """One neuron that reaches so many."""
    network = DynamicNetwork(
        "fan out",
        (SpikeInput("in", (1,)),),
        (unit.population("first", (1,)), unit.population("last", (targets,))),
        (
            unit.join("in", "first", (OneToOne(unit.weights([1])),)),
            unit.join("first", "last", (Dense(unit.weights(np.ones((targets, 1), np.int64))),)),
        ),
        unit.contract,
    )
    x = np.zeros((5, 1, 1), dtype=np.int64)
    x[::2] = 1
    return Simulation(network, {"in": x}, 5)


def layered(unit: Plain, target: Target, layers: int) -> Simulation:
    """So many populations in a row; the spike of step 0 passes all of them."""
    names = ["in", *(f"layer{i}" for i in range(layers))]
    network = DynamicNetwork(
        "layered",
        (SpikeInput("in", (2,)),),
        tuple(unit.population(name, (2,)) for name in names[1:]),
        tuple(unit.join(a, b, (OneToOne(unit.weights([1, 1])),)) for a, b in pairwise(names)),
        unit.contract,
    )
    x = np.zeros((layers + 4, 1, 2), dtype=np.int64)
    x[0] = x[2, 0, 1] = 1
    return Simulation(network, {"in": x}, layers + 4)


def feeding(unit: Plain, target: Target, populations: int) -> Simulation:
    """One population that feeds so many."""
    names = [f"last{i}" for i in range(populations)]
    one = OneToOne(unit.weights([1, 1]))
    network = DynamicNetwork(
        "feeding",
        (SpikeInput("in", (2,)),),
        tuple(unit.population(name, (2,)) for name in ("first", *names)),
        (unit.join("in", "first", (one,)), *(unit.join("first", name, (one,)) for name in names)),
        unit.contract,
    )
    x = np.zeros((5, 1, 2), dtype=np.int64)
    x[0] = x[2, 0, 1] = 1
    return Simulation(network, {"in": x}, 5)


def hidden(unit: Plain, target: Target, neurons: int) -> Simulation:
    """So many neurons that are not read, and one that is."""
    network = DynamicNetwork(
        "hidden",
        (SpikeInput("in", (neurons,)),),
        (unit.population("cells", (neurons,)), unit.population("out", (1,), 2)),
        (
            unit.join("in", "cells", (OneToOne(unit.weights([1])),)),
            unit.join("cells", "out", (Dense(unit.weights(np.ones((1, neurons), np.int64))),)),
        ),
        unit.contract,
    )
    x = np.zeros((4, 1, neurons), dtype=np.int64)
    x[0, 0, ::2] = 1
    return Simulation(network, {"in": x}, 4)


def filling(unit: Plain, target: Target) -> Simulation:
    """One neuron with a threshold of 3 that gains 2 in every step."""
    network = DynamicNetwork(
        "filling",
        (SpikeInput("in", (1,)),),
        (unit.population("cells", (1,), 3),),
        (unit.join("in", "cells", (OneToOne(unit.weights([2])),)),),
        unit.contract,
    )
    return Simulation(network, {"in": np.ones((10, 1, 1), dtype=np.int64)}, 10)


def filled(unit: Plain) -> list[int]:
    """Steps in which it fires: with 4 left 1, 3, and so on where the threshold is subtracted; in every second step where nothing is left.

    A unit without memory never fires: it never has more than 2.
    """
    steps = {"subtract": [1, 2, 4, 5, 7, 8], "to_value": [1, 3, 5, 7, 9]}[unit.contract.reset]
    latency = unit.contract.layer_latency
    forgets = isinstance(unit.make(3, (1,)), Threshold)
    return [] if forgets else [step + latency for step in steps if step + latency < 10]
