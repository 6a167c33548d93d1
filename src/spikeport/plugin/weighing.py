"""Which weights of projections that learn a run keeps, and how much memory that may take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import OptionError, Problem
from spikeport.plugin.driving import Drive, dtype_of
from spikeport.plugin.presenting import require_names
from spikeport.primitives import Dense, DynamicNetwork, OneToOne

MOST_BYTES = 2**31
"""Of all weights that one run keeps."""

Weights = Callable[[str], NDArray[Any]]
"""Those of one projection as they are, (batch, ...)."""


def checked_projections(network: DynamicNetwork, names: Collection[str], every: int | None) -> tuple[str, ...]:
    """Names of projections whose weights are kept, each once.

    Raises:
        OptionError: projections that do not learn, or no number of steps.
    """
    require_names(names, "record_weights")
    known = network.plastic
    hint = f"one of {', '.join(known)}" if known else "no projection of this network learns"
    problems = [Problem(n, "is no projection that learns", hint) for n in dict.fromkeys(names) if n not in known]
    if every is not None and (isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1):
        problems.append(Problem("weights_every", f"is {every!r}", "a number of steps from 1 on, or None"))
    elif every is not None and not names:
        problems.append(
            Problem("weights_every", "says how often weights are kept, and none are", "record_weights=[...]")
        )
    if problems:
        raise OptionError(problems)
    return tuple(dict.fromkeys(names))


def synapses_of(network: DynamicNetwork, name: str) -> int:
    """Number of synapses of a projection that learns."""
    p = network.projections[network.plastic[name]]
    match p.weighted:
        case Dense(weight):
            return weight.size
        case OneToOne():
            return network[p.target].size
        case sparse:
            assert sparse is not None
            return len(sparse.targets)


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """What a run of a network that learns is told, and asked for besides."""

    modulation: Mapping[str, Any] | None = None
    """Third factors by name, as `spikeport.plugin.driving.drive` takes them."""
    record_weights: Collection[str] = ()
    """Projections that learn, by their name in `DynamicNetwork.plastic`."""
    weights_every: int | None = None
    """Their weights are kept at the end, and at the end of every so many steps."""


class Gauge:
    """Looks at weights step by step."""

    def __init__(self, network: DynamicNetwork, learning: Learning, entering: Drive) -> None:
        """Refuse what has no room.

        Raises:
            OptionError: see `checked_projections`; or more weights than fit into `MOST_BYTES`.
        """
        every = learning.weights_every
        self.names = checked_projections(network, learning.record_weights, every)
        self.every, self.n_steps = every, entering.n_steps
        self.records = 0 if every is None else entering.n_steps // every
        one = (
            entering.batch
            * np.dtype(dtype_of(network.contract)).itemsize
            * sum(synapses_of(network, name) for name in self.names)
        )
        if one * (self.records + 1) > MOST_BYTES:
            why = f"{self.records + 1:,} times {one:,} bytes of weights are more than {MOST_BYTES:,}"
            raise OptionError(Problem("record_weights", why, "fewer projections or samples, or a larger weights_every"))
        self._room: dict[str, NDArray[Any]] = {}
        self._last: dict[str, NDArray[Any]] = {}
        self._found = 0

    def until_next(self, step: int) -> int:
        """Steps from the beginning of this one to the end of the next one that is looked at."""
        return self.n_steps - step if self.every is None else self.every - step % self.every

    def look(self, step: int, weights: Weights) -> None:
        """At the end of a step."""
        if self.every is not None and (step + 1) % self.every == 0:
            for name in self.names:
                now = weights(name)
                room = self._room.setdefault(name, np.empty((self.records, *now.shape), now.dtype))
                room[self._found] = now
            self._found += 1
        if step + 1 == self.n_steps:
            self.finish(weights)

    def finish(self, weights: Weights) -> None:
        """The weights as they are are the last ones."""
        self._last = {name: weights(name) for name in self.names}

    @property
    def last(self) -> dict[str, NDArray[Any]]:
        """At the end."""
        return self._last

    @property
    def over_time(self) -> dict[str, NDArray[Any]]:
        """At the end of every so many steps, as far as they were taken."""
        return {name: room[: self._found] for name, room in self._room.items()}
