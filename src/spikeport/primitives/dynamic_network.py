"""Networks written by hand: populations with dynamics, joined in any way, loops too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import GraphError, Problem
from spikeport.primitives.approximation import Ledger
from spikeport.primitives.contract import NETWORK_WIDE, DynamicsContract
from spikeport.primitives.dynamic_neurons import (
    CHOICES,
    IF,
    LI,
    LIF,
    MAX_SUBSTEPS,
    AdaptiveLIF,
    Analog,
    CubaLI,
    CubaLIF,
    DynamicNeuron,
    I,
    InterpolatedLIF,
    Izhikevich,
    RectifiedIF,
    Relay,
    ResonateAndFire,
    SigmaDelta,
    Threshold,
    TwoStates,
)
from spikeport.primitives.extension import Extension, extensions
from spikeport.primitives.fixed_neurons import FixedNeuron, FixedResonateAndFire, chip_problems, parameter_problems
from spikeport.primitives.frozen import freeze_fields
from spikeport.primitives.plasticity import Rule
from spikeport.primitives.sparse import Sparse
from spikeport.primitives.synapses import Dense, OneToOne, Reshape, Shape, Synapse

MAX_DELAY = 2**16
"""Steps; a population keeps what arrives later in a ring of this many slots at most."""
WHOLE = 1e-6
"""A duration is a whole number of steps if it is so close to one: seconds are decimal fractions, which floats round."""
MAX_EXPONENT = 16
"""Bits that the sum of a projection is shifted by, to either side, at most."""
_POSITIVE = ("tau", "tau_syn", "tau_mem", "tau_adapt")


@dataclass(frozen=True, slots=True)
class SpikeInput:
    """Where spikes enter from outside. A value other than 1 counts that many times; negative and fractional ones are allowed."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        """Number of lines."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class DynamicPopulation:
    """Neurons of one kind, of shape (neuron,) or (channel, *space)."""

    name: str
    shape: Shape
    neuron: DynamicNeuron | FixedNeuron
    contract: DynamicsContract | None = None
    """How these neurons step, where it is not as the network's contract says."""
    ext: tuple[Extension, ...] = ()
    """What single backends alone understand; a mapping is taken too, as `extensions` takes it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ext", extensions(self.ext, self.name))
        problems = tuple(_population_problems(self))
        if problems:
            raise GraphError(problems)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Spikes of `source` pass `synapses` in order and arrive at `target`, `delay` steps later than the contract's latency."""

    source: str
    target: str
    synapses: tuple[Synapse | Sparse, ...]
    delay: int = 0
    bias: NDArray[Any] | None = None
    """What arrives in every step besides, broadcastable to the target's shape: the bias of an affine layer."""
    exponent: int = 0
    """Under a chip's contract: what a step's spikes are worth, all together, is shifted left by it, or right (floor) if negative."""
    port: Literal["", "imag"] = ""
    """Where it arrives: "imag" is the imaginary part of `FixedResonateAndFire`."""
    plasticity: Rule | None = None
    """How its weights learn; then one synapse is `Dense`, `OneToOne` or `Sparse`, and others `Reshape` alone. A weight of zero is a synapse."""
    ext: tuple[Extension, ...] = ()
    """What single backends alone understand; a mapping is taken too, as `extensions` takes it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ext", extensions(self.ext, self.name))
        problems = []
        if (
            isinstance(self.delay, bool)
            or not isinstance(self.delay, int | np.integer)
            or not 0 <= self.delay < MAX_DELAY
        ):
            problems.append(Problem(self.name, f"its delay is {self.delay!r}", f"0 to {MAX_DELAY - 1} steps"))
        if self.bias is not None and not _finite(np.asarray(self.bias)):
            problems.append(Problem(self.name, "its bias is not finite numbers"))
        if (
            isinstance(self.exponent, bool)
            or not isinstance(self.exponent, int | np.integer)
            or not -MAX_EXPONENT <= self.exponent <= MAX_EXPONENT
        ):
            hint = f"{-MAX_EXPONENT} to {MAX_EXPONENT} bits"
            problems.append(Problem(self.name, f"its exponent is {self.exponent!r}", hint))
        if self.port not in ("", "imag"):
            problems.append(Problem(self.name, f"its port is {self.port!r}", '"", or "imag" of FixedResonateAndFire'))
        problems.extend(_plastic_problems(self))
        if problems:
            raise GraphError(problems)
        object.__setattr__(self, "delay", int(self.delay))
        object.__setattr__(self, "exponent", int(self.exponent))
        freeze_fields(self, "bias")

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"

    @property
    def weighted(self) -> Dense | OneToOne | Sparse | None:
        """The first synapse that has weights of its own for single synapses."""
        return next((s for s in self.synapses if isinstance(s, Dense | OneToOne | Sparse)), None)


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """A population that is read from outside, under a name of its own: its spikes, or the potentials of an analog one."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class DynamicNetwork:
    """Inputs, populations in update order, and projections from any of them to any population, itself included.

    A projection whose latency and delay are both 0 has to lead to a later population: what fires in a step cannot have an
    effect on itself within it.
    """

    name: str
    inputs: tuple[SpikeInput, ...]
    populations: tuple[DynamicPopulation, ...]
    projections: tuple[Projection, ...]
    contract: DynamicsContract
    ledger: Ledger = ()
    outputs: tuple[NetworkOutput, ...] = ()
    """What the network gives; empty: nobody said, and any population may be read."""
    by_name: Mapping[str, DynamicPopulation] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {p.name: p for p in self.populations})
        problems = tuple(_network_problems(self))
        if problems:
            raise GraphError(problems)

    def __getitem__(self, name: str) -> DynamicPopulation:
        return self.by_name[name]

    @property
    def neurons(self) -> int:
        """Number of neurons in all populations."""
        return sum(population.size for population in self.populations)

    def contract_of(self, name: str) -> DynamicsContract:
        """How a population steps."""
        return self.by_name[name].contract or self.contract

    @property
    def plastic(self) -> Mapping[str, int]:
        """Places in `projections` of those that learn, by name: `source -> target`, with ` #2` for the second from there to there."""
        found, seen = dict[str, int](), Counter[str]()
        for i, p in enumerate(self.projections):
            seen[p.name] += 1
            if p.plasticity is not None:
                found[p.name if seen[p.name] == 1 else f"{p.name} #{seen[p.name]}"] = i
        return found

    @property
    def third_factors(self) -> Mapping[str, tuple[str, ...]]:
        """What learning has to be told in a run: the populations that it is told for, by name of the third factor."""
        found = dict[str, tuple[str, ...]]()
        for p in self.projections:
            for name in () if p.plasticity is None else p.plasticity.third:
                found[name] = (*found.get(name, ()), p.target)
        return found

    def latency_from(self, source: str) -> int:
        """Steps that what an input or a population sends takes, without the delay of a projection."""
        population = self.by_name.get(source)
        return 0 if population is not None and isinstance(population.neuron, Relay) else self.contract.layer_latency


def _plastic_problems(p: Projection) -> Iterator[Problem]:
    """What a rule finds no single synapses in."""
    rule: Any = p.plasticity
    if rule is None:
        return
    if not isinstance(rule, Rule):
        yield Problem(p.name, f"its plasticity is a {type(rule).__name__}", "a Rule, for example STDP()")
        return
    others = [type(s).__name__ for s in p.synapses if not isinstance(s, Dense | OneToOne | Sparse | Reshape)]
    weighted = p.weighted
    if others or weighted is None or len([s for s in p.synapses if not isinstance(s, Reshape)]) != 1:
        what = " and ".join(dict.fromkeys(others)) or "none, or several"
        why = f"learns by {rule.name}, and its synapses are {what}: a rule is of synapses that each have one weight"
        yield Problem(p.name, why, "one Dense, OneToOne or Sparse; others can be written as Sparse")
        return
    weights = np.asarray(weighted.weights if isinstance(weighted, Sparse) else weighted.weight)
    if weights.size and _finite(weights):
        low, high = rule.w_min, rule.w_max
        if low is not None and weights.min() < low:
            yield Problem(
                p.name, f"begins with weights down to {weights.min():g}, and {rule.name} keeps them from {low:g}"
            )
        if high is not None and weights.max() > high:
            yield Problem(
                p.name, f"begins with weights up to {weights.max():g}, and {rule.name} keeps them to {high:g}"
            )


def _finite(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iufb" and bool(np.isfinite(values).all())


def _shape_problems(name: str, shape: Any) -> Iterator[Problem]:
    whole = isinstance(shape, tuple) and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    if not whole or not shape:
        yield Problem(name, f"its shape is {shape!r}", "a tuple of positive integers, for example (100,)")


def _population_problems(population: DynamicPopulation) -> Iterator[Problem]:
    bad_shape = list(_shape_problems(population.name, population.shape))
    yield from bad_shape
    neuron: Any = population.neuron
    if isinstance(neuron, FixedNeuron):
        yield from parameter_problems(population.name, neuron)
        for parameter in fields(neuron):
            shape = np.shape(getattr(neuron, parameter.name))
            if shape and not bad_shape and not _fits(shape, population.shape):
                where = f"{population.name}.{parameter.name}"
                yield Problem(where, f"has shape {shape}, which does not broadcast to {population.shape}")
        return
    if not isinstance(neuron, DynamicNeuron):
        yield Problem(population.name, f"{type(neuron).__name__} is not a neuron with dynamics")
        return
    for parameter in fields(neuron):
        value, where = getattr(neuron, parameter.name), f"{population.name}.{parameter.name}"
        if parameter.name in CHOICES or parameter.name == "substeps":
            yield from _choice_problems(parameter.name, value, where)
            continue
        if value is None:
            continue
        values = np.asarray(value)
        if values.dtype.kind not in "iufb":
            yield Problem(where, f"is of type {values.dtype}, not numbers")
        elif not (np.isfinite(values) | ((parameter.name == "tau_adapt") & (values == np.inf))).all():
            yield Problem(where, "is not finite everywhere")
        elif parameter.name in _POSITIVE and not (values > 0).all():
            yield Problem(where, f"must be positive, and its smallest value is {values.min()}", "give seconds")
        elif parameter.name == "refractory" and not (values >= 0).all():
            yield Problem(where, f"is negative: {values.min()}", "give seconds")
        elif parameter.name == "threshold" and isinstance(neuron, SigmaDelta) and not (values >= 0).all():
            yield Problem(where, f"is negative: {values.min()}", "0 sends every change")
        if not bad_shape and not _fits(values.shape, population.shape):
            yield Problem(where, f"has shape {values.shape}, which does not broadcast to {population.shape}")


def _choice_problems(name: str, value: Any, where: str) -> Iterator[Problem]:
    if name == "substeps":
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= MAX_SUBSTEPS:
            yield Problem(where, f"is {value!r}", f"a whole number from 1 to {MAX_SUBSTEPS}")
    elif not isinstance(value, str) or value not in CHOICES[name]:
        yield Problem(where, f"is {value!r}", " or ".join(map(repr, CHOICES[name])))


def _fits(shape: Shape, target: Shape) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def _network_problems(network: DynamicNetwork) -> Iterator[Problem]:
    contract = network.contract
    names = [*(i.name for i in network.inputs), *(p.name for p in network.populations)]
    times = Counter(names)
    for name in (n for n, count in times.items() if count > 1):
        yield Problem(name, "is the name of two inputs or populations")
    for source in network.inputs:
        yield from _shape_problems(source.name, source.shape)
    position = {p.name: i for i, p in enumerate(network.populations)}
    for population in network.populations:
        own = population.contract
        other = [n for n in NETWORK_WIDE if own is not None and getattr(own, n) != getattr(contract, n)]
        if own is not None and (other or own.chip or contract.chip):
            what = ", ".join(other) or "the chip"
            yield Problem(population.name, f"has a contract of its own with another {what}", "these are the network's")
            continue
        yield from _contract_problems(population, own or contract)
    given = Counter(output.name for output in network.outputs)
    for output in network.outputs:
        if given[output.name] > 1:
            yield Problem(output.name, "is the name of two outputs")
        if output.source not in position:
            yield Problem(output.name, f"{output.source} is no population")
    for p in network.projections:
        if p.source not in times:
            yield Problem(p.name, f"{p.source} is no input and no population")
        if p.target not in position:
            yield Problem(p.name, f"{p.target} is no population")
        elif (
            p.source in position
            and position[p.source] >= position[p.target]
            and p.delay + network.latency_from(p.source) == 0
        ):
            hint = "give it a delay of 1 step, or the contract a layer latency of 1, or list the populations in another order"
            yield Problem(p.name, "would have an effect on its own step", hint)
        yield from _chip_projection_problems(p, network)
        if (
            p.plasticity is not None
            and p.plasticity.delays == "dendritic"
            and p.delay + network.latency_from(p.source) == 0
        ):
            hint = 'a delay of 1 step, or delays="axonal"'
            yield Problem(p.name, "has no delay, and what passes a dendrite arrives in a later step", hint)
        if p.bias is not None and p.target in position and not _fits(p.bias.shape, network[p.target].shape):
            yield Problem(p.name, f"its bias has shape {p.bias.shape}, and the target {network[p.target].shape}")


def _chip_projection_problems(p: Projection, network: DynamicNetwork) -> Iterator[Problem]:
    """What chips alone have, where there is none; and what they do not have."""
    target = network.by_name.get(p.target)
    if p.port == "imag" and not (target is not None and isinstance(target.neuron, FixedResonateAndFire)):
        yield Problem(p.name, "its port is 'imag', which FixedResonateAndFire alone has", "leave the port out")
    if not network.contract.chip and p.exponent != 0:
        yield Problem(p.name, "its exponent has no meaning under this contract", "scale the weights")
    if network.contract.chip and p.bias is not None:
        yield Problem(p.name, f"{network.contract.integrator} has no bias in synapses", "give the neurons a bias")


def _contract_problems(population: DynamicPopulation, contract: DynamicsContract) -> Iterator[Problem]:
    """What of a population its contract has no meaning for: nothing that was written is ignored."""
    neuron, name = population.neuron, population.name
    if contract.chip:
        yield from chip_problems(name, neuron, contract.integrator)
        return
    if isinstance(neuron, FixedNeuron):
        hint = 'DynamicsContract.loihi("loihi2"), or "loihi1"'
        yield Problem(name, f"{type(neuron).__name__} has no meaning under this contract", hint)
        return
    leaky = isinstance(neuron, LIF | CubaLIF | LI | CubaLI | AdaptiveLIF)
    if isinstance(neuron, InterpolatedLIF):
        yield from _interpolation_problems(name, contract)
    elif isinstance(neuron, Izhikevich | ResonateAndFire):
        yield from _rhythm_problems(name, neuron, contract)
    elif leaky and contract.integrator == "accumulate":
        hint = 'integrator="forward_euler" or "exponential", or an IF neuron'
        yield Problem(name, f"{type(neuron).__name__} leaks, and accumulation has no leak", hint)
    elif leaky and contract.arithmetic == "integer":
        yield Problem(
            name, f"{type(neuron).__name__} leaks, which integer arithmetic does not have", "float64 or float32"
        )
    elif (
        contract.arithmetic == "integer"
        and contract.integrator != "accumulate"
        and isinstance(neuron, IF | RectifiedIF | I)
    ):
        yield Problem(name, f'integer arithmetic knows no dt: "{contract.integrator}"', 'integrator="accumulate"')
    if contract.spikes == "multi" and isinstance(neuron, TwoStates):
        why = f"{type(neuron).__name__} fires once a step at most, and the contract lets it fire several times"
        yield Problem(name, why, 'give the population a contract of its own with spikes="single"')
    elif contract.spikes == "multi" and not isinstance(neuron, Analog) and not np.all(np.asarray(neuron.threshold) > 0):
        yield Problem(f"{name}.threshold", "must be positive where spikes are counted in thresholds")
    if isinstance(neuron, Threshold | Analog | Izhikevich | ResonateAndFire | SigmaDelta):
        return
    if contract.reset == "subtract" and np.any(np.asarray(neuron.v_reset) != 0):
        yield Problem(f"{name}.v_reset", "has no meaning where the reset subtracts the threshold", "leave it at 0")
    if isinstance(neuron, InterpolatedLIF):
        return
    steps = np.asarray(neuron.refractory, dtype=np.float64) / contract.dt
    if (np.abs(steps - np.rint(steps)) > WHOLE * np.maximum(1, steps)).any() or (steps >= 2**31).any():
        yield Problem(f"{name}.refractory", f"is not a whole number of steps of {contract.dt:g} s")


def _interpolation_problems(name: str, contract: DynamicsContract) -> Iterator[Problem]:
    """What leaves no moment within a step at which the threshold was crossed."""
    needed = {"integrator": "exponential", "reset": "to_value", "reset_when": "same_step"}
    other = {field: getattr(contract, field) for field, value in needed.items() if getattr(contract, field) != value}
    if other:
        what = ", ".join(f"{field}={value!r}" for field, value in other.items())
        hint = f"give the population a contract of its own with {', '.join(f'{n}={needed[n]!r}' for n in other)}"
        yield Problem(name, f"InterpolatedLIF solves its equation within a step, and the contract says {what}", hint)
    elif contract.arithmetic == "integer":
        yield Problem(name, "InterpolatedLIF leaks, which integer arithmetic does not have", "float64 or float32")


def _rhythm_problems(name: str, neuron: Izhikevich | ResonateAndFire, contract: DynamicsContract) -> Iterator[Problem]:
    """What neurons that move by themselves have no meaning under."""
    kind = type(neuron).__name__
    if contract.integrator == "accumulate":
        hint = 'integrator="forward_euler" or "exponential"'
        yield Problem(name, f"{kind} moves in time, and accumulation knows no dt", hint)
    elif contract.arithmetic == "integer":
        yield Problem(name, f"{kind} has no form in integer arithmetic", "float64 or float32")
    if isinstance(neuron, Izhikevich) and neuron.recovery == "reset":
        needed = {"synapse": "current", "reset_when": "same_step"}
        other = {n: v for n, v in needed.items() if getattr(contract, n) != v}
        if other:
            why = f'its recovery="reset" takes v after a reset in the step of the update, and the contract says {", ".join(f"{n}={getattr(contract, n)!r}" for n in other)}'
            hint = f"give the population a contract of its own with {', '.join(f'{n}={v!r}' for n, v in other.items())}"
            yield Problem(name, why, hint)
    if isinstance(neuron, Izhikevich) and contract.reset_when == "after_next_update":
        hint = 'give the population a contract of its own with reset_when="same_step" or "next_step"'
        yield Problem(name, f"{kind} goes to infinity beyond its peak, and the contract resets it a step late", hint)
    if contract.reset == "subtract" and not (isinstance(neuron, ResonateAndFire) and neuron.kind == "rf"):
        hint = 'give the population a contract of its own with reset="to_value"'
        yield Problem(name, f"{kind} begins again at a point, and the contract's reset subtracts the threshold", hint)
