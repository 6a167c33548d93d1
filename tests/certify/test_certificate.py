"""What stands in a certificate, and that it is read as it was written or not at all."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spikeport import certify
from spikeport.certify.certificate import hashes_of, tensor_hash
from spikeport.certify.lemmas import LEMMAS
from spikeport.errors import ArchiveError, FileError, OptionError
from spikeport.model import load
from spikeport.primitives import Connection, Dense, ExecutionContract, InputEncoder
from spikeport.quantize import CountLayer, IntegerNetwork, Readout
from spikeport.report import RegressionError
from tests.certify.models import model_of, random_model, text, written


def by_hand() -> IntegerNetwork:
    """Two neurons of two inputs in -3..3; U of the first in [-9, 9] + 2 + 1, of the second in [-6, 6] - 4 + 0."""
    weight = np.array([[1, 2], [-1, 1]])
    layer = CountLayer(
        "fc", (2,), np.array([2, 1]), np.array([2, -4]), np.array([1, 0]), 0, 5, np.ones(())
    )  # fmt: skip
    return IntegerNetwork(
        InputEncoder("input", (2,), "static", np.ones(()), -3, 3),
        (layer, Readout("output", (1,), np.array([7]), 0.5)),
        (Connection("input", "fc", (Dense(weight),)), Connection("fc", "output", (Dense(np.array([[3, -2]])),))),
        8,
        24,
    )


def test_bounds_of_a_network_written_by_hand():
    claims = model_of(by_hand()).certificate["layers"]
    fc, output = claims["fc"], claims["output"]
    assert (fc["kind"], fc["lemma"]) == ("neurons", "signed/neurons")
    assert (fc["prefix"]["low"], fc["prefix"]["high"]) == ([-9, -10], [12, 6])
    assert (fc["final"]["low"], fc["final"]["high"]) == ([-6, -10], [12, 2])
    assert (fc["membrane"]["low"], fc["membrane"]["high"]) == ([-9 - 2 * 5, -10 - 5], [12, 6])
    assert (output["prefix"]["low"], output["prefix"]["high"]) == ([-10], [15 + 7])
    assert (output["final"]["low"], output["final"]["high"]) == ([-10 + 7], [15 + 7])
    assert all(part["fits"] and part["float32_exact"] for part in (fc["membrane"], output["prefix"]))
    execution = model_of(by_hand()).certificate["execution"]
    assert (execution["drain_bound"], execution["compare"]) == (5 + 5, ">=")


def test_recorded_outputs_are_those_of_the_integer_network():
    model = replace(model_of(by_hand()), samples=np.array([[3, 1], [-3, 3]]))
    samples = model.certificate["samples"]
    first = [min((3 + 2 + 3) // 2, 5), 0]  # U = 8, -6
    second = [min((-3 + 6 + 3) // 2, 5), 2]  # U = 6, 2
    assert samples["readout"] == [[3 * first[0] - 2 * first[1] + 7], [3 * second[0] - 2 * second[1] + 7]]
    assert samples["counts"] == {"fc": tensor_hash(np.array([first, second]))}
    assert samples["inputs"] == [[3, 1], [-3, 3]]


def test_a_bound_on_the_edge_of_the_membrane_fits_and_one_beyond_does_not():
    def fits(bits: int) -> bool:
        layer = model_of(replace(by_hand(), state_bits=bits)).certificate["layers"]["fc"]
        return layer["membrane"]["fits"]

    assert fits(6)  # [-19, 12] in [-32, 31]
    assert not fits(5)


def test_tensors_are_named_by_their_places():
    tensors = model_of(by_hand()).certificate["hashes"]["tensors"]
    assert {"layers/fc/threshold", "layers/output/bias", "connections/0/synapses/0/weight", "input/scale"} < set(
        tensors
    )
    assert tensors["layers/fc/threshold"] == tensor_hash(np.array([2, 1]))


def test_a_hash_tells_dtype_shape_and_numbers_apart_but_not_byte_order_or_layout():
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    others = [array.astype(np.int32), array.reshape(3, 2), array + 1, array.T]
    assert len({tensor_hash(a) for a in (array, *others)}) == 5
    assert tensor_hash(array.astype(">i8")) == tensor_hash(np.asfortranarray(array)) == tensor_hash(array)


def test_a_whole_float_and_an_integer_are_one_number_in_the_structure():
    network = by_hand()
    one = replace(network, layers=(network.layers[0], replace(network.layers[1], scale=1.0)))
    other = replace(network, layers=(network.layers[0], replace(network.layers[1], scale=1)))
    graph = model_of(network).graph
    assert hashes_of(graph, one) == hashes_of(graph, other)


def test_a_certificate_outlives_saving_and_loading(tmp_path):
    for seed in range(10):
        model = random_model(seed)
        again = load(model.save(tmp_path / "model.spk"))
        assert again.certificate == model.certificate
        assert np.array_equal(again.samples, model.samples)


def test_reading_back_is_the_identity(tmp_path):
    document = random_model(0).certificate
    path = certify.write(document, tmp_path / "c.json")
    assert certify.read(path) == document


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b + b"\n", lambda b: b.replace(b"signed", b"radix ", 1)]
)
def test_an_altered_certificate_is_not_read(tmp_path, change):
    path = certify.write(random_model(0).certificate, tmp_path / "c.json")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ArchiveError):
        certify.read(path)


@pytest.mark.parametrize("content", [b"", b"[1]", b'"x"', b"{}", b"NaN", b"[" * 100_000, b"\xff", b"9" * 5000])
def test_what_is_no_certificate_is_not_read(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"c\.json"):
        certify.read(path)


def test_a_missing_certificate_is_a_file_error(tmp_path):
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(FileError):
            certify.read(path)


def test_a_file_without_samples_loads_as_one_before_there_were_any(tmp_path):
    model = random_model(0)
    pair = written(replace(model, samples=None), tmp_path)
    stored, *_ = pair.members()
    assert "samples" not in stored
    again = load(pair.model)
    assert again.samples is None
    assert again.certificate["samples"] is None


def test_a_report_from_before_there_were_hashes_of_data_loads(tmp_path):
    pair = written(random_model(0), tmp_path)
    model, documents, arrays = pair.members()
    report = json.loads(documents["report.json"])
    del report["data_hash"]
    pair.rewrite(model, {**documents, "report.json": json.dumps(report).encode()}, arrays)
    assert load(pair.model).report.data_hash == ""


@pytest.mark.parametrize("wrong", [np.zeros((2, 1), np.int64), np.zeros((0,), np.int64), np.zeros(3), None])
def test_samples_that_are_no_inputs_are_refused(tmp_path, wrong):
    original = random_model(0)
    wrong = np.full(original.samples.shape, 1000) if wrong is None else wrong
    path = replace(original, samples=None).save(tmp_path / "model.spk")
    object.__setattr__(original, "samples", wrong)
    original.save(path)
    with pytest.raises(ArchiveError, match="samples"):
        load(path)


def test_another_code_keeps_the_samples_and_their_outputs():
    model = random_model(0)
    graded = model.with_code("graded").certificate
    assert graded["samples"] == model.certificate["samples"]
    assert graded["hashes"] == model.certificate["hashes"]
    assert graded["execution"] != model.certificate["execution"]


def test_measurements_are_those_of_the_report():
    model = random_model(0)
    regression = RegressionError(0.5, 0.25, 1.0, float("inf"))
    report = replace(
        model.report, quiet_after=(7, 5, 7), data_hash="ab", gap_interval=(-1.0, 2.0), regression=regression
    )
    measured = model.with_report(report).certificate["measured"]
    assert measured["quiet_after"] == [[5, 1], [7, 2]]
    assert (measured["data_sha256"], measured["gap_interval"]) == ("ab", [-1.0, 2.0])
    assert measured["regression"]["relative"] == "inf"
    json.loads(text(measured), parse_constant=pytest.fail)


def test_a_code_without_a_certificate_is_refused_by_name():
    model = random_model(0)
    contract = ExecutionContract("telepathic", 1, 1, 24)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"telepathic.*no lemma"):
        replace(model, network=replace(model.network, contract=contract)).certificate
    assert "telepathic" not in LEMMAS
