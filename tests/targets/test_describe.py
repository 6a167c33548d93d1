"""What a reader sees of targets: text, Markdown, JSON, and the page in the documentation."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from spikeport.targets import FACTS, Fact, Target, find_target, target_names
from spikeport.targets.__main__ import BEGIN, END, with_tables
from spikeport.targets.describe import MARKS, as_markdown, as_text, as_values, sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "targets.md"
TINY = Target(
    name="tiny",
    title="Tiny <b>",
    vendor="Nobody | Co",
    notes=("A note.",),
    cores=Fact(1024, "core", "a book", "document", True),
    reset=Fact(frozenset(["to zero", "subtract"]), "", "a [link](x) | y", "memory", False),
)


def test_the_page_in_the_documentation_is_made_of_the_catalog() -> None:
    page = PAGE.read_text("utf-8")
    assert BEGIN in page
    assert END in page
    assert with_tables(page) == page, "run: python -m spikeport.targets docs/targets.md"


def test_every_fact_stands_in_one_section() -> None:
    assert [name for names in sections().values() for name in names] == list(FACTS)
    assert all(sections().values())


def test_the_page_says_what_every_name_and_mark_means() -> None:
    prose = PAGE.read_text("utf-8").partition(BEGIN)[0]
    for confidence, letter in MARKS.items():
        assert f"| {letter} | `{confidence}` |" in prose


@pytest.mark.parametrize("name", target_names())
def test_text_and_json_have_every_fact_of_a_chip(name: str) -> None:
    target = find_target(name)
    text, values = as_text(target), json.loads(json.dumps(as_values(target), allow_nan=False))
    assert max(map(len, text.splitlines())) <= 120
    known = {f.name for f in fields(Target) if f.name in FACTS and getattr(target, f.name) is not None}
    assert values["facts"].keys() == known
    for key in known:
        assert f"\n  {key} " in text
        assert values["facts"][key]["source"] == getattr(target, key).source
    assert [note in " ".join(text.split()) for note in target.notes] == [True] * len(target.notes)


def test_text_says_value_unit_confidence_and_source() -> None:
    assert as_text(replace(TINY, notes=())).splitlines()[:8] == [
        "Tiny <b> (tiny), Nobody | Co",
        "",
        "what it computes",
        "  reset                 subtract, to zero",
        "                        memory, not enforced: a [link](x) | y",
        "",
        "resources",
        "  cores                 1,024 cores",
    ]


def test_what_is_not_known_is_listed() -> None:
    last = " ".join(as_text(TINY).rpartition("\n\n")[2].split())
    assert last.startswith("Unknown, or without a limit: neurons, integrators, features, synapses,")
    assert "cores" not in last.split(": ")[1].replace(".", "").split(", ")


def test_names_are_escaped_in_markdown() -> None:
    lines = as_markdown([TINY]).splitlines()
    assert "### Tiny \\<b\\>" in lines
    assert "| `reset` | subtract, to zero | memory, not enforced | a \\[link\\](x) \\| y |" in lines
    assert "| `reset` | what a spike does to the potential | (subtract, to zero) M |" in lines
    assert "| `cores` | cores of the chip | 1,024 D |" in lines


def test_json_is_the_same_in_every_run() -> None:
    assert as_values(TINY)["facts"]["reset"] == {
        "value": ["subtract", "to zero"],
        "unit": "",
        "meaning": "what a spike does to the potential",
        "source": "a [link](x) | y",
        "confidence": "memory",
        "enforced": False,
    }
