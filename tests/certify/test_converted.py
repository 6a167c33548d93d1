"""Certificates of converted models, and the two commands."""

import json
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import spikeport as sp  # noqa: E402
from spikeport.certify import checker  # noqa: E402
from spikeport.cli import main  # noqa: E402
from spikeport.validate.fingerprint import Fingerprint  # noqa: E402
from tests.certify.models import written  # noqa: E402
from tests.networks import build  # noqa: E402

MODELS = (
    "mlp",
    "residual",
    "grouped",
    "concat",
    "max pool",
    "max pool of the input",
    "upsampling",
    "1-d conv",
    "rising curves beside padding",
    "curves that turn",
    "curved residual",
)


@cache
def converted(name):
    model, x = build(name)
    return sp.convert(model, [x], levels=15, progress=False), x


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("code", sorted(checker.CODES))
def test_a_converted_model_is_proved(tmp_path, name, code):
    snn, _ = converted(name)
    pair = written(snn if code == "signed" else snn.with_code(code), tmp_path)
    assert pair.check() == []
    document = pair.document()
    assert np.shape(document["samples"]["inputs"]) == (4, *snn.integer.input.shape)
    assert (
        document["execution"]["drain_bound"]
        == (snn if code == "signed" else snn.with_code(code)).network.contract.max_steps
    )


def test_the_certificate_carries_what_was_measured(tmp_path):
    snn, x = converted("mlp")
    labels = torch.arange(len(x)) % 4
    report = sp.validate(snn, [(x, labels)], progress=False)
    parts = sp.validate(snn, [(x[:7], labels[:7]), (x[7:], labels[7:])], stepped=1, progress=False)
    assert report.data_hash == parts.data_hash != snn.report.data_hash
    assert len(report.data_hash) == 64
    measured = snn.with_report(report).certificate["measured"]
    assert measured["data_sha256"] == report.data_hash
    assert (measured["gap"], measured["samples"]) == (report.gap, len(x))
    assert sum(n for _, n in measured["quiet_after"]) == report.stepped_samples
    assert written(snn.with_report(report), tmp_path).check() == []


def test_other_data_labels_or_shapes_have_another_fingerprint():
    def of(x, y):
        seen = Fingerprint()
        seen.add(x, y)
        return seen.hexdigest()

    x, y = np.arange(6.0).reshape(3, 2), np.arange(3)
    others = [of(x + 1, y), of(x, y + 1), of(x, None), of(x.reshape(3, 1, 2), y), of(x.astype(np.float32), y)]
    assert len({of(x, y), *others}) == 6


@pytest.mark.parametrize("code", ["signed", "phased", "population"])
def test_the_commands_certify_and_check(tmp_path, capsys, code):
    snn, _ = converted("mlp")
    snn = snn.with_code(code)
    model, path = str(snn.save(tmp_path / "m.spk")), str(tmp_path / "c.json")
    assert main(["certify", model, "-o", path]) == 0
    said = capsys.readouterr()
    assert "4 recorded samples" in said.out
    assert f"wrote {path}" in said.err
    assert main(["check-certificate", path, model]) == 0
    assert capsys.readouterr().out == "proved\n"
    assert main(["check-certificate", path, model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"certificate": path, "model": model, "ok": True, "false": []}


def test_the_commands_list_what_is_false(tmp_path, capsys):
    snn, _ = converted("mlp")
    pair = written(snn, tmp_path)
    document = pair.document()
    document["execution"]["drain_bound"] += 1
    pair.claim(document)
    assert main(["check-certificate", str(pair.certificate), str(pair.model)]) == 1
    assert capsys.readouterr().out.startswith("execution/drain_bound: the certificate says ")
    assert main(["check-certificate", str(pair.certificate), str(pair.model), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], len(found["false"])) == (False, 1)


def test_the_commands_refuse_wrong_files_before_working(tmp_path, capsys):
    snn, _ = converted("mlp")
    model = str(snn.save(tmp_path / "m.spk"))
    for words, why in (
        (["certify", model, "-o", str(tmp_path / "c.txt")], "does not end in .json"),
        (["certify", str(tmp_path / "none.spk"), "-o", str(tmp_path / "c.json")], "does not exist"),
        (["check-certificate", str(tmp_path / "none.json"), model], "does not exist"),
        (["check-certificate", model, model], "does not end in .json"),
    ):
        assert main(words) == 2
        assert why in capsys.readouterr().err
