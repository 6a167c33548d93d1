"""The ledger: what was lost on the way to a chip, where, and how much."""

from __future__ import annotations

from dataclasses import dataclass


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

    def __str__(self) -> str:
        amount = f" ({self.error:.3g} {self.unit}".rstrip() + ")" if self.error else ""
        return f"{self.node}: {self.what}{amount}"


Ledger = tuple[Approximation, ...]
