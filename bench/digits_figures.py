"""Pictures of `digits_stdp.py`, as SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil, isqrt

import numpy as np
from numpy.typing import NDArray

SHADES = 16
INK, GRAY, LINE = "#1f6feb", "#777777", "#bbbbbb"
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def page(width: float, height: float, title: str, parts: Iterator[str]) -> str:
    """One picture on white."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="#222222"><title>{title}</title>'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>", ""])


def fields(weights: Floats, classes: Ints) -> str:
    """Weights of each neuron as the image they lie on, ordered by class; black is the largest weight of the neuron."""
    side = isqrt(weights.shape[1])
    columns = ceil(np.sqrt(2 * len(weights)))
    rows = ceil(len(weights) / columns)
    cell = max(1, round(56 / side))
    across, down = side * cell + 8, side * cell + 20

    def drawn() -> Iterator[str]:
        shades: dict[int, list[str]] = {}
        for k, neuron in enumerate(np.argsort(classes, kind="stable")):
            left, top = 8 + k % columns * across, 8 + k // columns * down
            field = weights[neuron].reshape(side, side)
            shaded = np.rint(field / max(float(field.max()), 1e-12) * (SHADES - 1)).astype(int)
            for y, row in enumerate(shaded):
                edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), side]
                for begin, end in pairwise(edges):
                    run = f"M{left + begin * cell} {top + y * cell}h{(end - begin) * cell}v{cell}h-{(end - begin) * cell}z"
                    shades.setdefault(int(row[begin]), []).append(run)
            yield f'<text x="{left + side * cell / 2:g}" y="{top + side * cell + 12}" text-anchor="middle" font-size="11">{classes[neuron]}</text>'
            yield f'<rect x="{left - 0.5}" y="{top - 0.5}" width="{side * cell + 1}" height="{side * cell + 1}" fill="none" stroke="{LINE}"/>'
        for shade, runs in sorted(shades.items()):
            level = round(255 * (1 - shade / (SHADES - 1)))
            if level < 255:
                yield f'<path d="{"".join(runs)}" fill="#{level:02x}{level:02x}{level:02x}" shape-rendering="crispEdges"/>'

    title = f"Weights of {len(weights)} neurons after learning, with the class given to each"
    return page(columns * across + 8, rows * down + 8, title, drawn())


def accuracy(curves: Sequence[Sequence[float]], images: int, beside: Mapping[str, Sequence[float]]) -> str:
    """Accuracy over the images shown, one line a seed, and what else tells digits, as the mean of all seeds."""
    width, height, left, right, top, bottom = 640, 320, 56, 16, 20, 44

    def x(shown: float) -> float:
        return left + shown / images * (width - left - right)

    def y(value: float) -> float:
        return top + (100 - value) / 100 * (height - top - bottom)

    def drawn() -> Iterator[str]:
        for tick in range(0, 101, 20):
            yield f'<path d="M{left} {y(tick):.1f}H{width - right}" stroke="#eeeeee"/>'
            yield f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>'
        step = 10 ** (len(str(images)) - 1)
        for shown in range(0, images + 1, step):
            yield f'<path d="M{x(shown):.1f} {height - bottom}v4" stroke="{LINE}"/>'
            yield f'<text x="{x(shown):.1f}" y="{height - bottom + 17}" text-anchor="middle">{shown:,}</text>'
        for name, values in beside.items():
            level = y(float(np.mean(values)))
            yield f'<path d="M{left} {level:.1f}H{width - right}" stroke="{GRAY}" stroke-dasharray="5 4"/>'
            yield f'<text x="{width - right - 4}" y="{level - 5:.1f}" text-anchor="end" fill="{GRAY}">{name}: {np.mean(values):.1f} %</text>'
        for curve in curves:
            moments = images * (np.arange(len(curve)) + 1) / len(curve)
            points = " ".join(f"{x(m):.1f},{y(v):.1f}" for m, v in zip(moments, curve, strict=True))
            yield f'<polyline points="{points}" fill="none" stroke="{INK}" stroke-width="1.4" stroke-opacity="0.75"/>'
            yield from (
                f'<circle cx="{x(m):.1f}" cy="{y(v):.1f}" r="2" fill="{INK}"/>'
                for m, v in zip(moments, curve, strict=True)
            )
        yield f'<path d="M{left} {top}V{height - bottom}H{width - right}" stroke="{LINE}" fill="none"/>'
        middle = (top + height - bottom) / 2
        yield f'<text x="{(left + width - right) / 2:g}" y="{height - 8}" text-anchor="middle">images shown</text>'
        yield f'<text transform="translate(14 {middle:g}) rotate(-90)" text-anchor="middle">test images told (%)</text>'

    return page(width, height, "Accuracy on the test images while the network learns", drawn())


def confusion(told: Ints, labels: Ints) -> str:
    """How often an image of a class (row) is told as another (column), with those that no neuron answers to at the end."""
    size, left, top = 34, 64, 44
    classes = int(labels.max()) + 1
    silent = bool((told < 0).any())
    columns = classes + silent

    def drawn() -> Iterator[str]:
        for row in range(classes):
            mine = np.where(told < 0, classes, told)[labels == row]
            counts = np.bincount(mine, minlength=columns)
            for column in range(columns):
                share = counts[column] / max(1, len(mine))
                place = f'x="{left + column * size}" y="{top + row * size}"'
                fill = INK if column == row else "#c2410c"
                yield f'<rect {place} width="{size}" height="{size}" fill="{fill}" fill-opacity="{share:.3f}" stroke="#eeeeee"/>'
                if counts[column]:
                    color = "#ffffff" if share > 0.5 else "#222222"
                    yield (
                        f'<text x="{left + (column + 0.5) * size:g}" y="{top + (row + 0.5) * size + 4:g}" text-anchor="middle" '
                        f'fill="{color}">{counts[column]}</text>'
                    )
            yield f'<text x="{left - 8}" y="{top + (row + 0.5) * size + 4:g}" text-anchor="end">{row}</text>'
        for column in range(columns):
            name = "none" if column == classes else column
            yield f'<text x="{left + (column + 0.5) * size:g}" y="{top - 8}" text-anchor="middle">{name}</text>'
        middle = classes * size / 2
        yield f'<text x="{left + middle:g}" y="16" text-anchor="middle">told</text>'
        yield f'<text transform="translate(16 {top + middle:g}) rotate(-90)" text-anchor="middle">is</text>'

    return page(left + columns * size + 16, top + classes * size + 16, "What the test images are told as", drawn())
