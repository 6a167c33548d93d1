"""The catalog holds what it claims to; a broken description is refused with all that is wrong with it."""

from pathlib import Path
from typing import Any, get_args, get_origin

import pytest

from spikeport.errors import FileError, OptionError, TargetError
from spikeport.targets import FACTS, Confidence, Fact, Target, find_target, load_target, target_names
from spikeport.targets.catalog import LARGEST_FILE, kinds, read_target

NAMES = (
    "akida1000",
    "akida1500",
    "brainscales2",
    "fpga",
    "loihi1",
    "loihi2",
    "speck",
    "spinnaker1",
    "spinnaker2",
    "xylo",
)
SMALL = """
name = "tiny"
title = "Tiny"
vendor = "Nobody"
weight_bits = { value = 4, source = "sheet, page 1", confidence = "document" }
"""


def facts(target: Target) -> dict[str, Fact[Any]]:
    return {name: fact for name in FACTS if (fact := getattr(target, name)) is not None}


def problems(text: str) -> list[str]:
    with pytest.raises(TargetError) as caught:
        read_target(text.encode(), "my.toml")
    return [str(problem) for problem in caught.value.problems]


def test_the_catalog_has_these_chips() -> None:
    assert target_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_chip_loads_under_the_name_of_its_file_with_a_source_for_every_fact(name: str) -> None:
    target = find_target(name)
    assert target.name == name
    assert target.title
    assert target.vendor
    for key, fact in facts(target).items():
        assert len(fact.source) > 5, key
        assert fact.confidence in get_args(Confidence), key
        assert fact.unit == FACTS[key].metadata["unit"]
        assert not (fact.enforced and fact.confidence == "memory"), key
        assert ".md" not in fact.source or "docs/" in fact.source, f"{key}: a source is a document that others have"


@pytest.mark.parametrize("name", NAMES)
def test_every_chip_says_what_decides_whether_it_can_carry_a_network(name: str) -> None:
    target = find_target(name)
    for key in ("neurons", "features", "synapses", "execution", "arithmetic", "placement", "cores", "weight_bits"):
        assert getattr(target, key) is not None, key
    for key in ("dynamics_simulator", "mapping_simulator"):
        assert getattr(target, key) is not None, key


@pytest.mark.parametrize("name", NAMES)
def test_values_have_the_types_that_target_declares(name: str) -> None:
    for key, fact in facts(find_target(name)).items():
        kind = kinds()[key]
        if get_origin(kind) in (frozenset, tuple):
            assert type(fact.value) is get_origin(kind)
            values, kind = fact.value, get_args(kind)[0]
        else:
            values = (fact.value,)
        for value in values:
            assert value in get_args(kind) if get_args(kind) else type(value) is kind, key


def test_facts_that_others_measured_are_these() -> None:
    """A handful of values that decide most: a slip of the pen in a file is seen here."""
    loihi1, loihi2, xylo = (find_target(name) for name in ("loihi1", "loihi2", "xylo"))
    assert loihi2.limit("state_bits") - loihi2.limit("fraction_bits") == 18  # sums within 2**17
    assert loihi1.limit("arrival_bits") - loihi1.limit("fraction_bits") == 16  # and here within 2**15
    assert (loihi1.limit("neurons_per_core"), loihi2.limit("neurons_per_core")) == (1024, 8192)
    assert (xylo.limit("hidden_max"), xylo.limit("outputs_max"), xylo.limit("inputs_max")) == (1000, 8, 16)
    assert (xylo.limit("payload_max"), xylo.limit("compare"), loihi2.limit("compare")) == (31, ">=", ">")
    assert find_target("akida1000").limit("payload_caps") == (1, 3, 15)
    assert sum(find_target("speck").limit("core_weight_words")) == 278528
    assert loihi2.limit("synapse_bits_per_core") is None  # from memory: mentioned, never refused for
    assert loihi2.known("synapse_bits_per_core") == 192 * 1024 * 8


def test_an_unknown_chip_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(OptionError, match=r"'loihi' is not known\n  hint: did you mean 'loihi[12]'"):
        find_target("loihi")
    with pytest.raises(OptionError, match="one of akida1000, akida1500"):
        find_target("../../etc/passwd")


def test_a_chip_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(SMALL)
    target = load_target(path)
    assert target.weight_bits == Fact(4, "bit", "sheet, page 1", "document", True)
    assert target.limit("weight_bits") == 4
    assert target.cores is None


def test_what_is_known_from_memory_is_not_enforced_unless_it_is_said_and_then_refused() -> None:
    text = SMALL.replace('"document"', '"memory"')
    assert read_target(text.encode(), "my.toml").limit("weight_bits") is None
    assert problems(text.replace(" }", ", enforced = true }")) == [
        "my.toml: weight_bits: is enforced from memory\n  hint: look it up, or set enforced = false"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("weight_bit = 1", "my.toml: weight_bit: is no field of a target\n  hint: did you mean 'weight_bits'?"),
        ("cores = 128", "my.toml: cores: says neither source nor confidence\n  hint: write cores = { value"),
        ('cores = { value = 1, source = "s" }', "my.toml: cores: has no confidence"),
        ('cores = { value = 1, confidence = "source" }', "my.toml: cores: has no source"),
        ('cores = { source = "s", confidence = "source" }', "my.toml: cores: has no value"),
        (
            'cores = { value = 1, source = "s", confidence = "sauce" }',
            "my.toml: cores: confidence: 'sauce' is none of its values\n  hint: did you mean 'source'?",
        ),
        (
            'cores = { value = 1, source = "s", confidence = "source", enforce = true }',
            "my.toml: cores: 'enforce' is no part of a fact\n  hint: did you mean 'enforced'?",
        ),
        (
            'cores = { value = 1, source = "s", confidence = "source", enforced = "yes" }',
            "my.toml: cores: enforced: 'yes' is neither true nor false",
        ),
        ('cores = { value = "8", source = "s", confidence = "source" }', "my.toml: cores: '8' is not an integer"),
        ('cores = { value = true, source = "s", confidence = "source" }', "my.toml: cores: True is not an integer"),
        ('cores = { value = 1.0, source = "s", confidence = "source" }', "my.toml: cores: 1.0 is not an integer"),
        ('cores = { value = -1, source = "s", confidence = "source" }', "my.toml: cores: -1 is less than no core"),
        ('strides = { value = [1, -1], source = "s", confidence = "source" }', "[1, -1] is less than no place"),
        ('strides = { value = [1, [2]], source = "s", confidence = "source" }', "my.toml: strides: [2] is not an int"),
        ('strides = { value = 2, source = "s", confidence = "source" }', "my.toml: strides: 2 is no list"),
        ('dt_min = { value = nan, source = "s", confidence = "source" }', "my.toml: dt_min: nan is not a number"),
        ('skips = { value = 1, source = "s", confidence = "source" }', "my.toml: skips: 1 is not true or false"),
        ('cores = { value = 1, source = " ", confidence = "source" }', "my.toml: cores: source: ' ' is not a line"),
        (
            'compare = { value = "=>", source = "s", confidence = "source" }',
            "my.toml: compare: '=>' is none of its values\n  hint: one of >, >=",
        ),
        (
            'features = { value = ["paylod", "clock"], source = "s", confidence = "source" }',
            "my.toml: features: 'paylod' is none of its values\n  hint: did you mean 'payload'?",
        ),
        ('notes = "one"', "my.toml: notes: is no list"),
        ("notes = [1]", "my.toml: notes: 1 is not a line of text"),
        ("cores = ", "my.toml: is not TOML: Invalid value"),
        ('title = "again"', "my.toml: is not TOML: Cannot overwrite a value"),
    ],
)
def test_a_broken_description_is_an_error_that_names_file_key_and_nearest_name(line: str, expected: str) -> None:
    (found,) = problems(SMALL + line)
    assert expected in found


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["neurons_per_core = 1"], "neurons_per_core: is of cores that hold slices, and placement is 'chip'"),
        (["placement = 'layers'", "axons_in_per_core = 1"], "axons_in_per_core: is of cores that hold slices"),
        (["placement = 'slices'", "core_neuron_words = [1]"], "core_neuron_words: is of cores that hold layers"),
        ([f"cores = {2**53 + 1}"], "cores: is beyond 9,007,199,254,740,992"),
        (["weight_bits = 1025"], "weight_bits: is beyond 1,024"),
        (["strides = []"], "strides: is an empty list"),
        ([f"cores = {'9' * 5000}"], "my.toml: is not TOML"),
    ],
)
def test_what_could_not_be_enforced_is_refused(lines: list[str], why: str) -> None:
    facts = (line.split(" = ") for line in lines)
    text = "\n".join(f'{key} = {{ value = {value}, source = "s", confidence = "source" }}' for key, value in facts)
    head = 'name = "my"\ntitle = "My"\nvendor = "me"\n'
    [found] = problems(head + text)
    assert why in found
    mentioned = head + text.replace('"source" }', '"source", enforced = false }')
    if "is of cores" in why:
        read_target(mentioned.encode(), "my.toml")  # what is not enforced may be mentioned


@pytest.mark.parametrize("key", ["cores", "weight_bits"])
def test_the_largest_number_is_read(key: str) -> None:
    largest = 2**53 if key == "cores" else 1024
    text = f'name = "my"\ntitle = "My"\nvendor = "me"\n{key} = {{ value = {largest}, source = "s", confidence = "source" }}'
    assert read_target(text.encode(), "my.toml").limit(key) == largest


def test_all_problems_come_at_once() -> None:
    text = """
        name = "Not A Name"
        title = "a\\u001bb"
        colour = "red"
        cores = { value = 2, source = "s", confidence = "source" }
        placement = { value = "layers", source = "s", confidence = "source" }
        core_weight_words = { value = [1], source = "s", confidence = "source" }
        payload_min = { value = 2, source = "s", confidence = "source" }
        payload_max = { value = 1, source = "s", confidence = "source" }
        reset = { value = ["none", "zero"], source = "s", confidence = "source", enforced = 1 }
    """
    assert [line.partition("\n")[0] for line in problems(text)] == [
        "my.toml: title: 'a\\x1bb' is not a line of text",
        "my.toml: colour: is no field of a target",
        "my.toml: reset: enforced: 1 is neither true nor false",
        "my.toml: reset: 'zero' is none of its values",
        "my.toml: vendor: is missing",
        "my.toml: name: 'Not A Name' cannot be the name of a target",
        "my.toml: payload_min: 2 is more than payload_max, 1",
        "my.toml: core_weight_words: has 1 entries for 2 cores",
    ]


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        load_target(tmp_path / "missing.toml")
    contents = {b"\xff\xfe": "is not TOML", b" " * (LARGEST_FILE + 1): "is larger than"}
    contents[f"{SMALL}cores = {'[' * 100_000}".encode()] = "is not TOML"
    for content, why in contents.items():
        with pytest.raises(TargetError, match=why):
            read_target(content, "my.toml")
