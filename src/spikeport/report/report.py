"""What a validation found, as data; `html` draws it, `as_json` writes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from spikeport.errors import DataError, Problem
from spikeport.primitives import Ledger, Shape

Verdict = Literal["proved", "measured", "failed", "not shown"]

SPIKING_ARROW = "integer network -> spiking network"
"""Name of the arrow that a neural code answers for."""
ROAD = ("model -> graph", "graph -> integer network", SPIKING_ARROW)
"""Names of the arrows, in order."""
_NOT_STEPPED = "not stepped under code "


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow of the road from the model to the chip, and what is known about it."""

    name: str
    """For example `model -> graph`."""
    verdict: Verdict
    claim: str
    """What holds, in one sentence with its figures."""


@dataclass(frozen=True, slots=True)
class LayerStats:
    """One layer of the network as it was measured."""

    name: str
    kind: Literal["neurons", "max", "read-out"]
    shape: Shape
    neurons: int
    low: int
    high: int
    """Levels: counts lie in [low, high]; 0, 0 for the read-out."""
    synapses: int
    """Synaptic connections into the layer, convolutions unrolled."""
    saturation: float
    """Fraction of counts at the highest level."""
    silent: float
    """Fraction of counts that are zero."""
    spikes_per_neuron: float | None
    """Mean number of spikes a neuron sends in one sample, measured on the stepped samples; None if none was stepped."""
    state_bits: int
    """Bits that the proved bound of the membrane potential needs."""
    comparisons: int
    mismatches: int


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where the stepped network and the integer network differ."""

    layer: str
    sample: int
    neuron: tuple[int, ...]
    expected: int
    found: int

    def __str__(self) -> str:
        where = ", ".join(map(str, self.neuron))
        return f"{self.layer}[{where}] in sample {self.sample}: {self.found} instead of {self.expected}"


@dataclass(frozen=True, slots=True)
class RegressionError:
    """Distance between the outputs of the spiking network and of the model, where outputs are no classes."""

    mean_absolute: float
    root_mean_square: float
    largest: float
    relative: float
    """Root mean square of the difference over that of the model's output."""


@dataclass(frozen=True, slots=True)
class Raster:
    """Spikes of one sample, for the picture: parallel tuples of step, row and payload."""

    populations: tuple[tuple[str, int], ...]
    """Name and number of rows drawn, from top to bottom; of large populations evenly spread neurons."""
    steps: tuple[int, ...]
    rows: tuple[int, ...]
    payloads: tuple[int, ...]
    n_steps: int

    def __post_init__(self) -> None:
        if not len(self.steps) == len(self.rows) == len(self.payloads):
            lengths = f"{len(self.steps)} steps, {len(self.rows)} rows and {len(self.payloads)} payloads"
            raise DataError(Problem("raster", f"has {lengths}", "give one of each for every spike"))
        if any(count < 0 for _, count in self.populations):
            raise DataError(Problem("raster", "has a population with a negative number of rows"))
        n_rows = sum(count for _, count in self.populations)
        if self.steps and not (min(self.steps) >= 0 and max(self.steps) < self.n_steps):
            raise DataError(Problem("raster", f"has a spike outside its {self.n_steps} steps"))
        if self.rows and not (min(self.rows) >= 0 and max(self.rows) < n_rows):
            raise DataError(Problem("raster", f"has a spike outside its {n_rows} rows"))


@dataclass(frozen=True, slots=True)
class Report:
    """Every arrow of the road, measured or proved. Accuracies and gaps are in percent and percentage points."""

    samples: int
    ann_accuracy: float | None
    snn_accuracy: float | None
    gap: float | None
    """`ann_accuracy - snn_accuracy`: positive means the spiking network is worse."""
    gap_interval: tuple[float, float] | None
    """95 % interval of the gap, paired (Bonett & Price 2012)."""
    agreement: float | None
    """Percentage of samples with the same predicted class; None for regression."""
    disagreements: int
    regression: RegressionError | None
    stepped_samples: int
    comparisons: int
    mismatches: int
    divergence: Divergence | None
    capture_difference: float
    """Largest difference between graph and model on real inputs, over the output's scale."""
    capture_samples: int
    quiet_after: tuple[int, ...]
    """Steps until each stepped sample was quiet."""
    drain_bound: int
    curve: tuple[float, ...]
    """Percentage of stepped samples whose prediction after each step equals the final one."""
    layers: tuple[LayerStats, ...]
    arrows: tuple[Arrow, ...]
    ledger: Ledger
    raster: Raster | None
    code: str
    versions: tuple[tuple[str, str], ...]
    tolerance: float
    """Largest acceptable upper end of `gap_interval` in points, or loss of agreement in percent without labels."""
    misses: tuple[str, ...]
    """What was asked for and not reached; empty if all is well."""
    data_hash: str = ""
    """SHA-256 of the inputs and labels that the figures were measured on; empty if there were none."""

    @property
    def ok(self) -> bool:
        """Whether every arrow holds within the tolerance."""
        return not self.misses

    @classmethod
    def empty(cls, *, code: str = "", drain_bound: int = 0) -> Report:
        """What a model has before it is validated: no samples, and no arrow shown.

        >>> Report.empty().ok
        False
        """
        return cls(
            samples=0,
            ann_accuracy=None,
            snn_accuracy=None,
            gap=None,
            gap_interval=None,
            agreement=None,
            disagreements=0,
            regression=None,
            stepped_samples=0,
            comparisons=0,
            mismatches=0,
            divergence=None,
            capture_difference=0.0,
            capture_samples=0,
            quiet_after=(),
            drain_bound=drain_bound,
            curve=(),
            layers=(),
            arrows=tuple(Arrow(name, "not shown", "validate has to be run") for name in ROAD),
            ledger=(),
            raster=None,
            code=code,
            versions=(),
            tolerance=0.0,
            misses=("not validated yet",),
        )

    def without_stepping(self, code: str, drain_bound: int) -> Report:
        """The same findings about the integer network, to be carried by another code that nobody has stepped yet.

        Args:
            code: the new code.
            drain_bound: its proved number of steps until a sample is quiet.
        """
        claim = f"validate has to be run: no sample was stepped under code {code}"
        about_old_code = (_NOT_STEPPED, f"{self.mismatches:,} of {self.comparisons:,} counts differ")
        return replace(
            self,
            stepped_samples=0,
            comparisons=0,
            mismatches=0,
            divergence=None,
            quiet_after=(),
            drain_bound=drain_bound,
            curve=(),
            layers=tuple(replace(layer, spikes_per_neuron=None, comparisons=0, mismatches=0) for layer in self.layers),
            arrows=tuple(
                Arrow(arrow.name, "not shown", claim) if arrow.name == SPIKING_ARROW else arrow for arrow in self.arrows
            ),
            raster=None,
            code=code,
            misses=(
                *(miss for miss in self.misses if not miss.startswith(about_old_code)),
                f"{_NOT_STEPPED}{code} yet",
            ),
        )

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained page; returns its path."""
        from spikeport.report.html import write_html

        return write_html(self, Path(path))

    def as_json(self) -> str:
        """The report as JSON text; `report_from_json` reads it back.

        Raises:
            DataError: a field that is not a number.
        """
        from spikeport.report.as_json import to_text

        return to_text(self)

    def to_json(self, path: str | Path) -> Path:
        """Write the same as JSON; returns its path."""
        from spikeport.report.as_json import write_json

        return write_json(self, Path(path))

    def __str__(self) -> str:
        from spikeport.report.plain import plain

        return plain(self)
