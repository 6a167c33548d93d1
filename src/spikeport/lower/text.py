"""A verdict as text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from spikeport.lower.verdict import Bill, Reason, Use, Verdict

BAR = 24
"""Characters of a full bar."""
FEW = 3
"""Reasons of one kind that are written out; of the others the nodes are named."""
HEADLINES = {
    "faithful": "fits, exactly as the reference computes it",
    "approximate": "fits, approximately",
    "impossible": "does not fit",
}


def described(verdict: Verdict) -> str:
    """Outcome, reasons with hints, bill with bars, losses, notes, suggestions, and the cut where there is one."""
    by = f", by the {verdict.code} code" if verdict.code else ""
    lines = [f"{verdict.target}: {verdict.network} {HEADLINES[verdict.outcome]}{by}"]
    lines += _section("what is in the way", _reasons(verdict.reasons))
    lines += _section("what it takes", bill_lines(verdict.bill))
    lines += _section("what is lost", (str(loss) for loss in verdict.losses))
    lines += _section("where it is cut", str(verdict.cut).splitlines() if verdict.cut else ())
    lines += _section("what would make it fit", (suggestion.text for suggestion in verdict.suggestions))
    lines += _section("notes", verdict.notes)
    return "\n".join(lines)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", title, *(f"  {line}" for line in found)] if found else []


def _reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    """The first of each kind in full, and the names of all other nodes with it."""
    kinds: dict[tuple[str, str, str], list[Reason]] = {}
    for reason in reasons:
        kinds.setdefault((reason.fact, reason.hint, _skeleton(reason)), []).append(reason)
    for (_, hint, _), same in kinds.items():
        yield f"{same[0].where}: {same[0].why}"
        for reason in same[1:FEW]:
            yield f"{reason.where}: {reason.why}"
        if len(same) > FEW:
            names = list(dict.fromkeys(reason.where for reason in same[FEW:]))
            yield f"  and likewise {', '.join(names)}"
        if hint:
            yield f"  hint: {hint}"


def _skeleton(reason: Reason) -> str:
    """A sentence without its numbers and names: what reasons of one kind share."""
    return re.sub(r"[0-9][0-9,]*", "", reason.why)[:16]


def bill_lines(bill: Bill) -> list[str]:
    """A table of resources, with a bar where there is a limit."""
    rows = [(use.resource, _amount(use), _limit(use), bar(use)) for use in bill.uses]
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(3)]
    return [
        f"{name.ljust(widths[0])}  {used.rjust(widths[1])}  {limit.ljust(widths[2])}  {drawn}".rstrip()
        for name, used, limit, drawn in rows
    ]


def _amount(use: Use) -> str:
    return f"{'' if use.exact else 'at least '}{use.used:,}"


def _limit(use: Use) -> str:
    if use.limit is None:
        return use.unit
    unit = f" {use.unit}" if use.unit else ""
    return f"of {use.limit:,}{unit}{'' if use.enforced else ' (not certain)'}"


def bar(use: Use) -> str:
    """How full a resource is.

    >>> bar(Use("cores", 3, 4, True))
    '##################......  75 %'
    >>> bar(Use("cores", 9, 4, True))
    '########################> 225 %'
    >>> bar(Use("cores", 1, 0, True)), bar(Use("cores", 0, 0, True))
    ('########################> none there', '........................  0 %')
    """
    if use.limit is None:
        return ""
    share = use.used / use.limit if use.limit else float(use.used and "inf")
    full = min(BAR, max(1 if use.used else 0, round(BAR * min(share, 1.0))))
    percent = f"{share:.0%}".replace("%", " %") if share < 1e6 else "none there"
    return "#" * full + "." * (BAR - full) + (">" if share > 1 else " ") + f" {percent}"
