"""From a network and its contract to the numbers of a step: what every stepper begins with, so that all begin with the same bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.plastic import End, Place, PlasticPlan, make_plastic, plastic_rows
from spikeport.backends.dynamics.rows import Rows, rows
from spikeport.backends.dynamics.second import (
    SecondPlan,
    adaptation,
    differences,
    each,
    interpolation,
    kept,
    lost,
    milliseconds,
    recovery,
    resonance,
)
from spikeport.backends.dynamics.shared import Shared
from spikeport.errors import GraphError, Problem
from spikeport.plugin.driving import DTYPES, LARGEST_INPUT
from spikeport.plugin.ranges import LARGEST_SUM, sends_several, state_range
from spikeport.primitives import (
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    Analog,
    CubaLI,
    CubaLIF,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    I,
    InterpolatedLIF,
    Izhikevich,
    Projection,
    RectifiedIF,
    Relay,
    ResonateAndFire,
    Shape,
    SigmaDelta,
    Threshold,
)

LARGEST_INTEGER = 2**31
"""Integer weights, currents and parameters stay below it."""
LARGEST_FLOAT32_COUNT = 2**24
"""Compiled kernels count the steps of refractory periods in the arithmetic's dtype."""


LEAKY = (LIF, LI, CubaLIF, CubaLI, AdaptiveLIF, InterpolatedLIF)
CUBA = (CubaLIF, CubaLI)


class Kind(IntEnum):
    """How the membrane integrates; the equations stand in `DynamicsContract`."""

    ACCUMULATE = 0
    """`v = v + gain i`"""
    FORWARD_EULER = 1
    EXPONENTIAL = 2
    MEMORYLESS = 3
    """`v = i (+ jump)`"""
    IZHIKEVICH = 4
    RESONATE = 5
    SIGMA_DELTA = 6
    """`v = v + jump`; the jump is always what arrives"""
    INTERPOLATED = 7
    RECTIFIED = 8
    """`v = v + gain max(i, 0)`"""


KINDS = {
    InterpolatedLIF: Kind.INTERPOLATED,
    Izhikevich: Kind.IZHIKEVICH,
    RectifiedIF: Kind.RECTIFIED,
    ResonateAndFire: Kind.RESONATE,
    SigmaDelta: Kind.SIGMA_DELTA,
}


class Current(IntEnum):
    """How the current of CubaLIF and CubaLI integrates."""

    NONE = 0
    EULER_CURRENT = 1
    EULER_DELTA = 2
    EXPONENTIAL_CURRENT = 3
    EXPONENTIAL_DELTA = 4


@dataclass(frozen=True, slots=True, eq=False)
class PopulationPlan:
    """Flat arrays, one value a neuron, in the dtype of the arithmetic; None where the kind has no such number."""

    name: str
    size: int
    contract: DynamicsContract
    """Its own."""
    kind: Kind
    current: Current
    delta: bool
    """What arrives is a jump."""
    fires: bool
    """Analog populations do not: they send their potential."""
    bias: NDArray[Any]
    gain: NDArray[Any]
    """r, or r dt: the factor of i."""
    rate: NDArray[Any]
    """k, the share of a step."""
    decay: NDArray[Any]
    v_leak: NDArray[Any]
    threshold: NDArray[Any]
    v_reset: NDArray[Any]
    v_min: NDArray[Any] | None
    """None where nothing is clipped."""
    current_rate: NDArray[Any]
    current_decay: NDArray[Any]
    w_in: NDArray[Any]
    refractory: NDArray[np.int64]
    """Steps."""
    initial: NDArray[Any]
    constants: tuple[tuple[int, NDArray[Any]], ...]
    """(first step, biases of projections that arrive from then on), by step."""
    slots: int
    """Of the ring that keeps what arrives later."""
    second: SecondPlan | None = None

    @property
    def graded(self) -> bool:
        """It sends numbers where it fires."""
        return self.kind is Kind.SIGMA_DELTA

    @property
    def by_phase(self) -> bool:
        """It fires where its potential rises through zero."""
        return self.kind is Kind.RESONATE and self.second is not None and self.second.other == 1

    @property
    def adapts(self) -> bool:
        """Its threshold is higher by w."""
        plain = self.kind in (Kind.FORWARD_EULER, Kind.EXPONENTIAL)
        return plain and self.second is not None and not self.second.other

    @property
    def resets(self) -> bool:
        """A spike has an effect on its neuron."""
        return self.kind not in (Kind.MEMORYLESS, Kind.SIGMA_DELTA) and not self.by_phase


@dataclass(frozen=True, slots=True, eq=False)
class ProjectionPlan:
    """Synapses by source, in the dtype of the arithmetic; source and target count inputs first, then populations."""

    source: int
    target: int
    delay: int
    """Steps from sending to arrival, the latency included."""
    rows: Rows
    plastic: PlasticPlan | None = None
    """How it learns; its weights are state then."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Everything a stepper needs."""

    network: DynamicNetwork
    dtype: Any
    input_sizes: tuple[int, ...]
    populations: tuple[PopulationPlan, ...]
    projections: tuple[ProjectionPlan, ...]
    """By source, in the order of the list."""

    @property
    def contract(self) -> DynamicsContract:
        return self.network.contract


def make_plan(network: DynamicNetwork, shared: Shared | None = None) -> Plan:
    """The numbers of a network.

    Args:
        shared: what was made for other networks, and is for this one where it holds the same objects.

    Raises:
        GraphError: synapses that do not fit their populations, or values that the arithmetic cannot hold; all of them.
    """
    dtype = DTYPES[network.contract.arithmetic]
    problems: list[Problem] = []
    shared = shared or Shared()
    populations = population_plans(network, problems, shared)
    shapes = {place.name: place.shape for place in network.inputs}
    shapes |= {place.name: place.shape for place in network.populations}
    sources = {name: i for i, name in enumerate(shapes)}
    names = {place: name for name, place in network.plastic.items()}
    sent = sends_several(network)
    single = {population.name for population in populations} - sent.keys()
    projections = []
    for number, p in enumerate(network.projections):
        try:
            entry, wrong = _synapses(p, shapes[p.source], shapes[p.target], dtype, shared)
        except ValueError as error:
            problems.append(Problem(p.name, str(error)))
            continue
        problems += wrong
        delay = p.delay + network.latency_from(p.source)
        learns = None
        if p.plasticity is not None:
            source, target = (
                End(shapes[end], 1 if end in single else sent.get(end, LARGEST_INPUT)) for end in (p.source, p.target)
            )
            learns = make_plastic(
                p, entry, Place(names[number], number, source, target), dt=network.contract.dt, problems=problems
            )
        projections.append(ProjectionPlan(sources[p.source], sources[p.target], delay, entry, learns))
    projections.sort(key=lambda p: p.source)  # stable: the list's order within a source
    if dtype is np.int64:
        places = list(sources)
        arriving = dict.fromkeys(places, 0)
        for made in projections:
            held = made.rows if made.plastic is None else Rows(made.rows.offsets, made.rows.targets, made.plastic.most)
            most = largest_sum(held, network[places[made.target]].size)
            arriving[places[made.target]] += most * sent.get(places[made.source], LARGEST_INPUT)
        problems.extend(too_large(network, populations, arriving))
    if problems:
        raise GraphError(problems)
    return Plan(network, dtype, tuple(i.size for i in network.inputs), populations, tuple(projections))


def _synapses(p: Projection, source: Shape, target: Shape, dtype: Any, shared: Shared) -> tuple[Rows, list[Problem]]:
    def make() -> tuple[Rows, list[Problem]]:
        problems: list[Problem] = []
        found = rows(p, source, target) if p.plasticity is None else plastic_rows(p, source, target)
        weights = in_dtype(found.weights, dtype, p.name, "weights", problems)
        return Rows(found.offsets, found.targets, weights), problems

    return shared.once("synapses", p.synapses, (source, target, dtype, p.name, p.plasticity is None), make)


def population_plans(
    network: DynamicNetwork, problems: list[Problem], shared: Shared | None = None
) -> tuple[PopulationPlan, ...]:
    """The numbers of all neurons; what the arithmetic cannot hold is added to `problems`.

    Raises:
        GraphError: the contract is that of a chip.
    """
    if network.contract.chip:
        why = f"its contract is {network.contract.integrator}'s, whose neurons have a plan of their own"
        raise GraphError(Problem(network.name, why, "make_fixed_plan"))
    shared = shared or Shared()
    found = []
    for population in network.populations:
        incoming = [p for p in network.projections if p.target == population.name]
        slots = max((p.delay + network.latency_from(p.source) for p in incoming), default=0) + 1
        biased = [p for p in incoming if p.bias is not None]
        found.append(_population(network, population, biased, slots, problems, shared))
    return tuple(found)


def _population(
    network: DynamicNetwork,
    population: DynamicPopulation,
    biased: list[Projection],
    slots: int,
    problems: list[Problem],
    shared: Shared,
) -> PopulationPlan:
    neuron: Any = population.neuron
    contract = network.contract_of(population.name)
    exact, delta = contract.integrator == "exponential", contract.synapse == "delta"
    kind = Kind.MEMORYLESS if isinstance(neuron, Threshold | Relay) else Kind.ACCUMULATE
    if isinstance(neuron, LEAKY):
        kind = Kind.EXPONENTIAL if exact else Kind.FORWARD_EULER
    current = Current.NONE
    if isinstance(neuron, CUBA):
        table = {
            (False, False): Current.EULER_CURRENT,
            (False, True): Current.EULER_DELTA,
            (True, False): Current.EXPONENTIAL_CURRENT,
            (True, True): Current.EXPONENTIAL_DELTA,
        }
        current, delta = table[exact, delta], False
    if type(neuron) in KINDS:
        kind = KINDS[type(neuron)]
        delta = delta or kind is Kind.SIGMA_DELTA
    rest = (population.name, population.shape, contract.dt, contract.integrator, contract.initial, contract.arithmetic)
    numbers, wrong = shared.once("numbers", (neuron,), rest, lambda: _numbers(population, contract))
    problems += wrong
    late = network.contract.bias_register == "weighted"
    begins = tuple(p.delay + network.latency_from(p.source) if late else 0 for p in biased)
    constants, wrong = shared.once(
        "constants",
        tuple(p.bias for p in biased),
        (begins, population.name, population.shape, contract.arithmetic),
        lambda: _constants(tuple(zip(begins, biased, strict=True)), population, DTYPES[contract.arithmetic]),
    )
    problems += wrong
    return PopulationPlan(
        name=population.name,
        size=population.size,
        contract=contract,
        kind=kind,
        current=current,
        delta=delta,
        fires=not isinstance(neuron, Analog),
        constants=constants,
        slots=slots,
        **numbers,
    )


def _numbers(population: DynamicPopulation, contract: DynamicsContract) -> tuple[dict[str, Any], list[Problem]]:
    """The arrays of `PopulationPlan` that follow from the neurons, the step, the integrator, the initial state and the arithmetic."""
    neuron: Any = population.neuron
    shape, dtype = population.shape, DTYPES[contract.arithmetic]
    exact = contract.integrator == "exponential"
    problems: list[Problem] = []

    def number(name: str, default: float = 0.0) -> NDArray[np.float64]:
        values = getattr(neuron, name, None)
        return np.broadcast_to(np.asarray(default if values is None else values, dtype=np.float64), shape).ravel()

    def held(values: NDArray[Any], name: str) -> NDArray[Any]:
        return in_dtype(values, dtype, f"{population.name}.{name}", "values", problems)

    tau_name = "tau_mem" if isinstance(neuron, CUBA) else "tau"
    leaky, cuba = isinstance(neuron, LEAKY), isinstance(neuron, CUBA)
    ratio, current_ratio = contract.dt / number(tau_name, 1.0), contract.dt / number("tau_syn", 1.0)
    gain = number("r", 1.0)
    if isinstance(neuron, IF | RectifiedIF | I) and contract.integrator != "accumulate":
        gain = gain * contract.dt
    stated = getattr(neuron, "initial", None)
    initial = number("initial") if stated is not None or contract.initial == "zero" else number(contract.initial)
    rate, v_reset, second = each(lost, ratio) if exact else ratio, number("v_reset"), None
    match neuron:
        case AdaptiveLIF():
            second = adaptation(neuron, contract, number, held)
        case Izhikevich():
            rate, v_reset = np.full(population.size, milliseconds(contract) / neuron.substeps), number("c")
            initial = v_reset if stated is None else initial
            second = recovery(neuron, contract, initial, number, held)
        case InterpolatedLIF():
            second = interpolation(neuron, contract, number, held)
        case ResonateAndFire():
            gain, second = resonance(neuron, contract, number, held)
        case SigmaDelta():
            second = differences(neuron, number, held)
    zero = np.zeros(population.size, dtype)
    # a period that is no number of steps is part of the second state
    periods = number("refractory") if not isinstance(neuron, InterpolatedLIF) else np.zeros(population.size)
    refractory = np.rint(periods / contract.dt).astype(np.int64)
    if dtype is np.float32 and refractory.max() > LARGEST_FLOAT32_COUNT:
        why = f"is {refractory.max():,} steps, and float32 counts to {LARGEST_FLOAT32_COUNT:,}"
        problems.append(Problem(f"{population.name}.refractory", why, 'arithmetic="float64", or a longer dt'))
    found = {
        "bias": held(number("bias"), "bias"),
        "gain": held(gain, "r"),
        "rate": held(rate, tau_name) if leaky or isinstance(neuron, Izhikevich) else zero,
        "decay": held(each(kept, ratio), tau_name) if leaky else zero,
        "v_leak": held(number("v_leak"), "v_leak"),
        "threshold": held(number("threshold"), "threshold"),
        "v_reset": held(v_reset, "v_reset"),
        "v_min": None if getattr(neuron, "v_min", None) is None else held(number("v_min"), "v_min"),
        "current_rate": held(each(lost, current_ratio) if exact else current_ratio, "tau_syn") if cuba else zero,
        "current_decay": held(each(kept, current_ratio), "tau_syn") if cuba else zero,
        "w_in": held(number("w_in", 1.0), "w_in"),
        "refractory": refractory,
        "initial": held(initial, "initial"),
        "second": second,
    }
    return found, problems


def _constants(
    begins: Sequence[tuple[int, Projection]], population: DynamicPopulation, dtype: Any
) -> tuple[tuple[tuple[int, NDArray[Any]], ...], list[Problem]]:
    """Biases of projections by the step from which they arrive, each entry the sum of those that do, in the order of the list."""
    problems: list[Problem] = []
    entries = []
    for step in sorted({begin for begin, _ in begins}):
        total = np.zeros(population.shape)
        for begin, p in begins:
            if begin <= step:
                total = total + np.asarray(p.bias, dtype=np.float64)
        where = f"{population.name}.bias of its projections"
        entries.append((step, in_dtype(total.ravel(), dtype, where, "values", problems)))
    return tuple(entries), problems


def in_dtype(values: NDArray[Any], dtype: Any, where: str, what: str, problems: list[Problem]) -> NDArray[Any]:
    """The values in the arithmetic's dtype, rounded to nearest where it is floating point."""
    if dtype is not np.int64:
        with np.errstate(over="ignore"):
            cast = np.asarray(values, dtype=dtype, order="C")
        if not np.isfinite(cast).all():
            problems.append(Problem(where, f"{what} are beyond the range of {np.dtype(dtype)}"))
        return cast
    if values.size and np.abs(values).max() >= LARGEST_INTEGER:
        problems.append(
            Problem(where, f"{what} reach {LARGEST_INTEGER:,} or more, which integer arithmetic does not hold")
        )
    elif values.dtype.kind == "f" and (values != np.rint(values)).any():
        problems.append(
            Problem(where, f"{what} are not all whole numbers", "scale and round them, or compute in floats")
        )
    else:
        return np.asarray(values, dtype=dtype, order="C")
    return np.zeros(values.shape, dtype=dtype)


def too_large(
    network: DynamicNetwork, populations: Sequence[PopulationPlan], arriving: Mapping[str, int]
) -> list[Problem]:
    """Integer populations whose sums might leave 64 bits, or whose state does not fit its width.

    `arriving` bounds what projections bring to each in a step.
    """
    problems = []
    low, high = state_range(network.contract)
    for population in populations:
        gain = max(1, int(np.abs(population.gain).max(initial=0)))
        constant = int(np.abs(population.bias).max(initial=0))
        constant += sum(int(np.abs(values).max(initial=0)) for _, values in population.constants)
        fed = LARGEST_INTEGER  # what a simulation may feed it
        if (arriving[population.name] + constant + fed) * gain >= LARGEST_SUM:
            why = "what arrives in a step, times r, may leave 64 bits"
            hint = "use smaller weights, biases or r, or fewer state_bits where analog populations or counts arrive"
            problems.append(Problem(population.name, why, hint))
        for name in ("initial", "v_reset", "v_min"):
            values = getattr(population, name)
            if values is not None and (values.min() < low or values.max() > high):
                why = f"is outside of {network.contract.state_bits} bits: {low} to {high}"
                problems.append(Problem(f"{population.name}.{name}", why))
    return problems


def largest_sum(found: Rows, post: int) -> int:
    """Largest sum of absolute weights into one neuron."""
    if found.weights.ndim == 2:
        weights = np.repeat(found.weights[:, 0], np.diff(found.offsets))
    else:
        weights = np.broadcast_to(found.weights, found.targets.shape)
    return int(np.bincount(found.targets, weights=np.abs(weights), minlength=post).max(initial=0))
