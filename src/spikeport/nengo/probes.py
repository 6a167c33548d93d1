"""What probes record, as readings of populations of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

What = Literal["v", "spikes", "input", "weights", "constant"]


@dataclass(frozen=True, slots=True, eq=False)
class Readout:
    """Where the numbers of a probe are."""

    probe: Any
    place: str
    """A population, an input, or a projection that learns."""
    what: What
    lines: NDArray[np.int64] | None = None
    """Which neurons or lines, in which order; None: all."""
    scale: float = 1.0
    late: int = 0
    """Steps after which the probe sees it."""
    constant: NDArray[np.float64] | None = None
    """What it records in every step, or weights before the first step."""
    period: float = 1.0
    """Steps between two samples."""

    def shaped(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """From values at the end of each step, (time, ...), to what the probe holds."""
        if self.lines is not None:
            found = found[:, self.lines]
        if self.scale != 1:
            found = found * self.scale
        if self.late:
            before = np.zeros_like(found[:1]) if self.constant is None else self.constant[None]
            found = np.concatenate([before, found[:-1]])
        if self.period <= 1:
            return found
        steps = np.arange(1, len(found) + 1)
        sampled: NDArray[np.float64] = found[steps % self.period < 1]
        return sampled
