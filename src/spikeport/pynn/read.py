"""From PyNN's objects to a network: populations, synapses, sources, and what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem, PyNNError
from spikeport.network import Network, OneToOne, Port, Sparse
from spikeport.primitives import Approximation, DynamicsContract
from spikeport.primitives.approximation import remark
from spikeport.pynn.cells import MS, RECEPTORS, Cells, Reading, cells_of
from spikeport.pynn.imported import Flow, Imported, Rates, Spikes
from spikeport.pynn.parts import Names, Parts, given, kind_of, numbers, spike_times
from spikeport.pynn.simulators import Like, Simulator, module_of, simulator_of
from spikeport.pynn.synapses import Synapses, rule_of, synapses_of

SOURCES = ("SpikeSourceArray", "SpikeSourcePoisson")
RECORDED = {"spikes": "spikes", "v": "v", "V_m": "v"}


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Synapses of one projection between two populations; an assembly has several."""

    projection: Any
    source: Any
    target: Any
    receptor: str
    synapses: Synapses


def from_pynn(
    *parts: Any, like: Like | None = None, dt: float | None = None, conductances_at: float | None = None, seed: int = 0
) -> Imported:
    """Read a network that was built with PyNN in this process, whatever simulator's module it was built with.

    Populations become populations of the same name with potentials in millivolts, projections synapses one by one, with the weights and
    delays that they have now, and sources inputs. `IF_curr_exp`, `IF_curr_delta` and `Izhikevich` step as the simulator steps them; spikes are
    equal where rounding decides nothing. PyNN itself is not imported.

    Args:
        parts: projections, which bring their populations; populations, views and assemblies without any; pairs (current source, cells); lists
            of them, or a `pyNN.network.Network`.
        like: the simulator whose steps are meant, "nest" or "brian2"; None: the one that it was built for.
        dt: duration of a step in seconds; None: that of the simulator.
        conductances_at: the potential, in millivolts, at which conductances (`IF_cond_exp`) become currents: a ledger entry; None refuses them.
        seed: of Poisson sources.

    Raises:
        PyNNError: cells, synapses or sources that have no form here; all of them by label.
        OptionError: an option out of range.
    """
    found = Parts()
    for part in parts:
        found.add(part)
    if not found.populations and not found.problems:
        found.problems.append(Problem("from_pynn", "was given no population", "projections, or populations"))
    if found.problems:
        raise PyNNError(found.problems)
    module = module_of(found.populations[0])
    simulator, said = simulator_of(module, like)
    step = dt / MS if dt is not None else float(module.get_time_step()) if module is not None else 0.1
    ledger: list[Approximation] = [remark("network", said)] if said else []
    shift = float(module.get_min_delay()) if getattr(module, "__name__", "") == "pyNN.nest" else 0.0
    reading = Reading(simulator, step, shift, conductances_at, [], ledger)
    if getattr(getattr(getattr(module, "simulator", None), "state", None), "spike_precision", "") == "off_grid":
        what = 'spikes lie on steps; this NEST has them between steps: setup(spike_precision="on_grid") has not'
        ledger.append(Approximation("network", what, step * MS, "s"))
    return _Reader(found, reading, seed).imported()


class _Reader:
    """The network as it grows."""

    def __init__(self, found: Parts, reading: Reading, seed: int) -> None:
        self.found, self.reading, self.seed = found, reading, seed
        self.problems, self.ledger = reading.problems, reading.ledger
        names = Names()
        self.names = {id(p): names.name(p.label) for p in found.populations}
        self.taken = names
        self.places = {int(cell): (p, i) for p in found.populations for i, cell in enumerate(p.all_cells)}
        self.network = Network("pynn")
        self.ports: dict[int, Port] = {}
        self.currents: dict[tuple[int, str], Port] = {}
        """Populations of synaptic currents, by population and receptor."""
        self.cells: dict[int, Cells] = {}

    def imported(self) -> Imported:
        for p in self.found.populations:
            if self.names[id(p)] != p.label:
                self.ledger.append(remark(self.names[id(p)], f"is the name of {p.label!r} here"))
        pieces = [piece for projection in self.found.projections for piece in self._pieces(projection)]
        sources = {self.names[id(p)]: self._source(p, i) for i, p in enumerate(self.found.populations) if _is_source(p)}
        for p in self.found.populations:
            if not _is_source(p):
                self._population(p, {piece.receptor for piece in pieces if piece.target is p})
        for piece in pieces:
            self._connect(piece)
        flows = tuple(flow for source, cells in self.found.injections for flow in self._flows(source, cells))
        if self.problems:
            raise PyNNError(self.problems)
        for p in self.found.populations:
            self._recorded(p)
        contract = DynamicsContract(
            dt=self.reading.dt * MS,
            integrator="exponential",
            synapse="delta",
            compare=self.reading.simulator.compare,
            layer_latency=1,
            current_order="old",
        )
        return Imported(
            self.network,
            contract,
            tuple(self.ledger),
            self.reading.simulator,
            self.names,
            {name: source for name, source in sources.items() if source is not None},
            flows,
        )

    def _pieces(self, projection: Any) -> list[_Piece]:
        found = synapses_of(projection, self.reading.dt, self.problems, self.ledger)
        if found is None:
            return []
        receptor = projection.receptor_type
        if receptor not in RECEPTORS:
            where = f"{projection.pre.label} -> {projection.post.label}"
            hint = " or ".join(map(repr, RECEPTORS))
            self.problems.append(Problem(where, f"ends at receptors of type {receptor!r}", hint))
            return []
        ends = []
        for group, cells in ((projection.pre, found.pre), (projection.post, found.post)):
            places = [self.places[int(cell)] for cell in group.all_cells]
            of = np.array([self.found.populations.index(p) for p, _ in places], dtype=np.int64)
            ends.append((of[cells], np.array([i for _, i in places], dtype=np.int64)[cells]))
        (sources, pre), (targets, post) = ends
        pieces = []
        for source, target in sorted(set(zip(sources.tolist(), targets.tolist(), strict=True))):
            here = (sources == source) & (targets == target)
            synapses = Synapses(pre[here], post[here], found.weight[here], found.delay[here])
            a, b = self.found.populations[source], self.found.populations[target]
            pieces.append(_Piece(projection, a, b, receptor, synapses))
        return pieces

    def _source(self, population: Any, number: int) -> Spikes | Rates | None:
        name, n = self.names[id(population)], population.size
        self.ports[id(population)] = self.network.input(name, n)
        if kind_of(population.celltype) == "SpikeSourcePoisson":
            rate, start, lasts = (np.broadcast_to(numbers(population, x), (n,)) for x in ("rate", "start", "duration"))
            self.ledger.append(
                remark(name, "draws spikes of its own: the rates are those of the simulator, the spikes are not")
            )
            return Rates(rate, start * MS, (start + lasts) * MS, self.seed + number)
        times = spike_times(population)
        all_times = np.concatenate([*times, np.zeros(0)])
        lines = np.repeat(np.arange(n), [len(t) for t in times])
        steps = self.reading.simulator.source_step(all_times, self.reading.dt, self.reading.min_delay)
        if not np.isfinite(all_times).all() or (steps < 0).any():
            first = "more than 0" if self.reading.simulator.recorded else "0 or more"
            self.problems.append(Problem(name, "has spikes before the first step", f"times of {first} milliseconds"))
            return None
        shift = (steps + self.reading.simulator.recorded) * self.reading.dt - all_times
        if (np.abs(shift) > 1e-9 * np.maximum(1, all_times)).any():
            what = f"{np.count_nonzero(np.abs(shift) > 1e-9 * np.maximum(1, all_times))} of its spikes lie between steps, and are moved to steps as {self.reading.simulator.name} moves them"
            self.ledger.append(remark(name, what))
        order = np.lexsort((lines, steps))
        return Spikes(steps[order], lines[order])

    def _population(self, population: Any, receptors: set[str]) -> None:
        name = self.names[id(population)]
        cells = cells_of(population, name, receptors, self.reading)
        if cells is None:
            return
        self.cells[id(population)] = cells
        port = self.ports[id(population)] = self.network.population(name, population.size, cells.neuron)
        for receptor, synaptic in cells.apart.items():
            current = self.network.population(self.taken.name(f"{name} {receptor}"), population.size, synaptic.neuron)
            self.network.connect(current, port, OneToOne(np.broadcast_to(synaptic.weight, (population.size,))))
            self.currents[id(population), receptor] = current

    def _connect(self, piece: _Piece) -> None:
        where = f"{self.names[id(piece.source)]} -> {self.names[id(piece.target)]}"
        if id(piece.target) not in self.cells or id(piece.source) not in self.ports:
            if _is_source(piece.target):
                self.problems.append(Problem(where, "ends at a source, which takes no spikes"))
            return
        cells, synapses = self.cells[id(piece.target)], piece.synapses
        scale = np.asarray(cells.scale[piece.receptor])
        target = self.currents.get((id(piece.target), piece.receptor), self.ports[id(piece.target)])
        rule = None
        if kind_of(piece.projection.synapse_type) != "StaticSynapse":
            if scale.ndim:
                self.problems.append(Problem(where, "learns, and its weights mean something else for each target"))
                return
            rule = rule_of(piece.projection, float(scale), self.problems)
            if rule is not None and target is not self.ports[id(piece.target)]:
                why = "learns from spikes of cells whose synaptic currents are populations of their own"
                self.problems.append(Problem(where, why, "one time constant for excitatory and inhibitory synapses"))
                return
        weight = synapses.weight * (scale[synapses.post] if scale.ndim else scale)
        delay = synapses.delay * (self.reading.dt * MS)
        self.network.connect(
            self.ports[id(piece.source)],
            target,
            Sparse(synapses.pre, synapses.post, weight, delay),
            plasticity=rule,
        )

    def _flows(self, source: Any, cells: Any) -> list[Flow]:
        kind = kind_of(source)
        values = _current(source, kind, self.reading.simulator, self.reading.dt)
        if values is None:
            hint = "DCSource or StepCurrentSource; other currents can be given to spikeport.run"
            self.problems.append(Problem(kind, "is a current that has no form here", hint))
            return []
        by: dict[int, list[int]] = {}
        for cell in getattr(cells, "all_cells", cells):
            if int(cell) not in self.places:
                self.problems.append(
                    Problem(
                        kind,
                        f"flows into cell {int(cell)}, which is none of these populations",
                        "give its population too",
                    )
                )
                return []
            population, i = self.places[int(cell)]
            by.setdefault(self.found.populations.index(population), []).append(i)
        return [
            Flow(self.names[id(self.found.populations[p])], np.array(which, dtype=np.int64), *values)
            for p, which in by.items()
        ]

    def _recorded(self, population: Any) -> None:
        """Probes where PyNN records; of whole populations."""
        recorded: Mapping[Any, Any] = getattr(getattr(population, "recorder", None), "recorded", {})
        port, name = self.ports[id(population)], self.names[id(population)]
        for variable in sorted({str(getattr(v, "name", v)) for v, cells in recorded.items() if len(cells)}):
            if _is_source(population):
                self.ledger.append(remark(name, f"its {variable} are what it was given: they are not recorded"))
            elif variable in RECORDED:
                self.network.probe(port, RECORDED[variable])  # type: ignore[arg-type]  # of a closed table
            else:
                self.ledger.append(Approximation(name, f"{variable} is not recorded here", 0.0, ""))
        if not _is_source(population):
            self.network.output(name, port)


def _is_source(population: Any) -> bool:
    return kind_of(population.celltype) in SOURCES


def _current(
    source: Any, kind: str, simulator: Simulator, dt: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Steps from which on an amplitude holds; None: a current of another kind."""
    if kind == "DCSource":
        said = {name: float(np.asarray(value).flat[0]) for name, value in given(source).items()}
        times, values = np.array([said["start"], said["stop"]]), np.array([said["amplitude"], 0.0])
    elif kind == "StepCurrentSource":
        kept = given(source)
        times, values = (
            np.asarray(getattr(kept[x], "value", kept[x]), dtype=np.float64) for x in ("times", "amplitudes")
        )
    else:
        return None
    return np.rint(np.minimum(times, 1e15) / dt).astype(np.int64), values
