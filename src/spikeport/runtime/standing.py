"""Where a session stands: a network with its gates, the backend's session of what is stepped, and what rests meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from numpy.typing import NDArray

from spikeport.backends.dynamics.plastic import shaped_weights
from spikeport.backends.stepping import chosen_backend, opened_by
from spikeport.errors import BackendError, DataError, Problem
from spikeport.plugin import BackendSession
from spikeport.plugin.state import SessionState
from spikeport.runtime.carrying import Layer, carried
from spikeport.runtime.configuration import Configuration, Rest, divided, joined, opened, shapes_of


class Standing:
    """Goes to another network or state as a whole, or stays where it is and says why."""

    def __init__(self, configuration: Configuration, *, batch: int, on: str | None) -> None:
        """The initial state.

        Raises:
            SpikeportError: the backend is none, does not carry the network, or does not tell its state.
        """
        self._backend = chosen_backend(configuration.network, on)
        self.configuration, self.batch, self.step = configuration, batch, 0
        self.rest = Rest()
        self.door = self._opened(configuration, ())
        try:
            self.door.reset(batch)
            self.rest = divided(configuration, opened(configuration, self.door.snapshot()))[1]
        except BaseException:
            self.door.close()
            raise

    def whole(self) -> SessionState:
        """The state with all gates open."""
        return joined(self.configuration, self.door.snapshot(), self.rest)

    def weights(self, name: str) -> NDArray[Any]:
        """As they are now, (batch, *weights of the synapse), of a projection that learns.

        Raises:
            OptionError: it is none.
        """
        if name not in self.configuration.resting:
            return self.door.weights(name)
        network = self.configuration.network
        p = network.projections[network.plastic[name]]
        return shaped_weights(p, shapes_of(network)[p.source], self.rest.plastic[name].weights)

    def show(self, potentials: Collection[str]) -> None:
        """See to it that the door gives these potentials."""
        if not set(potentials) <= set(self.door.potentials):
            more = dict.fromkeys([*self.door.potentials, *potentials])
            self.go_to_state(self.configuration, self.whole(), list(more))

    def go_to(self, after: Configuration, layers: Sequence[Layer]) -> None:
        """Another network, with a state that comes from others."""
        door = self._opened(after, self.door.potentials)
        try:
            door.reset(self.batch)
            state, rest = divided(after, carried(after.network, opened(after, door.snapshot()), layers))
            door.restore(state)
        except BaseException:
            door.close()
            raise
        self._enter(door, after, rest, state.step)

    def go_to_state(self, after: Configuration, whole: SessionState, potentials: Collection[str] | None = None) -> None:
        """Another network, in a state of its own.

        Raises:
            DataError: the state is not one of it.
        """
        door = self._opened(after, self.door.potentials if potentials is None else potentials)
        try:
            missing = [name for name in after.resting if name not in whole.plastic]
            if missing:
                raise DataError([Problem(name, "is not in the state", "give what `snapshot` gave") for name in missing])
            state, rest = divided(after, whole)
            door.restore(state)
        except BaseException:
            door.close()
            raise
        self._enter(door, after, rest, whole.step)

    def _enter(self, door: BackendSession, after: Configuration, rest: Rest, step: int) -> None:
        self.door.close()
        self.door, self.configuration, self.rest, self.step = door, after, rest, step

    def _opened(self, configuration: Configuration, potentials: Collection[str]) -> BackendSession:
        network = configuration.stepped
        door = opened_by(network, *self._backend, [name for name in potentials if name in network.by_name])
        late = [name for name, offset in door.program.offsets.items() if offset]
        if late:
            door.close()
            why = "runs behind the network's time on this target, and a session stops all at one step"
            raise BackendError([Problem(name, why, "another backend") for name in late])
        return door
