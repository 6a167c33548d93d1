"""Population code on the CUBA-LIF units that the chips have: nothing but what Lava's and nengo-loihi's own models do.

Level k of an activation is one unit of `FixedCubaLIF`, with du = 4095 and dv = 4096: u and v keep nothing of the step before, so

    u = 64 a,  v = u,  and the unit fires where 64 a > threshold = 0,

a being what arrives in the step. Silence is a = 0, which does not fire: the comparison is strict. What fires is reset to 0, which
is what it keeps anyway: a hard reset is harmless.

Lemma. Let the whole input of a bank, sum W n, arrive in one step, together with c_k = h + b - k th + 1 (c_k = h + b - c[k] + 1 on a
staircase), and nothing in any other. Then unit k fires once, in that step, if U = h + b + sum W n >= k th, and else never.

Proof. In that step a = U - k th + 1, an integer, and 64 a > 0 exactly if U >= k th; in all others a = 0. This needs that 64 a is in
the register: loihi2 wraps u above 2^23, so |a| < 2^17; loihi1 wraps what arrives at 2^21, so -2^15 <= a < 2^15. Both are checked by
intervals of what sources can send, and refused beyond.

The wave. Populations have depths (`spikeport.backends.loihi.skew`), and delays align all that a population gets in the step of its
depth, skips too. One line, "wave", sends one spike in step 0 of each sample; it reaches the population of depth d with the delay
d - 1, and its weights into unit k are c_k: so biases and levels travel with the wave, and an idle chip is silent, whatever the
biases. A c_k wider than 8 bits is several synapses with exponents (`spikeport.backends.loihi.digits`).

A maximum of banks is an OR of their units k, since lower units of a bank fire whenever higher ones do: weights 1 and no c_k. The
read-out keeps v (dv = 0) and never fires: its threshold is the highest there is, (2^17 - 1) << 6, and |U| < 2^17; its potential is v / 64.

Weights w are stored as 2 w with exponent -1. What the host puts in arrives over lines of its own, a step after it was sent: as
graded spikes on loihi2, on loihi1, whose spikes are binary, as one line for each binary digit of a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.loihi.compiled import rectangles
from spikeport.backends.loihi.digits import split_chain
from spikeport.backends.loihi.engine import Chunk
from spikeport.backends.loihi.fixed import place_fixed
from spikeport.backends.loihi.placed import Chip, apply_chain, with_weights
from spikeport.backends.loihi.programmable import fed_by_host, limits, line_of, on_chip
from spikeport.backends.loihi.skew import Edge, delay_of, delay_problems, depths
from spikeport.backends.loihi.tiles import Chain, tiled
from spikeport.backends.loihi.view import View
from spikeport.errors import LowerError, Problem
from spikeport.lower import Part, Placement
from spikeport.plugin import Step
from spikeport.primitives import (
    Accumulator,
    Approximation,
    Connection,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    Ledger,
    MaxUnit,
    Pad,
    Population,
    Projection,
    Reshape,
    Shape,
    SpikeInput,
    SpikingNetwork,
    StaircaseBank,
    SumPool,
    Synapse,
    UnitBank,
)
from spikeport.targets import Target

Integers = NDArray[np.int64]
WAVE = "wave"
"""The line that starts everything."""
HIGHEST = (2**17 - 1) << 6
"""Threshold that no potential within the bounds exceeds."""
REACH: dict[Chip, tuple[int, int]] = {"loihi1": (-(2**15), 2**15 - 1), "loihi2": (1 - 2**17, 2**17 - 1)}
"""What may arrive in a unit in one step."""


@dataclass(frozen=True)
class CubaView(View):
    """Groups hold units of levels: neuron (c, ...) is units (c L + k, ...), k = 0 .. L - 1."""

    network: DynamicNetwork | None = None
    """What the chip runs: the same network that a simulator of its vendor can be given."""
    units: dict[str, int] = field(default_factory=dict)
    """Of one neuron of a population; 0 of the read-out, which is one unit that never fires."""
    levels: dict[str, Integers] = field(default_factory=dict)
    """Of each bank: U - a of its first unit, which shows what U was."""
    shapes: dict[str, Shape] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    """Binary digits of an input or current that enters by digits, its sign included."""

    def parts(self, placement: Placement) -> tuple[Part, ...]:
        found = []
        for part in placement.parts:
            units, shape = max(1, self.units[part.population]), self.shapes[part.population]
            inner = prod(shape[1:])
            for (a, b), (first, last) in rectangles(shape, part.start, part.stop):
                if b - a == inner:
                    found.append((part.population, first * units * inner, last * units * inner, part.core))
                    continue
                for k in range(first * units, last * units):
                    found.append((part.population, k * inner + a, k * inner + b, part.core))
        return tuple(Part(*entry) for entry in found)

    def enter(self, name: str, payloads: Integers) -> dict[str, Integers]:
        return self._digits(name, payloads)

    def feed(self, name: str, currents: Integers) -> dict[str, Integers]:
        return self._digits(line_of(name), currents)

    def _digits(self, name: str, values: Integers) -> dict[str, Integers]:
        if name not in self.widths:
            return {name: values}
        return {digit_line(name, b): (values >> b) & 1 for b in range(self.widths[name])}

    def asked(self, record: Any, potentials: Any) -> dict[str, Any]:
        return {
            "record": [n for n in record if self.units[n] > 0],
            "potentials": [n for n in potentials if self.units[n] == 0],
            "seconds": [n for n in potentials if n in self.levels],
        }

    def shown(self, chunk: Chunk, first: int) -> Step:
        spikes = {
            name: self._by_neuron(name, raster).sum(axis=3, dtype=np.int32) for name, raster in chunk.rasters.items()
        }
        potentials = {name: values >> 6 for name, values in chunk.potentials.items()}
        for name, values in chunk.seconds.items():
            lowest = self._by_neuron(name, values)[:, :, :, 0]
            now = first + np.arange(len(values)) == self.offsets[name]
            shown = np.where(now.reshape(-1, *(1,) * (lowest.ndim - 1)), (lowest >> 6) + self.levels[name], 0)
            potentials[name] = shown
        return Step(spikes, potentials)

    def _by_neuron(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """(time, batch, channel, unit, *space)."""
        shape = self.shapes[name]
        return values.reshape(*values.shape[:2], shape[0], self.units[name], *shape[1:])


def digit_line(name: str, digit: int) -> str:
    """Name of the lines that carry one binary digit."""
    return f"{name} bit {digit}"


def carry(network: SpikingNetwork, chip: Chip, target: Target | None) -> tuple[CubaView, Ledger]:
    """A network under the population code, as a network of CUBA-LIF units.

    Raises:
        LowerError: another code, a population that has no such form, or sums that the registers do not hold; all by name.
    """
    if network.contract.code != "population":
        why = f"is under the {network.contract.code} code, and CUBA-LIF units carry the population code"
        raise LowerError(Problem(network.name, why, 'code="population"'))
    return _Builder(network, chip, target).build()


class _Builder:
    def __init__(self, network: SpikingNetwork, chip: Chip, target: Target | None) -> None:
        self.network, self.chip = network, chip
        self.longest, self.largest = limits(target)
        self.host = network.on_host()
        self.fed = fed_by_host(network)
        self.kept = [p for p in network.populations if p.name not in self.host]
        self.connections = on_chip(network)
        self.problems: list[Problem] = []
        self.lines: list[SpikeInput] = []
        self.projections: list[Projection] = []
        self.widths: dict[str, int] = {}

    def build(self) -> tuple[CubaView, Ledger]:
        network = self.network
        events = network.input.kind == "events"
        sources = [network.input.name] if events else []
        edges = [Edge(c.source, c.target, 0) for c in self.connections]
        aligned = [*edges, *(Edge(WAVE, p.name, 0) for p in self.kept)]
        depth = depths([*sources, WAVE], [p.name for p in self.kept], aligned)
        self.problems += delay_problems(aligned, depth, self.longest)
        ranges = self._ranges()
        for population in self.kept:
            if isinstance(population.neuron, MaxUnit):
                self._or_problems(population)
        self._bounds(ranges)
        if self.problems:  # what would not fit into registers would not fit into weights either
            raise LowerError(self.problems)
        levels: dict[str, Integers] = {}
        populations = []
        self.lines.append(SpikeInput(WAVE, (1,)))
        if events:
            self._enter(network.input.name, network.input.shape, 0, network.input.high)
        for name in self.fed:
            low, high = ranges[line_of(name)]
            self._enter(line_of(name), network[name].shape, int(low.min()), int(high.max()))
        for population in self.kept:
            populations.append(self._population(population, depth, levels))
        for connection, edge in zip(self.connections, edges, strict=True):
            self._connect(connection.source, connection.target, connection.synapses, delay_of(edge, depth))
        for name in self.fed:
            self._connect(line_of(name), name, (), 0)
        if self.problems:
            raise LowerError(self.problems)
        dynamic = DynamicNetwork(
            network.name,
            tuple(self.lines),
            tuple(populations),
            tuple(self.projections),
            DynamicsContract.loihi(self.chip),
        )
        prompt = frozenset(line.name for line in self.lines if line.name.split(" bit ")[0] in map(line_of, self.fed))
        view = CubaView(
            replace(place_fixed(dynamic), prompt=prompt),
            offsets={p.name: depth[p.name] for p in self.kept},
            at_once=frozenset([WAVE]),
            network=dynamic,
            units={p.name: 0 if isinstance(p.neuron, Accumulator) else self._units(p.name) for p in self.kept},
            levels=levels,
            shapes={p.name: p.shape for p in self.kept},
            widths=self.widths,
        )
        compared = (
            "equal to the vendor's model in the compared cases (bench/oracle_lava.py, bench/oracle_nengo_loihi.py)"
        )
        ledger = [Approximation(network.name, f"CUBA-LIF units, population code: {compared}", 0.0)]
        ledger += [Approximation(name, "its static input is weighed by the host", 0.0) for name in self.fed]
        return view, tuple(ledger)

    # ---- what arrives at most

    def _ranges(self) -> dict[str, tuple[Integers, Integers]]:
        """Least and largest value of each source, and of what the host adds up for each population it feeds."""
        network, encoder = self.network, self.network.input
        whole = np.ones(encoder.shape, np.int64)
        low = 0 if encoder.kind == "events" else min(encoder.low, 0)
        found = {encoder.name: (low * whole, max(encoder.high, 0) * whole)}
        for population in network.populations:
            neuron, shape = population.neuron, population.shape
            if population.name in self.host:
                found[population.name] = self._sums(network.incoming(population.name), found)
                assert isinstance(neuron, MaxUnit)
                ends = [end.min() for end in found[population.name][:1]] + [found[population.name][1].max()]
                found[population.name] = tuple(np.full(shape, end, np.int64) for end in ends)  # type: ignore[assignment]
                continue
            units = self._units(population.name)
            found[population.name] = (np.zeros(shape, np.int64), np.full(shape, units, np.int64))
            if population.name in self.fed:
                host = tuple(c for c in network.incoming(population.name) if c.source in self.host)
                found[line_of(population.name)] = self._sums(host, found)
        return found

    def _sums(
        self, connections: tuple[Connection, ...], ranges: dict[str, tuple[Integers, Integers]]
    ) -> tuple[Integers, Integers]:
        """Interval of what connections deliver, flat."""
        low: Any = 0
        high: Any = 0
        for connection in connections:
            source = ranges[connection.source]
            plus = tuple(with_weights(s, lambda w: np.maximum(w, 0).astype(np.int64)) for s in connection.synapses)
            minus = tuple(with_weights(s, lambda w: np.minimum(w, 0).astype(np.int64)) for s in connection.synapses)
            weighted = connection.weighted is not None
            up = [apply_chain(plus, end[None])[0] for end in source]
            down = [apply_chain(minus, end[None])[0] if weighted else 0 for end in source]
            low, high = low + up[0] + down[1], high + up[1] + down[0]
        return low, high

    def _bounds(self, ranges: dict[str, tuple[Integers, Integers]]) -> None:
        least, most = REACH[self.chip]
        for population in self.kept:
            if isinstance(population.neuron, MaxUnit):
                continue
            low, high = self._sums(self.network.incoming(population.name), ranges)
            constants = [c.reshape(-1) for c in self._constants(population)]
            bottom = int((low + np.minimum.reduce(constants)).min())
            top = int((high + np.maximum.reduce(constants)).max())
            if bottom < least or top > most:
                why = f"may get from {bottom:,} to {top:,} in one step, and CUBA-LIF of {self.chip} holds {least:,} to {most:,}"
                self.problems.append(Problem(population.name, why, "fewer levels, or fewer weight_bits"))

    # ---- units

    def _units(self, name: str) -> int:
        """Of one neuron; 1 of a read-out."""
        neuron = self.network[name].neuron
        if isinstance(neuron, UnitBank | StaircaseBank):
            return neuron.units
        if isinstance(neuron, MaxUnit):
            sources = {c.source for c in self.network.incoming(name)} - {self.network.input.name}
            return max((self._units(source) for source in sources), default=1)
        return 1

    def _constants(self, population: Population) -> list[Integers]:
        """c_k of each unit, in the shape of the population."""
        neuron, shape = population.neuron, population.shape

        def whole(values: Any) -> Integers:
            return np.broadcast_to(np.asarray(values, np.int64), shape)

        match neuron:
            case UnitBank():
                base = whole(neuron.initial) + whole(neuron.bias) + 1
                return [base - k * whole(neuron.threshold) for k in range(1, neuron.units + 1)]
            case StaircaseBank():
                base = whole(neuron.initial) + whole(neuron.bias) + 1
                return [base - whole(row) for row in neuron.steps]
            case Accumulator():
                return [whole(neuron.bias)]
        raise AssertionError("has no constants")

    def _population(
        self, population: Population, depth: dict[str, int], levels: dict[str, Integers]
    ) -> DynamicPopulation:
        name, shape, neuron = population.name, population.shape, population.neuron
        units = self._units(name)
        wide = (shape[0] * units, *shape[1:])
        if isinstance(neuron, UnitBank | StaircaseBank | Accumulator):
            constants = np.stack(self._constants(population), axis=1).reshape(-1, 1)
            if not isinstance(neuron, Accumulator):
                levels[name] = population_base(population) - self._constants(population)[0]
            chain: Chain = (Dense(constants), Reshape(wide))
            self._project(WAVE, name, chain, depth[name] - 1)
        kept = isinstance(neuron, Accumulator)
        unit = FixedCubaLIF(du=4095, dv=0 if kept else 4096, threshold=HIGHEST if kept else 0)
        return DynamicPopulation(name, wide, unit)

    def _or_problems(self, population: Population) -> None:
        """A maximum is an OR only of banks that reach it one by one, channel by channel."""
        incoming = self.network.incoming(population.name)
        sources = [self.network.by_name.get(c.source) for c in incoming]
        banks = all(s is not None and isinstance(s.neuron, UnitBank | StaircaseBank | MaxUnit) for s in sources)
        routed = all(isinstance(s, Pad) and s.width[0] == (0, 0) for c in incoming for s in c.synapses)
        dilated = isinstance(population.neuron, MaxUnit) and any(d != 1 for d in population.neuron.window.dilation)
        if len(incoming) != 1 or not banks or not routed or dilated:
            why = "is a maximum that CUBA-LIF units do not take: over sums, a dilated window, or what was moved before"
            self.problems.append(
                Problem(population.name, why, 'pooling="average", or the maximum right behind its layer')
            )

    # ---- synapses

    def _enter(self, name: str, shape: Shape, low: int, high: int) -> None:
        """Lines of numbers from `low` to `high`."""
        if self.chip == "loihi2":
            self.lines.append(SpikeInput(name, shape))
            return
        width = max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1
        self.widths[name] = width
        self.lines += [SpikeInput(digit_line(name, b), shape) for b in range(width)]

    def _connect(self, source: str, target: str, synapses: tuple[Synapse, ...], delay: int) -> None:
        """A connection between banks, or from numbers that enter."""
        neuron = self.network[target].neuron
        units = self._units(target)
        if isinstance(neuron, MaxUnit):
            window = SumPool(neuron.window.kernel, neuron.window.stride, neuron.window.padding)
            self._project(source, target, (*synapses, window), delay)
            return
        lines = [(source, 1)]
        if source in self.widths:
            width = self.widths[source]
            lines = [(digit_line(source, b), -(1 << b) if b == width - 1 else 1 << b) for b in range(width)]
        fan = self._units(source) if source in self.network.by_name else 1
        shape = self._shape(source)
        for line, worth in lines:
            chain = tiled(synapses, shape, self.network[target].shape, fan, units)
            scaled = tuple(with_weights(s, lambda w, worth=worth: np.asarray(w, np.int64) * worth) for s in chain)
            self._project(line, target, scaled, delay)

    def _shape(self, source: str) -> Shape:
        if source in self.network.by_name:
            return self.network[source].shape
        if source == self.network.input.name:
            return self.network.input.shape
        return next(self.network[name].shape for name in self.fed if line_of(name) == source)

    def _project(self, source: str, target: str, chain: Chain, delay: int) -> None:
        """With stored weights of 8 bits."""
        for part, exponent in split_chain(chain):
            if exponent > self.largest:
                why = f"has weights that need the exponent {exponent} in synapses of 8 bits, and the largest is {self.largest}"
                self.problems.append(Problem(f"{source} -> {target}", why, "fewer levels, or fewer weight_bits"))
                return
            self.projections.append(Projection(source, target, part, delay=max(delay, 0), exponent=exponent))


def population_base(population: Population) -> Integers:
    """U before anything arrives."""
    neuron: Any = population.neuron
    return np.broadcast_to(np.asarray(neuron.initial, np.int64) + np.asarray(neuron.bias, np.int64), population.shape)
