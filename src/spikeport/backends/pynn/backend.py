"""The backend `pynn`: hand-made networks as a PyNN script, run by NEST or Brian2 in a process and an environment of their own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from spikeport.backends.pynn.session import PyNNSession
from spikeport.backends.pynn.written import CELLS, Simulator, problems_of
from spikeport.errors import BackendError, LowerError, OptionError, Problem
from spikeport.plugin import Backend, BackendSession, Fact, Program, Target
from spikeport.plugin.extending import refuse_extensions
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.targets import Feature, NeuronModel, SynapseKind

SOURCE = "PyNN 0.13 on NEST 3.10 and Brian2 2.9, measured"


@dataclass(frozen=True, slots=True)
class PyNNOptions:
    """What only this backend knows."""

    simulator: Simulator = "nest"
    python: str | None = None
    """The Python of an environment that has PyNN and the simulator; None: this one."""
    timeout_s: float = 600.0
    """Seconds after which a run is ended."""


def _target() -> Target:
    def fact(value: Any) -> Fact[Any]:
        return Fact(value, "", SOURCE, "measured", True)

    neurons: frozenset[NeuronModel] = frozenset(kind.__name__ for kind in CELLS)  # type: ignore[misc]  # of those
    return Target(
        name="pynn",
        title="a simulator behind PyNN",
        vendor="NEST, Brian2",
        notes=("Simulators of others, which step in float64; a run is a process of its own.",),
        neurons=fact(neurons),
        features=fact(frozenset[Feature](["many units"])),
        synapses=fact(frozenset[SynapseKind](get_args(SynapseKind))),
        recurrent=fact(True),
        skips=fact(True),
        execution=fact("steps"),
        multiplicity=fact("one"),
    )


class PyNNBackend(Backend):
    """Whole runs of networks of LIF and CubaLIF neurons."""

    name: ClassVar[str] = "pynn"
    version: ClassVar[str] = "1"
    options: ClassVar[type[Any]] = PyNNOptions
    takes_spikes: ClassVar[bool] = False
    target: ClassVar[Target] = _target()

    @property
    def targets(self) -> tuple[Target, ...]:
        return (self.target,)

    def compile(
        self, network: SpikingNetwork | DynamicNetwork, target: Target, options: PyNNOptions | None = None
    ) -> Program:
        options = options or PyNNOptions()
        _check(options)
        if isinstance(network, SpikingNetwork):
            why = "is a converted network, whose units are no standard cells of PyNN"
            raise LowerError(Problem(network.name, why, "another backend"))
        problems = list(problems_of(network, options.simulator))
        refuse_extensions(network, self, problems)
        document = {"simulator": options.simulator, "python": options.python, "timeout_s": options.timeout_s}
        return Program(self.name, self.version, target.name, network, ledger=network.ledger, document=document)

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        if program.backend != self.name or program.backend_version != self.version:
            made = f"{program.backend} {program.backend_version}"
            why = f"was compiled by {made}, and this is {self.name} {self.version}"
            raise BackendError(Problem(program.network.name, why, "compile it again"))
        try:
            options = PyNNOptions(**program.document)
            _check(options)
        except (TypeError, OptionError) as error:
            raise BackendError(Problem(program.network.name, f"is damaged: {error}", "compile it again")) from None
        return PyNNSession(
            program, options.simulator, options.python, options.timeout_s, record=record, potentials=potentials
        )


def _check(options: PyNNOptions) -> None:
    problems = []
    if options.simulator not in get_args(Simulator):
        hint = " or ".join(map(repr, get_args(Simulator)))
        problems.append(Problem("simulator", f"is {options.simulator!r}", hint))
    python: object = options.python
    if not isinstance(python, str | None):
        problems.append(Problem("python", f"is {python!r}", "the path of a Python, or None"))
    seconds = options.timeout_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        problems.append(Problem("timeout_s", f"is {seconds!r}", "a number of seconds"))
    if problems:
        raise OptionError(problems)


PYNN = PyNNBackend()
