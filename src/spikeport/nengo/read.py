"""Read a network that Nengo built, object by object: what it made of each stands in its model, and nothing is solved or drawn again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NengoError, OptionError, Problem
from spikeport.nengo.draft import Draft, Refused
from spikeport.nengo.learning import Learned, rule_of
from spikeport.nengo.model import NengoModel, Told
from spikeport.nengo.names import connections, paths
from spikeport.nengo.neurons import Built, add_neurons
from spikeport.nengo.nodes import Source, generators, of_function, of_process
from spikeport.nengo.probes import Readout, What
from spikeport.nengo.wiring import filtered, scaled, synapses_of
from spikeport.primitives import Approximation, Dense, DynamicsContract, OneToOne, Relay, remark

if TYPE_CHECKING:
    import nengo

DT = 1e-3
"""Nengo's own default."""


def from_nengo(given: nengo.Network | nengo.Simulator, *, dt: float | None = None, plain: bool = False) -> NengoModel:
    """See `spikeport.from_nengo`."""
    try:
        import nengo
    except ImportError as error:
        raise OptionError(Problem("from_nengo", "needs Nengo", "pip install 'spikeport[nengo]'")) from error
    if isinstance(given, nengo.Simulator):
        if dt is not None and dt != given.dt:
            raise OptionError(
                Problem("dt", f"is {dt:g} s, and the simulator was built for {given.dt:g} s", "leave it out")
            )
        return Reader(given, plain).read()
    if not isinstance(given, nengo.Network):
        hint = "a nengo.Network, or a nengo.Simulator of Nengo itself"
        raise OptionError(Problem("network", f"is a {type(given).__name__}", hint))
    with nengo.Simulator(given, dt=DT if dt is None else dt, progress_bar=False) as simulator:
        return Reader(simulator, plain).read()


@dataclass(frozen=True, slots=True)
class Neurons:
    """An ensemble as it was added."""

    name: str
    size: int
    worth: float
    """What a spike is in Nengo, amplitude / dt; 1 of a direct one, which sends its input."""
    input: str
    """Where decoded values arrive."""
    direct: bool


@dataclass
class Reader:
    """One pass over a simulator's model."""

    simulator: Any
    plain: bool
    draft: Draft = field(init=False)
    ensembles: dict[Any, Neurons] = field(default_factory=dict)
    nodes: dict[Any, str] = field(default_factory=dict)
    """Inputs and relays."""
    sinks: set[Any] = field(default_factory=set)
    sources: dict[str, Source] = field(default_factory=dict)
    given_by: dict[Any, tuple[str, int]] = field(default_factory=dict)
    """What connections give, behind their synapses, and the delay of it."""
    errors: dict[Any, str] = field(default_factory=dict)
    """Where that of a rule arrives."""
    learned: dict[Any, Learned] = field(default_factory=dict)
    readouts: dict[Any, Readout] = field(default_factory=dict)

    def __post_init__(self) -> None:
        contract = DynamicsContract(dt=self.simulator.dt, integrator="exponential")
        self.draft = Draft(contract)

    def read(self) -> NengoModel:
        """The whole.

        Raises:
            NengoError: everything that cannot be carried, by path.
        """
        top, model = self.simulator.model.toplevel, self.simulator.model
        if top is None:
            raise NengoError(Problem("simulator", "was built from no network", "nengo.Simulator(network)"))
        if getattr(self.simulator, "n_steps", 0):
            self.draft.ledger.append(
                remark("simulator", "has run: the network begins with the state before its first step")
            )
        if not model.seeded.get(top, False):
            what = "has no seed: another build of it has other neurons"
            self.draft.ledger.append(remark(str(top.label or "network"), what))
        names = paths(top, self.draft)
        drawn = list(generators(self.simulator))
        for obj, path in names.items():
            with self.draft.problems_of(path):
                if hasattr(obj, "neuron_type"):
                    self._ensemble(obj, path, drawn)
                else:
                    self._node(obj, path, drawn)
        for conn in connections(top):
            name = self._name(conn, names)
            with self.draft.problems_of(name):
                self._connection(conn, name)
        for probe in model.probes:
            self._probe(probe, names)
        told = tuple(t for t in (self._told(conn) for conn in self.learned) if t is not None)
        network = self.draft.network(str(top.label or "nengo"))
        return NengoModel(network, self.sources, names, self.readouts, told)

    def _name(self, conn: Any, names: dict[Any, str]) -> str:
        """A name for what a connection needs."""
        if conn.label:
            return str(conn.label).translate(str.maketrans("/.", "__"))

        def end(obj: Any) -> str:
            obj = getattr(obj, "ensemble", obj)
            if hasattr(obj, "connection"):
                return f"learning of {self._name(obj.connection, names)}"
            return names.get(obj, "probe")

        return f"{end(conn.pre_obj)} to {end(conn.post_obj)}"

    def _ensemble(self, ens: Any, path: str, drawn: list[Any]) -> None:
        import nengo

        model, draft = self.simulator.model, self.draft
        if isinstance(ens.neuron_type, nengo.Direct):
            draft.population(path, ens.dimensions, Relay())
            self.ensembles[ens] = Neurons(path, ens.dimensions, 1.0, path, True)
            return
        built, signals = model.params[ens], model.sig[ens.neurons]
        worth = add_neurons(
            draft,
            Built(
                path,
                ens.n_neurons,
                ens.neuron_type,
                np.asarray(built.bias, dtype=np.float64),
                lambda name: np.array(signals[name].initial_value, dtype=np.float64),
                self.plain,
            ),
        )
        entrance = draft.population(draft.free(f"{path}/input"), ens.dimensions, Relay())
        draft.project(entrance, path, (Dense(np.asarray(built.scaled_encoders, dtype=np.float64)),))
        self.ensembles[ens] = Neurons(path, ens.n_neurons, worth, entrance, False)
        if ens.noise is not None:
            name = draft.free(f"{path}/noise")
            self._process(name, ens.n_neurons, ens.noise, signals["in"], drawn)
            draft.project(name, path, (OneToOne(np.ones(ens.n_neurons)),))

    def _node(self, node: Any, path: str, drawn: list[Any]) -> None:
        from nengo.processes import Process

        draft, output = self.draft, node.output
        if output is None:
            if node.size_in:
                draft.population(path, node.size_in, Relay())
                self.nodes[node] = path
        elif isinstance(output, np.ndarray):
            draft.population(path, node.size_out, Relay(bias=np.asarray(output, dtype=np.float64)))
            self.nodes[node] = path
        elif node.size_out == 0:
            self.sinks.add(node)
            draft.ledger.append(Approximation(path, "gives nothing to the network, and is not called", 0.0))
        elif node.size_in:
            why = "computes in Python from what arrives, in every step"
            raise Refused(why, "split the network there: a node without inputs, or neurons that compute it")
        elif isinstance(output, Process):
            self._process(path, node.size_out, output, self.simulator.model.sig[node]["out"], drawn)
            self.nodes[node] = path
        else:
            draft.input(path, node.size_out)
            self.sources[path] = of_function(path, node.size_out, output)
            self.nodes[node] = path

    def _process(self, name: str, size: int, process: Any, signal: Any, drawn: list[Any]) -> None:
        """An input with the numbers that the simulator draws for it."""
        found = [rng for given, output, rng in drawn if given is process and output is signal]
        found = found or [rng for given, _, rng in drawn if given is process]
        if len(found) != 1:
            raise Refused(f"its process, {process}, is not one step of the simulator", "a process of its own")
        self.draft.input(name, size)
        self.sources[name] = of_process(name, size, process, self.draft.dt, found[0])

    def _start(self, conn: Any) -> tuple[str, int, NDArray[Any], float]:
        """Where a connection begins: the place, its size, the lines that it takes, and what one is worth."""
        import nengo

        obj, sliced = conn.pre_obj, conn.pre_slice
        if isinstance(obj, nengo.Ensemble | nengo.ensemble.Neurons):
            ens = self.ensembles.get(getattr(obj, "ensemble", obj))
            if ens is None:
                raise Refused("")  # which is said of that
            every = np.arange(ens.size)
            decoded = isinstance(obj, nengo.Ensemble)
            if ens.direct and not decoded:
                raise Refused("begins at neurons of an ensemble that has none: its type is nengo.Direct")
            if ens.direct and conn.function is not None:
                raise Refused("calls a Python function in every step: the ensemble is nengo.Direct", "nengo.LIF")
            return ens.name, ens.size, every if decoded and not ens.direct else every[sliced], ens.worth
        if obj not in self.nodes:
            raise Refused("")  # which is said of that
        if conn.function is not None:
            why = "calls a Python function in every step"
            raise Refused(why, "let the function of the node do it, or put an ensemble between")
        name = self.nodes[obj]
        return name, self.draft.size(name), np.arange(self.draft.size(name))[sliced], 1.0

    def _weights(self, conn: Any) -> Any:
        signal = self.simulator.model.sig[conn]["weights"]
        return 1.0 if signal is None else signal.initial_value

    def _connection(self, conn: Any, name: str) -> None:
        import nengo
        from nengo.connection import LearningRule

        draft = self.draft
        if conn.post_obj in self.sinks:
            return
        name = draft.free(name)
        source, size, rows, worth = self._start(conn)
        weights = scaled(self._weights(conn), worth)
        wide = weights.shape[0] if getattr(weights, "ndim", 0) == 2 or hasattr(weights, "indices") else len(rows)
        rule = rule_of(conn, draft.dt, worth, name)

        def feed(target: str, factor: float) -> None:
            made = synapses_of(scaled(weights, factor), size, rows, np.arange(wide), wide)
            learns = draft.project(source, target, made, plasticity=rule)
            if rule is not None:
                self.learned[conn] = Learned(learns, rule, 1.0 / worth)

        if rule is not None and type(conn.synapse) is nengo.Alpha:
            raise Refused("learns, and its synapse is an Alpha", "nengo.Lowpass")
        post = conn.post_obj
        if isinstance(post, LearningRule):
            if post not in self.errors:
                self.errors[post] = draft.population(draft.free(f"{name}/error"), post.size_in, Relay())
            own = np.arange(post.size_in)[conn.post_slice]
            if conn.synapse is None and source in draft.inputs:  # known before the step
                draft.project(source, self.errors[post], synapses_of(weights, size, rows, own, post.size_in))
                return
        place, delay = filtered(draft, name, wide, conn.synapse, feed)
        self.given_by[conn] = (place, delay)
        lines = np.arange(wide)
        if isinstance(post, nengo.Probe):
            return
        if isinstance(post, LearningRule):
            draft.project(place, self.errors[post], synapses_of(1.0, wide, lines, own, post.size_in), delay=delay)
        elif isinstance(post, nengo.Node):
            if post not in self.nodes:
                raise Refused("")
            to = self.nodes[post]
            own = np.arange(draft.size(to))[conn.post_slice]
            draft.project(place, to, synapses_of(1.0, wide, lines, own, draft.size(to)), delay=delay)
        else:
            self._to_neurons(conn, place, delay, wide)

    def _to_neurons(self, conn: Any, place: str, delay: int, wide: int) -> None:
        import nengo

        post, lines, draft = conn.post_obj, np.arange(wide), self.draft
        ens = self.ensembles.get(getattr(post, "ensemble", post))
        if ens is None:
            raise Refused("")
        if isinstance(post, nengo.Ensemble) and not conn.solver.weights:
            own = np.arange(draft.size(ens.input))[conn.post_slice]
            draft.project(place, ens.input, synapses_of(1.0, wide, lines, own, draft.size(ens.input)), delay=delay)
            return
        if ens.direct:
            raise Refused("ends at neurons of an ensemble that has none: its type is nengo.Direct")
        every, gains = np.arange(ens.size), 1.0
        if not isinstance(post, nengo.Ensemble):
            every = every[conn.post_slice]
            gains = np.asarray(self.simulator.model.params[post.ensemble].gain, dtype=np.float64)[conn.post_slice]
        draft.project(place, ens.name, synapses_of(gains, wide, lines, every, ens.size), delay=delay)

    def _probe(self, probe: Any, names: dict[Any, str]) -> None:
        try:
            readout = self._readout(probe, names)
        except Refused as refused:
            where = self.draft.free(probe.label or f"probe of {self._whose(probe, names)}")
            self.draft.ledger.append(Approximation(where, f"is not recorded: {refused.why}", 0.0))
            return
        self.readouts[probe] = readout

    def _whose(self, probe: Any, names: dict[Any, str]) -> str:
        obj = getattr(probe.obj, "ensemble", probe.obj)
        return names[obj] if obj in names else str(obj)

    def _readout(self, probe: Any, names: dict[Any, str]) -> Readout:
        import nengo

        obj, attr, draft = probe.obj, probe.attr, self.draft
        period = 1.0 if probe.sample_every is None else probe.sample_every / draft.dt
        name = draft.free(f"probe of {self._whose(probe, names)}" if not probe.label else probe.label)
        if isinstance(obj, nengo.Ensemble) and attr == "decoded_output":
            (conn,) = (c for c in self.simulator.model.params if getattr(c, "post_obj", None) is probe)
            self._connection(conn, name)
            place, delay = self.given_by[conn]
            return Readout(probe, place, "v", late=delay, period=period)
        if isinstance(obj, nengo.Connection):
            return self._of_connection(probe, period)
        place, what, worth = self._signal(obj, attr)
        every = np.arange(draft.size(place))
        lines = every if probe.slice is None else every[probe.slice]
        if probe.synapse is None:
            shown = None if probe.slice is None else lines
            return Readout(probe, place, what, shown, worth, period=period)
        if what == "v" and place in {e.name for e in self.ensembles.values() if not e.direct}:
            raise Refused("potentials are recorded without a synapse")

        def feed(target: str, factor: float) -> None:
            made = synapses_of(worth * factor, draft.size(place), lines, np.arange(len(lines)), len(lines))
            draft.project(place, target, made)

        filter_, delay = filtered(draft, name, len(lines), probe.synapse, feed)
        return Readout(probe, filter_, "v", late=delay, period=period)

    def _signal(self, obj: Any, attr: str) -> tuple[str, What, float]:
        """Where what a probe looks at stands, what it is there, and what one is worth."""
        import nengo

        if isinstance(obj, nengo.Node) and attr == "output" and obj in self.nodes:
            place = self.nodes[obj]
            return place, "input" if place in self.draft.inputs else "v", 1.0
        ens = self.ensembles.get(getattr(obj, "ensemble", obj))
        if ens is not None and isinstance(obj, nengo.Ensemble) and attr == "input":
            return ens.input, "v", 1.0
        if ens is not None and isinstance(obj, nengo.ensemble.Neurons) and not ens.direct:
            if attr in ("output", "spikes"):
                return ens.name, "spikes", ens.worth
            if attr == "voltage":
                return ens.name, "v", 1.0
        raise Refused(f"nothing here is its {attr!r}")

    def _of_connection(self, probe: Any, period: float) -> Readout:
        conn, attr = probe.obj, probe.attr
        if probe.synapse is not None:
            raise Refused("connections are recorded without a synapse")
        if attr == "output" and conn in self.given_by:
            place, _ = self.given_by[conn]
            shown = None if probe.slice is None else np.arange(self.draft.size(place))[probe.slice]
            return Readout(probe, place, "v", shown, period=period)
        if attr == "weights" and probe.slice is None:
            weights = np.asarray(self._weights(conn), dtype=np.float64)
            if conn in self.learned:
                learned = self.learned[conn]
                return Readout(probe, learned.name, "weights", None, learned.unit, 1, weights, period)
            return Readout(probe, "", "constant", constant=weights, period=period)
        raise Refused(f"nothing here is its {attr!r}")

    def _told(self, conn: Any) -> Told | None:
        """What the rule of a connection is told, and from where."""
        rule = self.learned[conn].rule
        size = conn.learning_rule.size_in
        place = self.errors.get(conn.learning_rule)
        terms, direct = [], []
        for p in self.draft.projections:
            if p.target != place:
                continue
            source = self.draft.size(p.source)
            matrix = _matrix(p.synapses, size, source)
            if p.source in self.draft.inputs:
                direct.append((p.source, matrix))
            elif p.delay == 1:
                terms.append((p.source, matrix))
            else:
                why = "the error of its rule arrives within the step in which it is computed"
                self.draft.problems.append(Problem(p.source, why, "give the connection to the rule a synapse"))
        return Told(rule.third[0], size, tuple(terms), tuple(direct))


def _matrix(synapses: Any, post: int, pre: int) -> NDArray[np.float64]:
    from spikeport.graph import apply_synapse
    from spikeport.primitives import Sparse

    (synapse,) = synapses
    if isinstance(synapse, Sparse):
        return synapse.dense()
    made: NDArray[np.float64] = apply_synapse(synapse, np.eye(pre)).reshape(pre, post).T
    return made
