"""A small report in which every field is filled, and a function that makes one around any name."""

from collections.abc import Callable

import pytest

from spikeport.primitives import Approximation
from spikeport.report import Arrow, LayerStats, Raster, Report


def _layer(name: str, kind: str, *, high: int = 15, spikes: float | None = 1.25) -> LayerStats:
    return LayerStats(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        shape=(4, 2, 2),
        neurons=16,
        low=-3 if high else 0,
        high=high,
        synapses=12_345,
        saturation=0.0123,
        silent=0.5,
        spikes_per_neuron=spikes,
        state_bits=17,
        comparisons=1600,
        mismatches=0,
    )


def _named(name: str) -> Report:
    return Report(
        samples=10_000,
        ann_accuracy=94.83,
        snn_accuracy=94.61,
        gap=0.22,
        gap_interval=(-0.12, 0.54),
        agreement=98.71,
        disagreements=129,
        regression=None,
        stepped_samples=5,
        comparisons=3_200,
        mismatches=0,
        divergence=None,
        capture_difference=3.1e-7,
        capture_samples=64,
        quiet_after=(5, 7, 7, 8, 6),
        drain_bound=9,
        curve=(20.0, 60.0, 80.0, 99.5, 100.0, 100.0),
        layers=(_layer(name, "neurons"), _layer("fc", "read-out", high=0, spikes=None)),
        arrows=(
            Arrow("model -> graph", "measured", f"outputs of {name} differ by at most 3.1e-07"),
            Arrow("graph -> integer network", "measured", "gap +0.22 points"),
            Arrow("integer network -> spiking network", "proved", "0 mismatches in 3,200 counts"),
        ),
        ledger=tuple(Approximation(f"{name}.{i}", f"weights of {name} rounded", 0.004 + i, "steps") for i in range(15)),
        raster=Raster(((name, 3), ("relu", 2)), (0, 1, 1, 4), (0, 2, 3, 4), (1, -1, 3, -2), 6),
        code="signed",
        versions=(("spikeport", "0.1.0"), (name, "2")),
        tolerance=1.0,
        misses=(),
        data_hash="9f" * 32,
    )


@pytest.fixture(scope="session")
def named() -> Callable[[str], Report]:
    """A report in which layer, claim, ledger, raster and versions carry the given name."""
    return _named


@pytest.fixture(scope="session")
def report() -> Report:
    """A report without a miss."""
    return _named("conv1")
