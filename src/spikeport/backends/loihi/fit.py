"""Networks written in other equations, rounded to the grid of the chip's CUBA-LIF: an explicit step, and every loss on record.

The chip steps, with du' = (du + 1) / 4096 and dv' = dv / 4096,

    u = (1 - du') u + 64 a        v = (1 - dv') v + u + bias        spikes where v > threshold, v = 0 there

Potentials are held as V = S (v - v_reset), S being one scale for each population, so that the reset is the chip's. With
k = dt / tau, or 1 - exp(-dt / tau), a step of LIF becomes

    V = (1 - k) V + S k r x + S k (v_leak - v_reset + r c)            (jumps: S x in place of S k r x)

so dv' = k, the weights are S k r W / 64, nothing is left of u (du = 4095), and the rest is the bias. The current of CubaLIF becomes
u = S k r s: du' is the share of its own time constant, and weights have its factors. IF is LIF that keeps everything.
S puts the highest threshold at 2^16 in units of 64, or lower where currents would leave 2^22, half of their register.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.rows import rows
from spikeport.backends.loihi.engine import Chunk
from spikeport.backends.loihi.fixed import place_fixed
from spikeport.backends.loihi.placed import LARGEST_LINE, largest_sum
from spikeport.backends.loihi.skew import Edge, delay_of, delay_problems, depths
from spikeport.backends.loihi.view import View
from spikeport.errors import DataError, LowerError, OptionError, Problem
from spikeport.plugin import Step
from spikeport.primitives import (
    IF,
    LIF,
    Approximation,
    Conv,
    CubaLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    Ledger,
    OneToOne,
    Projection,
    Sparse,
    Threshold,
)
from spikeport.targets import Target

Floats = NDArray[np.float64]
THRESHOLD = 2**16
"""Largest threshold, in units of 64."""
LARGEST_CURRENT = 2**22
LARGEST_EXPONENT = 7
LARGEST_SPLIT = 127 * 128 + 63
"""Of a weight that two synapses hold."""
LARGEST_ARRIVING = {"loihi1": 2**15 - 1, "loihi2": 2**17 - 1}
"""Whole numbers that a sum of one step holds in units of 64."""
LARGEST_MANTISSA = 2**12 - 1
"""Biases are whole multiples of a power of two, 2^7 at most, and so many of it at most."""
LONGEST = 62


def fit(network: DynamicNetwork, target: Target) -> DynamicNetwork:
    """The network in the numerics of a Loihi, with ledger entries for all that is rounded; it is not the same network any more.

    Args:
        network: populations of IF, LIF and CubaLIF in any contract; one of the chip's own contract is returned as it is.
        target: `loihi1` or `loihi2`, or one like it.

    Raises:
        LowerError: what no rounding brings onto the chip, by name, all of it.
    """
    chip = "loihi1" if target.name == "loihi1" else "loihi2"
    if network.contract.integrator == chip:
        return network
    return fitted(network, chip).network


@dataclass(frozen=True)
class Fitted:
    """A network on the chip's grid, and how it stands to what it was."""

    network: DynamicNetwork
    offsets: dict[str, int]
    """Steps by which populations run behind."""
    scales: dict[str, Floats]
    """S of each neuron."""
    losses: Ledger = ()
    """Everything that is not exact."""
    room: int = LARGEST_LINE
    """Values that may enter: beyond them a sum of whole numbers may wrap in the chip's register."""


def fitted(network: DynamicNetwork, chip: Any) -> Fitted:
    """See `fit`."""
    return _Fitting(network, chip).run()


@dataclass(frozen=True)
class FitView(View):
    """A network of whole numbers whose potentials are held as 64 (v - v_reset)."""

    resets: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    room: int = LARGEST_LINE
    """See `Fitted`."""

    def enter(self, name: str, payloads: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        if payloads.size and int(np.abs(payloads).max()) > self.room:
            why = f"has a value of {int(np.abs(payloads).max()):,}, and sums of a step are exact on the chip up to {self.room:,} at each line"
            raise DataError(Problem(name, why, "smaller values, or smaller weights behind the input"))
        return super().enter(name, payloads)

    def asked(self, record: Any, potentials: Any) -> dict[str, Any]:
        hidden = [name for name in potentials if name not in self.resets]
        if hidden:
            why = "has no potential to show: the chip sets it to zero where it fires, and Threshold keeps it"
            raise OptionError([Problem(name, why, "record its spikes") for name in hidden])
        return {"record": list(record), "potentials": list(potentials)}

    def shown(self, chunk: Chunk, first: int) -> Step:
        potentials = {name: (values >> 6) + self.resets[name] for name, values in chunk.potentials.items()}
        return Step(chunk.rasters, potentials)


def carried(network: DynamicNetwork, chip: Any) -> View:
    """A network in other equations, where the chip computes the very same.

    Raises:
        LowerError: what would have to be rounded.
    """
    if network.contract.arithmetic != "integer":
        why = f"computes in {network.contract.arithmetic}, and {chip} in integers of its own"
        hint = f"spikeport.backends.loihi.fit(network, target) rounds it for {chip}, and its ledger says how much"
        raise LowerError(Problem(network.name, why, hint))
    found = fitted(network, chip)
    problems = [
        Problem(loss.node, f"{loss.what}, by {loss.error:.3g} {loss.unit}") for loss in found.losses if loss.error
    ]
    if network.contract.reset_when != "same_step":
        problems.append(Problem(network.name, "resets a step late, and the chip at once", 'reset_when="same_step"'))
    if problems:
        hint = f"spikeport.backends.loihi.fit(network, target) accepts it for {chip}, and keeps it in the ledger"
        raise LowerError([replace(problem, hint=hint) for problem in problems])
    shapes = {p.name: (p.shape, p.neuron) for p in network.populations}
    resets = {
        n: np.broadcast_to(np.asarray(neuron.v_reset, np.int64), shape)
        for n, (shape, neuron) in shapes.items()
        if isinstance(neuron, IF)
    }
    return FitView(place_fixed(found.network), offsets=found.offsets, resets=resets, room=found.room)


@dataclass
class _Fitting:
    network: DynamicNetwork
    chip: Any
    problems: list[Problem] = field(default_factory=list)
    losses: list[Approximation] = field(default_factory=list)
    room: int = LARGEST_LINE

    def run(self) -> Fitted:
        network, contract = self.network, self.network.contract
        self.problems += self._refused()
        if self.problems:
            raise LowerError(self.problems)
        edges = [Edge(p.source, p.target, contract.layer_latency + p.delay) for p in network.projections]
        depth = depths([i.name for i in network.inputs], [p.name for p in network.populations], edges)
        self.problems += delay_problems(edges, depth, LONGEST)
        factors = {p.name: _Factors.of(p, contract) for p in network.populations}
        scales = {p.name: self._scale(p, factors[p.name]) for p in network.populations}
        populations = tuple(
            self._population(p, factors[p.name], scales[p.name], depth[p.name]) for p in network.populations
        )
        projections = [
            made
            for p, edge in zip(network.projections, edges, strict=True)
            for made in self._projection(p, factors[p.target], scales[p.target], delay_of(edge, depth))
        ]
        if self.problems:
            raise LowerError(self.problems)
        for name, steps in depth.items():
            if steps and name in network.by_name:
                self.losses.append(Approximation(name, f"runs {steps} steps later than in the network", 0.0))
        losses = tuple(self.losses)
        made = DynamicNetwork(
            network.name,
            network.inputs,
            populations,
            tuple(projections),
            DynamicsContract.loihi(self.chip, dt=contract.dt),
            (*network.ledger, *losses),
        )
        return Fitted(made, {p.name: depth[p.name] for p in network.populations}, scales, losses, self.room)

    def _refused(self) -> Iterator[Problem]:
        """What no rounding helps against."""
        contract = self.network.contract
        if contract.chip:
            yield Problem(
                self.network.name, f"is in the numerics of {contract.integrator}", "these are not rounded to others"
            )
            return
        for name in self.network.plastic:
            yield Problem(name, "learns, and no learning is fitted to the chip", "plasticity=None")
        if contract.reset == "subtract":
            yield Problem(self.network.name, "resets by subtraction, and the chip's LIF to zero", 'reset="to_value"')
        if contract.reset_when == "after_next_update":
            yield Problem(
                self.network.name, "resets after the next update, and the chip at once", 'reset_when="same_step"'
            )
        if contract.current_order == "old":
            yield Problem(self.network.name, "takes currents a step late, and the chip at once", 'current_order="new"')
        if contract.spikes == "multi":
            yield Problem(self.network.name, "sends several spikes a step, and the chip's LIF one", 'spikes="single"')
        for population in self.network.populations:
            neuron = population.neuron
            if population.contract is not None:
                hint = "one contract for all populations"
                yield Problem(population.name, "steps by a contract of its own, and the chip has one", hint)
            if getattr(neuron, "v_min", None) is not None:
                why = "has a lowest potential, and is fitted to neurons without"
                yield Problem(f"{population.name}.v_min", why, "leave it out")
            if not isinstance(neuron, IF | LIF | CubaLIF | Threshold):
                kind = type(neuron).__name__
                hint = "IF, LIF, CubaLIF or Threshold"
                yield Problem(population.name, f"{kind} has no threshold and reset of a LIF", hint)
                continue
            if isinstance(neuron, Threshold):
                continue
            steps = np.rint(np.asarray(neuron.refractory, np.float64) / contract.dt)
            if self.chip == "loihi2" and steps.any():
                yield Problem(f"{population.name}.refractory", "the LIF of loihi2 has none", "leave it out, or loihi1")
            elif (steps > 62).any():
                yield Problem(
                    f"{population.name}.refractory", f"is {steps.max():.0f} steps, and loihi1 has 62", "a longer dt"
                )
            if not (np.asarray(neuron.threshold) > np.asarray(neuron.v_reset)).all():
                yield Problem(population.name, "resets to its threshold or above it", "a lower v_reset")

    def _scale(self, population: DynamicPopulation, f: _Factors) -> Floats:
        """S: one for the population, so that shared weights stay shared; exactly 64 where whole numbers are added up."""
        span = f.threshold - f.reset
        if self.network.contract.arithmetic == "integer":
            return np.full(population.size, 64.0)
        drive = np.zeros(population.size)
        shapes = {i.name: i.shape for i in self.network.inputs} | {p.name: p.shape for p in self.network.populations}
        for p in self.network.projections:
            if p.target == population.name:
                drive += np.abs(f.gain) * largest_sum(p.synapses, shapes[p.source])
        steady = drive / np.maximum(f.current_decay, 1 / 4096)  # what a current that never rests grows to
        scale = min(64 * THRESHOLD / float(span.max()), LARGEST_CURRENT / float(steady.max(initial=1e-30)))
        return np.full(population.size, scale)

    def _population(self, population: DynamicPopulation, f: _Factors, scale: Floats, offset: int) -> DynamicPopulation:
        name, contract = population.name, self.network.contract
        du = self._rounded(name, "decay of the current", 4096 * f.current_decay - 1, 0, 4095)
        dv = self._rounded(name, "decay of the potential", 4096 * f.decay, 0, 4096)
        strict = scale * (f.threshold - f.reset)
        # what is at the threshold fires under ">=", and nothing lies between whole numbers
        lowest = strict - (64 if contract.arithmetic == "integer" else 0) if contract.compare == ">=" else strict
        threshold = 64 * self._rounded(name, "threshold", lowest / 64, 0, 2**17 - 1)
        bias = self._bias(name, scale * self._constant(population, f))
        initial = scale * (f.initial - f.reset)
        if offset and bias.any():
            if f.decay.any():
                self.losses.append(
                    Approximation(
                        name, f"its bias acts {offset} steps before its first step", float(np.abs(bias).max()), "state"
                    )
                )
            else:
                initial = initial - offset * bias  # which add up to it in the meantime
                if (np.maximum(initial, initial + offset * bias - bias) > threshold).any():
                    self.losses.append(
                        Approximation(name, f"may spike in the {offset} steps before its first step", 1.0, "spike")
                    )
        start = self._rounded(name, "initial potential", initial, -(2**23) + 1, 2**23 - 1)
        refractory = np.rint(f.refractory).astype(np.int64) + 1
        more: dict[str, Any] = {"refractory": refractory.reshape(population.shape)} if self.chip == "loihi1" else {}
        values = {"du": du, "dv": dv, "threshold": threshold, "bias": bias, "initial": start}
        shaped = {key: value.reshape(population.shape) for key, value in values.items()}
        self._saturation(population, f)
        return DynamicPopulation(name, population.shape, FixedCubaLIF(**shaped, **more))

    def _constant(self, population: DynamicPopulation, f: _Factors) -> Floats:
        """What is added in every step besides, in units of the potential."""
        total = f.constant.copy()
        for p in self.network.projections:
            if p.target == population.name and p.bias is not None:
                # a current through the synapse's filter settles at the same value as one past it
                total += f.past * np.broadcast_to(np.asarray(p.bias, np.float64), population.shape).ravel()
                if isinstance(population.neuron, CubaLIF):
                    self.losses.append(Approximation(p.name, "its bias does not pass the filter of the current", 0.0))
        return total

    def _saturation(self, population: DynamicPopulation, f: _Factors) -> None:
        """Whole numbers that add up without end meet the end of the chip's register before their own."""
        if self.network.contract.arithmetic != "integer":
            return
        self._reach(population, f)
        if isinstance(population.neuron, Threshold):
            return
        negative = (f.constant < 0).any()
        for p in self.network.projections:
            if p.target == population.name:
                negative |= any(
                    bool((np.asarray(_weights(s)) < 0).any()) for s in p.synapses if _weights(s) is not None
                )
        if negative:
            what = "its potential saturates at -131,071, and may be driven there"
            self.losses.append(Approximation(population.name, what, 131071.0, "potential"))

    def _reach(self, population: DynamicPopulation, f: _Factors) -> None:
        """Sums of one step against the ends of their register."""
        shapes = {i.name: i.shape for i in self.network.inputs} | {p.name: p.shape for p in self.network.populations}
        into = [p for p in self.network.projections if p.target == population.name]
        most = np.abs(f.constant) + sum((largest_sum(p.synapses, shapes[p.source]) for p in into), 0 * f.constant)
        largest = LARGEST_ARRIVING[self.chip]
        if (most > largest).any():
            what = f"its sum of a step may leave {largest:,}, where it wraps"
            self.losses.append(Approximation(population.name, what, float(most.max() - largest), "potential"))
            return
        lines = {place.name for place in self.network.inputs}
        from_lines = sum((largest_sum(p.synapses, shapes[p.source]) for p in into if p.source in lines), 0 * most)
        if from_lines.any() and self.chip == "loihi2":
            room = int(((largest - (most - from_lines)) // np.maximum(1, from_lines)).min())
            self.room = min(self.room, room)

    def _projection(self, p: Projection, f: _Factors, scale: Floats, delay: int) -> Iterator[Projection]:
        gain = f.gain * scale / 64
        p = self._folded(p)
        shape = self.network[p.target].shape
        chain = self._scaled(p, gain.reshape(shape))
        if chain is None:
            return
        at, weights = chain
        largest = float(np.abs(weights).max(initial=0))
        exponent = -1
        whole = bool((weights == np.rint(weights)).all())
        if whole and 127 < largest <= LARGEST_SPLIT:
            # as two sets of synapses, the upper one worth 128 times as much: nothing is rounded
            upper = np.rint(weights / 128)
            for part, shift in ((weights - 128 * upper, -1), (upper, 6)):
                yield self._made(p, at, part, shift, delay)
            return
        whole &= largest <= 127
        if largest > 0 and not whole:
            fills = max(float(weights.max()) / 127, float(-weights.min()) / 128)  # eight bits, the sign included
            exponent = int(np.clip(np.ceil(np.log2(fills)) - 1, -LARGEST_EXPONENT, LARGEST_EXPONENT))
        step = 2.0 ** (exponent + 1)
        stored = np.clip(np.rint(weights / step), -128, 127)
        error = float(np.abs(stored * step - weights).max(initial=0))
        if error:
            self.losses.append(
                Approximation(p.name, "weights rounded to 8 bits", error / largest, "of the largest weight")
            )
        if exponent < -1:
            unit = float(64 / scale[0])
            what = f"what arrives in a step rounded down to multiples of {unit:.3g}"
            self.losses.append(Approximation(p.name, what, unit, "potential at most, each step"))
        yield self._made(p, at, stored, exponent, delay)

    @staticmethod
    def _made(p: Projection, at: int, stored: Floats, exponent: int, delay: int) -> Projection:
        """With other weights in the chain; the chip's memory holds even numbers alone where signs are mixed."""
        synapse: Any = p.synapses[at] if at < len(p.synapses) else OneToOne(stored)
        name = "weights" if isinstance(synapse, Sparse) else "weight"
        made = replace(synapse, **{name: (2 * stored).astype(np.int64)})
        synapses = (*p.synapses[:at], made, *p.synapses[at + 1 :])
        return replace(p, synapses=synapses, delay=max(delay, 0), exponent=exponent, bias=None)

    def _folded(self, p: Projection) -> Projection:
        """With one set of weights: a chain that has several is written out, synapse by synapse."""
        if sum(_weights(s) is not None for s in p.synapses) < 2:
            return p
        shapes = {i.name: i.shape for i in self.network.inputs} | {q.name: q.shape for q in self.network.populations}
        try:
            found = rows(p, shapes[p.source], shapes[p.target])
        except ValueError as error:
            self.problems.append(Problem(p.name, str(error)))
            return p
        return replace(p, synapses=(Sparse(found.offsets, found.targets, found.weights, prod(shapes[p.target])),))

    def _scaled(self, p: Projection, gain: Floats) -> tuple[int, Floats] | None:
        """The weights of the chain in the chip's unit, and where they stand; factors differ from target to target at most by channel."""
        places = [i for i, s in enumerate(p.synapses) if isinstance(s, Dense | Conv | OneToOne | Sparse)]
        one = gain.ravel()[0] if gain.size and (gain == gain.ravel()[0]).all() else None
        if not places:
            return len(p.synapses), gain
        if len(places) > 1:
            return None  # what does not fit its shapes
        synapse: Any = p.synapses[places[0]]
        weights = np.asarray(_weights(synapse), np.float64)
        if one is not None:
            return places[0], weights * one
        last = places[0] == len(p.synapses) - 1
        if isinstance(synapse, Dense) and last:
            return places[0], weights * gain.reshape(-1, 1)
        if isinstance(synapse, OneToOne) and last:
            return places[0], weights * gain
        if isinstance(synapse, Sparse) and last:
            return places[0], np.asarray(synapse.each_weight(), np.float64) * gain.ravel()[synapse.targets]
        channels = gain.reshape(len(gain), -1)
        if isinstance(synapse, Conv) and last and (channels == channels[:, :1]).all():
            return places[0], weights * channels[:, 0].reshape(-1, *(1,) * (weights.ndim - 1))
        self.problems.append(
            Problem(p.name, "shares weights between neurons of different time constants", "one for each channel")
        )
        return None

    def _bias(self, name: str, values: Floats) -> NDArray[np.int64]:
        """Biases as mantissa and exponent, of each neuron."""
        most = float(np.abs(values).max(initial=0))
        fills = np.maximum(np.abs(values) / LARGEST_MANTISSA, 1)
        exponents = np.ceil(np.log2(fills))
        if exponents.max(initial=0) > LARGEST_EXPONENT:
            largest = LARGEST_MANTISSA << LARGEST_EXPONENT
            why = f"needs a bias of {most:,.0f} in units of the state, and {self.chip} has {largest:,}"
            self.problems.append(Problem(f"{name}.bias", why, "a smaller bias, or a spike input that brings it"))
            return np.zeros(values.shape, np.int64)
        units = 2**exponents
        found = (np.rint(values / units) * units).astype(np.int64)
        error = float(np.abs(found - values).max(initial=0))
        if error:
            self.losses.append(Approximation(name, "bias rounded", error / most, "of the largest bias"))
        return found

    def _rounded(self, name: str, what: str, values: Floats, low: int, high: int) -> NDArray[np.int64]:
        found = np.clip(np.rint(values), low, high)
        change = np.abs(found - values)
        if change.any():
            relative = float((change / np.maximum(np.abs(values), 1e-300)).max())
            self.losses.append(Approximation(name, f"{what} rounded", relative, "of itself at most"))
        whole: NDArray[np.int64] = found.astype(np.int64)
        return whole


def _weights(synapse: Any) -> Any:
    return synapse.weights if isinstance(synapse, Sparse) else getattr(synapse, "weight", None)


@dataclass(frozen=True)
class _Factors:
    """A population's equation in one form: V = (1 - decay) V + u + constant, u = (1 - current_decay) u + gain x; flat arrays."""

    decay: Floats
    current_decay: Floats
    gain: Floats
    """Of what arrives over synapses."""
    past: Floats
    """Of a constant that arrives with it."""
    constant: Floats
    threshold: Floats
    reset: Floats
    initial: Floats
    refractory: Floats
    """Steps."""

    @classmethod
    def of(cls, population: DynamicPopulation, contract: DynamicsContract) -> _Factors:
        neuron: Any = population.neuron

        def flat(name: str, default: float = 0.0) -> Floats:
            value = getattr(neuron, name, None)
            values = np.asarray(default if value is None else value, np.float64)
            return np.broadcast_to(values, population.shape).ravel().astype(np.float64)

        def share(name: str) -> Floats:
            ratio = contract.dt / flat(name, 1.0)
            return -np.expm1(-ratio) if contract.integrator == "exponential" else ratio

        one, delta = np.ones(population.size), contract.synapse == "delta"
        if isinstance(neuron, Threshold):
            # nothing is kept from step to step, so the bias may stand in the threshold, as far as that stays positive
            level = flat("threshold") - flat("bias")
            threshold = np.maximum(level, 1.0)
            constant = threshold - level
            return cls(one, one, one, one, constant, threshold, 0 * one, 0 * one, 0 * one)
        resistance = flat("r", 1.0)
        leak, reset = flat("v_leak"), flat("v_reset")
        if isinstance(neuron, CubaLIF):
            k, k_current = share("tau_mem"), share("tau_syn")
            gain = k * resistance * flat("w_in", 1.0) * (one if delta else k_current)
            constant = k * (leak - reset + resistance * flat("bias"))
            past = gain / k_current
        elif isinstance(neuron, LIF):
            k, k_current = share("tau"), one
            gain = one if delta else k * resistance
            constant = k * (leak - reset + resistance * flat("bias"))
            past = gain
        else:
            k, k_current = 0 * one, one
            each = resistance * (1.0 if contract.integrator == "accumulate" else contract.dt)
            gain = one if delta else each
            constant = each * flat("bias")
            past = gain
        begins = {"zero": 0 * one, "v_leak": leak, "v_reset": reset}[contract.initial]
        initial = begins if getattr(neuron, "initial", None) is None else flat("initial")
        refractory = flat("refractory") / contract.dt
        return cls(k, k_current, gain, past, constant, flat("threshold", 1.0), reset, initial, refractory)
