import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.errors import DataError, FileError
from spikeport.report import Divergence, RegressionError, Report, report_from_json

NAMES = st.text(max_size=20) | st.sampled_from(
    ['<script>alert("1")</script>', "层.0", "a\x00b\x1b[31m", "\ud800", "\u202egnp"]
)


@given(name=NAMES)
def test_reading_back_is_the_identity_whatever_the_names(named, name):
    report = named(name)
    found = report_from_json(report.as_json())
    assert found == report
    assert type(found.raster.populations[0]) is tuple
    assert type(found.layers[0].shape) is tuple


@given(
    gap=st.none() | st.floats(allow_nan=False),
    interval=st.none() | st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
    curve=st.lists(st.floats(0, 100)),
    counts=st.lists(st.integers(1 - 2**63, 2**63 - 1)),
)
def test_reading_back_is_the_identity_whatever_the_numbers(named, gap, interval, curve, counts):
    report = replace(
        named("conv1"),
        gap=gap,
        gap_interval=interval,
        curve=tuple(curve),
        quiet_after=tuple(counts),
        divergence=Divergence("fc", 3, tuple(counts), 7, 8),
        regression=RegressionError(0.1, 0.2, 0.3, math.inf),
        misses=("a", "b"),
    )
    assert report_from_json(report.as_json()) == report


def test_the_text_is_standard_json_that_names_its_format_and_verdict(report):
    document = json.loads(report.as_json(), parse_constant=pytest.fail)
    assert document["format"] == "spikeport.report/1"
    assert document["ok"] is True
    assert json.loads(replace(report, misses=("x",)).as_json())["ok"] is False


def test_numbers_of_numpy_are_written_as_numbers(report):
    document = json.loads(replace(report, samples=np.int64(7), gap=np.float64(0.5)).as_json())
    assert (document["samples"], document["gap"]) == (7, 0.5)


def test_a_number_that_is_not_a_number_is_refused_by_name(report):
    with pytest.raises(DataError, match=r"report\.regression\.largest"):
        replace(report, regression=RegressionError(0.1, 0.1, math.nan, 0.1)).as_json()


def _places(value, path=()):
    """Every place of a JSON document, the whole excepted; of a list the first entry."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _replaced(document, path, value):
    *before, last = path
    inner = document
    for key in before:
        inner = inner[key]
    inner[last] = value
    return json.dumps(document)


def _complete(report) -> Report:
    return replace(
        report,
        regression=RegressionError(0.1, 0.2, 0.3, 0.4),
        divergence=Divergence("fc", 3, (1, 2), 7, 8),
        misses=("a",),
    )


@pytest.mark.parametrize(
    "wrong", [{"__class__": "os"}, True, "text of no use to a number", [[[]]], [None], 1.5, "conv1"]
)
def test_every_field_of_a_wrong_type_is_refused(report, wrong):
    text = _complete(report).as_json()
    checked = 0
    for path in _places(json.loads(text)):
        value = json.loads(text)
        for key in path:
            value = value[key]
        same = type(value) is type(wrong) and not isinstance(wrong, list)
        number = path[-1] != "format" and isinstance(value, float) and wrong == 1.5
        if same or number or (wrong == 1.5 and isinstance(value, int) and _takes_fractions(path)):
            continue
        with pytest.raises(DataError):
            report_from_json(_replaced(json.loads(text), path, wrong))
        checked += 1
    assert checked > 30


def _takes_fractions(path) -> bool:
    return path[-1] in ("error", "tolerance")


def test_every_missing_field_is_named_at_once(report):
    document = json.loads(report.as_json())
    del document["samples"], document["layers"][0]["low"]
    with pytest.raises(DataError) as caught:
        report_from_json(json.dumps(document))
    assert {problem.where for problem in caught.value.problems} == {"report.samples", "report.layers[0].low"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"format": "spikeport.report/2"}',
        "NaN",
        '{"format": NaN}',
        "[" * 100_000,
        "9" * 5_000,
    ],
)
def test_text_that_is_no_report_is_refused(text):
    with pytest.raises(DataError):
        report_from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("extra", 1),
        ("samples", 2**63),
        ("gap", 10**400),
        ("ok", False),
        ("gap_interval", [1.0]),
        ("code", None),
        ("gap", "nan"),
    ],
)
def test_one_wrong_entry_is_refused(report, field, value):
    document = json.loads(report.as_json())
    document[field] = value
    with pytest.raises(DataError):
        report_from_json(json.dumps(document))


def test_numbers_beyond_floating_point_are_refused(report):
    with pytest.raises(DataError, match=r"report\.gap"):
        report_from_json(report.as_json().replace('"gap": 0.22', '"gap": 1e999'))


def test_a_raster_with_spikes_outside_its_rows_is_refused(report):
    document = json.loads(report.as_json())
    document["raster"]["rows"][0] = 99
    with pytest.raises(DataError, match=r"report\.raster"):
        report_from_json(json.dumps(document))


def test_the_file_holds_the_text(report, tmp_path):
    path = report.to_json(tmp_path / "report.json")
    assert report_from_json(path.read_text()) == report


def test_a_folder_that_is_missing_is_a_file_error(report, tmp_path):
    with pytest.raises(FileError):
        report.to_json(tmp_path / "missing" / "report.json")
