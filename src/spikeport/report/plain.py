"""A report as text for a terminal, and the wording that the page shares with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import median_high

from spikeport.codes import STATISTICAL
from spikeport.report.report import LayerStats, Report

LEDGER_ENTRIES = 12
"""Entries of the ledger that the text shows; the page and the JSON have all of them."""


def plain(report: Report) -> str:
    """Verdict, road, accuracy, stepping, layers, ledger and misses as lines of text."""
    lines = [f"{headline(report)} ({', '.join(scope(report))})"]
    for title, content in (
        ("missed", map(printable, report.misses)),
        ("road", _road(report)),
        ("accuracy", _accuracy(report)),
        ("stepping", _stepping(report)),
        ("layers", _layers(report.layers)),
        ("ledger", _ledger(report)),
        ("versions", versions(report)),
    ):
        rows = list(content)
        if rows:
            lines += ["", title, *(f"  {row}" for row in rows)]
    return "\n".join(line.rstrip() for line in lines)


def headline(report: Report) -> str:
    """The overall verdict in a few words."""
    if report.ok:
        return "Every arrow holds"
    if not report.samples:
        return "Not validated yet"
    open_arrows = sum(arrow.verdict == "not shown" for arrow in report.arrows)
    failed = any(arrow.verdict == "failed" for arrow in report.arrows)
    return "Not everything holds" if failed or len(report.misses) > open_arrows else "Not everything is shown yet"


def scope(report: Report) -> tuple[str, ...]:
    """What was looked at: the code and how many samples."""
    code = f"{printable(report.code)} code" if report.code else "no code chosen"
    return code, numbered(report.samples, "sample"), f"{report.stepped_samples:,} of them simulated step by step"


def quiet(report: Report) -> str:
    """Steps until quiet, measured and proved; empty if nothing is known.

    >>> quiet(Report.empty(drain_bound=88))
    'proved: never more than 88 steps'
    """
    parts = []
    if report.quiet_after:
        median = numbered(median_high(report.quiet_after), "step")
        parts.append(f"{median} (median), {max(report.quiet_after):,} at most")
    if report.drain_bound:
        bound = numbered(report.drain_bound, "step")
        parts.append(f"stops after {bound}" if report.code in STATISTICAL else f"proved: never more than {bound}")
    return "; ".join(parts)


def compared(report: Report) -> str:
    """How many counts were compared, and how many differ."""
    if not report.stepped_samples:
        return "no sample was stepped"
    counts, samples = numbered(report.comparisons, "count"), numbered(report.stepped_samples, "sample")
    if not report.comparisons:
        return f"no counts of {samples} compared: the {printable(report.code)} code does not carry them exactly"
    return f"{counts} of {samples} compared, {numbered(report.mismatches, 'mismatch', 'mismatches')}"


def versions(report: Report) -> tuple[str, ...]:
    """Names with their versions, in one line; none if none is known."""
    line = ", ".join(f"{printable(name)} {printable(version)}" for name, version in report.versions)
    return (line,) if line else ()


def printable(text: str) -> str:
    r"""Text as it can be shown: what is no visible character becomes its escape.

    Names are data. A control character must not reach a terminal or an SVG, nor one that turns the direction of writing.

    >>> printable("conv\x1b[31m1")
    'conv\\x1b[31m1'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def numbered(count: int, one: str, many: str = "") -> str:
    """A count with its noun.

    >>> numbered(1, "step"), numbered(1200, "step")
    ('1 step', '1,200 steps')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def numbered_points(value: float) -> str:
    """Percentage points with their noun.

    >>> numbered_points(1), numbered_points(0.5)
    ('1 point', '0.5 points')
    """
    return f"{value:g} point" + ("" if value == 1 else "s")


def fraction(value: float) -> str:
    """A fraction as a percentage.

    >>> fraction(0.0123)
    '1.23 %'
    """
    return f"{100 * value:.2f} %"


def levels(layer: LayerStats) -> str:
    """Levels of a layer; a dash for the read-out, which has none."""
    return f"{layer.low:,}..{layer.high:,}" if has_levels(layer) else "-"


def has_levels(layer: LayerStats) -> bool:
    """Whether counts of the layer are bounded by levels, so that they can saturate."""
    return not layer.low == layer.high == 0


def counted(layer: LayerStats) -> bool:
    """Whether counts of the layer were looked at: without a stepped sample, its fractions of counts are of nothing."""
    return bool(layer.comparisons or layer.saturation or layer.silent)


def relative(value: float) -> str:
    """A relative error as a percentage; the output of the model may be all zeros."""
    return f"{100 * value:.3g} %" if math.isfinite(value) else "undefined: the model's outputs are zero"


def _road(report: Report) -> Iterator[str]:
    for arrow in report.arrows:
        yield f"{arrow.verdict:<9}  {printable(arrow.name)}"
        yield f"{'':<9}  {printable(arrow.claim)}"


def _accuracy(report: Report) -> Iterator[str]:
    if report.ann_accuracy is not None and report.snn_accuracy is not None:
        yield f"model {report.ann_accuracy:.2f} %, spiking network {report.snn_accuracy:.2f} %"
    if report.gap is not None:
        interval = ""
        if report.gap_interval is not None:
            low, high = report.gap_interval
            interval = f", 95 % interval {low:+.2f} to {high:+.2f}, accepted up to {numbered_points(report.tolerance)}"
        yield f"gap {report.gap:+.2f} points{interval}"
    if report.agreement is not None:
        differ = f"{report.disagreements:,} of {numbered(report.samples, 'prediction')} differ"
        yield f"agreement {report.agreement:.2f} %: {differ}"
    if report.regression is not None:
        error = report.regression
        yield f"outputs differ by {relative(error.relative)} (root mean square over that of the model's output)"
        yield (
            f"mean absolute {error.mean_absolute:.3g}, root mean square {error.root_mean_square:.3g}, "
            f"largest {error.largest:.3g}"
        )


def _stepping(report: Report) -> Iterator[str]:
    if not report.samples and not report.stepped_samples:
        return
    yield compared(report)
    if report.divergence is not None:
        yield f"first difference: {printable(str(report.divergence))}"
    steps = quiet(report)
    if steps:
        yield f"quiet after: {steps}"


def _layers(layers: Iterable[LayerStats]) -> Iterator[str]:
    head = (
        "layer",
        "shape",
        "levels",
        "synapses",
        "spikes/neuron",
        "saturated",
        "silent",
        "state bits",
        "compared",
        "differ",
    )
    rows = [
        (
            printable(layer.name),
            " x ".join(map(str, layer.shape)),
            levels(layer),
            f"{layer.synapses:,}",
            "-" if layer.spikes_per_neuron is None else f"{layer.spikes_per_neuron:.2f}",
            fraction(layer.saturation) if has_levels(layer) and counted(layer) else "-",
            fraction(layer.silent) if counted(layer) and layer.kind != "read-out" else "-",
            str(layer.state_bits),
            f"{layer.comparisons:,}",
            f"{layer.mismatches:,}" if layer.comparisons else "-",
        )
        for layer in layers
    ]
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, tuple("-" * width for width in widths), *rows):
        cells = (
            f"{cell:<{w}}" if i < 2 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells)


def _ledger(report: Report) -> Iterator[str]:
    for entry in report.ledger[:LEDGER_ENTRIES]:
        yield printable(str(entry))
    if len(report.ledger) > LEDGER_ENTRIES:
        yield f"and {len(report.ledger) - LEDGER_ENTRIES:,} more"
