import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.errors import FileError
from spikeport.report import Arrow, Divergence, Raster, RegressionError, Report, figures
from spikeport.report.html import page

VOID = {"meta", "br", "hr", "img", "link", "input", "col"}
NO_ACCURACY = dict.fromkeys(("ann_accuracy", "snn_accuracy", "gap", "gap_interval", "agreement"))
HOSTILE = [
    '<script>alert("1")</script>',
    "\"><img src=x onerror='1'>",
    "</title></svg><b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;i&gt;",
]


class Page(HTMLParser):
    """Elements and texts of a page; fails where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def svgs(text: str) -> list[ET.Element]:
    """Every SVG of a page, read as XML."""
    found = [ET.fromstring(part) for part in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert len(found) == text.count("<svg")
    return found


def variants(report: Report) -> dict[str, Report]:
    """A report of every kind that there is."""
    unlabelled = replace(report, ann_accuracy=None, snn_accuracy=None, gap=None, gap_interval=None)
    failed = replace(report, mismatches=3, divergence=Divergence("fc", 3, (1,), 7, 8), misses=("3 differ",))
    nothing = replace(report, stepped_samples=0, comparisons=0, quiet_after=(), curve=(), raster=None, layers=())
    return {
        "labelled": report,
        "unlabelled": unlabelled,
        "regression": replace(report, **NO_ACCURACY, regression=RegressionError(0.1, 0.2, 0.3, 0.0231), curve=()),
        "undefined": replace(report, **NO_ACCURACY, regression=RegressionError(0.1, 0.2, 0.3, float("inf")), curve=()),
        "no interval": replace(report, gap_interval=None),
        "infinite": replace(report, gap=float("inf"), gap_interval=(float("-inf"), float("inf"))),
        "exact": replace(report, gap=0.0, gap_interval=(0.0, 0.0), tolerance=0.0),
        "failed": failed,
        "none stepped": nothing,
        "another code": report.without_stepping("graded", 3),
        "empty": Report.empty(),
        "one step": replace(
            report, curve=(100.0,), quiet_after=(0, 1), raster=Raster((("a", 1),), (0,), (0,), (5,), 1)
        ),
        "quiet raster": replace(report, raster=Raster((("a", 0),), (), (), (), 0)),
        "far bound": replace(report, drain_bound=10**9),
        "no arrows": replace(report, arrows=(), ledger=(), versions=()),
        "broken road": replace(report, arrows=(Arrow("a", "proved", "x"), Arrow("b -> c", "failed", "y"))),
    }


@pytest.mark.parametrize("kind", list(variants(Report.empty())))
def test_every_kind_of_report_is_a_page_of_balanced_tags_and_well_formed_figures(report, kind):
    text = page(variants(report)[kind])
    Page(text)
    svgs(text)
    assert not {"nan", "inf", "-inf"} & set(re.findall(r'="([^"]*)"', text))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_and_add_no_element(named, name):
    text = page(named(name))
    hostile, harmless = Page(text), Page(page(named("conv1")))
    assert hostile.tags == harmless.tags
    assert name in hostile.text
    assert name not in text or not set(name) & set('<>&"')
    assert [key for key, _ in hostile.attributes] == [key for key, _ in harmless.attributes]
    svgs(text)


@given(name=st.text(st.characters(codec=None), max_size=30))
def test_any_name_gives_well_formed_figures_in_utf_8(named, name):
    text = page(named(name))
    text.encode("utf-8")
    svgs(text)
    Page(text)


def test_characters_that_no_page_can_hold_become_escapes(named):
    text = page(named("a\x00\x1b\u202e\ud800b"))
    assert not set(text) & set("\x00\x1b\u202e\ud800")
    assert "outputs of a\\x00\\x1b\\u202e\\ud800b differ" in text


def test_the_page_needs_nothing_from_outside_and_no_script(report):
    text = page(report)
    found = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
    assert not {"src", "href", "onclick", "onload"} & {key for key, _ in found.attributes}
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search("https?:", text)


def test_language_title_headings_and_scopes_are_given(report):
    found = Page(page(report))
    assert ("lang", "en") in found.attributes
    assert "Every arrow holds – spikeport report" in found.text
    assert found.tags.count("h1") == 1
    assert found.tags.count("h2") >= 6
    scopes = [value for key, value in found.attributes if key == "scope"]
    assert len(scopes) == found.tags.count("th")
    ids = [value for key, value in found.attributes if key == "id"]
    assert len(ids) == len(set(ids))


def test_every_figure_has_a_title_and_a_description_or_is_hidden(report):
    for svg in svgs(page(report)):
        if svg.get("aria-hidden") != "true":
            assert svg.findtext("title")
            assert svg.findtext("desc")


def test_layers_ledger_arrows_misses_and_versions_all_appear(report):
    report = replace(report, misses=("first miss", "second miss"))
    text = Page(page(report)).text
    for layer in report.layers:
        assert layer.name in text
    for entry in report.ledger:
        assert entry.node in text
        assert f"{entry.error:.3g} {entry.unit}" in text
    for arrow in report.arrows:
        assert arrow.claim in text
        assert arrow.verdict in text
    assert {"first miss", "second miss", "0.1.0"} <= set(Page(page(report)).texts)


def test_figures_of_the_report_stand_on_the_page(report):
    text = Page(page(report)).text
    for figure in ("94.83 %", "94.61 %", "+0.22", "[−0.12, +0.54]", "98.71 %", "12,345", "1.23 %", "-3..15"):
        assert figure in text


def test_a_gap_beyond_the_tolerance_says_so():
    assert "within the tolerance" in figures.gap_figure(0.2, (-0.1, 0.9), 1.0)
    beyond = figures.gap_figure(0.2, (-0.1, 1.1), 1.0)
    assert "beyond the tolerance" in beyond
    assert 'class="mark bad"' in beyond


def test_the_raster_draws_every_spike_and_tells_signs_apart(report):
    (svg,) = svgs(figures.raster_figure(report.raster))
    paths = svg.findall("path")
    positive = "".join(path.get("d") for path in paths if "positive" in path.get("class"))
    negative = "".join(path.get("d") for path in paths if "negative" in path.get("class"))
    assert positive.count("M") == 2
    assert negative.count("M") == 2
    assert negative.count("h") == 4  # broken: two strokes a spike
    assert "conv1" in "".join(svg.itertext())


def test_marks_and_bands_of_the_raster_are_bounded_and_the_page_says_so(report):
    n = figures.MARKS + 7
    raster = Raster((("a", 1),), (0,) * n, (0,) * n, (1,) * n, 1)
    assert figures.raster_figure(raster).count("M") == figures.MARKS
    assert "20,000 of 20,007 spikes" in Page(page(replace(report, raster=raster))).text
    many = Raster(tuple((f"p{i}", 10**9) for i in range(500)), (0,), (10**11,), (1,), 10**9)
    svgs(figures.raster_figure(many))
    assert "120 of 500 populations" in figures.raster_limits(many)
    assert figures.raster_limits(report.raster) == ""


def test_long_curves_are_drawn_with_bounded_points():
    figure = figures.curve_figure([min(100.0, i / 50) for i in range(10_000)], [9_000, 10_000], 20_000)
    (svg,) = svgs(figure)
    assert svg.find("path").get("d").count("H") <= figures.POINTS + 2
    assert len(svg.findall("rect")) <= figures.BINS


CHARACTER = 6.6  # width of a character of 12 pixels, on average


def _assert_texts_inside(figure: str) -> None:
    (svg,) = svgs(figure)
    width = float(svg.get("viewBox").split()[2])
    for text in svg.findall("text"):
        at, size = float(text.get("x")), CHARACTER * len(text.text)
        start = at - {"end": size, "middle": size / 2}.get(text.get("text-anchor"), 0.0)
        assert -1 <= start <= start + size <= width + 1, text.text


POINTS = st.floats(-120, 120).map(lambda x: round(x, 3))


@given(gap=POINTS, interval=st.tuples(POINTS, POINTS).map(sorted), tolerance=st.floats(0, 100))
def test_texts_of_the_gap_stay_inside_its_figure(gap, interval, tolerance):
    _assert_texts_inside(figures.gap_figure(gap, tuple(interval), tolerance))


@given(
    curve=st.lists(st.floats(0, 100), max_size=99),
    quiet=st.lists(st.integers(0, 999), max_size=9),
    bound=st.integers(0, 2000),
)
def test_texts_of_the_curve_stay_inside_its_figure(curve, quiet, bound):
    _assert_texts_inside(figures.curve_figure(curve, quiet, bound))


def test_the_distribution_shows_every_sample(report):
    (svg,) = svgs(figures.curve_figure((), report.quiet_after, report.drain_bound))
    titles = [rect.findtext("title") for rect in svg.findall("rect")]
    assert [int(title.split()[0]) for title in titles] == [1, 1, 2, 1]


def test_the_file_is_written_whole_or_not_at_all(report, tmp_path):
    path = report.to_html(tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == page(report)
    with pytest.raises(FileError):
        report.to_html(tmp_path / "missing" / "report.html")
    with pytest.raises(ValueError, match="format code"):
        replace(report, agreement="no number").to_html(path)
    assert path.read_text(encoding="utf-8") == page(report)
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_claims_a_proved_bound_only_where_a_code_has_one(report):
    bounded = replace(report, quiet_after=(20, 30), drain_bound=32)
    assert "proved bound 32" in page(bounded)
    assert "proved bound" not in page(replace(bounded, code="rate"))
