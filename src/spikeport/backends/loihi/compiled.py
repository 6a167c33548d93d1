"""A placed program laid out for the library: blocks on cores, and synapses by source, in the narrowest types that hold them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.rows import rows as unrolled
from spikeport.backends.loihi.engine import Chunk, Engine, Held
from spikeport.backends.loihi.placed import Group, Placed, flat_parameters
from spikeport.backends.native.wiring import NoWiringError, Wiring, pixels_of, windows, wire
from spikeport.lower import Part
from spikeport.native.lockstep import HANDS_24, SUMS_32, Arc, Kind, LineSpikes, LockstepProgram, LockstepState, Weights
from spikeport.native.lockstep import Group as Layout
from spikeport.native.lockstep import Held as Which
from spikeport.primitives import (
    Accumulator,
    FixedCubaLIF,
    FixedNeuron,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedIF,
    GradedThreshold,
    MaxUnit,
    PhasedIF,
    PlainIF,
    Projection,
    RadixIF,
    Shape,
    SignedIF,
    Sparse,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)

Integers = NDArray[np.int64]
Rectangle = tuple[tuple[int, int], tuple[int, int]]
"""Pixels and channels, from and to."""


def rectangles(shape: Shape, start: int, stop: int) -> Iterator[Rectangle]:
    """Neurons start to stop, counted in C order, as rectangles: a part of a channel, whole channels, a part of a channel.

    >>> list(rectangles((3, 4), 2, 9))
    [((2, 4), (0, 1)), ((0, 4), (1, 2)), ((0, 1), (2, 3))]
    """
    pixels, _ = pixels_of(shape)
    while start < stop:
        channel, pixel = divmod(start, pixels)
        if pixel == 0 and stop - start >= pixels:
            whole = (stop - start) // pixels
            yield (0, pixels), (channel, channel + whole)
            start += whole * pixels
        else:
            end = min(pixels, pixel + stop - start)
            yield (pixel, end), (channel, channel + 1)
            start += end - pixel


WORK = 2**23
"""Neurons times samples times steps of one call of the library: tens of milliseconds, so that an interruption is seen soon."""


BLOCK = 2**14
"""Neurons of neighbouring cores that are stepped as one, so that several threads still find work."""


class NativeEngine(Engine):
    """See `Engine`. State is held in 32 bits as long as what enters allows it."""

    def __init__(self, placed: Placed, samples: int, *, threads: int, layouts: _Layouts | None = None) -> None:
        self.placed, self.samples, self.threads = placed, samples, threads
        self._layouts = _Layouts(placed) if layouts is None else layouts
        self.step_index = 0
        self._state = self._opened(wide=placed.narrow_to < 0)
        neurons = sum(prod(group.shape) for group in placed.groups)
        self._piece = max(1, WORK // max(1, neurons * samples))

    def with_samples(self, samples: int) -> NativeEngine:
        return NativeEngine(self.placed, samples, threads=self.threads, layouts=self._layouts)

    def reset(self) -> None:
        self.step_index = 0
        self._state.reset()

    def advance(
        self,
        steps: int,
        lines: Mapping[str, LineSpikes],
        *,
        record: Collection[str] = (),
        potentials: Collection[str] = (),
        seconds: Collection[str] = (),
    ) -> Chunk:
        self._widen_for(lines)
        numbers, shapes, count = self.placed.numbers, self.placed.shapes, (steps, self.samples)
        rasters = {name: np.zeros((*count, *shapes[name]), self.placed.payload_type(name)) for name in record}
        membranes = {name: np.zeros((*count, *shapes[name]), np.int64) for name in potentials}
        others = {name: np.zeros((*count, *shapes[name]), np.int64) for name in seconds}
        for begin in range(0, steps if self.samples else 0, self._piece):
            part = slice(begin, min(begin + self._piece, steps))
            self._state.run(
                self.step_index + begin,
                part.stop - begin,
                {numbers[name]: spikes.steps(part.start, part.stop) for name, spikes in lines.items()},
                rasters={numbers[name]: array[part] for name, array in rasters.items()},
                potentials={numbers[name]: array[part] for name, array in membranes.items()},
                seconds={numbers[name]: array[part] for name, array in others.items()},
            )
        self.step_index += steps
        return Chunk(rasters, membranes, others)

    def held(self) -> dict[str, Held]:
        self._state.flush(self.step_index)
        found = {}
        for group in self.placed.groups:
            number, slots = self.placed.numbers[group.name], self._slots(group.name)
            v, second, third = (self._state.read(number, which) for which in (Which.V, Which.SECOND, Which.THIRD))
            rings = [
                np.stack([self._state.read(number, which, self.step_index + k) for k in range(slots)])
                for which in (Which.RING, Which.IMAG)
            ]
            found[group.name] = Held(v, second, third, *rings)
        return found

    def hold(self, step: int, given: Mapping[str, Held]) -> None:
        # nobody proved that what is given fits where 32 bits hold what was proved of what enters
        state = self._opened(wide=True)
        for name, each in given.items():
            number = self.placed.numbers[name]
            for which, values in ((Which.V, each.v), (Which.SECOND, each.second), (Which.THIRD, each.third)):
                state.write(number, which, values)
            for which, rows in ((Which.RING, each.arriving), (Which.IMAG, each.imag)):
                for k, values in enumerate(rows):
                    state.write(number, which, values, step + k)
        self._state, self.step_index = state, step

    def _slots(self, name: str) -> int:
        return 1 + max((link.delay for link in self.placed.links if link.target == name), default=0)

    @property
    def wide(self) -> bool:
        """Whether state is held in 64 bits by now."""
        return self._state.program.wide

    def _opened(self, *, wide: bool) -> LockstepState:
        return LockstepState(self._layouts.program(wide=wide), self.samples, threads=self.threads)

    def _widen_for(self, lines: Mapping[str, LineSpikes]) -> None:
        """Go on in 64 bits where what enters might need them."""
        if self._state.program.wide:
            return
        most = max((int(np.abs(spikes.values).max(initial=0)) for spikes in lines.values()), default=0)
        if most > self.placed.narrow_to:
            self._state = self._state.widened(self._layouts.program(wide=True))


class _Layouts:
    """Blocks and arcs of a placed program in the library, by width, made when they are asked for."""

    def __init__(self, placed: Placed) -> None:
        self.placed = placed
        self._programs: dict[bool, LockstepProgram] = {}
        self.groups = [_lines(line.shape, prompt=line.name in placed.prompt) for line in placed.lines]
        self.windows: dict[str, tuple[Integers, Integers]] = {}
        for group in placed.groups:
            if isinstance(group.neuron, MaxUnit):
                self.windows[group.name] = windows(group.neuron.window, placed.membranes[group.name])
            self.groups.append(self._group(group))
        self.wirings = [self._wiring(link) for link in placed.links]

    def program(self, *, wide: bool) -> LockstepProgram:
        """The program in 64 or 32 bits."""
        if wide not in self._programs:
            self._programs[wide] = self._program(wide=wide)
        return self._programs[wide]

    def _program(self, *, wide: bool) -> LockstepProgram:
        placed = self.placed
        made = LockstepProgram(self.groups, wide=wide)
        whole = [Part(g.name, 0, prod(g.shape), i) for i, g in enumerate(placed.groups)]
        for part in _joined(placed.parts or whole):
            group = placed.by_name[part.population]
            incoming = [i for i, link in enumerate(placed.links) if link.target == group.name]
            slots = 1 + max((placed.links[i].delay for i in incoming), default=0)
            imag = any(placed.links[i].port == "imag" for i in incoming)
            values = _Values(group, placed)
            for pixels, channels in rectangles(group.shape, part.start, part.stop):
                inside = None
                if group.name in self.windows:
                    counts = np.diff(self.windows[group.name][0])[slice(*pixels)]
                    inside = np.arange(self.groups[placed.numbers[group.name]].places) < counts[:, None]
                block = made.block(
                    placed.numbers[group.name],
                    pixels,
                    channels,
                    slots=slots,
                    imag=imag,
                    inside=inside,
                    **values.of(pixels, channels),
                )
                for i in incoming:
                    made.arc(block, self._arc(i, pixels, channels, wide=wide))
        return made

    def _group(self, group: Group) -> Layout:
        pixels, channels = pixels_of(group.shape)
        base: dict[str, Any] = {
            "pixels": pixels,
            "channels": channels,
            "offset": group.offset,
            "presentation": self.placed.presentation,
        }
        neuron = group.neuron
        match neuron:
            case FixedCubaLIF():
                return Layout(Kind.CUBA1 if self.placed.chip == "loihi1" else Kind.CUBA2, **base)
            case FixedSigmaDelta():
                return Layout(Kind.SIGMA_DELTA, **base, flag=neuron.activation == "relu")
            case FixedResonateAndFire():
                return Layout(Kind.IZHIKEVICH if neuron.kind == "izhikevich" else Kind.RESONATE, **base)
            case GradedThreshold():
                return Layout(Kind.GRADED_THRESHOLD, **base, flag=neuron.relu)
            case SignedIF(low=low, high=high):
                return Layout(Kind.SIGNED, **base, low=low, high=high)
            case GradedIF(low=low, high=high, fires_at=step):
                return Layout(Kind.GRADED, **base, low=low, high=high, opens_at=step)
            case PhasedIF(opens_at=opens_at, closes_at=closes_at):
                return Layout(Kind.PHASED, **base, opens_at=opens_at, closes_at=closes_at)
            case PlainIF():
                return Layout(Kind.PLAIN, **base)
            case RadixIF(bits=bits, opens_at=step):
                return Layout(Kind.RADIX, **base, bits=bits, opens_at=step)
            case UnitBank(units=units, fires_at=step):
                return Layout(Kind.BANK, **base, high=units, opens_at=step)
            case StaircaseIF(steps=steps, low=low):
                return Layout(Kind.STAIRCASE, **base, low=low, table_size=len(steps))
            case StaircaseUnit(steps=steps, low=low, sends="payload", opens_at=step):
                return Layout(Kind.LEVELS, **base, low=low, table_size=len(steps), opens_at=step)
            case StaircaseUnit(steps=steps, sends=sends, opens_at=step):
                kind = Kind.DIGITS if sends == "digits" else Kind.THERMOMETER
                return Layout(kind, **base, bits=neuron.duration, table_size=len(steps), opens_at=step)
            case StaircaseBank(steps=steps, fires_at=step):
                return Layout(Kind.LEVELS, **base, table_size=len(steps), opens_at=step)
            case MaxUnit(fires_at=at):
                places = int(np.diff(self.windows[group.name][0]).max(initial=1))
                return Layout(Kind.MAXIMUM, **base, places=places, opens_at=-1 if at is None else at)
            case Accumulator():
                return Layout(Kind.ACCUMULATOR, **base)

    def _wiring(self, link: Projection) -> Wiring | tuple[Integers, Integers, Integers]:
        """Taps and slabs, or offsets, flat targets and weights by flat source."""
        source, target = self.placed.shapes[link.source], self.placed.membranes[link.target]
        operators = [s for s in link.synapses if not isinstance(s, Sparse)]
        if len(operators) == len(link.synapses):
            try:
                return wire(operators, source, target)
            except NoWiringError:
                pass
        found = unrolled(link, source, target)
        if found.weights.ndim == 2:
            weights = np.repeat(found.weights[:, 0], np.diff(found.offsets))
        else:
            weights = np.broadcast_to(found.weights, found.targets.shape)
        return found.offsets, found.targets.astype(np.int64), weights.astype(np.int64)

    def _arc(self, index: int, pixels: tuple[int, int], channels: tuple[int, int], *, wide: bool) -> Arc:
        """What of a link reaches a block."""
        link, wiring = self.placed.links[index], self.wirings[index]
        base: dict[str, Any] = {
            "source": self.placed.numbers[link.source],
            "delay": link.delay,
            "shift": self.placed.shift(link),
            # in 32 bits sums are bounded so that nothing wraps
            "wraps": HANDS_24 * self.placed.wraps(link) | SUMS_32 * (wide and self.placed.sums_wrap(link)),
            "imag": link.port == "imag",
        }
        if not isinstance(wiring, Wiring):
            return self._sparse(base, link, wiring, pixels, channels)
        here, tap = self._taps(link.target, wiring, pixels)
        source = wiring.pixel[tap]
        order = np.argsort(source, kind="stable")
        count = pixels_of(self.placed.shapes[link.source])[0]
        offsets = np.searchsorted(source[order], np.arange(count + 1))
        used, slab = np.unique(wiring.slab[tap][order], return_inverse=True)
        found: dict[str, Any] = {**base, "offsets": offsets, "pixel": here[order], "slab": slab.reshape(-1)}
        if wiring.rows is not None:
            kept = wiring.rows[used][:, :, slice(*channels)]
            if base["shift"] < 0 and not base["wraps"] and not (kept & ((1 << -base["shift"]) - 1)).any():
                kept, found["shift"] = kept >> -base["shift"], 0  # what is shifted out of the sum is zeros
            weights, up = _narrowest(kept)
            return Arc(**found, weights=weights, rows=kept >> up, up=up)
        assert wiring.target is not None
        assert wiring.factor is not None
        to = wiring.target[used]
        to = np.where((to >= channels[0]) & (to < channels[1]), to - channels[0], -1)
        factor = wiring.factor[used]
        if base["shift"] < 0 and not base["wraps"] and not (factor & ((1 << -base["shift"]) - 1)).any():
            factor, found["shift"] = factor >> -base["shift"], 0
        return Arc(**found, weights=Weights.DIAGONAL, to=to, factor=factor)

    def _taps(self, target: str, wiring: Wiring, pixels: tuple[int, int]) -> tuple[Integers, Integers]:
        """Pixel of the block's membrane, and tap, of everything that reaches a block."""
        if target not in self.windows:
            begin, end = wiring.offsets[pixels[0]], wiring.offsets[pixels[1]]
            counts = np.diff(wiring.offsets[pixels[0] : pixels[1] + 1])
            return np.repeat(np.arange(len(counts)), counts), np.arange(begin, end)
        # a place of a window is a pixel of its own, and reads what the pixel under it reads
        offsets, under = self.windows[target]
        places = self.groups[self.placed.numbers[target]].places
        read = under[offsets[pixels[0]] : offsets[pixels[1]]]
        seen = np.diff(offsets[pixels[0] : pixels[1] + 1])
        first = np.repeat(offsets[pixels[0] : pixels[1]] - offsets[pixels[0]], seen)
        place = np.repeat(np.arange(len(seen)), seen) * places + np.arange(len(read)) - first
        counts = wiring.offsets[read + 1] - wiring.offsets[read]
        ends = np.cumsum(counts)
        tap = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return np.repeat(place, counts), tap + np.repeat(wiring.offsets[read], counts)

    def _sparse(
        self,
        base: dict[str, Any],
        link: Projection,
        found: tuple[Integers, Integers, Integers],
        pixels: tuple[int, int],
        channels: tuple[int, int],
    ) -> Arc:
        offsets, targets, weights = found
        source = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        channel, pixel = np.divmod(targets, pixels_of(self.placed.membranes[link.target])[0])
        width = channels[1] - channels[0]
        padded = LockstepProgram.padded(width)
        if link.target in self.windows:
            # each place of a window over the pixel
            starts, under = self.windows[link.target]
            places = self.groups[self.placed.numbers[link.target]].places
            out = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            place = np.arange(len(under)) - np.repeat(starts[:-1], np.diff(starts))
            by_pixel = np.argsort(under, kind="stable")
            begin = np.searchsorted(under[by_pixel], np.arange(under.max(initial=0) + 2))
            counts = begin[pixel + 1] - begin[pixel]
            which = np.repeat(np.arange(len(targets)), counts)
            nth = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
            window = by_pixel[begin[pixel[which]] + nth]
            source, channel, weights = source[which], channel[which], weights[which]
            inside = (out[window] >= pixels[0]) & (out[window] < pixels[1])
            pixel = (out[window] - pixels[0]) * places + place[window]
        else:
            inside = (pixel >= pixels[0]) & (pixel < pixels[1])
            pixel = pixel - pixels[0]
        keep = inside & (channel >= channels[0]) & (channel < channels[1])
        starts = np.searchsorted(source[keep], np.arange(len(offsets)))
        position = pixel[keep] * padded + channel[keep] - channels[0]
        return Arc(**base, weights=Weights.SPARSE, offsets=starts, pixel=position, rows=weights[keep])


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Neighbours as one block: which core steps a neuron makes no difference, and a spike is brought to a large block at once."""
    held: Part | None = None
    for part in sorted(parts, key=lambda part: (part.population, part.start)):
        if held is None:
            held = part
        elif (held.population, held.stop) == (part.population, part.start) and part.stop - held.start <= BLOCK:
            held = replace(held, stop=part.stop)
        else:
            yield held
            held = part
    if held is not None:
        yield held


def _narrowest(rows: Integers) -> tuple[Weights, int]:
    """How rows of weights are kept, and by how many bits they are shifted for it: those of mixed signs are even, and eight bits hold the half."""
    bits = int(np.bitwise_or.reduce(rows, axis=None))
    up = (bits & -bits).bit_length() - 1 if bits else 0
    low, high = int(rows.min(initial=0)), int(rows.max(initial=0))
    if low >> up >= -(2**7) and high >> up < 2**7:
        return Weights.ROWS8, up
    return (Weights.ROWS16 if low >= -(2**15) and high < 2**15 else Weights.ROWS32), 0


def _lines(shape: Shape, *, prompt: bool) -> Layout:
    pixels, channels = pixels_of(shape)
    return Layout(Kind.LINES, pixels, channels, flag=prompt)


class _Values:
    """Parameters of a group, cut to blocks."""

    def __init__(self, group: Group, placed: Placed) -> None:
        self.shape = group.shape
        neuron: Any = group.neuron
        self.table: Integers | None = None
        self.initial = self._whole(getattr(neuron, "initial", 0)) if not isinstance(neuron, MaxUnit) else None
        if isinstance(neuron, FixedNeuron):
            self.parameters = {name: self._whole(v.reshape(group.shape)) for name, v in flat_parameters(group).items()}
            if isinstance(neuron, FixedCubaLIF):
                self.parameters["du"] = 4095 - self.parameters["du"]
                self.parameters["dv"] = 4096 - self.parameters["dv"]
            return
        self.parameters = {}
        if isinstance(neuron, MaxUnit):
            return
        for name in ("threshold", "release"):
            if hasattr(neuron, name):
                self.parameters[name] = self._whole(getattr(neuron, name))
        bias = self._whole(neuron.bias)
        self.parameters["each"], self.parameters["rest"] = np.divmod(bias, placed.presentation)
        if isinstance(neuron, StaircaseIF | StaircaseUnit | StaircaseBank):
            self.table = np.stack([self._whole(row) for row in neuron.steps])

    def _whole(self, values: Any) -> Integers:
        """As (channel, pixel)."""
        pixels, channels = pixels_of(self.shape)
        return np.broadcast_to(np.asarray(values, np.int64), self.shape).reshape(channels, pixels)

    def of(self, pixels: tuple[int, int], channels: tuple[int, int]) -> dict[str, Any]:
        def cut(values: Integers) -> Integers:
            return values[..., slice(*channels), slice(*pixels)].swapaxes(-1, -2)

        return {
            "parameters": {name: cut(values) for name, values in self.parameters.items()},
            "table": None if self.table is None else cut(self.table),
            "initial": None if self.initial is None or not self.initial.any() else cut(self.initial),
        }
