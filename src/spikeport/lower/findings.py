"""What is in the way of a network, as it is found: enforced facts refuse, the others are mentioned."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from spikeport.lower.verdict import Bill, Knob, Reason
from spikeport.primitives import Approximation
from spikeport.targets import Fact, Target

CODE: tuple[Knob, ...] = ("code",)
"""Another code may do without."""
SMALLER: tuple[Knob, ...] = ("width", "allow_host")
"""What makes any layer smaller, or leaves it where there is room."""


def more(used: Any, limit: Any) -> bool:
    return bool(used > limit)


@dataclass
class Findings:
    """Gathered while a network is held against a target."""

    target: Target
    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    losses: list[Approximation] = field(default_factory=list)
    bill: Bill = field(default_factory=Bill)

    def compare(
        self,
        fact: str,
        where: str,
        used: Any,
        why: str,
        helps: Collection[Knob] = SMALLER,
        hint: str = "",
        beyond: Callable[[Any, Any], bool] = more,
    ) -> bool:
        """Hold one number, or name, against a fact; True if it is beyond it.

        Args:
            fact: field of the target.
            where: node.
            used: what the network needs.
            why: a sentence; `{used}` and `{limit}` stand for the two.
            helps: what might change it.
            hint: the way out.
            beyond: whether `used` is too much.
        """
        known: Fact[Any] | None = getattr(self.target, fact)
        if known is None or not beyond(used, known.value):
            return False
        text = why.format(used=shown(used), limit=shown(known.value))
        if known.enforced:
            self.refuse(fact, where, text, helps, hint)
        else:
            self.note(f"{where}: {text}; not refused, as the limit is {SURENESS[known.confidence]}")
        return True

    def refuse(self, fact: str, where: str, why: str, helps: Collection[Knob] = (), hint: str = "") -> None:
        reason = Reason(where, why, hint, fact, frozenset(helps))
        if reason not in self.reasons:
            self.reasons.append(reason)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def lose_unseen(self, node: str) -> None:
        """Numbers that are no integers are not called exact where nothing computes them as the chip does."""
        kind = self.target.known("arithmetic", "integer")
        if kind in ("fixed point", "float32") and self.target.known("dynamics_simulator") is False:
            self.lose(node, f"computed in {kind}, and no simulator shows how that rounds: not known to be exact")

    def lose(self, node: str, what: str, error: float = 0.0, unit: str = "") -> None:
        self.losses.append(Approximation(node, what, error, unit))


SURENESS = {
    "measured": "not a hard one",
    "source": "not a hard one",
    "document": "not a hard one",
    "memory": "known from memory only",
    "design": "not a hard one",
}


def shown(value: Any) -> str:
    """A number or a set of names for a sentence.

    >>> shown(12345), shown(frozenset(["b", "a"])), shown((1, 2, 4))
    ('12,345', 'a, b', '1, 2, 4')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, frozenset | set):
        return ", ".join(sorted(map(str, value))) or "none"
    return str(value)
