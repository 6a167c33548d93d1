"""What a vendor writes: a backend, and the sessions it opens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from spikeport.plugin.program import PLUGIN_VERSION, Program
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.targets import Target

_EMPTY: Mapping[str, NDArray[Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Options of a backend that has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What happened in one step, by population name; arrays have the shape (batch, *population)."""

    spikes: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _EMPTY)
    """Signed payloads; 0 is silence."""
    potentials: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _EMPTY)
    """Membrane potentials at the end of the step."""


class BackendSession(ABC):
    """An open program with the state of a batch of samples. Used by one thread at a time; closed at the end of a `with` block.

    Time is the chip's: what a population of offset k sends in step t belongs to step t - k of the network.
    """

    program: Program

    @abstractmethod
    def reset(self, batch: int = 1) -> None:
        """Restore the initial state, for so many samples; the next step is step 0."""

    @abstractmethod
    def step(self, spikes: Mapping[str, NDArray[Any]] = _EMPTY, currents: Mapping[str, NDArray[Any]] = _EMPTY) -> Step:
        """One step of all populations.

        Args:
            spikes: what enters, by name of the input, (batch, *input); a missing name is silence.
            currents: what is injected, by name of the population, (batch, *population): static input and biases come so.
        """

    @abstractmethod
    def close(self) -> None:
        """Free what the session holds; closing twice is no error, and any other use afterwards is one."""

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
