"""Spikes and potentials over time, as SVG that needs nothing else; every text in it is escaped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.files import replacing
from spikeport.primitives import SpikeEvents

WIDTH, LEFT, RIGHT, TOP, HEIGHT, GAP = 900, 72, 16, 26, 170, 34
MOST_NEURONS, MOST_POINTS, MOST_TRACES = 400, 20_000, 5
"""What is drawn of a panel at most; the panel says where it is less than all."""
COLORS = ("#3366aa", "#cc5533", "#338855", "#8855aa", "#886622")


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture; notebooks show it by themselves.

    >>> Figure("<svg></svg>")._repr_svg_()
    '<svg></svg>'
    """

    svg: str

    def save(self, path: str | Path) -> Path:
        """Write it as an SVG file.

        Raises:
            FileError: it cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.svg, encoding="utf-8")
        return Path(path)

    def _repr_svg_(self) -> str:
        return self.svg


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Spikes, or values over time of shape (time, neuron), of one sample."""

    title: str
    content: SpikeEvents | NDArray[Any]
    sample: int = 0


def figure(panels: Sequence[Panel], *, n_steps: int, dt: float) -> Figure:
    """Panels below each other, on one axis of time."""
    height = TOP + len(panels) * (HEIGHT + GAP) + 20
    end = n_steps * dt
    unit, factor = ("ms", 1e3) if end < 2 else ("s", 1.0)
    marks: list[str] = []
    for i, panel in enumerate(panels):
        top = TOP + i * (HEIGHT + GAP)
        body, note, low, high = _body(panel, top, n_steps)
        said = escape(panel.title) + (f"  <tspan fill='#777'>{escape(note)}</tspan>" if note else "")
        marks.append(f"<text x='{LEFT}' y='{top - 8}' font-weight='600'>{said}</text>")
        marks.append(
            f"<rect x='{LEFT}' y='{top}' width='{WIDTH - LEFT - RIGHT}' height='{HEIGHT}' fill='none' stroke='#bbb'/>"
        )
        marks.extend(_value_ticks(low, high, top, whole=isinstance(panel.content, SpikeEvents)))
        marks.extend(body)
        marks.extend(_time_ticks(end, factor, top, "" if i < len(panels) - 1 else f"time ({unit})"))
    title = escape(", ".join(panel.title for panel in panels))
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' role='img'"
        " font-family='system-ui, sans-serif' font-size='12' fill='#222'>"
    )
    return Figure(f"{head}<title>{title}</title><rect width='100%' height='100%' fill='#fff'/>{''.join(marks)}</svg>")


def _body(panel: Panel, top: float, n_steps: int) -> tuple[list[str], str, float, float]:
    """Marks, what they leave out, and the ends of the axis."""
    width = WIDTH - LEFT - RIGHT
    if isinstance(panel.content, SpikeEvents):
        events = panel.content
        size = int(np.prod(events.shape))
        mine = events.samples == panel.sample
        shown = min(size, MOST_NEURONS)
        stride = size / shown
        kept = mine & (np.floor(np.floor(events.neurons / stride) * stride) == events.neurons) if size > shown else mine
        steps, neurons = events.steps[kept], np.floor(events.neurons[kept] / stride)
        note = f"every {stride:.3g}th of {size:,} neurons" if size > shown else ""
        if len(steps) > MOST_POINTS:
            note = f"{note + ', ' if note else ''}{MOST_POINTS:,} of {len(steps):,} spikes"
            which = np.linspace(0, len(steps) - 1, MOST_POINTS).astype(np.int64)
            steps, neurons = steps[which], neurons[which]
        x = LEFT + (steps + 0.5) / n_steps * width
        y = top + HEIGHT - (neurons + 0.5) / shown * HEIGHT
        tall = max(1.5, min(8.0, 0.8 * HEIGHT / shown))
        path = "".join(f"M{a:.1f} {b - tall / 2:.1f}v{tall:.1f}" for a, b in zip(x, y, strict=True))
        return [f"<path d='{path}' stroke='#222' stroke-width='1.2' fill='none'/>"], note, 0, size
    values = np.asarray(panel.content, dtype=np.float64)
    shown = min(MOST_TRACES, values.shape[1])
    note = f"{shown} of {values.shape[1]:,} neurons" if values.shape[1] > shown else ""
    which = np.linspace(0, values.shape[1] - 1, shown).astype(np.int64)
    drawn = values[:, which]
    low, high = float(drawn.min(initial=0)), float(drawn.max(initial=0))
    if low == high:
        low, high = low - 1, high + 1
    marks = []
    for trace, color in zip(drawn.T, COLORS, strict=False):
        steps, heights = _thinned(trace, 2 * width)
        x = LEFT + (steps + 1) / n_steps * width  # potentials are those of the end of a step
        y = top + HEIGHT - (heights - low) / (high - low) * HEIGHT
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        marks.append(f"<polyline points='{points}' stroke='{color}' stroke-width='1.2' fill='none'/>")
    return marks, note, low, high


def _thinned(trace: NDArray[np.float64], most: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Steps and values: of each short stretch its least and its greatest, so that no spike is lost to the eye."""
    if len(trace) <= 2 * most:
        return np.arange(len(trace)), trace
    edges = np.linspace(0, len(trace), most + 1).astype(np.int64)
    places: list[int] = []
    for a, b in itertools.pairwise(edges):
        places.extend(sorted({int(a + trace[a:b].argmin()), int(a + trace[a:b].argmax())}))
    where = np.array(places)
    return where, trace[where]


def _nice(span: float, most: int) -> float:
    """A round distance of ticks."""
    if span <= 0:
        return 1.0
    rough = span / most
    power = 10.0 ** floor(log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough)


def _value_ticks(low: float, high: float, top: float, *, whole: bool) -> Iterator[str]:
    step = max(1.0, _nice(high - low, 4)) if whole else _nice(high - low, 4)
    value = np.ceil(low / step) * step
    while value <= high:
        y = top + HEIGHT - (value - low) / (high - low) * HEIGHT
        text = f"{value:,.0f}" if whole else f"{0.0 if abs(value) < step / 1e6 else value:g}"
        yield f"<text x='{LEFT - 8}' y='{y + 4:.1f}' text-anchor='end' fill='#555'>{text}</text>"
        yield f"<line x1='{LEFT - 4}' x2='{LEFT}' y1='{y:.1f}' y2='{y:.1f}' stroke='#999'/>"
        value += step


def _time_ticks(end: float, factor: float, top: float, label: str) -> Iterator[str]:
    step = _nice(end * factor, 8)
    value = 0.0
    while value <= end * factor * (1 + 1e-9):
        x = LEFT + value / (end * factor) * (WIDTH - LEFT - RIGHT)
        yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top + HEIGHT}' y2='{top + HEIGHT + 4}' stroke='#999'/>"
        if label:
            yield f"<text x='{x:.1f}' y='{top + HEIGHT + 17}' text-anchor='middle' fill='#555'>{value:g}</text>"
        value += step
    if label:
        yield f"<text x='{WIDTH - RIGHT}' y='{top + HEIGHT + 32}' text-anchor='end' fill='#555'>{label}</text>"
