"""Izhikevich's twenty published patterns: stepped, recognised by their spikes, compared with the published program, and drawn."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikeport as sp
from spikeport import native
from spikeport.primitives import DynamicNetwork, DynamicPopulation, DynamicsContract, Izhikevich

Times = list[float]
"""Of spikes, in milliseconds."""
PEAK = 30.0
"""What the figure shows in the step of a spike, in millivolts."""


@dataclass(frozen=True)
class Pattern:
    """A panel of the figure: E. M. Izhikevich, Which model to use for cortical spiking neurons? (2004), and its program figure1.m."""

    letter: str
    name: str
    a: float
    b: float
    c: float
    d: float
    v: float
    """Before the first step."""
    tau: float
    """A step, in milliseconds."""
    end: float
    """Last moment, in milliseconds."""
    drive: Callable[[float], float]
    """Current at a moment."""
    shows: Callable[[Run], bool]
    """Whether a run is of this class."""
    said: str
    """What that means."""
    more: dict[str, float] = field(default_factory=dict)
    u: float | None = None
    enlarged: float | None = None
    """From when on the potential is drawn enlarged as well."""

    @property
    def moments(self) -> NDArray[np.float64]:
        return np.arange(round(self.end / self.tau) + 1) * self.tau

    @property
    def current(self) -> NDArray[np.float64]:
        return np.array([self.drive(float(t)) for t in self.moments])


@dataclass(frozen=True)
class Run:
    """What a neuron did: its spikes, and its potentials after each step."""

    spikes: Times
    v: NDArray[np.float64]
    tau: float

    def between(self, begin: float, end: float) -> Times:
        return [t for t in self.spikes if begin < t < end]

    @property
    def intervals(self) -> Times:
        return [b - a for a, b in pairwise(self.spikes)]

    def bursts(self, longest: float) -> list[Times]:
        """Spikes that follow each other within so many milliseconds."""
        found: list[Times] = []
        for t in self.spikes:
            if found and t - found[-1][-1] <= longest:
                found[-1].append(t)
            else:
                found.append([t])
        return found

    def at(self, t: float) -> float:
        return float(self.v[round(t / self.tau)])


def step(at: float, size: float, before: float = 0.0) -> Callable[[float], float]:
    return lambda t: size if t > at else before


def pulses(size: float, *spans: tuple[float, float], base: float = 0.0) -> Callable[[float], float]:
    return lambda t: size if any(begin < t < end for begin, end in spans) else base


def ramp(at: float, slope: float, base: float = 0.0) -> Callable[[float], float]:
    return lambda t: base + slope * (t - at) if t > at else base


def held(low: float, high: float) -> Callable[[float], float]:
    return lambda t: high if t < 50 or t > 250 else low


def slow_and_fast(t: float) -> float:
    if t < 200:
        return t / 25
    return (t - 300) / 12.5 * 4 if 300 <= t < 312.5 else 0.0


def even(intervals: Sequence[float], within: float = 0.05) -> bool:
    """All of one length, up to a share of it."""
    return len(intervals) > 1 and max(intervals) - min(intervals) <= within * max(intervals)


def _bursts(run: Run, longest: float) -> bool:
    found = run.bursts(longest)
    return len(found) >= 3 and all(len(burst) >= 2 for burst in found[:-1]) and even([b[0] for b in found][1:], 1.0)


def _rebounds(run: Run) -> bool:
    """After the spike the potential falls, rises above its rest, and comes to rest."""
    (spike,) = run.spikes if len(run.spikes) == 1 else (-1.0,)
    after = run.v[round(spike / run.tau) + 1 :]
    return spike > 0 and float(after.max()) > run.at(5.0) + 5 and abs(float(after[-1]) - run.at(5.0)) < 2


def _rings(run: Run) -> bool:
    """After the spike and the pulse the potential goes up and down, each time less far."""
    after = run.v[round(60 / run.tau) :]
    ends = after[1:-1][np.diff(np.signbit(np.diff(after)))]
    swings = np.abs(np.diff(ends))
    return len(run.spikes) == 1 and len(ends) >= 5 and bool((np.diff(swings) < 0).all())


OTHER_SLOPE = {"linear": 4.1, "constant": 108.0}
NO_DECAY = {"v_recovery": -65.0, "leak": 0.0}
PATTERNS = (
    Pattern(
        "A", "tonic spiking", 0.02, 0.2, -65, 6, -70, 0.25, 100, step(10, 14),
        lambda r: not r.between(0, 10) and len(r.spikes) >= 5 and even(r.intervals[2:]),
        "spikes while the current lasts, soon at equal intervals",
    ),
    Pattern(
        "B", "phasic spiking", 0.02, 0.25, -65, 6, -64, 0.25, 200, step(20, 0.5),
        lambda r: len(r.spikes) == 1 and bool(r.between(20, 60)),
        "one spike at the onset",
    ),
    Pattern(
        "C", "tonic bursting", 0.02, 0.2, -50, 2, -70, 0.25, 220, step(22, 15),
        lambda r: _bursts(r, 8), "bursts of at least two spikes, again and again",
    ),
    Pattern(
        "D", "phasic bursting", 0.02, 0.25, -55, 0.05, -64, 0.2, 200, step(20, 0.6),
        lambda r: len(r.bursts(20)) == 1 and len(r.spikes) >= 3 and not r.between(120, 200),
        "one burst at the onset, then silence",
    ),
    Pattern(
        "E", "mixed mode", 0.02, 0.2, -55, 4, -70, 0.25, 160, step(16, 10),
        lambda r: len((b := r.bursts(10))[0]) >= 2 and len(b) >= 4 and all(len(x) == 1 for x in b[1:]),
        "a burst at the onset, then single spikes",
    ),
    Pattern(
        "F", "frequency adaptation", 0.01, 0.2, -65, 8, -70, 0.25, 85, step(8.5, 30),
        lambda r: len(r.intervals) >= 4 and all(b >= a for a, b in pairwise(r.intervals)) and r.intervals[-1] > 2 * r.intervals[0],
        "intervals grow to more than twice the first",
    ),
    Pattern(
        "G", "class 1 excitable", 0.02, -0.1, -55, 6, -60, 0.25, 300, ramp(30, 0.075),
        lambda r: r.intervals[0] > 25 and r.intervals[-1] < r.intervals[0] / 2,
        "begins below 40 Hz, and the rate follows the ramp",
        OTHER_SLOPE,
    ),
    Pattern(
        "H", "class 2 excitable", 0.2, 0.26, -65, 0, -64, 0.25, 300, ramp(30, 0.015, -0.5),
        lambda r: len(r.intervals) >= 5 and max(r.intervals) < 25 and not r.between(0, 100),
        "silent at first, then above 40 Hz from the first interval on",
    ),
    Pattern(
        "I", "spike latency", 0.02, 0.2, -65, 6, -70, 0.2, 100, pulses(7.04, (10, 13)),
        lambda r: len(r.spikes) == 1 and r.spikes[0] > 23,
        "one spike, more than 10 ms after the pulse",
    ),
    Pattern(
        "J", "subthreshold oscillations", 0.05, 0.26, -60, 0, -62, 0.25, 200, pulses(2, (20, 25)),
        _rings, "one spike, then swings without one, each less far than the one before", enlarged=55.0,
    ),
    Pattern(
        "K", "resonator", 0.1, 0.26, -60, -1, -62, 0.25, 400,
        pulses(0.65, (40, 44), (60, 64), (280, 284), (320, 324)),
        lambda r: not r.between(0, 320) and bool(r.between(320, 345)),
        "answers to two pulses 40 ms apart, and not to two 20 ms apart",
    ),
    Pattern(
        "L", "integrator", 0.02, -0.1, -55, 6, -60, 0.25, 100,
        pulses(9, (100 / 11, 100 / 11 + 2), (100 / 11 + 5, 100 / 11 + 7), (70, 72), (80, 82)),
        lambda r: bool(r.between(0, 30)) and not r.between(60, 100),
        "answers to two pulses 5 ms apart, and not to two 10 ms apart",
        OTHER_SLOPE,
    ),
    Pattern(
        "M", "rebound spike", 0.03, 0.25, -60, 4, -64, 0.2, 200, pulses(-15, (20, 25)),
        lambda r: len(r.spikes) == 1 and r.spikes[0] > 25, "one spike, after an inhibition",
    ),
    Pattern(
        "N", "rebound burst", 0.03, 0.25, -52, 0, -64, 0.2, 200, pulses(-15, (20, 25)),
        lambda r: len(r.spikes) >= 3 and r.spikes[0] > 25 and len(r.bursts(20)) == 1, "a burst, after an inhibition",
    ),
    Pattern(
        "O", "threshold variability", 0.03, 0.25, -60, 4, -64, 0.25, 100,
        lambda t: 1.0 if 10 < t < 15 or 80 < t < 85 else -6.0 if 70 < t < 75 else 0.0,
        lambda r: not r.between(0, 80) and len(r.between(80, 100)) == 1,
        "the pulse that fails alone succeeds after an inhibition",
    ),
    Pattern(
        "P", "bistability", 0.1, 0.26, -60, 0, -61, 0.25, 300,
        pulses(1.24, (37.5, 42.5), (216, 221), base=0.24),
        lambda r: not r.between(0, 37) and len(r.between(50, 216)) >= 4 and not r.between(235, 300),
        "one pulse starts spikes that go on by themselves, another ends them",
    ),
    Pattern(
        "Q", "depolarizing afterpotential", 1, 0.2, -60, -21, -70, 0.1, 50, pulses(20, (9, 11)),
        _rebounds, "after one spike the potential rises above its rest",
    ),
    Pattern(
        "R", "accommodation", 0.02, 1, -55, 4, -65, 0.5, 400, slow_and_fast,
        lambda r: not r.between(0, 300) and bool(r.between(300, 330)),
        "a slow ramp to 8 brings no spike, a fast one to 4 does",
        NO_DECAY, -16.0,
    ),
    Pattern(
        "S", "inhibition-induced spiking", -0.02, -1, -60, 8, -63.8, 0.5, 350, held(75, 80),
        lambda r: not r.between(0, 50) and len(r.between(50, 250)) >= 3 and not r.between(260, 350),
        "spikes while inhibited, and then alone",
    ),
    Pattern(
        "T", "inhibition-induced bursting", -0.026, -1, -45, -2, -63.8, 0.5, 350, held(75, 80),
        lambda r: not r.between(0, 50) and any(len(b) >= 2 for b in r.bursts(12)) and not r.between(270, 350),
        "bursts while inhibited, and then alone",
    ),
)  # fmt: skip


def network(pattern: Pattern) -> DynamicNetwork:
    """One neuron, stepped as the program steps it."""
    neuron = Izhikevich(
        a=pattern.a,
        b=pattern.b,
        c=pattern.c,
        d=pattern.d,
        initial=pattern.v,
        initial_u=pattern.u,
        substeps=1,
        **pattern.more,  # type: ignore[arg-type]  # names and values stand in the table above
    )
    contract = DynamicsContract(dt=pattern.tau * 1e-3, integrator="forward_euler", compare=">")
    return DynamicNetwork(pattern.letter, (), (DynamicPopulation("n", (1,), neuron),), (), contract)


def stepped(pattern: Pattern, on: Any) -> Run:
    """By one of our backends."""
    currents = {"n": pattern.current[:, None, None]}
    found = sp.simulate(network(pattern), max_steps=len(pattern.moments), currents=currents, record=["n"], on=on)
    spikes = [float(pattern.moments[k]) for k in found.spikes["n"].steps]
    return Run(spikes, found.potentials["n"].ravel(), pattern.tau)


def published(pattern: Pattern) -> Run:
    """By the loop of the published program, whose squares are products here: a power function rounds one in a thousand otherwise."""
    linear, constant = pattern.more.get("linear", 5.0), pattern.more.get("constant", 140.0)
    v, tau = pattern.v, pattern.tau
    u = pattern.b * v if pattern.u is None else pattern.u
    spikes, potentials = [], []
    for t, current in zip(pattern.moments, pattern.current, strict=True):
        v = v + tau * (0.04 * (v * v) + linear * v + constant - u + current)
        if pattern.more is NO_DECAY:
            u = u + tau * pattern.a * (pattern.b * (v + 65))
        else:
            u = u + tau * pattern.a * (pattern.b * v - u)
        if v > PEAK:
            spikes.append(float(t))
            v, u = pattern.c, u + pattern.d
        potentials.append(v)
    return Run(spikes, np.array(potentials), tau)


def figure(runs: Iterable[tuple[Pattern, Run]]) -> str:
    """All panels as one SVG: potential above, current below."""
    width, height, columns = 215, 150, 4
    shown = list(runs)
    rows = -(-len(shown) // columns)
    box = f"0 0 {columns * width} {rows * height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif" font-size="11">',
        "<title>Twenty patterns of Izhikevich's neuron</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for k, (pattern, run) in enumerate(shown):
        left, top = k % columns * width + 10, k // columns * height + 18
        across = (width - 20) / pattern.end
        v = run.v.copy()
        v[np.rint(np.array(run.spikes) / pattern.tau).astype(int)] = PEAK
        low, high = -90.0, PEAK
        trace = [
            (left + t * across, top + 86 * (high - max(low, y)) / (high - low))
            for t, y in zip(pattern.moments, v, strict=True)
        ]
        current = pattern.current
        span = max(float(np.ptp(current)), 1e-9)
        fed = [
            (left + t * across, top + 112 - 16 * (i - current.min()) / span)
            for t, i in zip(pattern.moments, current, strict=True)
        ]
        if pattern.enlarged is not None:
            begin = round(pattern.enlarged / pattern.tau)
            rest = run.v[begin:].mean()
            small = [(x, top + 40 - 15 * (y - rest)) for (x, _), y in zip(trace[begin:], run.v[begin:], strict=True)]
            parts += [
                _line(small, "#8fb3d1", 1.0),
                f'<text x="{left + width - 26}" y="{top + 14}" text-anchor="end" font-size="9" fill="#6f93b1">enlarged</text>',
            ]
        scale = 10 ** int(np.log10(pattern.end / 2.5))
        bar = left + width - 22 - scale * across
        parts += [
            f'<text x="{left}" y="{top - 6}">({pattern.letter}) {pattern.name}</text>',
            _line(trace, "#1f5f99", 1.0),
            _line(fed, "#a0522d", 1.2),
            f'<path d="M{bar:.1f} {top + 120}h{scale * across:.1f}" stroke="#000000"/>',
            f'<text x="{bar - 4:.1f}" y="{top + 124}" text-anchor="end" font-size="9">{scale} ms</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _line(points: Sequence[tuple[float, float]], color: str, width: float) -> str:
    """A polyline that is nowhere further from all points than a tenth of a unit."""
    array = np.array(points)
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in array[_needed(array, 0.1)])
    return f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"/>'


def _needed(points: NDArray[np.float64], far: float) -> list[int]:
    """Indices of the points that a line needs (Ramer, Douglas and Peucker), measured upwards, as time goes to the right."""
    kept, open_ = {0, len(points) - 1}, [(0, len(points) - 1)]
    while open_:
        first, last = open_.pop()
        between = points[first + 1 : last]
        if not len(between):
            continue
        off = np.abs(between[:, 1] - np.interp(between[:, 0], *points[[first, last]].T))
        if off.max() > far:
            middle = first + 1 + int(off.argmax())
            kept.add(middle)
            open_ += [(first, middle), (middle, last)]
    return sorted(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--svg", type=Path, metavar="FILE", help="where to draw them")
    options = parser.parse_args()
    misses, runs, values = [], [], 0
    backends = ["reference", *(["native"] if native.available() else [])]
    for pattern in PATTERNS:
        theirs = published(pattern)
        for on in backends:
            ours = stepped(pattern, on)
            values += len(ours.v)
            if ours.spikes != theirs.spikes or not np.array_equal(ours.v, theirs.v):
                misses.append(f"{pattern.letter}: {on} differs from the published program")
        runs.append((pattern, ours))
        seen = pattern.shows(ours)
        print(
            f"{pattern.letter}  {pattern.name:<28}{len(ours.spikes):>3} spikes  {'' if seen else 'NOT '}{pattern.said}"
        )
        if not seen:
            misses.append(f"{pattern.letter}: {pattern.name} is not recognised")
    if options.svg is not None:
        options.svg.write_text(figure(runs), encoding="utf-8")
    print(f"{values:,} potentials by {' and '.join(backends)} compared with the published program, bit for bit")
    for miss in misses:
        print(miss, file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
