"""Whether two backends recorded the same, in every field, value and dtype."""

import numpy as np

from spikeport.primitives import Recording


def assert_equal_recordings(found: Recording, expected: Recording) -> None:
    assert found.n_steps == expected.n_steps
    for name in ("quiet_after", "readout", "output"):
        _assert_equal(getattr(found, name), getattr(expected, name), name)
    for field in ("counts", "n_spikes", "potentials"):
        mine, theirs = getattr(found, field), getattr(expected, field)
        assert list(mine) == list(theirs), field
        for name in mine:
            _assert_equal(mine[name], theirs[name], f"{field} of {name}")
    assert list(found.spikes) == list(expected.spikes)
    for name, train in found.spikes.items():
        _assert_equal(train.raster, expected.spikes[name].raster, f"spikes of {name}")
        assert train.dt == expected.spikes[name].dt


def _assert_equal(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert found.dtype == expected.dtype, what
    assert found.shape == expected.shape, what
    assert np.array_equal(found, expected), what
