"""Rate code: plain integrate-and-fire units online, the classical conversion. Statistical, never exact.

In each step a unit adds what arrives and its share of the bias; if V >= th it sends one spike and subtracts th. With T steps of
presentation and L levels in every layer, one spike stands for L / T counts: a layer's input of spikes is n' = n T / L, so that

    th' = th        b' = b T / L        V0 = th / 2              where only spikes arrive
    W'  = W T,  th' = th L,  b' = b T,  V0 = L th / 2            where the input arrives: a constant current, L times as large

and where both arrive, spikes come through W L as well; T and L without their common divisor.

What it is not. A unit that has fired cannot take a spike back: excitation that comes before inhibition leaves spikes too many, and the
order in which spikes arrive matters. So there is no lemma, only figures: validate compares predictions and rates, a certificate is
refused. Two things bring the rates closer, layer after layer, on calibration data (`calibrated`): a threshold for each channel that
makes its rates closest to the counts, by iteration over factors, then its bias, by the mean of what is left; both on the trains that
the layers before really send.

Needs of a target: unsigned binary spikes, subtraction of the threshold, no leak, no lower clamp on V. Latency: T steps. Drain: none is
waited for. Sample boundary: restore V to its initial value.

It refuses by name what it could only carry badly: tables of thresholds, a maximum over spikes, unequal numbers of levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.codes.schedule import MAX_STEPS, network_of
from spikeport.codes.unsigned import NEGATIVE, split_signs
from spikeport.errors import OptionError, Problem
from spikeport.graph import NumpyOperations, Operations
from spikeport.primitives import (
    Accumulator,
    Approximation,
    Connection,
    ExecutionContract,
    MaxUnit,
    PlainIF,
    Population,
    Shape,
    SpikingNetwork,
)
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    Interval,
    Layer,
    MaxLayer,
    Readout,
    StaircaseLayer,
    bits,
    evaluate,
    multiplied,
    source_shape,
)
from spikeport.quantize.bounds import combine, reach, source_interval, with_constant

STEPS = 32
"""Steps of a presentation unless told otherwise."""
FACTORS = (0.7, 0.8, 0.87, 0.93, 1.0, 1.07, 1.15, 1.25, 1.4)
"""Candidates for a channel's threshold over its present one."""
ROUNDS = 3
"""Corrections of the biases of a layer."""
SAMPLES = 64
"""Most samples that calibration looks at."""
VALUES = 2**25
"""Most values of a layer's train, samples times steps times neurons, held at once."""

Floats = NDArray[np.floating]
Parameters = Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]
"""Threshold, initial potential and bias of each population that fires, and of the read-out, where only the bias counts."""


def encode(network: IntegerNetwork, *, steps: int | None = None) -> SpikingNetwork:
    """The integer network as plain integrate-and-fire units, not calibrated yet.

    Args:
        network: its layers all have one number of levels.
        steps: of a presentation, and time bins of event input.

    Raises:
        OptionError: layers that have no rate, all of them by name.
    """
    steps = STEPS if steps is None else steps
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= MAX_STEPS:
        raise OptionError(Problem("steps", f"is {steps!r}", f"give 1 to {MAX_STEPS:,} steps"))
    current = _currents(network)
    problems = list(_problems(network, current))
    if problems:
        raise OptionError(problems)
    network = split_signs(network, "rate")
    levels = next(layer.high for layer in network.layers if isinstance(layer, CountLayer))
    common = gcd(steps, levels)
    of_input, of_spikes = steps // common, levels // common
    populations: list[Population] = []
    connections: list[Connection] = []
    for layer in network.layers:
        incoming = network.incoming(layer.name)
        fed = any(c.source in current for c in incoming)
        if layer.name in current:
            connections += incoming
        else:
            for c in incoming:
                factor = of_input if c.source in current else of_spikes if fed else 1
                connections.append(c if factor == 1 else multiplied(c, source_shape(network, c.source), factor))
        populations.append(_population(layer, fed, of_input, of_spikes))
    scaled = replace(network, connections=tuple(connections))
    contract = ExecutionContract(code="rate", presentation=steps, max_steps=steps, state_bits=network.state_bits)
    return _held(network_of(scaled, tuple(populations), contract))


WIDER = "membranes are wider than what the integers were converted for"


def _held(network: SpikingNetwork) -> SpikingNetwork:
    """The network with as many state bits as its membranes need under this code, and the ledger saying so."""
    before = network.contract.state_bits
    needed = max(map(bits, membranes(network).values()))
    if needed <= before:
        return network
    ledger = tuple(entry for entry in network.ledger if entry.what != WIDER)
    already = sum(entry.error for entry in network.ledger if entry.what == WIDER)
    entry = Approximation(network.output, WIDER, already + needed - before, "bits")
    contract = replace(network.contract, state_bits=needed)
    return replace(network, contract=contract, ledger=(*ledger, entry))


def _currents(network: IntegerNetwork) -> set[str]:
    """Names that no neuron sends: the input, and maxima over it."""
    names = {network.input.name}
    for layer in network.layers:
        if isinstance(layer, MaxLayer) and all(c.source in names for c in network.incoming(layer.name)):
            names.add(layer.name)
    return names


def _problems(network: IntegerNetwork, current: set[str]) -> list[Problem]:
    problems = []
    levels = {layer.name: layer.high for layer in network.layers if isinstance(layer, CountLayer)}
    first = next(iter(levels.values()), 0)
    for layer in network.layers:
        if isinstance(layer, StaircaseLayer):
            why = "has a table of thresholds, which a plain integrate-and-fire unit cannot climb"
            problems.append(Problem(layer.name, why, 'use code="staircase", or train with ReLU'))
        elif isinstance(layer, MaxLayer) and (layer.name not in current or network.input.kind == "events"):
            why = "takes the maximum over spikes, of which a rate code knows the mean only"
            problems.append(Problem(layer.name, why, 'train with average pooling, or use code="phased"'))
        elif isinstance(layer, CountLayer) and layer.high != first:
            why = f"has {layer.high} levels, other layers {first}: one spike would stand for counts of different sizes"
            problems.append(Problem(layer.name, why, "convert with one number of levels"))
        elif isinstance(layer, CountLayer) and layer.low not in (0, -layer.high):
            problems.append(Problem(layer.name, f"has counts from {layer.low} to {layer.high}", 'use code="signed"'))
    return problems


def _population(layer: Layer, fed: bool, of_input: int, of_spikes: int) -> Population:
    match layer:
        case CountLayer(name, shape, threshold, bias, offset):
            if fed:
                return Population(name, shape, PlainIF(threshold * of_spikes, offset * of_spikes, bias * of_input))
            return Population(name, shape, PlainIF(threshold, offset, _scaled(bias, of_input, of_spikes)))
        case MaxLayer(name, shape, window):
            return Population(name, shape, MaxUnit(window))
        case Readout(name, shape, bias, scale):
            if fed:
                return Population(name, shape, Accumulator(bias * of_input, scale / of_input))
            scaled = Accumulator(_scaled(bias, of_input, of_spikes), scale * of_spikes / of_input)
            return Population(name, shape, scaled)
        case StaircaseLayer():
            raise AssertionError("refused before")


def _scaled(bias: NDArray[np.int64], by: int, over: int) -> NDArray[np.int64]:
    return (2 * bias * by + over) // (2 * over)  # rounds half up


def membranes(network: SpikingNetwork) -> dict[str, Interval]:
    """Interval of every membrane at every moment, whatever arrives: each unit sends at most one spike a step.

    A subtraction leaves at least 0, so that the lower end is that of the sums.
    """
    steps, encoder = network.contract.presentation, network.input
    plain = IntegerNetwork(encoder, (), (), 8, 24)
    sent = {encoder.name: source_interval(plain)}
    found: dict[str, Interval] = {}
    for population in network.populations:
        total = combine([reach(c.synapses, sent[c.source]) for c in network.incoming(population.name)])
        match population.neuron:
            case PlainIF(_, initial, bias):
                found[population.name] = with_constant(total, initial, bias)
                sent[population.name] = Interval(
                    np.zeros(population.shape, np.int64), np.full(population.shape, steps, np.int64)
                )
            case Accumulator(bias):
                found[population.name] = with_constant(total, bias)
            case _:  # a maximum of values in an interval is in the widest of them
                shape = population.shape
                sent[population.name] = Interval(np.full(shape, total.low.min()), np.full(shape, total.high.max()))
    return found


def tuned(network: SpikingNetwork, parameters: Parameters) -> SpikingNetwork:
    """The network with other thresholds, initial potentials and biases.

    Raises:
        ValueError: parameters of a population that there is not, or that do not fit.
    """
    populations = []
    for population in network.populations:
        neuron = population.neuron
        if population.name in parameters:
            threshold, initial, bias = parameters[population.name]
            for array in (threshold, initial, bias):
                if array.dtype != np.int64 or not _broadcasts(array.shape, population.shape):
                    raise ValueError(f"parameters of `{population.name}` do not fit")
            if isinstance(neuron, PlainIF) and (threshold > 0).all():
                neuron = PlainIF(threshold, initial, bias)
            elif isinstance(neuron, Accumulator):
                neuron = replace(neuron, bias=bias)
            else:
                raise ValueError(f"`{population.name}` has no such parameters")
        populations.append(replace(population, neuron=neuron))
    unknown = parameters.keys() - network.by_name.keys()
    if unknown:
        raise ValueError(f"parameters of {', '.join(sorted(unknown))}, which there is not")
    return _held(replace(network, populations=tuple(populations)))


def _broadcasts(shape: Shape, to: Shape) -> bool:
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(shape[::-1], to[::-1], strict=False))


def parameters_of(network: SpikingNetwork) -> Parameters:
    """What `tuned` needs to make this network again from an untuned one."""
    one = np.ones((), dtype=np.int64)
    found = {}
    for population in network.populations:
        if isinstance(population.neuron, PlainIF):
            neuron = population.neuron
            found[population.name] = (neuron.threshold, neuron.initial, neuron.bias)
        elif isinstance(population.neuron, Accumulator):
            found[population.name] = (one, one, population.neuron.bias)
    return found


def calibrated(
    network: SpikingNetwork,
    integer: IntegerNetwork,
    encoded: NDArray[np.int64],
    *,
    operations: Operations | None = None,
) -> SpikingNetwork:
    """The network with thresholds and biases that bring its rates close to the counts of the integer network.

    Args:
        network: of `encode`, for the same integers.
        encoded: integers of calibration samples, shape (sample, *input); at most `SAMPLES` are used.
        operations: evaluate integer sums, in float64 or wider; numpy by default.
    """
    largest = max(prod(p.shape) for p in network.populations)
    count = max(1, min(SAMPLES, VALUES // (largest * network.contract.presentation)))
    return _Calibration(network, integer, encoded[:count], operations or NumpyOperations()).run()


@dataclass
class _Calibration:
    """One walk over the populations, each seeing the trains that those before it send with their final parameters."""

    network: SpikingNetwork
    integer: IntegerNetwork
    encoded: NDArray[np.int64]
    operations: Operations

    def run(self) -> SpikingNetwork:
        network, steps = self.network, self.network.contract.presentation
        targets = self._targets()
        host = network.on_host()
        trains: dict[str, NDArray[Any]] = {}
        if network.input.kind == "events":
            trains[network.input.name] = _split(self.encoded, steps)
        values = {network.input.name: self.encoded}
        readers = {c.source: c.target for p in network.populations for c in network.incoming(p.name)}
        found: dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = {}
        before = after = 0.0
        for population in network.populations:
            incoming = network.incoming(population.name)
            if population.name in host:
                assert isinstance(population.neuron, MaxUnit)
                total = self._sum(incoming, values)
                values[population.name] = np.asarray(
                    NumpyOperations().apply(population.neuron.window, [total]), dtype=np.int64
                )
                continue
            arriving = self._arriving(incoming, host, values, trains, steps)
            target = targets[population.name]
            if isinstance(population.neuron, Accumulator):
                missing = target / population.neuron.scale - arriving.sum(axis=0) - population.neuron.bias
                bias = population.neuron.bias + np.rint(missing.mean(axis=0)).astype(np.int64)
                one = np.ones((), dtype=np.int64)
                found[population.name] = (one, one, np.asarray(bias, dtype=np.int64))
                continue
            assert isinstance(population.neuron, PlainIF)
            neuron, errors = fitted(population.neuron, arriving, target, steps)
            before, after = before + errors[0], after + errors[1]
            found[population.name] = (neuron.threshold, neuron.initial, neuron.bias)
            trains[population.name] = fire(neuron, arriving)
            for name in [n for n in trains if readers.get(n) == population.name]:
                del trains[name]
        what = (
            f"statistical: on {len(self.encoded)} calibration samples mean square errors of spike counts sum to "
            f"{after:.3g} over the layers, {before:.3g} without thresholds and biases fitted to them"
        )
        made = tuned(network, found)
        return replace(made, ledger=(*made.ledger, Approximation(network.output, what, 0.0)))

    def _targets(self) -> dict[str, NDArray[np.float64]]:
        """Number of spikes that would stand for the counts, and outputs of the read-out on the model's scale."""
        levels = next(layer.high for layer in self.integer.layers if isinstance(layer, CountLayer))
        each = self.network.contract.presentation / levels
        plain = replace(self.integer.input, scale=np.ones(()), gain=None, shift=None)  # it is encoded already
        counts: dict[str, NDArray[np.float64]] = {}

        def visit(layer: Layer, value: NDArray[np.int64]) -> None:
            if isinstance(layer, Readout):
                counts[layer.name] = (value * layer.scale).astype(np.float64)
            else:
                counts[layer.name] = np.maximum(value, 0) * each
                counts[layer.name + NEGATIVE] = np.maximum(-value, 0) * each

        evaluate(replace(self.integer, input=plain), self.encoded, visit=visit)
        return counts

    def _arriving(
        self,
        incoming: Sequence[Connection],
        host: frozenset[str],
        values: Mapping[str, NDArray[np.int64]],
        trains: Mapping[str, NDArray[Any]],
        steps: int,
    ) -> NDArray[np.int64]:
        """What reaches a population, shape (step, sample, *population)."""
        constant = [c for c in incoming if c.source in host]
        spiking = [c for c in incoming if c.source not in host]
        result: NDArray[np.int64] | None = None
        if constant:
            result = _split(self._sum(constant, values), steps)
        if spiking:
            sums = np.stack(
                [self._sum(spiking, {c.source: trains[c.source][t] for c in spiking}) for t in range(steps)]
            )
            result = sums if result is None else result + sums
        assert result is not None
        return result

    def _sum(self, incoming: Sequence[Connection], values: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        total: Any = None
        for connection in incoming:
            value = self.operations.load(values[connection.source].astype(np.float64))
            for synapse in connection.synapses:
                value = self.operations.apply(synapse, [value])
            total = value if total is None else total + value
        return self.operations.store(total).astype(np.int64)


def fitted(
    neuron: PlainIF, arriving: NDArray[np.int64], target: NDArray[np.float64], steps: int
) -> tuple[PlainIF, tuple[float, float]]:
    """The unit with the threshold and bias of each channel that bring its numbers of spikes closest to a target.

    Args:
        arriving: shape (step, sample, *population).
        target: numbers of spikes, shape (sample, *population).

    Returns:
        The unit, and the mean square error before and after.
    """
    axes = (0, *range(2, target.ndim))
    spread = (-1, *(1,) * (target.ndim - 2))

    def error(candidate: PlainIF) -> tuple[Floats, Floats]:
        missing = target - fire(candidate, arriving).sum(axis=0, dtype=np.int64)
        return np.square(missing).mean(axis=axes), missing.mean(axis=axes)

    threshold = np.broadcast_to(neuron.threshold, (target.shape[1], *(1,) * (target.ndim - 2)))
    initial = np.broadcast_to(neuron.initial, threshold.shape)
    best = PlainIF(threshold, initial, neuron.bias)
    least: Floats
    mean: Floats
    least, mean = error(best)
    first = float(least.mean())
    for factor in FACTORS:
        candidate = PlainIF(
            np.maximum(np.rint(threshold * factor), 1).astype(np.int64),
            np.rint(initial * factor).astype(np.int64),
            neuron.bias,
        )
        found, _ = error(candidate)
        better = (found < least).reshape(spread)
        best = _chosen(better, candidate, best)
        least = np.minimum(found, least)
    least, mean = error(best)
    for _ in range(ROUNDS):
        shift = np.rint(mean.reshape(spread) * best.threshold).astype(np.int64)
        candidate = PlainIF(best.threshold, best.initial, best.bias + shift)
        found, left = error(candidate)
        better = found < least
        best = _chosen(better.reshape(spread), candidate, best)
        least, mean = np.where(better, found, least), np.where(better, left, 0.0)
    return best, (first, float(least.mean()))


def _chosen(better: NDArray[np.bool_], a: PlainIF, b: PlainIF) -> PlainIF:
    """One unit where it is better, the other elsewhere."""
    return PlainIF(
        np.where(better, a.threshold, b.threshold),
        np.where(better, a.initial, b.initial),
        np.where(better, a.bias, b.bias),
    )


def fire(neuron: PlainIF, arriving: NDArray[np.int64]) -> NDArray[np.int8]:
    """Spikes of plain integrate-and-fire units for what arrives in each step, shape (step, sample, *population)."""
    steps = len(arriving)
    v = np.array(np.broadcast_to(neuron.initial, arriving.shape[1:]), dtype=np.int64)
    bias = _split(neuron.bias, steps)
    spikes = np.empty(arriving.shape, dtype=np.int8)
    for t in range(steps):
        v += arriving[t]
        v += bias[t]
        spikes[t] = v >= neuron.threshold
        v -= spikes[t] * neuron.threshold
    return spikes


def _split(total: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    """Shares of a total in each step, as the contract splits it."""
    each, rest = np.divmod(total, steps)
    return np.stack([each + (t + 1) * rest // steps - t * rest // steps for t in range(steps)])
