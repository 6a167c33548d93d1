"""The changes that `bench/verdicts.py` applies: thinner networks run, and have the channels that were asked for."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"cifar10": (3, 32, 32), "mnist": (1, 28, 28), "nmnist": (2, 34, 34)}


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`bench/verdicts.py`, imported as its commands import it."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("verdicts")


@pytest.mark.parametrize("factor", [0.5, 0.125])
def test_thinner_networks_run_and_keep_ten_classes(verdicts: ModuleType, factor: float) -> None:
    for network in verdicts.NETWORKS.values():
        model = network.build().eval()
        thin = verdicts.thinned(model, factor)
        with torch.no_grad():
            assert thin(torch.zeros(2, *SHAPES[network.data])).shape == (2, 10)
        first, thinner = (next(m for m in x.modules() if isinstance(m, torch.nn.Conv2d)) for x in (model, thin))
        assert thinner.out_channels == max(1, round(first.out_channels * factor))


def test_maxima_become_averages_and_averages_maxima(verdicts: ModuleType) -> None:
    model, x = torch.nn.Sequential(torch.nn.MaxPool2d(2), torch.nn.ReLU()), torch.arange(4.0).reshape(1, 1, 2, 2)
    mean = verdicts.pooled(model, "average")
    assert mean(x).item() == 1.5
    assert model(x).item() == verdicts.pooled(mean, "max")(x).item() == 3
    assert verdicts.pooled(model, "max")(x).item() == 3
