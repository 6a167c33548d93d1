"""The checker: proves what is true, finds what is not, and believes nothing that a file says."""

import ast
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeport import certify, codes
from spikeport.certify import checker
from spikeport.certify.lemmas import LEMMAS
from spikeport.errors import FileError, OptionError
from spikeport.model import load
from tests.certify.models import Pair, get, leaves, model_of, other, put, random_model, text, written
from tests.integer_networks import random_network

SOURCE = Path(checker.__file__)
CODES = sorted(checker.CODES)
EVERYTHING = 3  # seed of a network with convolution, skip connection and pooling; small


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return written(random_model(EVERYTHING), tmp_path)


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", CODES)
def test_what_is_true_is_proved(tmp_path, code, kind, curved):
    kinds = set()
    for seed in range(20):
        model = carried(seed, code, kind=kind, curved=curved)
        if model is None:
            continue
        pair = written(model, tmp_path)
        assert pair.check() == [], seed
        kinds |= {claims["kind"] for claims in pair.document()["layers"].values()}
    both = {"positive part", "negative part"} if code in checker.ONE_SIGN else set()
    assert kinds == {"neurons", "max", "read-out"} | both | ({"staircase"} if curved else set())


def carried(seed, code, **options):
    """A random model, or None where spikes of one sign cannot carry its maxima."""
    try:
        return random_model(seed, code, **options)
    except OptionError as refused:
        if code in checker.ONE_SIGN and all("maximum" in problem.why for problem in refused.problems):
            return None
        raise


def test_every_code_that_can_be_certified_can_be_checked():
    assert sorted(LEMMAS) == CODES


def test_a_model_without_samples_is_proved_without_outputs(tmp_path):
    model = model_of(random_network(EVERYTHING), samples=0)
    pair = written(model, tmp_path)
    assert pair.document()["samples"] is None
    assert pair.check() == []


def test_a_certificate_of_another_model_is_false(tmp_path):
    pair = written(random_model(1), tmp_path)
    random_model(2).save(pair.model)
    assert pair.check()
    pair = written(random_model(1), tmp_path)
    random_model(1, "graded").save(pair.model)
    assert any(line.startswith("execution/code: ") for line in pair.check())


def test_a_membrane_that_is_too_narrow_is_found(tmp_path):
    model = model_of(replace(random_network(EVERYTHING), state_bits=5))
    pair = written(model, tmp_path)
    assert any("does not fit a membrane of 5 bits" in line for line in pair.check())


def test_every_changed_field_is_found(pair):
    document = pair.document()
    for path in leaves(document):
        changed = pair.document()
        put(changed, path, other(get(document, path)))
        pair.certificate.write_text(text(changed))
        assert pair.check(), path
        pair.certificate.write_text(text(document))
    assert pair.check() == []


def test_every_changed_claim_is_found_with_the_right_hash(tmp_path):
    """All but what was measured and what is only said: there the hash is all there is."""
    model = random_model(EVERYTHING)
    pair = written(model, tmp_path)
    document = pair.document()
    on_its_word = ("measured", "lemmas", "versions", "sha256")
    proved = [path for path in leaves(document) if path[0] not in on_its_word]
    assert len(proved) > 150
    for path in proved:
        changed = pair.document()
        put(changed, path, other(get(document, path)))
        pair.claim(changed)
        if not pair.check():  # another input with the same outputs: what is claimed of it is true
            assert path[:2] == ("samples", "inputs")
            inputs = np.array(changed["samples"]["inputs"])
            assert outputs(replace(model, samples=inputs)) == outputs(model)
        pair.claim(document)
    for path in leaves({"measured": document["measured"]}):
        changed = json.loads(text(document))
        put(changed, path, other(get(document, path)))
        pair.claim(changed)
        assert bool(pair.check()) == (path[-1] in ("mismatches", "quiet_after")), path


def test_bounds_that_are_merely_larger_are_found_too(pair):
    document = pair.document()
    name = next(iter(document["layers"]))
    document["layers"][name]["prefix"]["low"][0] -= 1
    pair.claim(document)
    (found,) = pair.check()
    assert found.startswith(f"layers/{name}/prefix/low/0: the certificate says ")


def test_samples_not_quiet_within_the_drain_bound_are_found(pair):
    document = pair.document()
    document["measured"]["quiet_after"] = [[document["execution"]["drain_bound"] + 1, 5]]
    pair.claim(document)
    assert any("drain bound" in line for line in pair.check())


@pytest.mark.parametrize("seed", range(6))
def test_a_changed_tensor_is_found_or_changes_nothing(tmp_path, seed):
    """The attacker changes one entry and recomputes every hash; bounds and outputs still tell, or are the same."""
    rng = np.random.default_rng(seed)
    original = random_model(seed)
    silent = 0
    for _ in range(25):
        pair = written(original, tmp_path)
        model, documents, arrays = pair.members()
        kept = model["samples"]["array"]  # the certificate has its own copy of the inputs
        integers = [name for name, array in arrays.items() if array.dtype.kind == "i" and name != kept]
        name = str(rng.choice(integers))
        changed = arrays[name].copy()
        changed.reshape(-1)[rng.integers(changed.size)] += int(rng.choice([-3, -1, 1, 2]))
        pair.rewrite(model, documents, {**arrays, name: changed})
        if not pair.check():
            assert outputs(load(pair.model)) == outputs(original)
            silent += 1
    assert silent < 20


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_structure_is_found_or_refused_or_changes_nothing(tmp_path, seed):
    rng = random.Random(seed)
    original = random_model(seed)
    pair = written(original, tmp_path)
    model, *_ = pair.members()
    places = [p for p in leaves(model) if p[0] != "samples" and p[-1] != "array"]
    assert len(places) > 40
    for path in rng.sample(places, 35):
        pair = written(original, tmp_path)
        model, documents, arrays = pair.members()
        put(model, path, other(get(model, path)))
        pair.rewrite(model, documents, arrays)
        if not pair.check():
            try:
                found = load(pair.model)
            except FileError:
                continue
            assert outputs(found) == outputs(original), path


def outputs(model):
    """What a certificate records of a model's counts, by the real evaluator."""
    return {k: v for k, v in model.certificate["samples"].items() if k != "inputs"}


def test_a_changed_tensor_without_new_hashes_is_named(pair):
    document = pair.document()
    place = next(place for place in document["hashes"]["tensors"] if place.endswith("/threshold"))
    document["hashes"]["tensors"][place] = "0" * 64
    pair.claim(document)
    (found,) = pair.check()
    assert found.startswith(f"hashes/tensors/{place}: ")


HOSTILE = [
    None, True, -1, 0, 1.5, 1e300, 2**70, -(2**70), 10**30, "x", "", [], {}, [[]], [1, [2]], {"array": "a0"}, {"Conv": {}}
]  # fmt: skip


def test_a_hostile_certificate_gives_messages(pair):
    document = pair.document()
    rng = random.Random(1)
    places = [*leaves(document), *[(key,) for key in document], ("measured", "quiet_after"), ("samples", "inputs")]
    for path in rng.sample(places, 60):
        for value in rng.sample(HOSTILE, 3):
            changed = json.loads(text(document))
            put(changed, path, value)
            pair.claim(changed)
            assert all(isinstance(line, str) and line.isprintable() for line in pair.check()), (path, value)
    pair.claim(document)


def test_a_hostile_model_gives_messages(pair):
    model, documents, arrays = pair.members()
    rng = random.Random(2)
    certificate = pair.certificate.read_bytes()
    places = [p for p in leaves(model) if p[-1] != "array"]
    for path in rng.sample(places, min(len(places), 120)):
        for value in rng.sample(HOSTILE, 2):
            changed = json.loads(json.dumps(model))
            put(changed, path, value)
            pair.certificate.write_bytes(certificate)
            try:
                pair.rewrite(changed, documents, arrays)
            except (AttributeError, IndexError, KeyError, TypeError, StopIteration):
                continue  # the attacker's own tools stumble
            assert all(isinstance(line, str) and line.isprintable() for line in pair.check()), (path, value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format":"spikeport.certificate/1"}\n', b"[" * 100_000, b"9" * 10_000],
)
def test_what_is_no_certificate_is_said_to_be_none(pair, content):
    pair.certificate.write_bytes(content)
    (found,) = pair.check()
    assert "certificate.json" in found


def test_truncated_files_are_refused(pair):
    for path in (pair.certificate, pair.model):
        original = path.read_bytes()
        for end in range(0, len(original), 97):
            path.write_bytes(original[:end])
            assert len(pair.check()) == 1
        path.write_bytes(original)


def test_a_missing_file_or_a_folder_is_a_finding(pair, tmp_path):
    assert len(certify.check(tmp_path / "none.json", pair.model)) == 1
    assert len(certify.check(pair.certificate, tmp_path)) == 1


def test_an_unknown_code_is_said_to_be_unknown(pair):
    model, documents, arrays = pair.members()
    pair.rewrite({**model, "code": "telepathic"}, documents, arrays)
    (found,) = pair.check()
    assert "cannot check code telepathic" in found


@pytest.mark.parametrize("field", ["presentation"])
@pytest.mark.parametrize("value", [10**9, 0, -5, 1.0, "7", None])
def test_steps_that_nobody_can_take_are_refused(pair, field, value):
    model, documents, arrays = pair.members()
    pair.rewrite({**model, field: value}, documents, arrays)
    assert len(pair.check()) == 1


def test_the_checker_is_at_most_300_lines_long():
    assert len(SOURCE.read_text().splitlines()) <= 300


def test_the_checker_imports_numpy_and_the_standard_library_alone():
    imports = [
        node for node in ast.walk(ast.parse(SOURCE.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {
        name.partition(".")[0]
        for node in imports
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert names - set(sys.stdlib_module_names) == {"numpy"}
    assert all(not node.level for node in imports if isinstance(node, ast.ImportFrom))
    assert "__import__" not in SOURCE.read_text()


def test_the_checker_runs_alone_and_says_so_by_its_exit_code(pair, tmp_path):
    alone = tmp_path / "alone.py"
    alone.write_text("import sys\nsys.modules['spikeport'] = None\n" + SOURCE.read_text())

    def run(*words):
        return subprocess.run(
            [sys.executable, str(alone), *map(str, words)], capture_output=True, text=True, check=False
        )

    good = run(pair.certificate, pair.model)
    assert (good.returncode, good.stdout, good.stderr) == (0, "proved\n", "")
    pair.certificate.write_text("{}")
    bad = run(pair.certificate, pair.model)
    assert (bad.returncode, bad.stderr) == (1, "")
    assert run(pair.certificate).returncode == 2


def test_every_code_of_the_library_but_the_rate_code_is_checked():
    assert set(codes.CODES) - {"rate"} == set(CODES)


@pytest.mark.parametrize("kind", ["SumPool", "MaxPool", "Conv"])
def test_windows_are_counted_with_all_that_they_see(monkeypatch, kind):
    """5 by 4 windows of 3 by 2 places, of 2 channels in 1 sample."""
    p = {"kernel": [3, 2], "stride": [1, 2], "padding": [[0, 0], [1, 0]], "dilation": [1, 1]}
    if kind == "Conv":
        p |= {"weight": np.ones((1, 2, 3, 2), np.int64), "groups": 1}
    x = np.ones((1, 2, 7, 7), np.int64)
    monkeypatch.setattr(checker, "MAX_VALUES", 2 * 6 * 5 * 4)
    assert checker.through([{kind: p}], x).shape == (1, 1 if kind == "Conv" else 2, 5, 4)
    monkeypatch.setattr(checker, "MAX_VALUES", 2 * 6 * 5 * 4 - 1)
    with pytest.raises(ValueError, match="is too large to be computed"):
        checker.through([{kind: p}], x)
