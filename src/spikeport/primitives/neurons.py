"""Neurons: what a unit does with its membrane potential in one step.

All state is integer. In each step a unit first adds what arrives (and its share of the bias), then applies its rule once.
Parameters are arrays that broadcast to the population's shape. The lemmas are in `spikeport.codes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from spikeport.primitives.frozen import freeze_fields
from spikeport.primitives.synapses import MaxPool


@dataclass(frozen=True, slots=True, eq=False)
class SignedIF:
    """Integrate-and-fire unit with spikes of both signs and a saturating counter S of what it has sent.

    if v >= threshold and S < high: send +1; v -= threshold; S += 1
    elif v < 0 and S > low:         send -1; v += threshold; S -= 1
    """

    threshold: NDArray[Any]
    """Positive integers."""
    initial: NDArray[Any]
    """Membrane potential before the first step."""
    bias: NDArray[Any]
    """Total constant current of a presentation, split over its steps."""
    low: int
    high: int

    def __post_init__(self) -> None:
        freeze_fields(self, "threshold", "initial", "bias")


@dataclass(frozen=True, slots=True, eq=False)
class GradedIF:
    """Integrate-and-fire unit that sends one event, in step `fires_at`, whose payload is its whole count.

    payload = clip(floor(v / threshold), low, high)
    """

    threshold: NDArray[Any]
    initial: NDArray[Any]
    bias: NDArray[Any]
    low: int
    high: int
    fires_at: int
    """Index of the step in which all input of the layer has arrived."""

    def __post_init__(self) -> None:
        freeze_fields(self, "threshold", "initial", "bias")


@dataclass(frozen=True, slots=True, eq=False)
class PhasedIF:
    """Plain integrate-and-fire unit with binary spikes; charges at the two ends of its phase let it fire in between.

    in step opens_at: v += release          in step closes_at: v -= release
    if v >= threshold: send 1; v -= threshold
    """

    threshold: NDArray[Any]
    initial: NDArray[Any]
    """Membrane potential before the first step; `release` lower than the offset, so that nothing fires before the phase."""
    bias: NDArray[Any]
    """Total constant current of a presentation, split over its steps."""
    release: NDArray[Any]
    """Larger than every sum that can arrive."""
    opens_at: int
    """Index of the first step of the phase; all input has arrived by then."""
    closes_at: int
    """Index of the step after the phase, which lasts as many steps as there are levels."""

    def __post_init__(self) -> None:
        freeze_fields(self, "threshold", "initial", "bias", "release")


@dataclass(frozen=True, slots=True, eq=False)
class PlainIF:
    """Plain integrate-and-fire unit with binary spikes: if v >= threshold: send 1; v -= threshold."""

    threshold: NDArray[Any]
    initial: NDArray[Any]
    """Membrane potential before the first step; half a threshold where nothing better is known."""
    bias: NDArray[Any]
    """Total constant current of a presentation, split over its steps."""

    def __post_init__(self) -> None:
        freeze_fields(self, "threshold", "initial", "bias")


@dataclass(frozen=True, slots=True, eq=False)
class RadixIF:
    """Unit that sends its count in binary, most significant bit first, by successive approximation.

    In step `opens_at + k`, k = 0 .. bits - 1, with w = 2**(bits - 1 - k):

        if v >= threshold * w: send a spike, which is worth w to all who receive it; v -= threshold * w
    """

    threshold: NDArray[Any]
    initial: NDArray[Any]
    bias: NDArray[Any]
    bits: int
    opens_at: int
    """Index of the first step of the phase; all input has arrived by then."""

    def __post_init__(self) -> None:
        freeze_fields(self, "threshold", "initial", "bias")


@dataclass(frozen=True, slots=True, eq=False)
class UnitBank:
    """As many memoryless units as there are levels, with the same input; each fires at most once.

    Unit k = 1 .. units fires in step `fires_at` if `v + common - k * threshold >= common`. The spikes of a bank are its number
    of units that fired; `common` is the one threshold of all units, above every sum that can arrive, so that no unit could
    fire twice whatever its reset.
    """

    threshold: NDArray[Any]
    initial: NDArray[Any]
    bias: NDArray[Any]
    units: int
    common: int
    fires_at: int

    def __post_init__(self) -> None:
        freeze_fields(self, "threshold", "initial", "bias")


def _require_table(steps: NDArray[Any]) -> None:
    if steps.ndim == 0:
        raise ValueError("a table of thresholds has an axis of steps")


@dataclass(frozen=True, slots=True, eq=False)
class StaircaseIF:
    """Unit that integrates without reset, and a counter S that climbs a table of thresholds one step at a time.

    if S < high and v >= steps[S - low]:       send +1; S += 1
    elif S > low and v < steps[S - low - 1]:   send -1; S -= 1
    """

    steps: NDArray[Any]
    """Shape (levels, ...), the rest broadcasts to the population's; integers that never fall along the first axis."""
    initial: NDArray[Any]
    """Membrane potential before the first step."""
    bias: NDArray[Any]
    """Total constant current of a presentation, split over its steps."""
    low: int
    """Least count; S starts at 0, which lies between `low` and `high`."""

    def __post_init__(self) -> None:
        _require_table(self.steps)
        freeze_fields(self, "steps", "initial", "bias")

    @property
    def high(self) -> int:
        """Largest count."""
        return self.low + len(self.steps)


@dataclass(frozen=True, slots=True, eq=False)
class StaircaseUnit:
    """Unit that compares its potential with a table of thresholds by the clock, from step `opens_at` on, when all input is there.

    payload       in that step: one event of low + (number of k with v >= steps[k])
    thermometer   in step opens_at + k: a spike if v >= steps[k]
    digits        in step opens_at + k, with w = 2**(bits - 1 - k): a spike worth w if v >= steps[sent + w - 1]
    """

    steps: NDArray[Any]
    """As those of a `StaircaseIF`."""
    initial: NDArray[Any]
    bias: NDArray[Any]
    low: int
    """0 but for payloads."""
    sends: Literal["payload", "thermometer", "digits"]
    opens_at: int

    def __post_init__(self) -> None:
        _require_table(self.steps)
        freeze_fields(self, "steps", "initial", "bias")

    @property
    def high(self) -> int:
        """Largest count."""
        return self.low + len(self.steps)

    @property
    def duration(self) -> int:
        """Steps over which it sends."""
        return {"payload": 1, "thermometer": len(self.steps), "digits": len(self.steps).bit_length()}[self.sends]


@dataclass(frozen=True, slots=True, eq=False)
class StaircaseBank:
    """As many memoryless units as there are levels, with the same input and thresholds of their own; each fires at most once.

    Unit k fires in step `fires_at` if `v + common - steps[k] >= common`; `common` as that of a `UnitBank`.
    """

    steps: NDArray[Any]
    """As those of a `StaircaseIF`."""
    initial: NDArray[Any]
    bias: NDArray[Any]
    common: int
    fires_at: int

    def __post_init__(self) -> None:
        _require_table(self.steps)
        freeze_fields(self, "steps", "initial", "bias")

    @property
    def units(self) -> int:
        """Units of one neuron."""
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class MaxUnit:
    """Remembers the counts of its window and sends the change of their maximum.

    It keeps S_j, the sum of what input j has sent, and in each step sends `max_j S_j(t) - max_j S_j(t-1)`; what it has
    sent so far is therefore always the maximum. With `fires_at` it is silent until that step.
    """

    window: MaxPool
    fires_at: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Accumulator:
    """Sums what arrives and never fires: the read-out. `value = scale * v`, smallest index wins ties."""

    bias: NDArray[Any]
    """Total constant current of a presentation, split over its steps."""
    scale: float

    def __post_init__(self) -> None:
        freeze_fields(self, "bias")


Neuron = (
    SignedIF
    | GradedIF
    | PhasedIF
    | PlainIF
    | RadixIF
    | UnitBank
    | StaircaseIF
    | StaircaseUnit
    | StaircaseBank
    | MaxUnit
    | Accumulator
)
