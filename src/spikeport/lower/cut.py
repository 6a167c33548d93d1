"""Where a network is cut between host and chip."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cut:
    """Populations in update order, divided in three. One population at most sends across each of the two borders.

    >>> print(Cut(("conv1",), ("conv2",), ("output",)))
    host   conv1
    ------ conv1 ------
    chip   conv2
    ------ conv2 ------
    host   output
    """

    before: tuple[str, ...]
    """On the host: what the input reaches first."""
    on_chip: tuple[str, ...]
    after: tuple[str, ...]
    """On the host, the read-out among them."""
    entering: str = ""
    """The population whose spikes enter the chip; empty where the input itself does."""
    leaving: str = ""
    """The population whose spikes leave the chip; empty where the read-out is on it."""

    def __post_init__(self) -> None:
        if self.before and not self.entering:
            object.__setattr__(self, "entering", self.before[-1])
        if self.after and not self.leaving:
            object.__setattr__(self, "leaving", self.on_chip[-1])

    def __str__(self) -> str:
        lines = [f"host   {name}" for name in self.before]
        if self.before:
            lines.append(f"------ {self.entering} ------")
        lines += [f"chip   {name}" for name in self.on_chip]
        if self.after:
            lines.append(f"------ {self.leaving} ------")
        lines += [f"host   {name}" for name in self.after]
        return "\n".join(lines)
