"""Recordings as NIRData, read by the reader of `nir`."""

from pathlib import Path

import nir
import numpy as np
import pytest

from spikeport.errors import DataError
from spikeport.nir.recording import write_nirdata
from spikeport.primitives import DynamicRecording, SpikeEvents


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 0.1, 3e-3])
@pytest.mark.parametrize("graded", [False, True])
def test_nir_reads_the_same_spikes_and_potentials(tmp_path: Path, dt: float, graded: bool) -> None:
    raster = np.random.default_rng(0).integers(0, 2, (57, 3, 2, 2))
    raster[:, 1] = 0  # a sample without spikes
    raster[-1, 0] = 1
    samples, steps, neurons = np.nonzero(raster.reshape(57, 3, 4).transpose(1, 0, 2))
    values = np.arange(1, len(steps) + 1) if graded else None
    events = SpikeEvents(samples, steps, neurons, (2, 2), 57, 3, dt, values)
    potentials = np.random.default_rng(1).normal(size=(57, 3, 2, 2))
    recording = DynamicRecording(57, {}, {"lif": events}, {"lif": potentials})
    found = nir.read_data(str(write_nirdata(recording, tmp_path / "x.nird", dt=dt))).nodes["lif"].observables
    expected = events.train().raster.reshape(57, 3, 4).transpose(1, 0, 2)
    assert np.array_equal(found["spikes"].to_time_gridded(dt).data, expected)
    assert np.array_equal(found["potentials"].data, potentials.reshape(57, 3, 4).transpose(1, 0, 2))
    assert found["potentials"].dt == dt


def test_silence_is_written_and_names_that_hdf5_splits_are_refused(tmp_path: Path) -> None:
    none = np.zeros(0, np.int64)
    events = SpikeEvents(none, none, none, (2,), 5, 1, 1e-3)
    write_nirdata(DynamicRecording(5, {}, {"a": events}, {}), tmp_path / "x.nird")
    read = nir.read_data(str(tmp_path / "x.nird")).nodes["a"].observables["spikes"]
    assert not read.to_time_gridded(1e-3).data.any()
    with pytest.raises(DataError, match="a/b: has a /"):
        write_nirdata(DynamicRecording(5, {}, {"a/b": events}, {}), tmp_path / "y.nird")
