"""Each rule of the checker with a mistake in it: true certificates are then called false, or false ones pass."""

import types
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from spikeport.certify import checker
from spikeport.errors import OptionError
from tests.certify.models import model_of, other, put, random_model, text, written
from tests.integer_networks import random_network

SOURCE = Path(checker.__file__).read_text()

STEPS = {
    "graded sends a step early": ("graded", "(left == 1) * (u.low", "(left == 2) * (u.low"),
    "graded counts from zero": ("graded", "(u.low + sum(1 * (v >= row)", "(0 + sum(1 * (v >= row)"),
    "graded fires above, not at": ("graded", "sum(1 * (v >= row) for row in u.steps))", "sum(1 * (v > row) for row in u.steps))"),
    "phased never opens": ("phased", '(code != "phased" or not 0 < left <= u.high)', "1"),
    "phased never closes": ("phased", '(code != "phased" or not 0 < left <= u.high)', '(code != "phased" or left > u.high)'),
    "phased closes a step early": ("phased", '"phased" or not 0 < left <= u.high)', '"phased" or not 1 < left <= u.high)'),
    "phased tables never silent": ("phased", "(u.th.any() or 0 < left <= u.high) * (v >= up)", "1 * (v >= up)"),
    "phased fires above, not at": ("phased", "0 < left <= u.high) * (v >= up)", "0 < left <= u.high) * (v > up)"),
    "population fires in every step": ("population", " - u.charge * (k < u.s) >= u.charge", " >= u.charge"),
    "population fires above, not at": ("population", "(k < u.s) >= u.charge", "(k < u.s) > u.charge"),
    "population with a threshold too low": ("population", "u.charge = (above - np.minimum(u.steps[0], 0)).max()", "u.charge = above.max()"),
    "radix with the least digit first": ("radix", "else 2 ** (left - 1) if", "else 2 ** (u.high.bit_length() - left) if"),
    "radix beyond its table": ("radix", "((v >= up) & (u.s + worth <= u.high))", "(v >= up)"),
    "radix fires above, not at": ("radix", "worth * ((v >= up)", "worth * ((v > up)"),
    "signed never drains": ("signed", " - ((v < down) & (u.s > u.low))", ""),
    "signed never saturates": ("signed", "((v >= up) & (u.s < u.high))", "(v >= up)"),
    "signed stops at zero": ("signed", "(u.s > u.low)", "(u.s > 0)"),
    "signed fires above, not at": ("signed", "((v >= up) & (u.s < u.high))", "((v > up) & (u.s < u.high))"),
    "signed descends at, not below": ("signed", "((v < down)", "((v <= down)"),
    "staircase never drains": ("staircase", " - ((v < down) & (u.s > u.low))", ""),
    "staircase descends a step too far": ("staircase", "np.clip(u.s + n - u.low, 1", "np.clip(u.s + n - u.low + (n == 0), 1"),
    "one population for both signs": ("phased", "(1, -1) if code in ONE_SIGN and layer.low < 0", "(0,) if code in ONE_SIGN and layer.low < 0"),
    "the negative part gets what the positive gets": ("phased", "+ unit.sign * arriving", "+ arriving"),
    "the negative part stands elsewhere": ("phased", "u.offset, u.steps = stand - u.offset,", "u.offset, u.steps = -u.offset,"),
    "the negative part has a table off by one": ("radix", "stand + 1 - u.steps", "stand - u.steps"),
    "both parts are added": ("population", "+ unit.sign * spikes", "+ spikes"),
    "bias in every step": ("signed", " - t * n // steps) * (t < steps)", ") * (t < steps)"),
    "bias beyond the presentation": ("signed", "t * n // steps) * (t < steps)", "t * n // steps)"),
    "no waiting for the last source": ("phased", "u.ready = max(ready)", "u.ready = min(ready)"),
    "drain of the upper half alone": ("signed", "phase.get(code, u.high - u.low)", "phase.get(code, u.high)"),
    "no step to close the last phase": ("phased", '+ (u.kind == "read-out")', ""),
    "maxima that forget": ("signed", "through(unit.window, unit.u) - unit.s\n", "through(unit.window, unit.u)\n"),
    "an offset that is not there": ("signed", "np.int64) + unit.offset", "np.int64)"),
    "a membrane that forgets what was sent": ("signed", "(low - th * u.high, high - th * u.low)", "(low, high)"),
    "a bound of sums in one order": ("signed", "pick(u.bias, 0)", "u.bias"),
    "a bound that forgets what inhibits": ("graded", "[np.maximum(w, 0), np.minimum(w, 0)]", "[w, 0 * w]"),
    "a membrane without its charge": ("phased", "u.charge, u.membrane = -above, (low - above, high)", "u.charge, u.membrane = -above, (low, high)"),
}  # fmt: skip
"""Mistakes that make true certificates false: the code that shows it, the rule, and the rule with the mistake."""


def mutant(old: str, new: str) -> types.ModuleType:
    """The checker with one passage exchanged."""
    assert SOURCE.count(old) == 1, old
    module = types.ModuleType("mutant")
    exec(compile(SOURCE.replace(old, new), "mutant", "exec"), module.__dict__)
    return module


@cache
def corpus(code: str, root: Path) -> list[tuple[Path, Path]]:
    """Certificates that hold, on disk."""
    pairs = []
    for seed in range(18):
        kind, curved = ("events", "static")[seed % 2], seed % 3 > 0
        try:
            # tables of any length under radix, where the levels beside them happen to be 2**K - 1
            model = random_model(seed, code, kind=kind, curved=curved, digits=seed < 9, layers=4 if seed < 9 else 2)
        except OptionError:
            continue
        folder = root / f"{code}{seed}"
        folder.mkdir()
        pair = written(model, folder)
        pairs.append((pair.certificate, pair.model))
    return pairs


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.mark.parametrize("mistake", STEPS)
def test_a_mistake_in_a_rule_makes_true_certificates_false(root: Path, mistake: str) -> None:
    code, old, new = STEPS[mistake]
    broken = mutant(old, new)
    assert any(broken.check(*paths) for paths in corpus(code, root))


@pytest.mark.parametrize("code", checker.CODES)
def test_without_a_mistake_they_are_true(root: Path, code: str) -> None:
    assert len(corpus(code, root)) > 5
    assert not any(checker.check(*paths) for paths in corpus(code, root))


def forged(tmp_path: Path) -> Iterator[tuple[str, str, list[Path]]]:
    """Passages of the checker that find something, what is left without them, and files in which they find it."""
    pair = written(random_model(3), tmp_path)
    paths = [pair.certificate, pair.model]
    certificate, model = (path.read_bytes() for path in paths)
    document = pair.document()

    put(document, ("measured", "samples"), other(document["measured"]["samples"]))
    pair.certificate.write_text(text(document))
    yield "own == digest(document) and ", "", paths
    pair.certificate.write_bytes(certificate)

    pair.model.write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
    yield "data[-64:] == sha256(data[:-64]).hexdigest().encode()", "True", paths
    pair.model.write_bytes(model)

    for name, value in (("mismatches", 1), ("quiet_after", [[10**6, 1]])):
        document = pair.document()
        document["measured"][name] = value
        pair.claim(document)
        old = 'if document["measured"]["mismatches"] or max' if name == "mismatches" else " > bound:\n"
        yield old, "if max" if name == "mismatches" else " > 2**62:\n", paths
        pair.certificate.write_bytes(certificate)

    narrow = written(model_of(replace(random_network(3), state_bits=5)), tmp_path)
    yield 'not all(claim["fits"] for claim in intervals.values())', "False", [narrow.certificate, narrow.model]

    pair = written(random_model(3), tmp_path)
    document = pair.document()
    layer = next(iter(document["layers"]))
    document["layers"][layer]["prefix"]["high"][0] += 1
    pair.claim(document)
    yield "elif digest(claimed) != digest(found):", "elif False:", paths


def test_a_check_that_is_left_out_lets_something_false_pass(tmp_path: Path) -> None:
    passages = 0
    for old, new, paths in forged(tmp_path):
        assert checker.check(*paths), old
        assert mutant(old, new).check(*paths) == [], old
        passages += 1
    assert passages == 6
