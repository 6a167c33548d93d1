"""What a core did in some steps, and the beats by which it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.fpga.beats import (
    BEGUN,
    BENCH,
    POTENTIAL,
    SECOND,
    SPIKE,
    STEP_END,
    Beats,
    beat,
    fields,
)
from spikeport.backends.fpga.machine import KINDS, Machine
from spikeport.errors import BackendError, Problem

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Arrays of shape (time, batch, neuron) by place."""

    spikes: Mapping[int, Whole]
    potentials: Mapping[int, Whole]
    """Of the places that are told."""
    seconds: Mapping[int, Whole] = field(default_factory=dict)
    """Second states of the leaky ones among them."""
    cycles: Whole = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of the clock, of each sample; none where nothing has a clock."""


def told(machine: Machine, report: int) -> list[int]:
    """Places whose potentials are told."""
    places = machine.memories["places"]
    return [
        place
        for place in range(machine.parameters["FIRST_POPULATION"], machine.parameters["PLACES"])
        if places["kind"][place] != KINDS.index("maximum") and (report == 2 or (report == 1 and places["shown"][place]))
    ]


def is_leaky(machine: Machine, place: int) -> bool:
    """Whether a place has a second state."""
    return int(machine.memories["places"]["kind"][place]) == KINDS.index("leaky")


def read(machine: Machine, beats: Beats, steps: int, batch: int, report: int) -> Answer:
    """Beats of all samples as arrays.

    Raises:
        BackendError: something is missing, or does not belong there.
    """
    f = fields(beats)
    ends = f.kind == STEP_END
    which = np.cumsum(ends) - ends  # the step that each beat belongs to, all samples in a row
    if int(ends.sum()) != steps * batch:
        why = f"{int(ends.sum()):,} steps came out of the core, and {steps * batch:,} were asked for"
        raise BackendError(Problem(machine.name, why, "report it"))
    counts = {place: machine.populations[name] for name, place in machine.places.items() if name in machine.populations}

    def gathered(kind: int, places: list[int]) -> dict[int, Whole]:
        found = {}
        for place in places:
            values = np.zeros((batch, steps, counts[place]), np.int64)
            mine = (f.kind == kind) & (f.place == place)
            if (f.index[mine] >= counts[place]).any():
                raise BackendError(Problem(machine.name, f"place {place} tells of a neuron that is not there"))
            values.reshape(batch * steps, -1)[which[mine], f.index[mine]] = f.value[mine]
            found[place] = values.transpose(1, 0, 2)
        return found

    return Answer(
        gathered(SPIKE, list(counts)),
        gathered(POTENTIAL, told(machine, report)),
        gathered(SECOND, [place for place in told(machine, report) if is_leaky(machine, place)]),
        f.value[f.kind == BENCH],
    )


def written(answer: Answer, *, begins: bool) -> Beats:
    """The beats of an answer, as the core sends them: neuron after neuron, and what it tells of each; `begins` where a sample began."""
    parts = []
    places = list(answer.spikes)
    steps, batch = next(iter(answer.spikes.values())).shape[:2] if places else (0, 0)
    for sample in range(batch):
        if begins:
            parts.append(beat(BEGUN))
        for step in range(steps):
            for place in places:
                sent = answer.spikes[place][step, sample]
                neurons = np.arange(len(sent))
                columns = [beat(SPIKE, place, neurons, sent)]
                for kind, found in ((POTENTIAL, answer.potentials), (SECOND, answer.seconds)):
                    if place in found:
                        columns.append(beat(kind, place, neurons, found[place][step, sample]))
                beats = np.stack(columns, axis=1)
                there = np.ones(beats.shape, np.bool_)
                there[:, 0] = sent != 0
                parts.append(beats[there])
            parts.append(beat(STEP_END))
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)
