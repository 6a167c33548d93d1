"""Targets for a reader: as text, as Markdown, and as values of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from spikeport.targets.target import FACTS, Confidence, Fact, Target

SECTIONS: Mapping[str, str] = {
    "what it computes": "neurons",
    "widths": "weight_bits",
    "resources": "placement",
    "what tells whether it is right": "dynamics_simulator",
}
"""Parts of `Target`, each by the first of its fields."""
MARKS: Mapping[Confidence, str] = {"measured": "R", "source": "S", "document": "D", "memory": "M", "design": "O"}
"""One letter for each way of knowing, for tables."""
WIDTH = 120


def sections() -> Mapping[str, tuple[str, ...]]:
    """The names of all facts, by section."""
    names = list(FACTS)
    starts = [names.index(first) for first in SECTIONS.values()] + [len(names)]
    return {title: tuple(names[start:end]) for title, start, end in zip(SECTIONS, starts, starts[1:], strict=False)}


def shown(fact: Fact[Any]) -> str:
    """A value with its unit.

    >>> shown(Fact(8192, "neuron", "a book", "document", True)), shown(Fact((1, 2), "place", "a book", "document", True))
    ('8,192 neurons', '1, 2 places')
    """
    value, unit = fact.value, fact.unit
    if isinstance(value, frozenset | tuple):
        text = ", ".join(map(_item, sorted(value) if isinstance(value, frozenset) else value)) or "none"
    else:
        text = _item(value)
    plural = "" if unit in ("", "s") or value == 1 else "s"
    return f"{text} {unit}{plural}".rstrip()


def as_text(target: Target) -> str:
    """Everything known about a target, in lines of at most 120 characters."""
    lines = [f"{target.title} ({target.name}), {target.vendor}"]
    unknown: list[str] = []
    for title, names in sections().items():
        known = [(name, fact) for name in names if (fact := getattr(target, name)) is not None]
        unknown += [name for name in names if getattr(target, name) is None]
        if not known:
            continue
        lines += ["", title]
        for name, fact in known:
            lines += _indented(f"{name:<22}{shown(fact)}", 24, first=2)
            lines += _indented(f"{_how_sure(fact)}: {fact.source}", 26, first=24)
    for note in target.notes:
        lines += ["", *wrap(note, WIDTH)]
    if unknown:
        lines += ["", *wrap(f"Unknown, or without a limit: {', '.join(unknown)}.", WIDTH)]
    return "\n".join(lines)


def as_values(target: Target) -> dict[str, Any]:
    """The same as values of JSON."""
    facts = {}
    for name, field in FACTS.items():
        fact = getattr(target, name)
        if fact is not None:
            value = sorted(fact.value) if isinstance(fact.value, frozenset) else fact.value
            facts[name] = {
                "value": value,
                "unit": fact.unit,
                "meaning": field.metadata["meaning"],
                "source": fact.source,
                "confidence": fact.confidence,
                "enforced": fact.enforced,
            }
    named = {"name": target.name, "title": target.title, "vendor": target.vendor}
    return {**named, "notes": list(target.notes), "facts": facts}


def as_markdown(targets: Sequence[Target]) -> str:
    """Tables of all targets side by side, then each with its sources."""
    lines: list[str] = []
    for title, names in sections().items():
        lines += [f"## {title.capitalize()}", "", *_side_by_side(targets, names), ""]
    lines += ["## Where it is written", ""]
    for target in targets:
        lines += [f"### {_escaped(target.title)}", "", f"`{target.name}`, {_escaped(target.vendor)}.", ""]
        lines += [f"- {_escaped(note)}" for note in target.notes]
        lines += ["", "| fact | value | how it is known | source |", "| --- | --- | --- | --- |"]
        for name in FACTS:
            fact = getattr(target, name)
            if fact is not None:
                row = (f"`{name}`", shown(fact), _how_sure(fact), fact.source)
                lines.append(f"| {' | '.join([row[0], *map(_escaped, row[1:])])} |")
        lines.append("")
    return "\n".join(lines)


def _side_by_side(targets: Sequence[Target], names: Sequence[str]) -> Iterator[str]:
    yield f"| fact | meaning | {' | '.join(f'`{target.name}`' for target in targets)} |"
    yield "| --- " * (len(targets) + 2) + "|"
    for name in names:
        facts = [getattr(target, name) for target in targets]
        if any(facts):
            meaning, unit = FACTS[name].metadata["meaning"], FACTS[name].metadata["unit"]
            if unit and unit not in meaning:
                meaning += f", in {unit}s"
            first = [f"`{name}`", meaning]
            yield f"| {' | '.join(first + [_cell(fact) for fact in facts])} |"


def _cell(fact: Fact[Any] | None) -> str:
    if fact is None:
        return ""
    text = _escaped(shown(Fact(fact.value, "", fact.source, fact.confidence, fact.enforced)))
    return f"{text if fact.enforced else f'({text})'} {MARKS[fact.confidence]}"


def _item(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _how_sure(fact: Fact[Any]) -> str:
    return fact.confidence if fact.enforced else f"{fact.confidence}, not enforced"


def _escaped(text: str) -> str:
    """Text without characters that mean something in a table of Markdown."""
    return "".join(f"\\{c}" if c in "\\|*_<>[]`" else c for c in text)


def _indented(text: str, rest: int, *, first: int) -> list[str]:
    return wrap(text, WIDTH, initial_indent=" " * first, subsequent_indent=" " * rest, break_on_hyphens=False)
