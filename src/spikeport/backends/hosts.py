"""The backends that step on this machine, as what the door opens: `reference`, `native` and `torch`.

They carry every network of the kinds that they know, with no limits; what is heavy is imported when a program is opened.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import Any, ClassVar, get_args

from spikeport.errors import BackendError, Problem
from spikeport.plugin import Backend, BackendSession, Fact, Program, Target
from spikeport.plugin.extending import refuse_extensions
from spikeport.plugin.learning import learning_problems
from spikeport.primitives import DynamicNetwork, FixedNeuron, SpikingNetwork
from spikeport.targets import Feature, NeuronModel, Plasticity, SynapseKind
from spikeport.version import __version__

SOURCE = "spikeport"


def _host(title: str, neurons: frozenset[NeuronModel], note: str, *, learns: bool = True) -> Target:
    """This machine as a target without limits."""

    def fact(value: Any) -> Fact[Any]:
        return Fact(value, "", SOURCE, "design", True)

    return Target(
        name="host",
        title=title,
        vendor="spikeport",
        notes=(note,),
        neurons=fact(neurons),
        features=fact(frozenset[Feature](get_args(Feature))),
        synapses=fact(frozenset[SynapseKind](get_args(SynapseKind))),
        plasticity=fact(frozenset[Plasticity](["rule"] if learns else [])),
        recurrent=fact(True),
        skips=fact(True),
        execution=fact("steps"),
        multiplicity=fact("payload"),
        input_signed=fact(True),
    )


_FIXED = frozenset[NeuronModel](kind.__name__ for kind in get_args(FixedNeuron))
_ALL = frozenset[NeuronModel](get_args(NeuronModel))


class _Host(Backend):
    version: ClassVar[str] = __version__
    target: ClassVar[Target]

    @property
    def targets(self) -> tuple[Target, ...]:
        return (self.target,)

    def compile(self, network: SpikingNetwork | DynamicNetwork, target: Target, options: Any) -> Program:
        refuse_extensions(network, self, [*self._refused(network), *learning_problems(network, self.target, self.name)])
        return Program(self.name, self.version, target.name, network)

    def _refused(self, network: SpikingNetwork | DynamicNetwork) -> Collection[Problem]:
        """Neurons of hand-made networks that it does not step, by name."""
        if isinstance(network, SpikingNetwork):
            return ()
        fact = self.target.neurons
        offered = fact.value if fact is not None else frozenset()
        return [
            Problem(p.name, f"{type(p.neuron).__name__} neurons are not stepped by {self.name!r}", 'use on="reference"')
            for p in network.populations
            if type(p.neuron).__name__ not in offered
        ]


class Reference(_Host):
    """numpy, step by step: what all others are compared with."""

    name: ClassVar[str] = "reference"
    target: ClassVar[Target] = _host("numpy on this machine", _ALL, "The reference: written to be read.")

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        from spikeport.backends.reference.session import open_session

        return open_session(program, record, potentials)


class Native(_Host):
    """Compiled kernels."""

    name: ClassVar[str] = "native"
    takes_spikes: ClassVar[bool] = False  # its kernels take what enters for counts of one presentation
    target: ClassVar[Target] = _host(
        "compiled kernels on this machine",
        _ALL - _FIXED,
        "Needs the native library, which is built at installation.",
    )

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        from spikeport.backends.native.door import open_session

        return open_session(program, record, potentials)


class Torch(_Host):
    """torch on a processor or a GPU, time folded into the batch."""

    name: ClassVar[str] = "torch"
    target: ClassVar[Target] = _host("torch on this machine", _ALL - _FIXED, "Needs torch.", learns=False)

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        if find_spec("torch") is None:
            why = "needs 'torch', which is not installed"
            raise BackendError(Problem(self.name, why, "pip install 'spikeport[torch]'"))
        from spikeport.backends.torch.session import open_session

        return open_session(program, record, potentials)


REFERENCE, NATIVE, TORCH = Reference(), Native(), Torch()
