"""A run in pieces of time: what enters each of them, and their recordings as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import OptionError, Problem
from spikeport.plugin.driving import Drive, Events
from spikeport.plugin.pieces import joined
from spikeport.primitives import DynamicNetwork, DynamicRecording
from spikeport.runtime.journal import Ran


def piece_of(entering: Drive, begin: int, end: int) -> Drive:
    """What enters in some steps."""
    if (begin, end) == (0, entering.n_steps):
        return entering

    def timed(values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {name: v if len(v) == 1 else v[begin:end] for name, v in values.items()}

    events = tuple(Events(e.offsets[:, begin : end + 1], e.neurons, e.values) for e in entering.events)
    return replace(
        entering,
        n_steps=end - begin,
        events=events,
        currents=timed(entering.currents),
        modulation=timed(entering.modulation),
    )


class Pieces:
    """Recordings one after the other, of a network that may change in between."""

    def __init__(self, entry: Ran) -> None:
        self.entry = entry
        self.found: list[DynamicRecording] = []
        self.looked: list[Mapping[str, NDArray[Any]]] = []

    def require_alike(self, first: DynamicNetwork, now: DynamicNetwork, entering: Drive) -> None:
        """Refuse what cannot be one recording, or one input, from the beginning to the end.

        Raises:
            OptionError: a population that is recorded or fed has another shape than at the beginning, or learning needs to be told more.
        """
        hint = "run up to the change, and then on"
        problems = []
        recorded = [n.rpartition(".")[0] for n in self.entry.record]
        for name in dict.fromkeys([*recorded, *entering.currents]):
            shape = now[name].shape if name in now.by_name else None
            if shape != first[name].shape:
                what = "is not there any more" if shape is None else f"has shape {shape} from there on"
                problems.append(Problem(name, f"{what}, and is recorded or fed in this run", hint))
            elif type(now[name].neuron) is not type(first[name].neuron):
                problems.append(Problem(name, "is of other neurons from there on, and is recorded or fed", hint))
        if now.third_factors.keys() != first.third_factors.keys():
            problems.append(Problem("modulation", "is of other third factors from there on", hint))
        if problems:
            raise OptionError(problems)

    def add(self, recording: DynamicRecording) -> None:
        """The next piece."""
        self.found.append(recording)

    def look(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Weights as they are at the end of so many steps.

        Raises:
            OptionError: they have another shape than before.
        """
        for name, values in weights.items():
            if self.looked and self.looked[0][name].shape != values.shape:
                why = f"has weights of shape {values.shape} now, and had {self.looked[0][name].shape}"
                raise OptionError(Problem(name, why, "run up to the change, and then on"))
        self.looked.append(weights)

    def joined(self, weights: Mapping[str, NDArray[Any]]) -> DynamicRecording:
        """All of it; counts of the populations that had one shape all the time.

        Args:
            weights: at the end.
        """
        first, *rest = self.found
        alike = [
            n for n, c in first.counts.items() if all(n in r.counts and r.counts[n].shape == c.shape for r in rest)
        ]
        second = [n for n in first.currents if all(n in r.currents for r in rest)]  # neurons may have become others
        every = {name: np.stack([w[name] for w in self.looked]) for name in weights} if self.looked else {}
        return replace(
            first,
            n_steps=sum(r.n_steps for r in self.found),
            counts={n: np.sum([r.counts[n] for r in self.found], axis=0) for n in alike},
            spikes={n: joined([r.spikes[n] for r in self.found]) for n in first.spikes},
            potentials={n: np.concatenate([r.potentials[n] for r in self.found]) for n in first.potentials},
            currents={n: np.concatenate([r.currents[n] for r in self.found]) for n in second},
            weights=weights,
            weights_over_time=every,
        )
