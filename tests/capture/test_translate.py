"""A captured graph is the model: every supported operator, and every refusal with name and line."""

import inspect
import logging

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from spikeport.capture import FloatModel, capture, prove  # noqa: E402
from spikeport.errors import CaptureError, GraphError, ProofError  # noqa: E402
from spikeport.graph import Affine, Graph, Node, Relu, evaluate  # noqa: E402
from tests.networks import REFUSED, SUPPORTED, build  # noqa: E402


class Function(nn.Module):
    """A function as a model."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def captured(function, shape: tuple[int, ...]) -> Graph:
    """Capture a function and prove the graph on random inputs, with numpy: an independent evaluation."""
    model = FloatModel(Function(function) if not isinstance(function, nn.Module) else function)
    x = torch.randn(9, *shape, generator=torch.Generator().manual_seed(1))
    graph = capture(model, x)
    assert prove(graph, model, [x.numpy()]).relative < 1e-6
    return graph


@pytest.mark.parametrize("name", SUPPORTED)
def test_the_graph_of_a_supported_model_is_the_model(name: str) -> None:
    model, x = build(name)
    float_model = FloatModel(model)
    graph = capture(float_model, x[:2])
    assert prove(graph, float_model, [x.numpy()]).samples == len(x)


FUNCTIONS = {
    "relu in place": lambda x: x.clone().relu_() + 1,
    "relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, 0, 2),
    "clamp": lambda x: x.clamp(0, 1.5),
    "clamp below zero": lambda x: x.clamp(-1, 1),
    "clamp above zero": lambda x: torch.clip(x, 0.25, 1),
    "hardtanh of both signs": F.hardtanh,
    "sigmoid": torch.sigmoid,
    "tanh": lambda x: x.tanh() + torch.tanh(x),
    "hardsigmoid": F.hardsigmoid,
    "log sigmoid": F.logsigmoid,
    "silu in place": lambda x: F.silu(x.clone(), inplace=True),
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardswish": F.hardswish,
    "mish": F.mish,
    "softplus": lambda x: F.softplus(x, 2),
    "elu": lambda x: F.elu(x, 0.5),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 2.0),
    "leaky relu": lambda x: F.leaky_relu(x, 0.3),
    "leaky relu in place": lambda x: F.leaky_relu_(x.clone()),
    "tanhshrink": F.tanhshrink,
    "clamp without ceiling": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "clip": lambda x: torch.clip(x, 0, 3),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "maximum with zero": lambda x: torch.maximum(x, torch.zeros(())),
    "max pool": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max pool ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "max pool ceil padded": lambda x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True),
    "max pool dilated": lambda x: F.max_pool2d(x, 2, 1, 0, dilation=2),
    "max pool with indices": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    "adaptive max pool": lambda x: F.adaptive_max_pool2d(x, 2),
    "amax": lambda x: x.amax((2, 3)),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "average pool padded": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average pool divisor": lambda x: F.avg_pool2d(x, (2, 1), divisor_override=5),
    "adaptive average pool": lambda x: F.adaptive_avg_pool2d(x, (2, 4)),
    "adaptive average pool of one axis": lambda x: F.adaptive_avg_pool2d(x, (None, 1)),
    "mean over space": lambda x: x.mean((2, 3)),
    "mean over space, kept": lambda x: x.mean((-1, -2), keepdim=True),
    "mean over channels": lambda x: x.mean(1),
    "mean over a middle axis": lambda x: x.mean((1, 3)),
    "sum": lambda x: x.sum(3),
    "flatten": lambda x: x.flatten(1),
    "flatten space": lambda x: x.flatten(2),
    "view": lambda x: x.view(len(x), -1),
    "reshape by shape": lambda x: x.reshape(x.shape[0], x.shape[1], -1),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "transpose": lambda x: x.transpose(1, -1),
    "movedim": lambda x: x.movedim(1, 3),
    "squeeze": lambda x: x.mean(2, keepdim=True).squeeze(2),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "slices": lambda x: x[:, 1:, ::2, -5:-1:3],
    "select": lambda x: x[:, 1] + x[:, -1],
    "split": lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1),
    "chunk": lambda x: x.chunk(3, 1)[0] - x.chunk(2, 1)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "pad": lambda x: F.pad(x, (1, 0, 0, 2, 1, 1)),
    "crop by padding": lambda x: F.pad(x, (-1, 2, 0, -3)),
    "upsample": lambda x: F.interpolate(x, scale_factor=3),
    "upsample to a size": lambda x: F.interpolate(x, size=(16, 8)),
    "upsample exact": lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact"),
    "repeat_interleave": lambda x: x.repeat_interleave(2, dim=3),
    "concat": lambda x: torch.cat([x, 2 * x], 2),
    "stack": lambda x: torch.stack([x, -x], 2),
    "add alpha": lambda x: torch.add(x, x, alpha=3),
    "subtract": lambda x: x - 0.5 * x,
    "constant minus": lambda x: 1 - x,
    "constants": lambda x: (2 * x + 1) / 4 - torch.arange(8.0),
    "constant of every position": lambda x: x + torch.arange(256.0).reshape(1, 4, 8, 8),
    "a constant that was computed": lambda x: x * torch.linspace(-1, 1, 4).exp().reshape(4, 1, 1),
    "negative": lambda x: -x,
    "matmul": lambda x: x @ torch.arange(24.0).reshape(8, 3),
    "linear over the last axis": lambda x: F.linear(x, torch.arange(16.0).reshape(2, 8), torch.ones(2)),
    "softmax": lambda x: F.softmax(x, 1),
    "log softmax": lambda x: x.flatten(1).log_softmax(-1),
    "casts": lambda x: x.float().contiguous().to(torch.float32) + 1,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_captured(name: str) -> None:
    captured(FUNCTIONS[name], (4, 8, 8))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1), bias=False),
        nn.Conv2d(4, 8, 4, padding="same", groups=4),
        nn.Conv2d(4, 8, 3, padding="valid", groups=2),
        nn.BatchNorm2d(4).eval(),
        nn.BatchNorm2d(4, affine=False).eval(),
        nn.ZeroPad2d((1, 2, 3, 0)),
    ],
    ids=repr,
)
def test_a_layer_over_two_axes_is_captured(layer: nn.Module) -> None:
    captured(layer, (4, 8, 8))


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(4, 6, 4, padding="same", dilation=3), nn.BatchNorm1d(4), nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(3, 1, 1)],
    ids=repr,
)
def test_a_layer_over_one_axis_is_captured(layer: nn.Module) -> None:
    captured(layer, (4, 9))


@pytest.mark.parametrize("name", REFUSED)
def test_an_unsupported_model_is_refused_by_name_and_line(name: str) -> None:
    factory, shape, place = REFUSED[name]
    lines, first = inspect.getsourcelines(factory)
    line = first + next(i for i, text in enumerate(lines) if "# refused here" in text)
    with pytest.raises(CaptureError) as caught:
        capture(FloatModel(factory()), torch.randn(2, *shape))
    (problem,) = caught.value.problems
    assert place in problem.where
    assert f"networks.py:{line}" in problem.where
    assert problem.why
    assert problem.hint


def test_all_unsupported_operations_are_listed_at_once() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Softmax(1), nn.Linear(8, 4), nn.PReLU())
    with pytest.raises(CaptureError) as caught:
        capture(FloatModel(model), torch.randn(2, 8))
    assert [problem.where for problem in caught.value.problems] == ["1: LayerNorm", "3: softmax", "5: PReLU"]


REFUSED_FUNCTIONS = {
    "product of activations": (lambda x: x * x, "activations by activations"),
    "division by activations": (lambda x: 1 / x, "divides by activations"),
    "square": (lambda x: x**2, "no staircase"),
    "dropout that is always on": (lambda x: F.dropout(x, 0.5), "random"),
    "noise": (lambda x: x + torch.randn(8), "random"),
    "noise of the batch": (lambda x: x + torch.randn_like(x), "random"),
    "batch mean": (lambda x: x - x.mean(0, keepdim=True), "samples"),
    "batch in the features": (lambda x: x.reshape(-1, 2), "samples"),
    "batch moved": (lambda x: x.transpose(0, 1), "batch"),
    "one sample": (lambda x: x[0:1] + x, "samples"),
    "instance norm": (lambda x: F.instance_norm(x), "statistics"),
    "uneven pool": (lambda x: F.adaptive_avg_pool2d(x, 3), "different sizes"),
    "border divisor": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), "border"),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), "interpolates"),
    "reflection": (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), "zeros"),
    "constant padding": (lambda x: F.pad(x, (1, 1), value=1.0), "zeros"),
    "clamp from below": (lambda x: x.clamp(min=-1), "clamps to"),
    "clamp by activations": (lambda x: x.clamp(max=x.mean((2, 3), keepdim=True)), "no numbers"),
    "leaky relu that falls": (lambda x: F.leaky_relu(x, -0.1), "does not rise everywhere"),
    "softsign": (lambda x: F.softsign(x), "no staircase"),
    "argmax": (lambda x: x.argmax(1).float(), "chooses"),
    "integers": (lambda x: x.long().float(), "rounds"),
    "a constant": (lambda x: torch.zeros(x.shape), "does not reach"),
}


@pytest.mark.parametrize("name", REFUSED_FUNCTIONS)
def test_a_function_is_refused_with_its_reason(name: str) -> None:
    function, why = REFUSED_FUNCTIONS[name]
    with pytest.raises(CaptureError) as caught:
        capture(FloatModel(Function(function)), torch.randn(2, 4, 8, 8))
    text = str(caught.value)
    assert why in text
    assert "hint: " in text


def test_names_come_from_the_module_path_and_repeats_are_numbered() -> None:
    model, x = build("shared relu")
    graph = capture(FloatModel(model), x)
    assert [n.name for n in graph.nodes if isinstance(n.op, Relu)] == ["act", "act_2", "act_3", "act_4", "act_5"]
    assert graph.input.name == "input"
    model, x = build("residual")
    names = {node.name for node in capture(FloatModel(model), x).nodes}
    assert {"conv1", "norm1", "head", "head.bias", "relu"} <= names


def test_nodes_say_where_they_stand_in_the_program() -> None:
    model, x = build("functional relu")
    lines, first = inspect.getsourcelines(type(model))
    line = first + next(i for i, text in enumerate(lines) if "F.relu" in text)
    assert {n.source for n in capture(FloatModel(model), x).nodes if isinstance(n.op, Relu)} == {f"networks.py:{line}"}


def test_weights_that_are_not_finite_are_named() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight[1, 2] = torch.nan
        model[2].bias[0] = torch.inf
    with pytest.raises(GraphError) as caught:
        capture(FloatModel(model), torch.randn(2, 4))
    assert [problem.where for problem in caught.value.problems] == ["0", "2.bias"]


def test_a_buffer_that_changes_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            return x + self.calls

    with pytest.raises(CaptureError, match="calls: is changed while the model runs"):
        capture(FloatModel(Counting()), torch.randn(2, 4))


def test_the_proof_fails_for_another_function() -> None:
    model, x = build("mlp")
    float_model = FloatModel(model)
    graph = capture(float_model, x)
    nodes = [
        Node(n.name, Affine(None, n.op.shift + 1e-3), n.inputs, n.shape) if n.name == "4.bias" else n
        for n in graph.nodes
    ]
    with pytest.raises(ProofError, match="differ by"):
        prove(Graph(tuple(nodes), graph.output), float_model, [x.numpy()])


def test_a_model_that_depends_on_its_batch_fails_the_proof() -> None:
    class Uneven(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(x) * len(x)

    model = FloatModel(Uneven())
    graph = capture(model, torch.randn(2, 4))
    with pytest.raises(ProofError):
        prove(graph, model, [np.ones((8, 4), np.float32)])


def test_capture_says_nothing_and_leaves_loggers_alone(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger("torch").disabled
    factory, shape, _ = REFUSED["data-dependent branch"]
    with pytest.raises(CaptureError):
        capture(FloatModel(factory()), torch.randn(2, *shape))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch").disabled == before


def test_an_exported_archive_is_a_model() -> None:
    model, x = build("residual")
    program = torch.export.export(model, (x[:3],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    float_model = FloatModel(program.module())
    graph = capture(float_model, x)
    assert np.allclose(evaluate(graph, x.numpy()), model(x).detach().numpy(), atol=1e-5)
