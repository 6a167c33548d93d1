"""`validate`: what is measured, what is missed, and where two networks part."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

import spikeport as sp  # noqa: E402
from spikeport import codes  # noqa: E402
from spikeport.graph import Graph, Input, Node, Relu, build  # noqa: E402
from spikeport.primitives import Connection, Dense, InputEncoder, SignedIF  # noqa: E402
from spikeport.quantize import CountLayer, IntegerNetwork, Readout  # noqa: E402
from spikeport.report import Report  # noqa: E402
from spikeport.validate import Outputs, Proof, make_report  # noqa: E402
from spikeport.validate.agreement import Stepped  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models as small as these are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(factory: Callable[[], Any], seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def classifier(seed: int = 0) -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), seed).eval()


def regressor() -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))).eval()


X = seeded(lambda: torch.randn(60, 6))


@cache
def snn() -> sp.SpikingModel:
    return sp.convert(classifier(), [X], progress=False)


@cache
def regression_snn() -> sp.SpikingModel:
    return sp.convert(regressor(), [X], progress=False)


@cache
def labels() -> Tensor:
    """What the model itself says, with every sixth label wrong."""
    with torch.no_grad():
        y = classifier()(X).argmax(1)
    y[::6] = (y[::6] + 1) % 3
    return y


def validate(data: Any, spiking: sp.SpikingModel | None = None, **options: Any) -> Report:
    return sp.validate(spiking or snn(), data, progress=False, **options)


# What is measured


def test_with_labels_accuracies_and_their_paired_gap_are_reported() -> None:
    report = validate([(X[:25], labels()[:25]), (X[25:], labels()[25:])], tolerance=100)
    with torch.no_grad():
        first, second = (classifier()(X).argmax(1) == labels()).numpy(), (snn()(X).argmax(1) == labels()).numpy()
    assert report.samples == 60
    assert report.ann_accuracy == pytest.approx(100 * first.mean()) == pytest.approx(100 * 50 / 60)
    assert report.snn_accuracy == pytest.approx(100 * second.mean())
    assert report.gap == pytest.approx(100 * (first.mean() - second.mean()))
    assert report.gap_interval is not None
    assert report.gap_interval[0] < report.gap < report.gap_interval[1]
    assert report.regression is None
    assert report.ok


def test_without_labels_agreement_is_reported() -> None:
    report = validate([X], tolerance=100)
    with torch.no_grad():
        wrong = int((classifier()(X).argmax(1) != snn()(X).argmax(1)).sum())
    assert report.disagreements == wrong
    assert report.agreement == pytest.approx(100 * (1 - wrong / 60))
    assert (report.ann_accuracy, report.snn_accuracy, report.gap, report.gap_interval) == (None,) * 4


@pytest.mark.parametrize("targets", [torch.zeros(60, 1), torch.randn(60), None])
def test_outputs_that_are_no_classes_are_compared_by_distance(targets: Tensor | None) -> None:
    report = validate([X if targets is None else (X, targets)], regression_snn())
    assert (report.agreement, report.gap, report.curve) == (None, None, ())
    assert report.regression is not None
    with torch.no_grad():
        difference = (regressor()(X) - regression_snn()(X)).double()
    assert report.regression.largest == pytest.approx(float(difference.abs().max()), rel=1e-4)
    assert report.regression.mean_absolute == pytest.approx(float(difference.abs().mean()), rel=1e-4)
    assert report.ok


@pytest.mark.parametrize("y", [torch.full((60,), 3), torch.full((60,), -1), torch.full((60,), 0.5)])
def test_labels_that_are_no_classes_of_the_model_are_refused(y: Tensor) -> None:
    with pytest.raises(sp.DataError, match="whole numbers from 0 to 2"):
        validate([(X, y)])


def test_targets_for_each_output_mean_regression_and_are_said_to_be_unused() -> None:
    report = validate([(X, torch.zeros(60, 3))])
    assert report.regression is not None
    assert "not used" in report.arrows[1].claim


def test_the_curve_ends_at_a_hundred_percent() -> None:
    report = validate([X], tolerance=100, stepped=30)
    assert len(report.curve) > 10
    assert report.curve[-1] == 100
    assert all(0 <= value <= 100 for value in report.curve)
    assert report.curve[0] < 100
    assert max(report.quiet_after) <= report.drain_bound
    assert len(report.quiet_after) == report.stepped_samples == 30


def test_every_count_of_the_stepped_samples_is_compared() -> None:
    report = validate([X[:7], X[7:]], stepped=20)
    assert report.stepped_samples == 20
    assert [layer.comparisons for layer in report.layers] == [20 * 8, 20 * 3]
    assert report.comparisons == 20 * 11
    assert report.mismatches == 0
    assert report.divergence is None


def test_zero_samples_may_be_stepped_and_the_report_says_so() -> None:
    report = validate([X], stepped=0, tolerance=100)
    assert (report.stepped_samples, report.comparisons, report.curve, report.quiet_after) == (0, 0, (), ())
    assert report.raster is None
    assert all(layer.spikes_per_neuron is None for layer in report.layers)
    assert any("no sample was stepped" in arrow.claim for arrow in report.arrows)
    assert report.samples == 60


@pytest.mark.parametrize(("asked", "stepped"), [(1, 1), (60, 60), (61, 60), (None, 60)])
def test_as_many_samples_are_stepped_as_asked_for_and_there_are(asked: int | None, stepped: int) -> None:
    assert validate([X[:50], X[50:]], stepped=asked).stepped_samples == stepped


# The model


def test_without_a_model_the_captured_graph_serves_and_its_proof_is_kept() -> None:
    report = validate([X], tolerance=100)
    assert (report.capture_difference, report.capture_samples) == (
        snn().report.capture_difference,
        snn().report.capture_samples,
    )


def test_the_model_given_is_compared_with_the_graph_on_this_data() -> None:
    report = validate([X], model=classifier(), tolerance=100)
    assert report.capture_samples == 60
    assert report.capture_difference < 1e-6
    assert report.ok, report.misses
    assert validate([X] * 3, model=classifier(), tolerance=100, stepped=2).capture_samples == 64


def test_a_model_in_training_mode_is_compared_in_evaluation_mode() -> None:
    model = nn.Sequential(*classifier(), nn.Dropout(0.9)).train()
    assert validate([X], model=model, tolerance=100).capture_difference < 1e-6
    assert model.training


def test_another_model_is_a_miss_and_no_exception() -> None:
    report = validate([X], model=classifier(seed=5))
    assert not report.ok
    assert report.misses[0].startswith("graph and model differ by ")
    assert "is it the model that was converted, with the same weights?" in report.misses[0]
    assert report.arrows[0].verdict == "failed"
    assert report.arrows[2].verdict == "proved"
    assert report.mismatches == 0


def test_a_model_with_one_changed_weight_is_found() -> None:
    model = classifier()
    with torch.no_grad():
        model[0].weight[0, 0] += 0.01
    report = validate([X], model=model, tolerance=100)
    assert [miss[:22] for miss in report.misses] == ["graph and model differ"]


# Tolerance


def report_of(model: np.ndarray, spiking: np.ndarray, y: np.ndarray | None, tolerance: float | None) -> Report:
    return make_report(
        snn().integer, snn().network, Outputs(model, spiking, y), Stepped(), Proof(0.0, 1), tolerance=tolerance
    )


def choices(wrong: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of three classes; the second choose otherwise in `wrong` of the samples."""
    model = np.tile(np.array([[1.0, 0.0, 0.0]]), (n, 1))
    spiking = model.copy()
    spiking[:wrong] = [0.0, 1.0, 0.0]
    return model, spiking


@pytest.mark.parametrize(("wrong", "n", "tolerance", "ok"), [(5, 100, 5, True), (6, 100, 5, False), (0, 9, 0, True)])
def test_disagreement_up_to_the_tolerance_is_accepted(wrong: int, n: int, tolerance: float, ok: bool) -> None:
    report = report_of(*choices(wrong, n), None, tolerance)
    assert report.ok == ok
    assert report.tolerance == tolerance
    assert len(report.misses) == (not ok)
    if not ok:
        assert "94.00 % of the predictions agree, fewer than 95 %" in report.misses[0]


def test_disagreement_of_exactly_the_tolerance_is_accepted_whatever_the_numbers() -> None:
    bad = [
        (wrong, n)
        for n in (5, 10, 20, 25, 50, 100, 200)
        for wrong in range(n + 1)
        if 100 * wrong % n == 0 and not report_of(*choices(wrong, n), None, 100 * wrong // n).ok
    ]
    assert bad == []


def test_by_default_one_point_is_tolerated() -> None:
    assert report_of(*choices(1, 100), None, None).ok
    assert not report_of(*choices(2, 100), None, None).ok
    assert report_of(*choices(1, 100), None, None).tolerance == 1


def test_with_labels_the_upper_end_of_the_interval_counts() -> None:
    y = np.zeros(100, np.int64)
    high = report_of(*choices(3, 100), y, 100).gap_interval[1]  # type: ignore[index]
    assert high > 3
    assert report_of(*choices(3, 100), y, high).ok
    below = report_of(*choices(3, 100), y, high - 1e-9)
    assert not below.ok
    assert below.misses[0].startswith("the gap may reach ")
    better = report_of(*choices(30, 100)[::-1], y, 0.5)  # the spiking network is right where the model is not
    assert better.gap == -30
    assert better.ok


def test_with_labels_disagreement_alone_is_no_miss() -> None:
    """Two wrong answers that differ cost no accuracy."""
    model, spiking = choices(500, 1000)
    assert report_of(model, spiking, np.full(1000, 2), 1.0).ok


def test_regression_is_judged_by_its_relative_error_ten_percent_unless_told_otherwise() -> None:
    model, spiking = np.ones((4, 1)), np.full((4, 1), 1.25)
    assert not report_of(model, spiking, None, None).ok
    assert report_of(model, np.full((4, 1), 1.0999), None, None).ok
    assert not report_of(model, np.full((4, 1), 1.1001), None, None).ok
    assert report_of(model, spiking, None, 25).ok
    report = report_of(model, spiking, None, 24.9)
    assert not report.ok
    assert report.misses[0] == "outputs differ by 25.00 % (root mean square), more than 24.9 %"


@pytest.mark.parametrize(
    "option", [{"tolerance": -1}, {"tolerance": 101}, {"tolerance": float("nan")}, {"stepped": -1}]
)
def test_options_out_of_range_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(sp.OptionError) as caught:
        validate([X], **option)
    (problem,) = caught.value.problems
    assert problem.where in option
    assert problem.hint


def test_options_out_of_range_are_listed_together() -> None:
    with pytest.raises(sp.OptionError) as caught:
        validate([X], tolerance=-1, stepped=-1)
    assert [p.where for p in caught.value.problems] == ["tolerance", "stepped"]


@pytest.mark.parametrize("option", [{"tolerance": "1"}, {"stepped": 1.5}], ids=["text", "half a sample"])
def test_options_of_another_type_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(sp.OptionError):
        validate([X], **option)


# A network that is not its integers


def known() -> sp.SpikingModel:
    """Two layers by hand: a = clip((x + 5) // 10, 0, 7) of each input, then b of the sums (a0 + a1, a1), then the sum."""
    one = np.ones(2)
    ten, five, zero = np.full(2, 10), np.full(2, 5), np.zeros(2, np.int64)
    integer = IntegerNetwork(
        InputEncoder("input", (2,), "static", np.ones(()), -127, 127),
        (
            CountLayer("a", (2,), ten, zero, five, 0, 7, one),
            CountLayer("b", (2,), np.full(2, 1), zero, zero, 0, 14, one),
            Readout("output", (2,), zero, 1.0),
        ),
        (
            Connection("input", "a", (Dense(np.eye(2, dtype=np.int64)),)),
            Connection("a", "b", (Dense(np.array([[1, 1], [0, 1]])),)),
            Connection("b", "output", (Dense(np.eye(2, dtype=np.int64)),)),
        ),
        8,
        24,
    )
    nodes = [
        Node("input", Input((2,)), (), (2,)),
        Node("fc1", Dense(np.eye(2, dtype=np.float32) / 10), ("input",), (2,)),
        Node("a", Relu(7.0), ("fc1",), (2,)),
        Node("fc2", Dense(np.array([[1, 1], [0, 1]], np.float32)), ("a",), (2,)),
        Node("b", Relu(), ("fc2",), (2,)),
    ]
    graph: Graph = build(nodes, "b")
    return sp.SpikingModel(graph, integer, codes.encode(integer, "signed"), Report.empty())


def flipped(model: sp.SpikingModel, name: str, neuron: int, threshold: int) -> sp.SpikingModel:
    """The same model with one threshold of its spiking network changed, its integers as they were."""
    populations = []
    for population in model.network.populations:
        if population.name == name:
            unit = population.neuron
            assert isinstance(unit, SignedIF)
            changed = np.array(unit.threshold)
            changed[neuron] = threshold
            population = replace(population, neuron=replace(unit, threshold=changed))
        populations.append(population)
    return replace(model, network=replace(model.network, populations=tuple(populations)))


DATA = np.array([[0.0, 0.0], [20.0, 4.0], [20.0, 30.0], [0.0, 50.0]])
"""Counts of a by hand: [0, 0], [2, 0], [2, 3], [0, 5]."""


def test_a_network_that_is_its_integers_has_no_divergence() -> None:
    report = validate([DATA], known(), tolerance=100)
    assert (report.mismatches, report.divergence) == (0, None)
    assert report.comparisons == 4 * 6
    assert known().readout(DATA).tolist() == [[0, 0], [2, 0], [5, 3], [5, 5]]


@pytest.mark.parametrize(
    ("name", "neuron", "threshold", "place", "counts", "mismatches"),
    [
        # (30 + 5) // 12 = 2 and (50 + 5) // 12 = 4 instead of 3 and 5
        ("a", 1, 12, ("a", 2, (1,)), (3, 2), 2 + 4 + 4),  # a[1]; b[0], b[1]; both outputs: in two samples
        ("a", 0, 12, ("a", 1, (0,)), (2, 2), 0),  # 25 // 12 = 2: nothing differs
        ("a", 0, 13, ("a", 1, (0,)), (2, 1), 2 + 2 + 2),  # 25 // 13 = 1 in samples 1 and 2
        ("b", 1, 2, ("b", 2, (1,)), (3, 1), 2 + 2),  # 3 // 2 = 1 and 5 // 2 = 2: layer a is untouched
    ],
)
def test_one_flipped_threshold_is_found_at_its_first_layer_sample_and_neuron(
    name: str,
    neuron: int,
    threshold: int,
    place: tuple[str, int, tuple[int, ...]],
    counts: tuple[int, int],
    mismatches: int,
) -> None:
    report = validate([DATA], flipped(known(), name, neuron, threshold), tolerance=100)
    assert report.mismatches == mismatches
    if not mismatches:
        assert report.ok
        return
    divergence = report.divergence
    assert divergence is not None
    assert (divergence.layer, divergence.sample, divergence.neuron) == place
    assert (divergence.expected, divergence.found) == counts
    assert not report.ok
    assert f"{mismatches} of 24 counts differ; first {divergence}" in report.misses
    assert report.arrows[2].verdict == "failed"
    by_layer = {layer.name: layer.mismatches for layer in report.layers}
    assert sum(by_layer.values()) == mismatches
    assert by_layer["a"] == (0 if name == "b" else 2)


def test_the_sample_of_a_divergence_is_counted_over_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    agreement = sys.modules["spikeport.validate.agreement"]  # the package's attribute `validate` is the function
    monkeypatch.setattr(agreement, "BATCH_NEURONS", known().network.neurons)  # one sample a part
    report = validate([DATA], flipped(known(), "a", 1, 12), tolerance=100)
    assert report.divergence is not None
    assert report.divergence.sample == 2
    assert report.mismatches == 10
    assert len(report.quiet_after) == 4


def test_a_network_made_from_another_threshold_fails_a_conversion_too() -> None:
    """The same comparison guards `convert`: a wrong encoder of a code would be a `ProofError`."""
    real, graph = codes.encode, snn().graph

    def wrong(integer: IntegerNetwork, code: str, **options: Any) -> Any:
        network = real(integer, code, **options)
        model = sp.SpikingModel(graph, integer, network, Report.empty())
        return flipped(model, "1", 0, 1).network

    with patch.object(codes, "encode", wrong), pytest.raises(sp.ProofError, match=r"1\[0\] in sample"):
        sp.convert(classifier(), [X], progress=False)


# Data and screen


def test_batches_are_read_once_and_in_order() -> None:
    given: list[int] = []

    def stream() -> Iterator[Tensor]:
        for i in range(0, 60, 20):
            given.append(i)
            yield X[i : i + 20]

    report = validate(stream(), tolerance=100)
    assert given == [0, 20, 40]
    assert report.samples == 60
    assert report.disagreements == validate([X], tolerance=100).disagreements


def test_a_generator_that_was_read_before_is_empty() -> None:
    stream = iter([X])
    validate(stream, tolerance=100)
    with pytest.raises(sp.DataError, match=r"data: is empty\n  hint: a generator can be read only once"):
        validate(stream)


def test_nothing_is_written_to_the_screen_without_progress(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("spikeport.progress.DELAY", 0.0)
    validate([X[:20], X[20:]])
    sp.convert(classifier(), [X], progress=False)
    assert capfd.readouterr() == ("", "")
