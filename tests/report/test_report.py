from dataclasses import replace

import pytest

from spikeport.errors import DataError
from spikeport.report import Raster, Report, report_from_json


def test_an_empty_report_is_not_ok_and_shows_no_arrow():
    empty = Report.empty()
    assert not empty.ok
    assert {arrow.verdict for arrow in empty.arrows} == {"not shown"}
    assert report_from_json(empty.as_json()) == empty


def test_without_stepping_keeps_accuracy_and_forgets_the_spikes(report):
    other = report.without_stepping("graded", 3)
    assert (other.gap, other.ledger, other.arrows[:2]) == (report.gap, report.ledger, report.arrows[:2])
    assert (other.code, other.drain_bound) == ("graded", 3)
    assert (other.stepped_samples, other.comparisons, other.mismatches, other.curve, other.quiet_after) == (
        0,
        0,
        0,
        (),
        (),
    )
    assert other.divergence is None
    assert other.raster is None
    assert other.arrows[2].verdict == "not shown"
    assert all(layer.spikes_per_neuron is None and layer.comparisons == layer.mismatches == 0 for layer in other.layers)
    assert [layer.saturation for layer in other.layers] == [layer.saturation for layer in report.layers]
    assert not other.ok


def test_without_stepping_twice_leaves_one_miss_about_the_last_code(report):
    failed = replace(
        report, mismatches=2, misses=("2 of 3,200 counts differ; first fc[0]", "the gap may reach 3.00 points")
    )
    assert failed.without_stepping("graded", 3).without_stepping("signed", 9).misses == (
        "the gap may reach 3.00 points",
        "not stepped under code signed yet",
    )


@pytest.mark.parametrize(
    ("steps", "rows", "payloads"), [((0,), (0, 1), (1,)), ((6,), (0,), (1,)), ((0,), (3,), (1,)), ((-1,), (0,), (1,))]
)
def test_a_raster_holds_only_spikes_within_its_rows_and_steps(steps, rows, payloads):
    with pytest.raises(DataError):
        Raster((("a", 2), ("b", 1)), steps, rows, payloads, 6)
