"""What is counted in a graph alone is never more than what the converted network takes, whatever it is made of."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport.graph import Add, Affine, Concat, Graph, Input, Node, Relu, build
from spikeport.lower.counted import least_bill
from spikeport.lower.examine import carry
from spikeport.primitives import Conv, Dense, MaxPool, Reshape, SumPool
from spikeport.quantize import QuantizeOptions, quantize
from spikeport.targets import find_target
from tests.lower.targets import chip

PLAIN = chip(weight_bits=8)


def pool(kind: Any, *, padding: int = 0, stride: int = 2) -> Any:
    rest = {} if kind is SumPool else {"dilation": (1, 1)}
    return kind((2, 2), (stride, stride), ((padding, padding),) * 2, **rest)


def graph(*ops: Any, size: int = 6, joined: Any = None) -> Graph:
    """Operations one after the other on a map; `joined` reads the last and the first value behind the input."""
    nodes = [Node("in", Input((2, size, size)), (), (2, size, size))]
    for i, op in enumerate(ops):
        nodes.append(Node(f"n{i}", op, (nodes[-1].name,), ()))
        if joined is not None and isinstance(op, type(joined)):
            nodes[-1] = Node(f"n{i}", op, (nodes[-2].name, "n1"), ())
    return build(nodes, nodes[-1].name)


def conv(out: int, into: int, edge: int = 3, padding: int = 0) -> Conv:
    weight = np.random.default_rng(out).normal(size=(out, into, edge, edge))
    return Conv(weight, (1, 1), ((padding, padding),) * 2, (1, 1))


def dense(out: int, into: int) -> tuple[Reshape, Dense]:
    return Reshape((into,)), Dense(np.random.default_rng(out).normal(size=(out, into)))


GRAPHS = {
    "plain": graph(conv(3, 2), Relu(), *dense(5, 48), Relu(), *dense(4, 5)),
    "maximum": graph(conv(3, 2), Relu(), pool(MaxPool), *dense(4, 12)),
    "maximum first": graph(conv(3, 2), pool(MaxPool), Relu(), *dense(4, 12)),
    "maximum of the input": graph(pool(MaxPool), *dense(4, 18), Relu(), *dense(3, 4)),
    "sums": graph(conv(3, 2), Relu(), pool(SumPool), Affine(np.asarray(0.25)), *dense(4, 12)),
    "padded sums": graph(conv(1, 2, 1), Relu(), pool(SumPool, padding=1, stride=1), *dense(4, 49)),
    "linear": graph(*dense(6, 72), *dense(4, 6)),
    "shortcut": graph(conv(3, 2), Relu(), conv(3, 3, padding=1), Add(), Relu(), *dense(4, 48), joined=Add()),
    "joined": graph(conv(3, 2), Relu(), conv(3, 3, padding=1), Relu(), Concat(0), conv(2, 6), joined=Concat(0)),
    "relu at the end": graph(conv(3, 2), Relu(), *dense(4, 48), Relu()),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("kind", ["static", "events"])
def test_no_more_is_counted_than_the_network_takes(name: str, kind: Any) -> None:
    x = np.random.default_rng(0).poisson(1.0, (12, 2, 6, 6)).astype(np.float32)
    integer = quantize(GRAPHS[name], x, QuantizeOptions(levels=3, input=kind))
    least = least_bill(GRAPHS[name], PLAIN, name, events=kind == "events").bill
    for code in ("graded", "population"):
        full = carry(integer, PLAIN, only=[code]).found.bill
        for resource in ("neurons", "synapses"):
            assert least["neurons"].used > 0
            assert least[resource].used <= full[resource].used, (code, resource)


def test_counts_of_plain_layers_are_exact() -> None:
    found = least_bill(GRAPHS["plain"], chip(weight_bits=8, shared_memory=1000), "net", events=True)
    convolved = 3 * 16 * 2 * 9
    assert [(use.resource, use.used) for use in found.bill.uses] == [
        ("neurons", 48 + 5 + 4),
        ("synapses", convolved + 48 * 5 + 5 * 4),
        ("shared memory", convolved + 48 * 5 + 5 * 4),
    ]
    assert not any(use.exact for use in found.bill.uses)
    static = least_bill(GRAPHS["plain"], PLAIN, "net").bill
    assert static["synapses"].used == 48 * 5 + 5 * 4  # the host weighs its own input


def test_every_limit_at_its_edge_and_one_beyond() -> None:
    def facts(**limits: Any) -> list[str]:
        hints = limits.pop("hint_at", ())
        target = chip(weight_bits=8, **limits, hint_at=hints)
        return [reason.fact for reason in least_bill(GRAPHS["plain"], target, "net").reasons]

    for fact, edge in (("neurons_max", 57), ("synapses_max", 260), ("shared_memory", 260)):
        assert facts(**{fact: edge}) == []
        assert facts(**{fact: edge - 1}) == [fact]
        assert facts(**{fact: edge - 1}, hint_at=(fact,)) == []
    cores = {"placement": "slices", "cores": 3}
    assert facts(**cores, synapse_bits_per_core=694) == facts(**cores, neurons_per_core=19) == []
    assert facts(**cores, synapse_bits_per_core=693) == facts(**cores, neurons_per_core=18) == ["cores"]
    assert facts(**cores, neurons_per_core=18, hint_at=("neurons_per_core",)) == []
    assert facts(placement="layers", cores=1, neurons_per_core=1) == []


def test_a_large_module_is_refused_before_anything_is_quantized(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    checking = import_module("spikeport.check")  # which the function of that name hides
    model = torch.nn.Sequential(torch.nn.Linear(9, 50), torch.nn.ReLU(), torch.nn.Linear(50, 20))
    weights = 9 * 50 + 50 + 50 * 20 + 20
    quantized, counted = [], []
    plain, counting = checking.quantized, checking.least_bill
    monkeypatch.setattr(checking, "quantized", lambda *a: quantized.append(1) or plain(*a))
    monkeypatch.setattr(checking, "least_bill", lambda *a, **k: counted.append(1) or counting(*a, **k))
    monkeypatch.setattr(checking, "MOST_WEIGHTS", weights - 1)
    verdict = sp.check(model, chip(synapses_max=999), example=(9,), suggest=False)
    assert (verdict.outcome, [r.fact for r in verdict.reasons], quantized) == ("impossible", ["synapses_max"], [])
    assert str(verdict.bill["synapses"].used) == "1000"
    assert f"its {weights:,} weights were not quantized" in str(verdict)
    assert sp.check(model, chip(synapses_max=1000), example=(9,), suggest=False).fits  # counted, and not refused
    assert len(counted) == 2
    sp.check(model, chip(synapses_max=999), example=(9,), suggest=False, allow_host=True)
    monkeypatch.setattr(checking, "MOST_WEIGHTS", weights)
    sp.check(model, chip(synapses_max=999), example=(9,), suggest=False)
    assert (len(counted), len(quantized)) == (2, 3)


def test_a_model_that_is_looked_at_is_not_copied() -> None:
    torch = pytest.importorskip("torch")
    from spikeport.capture import FloatModel

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3).double(), torch.nn.BatchNorm1d(3))
    for shared in (True, False):
        copied = FloatModel(model, shared=shared).module
        assert (copied[0].weight.data_ptr() == model[0].weight.data_ptr()) is shared
        assert copied[1].weight.dtype is torch.float32
        assert copied[2].running_mean.data_ptr() != model[2].running_mean.data_ptr()
    assert model[0].weight.requires_grad
    assert model[1].weight.dtype is torch.float64


def test_a_network_of_100_million_synapses_is_beyond_loihi1() -> None:
    weights = Conv(np.ones((64, 64, 3, 3), np.float32), (1, 1), ((0, 0), (0, 0)), (1, 1))
    model = build([Node("in", Input((64, 56, 56)), (), ()), Node("out", weights, ("in",), ())], "out")
    found = least_bill(model, find_target("loihi1"), "net", events=True)
    assert found.bill["synapses"].used == 54 * 54 * 64 * 64 * 9
    assert found.bill["cores"].used == -(-54 * 54 * 64 * 64 * 9 * 8 // 2**20)
    assert {reason.fact for reason in found.reasons} == {"cores", "neurons_max"}
