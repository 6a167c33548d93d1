"""The networks of `bench/` have the published sizes and load nothing but their own state dicts."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"cifar10": (3, 32, 32), "mnist": (1, 28, 28), "nmnist": (2, 34, 34)}


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`bench/networks.py`, imported as its commands import it."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("networks")


def test_each_network_has_its_published_size_and_ten_classes(networks: ModuleType) -> None:
    for network in networks.NETWORKS.values():
        model = network.build().eval()
        assert sum(p.numel() for p in model.parameters()) == network.parameters
        with torch.no_grad():
            assert model(torch.zeros(2, *SHAPES[network.data])).shape == (2, 10)


def test_a_state_dict_is_loaded_and_anything_else_refused(networks: ModuleType, tmp_path: Path) -> None:
    network = networks.NETWORKS["mnist_sinabs_cnn"]
    model = network.build()
    path = tmp_path / "mnist_sinabs_cnn.pt"
    with pytest.raises(networks.DataFileError, match=r"no mnist_sinabs_cnn\.pt"):
        networks.load(network, tmp_path)
    torch.save(model.state_dict(), path)
    assert torch.equal(networks.load(network, tmp_path)[0].weight, model[0].weight)
    torch.save(model, path)  # holds code, which is not run
    with pytest.raises(networks.DataFileError, match="is not a state dict"):
        networks.load(network, tmp_path)
    torch.save(networks.cnn_a_mix().state_dict(), path)
    with pytest.raises(networks.DataFileError, match="is not a state dict"):
        networks.load(network, tmp_path)


def test_the_resnet18_of_the_speed_questions_has_its_size_and_depends_on_the_seed_alone(networks: ModuleType) -> None:
    first, second, other = (networks.random_resnet18(seed, samples=2) for seed in (0, 0, 1))
    assert sum(p.numel() for p in first.parameters()) == 11_173_962
    products = []
    for module in first.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(lambda m, _, y: products.append(m.weight[0].numel() * y[0].numel()))
    x = torch.ones(1, 3, 32, 32)
    with torch.no_grad():
        y = first(x)
        assert y.shape == (1, 10)
        assert 0.55e9 < sum(products) < 0.56e9
        assert torch.equal(y, second(x))
        assert not torch.equal(y, other(x))
