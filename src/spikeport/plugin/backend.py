"""What a vendor writes: a backend, and the sessions it opens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError, OptionError, Problem
from spikeport.plugin.inputs import checked_count
from spikeport.plugin.program import PLUGIN_VERSION, Program
from spikeport.plugin.running import run_converted, run_dynamic
from spikeport.plugin.state import SessionState
from spikeport.plugin.weighing import Learning
from spikeport.primitives import DynamicNetwork, DynamicRecording, Recording, SpikingNetwork
from spikeport.targets import Target

_EMPTY: Mapping[str, NDArray[Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Options of a backend that has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What happened in one step, by population name; arrays have the shape (batch, *population), of several steps (time, batch, *population)."""

    spikes: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _EMPTY)
    """Signed payloads; 0 is silence."""
    potentials: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _EMPTY)
    """Membrane potentials at the end of the step."""
    currents: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _EMPTY)
    """Second state of neurons, as in `DynamicRecording.currents`; of the populations whose potentials are given and that have one. Of the fixed-point
    neurons of chips always, of others from a session that says `gives_second`."""


class BackendSession(ABC):
    """An open program with the state of a batch of samples, at first of one. Used by one thread at a time; closed at the end of a `with` block.

    Time is the chip's: what a population of offset k does in step t belongs to step t - k of the network. `run` takes care of that.
    """

    program: Program
    record: Collection[str]
    """Populations whose spikes each step gives."""
    potentials: Collection[str]
    """Populations whose membrane potentials each step gives."""
    gives_second: ClassVar[bool] = False
    """Whether steps give the second state of neurons that are not a chip's."""
    closed: bool = False
    """To be set by `close`; whatever else is called begins with `require_open`."""

    @abstractmethod
    def reset(self, batch: int = 1) -> None:
        """Restore the initial state, for so many samples; the next step is step 0."""

    @abstractmethod
    def step(self, spikes: Mapping[str, NDArray[Any]] = _EMPTY, currents: Mapping[str, NDArray[Any]] = _EMPTY) -> Step:
        """One step of all populations.

        Args:
            spikes: what enters, by name of the input, (batch, *input); a missing name is silence.
            currents: what is injected, by name of the population, (batch, *population): the share of a static input. Biases belong to
                the neurons; populations that no static input feeds need not take any.
        """

    @abstractmethod
    def close(self) -> None:
        """Free what the session holds; closing twice is no error, and any other use afterwards is one."""

    def advance(
        self,
        n_steps: int,
        spikes: Mapping[str, NDArray[Any]] = _EMPTY,
        currents: Mapping[str, NDArray[Any]] = _EMPTY,
    ) -> Step:
        """Many steps; whoever can take them at once overrides it.

        Args:
            n_steps: how many, at least one.
            spikes, currents: as for `step`, with time as the first axis.
        """
        checked_count(n_steps)
        steps = [
            self.step({n: v[t] for n, v in spikes.items()}, {n: v[t] for n, v in currents.items()})
            for t in range(n_steps)
        ]

        if not all(isinstance(step, Step) for step in steps):
            raise BackendError(
                Problem(type(self).__name__, "gives something else than a Step", "report it to its author")
            )

        def stacked(kind: str) -> dict[str, NDArray[Any]]:
            return {name: np.stack([getattr(s, kind)[name] for s in steps]) for name in getattr(steps[0], kind)}

        return Step(stacked("spikes"), stacked("potentials"), stacked("currents"))

    def run(
        self,
        x: Any = None,
        *,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> Recording | DynamicRecording:
        """From the initial state, a batch until it is quiet: the very recording that `sp.simulate` gives, in the network's own time.

        Args:
            x, max_steps, currents: as for `sp.simulate`.
            record: populations whose spikes and potentials are kept; None keeps all that the session was opened for.

        Raises:
            DataError: input that does not fit.
            OptionError: a name that is not in the network, or a session that was opened for less than a run needs.
            BackendError: the session is closed.
        """
        self.require_open()
        if isinstance(self.program.network, DynamicNetwork):
            return run_dynamic(self, x, record, max_steps, currents)
        if currents is not None:
            raise OptionError(Problem("currents", "a converted network has no currents to be fed", "give x alone"))
        return run_converted(self, x, record, max_steps)

    def run_learning(
        self,
        x: Any = None,
        *,
        learning: Learning,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        currents: Mapping[str, Any] | None = None,
    ) -> DynamicRecording:
        """`run` of a network with plasticity, which is told third factors and keeps weights; it begins with the network's own weights.

        Raises:
            OptionError, DataError, BackendError: as `run`; and what is told or asked of projections that do not learn.
        """
        self.require_open()
        if not isinstance(self.program.network, DynamicNetwork):
            raise OptionError(Problem("learning", "a converted network learns nothing", "use run"))
        return run_dynamic(self, x, record, max_steps, currents, learning)

    def modulate(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Third factors of plasticity, by name, from the next step on until they are given anew: broadcastable to (batch, 1 or neurons of a target)."""
        raise BackendError(Problem(type(self).__name__, "steps no plasticity", "another backend, or plasticity=None"))

    def weights(self, name: str) -> NDArray[Any]:
        """Weights of a projection that learns as they are now, by its name in `DynamicNetwork.plastic`, shape (batch, *weights of the synapse)."""
        raise BackendError(Problem(type(self).__name__, "steps no plasticity", "another backend, or plasticity=None"))

    def snapshot(self) -> SessionState:
        """Everything that the session of a network with dynamics knows between two steps.

        Raises:
            BackendError: this backend cannot tell.
        """
        raise BackendError(Problem(type(self).__name__, "gives no snapshot", self._who_does))

    def restore(self, state: SessionState) -> None:
        """Go on from there, with the batch that it has: what follows is, bit for bit, what followed it where it was taken.

        A state says nothing of what enters; third factors are told anew by `modulate`.

        Raises:
            BackendError: this backend cannot.
            DataError: it is the state of another network; everything that does not fit, by name. The session is as before.
        """
        raise BackendError(Problem(type(self).__name__, "restores no snapshot", self._who_does))

    @property
    def _who_does(self) -> str:
        if isinstance(self.program.network, DynamicNetwork):
            return 'on="reference", or native'
        return "networks with dynamics have states; samples of a converted one begin anew by `reset`"

    def require_open(self) -> None:
        """Refuse to work once closed."""
        if self.closed:
            raise BackendError(Problem("session", "is closed", "open the program again"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Backend(ABC):
    """Compiles networks for its targets and opens the programs. An entry point `spikeport.backends` names an instance."""

    name: ClassVar[str]
    version: ClassVar[str]
    """Of the backend; a program of another one is refused."""
    plugin_version: ClassVar[int] = PLUGIN_VERSION
    """The contract it was written for."""
    options: ClassVar[type[Any]] = NoOptions
    """A frozen dataclass: what only this backend knows."""
    population_settings: ClassVar[type[Any] | None] = None
    """A frozen dataclass: what a network may say to this backend alone of a population, `ext={name: ...}`; None: nothing. `settings_of` gives an
    instance, with types and what its `__post_init__` refuses checked; every field has a default."""
    projection_settings: ClassVar[type[Any] | None] = None
    """And of a projection."""
    takes_spikes: ClassVar[bool] = True
    """Whether spikes of a population may enter, of both signs and in any step; a part behind the host's is not compiled without."""

    @property
    @abstractmethod
    def targets(self) -> tuple[Target, ...]:
        """What it compiles for; the first one is meant where only the backend is named."""

    @abstractmethod
    def compile(self, network: SpikingNetwork | DynamicNetwork, target: Target, options: Any) -> Program:
        """The network placed on the target; rounds nothing.

        Raises:
            LowerError: everything that the target cannot carry, by node.
        """

    @abstractmethod
    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        """A session of a program of this backend.

        Args:
            record: populations whose spikes each step gives.
            potentials: populations whose membrane potentials each step gives.
        """
