"""What `nir_matrix.py` found, as JSON, as lines and as the page `docs/nir-conformance.md`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["exact", "refused", "absent", "rounds", "theirs", "silent", "differs"]
ROADS: Mapping[str, tuple[str, str]] = {
    "read": (
        "Plain files in simulators",
        "A plain NIR file, run by the simulator through its own importer, and by us with `from_nir(like=...)`.",
    ),
    "written": (
        "Networks of ours in simulators",
        "A network of ours with the simulator's integrator, comparison and reset, written with `to_nir(dialect=...)`, run by the simulator, and by us as it was before it was written.",
    ),
    "exported": (
        "Networks of simulators in ours",
        "A network of the simulator, written by its own exporter, run by the simulator as it was before, and by us from the file.",
    ),
}
WRONG: tuple[Verdict, ...] = ("differs", "silent")
"""Verdicts that must not be: other values, and no spike at all, which would show nothing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one kind of network in one simulator."""

    verdict: Verdict
    """"exact": all values equal; "refused"; "absent": it has no such thing; "rounds": equal up to where a sum that was rounded in another order decides;
    "theirs": its file is not its network, which is proven; "silent": equal, without a spike; "differs"."""
    why: str = ""
    """Of all but the first: the reason, the network's own error."""
    by: Literal["", "us", "it"] = ""
    """Who refuses."""
    values: int = 0
    """Compared, of all populations that both give, in every step."""
    spikes: int = 0
    networks: int = 1
    plain: tuple[int, int] | None = None
    """Values of the output that are not those of the file as it is written, and of how many, where the simulator ran it."""
    note: str = ""
    """How the file had to be read, where neither the plain way nor the tool's own serves."""

    def __str__(self) -> str:
        match self.verdict:
            case "exact":
                counted = f"{self.values:,} values, {self.spikes:,} spikes, {self.networks} networks"
                return f"exact    {counted}{self.note and f'; {self.note}'}"
            case "refused":
                return f"refused  by {self.by}: {self.why}"
            case verdict:
                return f"{verdict:8} {self.why}"


def together(cells: Sequence[Cell]) -> Cell:
    """Of several networks of one kind: the first that differs or was refused; else all that was compared."""
    run = [cell.plain for cell in cells if cell.plain is not None]
    plain = (sum(n for n, _ in run), sum(n for _, n in run)) if len(run) == len(cells) else None
    for verdict in ("differs", "refused", "absent", "theirs", "rounds"):
        for cell in cells:
            if cell.verdict == verdict:
                return replace(cell, plain=plain, networks=len(cells))
    spikes = sum(cell.spikes for cell in cells)
    return Cell(
        "exact" if spikes else "silent",
        "" if spikes else "not one spike, so nothing is shown",
        values=sum(cell.values for cell in cells),
        spikes=spikes,
        networks=len(cells),
        plain=plain,
        note=cells[0].note,
    )


@dataclass(frozen=True, slots=True)
class Column:
    """Everything about one simulator."""

    tool: str
    versions: Mapping[str, str]
    dt: float
    networks: int
    """Of each kind."""
    cells: Mapping[str, Mapping[str, Cell]]
    """By road and row."""


def dumped(column: Column) -> str:
    """As JSON that diffs well; what is empty is left out."""
    values = asdict(column)
    for cells in values["cells"].values():
        for name, cell in cells.items():
            cells[name] = {key: value for key, value in cell.items() if value not in ("", 0, None)}
    return json.dumps(values, indent=1) + "\n"


def loaded(text: str) -> Column:
    values: dict[str, Any] = json.loads(text)
    values["cells"] = {
        road: {
            name: Cell(**{**cell, "plain": cell.get("plain") and tuple(cell["plain"])}) for name, cell in rows.items()
        }
        for road, rows in values["cells"].items()
    }
    return Column(**values)


def recorded(folder: Path, order: Sequence[str]) -> list[Column]:
    """What is kept of each simulator, in an order."""
    paths = [folder / f"{name}.json" for name in order]
    return [loaded(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def lines(column: Column) -> Iterator[str]:
    """One a cell."""
    for road, rows in column.cells.items():
        for name, cell in rows.items():
            yield f"{column.tool:13} {road:9} {name:28} {cell}"


HEAD = """# NIR files in other simulators, cell by cell

Made by `python bench/nir_matrix.py`, which runs the simulators, each in an environment of its own, and writes this page; with `--page` from what it
found before, which lies in [nir-conformance](nir-conformance). All simulators are releases from PyPI, unmodified.

- **exact**: every value of every step is equal, of all populations that both sides give, in {networks} random networks; how many values stands beside it.
- **refused**: by us (`from_nir`, `to_nir`) or by the simulator, with the reason below the table. Nothing is run then.
- **none**: the simulator has nothing of the kind.
- **rounds**: equal up to a neuron whose potential equals its threshold but for the rounding of float32, whose order of adding is nobody's to say.
- **its file differs**: the exporter wrote another network than it ran, without a word. Proven: read as the reason says, the file gives every value of
  the network, or the file lacks a layer.
- **differs** would be a mistake of somebody's, and is shown with its first value.

Numbers are dyadic, so that no sum rounds and potentials meet thresholds exactly: `>` and `>=` give different spikes.
"""


def page(columns: Sequence[Column]) -> str:
    """The page; equal for equal results."""
    networks = max((column.networks for column in columns), default=0)
    parts = [HEAD.format(networks=networks), _versions(columns)]
    for road, (title, what) in ROADS.items():
        if any(column.cells.get(road) for column in columns):
            parts.append(f"## {title}\n\n{what}\n\n{_table(road, columns)}")
    parts.append(_plain(columns))
    return "\n".join(parts)


def _versions(columns: Sequence[Column]) -> str:
    heads = ("simulator", "packages", "step", "exact", "refused", "none", "rounds", "its file differs", "differs")
    rows = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for column in columns:
        cells = [cell.verdict for rows_ in column.cells.values() for cell in rows_.values()]
        packages = ", ".join(f"{name} {version}" for name, version in column.versions.items())
        wrong = sum(verdict in WRONG for verdict in cells)
        counts = [*map(cells.count, ("exact", "refused", "absent", "rounds", "theirs")), wrong]
        rows.append(f"| {column.tool} | {packages} | {column.dt:g} s | {' | '.join(map(str, counts))} |")
    return "\n".join(rows) + "\n"


def _names(road: str, columns: Sequence[Column]) -> list[str]:
    return list(dict.fromkeys(name for column in columns for name in column.cells.get(road, {})))


def _table(road: str, columns: Sequence[Column]) -> str:
    """Cells, and the reasons below, numbered as they come."""
    shown = [column for column in columns if column.cells.get(road)]
    rows = [f"| network | {' | '.join(c.tool for c in shown)} |", f"| --- |{' --- |' * len(shown)}"]
    reasons: dict[str, int] = {}
    for name in _names(road, columns):
        marks = [_mark(column.tool, column.cells[road].get(name), reasons) for column in shown]
        rows.append(f"| {name} | {' | '.join(marks)} |")
    noted = [f"{number}. {_escaped(reason)}" for reason, number in reasons.items()]
    return "\n".join([*rows, "", *noted]) + "\n"


def _mark(tool: str, cell: Cell | None, reasons: dict[str, int]) -> str:
    def number(reason: str) -> str:
        return f"[{reasons.setdefault(reason, len(reasons) + 1)}]"

    if cell is None:
        return ""
    match cell.verdict:
        case "exact":
            return f"exact, {cell.values:,}" + (f" {number(f'{tool}: {cell.note}')}" if cell.note else "")
        case "refused":
            who = "we refuse" if cell.by == "us" else "it refuses"
            return f"{who} {number(f'{tool}: {cell.why}' if cell.by == 'it' else f'{tool}, by us: {cell.why}')}"
        case "absent":
            return f"none {number(f'{tool}: {cell.why}')}"
        case "theirs":
            return f"its file differs {number(f'{tool}: {cell.why}')}"
        case "rounds":
            return f"rounds {number(f'{tool}: {cell.why}')}"
        case verdict:
            return f"**{verdict}** {number(f'{tool}: {cell.why}')}"


def _plain(columns: Sequence[Column]) -> str:
    """How many values are others than the file says."""
    shown = [c for c in columns if any(cell.plain for cell in c.cells.get("read", {}).values())]
    if not shown:
        return ""
    rows = [f"| network | {' | '.join(c.tool for c in shown)} |", f"| --- |{' --- |' * len(shown)}"]
    for name in _names("read", shown):
        cells = [column.cells["read"].get(name) for column in shown]
        if any(cell and cell.plain for cell in cells):
            counts = [f"{cell.plain[0]:,} of {cell.plain[1]:,}" if cell and cell.plain else "not run" for cell in cells]
            rows.append(f"| {name} | {' | '.join(counts)} |")
    what = (
        "## How far simulators are from what a file says\n\n"
        "The same plain files, and the output of each step beside NIR's own equations: forward Euler at the same step, `>`, reset to `v_reset` within the\n"
        "step, every parameter in use. So many output values differ when nobody says how the file is meant.\n\n"
    )
    return what + "\n".join(rows) + "\n"


def _escaped(text: str) -> str:
    """Names and messages are data: nothing in them is markup."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text
