"""The figures of the page as SVG: pure functions from a report's values to markup in which every text is escaped."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, islice
from statistics import median_high

from markupsafe import Markup

from spikeport.report.plain import numbered, printable
from spikeport.report.report import Raster

Axis = Callable[[float], float]
"""From a number of steps to a horizontal coordinate."""

MARKS = 20_000
"""Spikes that the raster draws: more make a page slow, and show nothing more."""
BANDS = 120
"""Populations that the raster draws."""
POINTS = 600
"""Points of the curve."""
BINS = 60
"""Bars of the distribution of steps until quiet."""
LABEL = 22
"""Characters of a name beside the raster; the rest is in its title."""


def gap_figure(gap: float, interval: tuple[float, float] | None, tolerance: float) -> Markup:
    """A gap in percentage points with its interval on an axis, against zero and the tolerance."""
    width, left, right, middle = 400, 14, 386, 50
    gap, tolerance = _clamped(gap), _clamped(tolerance)
    low, high = (gap, gap) if interval is None else (_clamped(interval[0]), _clamped(interval[1]))
    step = _nice(max(0.0, high, tolerance) - min(0.0, low), 6)
    start, end = min(0.0, low) - 0.6 * step, max(0.0, high, tolerance) + 0.6 * step

    def x(value: float) -> float:
        return left + (right - left) * (value - start) / (end - start)

    inside = high <= tolerance
    anchor = "end" if x(tolerance) > (left + right) / 2 else "start"
    marks = [
        _tag("rect", x=left, y=22, width=x(tolerance) - left, height=56, class_="tolerated"),
        _tag("line", x1=x(tolerance), x2=x(tolerance), y1=22, y2=78, class_="limit"),
        _tag("text", f"tolerance {_number(tolerance)}", x=x(tolerance), y=14, class_="note", text_anchor=anchor),
        _tag("line", x1=left, x2=right, y1=78, y2=78, class_="axis"),
        _tag("line", x1=x(0), x2=x(0), y1=22, y2=78, class_="zero"),
    ]
    for i in range(math.ceil(start / step), math.floor(end / step) + 1):
        marks.append(_tag("line", x1=x(i * step), x2=x(i * step), y1=78, y2=82, class_="axis"))
        label = _number(i * step, signed=True)
        marks.append(_tag("text", label, x=x(i * step), y=95, text_anchor="middle"))
    shown = "mark" if inside else "mark bad"
    if interval is not None:
        marks.append(_tag("line", x1=x(low), x2=x(high), y1=middle, y2=middle, class_=f"{shown} whisker"))
        for end_of_interval in (low, high):
            at = x(end_of_interval)
            marks.append(_tag("line", x1=at, x2=at, y1=middle - 7, y2=middle + 7, class_=f"{shown} whisker"))
    marks.append(_tag("circle", cx=x(gap), cy=middle, r=5, class_=shown))
    marks.append(_tag("text", "points the spiking network loses", x=right, y=113, class_="note", text_anchor="end"))
    known = f" with 95 % interval from {_number(low, signed=True)} to {_number(high, signed=True)}" if interval else ""
    verdict = "within" if inside else "beyond"
    said = f"{_number(gap, signed=True)} points{known}, {verdict} the tolerance of {_number(tolerance)}"
    return _svg(width, 120, "Gap against the tolerance", said, marks, name="gap")


def curve_figure(curve: Sequence[float], quiet_after: Sequence[int], drain_bound: int) -> Markup:
    """Agreement after each step above the distribution of steps until quiet, on one axis of steps."""
    left, right = 52, 704
    last = max(len(curve), max(quiet_after, default=0), 1)
    bound_shown = 0 < drain_bound <= last + last // 2
    if bound_shown:
        last = max(last, drain_bound)
    top, bottom = 18, (178 if curve else 18)
    base = bottom + (96 if quiet_after else 0) + (14 if curve and quiet_after else 0)

    def x(step: float) -> float:
        return left + (right - left) * step / last

    marks: list[Markup] = []
    said = []
    if curve:
        lowest = max((start for start in (0, 50, 80, 90) if start <= min(curve)), default=0)
        marks += _curve(curve, x, lowest=lowest, left=left, right=right, top=top, bottom=bottom)
        said.append(f"{curve[0]:.1f} % of predictions are final after step 1")
        settled = 1 + max((i for i, value in enumerate(curve, 1) if value < 99), default=0)
        if settled <= len(curve):
            said.append(f"at least 99 % from step {settled:,} on")
    if quiet_after:
        middle = median_high(quiet_after)
        at = x(max(0.0, middle - 0.5))
        late = at > (left + right) / 2
        anchor, aside = ("end", -5) if late else ("start", 5)
        marks += _distribution(quiet_after, x, last=last, left=left, right=right, base=base)
        title = "samples that become quiet"  # where the median is not
        title_at, title_anchor = (left, "start") if late else (right, "end")
        marks.append(_tag("text", title, x=title_at, y=base - 76, class_="note", text_anchor=title_anchor))
        marks.append(_tag("line", x1=at, x2=at, y1=base - 84, y2=base, class_="zero"))
        label = f"median {middle:,}"
        marks.append(_tag("text", label, x=at + aside, y=base - 76, class_="note", text_anchor=anchor))
        said.append(f"quiet after {middle:,} steps (median), {max(quiet_after):,} at most")
    if bound_shown:
        marks.append(_tag("line", x1=x(drain_bound), x2=x(drain_bound), y1=top, y2=base, class_="limit"))
        marks.append(
            _tag("text", f"proved bound {drain_bound:,}", x=right, y=top - 8, class_="note", text_anchor="end")
        )
    marks += _step_axis(x, last, left=left, right=right, base=base)
    return _svg(720, base + 44, "Steps against agreement", "; ".join(said), marks, name="curve")


def raster_figure(raster: Raster) -> Markup:
    """Spikes of one sample: a dash for a positive spike, a broken one for a negative, fainter with a smaller payload."""
    left, right, top = 160, 948, 12
    bands = raster.populations[:BANDS]
    rows = sum(count for _, count in bands)
    per_row = min(8.0, max(2.2, 560 / max(1, rows)))
    offsets, heights, marks = [], [], []
    y = float(top)
    for name, count in bands:
        height = min(max(13.0, count * per_row), 400.0)
        offsets.append(y)
        heights.append(height / max(1, count))
        marks.append(_tag("rect", x=left, y=y, width=right - left, height=height, class_="band"))
        label = _tag(
            "text",
            Markup("{}{}").format(_tag("title", name), _shortened(name)),
            x=left - 10,
            y=y + height / 2 + 4,
            text_anchor="end",
        )
        marks.append(label)
        y += height + 3
    bottom = y - 3 if bands else y
    n_steps = max(1, raster.n_steps)
    column = (right - left) / n_steps
    first_rows = [0, *accumulate(count for _, count in bands)]
    spikes = zip(raster.steps, raster.rows, raster.payloads, strict=True)
    drawn = list(islice((spike for spike in spikes if spike[1] < rows), MARKS))
    largest = max((abs(payload) for _, _, payload in drawn), default=1)
    paths: dict[tuple[str, int], list[str]] = {}
    dash = min(16.0, max(1.2, 0.7 * column))
    for step, row, payload in drawn:
        band = bisect_right(first_rows, row) - 1
        x, y = left + (step + 0.5) * column - dash / 2, offsets[band] + (row - first_rows[band] + 0.5) * heights[band]
        size = min(3, 1 + 3 * abs(payload) // (largest + 1)) if largest > 1 else 3
        if payload >= 0:
            paths.setdefault(("positive", size), []).append(f"M{x:.1f} {y:.1f}h{dash:.1f}")
        else:
            third = dash / 3
            paths.setdefault(("negative", size), []).append(f"M{x:.1f} {y:.1f}h{third:.1f}m{third:.1f} 0h{third:.1f}")
    thickness = min(4.0, max(1.2, 0.72 * min(heights, default=1.0)))
    for (sign, size), parts in sorted(paths.items()):
        marks.append(_tag("path", d="".join(parts), class_=f"spike {sign} size{size}", stroke_width=thickness))
    marks += _step_axis(lambda step: left + step * column, n_steps, left=left, right=right, base=bottom)
    said = (
        f"{len(raster.steps):,} spikes of {len(raster.populations):,} populations in {numbered(raster.n_steps, 'step')}"
    )
    return _svg(960, bottom + 44, "Spikes of one sample", said, marks, name="raster")


def raster_limits(raster: Raster) -> str:
    """What `raster_figure` leaves out, as a sentence; empty if nothing."""
    shown = sum(count for _, count in raster.populations[:BANDS])
    parts = []
    if len(raster.populations) > BANDS:
        parts.append(f"{BANDS} of {len(raster.populations):,} populations")
    spikes = sum(row < shown for row in raster.rows)
    if spikes > MARKS:
        parts.append(f"{MARKS:,} of {spikes:,} spikes")
    return f"Drawn are the first {' and '.join(parts)}." if parts else ""


def bar(share: float) -> Markup:
    """A thin bar of a share from 0 to 1, never invisible unless it is 0; decoration beside its number."""
    width = 100 * min(1.0, max(0.01 if share > 0 else 0.0, share))
    filled = _tag("rect", x=0, y=0, width=width, height=4, class_="fill")
    return _thin(filled)


def span(low: int, high: int, lowest: int, highest: int) -> Markup:
    """A thin bar from `low` to `high` on an axis from `lowest` to `highest`, with a tick at zero."""
    whole = max(1, highest - lowest)
    start, end = 100 * ((low - lowest) / whole), 100 * ((high - lowest) / whole)
    filled = _tag("rect", x=start, y=0, width=max(0.0, end - start), height=4, class_="fill")
    zero = _tag("rect", x=min(99.0, max(0.0, 100 * (-lowest / whole) - 0.5)), y=0, width=1, height=4, class_="tick")
    return _thin(Markup("").join([filled, zero]))


def _curve(
    curve: Sequence[float], x: Axis, *, lowest: float, left: float, right: float, top: float, bottom: float
) -> list[Markup]:
    def y(percent: float) -> float:
        return bottom - (bottom - top) * (min(100.0, max(lowest, percent)) - lowest) / (100 - lowest)

    marks = []
    for percent in (lowest, (lowest + 100) / 2, 100):
        marks.append(_tag("line", x1=left, x2=right, y1=y(percent), y2=y(percent), class_="grid"))
        marks.append(_tag("text", f"{_number(percent)} %", x=left - 8, y=y(percent) + 4, text_anchor="end"))
    every = -(-len(curve) // POINTS)
    chosen = sorted({*range(0, len(curve), every), len(curve) - 1})
    path = [f"M{x(chosen[0]):.1f} {y(curve[chosen[0]]):.1f}"]
    for i, following in zip(chosen, [*chosen[1:], len(curve)], strict=True):
        path.append(f"V{y(curve[i]):.1f}H{x(following):.1f}")
    marks.append(_tag("path", d="".join(path), class_="line"))
    marks.append(_tag("text", "prediction equals the final one", x=left, y=top - 8, class_="note"))
    return marks


def _distribution(
    quiet_after: Sequence[int], x: Axis, *, last: int, left: float, right: float, base: float
) -> list[Markup]:
    """Bars of equal width in steps: a bar at step s covers the steps after which these samples became quiet."""
    width = -(-last // BINS)
    bins = Counter(max(0, step - 1) // width for step in quiet_after)
    most = max(bins.values())
    marks = []
    for index, count in sorted(bins.items()):
        height = 66 * (count / most)
        start, end = x(index * width), min(right, x((index + 1) * width))
        air = min(1.5, 0.15 * (end - start))
        steps = f"step {index + 1:,}" if width == 1 else f"steps {index * width + 1:,} to {(index + 1) * width:,}"
        title = _tag("title", f"{numbered(count, 'sample')} quiet after {steps}")
        marks.append(
            _tag(
                "rect", title, x=start + air, y=base - height, width=end - start - 2 * air, height=height, class_="fill"
            )
        )
    marks.append(_tag("text", f"{most:,}", x=left - 8, y=base - 62, text_anchor="end"))
    marks.append(_tag("text", "0", x=left - 8, y=base + 4, text_anchor="end"))
    return marks


def _step_axis(x: Axis, last: int, *, left: float, right: float, base: float) -> list[Markup]:
    marks = [_tag("line", x1=left, x2=right, y1=base, y2=base, class_="axis")]
    step = max(1, round(_nice(last, 8)))
    for at in range(0, last + 1, step):
        marks.append(_tag("line", x1=x(at), x2=x(at), y1=base, y2=base + 4, class_="axis"))
        marks.append(_tag("text", f"{at:,}", x=x(at), y=base + 18, text_anchor="middle"))
    marks.append(_tag("text", "steps", x=right, y=base + 36, class_="note", text_anchor="end"))
    return marks


def _shortened(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= LABEL else f"{shown[: LABEL // 2 - 1]}…{shown[-LABEL // 2 :]}"


def _nice(span: float, ticks: int) -> float:
    """A distance of 1, 2 or 5 times a power of ten that divides `span` into at most about `ticks` parts."""
    rough = max(span, 1e-9) / ticks
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _clamped(points: float) -> float:
    """Percentage points that can be drawn."""
    return min(100.0, max(-100.0, points)) if not math.isnan(points) else 0.0


def _number(value: float, *, signed: bool = False) -> str:
    text = f"{round(value, 3) + 0.0:{'+' if signed and round(value, 3) else ''}.4g}"
    return text.replace("-", "−")


def _thin(content: Markup) -> Markup:
    markup = '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    return Markup(markup).format(content)


def _svg(width: float, height: float, title: str, description: str, marks: Iterable[Markup], *, name: str) -> Markup:
    opening = (
        '<svg class="{name}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-description">'
        '<title id="{name}-title">{title}</title><desc id="{name}-description">{description}</desc>'
    )
    head = Markup(opening).format(
        name=name, width=_coordinate(width), height=_coordinate(height), title=title, description=printable(description)
    )
    return Markup("{}{}</svg>").format(head, Markup("\n").join(marks))


def _tag(name: str, content: str | Markup = "", **attributes: float | str) -> Markup:
    """One element; `class_` is `class`, underscores are hyphens, and everything inserted is escaped."""
    if not isinstance(content, Markup):
        content = Markup.escape(printable(content))
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _coordinate(value))
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), pairs, content)


def _coordinate(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
