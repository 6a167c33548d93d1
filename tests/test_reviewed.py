"""Cases that a review found: models that were converted to another function, or failed with a bare exception."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import spikeport as sp  # noqa: E402
from spikeport.quantize import prepared  # noqa: E402


class Function(nn.Module):
    """A function of the module and its input."""

    def __init__(self, function, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def made(function, *shape: int, **parts) -> tuple[nn.Module, torch.Tensor]:
    """A model with reproducible parameters, and inputs; factories of parts are called with the seed set."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Function(function, **{name: part() for name, part in parts.items()}).eval(), torch.randn(150, *shape)


def error(model: nn.Module, x: torch.Tensor, **options) -> float:
    """Relative distance of the converted model, with fine options unless told otherwise; spikes are checked on the way."""
    fine = {"levels": 1023, "weight_bits": 16, "input_bits": 16, "state_bits": 40} | options
    snn = sp.convert(model, [x], progress=False, **fine)
    assert snn.report.mismatches == 0
    with torch.no_grad():
        expected = model(x.clone())
    return float((snn(x) - expected).norm() / expected.norm())


MASK = torch.zeros(8, 8)
MASK[:2] = -100


@pytest.mark.parametrize("options", [{}, {"levels": 31, "weight_bits": 8, "input_bits": 8, "state_bits": 24}])
def test_positions_that_are_always_silent_or_saturated_leave_their_channel_alone(options: dict[str, int]) -> None:
    parts = {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "l": lambda: nn.Linear(256, 4)}
    silent = made(lambda s, x: s.l(F.relu(s.c(x) + MASK).flatten(1)), 2, 8, 8, **parts)
    saturated = made(lambda s, x: s.l((s.c(x) - MASK).clamp(0, 1).flatten(1)), 2, 8, 8, **parts)
    limit = 0.02 if not options else 0.1
    assert error(*silent, **options) < limit
    assert error(*saturated, **options) < limit


def test_names_that_rewrites_make_never_meet_the_users() -> None:
    mul = {"mul": lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8))}
    others = {"b": lambda: nn.Linear(12, 8), "l": lambda: nn.Linear(8, 3)}
    model, x = made(lambda s, x: s.l(F.relu((s.mul(x) + s.b(x)) * 0.5)), 12, **mul, **others)
    assert error(model, x) < 0.02
    snn = sp.convert(model, [x], progress=False)
    assert {"mul.0", "mul.1"} <= {node.name for node in prepared(snn.graph).nodes}


def test_residual_coefficients_that_round_to_zero_stand_in_the_ledger() -> None:
    model, x = made(lambda s, x: s.l(s.r(x)), 8, r=lambda: nn.Linear(8, 8), l=lambda: nn.Linear(8, 3))
    model.function = lambda s, x: s.l(F.relu(F.relu(x) + 40 * s.r(F.relu(x))))
    snn = sp.convert(model, [x], weight_bits=3, progress=False)
    entries = [e for e in snn.ledger if "coefficients" in e.what]
    assert entries
    assert max(e.error for e in entries) > 10


COMBINED = {
    "a constant of every position before a max pool": (
        lambda s, x: s.l(F.max_pool2d(F.relu(s.c(x)) + torch.zeros(1, 4, 8, 8), 2).flatten(1)),
        {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "l": lambda: nn.Linear(64, 3)},
    ),
    "a uniform gain after a max pool": (
        lambda s, x: s.l(F.relu(F.max_pool2d(s.c(x), 2) * torch.full((4, 4, 4), 0.5)).flatten(1)),
        {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "l": lambda: nn.Linear(64, 3)},
    ),
    "a mean over two axes of five": (
        lambda s, x: s.l(F.relu(s.c(x)).view(len(x), 4, 4, 2, 4, 2).mean((3, 5)).flatten(1)),
        {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "l": lambda: nn.Linear(64, 3)},
    ),
    "channels last as the output": (
        lambda s, x: s.l(F.relu(s.c(x))).permute(0, 2, 3, 1),
        {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "l": lambda: nn.Conv2d(4, 3, 1)},
    ),
    "a linear layer over positions as the output": (
        lambda s, x: s.l(F.relu(s.c(x)).flatten(2).transpose(1, 2)),
        {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "l": lambda: nn.Linear(4, 3)},
    ),
    "batch norm after a neuron, then a linear layer over positions": (
        lambda s, x: s.l(s.n(F.relu(s.c(x))).mean(3)).flatten(1),
        {
            "c": lambda: nn.Conv2d(2, 4, 3, padding=1),
            "n": lambda: uneven(nn.BatchNorm2d(4)),
            "l": lambda: nn.Linear(8, 3),
        },
    ),
    "batch norm after a neuron, then a mean over channels": (
        lambda s, x: s.l(s.n(F.relu(s.c(x))).mean(1).flatten(1)),
        {
            "c": lambda: nn.Conv2d(2, 4, 3, padding=1),
            "n": lambda: uneven(nn.BatchNorm2d(4)),
            "l": lambda: nn.Linear(64, 3),
        },
    ),
    "a gain of every position before a convolution": (
        lambda s, x: s.d(F.relu(s.c(x)) * torch.linspace(0.5, 2, 64).view(8, 8)).mean((2, 3)),
        {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "d": lambda: nn.Conv2d(4, 3, 3, padding=1)},
    ),
    "a rectifier in place on the input": (
        lambda s, x: s.l(F.relu(s.c(x.relu_())).flatten(1)),
        {"c": lambda: nn.Conv2d(2, 4, 3, padding=1), "l": lambda: nn.Linear(256, 3)},
    ),
}


def uneven(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Different scales for each channel, one of them negative."""
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-0.5, 2, norm.num_features))
        norm.bias.copy_(torch.linspace(-1, 1, norm.num_features))
    return norm


@pytest.mark.parametrize("name", COMBINED)
def test_operations_in_combination(name: str) -> None:
    function, parts = COMBINED[name]
    assert error(*made(function, 2, 8, 8, **parts)) < 0.02


def test_problems_behind_a_refused_operation_are_listed_too() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.InstanceNorm2d(4),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.Softshrink(),
        nn.AdaptiveAvgPool2d(3),
    )
    with pytest.raises(sp.CaptureError) as caught:
        sp.convert(model, [torch.randn(8, 2, 8, 8)], progress=False)
    assert [problem.where.partition(":")[0] for problem in caught.value.problems] == ["1", "2", "3", "4"]


def test_event_bins_in_half_precision_sum_exactly() -> None:
    model, _ = made(lambda s, x: s.b(F.relu(s.a(x))), 6, a=lambda: nn.Linear(6, 5), b=lambda: nn.Linear(5, 3))
    frames = torch.poisson(torch.full((30, 6), 2.0), generator=torch.Generator().manual_seed(0))
    snn = sp.convert(model, [frames], input="events", steps=4, progress=False)
    bins = torch.stack([frames, frames, torch.zeros_like(frames), frames])
    for dtype in (torch.bfloat16, torch.float16, torch.int64):
        assert np.array_equal(snn.readout(bins.to(dtype)).numpy(), snn.readout(3 * frames).numpy())
    with pytest.raises(sp.DataError, match="9 time bins"):
        snn(torch.zeros(9, 2, 6))


def test_ways_into_a_layer_that_multiply_are_refused_rather_than_followed() -> None:
    def doubled(s: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(s.a(x))
        for _ in range(12):
            x = torch.cat([x, x], 1)[:, ::2]
        return s.b(x)

    model, x = made(doubled, 6, a=lambda: nn.Linear(6, 8), b=lambda: nn.Linear(8, 3))
    with pytest.raises(sp.QuantizeError, match="more than 1,024 ways"):
        sp.convert(model, [x], progress=False)
