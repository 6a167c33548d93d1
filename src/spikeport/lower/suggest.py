"""The nearest change after which a network fits. Every one that is proposed was tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeport.lower.examine import Carried
from spikeport.lower.verdict import Knob

Changes = Mapping[Knob, Any]
Try = Callable[[Changes], Carried | None]
"""What a network is after changes; None where it cannot be changed so."""
Move = tuple[Knob, Any]
"""A knob, and what to turn it to."""
TRIED_ALL = "the least of everything that is tried is still too much"
UNTOUCHED = "no other widths, levels, code, pooling or channels touch that"
TRIALS = 20
"""Most changed networks that are looked at."""


@dataclass(frozen=True, slots=True)
class Search:
    """What was found: changes after which it fits, or why there are none."""

    changes: Changes | None
    why: str


def search(first: Carried, moves: Sequence[Move], attempt: Try) -> Search:
    """One move after the other, as far as any reason calls for it; then back those that were not needed.

    Args:
        first: the network as it is.
        moves: the nearest first; a later one of a knob replaces an earlier one.
        attempt: looks at a changed network.
    """
    reasons, changes, left = first.found.reasons, dict[Knob, Any](), TRIALS
    rest, fits = list(moves), False
    while not fits:
        stuck = next((r for r in reasons if not any(knob in r.helps for knob, _ in rest)), None)
        if stuck is not None:
            tried_all = any(knob in stuck.helps for knob, _ in moves)
            return Search(None, f"{stuck.where}: {stuck.why}; {TRIED_ALL if tried_all else UNTOUCHED}")
        if not left:
            last = f"{reasons[0].where}: {reasons[0].why}"
            return Search(None, f"{last}; {TRIALS} changed networks were looked at")
        move = next((knob, value) for knob, value in rest if any(knob in r.helps for r in reasons))
        rest.remove(move)
        tried = {**changes, move[0]: move[1]}
        left -= 1
        found = attempt(tried)
        if found is None:
            continue  # such a model cannot be made
        changes, reasons, fits = tried, found.found.reasons, found.fits
    for knob in list(changes):
        fewer = {k: v for k, v in changes.items() if k != knob}
        if fewer and left:
            left -= 1
            found = attempt(fewer)
            if found is not None and found.fits:
                changes = fewer
    return Search(changes, "")


def worded(changes: Changes) -> str:
    """Changes as a sentence.

    >>> worded({"levels": 15, "pooling": "average", "width": 0.5, "allow_host": True})
    'levels=15, train with average pooling, train with 0.5 times the channels, leave a part to the host (allow_host=True)'
    """
    said = []
    for knob, value in changes.items():
        match knob:
            case "pooling":
                said.append(f"train with {value} pooling")
            case "width":
                said.append(f"train with {value:g} times the channels")
            case "allow_host":
                said.append("leave a part to the host (allow_host=True)")
            case _:
                said.append(f"{knob}={value}")
    return ", ".join(said)
