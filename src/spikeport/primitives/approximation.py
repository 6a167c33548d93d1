"""The ledger: what was lost on the way to a chip, where, and how much."""

from __future__ import annotations

from dataclasses import dataclass

REMARK = "remark"
"""The unit of entries that lose nothing."""


@dataclass(frozen=True, slots=True)
class Approximation:
    """One entry of the ledger; the report shows all of them."""

    node: str
    """Name of the node, population or file part, for example `layer1.0.conv1`."""
    what: str
    """What was done, for example `weights rounded to 8 bits`."""
    error: float
    """Size of the change in units of `unit`, clipping apart; 0.0 for a remark on who computes what."""
    unit: str = ""
    """Of `error`; "remark" for an entry that says who computes what, or in which units, and loses nothing."""

    @property
    def is_remark(self) -> bool:
        """Whether nothing is lost by it."""
        return self.unit == REMARK

    def __str__(self) -> str:
        amount = f" ({self.error:.3g} {self.unit}".rstrip() + ")" if self.error else ""
        return f"{self.node}: {self.what}{amount}"


def remark(node: str, what: str) -> Approximation:
    """An entry that loses nothing."""
    return Approximation(node, what, 0.0, REMARK)


Ledger = tuple[Approximation, ...]
