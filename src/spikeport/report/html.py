"""A report as one self-contained HTML page: no script, nothing fetched, every name escaped."""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from spikeport.codes import STATISTICAL
from spikeport.files import write_whole
from spikeport.report import figures
from spikeport.report.plain import (
    compared,
    counted,
    fraction,
    has_levels,
    headline,
    levels,
    numbered,
    printable,
    quiet,
    relative,
    scope,
)
from spikeport.report.report import Arrow, LayerStats, Report


def write_html(report: Report, path: Path) -> Path:
    """Write `page`, whole or not at all; returns the path.

    Raises:
        FileError: the folder is missing, not writable or full.
    """
    return write_whole(path, page(report).encode("utf-8"))


def page(report: Report) -> str:
    """The page as text."""
    return _template().render(
        report=report,
        headline=headline(report),
        scope=scope(report),
        road=_road(report.arrows),
        gap_figure=_gap(report),
        layers=_rows(report.layers),
        total=_total(report.layers),
        compared=compared(report),
        quiet=quiet(report),
        curve_figure=_curve(report),
        raster_figure=figures.raster_figure(report.raster) if report.raster is not None else None,
        raster_limits=figures.raster_limits(report.raster) if report.raster is not None else "",
    )


class Stage(NamedTuple):
    """A stage of the road, and the arrow that leaves it."""

    name: str
    arrow: Arrow | None


class Row(NamedTuple):
    """A layer with the bars beside its figures."""

    layer: LayerStats
    levels: Markup
    synapses: Markup
    spikes: Markup
    saturation: Markup
    silent: Markup
    state_bits: Markup
    mismatches: Markup


class Total(NamedTuple):
    """Sums over all layers."""

    neurons: int
    synapses: int
    comparisons: int
    mismatches: int


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "counted": counted,
        "count": lambda value: f"{value:,}",
        "decimal": lambda value: f"{value:.2f}",
        "figure": lambda value: f"{value:.3g}",
        "fraction": fraction,
        "has_levels": has_levels,
        "levels": levels,
        "numbered": numbered,
        "relative": relative,
        "signed": lambda value: f"{value:+.2f}".replace("-", "−"),
    }
    source = resources.files("spikeport.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)


def _shown(value: object) -> object:
    """What the template inserts: texts without characters that a page cannot hold."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _road(arrows: tuple[Arrow, ...]) -> tuple[Stage, ...]:
    """Stages with arrows between them; an arrow that does not start where the last one ended starts anew."""
    stages: list[Stage] = []
    end = None
    for arrow in arrows:
        start, _, target = arrow.name.partition(" -> ")
        if end is not None and end != start:
            stages.append(Stage(end, None))
        stages.append(Stage(start, arrow))
        end = target
    return (*stages, Stage(end, None)) if end is not None else ()


def _gap(report: Report) -> Markup | None:
    if report.gap is not None:
        return figures.gap_figure(report.gap, report.gap_interval, report.tolerance)
    return None


def _curve(report: Report) -> Markup | None:
    if not report.curve and not report.quiet_after:
        return None
    bound = 0 if report.code in STATISTICAL else report.drain_bound  # where it just stops, nothing is proved
    return figures.curve_figure(report.curve, report.quiet_after, bound)


def _rows(layers: tuple[LayerStats, ...]) -> tuple[Row, ...]:
    lowest = min((layer.low for layer in layers), default=0)
    highest = max((layer.high for layer in layers), default=0)
    synapses = max((layer.synapses for layer in layers), default=0)
    spikes = max((layer.spikes_per_neuron or 0.0 for layer in layers), default=0.0)
    state_bits = max((layer.state_bits for layer in layers), default=0)
    return tuple(
        Row(
            layer=layer,
            levels=figures.span(layer.low, layer.high, min(0, lowest), max(0, highest)),
            synapses=figures.bar(_share(layer.synapses, synapses)),
            spikes=figures.bar(_share(layer.spikes_per_neuron or 0.0, spikes)),
            saturation=figures.bar(layer.saturation),
            silent=figures.bar(layer.silent),
            state_bits=figures.bar(_share(layer.state_bits, state_bits)),
            mismatches=figures.bar(_share(layer.mismatches, layer.comparisons)),
        )
        for layer in layers
    )


def _share(value: float, whole: float) -> float:
    share = value / whole if whole > 0 else 0.0
    return share if math.isfinite(share) else 1.0


def _total(layers: tuple[LayerStats, ...]) -> Total:
    return Total(
        neurons=sum(layer.neurons for layer in layers if layer.kind == "neurons"),
        synapses=sum(layer.synapses for layer in layers),
        comparisons=sum(layer.comparisons for layer in layers),
        mismatches=sum(layer.mismatches for layer in layers),
    )
