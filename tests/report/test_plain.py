from dataclasses import replace

import pytest

from spikeport.report import Arrow, Divergence, RegressionError, Report
from spikeport.report.plain import LEDGER_ENTRIES, compared, headline, quiet


def test_the_verdict_stands_first_then_every_arrow_with_its_claim(report):
    text = str(report)
    assert text.startswith("Every arrow holds (signed code, 10,000 samples, 5 of them simulated step by step)")
    for arrow in report.arrows:
        assert arrow.name in text
        assert arrow.claim in text
    assert "missed" not in text


def test_gap_interval_agreement_and_steps_are_shown(report):
    text = str(report)
    assert "gap +0.22 points, 95 % interval -0.12 to +0.54, accepted up to 1 point" in text
    assert "agreement 98.71 %: 129 of 10,000 predictions differ" in text
    assert "3,200 counts of 5 samples compared, 0 mismatches" in text
    assert "7 steps (median), 8 at most; proved: never more than 9 steps" in text


def test_columns_of_the_layers_are_aligned(report):
    lines = str(report).splitlines()
    start = lines.index("layers")
    assert len({len(line) for line in lines[start + 2 : start + 5]}) == 1
    assert "12,345" in lines[start + 3]


def test_a_long_ledger_is_shortened_and_says_so(report):
    text = str(report)
    assert str(report.ledger[LEDGER_ENTRIES - 1]) in text
    assert str(report.ledger[LEDGER_ENTRIES]) not in text
    assert "and 3 more" in text
    assert " more\n" not in str(replace(report, ledger=report.ledger[:LEDGER_ENTRIES]))


def test_misses_and_the_first_difference_are_shown(report):
    failed = replace(report, mismatches=1, divergence=Divergence("fc", 3, (1, 2), 7, 8), misses=("1 count differs",))
    assert "1 count differs" in str(failed)
    assert "fc[1, 2] in sample 3: 8 instead of 7" in str(failed)


def test_regression_shows_distances_and_no_accuracy(report):
    text = str(_regression(report, relative=0.0231))
    assert "2.31 %" in text
    assert "gap" not in text.split("layers")[0].split("accuracy")[1]
    assert "undefined" in str(_regression(report, relative=float("inf")))


def _regression(report: Report, *, relative: float) -> Report:
    error = RegressionError(0.012, 0.0173, 0.12, relative)
    none = dict.fromkeys(("ann_accuracy", "snn_accuracy", "gap", "gap_interval", "agreement"))
    return replace(report, **none, regression=error, curve=())


@pytest.mark.parametrize(
    ("verdict", "misses", "expected"),
    [
        ("proved", (), "Every arrow holds"),
        ("failed", ("a",), "Not everything holds"),
        ("not shown", ("a",), "Not everything is shown yet"),
        ("not shown", ("a", "the gap is too large"), "Not everything holds"),
        ("proved", ("the gap is too large",), "Not everything holds"),
    ],
)
def test_the_headline_follows_arrows_and_misses(report, verdict, misses, expected):
    arrows = (*report.arrows[:2], Arrow("integer network -> spiking network", verdict, "claim"))
    assert headline(replace(report, arrows=arrows, misses=misses)) == expected


def test_an_empty_report_says_that_it_is_not_validated():
    assert str(Report.empty()).startswith("Not validated yet (no code chosen, 0 samples")


def test_fractions_of_counts_that_nobody_looked_at_are_dashes(report):
    layers = tuple(replace(x, comparisons=0, saturation=0.0, silent=0.0, spikes_per_neuron=None) for x in report.layers)
    text = str(replace(report, stepped_samples=0, comparisons=0, layers=layers))
    assert "0.00 %" not in text


def test_names_cannot_send_commands_to_the_terminal(named):
    text = str(named("a\x1b[2J\r\nb\u202e"))
    assert "a\\x1b[2J\\r\\nb\\u202e" in text
    assert not set(text) & set("\x1b\r\u202e")


def test_a_statistical_code_is_said_to_compare_and_to_prove_nothing():
    report = replace(Report.empty(code="rate", drain_bound=32), stepped_samples=3)
    assert quiet(report) == "stops after 32 steps"
    assert compared(report) == "no counts of 3 samples compared: the rate code does not carry them exactly"
