"""Compiling: the code and the widths of a target, a new gap where it is narrower, and every refusal with its way out."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import codes, native
from spikeport.backends import reference
from spikeport.errors import DataError, LowerError, OptionError
from spikeport.graph import Affine, Node, Relu, build
from spikeport.graph import Input as GraphInput
from spikeport.lower import Cut, Suggestion
from spikeport.model import SpikingModel
from spikeport.plugin import Backend
from spikeport.primitives import Dense, SpikingNetwork
from spikeport.quantize import IntegerNetwork, QuantizeOptions, encode_input, quantize
from spikeport.report import Report
from tests.chips import TinyOptions, tiny  # noqa: F401  (a fixture)
from tests.plugin.test_sessions import chip_network
from tests.recordings import assert_equal_recordings


def graph() -> Any:
    """Three layers of neurons, and a read-out of three classes."""
    rng = np.random.default_rng(5)
    nodes, before = [Node("in", GraphInput((6,)), (), (6,))], "in"
    for i, (n, m) in enumerate([(6, 16), (16, 30), (30, 12), (12, 3)]):
        weight = rng.standard_normal((m, n)).astype(np.float32) / np.sqrt(n)
        nodes.append(Node(f"fc{i}", Dense(weight), (before,), (m,)))
        nodes.append(Node(f"bias{i}", Affine(None, rng.standard_normal(m).astype(np.float32) / 4), (f"fc{i}",), (m,)))
        before = f"bias{i}"
        if i < 3:
            nodes.append(Node(f"relu{i}", Relu(None), (before,), (m,)))
            before = f"relu{i}"
    return build(nodes, before)


X = np.random.default_rng(6).standard_normal((80, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> SpikingModel:
    integer = quantize(graph(), X, QuantizeOptions(levels=7), progress=False)
    return SpikingModel(
        graph(), integer, codes.encode(integer, "signed"), Report.empty(), encode_input(integer.input, X[:4])
    )


def check_runs(program: sp.Program, x: np.ndarray = X[:5]) -> None:
    network = program.network if program.whole is None else program.whole
    assert isinstance(network, SpikingNetwork)
    with sp.open(program) as session:
        assert_equal_recordings(session.run(x), reference.simulate(network, x, record=None))  # type: ignore[arg-type]


def test_a_model_goes_to_a_target_under_the_first_code_that_it_offers(model: SpikingModel, tiny: Backend) -> None:  # noqa: F811
    program = sp.compile(model, "reference")
    assert program.network.contract.code == "graded"  # type: ignore[union-attr]
    assert (program.backend, program.target, program.distribution) == ("reference", "host", "spikeport")
    assert program.report is None
    check_runs(program)
    assert sp.compile(model, "reference", code="signed").network is model.network
    check_runs(sp.compile(model, "tiny:wide", code="phased", steps=3))
    for name in ("loihi2", "loihi2:loihi2"):
        check_runs(sp.compile(model, name))
    offered = sp.compile(replace_weights(model), "tiny")
    assert offered.network.contract.code == "signed"  # type: ignore[union-attr]
    assert "not graded: network the graded code needs payload" in offered.ledger[-1].what.replace(
        model.network.name, "network"
    )


def replace_weights(model: SpikingModel) -> SpikingModel:
    """The model with weights of four bits, as if it had been converted so."""
    return sp.requantized(model, X, weight_bits=4, progress=False)


def test_narrower_weights_are_new_integers_with_a_gap_measured_anew(model: SpikingModel, tiny: Backend) -> None:  # noqa: F811
    with pytest.raises(LowerError) as error:
        sp.compile(model, "tiny")
    assert any("its weights take 8 bits, and there are 4" in p.why for p in error.value.problems)
    assert "give `data`, and it is quantized again with weight_bits=4" in "".join(error.value.__notes__)
    labels = np.asarray(model(X)).argmax(1)
    program = sp.compile(model, "tiny", data=[(X, labels)], test=[(X[:40], labels[:40])], progress=False)
    assert program.report is not None
    report = json.loads(program.report)
    assert report["samples"] == 40 or "40" in program.report
    widest = max(
        int(np.abs(c.weighted.weight).max()).bit_length() + 1
        for c in program.network.connections  # type: ignore[union-attr]
        if c.weighted is not None
    )
    assert widest <= 4
    assert model.integer.weight_bits == 8
    on_chip = sp.compile(model, "tiny", data=[(X, labels)], allow_host=True, progress=False)
    assert on_chip.report is not None
    assert on_chip.cut is None  # new integers come before a part on the host
    check_runs(program)


def test_asked_for_widths_are_quantized_again_and_need_data(model: SpikingModel) -> None:
    with pytest.raises(OptionError, match=r"data: is missing: other levels, weight_bits mean quantizing again"):
        sp.compile(model, "reference", levels=3, weight_bits=6)
    program = sp.compile(model, "reference", levels=3, weight_bits=6, data=X, progress=False)
    assert program.report is not None
    highest = [p.neuron.high for p in program.network.populations if hasattr(p.neuron, "high")]
    assert highest == [3, 3, 3]
    some = sp.requantized(model, X, levels={"relu0": 2}, progress=False)
    assert [layer.high for layer in some.integer.layers if hasattr(layer, "high")] == [2, 7, 7]
    assert some.report.samples == 10
    assert not some.report.mismatches
    assert some.report.comparisons > 0
    with pytest.raises(DataError, match="holds samples of"):
        sp.requantized(model, X[:, :5])
    same = sp.requantized(model, X, test=[X], progress=False)
    for one, other in zip(same.network.connections, model.network.connections, strict=True):
        assert np.array_equal(one.synapses[0].weight, other.synapses[0].weight)  # type: ignore[union-attr]


def test_unknown_options_are_refused_with_the_nearest_name(model: SpikingModel, tiny: Backend) -> None:  # noqa: F811
    program = sp.compile(model, "tiny:wide", cores=4, options=TinyOptions(placement=(1, 2)))
    assert dict(program.document) == {"cores": 4, "placement": (1, 2)}
    for more, why in (
        ({"placment": ()}, r"placment: is no option of backend 'tiny'.*\n.*did you mean 'placement'"),
        ({"options": 5}, "options: are a int, and backend 'tiny' takes TinyOptions"),
        ({"code": "gradde"}, r"code: 'gradde' is not known\n.*did you mean 'graded'"),
    ):
        with pytest.raises(OptionError, match=why):
            sp.compile(model, "tiny:wide", **more)
    with pytest.raises(OptionError, match=r"data_set: is no option of backend 'reference'.*\n.*did you mean 'data'"):
        sp.compile(model, "reference", data_set=X)
    with pytest.raises(OptionError, match=r"'tinny' is not known\n.*did you mean 'tiny'"):
        sp.compile(model, "tinny")
    with pytest.raises(OptionError, match="no installed backend compiles for 'xylo'"):
        sp.compile(model, "xylo")


def test_what_needs_integers_is_refused_for_a_network(model: SpikingModel) -> None:
    network = model.network
    assert sp.compile(network, "reference").network is network
    assert sp.compile(network, "reference", code="signed").network is network
    with pytest.raises(OptionError) as error:
        sp.compile(network, "reference", levels=3, data=X, code="graded")
    assert [p.where for p in error.value.problems] == ["levels", "data", "code"]
    for more in ({"allow_host": True}, {"transform": lambda n: n}):
        with pytest.raises(OptionError, match="is for converted networks"):
            sp.compile(chip_network(), "reference", **more)
    assert sp.compile(chip_network(), "reference").network.name == "chip"


def test_a_code_and_a_pass_of_ones_own(model: SpikingModel) -> None:
    def code(integer: IntegerNetwork) -> SpikingNetwork:
        return codes.encode(integer, "signed", steps=2)

    def shorter(network: SpikingNetwork) -> SpikingNetwork:
        return replace(network, name="mine", contract=replace(network.contract, dt=1e-4))

    program = sp.compile(model, "reference", code=code, transform=shorter)
    assert isinstance(program.network, SpikingNetwork)
    assert (program.network.name, program.network.contract.presentation, program.network.contract.dt) == (
        "mine",
        2,
        1e-4,
    )
    check_runs(program)


def test_the_host_keeps_what_the_chip_has_no_room_for(model: SpikingModel, tiny: Backend, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(LowerError, match="has 30 neurons, and there is room for 20"):
        sp.compile(model, "tiny:few", code="signed")
    program = sp.compile(model, "tiny:few", code="signed", allow_host=True)
    names = list(model.network.by_name)
    assert program.cut == Cut((), (names[0],), tuple(names[1:]))  # the 16 neurons are more than the 15 behind the 30
    assert "the host keeps" in program.ledger[-1].what
    assert len(program.network.populations) < len(names)
    check_runs(program)
    check_runs(sp.load_program(program.save(tmp_path / "p.spp")))
    whole = sp.compile(model.network, "tiny:few", allow_host=True)
    assert whole.cut == program.cut
    with pytest.raises(LowerError, match="has 30 neurons"):
        sp.compile(model.network, "tiny:few")
    assert sp.compile(model, "tiny:wide", allow_host=True).cut is None
    middle = Cut((names[0], names[1]), (names[2],), (names[3],))
    check_runs(sp.compile(model, "tiny:few", code="graded", allow_host=middle))
    on_loihi = sp.compile(model, "loihi2", allow_host=middle, code="signed")
    check_runs(on_loihi)
    with pytest.raises(OptionError, match="does not hold all populations once"):
        sp.compile(model, "tiny:few", code="signed", allow_host=Cut((names[1],), (names[2],), (names[3],)))


def test_kernels_that_count_presentations_take_no_spikes_from_the_host(model: SpikingModel) -> None:
    first, *rest = (p.name for p in model.network.populations)
    cut = Cut((first,), tuple(rest), ())
    for code in ("graded", "signed", "phased"):  # without the refusal, those of graded arrived nowhere
        with pytest.raises(LowerError, match=f"{first}: its spikes cannot enter backend 'native'"):
            sp.compile(model, "native", code=code, allow_host=cut)  # type: ignore[arg-type]
    made = sp.compile(model, "reference", code="graded", allow_host=cut)
    with pytest.raises(sp.BackendError, match="its spikes cannot enter backend 'native'"):
        sp.open(replace(made, backend="native"))
    if native.available():
        check_runs(sp.compile(model, "native", code="graded", allow_host=Cut((), (first,), tuple(rest))))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda program: None, "tiny: compiles to None, which is no Program"),
        (lambda program: replace(program, backend="other"), "to a program of backend 'other', and is 'tiny'"),
        (lambda program: replace(program, backend_version="2"), "to a program of version '2', and is '3'"),
        (lambda program: replace(program, target="few"), "to a program of target 'few', and is 'wide'"),
        (lambda program: replace(program, plugin_version=9), "to a program of plug-in contract 9, and is 1"),
        (
            lambda program: replace(program, network=chip_network()),
            "tiny: compiles .* to a program of another network",
        ),
    ],
)
def test_what_a_backend_compiles_is_looked_at_before_it_is_believed(
    change: Any,
    why: str,
    model: SpikingModel,
    tiny: Backend,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = tiny.compile
    monkeypatch.setattr(tiny, "compile", lambda *args: change(compiled(*args)))
    with pytest.raises(sp.BackendError, match=why):
        sp.compile(model, "tiny:wide")


def test_what_is_opened_is_a_program_and_gives_a_session(
    model: SpikingModel,
    tiny: Backend,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = sp.compile(model, "tiny:wide")
    monkeypatch.setattr(tiny, "open", lambda *args, **more: None)
    with pytest.raises(sp.BackendError, match="tiny: opens None, which is no BackendSession"):
        sp.open(program)
    with pytest.raises(OptionError, match="program: is a NoneType"):
        sp.open(None)  # type: ignore[arg-type]


def test_steps_that_were_asked_for_are_not_dropped(model: SpikingModel) -> None:
    spread = sp.compile(model, "reference", steps=9)
    assert isinstance(spread.network, SpikingNetwork)
    assert (spread.network.contract.code, spread.network.contract.presentation) == ("radix", 9)  # graded takes one
    check_runs(spread)
    for steps in (0, -4, 1.5):
        with pytest.raises(LowerError, match="steps: is"):
            sp.compile(model, "reference", steps=steps)  # type: ignore[arg-type]
    for code in ("graded", "population"):
        with pytest.raises(LowerError, match=f"steps: is 9, and the {code} code takes"):
            sp.compile(model, "reference", steps=9, code=code)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subject", "options", "why"),
    [
        (None, {}, "network: is a NoneType"),
        (graph(), {}, "network: is a Graph"),
        ("model", {"allow_host": "yes"}, "allow_host: is 'yes'"),
        ("model", {"allow_host": 1}, "allow_host: is 1"),
        ("model", {"transform": lambda network: None}, "transform: returns a NoneType"),
        ("model", {"code": lambda integer: integer}, "code: returns a IntegerNetwork"),
        ("model", {"target": Path("chip.toml")}, "target: is a .*Path, not a name"),
    ],
)
def test_what_is_given_is_looked_at(subject: Any, options: dict[str, Any], why: str, model: SpikingModel) -> None:
    given = {"target": "reference", **options}
    with pytest.raises(OptionError, match=why):
        sp.compile(model if subject == "model" else subject, **given)


def test_an_error_inside_a_backend_says_whose_it_is(
    model: SpikingModel,
    tiny: Backend,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = sp.compile(model, "tiny:wide")
    monkeypatch.setattr(tiny, "open", lambda *args, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError) as error:
        sp.open(program)
    assert "failed at opening a program" in error.value.__notes__[0]
    monkeypatch.setattr(tiny, "compile", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError) as error:
        sp.compile(model, "tiny:wide")
    assert error.value.__notes__[0].startswith("backend 'tiny'")
    assert "failed at compiling" in error.value.__notes__[0]


def test_all_codes_that_fail_are_told(model: SpikingModel, tiny: Backend) -> None:  # noqa: F811
    with pytest.raises(LowerError) as error:
        sp.compile(model, "tiny")
    notes = "\n".join(error.value.__notes__)
    assert "the nearest code is" in notes
    for code in codes.NEEDS:
        assert code in notes


def test_a_refusal_holds_what_the_facts_of_the_target_say_besides(model: SpikingModel, tiny: Backend) -> None:  # noqa: F811
    with pytest.raises(LowerError) as error:
        sp.compile(model, "tiny:few", code="signed")
    verdict = sp.check(model, tiny.targets[1], code="signed")
    assert verdict.reasons
    problems = {(p.where, p.why) for p in error.value.problems}
    assert problems >= {(r.where, r.why) for r in verdict.reasons}
    assert len(problems) == len(error.value.problems) > len(verdict.reasons)
    notes = "\n".join(error.value.__notes__)
    assert "what it takes:" in notes
    assert "neurons" in notes
    for network, more in (
        (model.network, {}),
        (model.network, {"allow_host": Cut(("relu0",), ("relu1",), ("relu2", "output"))}),
    ):
        with pytest.raises(LowerError, match="has 30 neurons, and there is room for 20") as error:
            sp.compile(network, "tiny:few", **more)
        assert "what it takes:" in "\n".join(error.value.__notes__)


def test_what_check_found_to_fit_is_what_is_quantized_for(
    model: SpikingModel,
    tiny: Backend,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sys.modules["spikeport.compile"]
    suggestion = Suggestion({"weight_bits": 3, "code": "phased"}, "weights of 3 bits under the phased code")
    model_change = Suggestion({"pooling": "average"}, "average pooling")
    monkeypatch.setattr(
        module, "check", lambda *a, **k: replace(sp.check(*a, **k), suggestions=(model_change, suggestion))
    )
    with pytest.raises(LowerError) as error:
        sp.compile(model, "tiny")
    notes = "\n".join(error.value.__notes__)
    assert "with weight_bits=3, code=phased" in notes
    assert "average pooling" in notes
    program = sp.compile(model, "tiny", data=X, progress=False)
    assert isinstance(program.network, SpikingNetwork)
    assert program.network.contract.code == "phased"
    assert max(int(np.abs(c.weighted.weight).max()) for c in program.network.connections if c.weighted is not None) <= 3
