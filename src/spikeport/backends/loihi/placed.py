"""A placed program: groups of neurons with their clocks, links between them in the chip's formats, and which core carries what."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.graph import apply_synapse
from spikeport.graph.shapes import output_shape
from spikeport.lower import Part
from spikeport.primitives import (
    Accumulator,
    Conv,
    FixedCubaLIF,
    FixedNeuron,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedIF,
    GradedThreshold,
    MaxUnit,
    Neuron,
    PhasedIF,
    PlainIF,
    Projection,
    RadixIF,
    Shape,
    SignedIF,
    Sparse,
    SpikeInput,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    Synapse,
    UnitBank,
)
from spikeport.primitives.fixed_neurons import STATE_LIMIT

Chip = Literal["loihi1", "loihi2"]
LARGEST_LINE = 2**24
"""Largest absolute payload of a spike from outside."""
WRAPPED = 23
"""Bits that a convolution of loihi2 hands over, besides the sign."""


@dataclass(frozen=True, slots=True)
class Group:
    """Neurons of one kind, whose own step 0 is step `offset` of the chip."""

    name: str
    shape: Shape
    neuron: FixedNeuron | Neuron
    offset: int = 0


@dataclass(frozen=True)
class Placed:
    """What the cores execute. A link carries what is sent in step t in step t + 1 + delay, all links of a group added up."""

    chip: Chip
    lines: tuple[SpikeInput, ...]
    groups: tuple[Group, ...]
    links: tuple[Projection, ...]
    parts: tuple[Part, ...]
    """Every neuron of every group once; none where nothing was placed: then each group is a core."""
    prompt: frozenset[str] = frozenset()
    """Lines whose spikes the host sends a step ahead, so that what enters in a step arrives in it."""
    presentation: int = 1
    """Steps over which biases of converted neurons are split."""
    state_bits: int = 24
    """Proved to hold the potentials of converted neurons."""

    @cached_property
    def by_name(self) -> dict[str, Group]:
        return {group.name: group for group in self.groups}

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each place: lines first, then groups."""
        return {name: i for i, name in enumerate(self.shapes)}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """What each place sends."""
        return {line.name: line.shape for line in self.lines} | {group.name: group.shape for group in self.groups}

    @cached_property
    def membranes(self) -> dict[str, Shape]:
        """Where spikes arrive in each group: its shape, or that of what the windows of a maximum lie over."""
        found = {group.name: group.shape for group in self.groups}
        for group in self.groups:
            if isinstance(group.neuron, MaxUnit):
                link = next(link for link in self.links if link.target == group.name)
                found[group.name] = chain_shape(link.synapses, self.shapes[link.source], None)
        return found

    def shift(self, link: Projection) -> int:
        """To the left, of the sum of a step."""
        return link.exponent + (
            6 if isinstance(self.by_name[link.target].neuron, FixedCubaLIF) and self.chip == "loihi1" else 0
        )

    def wraps(self, link: Projection) -> bool:
        """Whether the sum of a step is handed over in 24 bits: convolutions into fixed-point neurons of loihi2."""
        fixed = isinstance(self.by_name[link.target].neuron, FixedNeuron)
        return fixed and self.chip == "loihi2" and any(isinstance(s, Conv) for s in link.synapses)

    def sums_wrap(self, link: Projection) -> bool:
        """Whether the sum of a step is 32 bits wide before it is shifted to the right: into fixed-point neurons."""
        return self.shift(link) < 0 and isinstance(self.by_name[link.target].neuron, FixedNeuron)

    def payload_type(self, name: str) -> type[np.signedinteger[Any]]:
        """Of a group's spikes in a recording: as the reference has them."""
        return np.int64 if isinstance(self.by_name[name].neuron, FixedNeuron) else np.int32

    @cached_property
    def narrow_to(self) -> int:
        """Largest payload of lines with which 32 bits hold everything; -1 if they do not in any case."""
        return _narrow_to(self)


def chain_shape(synapses: tuple[Synapse | Sparse, ...], source: Shape, target: Shape | None) -> Shape:
    """Shape at the end of a chain; a sparse one leads to the target's."""
    shape = source
    for synapse in synapses:
        if isinstance(synapse, Sparse):
            shape = target if target is not None and synapse is synapses[-1] else (synapse.post,)
        else:
            shape = output_shape(synapse, [shape])
    return shape


def apply_chain(synapses: tuple[Synapse | Sparse, ...], x: NDArray[Any]) -> NDArray[Any]:
    """What payloads of shape (sample, *source) are worth at the target, shape (sample, neuron)."""
    for synapse in synapses:
        if isinstance(synapse, Sparse):
            source = np.repeat(np.arange(synapse.pre), np.diff(synapse.offsets))
            sent = x.reshape(len(x), -1)[:, source] * synapse.each_weight().astype(x.dtype)
            x = np.zeros((len(x), synapse.post), dtype=x.dtype)
            np.add.at(x.T, synapse.targets, sent.T)
        else:
            x = apply_synapse(synapse, x)
    return x.reshape(len(x), -1)


def with_weights(synapse: Synapse | Sparse, change: Any) -> Any:
    """The synapse with other weights, or itself where it has none."""
    name = "weights" if isinstance(synapse, Sparse) else "weight"
    weight = getattr(synapse, name, None)
    return synapse if weight is None else replace(synapse, **{name: change(weight)})


def largest_sum(synapses: tuple[Synapse | Sparse, ...], source: Shape) -> NDArray[np.float64]:
    """Sum of absolute weights into each neuron, flat."""
    sizes = tuple(with_weights(s, lambda w: np.abs(np.asarray(w, np.float64))) for s in synapses)
    return apply_chain(sizes, np.ones((1, *source)))[0]


def largest_payload(neuron: FixedNeuron | Neuron) -> int:
    """Largest absolute value of one spike; of a maximum what arrives says it."""
    match neuron:
        case FixedCubaLIF() | FixedResonateAndFire() | PhasedIF() | PlainIF() | SignedIF() | StaircaseIF():
            return 1
        case FixedSigmaDelta() | GradedThreshold():
            return 2**31
        case GradedIF(low=low, high=high):
            return max(-low, high)
        case StaircaseUnit(sends="payload"):
            return max(-neuron.low, neuron.high)
        case RadixIF(bits=bits):
            return 2 ** (bits - 1)
        case StaircaseUnit(sends="digits"):
            return 2 ** (neuron.duration - 1)
        case StaircaseUnit():
            return 1
        case UnitBank(units=units) | StaircaseBank(units=units):
            return units
        case Accumulator() | MaxUnit():
            return 0


def _narrow_to(placed: Placed) -> int:
    """By bounds: sums of a step before and after the shift, and what neurons make of them."""
    limit, sums = 2**31 - 1, {group.name: [0.0, 0.0] for group in placed.groups}
    payloads = {group.name: float(largest_payload(group.neuron)) for group in placed.groups}
    lines = {line.name for line in placed.lines}
    room = float(LARGEST_LINE)
    for group in placed.groups:
        for link in (link for link in placed.links if link.target == group.name):
            most = float(largest_sum(link.synapses, placed.shapes[link.source]).max(initial=0))
            from_line = link.source in lines
            sent = 1.0 if from_line else payloads[link.source]
            if from_line:
                room = min(room, limit // max(most, 1))
            elif most * sent > limit:
                return -1
            scale = 2.0 ** max(placed.shift(link), 0)
            sums[group.name][0 if from_line else 1] += most * sent * scale
        from_lines, from_groups = sums[group.name]
        if isinstance(group.neuron, MaxUnit):
            payloads[group.name] = from_groups + from_lines * LARGEST_LINE
        free = _free(group, placed) - from_groups
        if free < 0:
            return -1
        if from_lines:
            room = min(room, free // from_lines)
    return int(room) if lines else LARGEST_LINE


def _free(group: Group, placed: Placed) -> float:
    """What may arrive in one step so that the neuron's own sums stay within 32 bits."""
    match group.neuron:
        case FixedCubaLIF() if placed.chip == "loihi1":
            return 2.0**62  # everything is taken modulo 2^22
        case FixedCubaLIF():
            return 2.0**18  # (a << 6) on top of 2^23 is brought back by one wrap
        case FixedResonateAndFire() | GradedThreshold() | FixedSigmaDelta():
            return 2.0**31 - 1
        case _:
            fits = placed.state_bits <= 30 and _largest_parameter(group.neuron) < 2**31
            return 2.0**30 if fits else -1.0


def _largest_parameter(neuron: Any) -> float:
    """Of a converted neuron; what its potential can reach is proved by `state_bits`."""
    names = ("initial", "bias", "release", "steps", "threshold")
    values = [np.asarray(getattr(neuron, name, 0), np.float64) for name in names]
    return max(float(np.abs(v).max(initial=0)) for v in values)


def flat_parameters(group: Group) -> dict[str, NDArray[np.int64]]:
    """Parameters of fixed-point neurons, one value a neuron, flat; what may be None is spelled out."""
    defaults = {"v_min": -STATE_LIMIT, "v_max": STATE_LIMIT}
    flat = {}
    for field in fields(group.neuron):
        value = getattr(group.neuron, field.name)
        if isinstance(value, str | bool):
            continue
        values = np.asarray(defaults[field.name] if value is None else value, dtype=np.int64)
        flat[field.name] = np.broadcast_to(values, group.shape).ravel()
    return flat
