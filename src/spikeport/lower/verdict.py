"""What `check` says of a network and a target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from spikeport.errors import Problem
from spikeport.lower.cut import Cut
from spikeport.primitives import Ledger

Outcome = Literal["faithful", "approximate", "impossible"]
"""The chip computes the network, exactly; it computes something close; it cannot carry it."""


Knob = Literal["code", "levels", "weight_bits", "state_bits", "input_bits", "pooling", "width", "allow_host"]
"""What can be changed so that a network fits; as in `Suggestion.changes`."""


@dataclass(frozen=True, slots=True)
class Reason(Problem):
    """One thing that a target cannot carry."""

    fact: str = ""
    """The field of the target that says so."""
    helps: frozenset[Knob] = frozenset()
    """What might change it."""


@dataclass(frozen=True, slots=True)
class Use:
    """One resource: how much of it a network takes."""

    resource: str
    """Plural noun, for example "cores"."""
    used: int
    limit: int | None
    """None where no limit is known."""
    enforced: bool
    """Whether more than the limit is refused; otherwise the limit is too uncertain, and only shown."""
    source: str = ""
    """Where the limit comes from."""
    exact: bool = True
    """False: at least so much."""
    unit: str = ""

    @property
    def over(self) -> bool:
        """Whether it is more than an enforced limit."""
        return self.enforced and self.limit is not None and self.used > self.limit


@dataclass(frozen=True, slots=True)
class Bill:
    """Resources of the whole chip."""

    uses: tuple[Use, ...] = ()

    def __getitem__(self, resource: str) -> Use:
        return next(use for use in self.uses if use.resource == resource)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change after which the network fits."""

    changes: Mapping[str, Any]
    """What to change: `levels`, `weight_bits`, `state_bits`, `code`, `steps`, `input_bits` are options of `compile` and `convert`; `pooling` ("average" or "max")
    and `width` (a factor of the channels) are changes of the model; `allow_host` leaves parts to the host."""
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a target can carry a network, why not, what it takes, and what would make it fit."""

    network: str
    target: str
    outcome: Outcome
    code: str | None
    """The code that would carry a converted network."""
    reasons: tuple[Reason, ...] = ()
    """Everything that stands in the way, by node; empty unless impossible."""
    losses: Ledger = ()
    """What is approximated, where and how much."""
    notes: tuple[str, ...] = ()
    """What was not checked or is not sure, a sentence each."""
    bill: Bill = field(default_factory=Bill)
    suggestions: tuple[Suggestion, ...] = ()
    cut: Cut | None = None
    """What stays on the host, where that was allowed and is needed."""

    @property
    def fits(self) -> bool:
        """Whether the target carries it, exactly or not."""
        return self.outcome != "impossible"

    def as_json(self) -> str:
        """One JSON document."""
        return json.dumps(self.values(), allow_nan=False)

    def values(self) -> dict[str, Any]:
        """The fields as JSON values."""
        reasons = [
            {"where": r.where, "why": r.why, "hint": r.hint, "fact": r.fact, "helps": sorted(r.helps)}
            for r in self.reasons
        ]
        suggestions = [{"changes": dict(s.changes), "text": s.text} for s in self.suggestions]
        rest = asdict(replace(self, reasons=(), suggestions=()))
        return {**rest, "fits": self.fits, "reasons": reasons, "suggestions": suggestions}

    def __str__(self) -> str:
        from spikeport.lower.text import described  # it draws what is defined here

        return described(self)
