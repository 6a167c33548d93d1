"""Small torch models: one for each thing that conversion supports, and one for each that it refuses."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FunctionalRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x)).relu())


class SharedRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in ((12, 10), (10, 8), (8, 9), (9, 7), (7, 8))])
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.act(layer(x))
        return self.last(x)


class Residual(nn.Module):
    """A CIFAR block with the weightless shortcut: slices and zero padding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.conv1, self.norm1 = nn.Conv2d(4, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        y = F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
        return self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


class Doubled(nn.Module):
    """`x + x`, one value read three times, and a linear result read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x))
        linear = self.b(x)
        return self.c(F.relu(x + x + linear)) + self.c(linear)


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 5, 5, padding=2)
        self.c = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([F.relu(self.a(x)), F.relu6(self.b(x))], dim=1)
        return self.c(x).mean(dim=(2, 3))


class Constants(nn.Module):
    """Normalisation inside the model, and constants after and between neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, -0.2]).reshape(2, 1, 1))
        self.conv, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv((x - self.mean) / 0.5))
        return (2 * self.head(x * 0.7 + 0.3) - 1).mean((2, 3))


class Upsampled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(F.relu(self.down(x)), scale_factor=2, mode="nearest")
        return self.up(x).flatten(1)


class Methods(nn.Module):
    """Neurons as methods: clamp, hardtanh, clip, and views on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(2, 4, 3, padding="same"), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.conv(x), 0.0, 2.0)
        x = F.max_pool2d(x, 2).clamp(0, 1.5).permute(0, 2, 3, 1).reshape(len(x), -1)
        return F.log_softmax(self.last(F.dropout(x, training=self.training)), dim=1)


class CurvedResidual(nn.Module):
    """Functions that fall and rise on a residual trunk, padded, pooled, concatenated and read by another one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.stem(x))
        y = F.gelu(self.norm(self.conv(x)) + x)
        z = F.mish(F.avg_pool2d(y, 2, 2) + 0.5)
        return self.head(torch.cat([y.mean((2, 3)), z.mean((2, 3))], dim=1))


def conv(*layers: nn.Module, flat: int = 4) -> nn.Module:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 4))


IMAGE, FLAT, SIGNAL = (2, 8, 8), (12,), (2, 16)

SUPPORTED = {
    "mlp": (lambda: nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)), FLAT),
    "functional relu": (FunctionalRelu, FLAT),
    "shared relu": (SharedRelu, FLAT),
    "no batch norm": (lambda: conv(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), flat=64), IMAGE),
    "batch norm after relu": (
        lambda: conv(
            nn.Conv2d(2, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), flat=144
        ),
        IMAGE,
    ),
    "depthwise": (lambda: conv(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), flat=64), IMAGE),
    "strided": (lambda: conv(nn.Conv2d(2, 4, 3, stride=(2, 1), padding=1), nn.ReLU6(), flat=128), IMAGE),
    "dilated": (lambda: conv(nn.Conv2d(2, 4, 3, dilation=2, padding="same"), nn.ReLU(), flat=256), IMAGE),
    "grouped": (
        lambda: conv(
            nn.Conv2d(2, 4, 2, padding="same"),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 3, groups=2),
            nn.ReLU(),
            flat=216,
        ),
        IMAGE,
    ),
    "concat": (Concatenated, IMAGE),
    "residual": (Residual, IMAGE),
    "doubled": (Doubled, FLAT),
    "global pool": (lambda: conv(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), IMAGE),
    "average pool": (
        lambda: conv(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3, 2, 1), nn.Conv2d(4, 4, 3), nn.ReLU(), flat=16
        ),
        IMAGE,
    ),
    "max pool": (
        lambda: conv(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3), nn.ReLU(), flat=16
        ),
        IMAGE,
    ),
    "max pool before relu": (
        lambda: conv(
            nn.Conv2d(2, 4, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3),
            nn.ReLU(),
        ),
        IMAGE,
    ),
    "max pool of the input": (lambda: conv(nn.MaxPool2d(2), nn.Conv2d(2, 4, 3), nn.ReLU(), flat=16), IMAGE),
    "1-d conv": (
        lambda: conv(
            nn.Conv1d(2, 4, 5, padding=2), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2), nn.MaxPool1d(2), flat=16
        ),
        SIGNAL,
    ),
    "batch norm 1d": (
        lambda: nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4), nn.BatchNorm1d(4)),
        FLAT,
    ),
    "constants": (Constants, IMAGE),
    "upsampling": (Upsampled, IMAGE),
    "methods": (Methods, IMAGE),
    "softmax at the end": (
        lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(dim=1)),
        FLAT,
    ),
    "linear over positions": (
        lambda: nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)),
        SIGNAL,
    ),
    "two linear layers in a row": (
        lambda: nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)),
        FLAT,
    ),
    "identity and dropout": (
        lambda: nn.Sequential(nn.Linear(12, 8), nn.Identity(), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)),
        FLAT,
    ),
    "rising curves": (
        lambda: nn.Sequential(
            nn.Linear(12, 10),
            nn.Tanh(),
            nn.Linear(10, 10),
            nn.Sigmoid(),
            nn.Linear(10, 10),
            nn.ELU(0.5),
            nn.Linear(10, 10),
            nn.LeakyReLU(0.1),
            nn.Linear(10, 10),
            nn.Softplus(),
            nn.Linear(10, 10),
            nn.LogSigmoid(),
            nn.Linear(10, 4),
        ),
        FLAT,
    ),
    "rising curves beside padding": (  # sigmoid(0) is not 0, but what lies beside the map is
        lambda: conv(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Sigmoid(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 3, padding=2),
            nn.Hardsigmoid(),
            nn.ZeroPad2d(1),
            nn.Conv2d(4, 4, 3, stride=2),
            nn.Hardtanh(-0.5, 0.75),
            flat=36,
        ),
        IMAGE,
    ),
    "curves that turn": (
        lambda: conv(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.Hardswish(),
            nn.Conv2d(4, 4, 3, padding=1, groups=4),
            nn.GELU("tanh"),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 4, 3),
            nn.SiLU(),
            flat=16,
        ),
        IMAGE,
    ),
    "curved residual": (CurvedResidual, IMAGE),
    "neurons last": (lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU()), FLAT),
}
"""Name -> (factory, shape of one sample)."""


def build(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A supported model in evaluation mode with plausible statistics, and 40 inputs; no global state is touched."""
    factory, shape = SUPPORTED[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = factory()
        x = torch.randn(40, *shape)
        model.train()
        with torch.no_grad():
            for _ in range(20):  # running statistics of batch norms
                model(x)
    return model.eval(), x


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(16, 4, batch_first=True), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.lstm(x)[0][:, -1])  # refused here


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0].flatten(1)  # refused here


class OwnAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(16, 8), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return (self.query(x) @ self.key(x).transpose(1, 2)).flatten(1)  # refused here


class LayerNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(12, 4), nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x))  # refused here


class SoftmaxInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(12, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.softmax(self.layer(x), dim=1)  # refused here
        return self.last(x)


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:  # refused here
            return self.layer(x)
        return -self.layer(x)


class DictOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # refused here
        return {"scores": self.layer(x)}


REFUSED = {
    "lstm": (Lstm, SIGNAL, "lstm: LSTM"),
    "attention": (Attention, SIGNAL, "attention: MultiheadAttention"),
    "own attention": (OwnAttention, SIGNAL, "matmul"),
    "layer norm": (LayerNorm, FLAT, "norm: LayerNorm"),
    "softmax in the middle": (SoftmaxInside, FLAT, "softmax"),
    "data-dependent branch": (Branch, FLAT, "Branch"),
    "dict output": (DictOutput, FLAT, "DictOutput"),
}
"""Name -> (factory, shape of one sample, how the error names the place)."""
