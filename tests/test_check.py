"""What `sp.check` says of models and networks, from data alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport.primitives import LIF, DynamicNetwork, DynamicPopulation, DynamicsContract
from tests.lower.targets import chip

torch = pytest.importorskip("torch")
nn = torch.nn


def small() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3)
    )


@pytest.fixture(scope="module")
def converted() -> sp.SpikingModel:
    x = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return sp.convert(small(), [x], progress=False)


def test_an_untrained_module_by_the_shape_of_its_input() -> None:
    verdict = sp.check(small(), "loihi2", example=(1, 8, 8))
    assert (verdict.outcome, verdict.code, verdict.fits) == ("faithful", "graded", True)
    assert verdict.bill["neurons"].used == 4 * 36 + 4 * 9 + 8 + 3
    assert "noise" in verdict.notes[0]
    assert sp.check(small(), "loihi2", example=(1, 8, 8)) == verdict


def test_a_converted_model_under_whatever_code_fits(converted: sp.SpikingModel) -> None:
    assert converted.network.contract.code == "signed"
    assert sp.check(converted, "fpga").code == "graded"
    assert sp.check(converted, "fpga", code="population").code == "population"
    assert sp.check(converted.network, "fpga").code == "signed"
    assert sp.check(converted, chip(features=["many units"])).code == "population"


def test_what_cannot_be_captured_is_a_reason() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Tanhshrink())
    verdict = sp.check(model, "loihi2", example=(4,))
    assert verdict.outcome == "impossible"
    assert verdict.reasons[0].where == "1: LayerNorm"
    assert "BatchNorm" in verdict.reasons[0].hint


def test_the_text_has_every_reason_and_the_bill(converted: sp.SpikingModel) -> None:
    verdict = sp.check(converted, "xylo")
    text = str(verdict)
    assert verdict.outcome == "impossible"
    assert text.startswith("xylo: network does not fit")
    for reason in verdict.reasons:
        assert reason.where in text
    assert "of 1,008" in text
    values = json.loads(verdict.as_json())
    assert [r["where"] for r in values["reasons"]] == [r.where for r in verdict.reasons]
    assert values["fits"] is False


def test_the_target_of_an_installed_backend_is_asked_for_by_name(converted: sp.SpikingModel) -> None:
    assert sp.check(converted, "reference").target == sp.check(converted, "reference:host").target == "host"
    with pytest.raises(sp.OptionError, match=r"'reference' has no target 'hst'\n.*did you mean 'host'"):
        sp.check(converted, "reference:hst")


def test_what_is_asked_wrongly_is_an_error() -> None:
    with pytest.raises(sp.OptionError, match="target: 'loihi3' is not known"):
        sp.check(small(), "loihi3", example=(1, 8, 8))
    with pytest.raises(sp.OptionError, match="example: is missing"):
        sp.check(small(), "loihi2")
    with pytest.raises(sp.OptionError, match="example: has shape"):
        sp.check(small(), "loihi2", example=np.zeros(3))
    with pytest.raises(sp.OptionError, match="code: 'grded' is not known"):
        sp.check(small(), "loihi2", example=(1, 8, 8), code="grded")  # type: ignore[arg-type]
    with pytest.raises(sp.OptionError, match="model: is a str"):
        sp.check("model", "loihi2", example=(1, 8, 8))  # type: ignore[arg-type]


def test_what_would_be_ignored_is_refused(converted: sp.SpikingModel) -> None:
    for name, value in (("levels", 7), ("weight_bits", 4), ("input_bits", 4), ("state_bits", 16), ("input", "events")):
        with pytest.raises(sp.OptionError, match=f"{name}: is of the conversion, and this is converted already"):
            sp.check(converted, "loihi1", **{name: value})  # type: ignore[arg-type]
    network = converted.with_code("graded").network
    with pytest.raises(sp.OptionError) as error:
        sp.check(network, "loihi2", code="signed", levels=7, example=(1, 8, 8))
    assert [p.where for p in error.value.problems] == ["levels", "example", "code"]
    assert sp.check(network, "loihi2", code="graded").code == "graded"
    cell = DynamicPopulation("cell", (1,), LIF(tau=0.02, threshold=1.0, bias=1.2))
    by_hand = DynamicNetwork("one", (), (cell,), (), DynamicsContract(dt=1e-3, integrator="exponential"))
    with pytest.raises(sp.OptionError) as error:
        sp.check(by_hand, "loihi2", code="signed", allow_host=True)
    assert [p.where for p in error.value.problems] == ["code", "allow_host"]


@pytest.mark.parametrize(
    ("example", "why"),
    [
        ([np.zeros((2, 1, 8, 8)), np.zeros((2, 1, 8, 8))], "example: is a list of batches"),
        ((True, 8, 8), "example: has shape"),
        ((1, 10**6, 10**6), "more than noise is drawn for"),
    ],
)
def test_examples_that_are_none(example: object, why: str) -> None:
    with pytest.raises(sp.OptionError, match=why):
        sp.check(small(), "loihi2", example=example)


def test_a_shape_may_be_of_numpy() -> None:
    assert sp.check(small(), "loihi2", example=tuple(np.array([1, 8, 8]))).fits


@pytest.mark.parametrize("target", [None, 5, b"loihi2"])
def test_a_target_that_is_no_name(target: object) -> None:
    with pytest.raises(sp.OptionError, match=r"target: is .*, neither a name nor a Target"):
        sp.check(small(), target, example=(1, 8, 8))  # type: ignore[arg-type]


@pytest.mark.parametrize("fact", ["cores", "neurons_max", "synapses_max", "inputs_max", "outputs_max", "shared_memory"])
def test_a_limit_of_nothing_is_a_reason_and_prints(converted: sp.SpikingModel, fact: str) -> None:
    verdict = sp.check(converted, chip(placement="slices", weight_bits=8, **{fact: 0}), suggest=False)
    assert verdict.outcome == "impossible"
    assert "none there" in str(verdict)


def test_no_cap_at_all_is_a_reason(converted: sp.SpikingModel) -> None:
    assert not sp.check(converted, chip(payload_caps=()), code="graded", suggest=False).fits


def test_cores_without_end_take_no_memory(converted: sp.SpikingModel) -> None:
    assert sp.check(converted, chip(placement="layers", cores=2**50), suggest=False).fits
    assert not sp.check(converted, chip(placement="layers", cores=0), suggest=False).fits


def test_synapses_of_unknown_width_are_as_wide_as_their_weights(converted: sp.SpikingModel) -> None:
    needed = sp.check(converted, chip(placement="slices", shared_memory=1), suggest=False).bill["shared memory"].used
    assert (
        0
        < needed
        <= sp.check(converted, chip(shared_memory=1, weight_bits=8), suggest=False).bill["shared memory"].used
    )
    assert sp.check(converted, chip(shared_memory=needed), suggest=False).fits
    assert not sp.check(converted, chip(shared_memory=needed - 1), suggest=False).fits


def test_every_suggestion_fits_when_it_is_applied(converted: sp.SpikingModel) -> None:
    x = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for facts in (
        {"weight_bits": 4},
        {"payload_max": 7},
        {"state_bits": 13},
        {"synapses": ["convolution", "dense", "sum pooling", "routing"]},
        {"neurons_max": 150},
    ):
        target = chip(features=["payload"], **facts)
        verdict = sp.check(converted, target)
        assert verdict.outcome == "impossible", facts
        for suggestion in verdict.suggestions:
            if "allow_host" in suggestion.changes:
                assert sp.check(converted, target, allow_host=True).cut is not None
                continue
            changes = dict(suggestion.changes)
            pool = nn.AvgPool2d(2) if changes.pop("pooling", "") else nn.MaxPool2d(2)
            wide = changes.pop("width", 1.0)
            a, b = round(4 * wide), round(8 * wide)
            torch.manual_seed(0)
            layers = nn.Conv2d(1, a, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(9 * a, b), nn.ReLU(), nn.Linear(b, 3)
            again = sp.convert(nn.Sequential(*layers), [x], progress=False, **changes)
            assert sp.check(again, target).fits, (facts, suggestion)
        assert verdict.suggestions, facts


def test_a_part_on_the_host_is_drawn(converted: sp.SpikingModel) -> None:
    target = chip(features=["payload"], neurons_max=150)
    verdict = sp.check(converted, target, allow_host=True)
    assert (verdict.outcome, verdict.cut is not None) == ("faithful", True)
    assert "------" in str(verdict)
    assert verdict.bill["neurons"].used <= 150
    assert sp.check(converted, target, suggest=False).suggestions[0].changes == {"allow_host": True}


def test_what_nothing_helps_is_said() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.a(x))
            return self.c(torch.relu(x + self.b(torch.relu(self.b(x)))))

    verdict = sp.check(Skip(), chip(features=["payload"], skips=False, recurrent=False), example=(4,))
    assert [s.changes for s in verdict.suggestions if "allow_host" not in s.changes] == []
    assert any(reason.fact == "skips" for reason in verdict.reasons)


@pytest.mark.parametrize("signed", [True, False])
def test_a_chip_that_pools_by_maxima_alone(signed: bool) -> None:
    def model(pool: Any) -> Any:
        torch.manual_seed(0)
        first = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), pool, nn.Flatten()
        return nn.Sequential(*first, nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))

    target = chip(
        features=["payload"],
        synapses=["convolution", "dense", "max pooling", "routing"],
        weight_bits=4,
        input_signed=signed,
        execution="frames",
    )
    x = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    averaging = sp.convert(model(nn.AvgPool2d(2)), [x], progress=False)
    [suggestion] = sp.check(averaging, target).suggestions
    # where negative values are not taken the host weighs the input, and may pool; no part fits before weights are narrow
    host = {"weight_bits": 4, "allow_host": True}
    assert suggestion.changes == ({"weight_bits": 4, "pooling": "max"} if signed else host)
    changed = model(nn.MaxPool2d(2) if signed else nn.AvgPool2d(2))
    verdict = sp.check(sp.convert(changed, [x], weight_bits=4, progress=False), target, allow_host=not signed)
    assert verdict.fits
    assert (verdict.cut is None) is signed
