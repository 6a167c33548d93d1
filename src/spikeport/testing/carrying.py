"""A backend with a target under test: what it must carry it carries like the reference, and what it must refuse it refuses by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spikeport.backends import reference
from spikeport.errors import LowerError
from spikeport.lower import legalize
from spikeport.plugin import Backend, BackendSession, Program
from spikeport.plugin.inputs import spiking, with_membrane
from spikeport.primitives import DynamicNetwork, DynamicRecording, Recording, SpikingNetwork
from spikeport.targets import Target
from spikeport.testing.compare import Tolerance, difference
from spikeport.testing.handmade import Simulation

Network = SpikingNetwork | DynamicNetwork
Options = Mapping[str, Any] | Callable[[Network], Mapping[str, Any]]
"""Of a backend, for every network or for each."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A network of either kind and what enters it."""

    network: Network
    x: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of `BackendSession.run`."""
    about: str = ""
    """What it is, for messages."""


def run_of(simulation: Simulation, about: str = "") -> Run:
    arguments: dict[str, Any] = {"max_steps": simulation.n_steps}
    if simulation.currents:
        arguments["currents"] = simulation.currents
    return Run(simulation.network, simulation.x, arguments, about)


@dataclass(frozen=True, slots=True, eq=False)
class UnderTest:
    """What the fixtures of the suite give."""

    backend: Backend
    target: Target
    options: Options
    tolerance: Tolerance

    def with_target(self, **values: Any) -> UnderTest:
        """The same with some limits of the target at other values."""
        facts = {name: replace(getattr(self.target, name), value=value) for name, value in values.items()}
        return replace(self, target=replace(self.target, **facts))

    def compile(self, network: Network) -> Program:
        options = self.options(network) if callable(self.options) else self.options
        return self.backend.compile(network, self.target, self.backend.options(**options))

    def open(self, program: Program) -> BackendSession:
        """A session that records everything."""
        network = program.network
        return self.backend.open(program, record=tuple(spiking(network)), potentials=tuple(with_membrane(network)))

    def refused(self, network: Network) -> Collection[str]:
        """Where the facts of the target refuse a network; empty where they carry it."""
        return [reason.where for reason in legalize(network, self.target).reasons]

    def approximated(self, network: Network) -> bool:
        """Whether the facts say that the target computes something close, and not the network itself."""
        if isinstance(
            network, SpikingNetwork
        ):  # a statistical code loses on every target, and its spikes are the same on each
            return self.target.known("execution") in ("asynchronous", "analog")
        return bool(legalize(network, self.target).losses)

    def check(self, run: Run) -> bool:
        """Hold the backend to the facts of its target: carry the network like the reference, or refuse it by name.

        Returns:
            Whether it was carried.
        """
        about = f"{run.about or run.network.name} on {self.backend.name}:{self.target.name}"
        places = self.refused(run.network)
        close = not places and self.approximated(run.network)
        if places or (close and self.tolerance.exact):
            self.refuses(run, places)
            return False
        try:
            program = self.compile(run.network)
        except LowerError as error:
            raise AssertionError(f"{about}: the target claims it, and the backend refuses it:\n{error}") from error
        self.equals_reference(program, run)
        return True

    def refuses(self, run: Run, places: Collection[str] = ()) -> None:
        """A network that the target does not carry raises `LowerError`, with a problem at the node.

        Args:
            run: the network.
            places: where the facts of the target refuse it; the error names one of these nodes at least.
        """
        about = f"{run.about or run.network.name} on {self.backend.name}:{self.target.name}"
        try:
            self.compile(run.network)
        except LowerError as error:
            nodes = nodes_of(run.network)
            expected = {node for node in nodes if any(_names(place, node) for place in places)} or set(nodes)
            named = [p.where for p in error.problems if any(_names(p.where, node) for node in expected)]
            if not named:
                where = ", ".join(p.where for p in error.problems)
                raise AssertionError(
                    f"{about}: refused at {where}, which does not name {', '.join(sorted(expected))}:\n{error}"
                ) from error
        else:
            raise AssertionError(
                f"{about}: the target does not carry it ({', '.join(places)}), and the backend took it"
            )

    def equals_reference(self, program: Program, run: Run) -> Recording | DynamicRecording:
        """Every field of the recording, or counts and final potentials within the tolerance."""
        with self.open(program) as session:
            found = session.run(run.x, **run.arguments)
        told = difference(program.network, found, reference_of(run), self.tolerance)
        if told:
            raise AssertionError(f"{run.about or run.network.name} on {self.backend.name}:{self.target.name}: {told}")
        return found


def reference_of(run: Run) -> Recording | DynamicRecording:
    """What the reference records: everything."""
    arguments = dict(run.arguments)
    if isinstance(run.network, DynamicNetwork):
        steps = arguments.pop("max_steps", None)
        shown = with_membrane(run.network)
        return reference.simulate_dynamics(
            run.network, run.x, n_steps=steps, record=None, potentials=shown, **arguments
        )
    return reference.simulate(run.network, run.x, record=None, **arguments)


def nodes_of(network: Network) -> tuple[str, ...]:
    """Names that an error may give: populations, inputs, the network itself."""
    inputs = [network.input.name] if isinstance(network, SpikingNetwork) else [place.name for place in network.inputs]
    return (*(p.name for p in network.populations), *inputs, network.name)


def _names(where: str, node: str) -> bool:
    """Whether a place is a node, a parameter of it, or an arrow from or to it."""
    return node == where or where.startswith((f"{node}.", f"{node} ", f"{node},")) or where.endswith(f" {node}")


def sample(run: Run, index: int) -> Run:
    """One sample of a batch."""
    if isinstance(run.network, SpikingNetwork):
        return replace(run, x=np.asarray(run.x)[index : index + 1])
    x = None if run.x is None else {name: values[:, index : index + 1] for name, values in run.x.items()}
    return replace(run, x=x)
