"""Whether a state is one of a network: looked at as a whole before a session changes anything.

Integers are held to what a run can make of them, so that no sum leaves 64 bits afterwards. Floating-point states may hold what
arithmetic makes, infinities too: potentials can diverge, and go on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem
from spikeport.plugin.driving import dtype_of
from spikeport.plugin.ranges import LARGEST_SUM, UNBOUNDED, largest_sent, largest_trace, state_range
from spikeport.plugin.state import NeuronState, PlasticState, SessionState, ahead_of, back_of, ends_of, places_of
from spikeport.plugin.weighing import synapses_of
from spikeport.primitives import (
    Analog,
    CubaLI,
    CubaLIF,
    DynamicNetwork,
    DynamicPopulation,
    FixedCubaLIF,
    FixedNeuron,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    InterpolatedLIF,
    Projection,
    SigmaDelta,
    SpikeInput,
    TwoStates,
)
from spikeport.primitives.fixed_neurons import STATE_LIMIT

LATEST = 2**62
"""Steps that a session may have behind it."""
MOST_SPIKES = 2**53
"""That a neuron sends in one step."""
MOST_SAMPLES = 2**31
REGISTER = (-(2**31), 2**31 - 1)
"""What the registers of chips hold, where they are not narrower."""
_HINT = "give what `snapshot` gave of a session of this network"


def require_state(network: DynamicNetwork, state: SessionState) -> None:
    """Refuse what is no state of this network.

    Raises:
        DataError: everything that does not fit, by name.
    """
    problems = list(state_problems(network, state))
    if problems:
        raise DataError(problems)


def state_problems(network: DynamicNetwork, state: SessionState) -> Iterator[Problem]:
    """What does not fit: names, shapes, dtypes, and values that no run of the network makes."""
    given: object = state
    if not isinstance(given, SessionState):
        yield Problem("state", f"is a {type(given).__name__}", _HINT)
        return
    for what, number, most in (("step", state.step, LATEST), ("batch", state.batch, MOST_SAMPLES)):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < most:
            yield Problem(f"state.{what}", f"is {number!r}", f"a whole number from 0 to {most - 1}")
            return
    check = _Check(network, state)
    yield from check.names("populations", "population", network.by_name)
    yield from check.names("plastic", "projection that learns", check.plastic)
    yield from check.names("sent", "end of a projection that learns", check.ends)
    if not all(isinstance(getattr(state, kind), Mapping) for kind in ("populations", "plastic", "sent")):
        return
    for population in network.populations:
        if population.name in state.populations:
            yield from check.neurons(population, state.populations[population.name])
    for name, number in check.plastic.items():
        if name in state.plastic:
            yield from check.learning(name, network.projections[number], state.plastic[name])
    for place in places_of(network):
        if place.name in state.sent and place.name in check.ends:
            yield from check.sent(place, state.sent[place.name])
    if check.integer and not network.contract.chip:
        yield from check.sums()


class _Check:
    def __init__(self, network: DynamicNetwork, state: SessionState) -> None:
        self.network, self.state, self.batch = network, state, state.batch
        self.dtype = np.dtype(dtype_of(network.contract))
        self.integer = self.dtype.kind == "i"
        self.most = largest_sent(network) if self.integer else {}
        self.plastic, self.ends, self.back = network.plastic, ends_of(network), back_of(network)
        self.sizes = {place.name: place.size for place in places_of(network)}

    def names(self, kind: str, what: str, known: Any) -> Iterator[Problem]:
        given = getattr(self.state, kind)
        if not isinstance(given, Mapping):
            yield Problem(f"state.{kind}", f"is a {type(given).__name__}", "a mapping by name")
            return
        for name in known:
            if name not in given:
                yield Problem(str(name), f"is not among the {kind} of the state", _HINT)
        for name in given:
            if name not in known:
                yield Problem(str(name), f"is in the state, and is no {what} of {self.network.name}", _HINT)

    def array(self, where: str, values: Any, shape: tuple[int, ...], dtype: Any = None) -> Iterator[Problem]:
        """What is wrong with its form."""
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        if not isinstance(values, np.ndarray):
            yield Problem(where, f"is a {type(values).__name__}", _HINT)
        elif values.dtype != dtype:
            yield Problem(where, f"is of {values.dtype}, and the network's arithmetic has {dtype}", _HINT)
        elif values.shape != shape:
            yield Problem(where, f"has shape {values.shape}, and the network {shape}", _HINT)

    def neurons(self, population: DynamicPopulation, given: Any) -> Iterator[Problem]:
        name, shape = population.name, (self.batch, population.size)
        if not isinstance(given, NeuronState):
            yield Problem(name, f"its state is a {type(given).__name__}", _HINT)
            return
        room = (ahead_of(self.network, name), *shape)
        forms: dict[str, Any] = dict.fromkeys(("v", "second"), (shape, None))
        forms |= {"refractory": (shape, np.int64), "fired": (shape, np.int64), "arriving": (room, None)}
        for kind, field, form in (
            (FixedResonateAndFire, "imag", room),
            (FixedSigmaDelta, "activation", shape),
        ):
            if isinstance(population.neuron, kind):
                forms[field] = form, None
            elif getattr(given, field) is not None:
                yield Problem(f"{name}.{field}", f"is in the state, and {type(population.neuron).__name__} has none")
        wrong = [
            problem
            for field, (form, dtype) in forms.items()
            for problem in self.array(f"{name}.{field}", getattr(given, field), form, dtype)
        ]
        yield from wrong or self._neuron_values(population, given)

    def _neuron_values(self, population: DynamicPopulation, given: NeuronState) -> Iterator[Problem]:
        name, neuron = population.name, population.neuron
        period: Any = np.zeros(population.size, np.int64)
        if not isinstance(neuron, FixedNeuron | InterpolatedLIF):  # whose period is part of the second state
            seconds = np.asarray(getattr(neuron, "refractory", 0.0), np.float64)
            steps = np.rint(seconds / self.network.contract.dt).astype(np.int64)
            period = np.broadcast_to(steps, population.shape).ravel()
        if isinstance(neuron, FixedCubaLIF) and self.network.contract.integrator == "loihi1":
            period = np.broadcast_to(np.asarray(neuron.refractory), population.shape).ravel() - 1
        if (given.refractory < 0).any() or (given.refractory > period).any():
            most = given.refractory.max() if (given.refractory > period).any() else given.refractory.min()
            yield Problem(f"{name}.refractory", f"has {most}, which no refractory period of its neurons comes to")
        spikes = self._spikes(population)
        yield from within(f"{name}.fired", given.fired, 0, 0 if self.network.contract.chip else spikes)
        heard = any(p.target == name and p.port == "imag" for p in self.network.projections)
        if given.imag is not None and given.imag.any() and not heard:
            yield Problem(f"{name}.imag", "has something on its way, and nothing leads to this port", _HINT)
        ranges = self._ranges(population)
        if self.network.contract.chip:
            ranges |= dict.fromkeys(("arriving", "imag"), REGISTER)
        for field, (low, high) in ranges.items():
            values = getattr(given, field)
            if values is not None:
                yield from within(f"{name}.{field}", values, low, high)

    def _spikes(self, population: DynamicPopulation) -> int:
        """Most that a neuron sends in a step; 0 of those that send numbers."""
        if isinstance(population.neuron, Analog | SigmaDelta):
            return 0
        if self.network.contract_of(population.name).spikes == "single":
            return 1
        return self.most.get(population.name, MOST_SPIKES)

    def _ranges(self, population: DynamicPopulation) -> dict[str, tuple[int, int]]:
        """What states there can be, where arithmetic does not end by itself."""
        match population.neuron:
            case FixedCubaLIF() if self.network.contract.integrator == "loihi1":
                return {"v": (-STATE_LIMIT, STATE_LIMIT), "second": (-(2**23), 2**23 - 1)}
            case FixedCubaLIF():
                return {"v": (-STATE_LIMIT, STATE_LIMIT), "second": REGISTER}
            case FixedSigmaDelta():
                return dict.fromkeys(("v", "second", "activation"), REGISTER)
            case FixedResonateAndFire():
                return dict.fromkeys(("v", "second"), (-STATE_LIMIT, STATE_LIMIT))
            case GradedThreshold():
                return {"v": (0, 0), "second": (0, 0)}
        second = isinstance(population.neuron, TwoStates | CubaLIF | CubaLI)
        if self.integer:
            whole = state_range(self.network.contract_of(population.name))
            return {"v": whole, "second": whole if second else (0, 0)}
        return {} if second else {"second": (0, 0)}

    def learning(self, name: str, p: Projection, given: Any) -> Iterator[Problem]:
        if not isinstance(given, PlasticState):
            yield Problem(name, f"its state is a {type(given).__name__}", _HINT)
            return
        rule, dt = p.plasticity, self.network.contract.dt
        assert rule is not None
        sizes = {"pre": self.sizes[p.source], "post": self.sizes[p.target], "synapse": synapses_of(self.network, name)}
        wrong = list(self.array(f"{name}: weights", given.weights, (self.batch, sizes["synapse"])))
        for side, size in sizes.items():
            traces, held = rule.of(side), getattr(given, side)  # type: ignore[arg-type]  # the three of them
            if len(held) != len(traces):
                why = f"has {len(held)} traces, and {rule.name} has {len(traces)}"
                wrong.append(Problem(f"{name}: {side}", why, _HINT))
            for trace, values in zip(traces, held, strict=False):
                wrong.extend(self.array(f"{name}: {trace.name}", values, (self.batch, size)))
        if rule.delays == "dendritic":
            room = (p.delay + self.network.latency_from(p.source), self.batch, sizes["post"])
            wrong.extend(self.array(f"{name}: passing", given.passing, room))
        elif given.passing is not None:
            wrong.append(Problem(f"{name}: passing", "is in the state, and delays are axonal"))
        yield from wrong
        if wrong:
            return
        low, high = (None if end is None else self.dtype.type(end) for end in (rule.w_min, rule.w_max))
        yield from within(f"{name}: weights", given.weights, low, high)
        for side in sizes:
            for trace, values in zip(rule.of(side), getattr(given, side), strict=True):  # type: ignore[arg-type]  # "pre", "post" or "synapse"
                most: Any = None if trace.limit is None else self.dtype.type(trace.limit)
                if self.integer:
                    end = p.source if side == "pre" else p.target
                    most = largest_trace(trace, dt, self.most[end])
                    most = None if most >= UNBOUNDED else most
                yield from within(f"{name}: {trace.name}", values, None if most is None else -most, most)

    def sent(self, place: SpikeInput | DynamicPopulation, given: Any) -> Iterator[Problem]:
        where = f"sent[{place.name!r}]"
        wrong = list(self.array(where, given, (self.back, self.batch, place.size)))
        yield from wrong
        if wrong:
            return
        if given[self.state.step :].any():
            yield Problem(where, f"has something of before the first step, and the state is of step {self.state.step}")
        if isinstance(place, DynamicPopulation) and self._spikes(place):
            yield from within(where, given, 0, self._spikes(place))
            if not self.integer and (given != np.rint(given)).any():
                yield Problem(where, "has fractions of spikes")
        elif self.integer:
            yield from within(where, given, -self.most[place.name], self.most[place.name])
        elif isinstance(place, SpikeInput) and np.isnan(given).any():
            yield Problem(where, "has values that are no numbers")

    def sums(self) -> Iterator[Problem]:
        """What is on its way as integers, and might not fit when more is added."""
        for population in self.network.populations:
            given = self.state.populations.get(population.name)
            if not isinstance(given, NeuronState):
                continue
            ways: list[tuple[str, Any]] = [("arriving", given.arriving)]
            for name, place in self.plastic.items():
                learning = self.state.plastic.get(name)
                if self.network.projections[place].target == population.name and isinstance(learning, PlasticState):
                    ways.append((f"{name}: passing", learning.passing))
            gain = max(1, int(np.abs(np.asarray(getattr(population.neuron, "r", 1))).max()))
            total = sum(_largest(values) for _, values in ways)
            if total * gain >= LARGEST_SUM:
                which = " and ".join(where for where, values in ways if _largest(values))
                yield Problem(f"{population.name}.{which}", f"reach {total:,}, which may leave 64 bits", _HINT)


def _largest(values: Any) -> int:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "i" or not values.size:
        return 0
    return max(int(values.max()), -int(values.min()))


def within(where: str, values: NDArray[Any], low: Any, high: Any) -> Iterator[Problem]:
    """What lies outside of a range; None: it has no such end."""
    if not values.size:
        return
    # what is no number came from a run: arithmetic makes it, and compares it with nothing
    least, most = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if low is not None and least < low:
        yield Problem(where, f"has {least}, and is {low} at least", _HINT)
    if high is not None and most > high:
        yield Problem(where, f"has {most}, and is {high} at most", _HINT)
