"""The networks that the commands convert: trained and published by others, rebuilt for their state dicts."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data import DataFileError, find

DataSet = Literal["cifar10", "mnist", "nmnist"]


class Block(nn.Module):
    """Basic residual block: conv 3x3, norm, ReLU, conv 3x3, norm, add, ReLU.

    Where the shape changes the shortcut takes every second row and column and pads channels with zeros, half of them in
    front.
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        stride = 1 if channels == out else 2
        self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.extra = (out - channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x
        if self.extra:
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(y + shortcut)


class ResNet20(nn.Module):
    """ResNet-20 for CIFAR-10: 3 stages of 3 blocks at 16, 32 and 64 channels, mean over the map, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.avg_pool2d(x, 8)
        out: Tensor = self.linear(x.flatten(1))
        return out


class WideBlock(nn.Module):
    """Basic residual block with a 1x1 convolution as shortcut where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 for CIFAR-10, 0.556 GMAC: 3x3 stem, 4 stages of 2 blocks at 64, 128, 256 and 512 channels, mean, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(WideBlock(before, out, stride), WideBlock(out, out, 1))
                for before, out, stride in zip(widths, widths[1:], (1, 2, 2, 2), strict=False)
            )
        )
        self.linear = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        out: Tensor = self.linear(F.avg_pool2d(x, 4).flatten(1))
        return out


def random_resnet18(seed: int = 0, samples: int = 32) -> nn.Module:
    """ResNet-18 with seeded random weights and the batch norm statistics of random images: for questions of speed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ResNet18()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
                module.momentum = None  # statistics are plain averages
        with torch.no_grad():
            model(torch.randn(samples, 3, 32, 32))
    return model.eval()


def cnn_a_mix() -> nn.Module:
    """Two strided convolutions and two linear layers for CIFAR-10."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2048, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def pooled_cnn(channels: int) -> nn.Module:
    """Three convolutions with average pooling and two linear layers, no biases: 28 x 28 or 34 x 34 pixels."""
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(20, 32, 5, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(32, 128, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 500, bias=False),
        nn.ReLU(),
        nn.Linear(500, 10, bias=False),
    )


@dataclass(frozen=True, slots=True)
class Network:
    """One network, and what was published about it."""

    name: str
    build: Callable[[], nn.Module]
    data: DataSet
    parameters: int
    accuracy: float
    """Percentage of the test set that the float model gets right."""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    """By channel, of pixels divided by 255; empty for event counts, which are not scaled."""


NETWORKS: Mapping[str, Network] = {
    network.name: network
    for network in (
        Network("c10_resnet20", ResNet20, "cifar10", 269_722, 91.73, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        Network(
            "c10_cnn_a_mix", cnn_a_mix, "cifar10", 214_918, 76.77, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
        ),
        Network("mnist_sinabs_cnn", lambda: pooled_cnn(1), "mnist", 122_364, 97.88, (0.0,), (1.0,)),
        Network("nmnist_cnn_b", lambda: pooled_cnn(2), "nmnist", 122_864, 99.00),
    )
}


def load(network: Network, folder: Path) -> nn.Module:
    """The trained model in evaluation mode, from the state dict `<name>.pt`.

    Raises:
        DataFileError: the file is missing, or is not the state dict of this network.
    """
    path = find(folder, [], [f"{network.name}.pt"])
    model = network.build()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except (OSError, EOFError, RuntimeError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise DataFileError(f"{path}: is not a state dict of {network.name} ({error})") from error
    found = sum(p.numel() for p in model.parameters())
    assert found == network.parameters, f"{network.name} has {found:,} parameters"
    return model.eval()


if __name__ == "__main__":
    for network in NETWORKS.values():
        print(f"{network.name}: {network.parameters:,} parameters, {network.data}, float accuracy {network.accuracy} %")
        print(network.build())
        print()
