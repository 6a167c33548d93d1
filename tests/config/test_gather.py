"""Where settings come from, which one holds, and what is said of those that are wrong."""

import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import spikeport
from spikeport.config import ConvertOptions, ProjectOptions, ValidateOptions, configuration, project_file, schema
from spikeport.config.toml import lines_of, read_toml
from spikeport.errors import FileError, OptionError, SpikeportError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spikeport.toml"
    path.write_text('model = "nets:mlp"\non = ["native"]\n\n[convert]\nlevels = 15\nseed = 1\n', encoding="utf-8")
    return path


def problems(path: Path | None, environment: dict[str, str] | None = None, *flags: str) -> list[str]:
    with pytest.raises(SpikeportError) as caught:
        configuration(path, environment or {}, flags)
    return [str(problem) for problem in caught.value.problems]


def written(tmp_path: Path, text: str, name: str = "spikeport.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_later_layers_hold_and_every_value_knows_where_it_came_from(file: Path) -> None:
    found = configuration(file, {"SPIKEPORT_CONVERT__SEED": "2", "SPIKEPORT_DEBUG": "1"}, ["convert.levels=7"])
    assert (found.options.convert.levels, found.options.convert.seed, found.options.model) == (7, 2, "nets:mlp")
    origins = {name: found.settings[name].origin for name in ("convert.levels", "convert.seed", "model", "on", "runs")}
    assert origins == {
        "convert.levels": "--set convert.levels",
        "convert.seed": "SPIKEPORT_CONVERT__SEED",
        "model": "spikeport.toml:1",
        "on": "spikeport.toml:2",
        "runs": "default",
    }
    assert configuration(file, {}).settings["convert.levels"].origin == "spikeport.toml:5"


def test_every_setting_is_shown_once(file: Path) -> None:
    shown = configuration(file, {}).settings
    sections = {"convert", "validate", "run", "nir", "targets"}
    expected = {field.name for field in fields(ProjectOptions)} - sections
    kinds = get_type_hints(ProjectOptions)
    expected |= {f"{section}.{field.name}" for section in sections - {"targets"} for field in fields(kinds[section])}
    assert set(shown) == expected


@pytest.mark.parametrize(("options", "function"), [(ConvertOptions, "convert"), (ValidateOptions, "validate")])
def test_sections_have_the_keywords_and_defaults_of_the_stages(options: type[Any], function: str) -> None:
    taken = inspect.signature(getattr(spikeport, function)).parameters
    for field in fields(options):
        assert taken[field.name].default == field.default, field.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle = 'x'\n", "spikeport.toml:1: modle is not known (did you mean model?)"),
        ("[convert]\n\nlevel = 3\n", "spikeport.toml:3: convert.level is not known (did you mean convert.levels?)"),
        ("[convrt]\nlevels = 3\n", "spikeport.toml:1: convrt is not known (did you mean convert?)"),
        ("convert = 3\n", "spikeport.toml:1: convert is 3, and is a section ([convert] with keys below it)"),
        ("[convert]\nlevels = '3'\n", "spikeport.toml:2: convert.levels is '3': should be a valid integer"),
        ("[convert]\nlevels = true\n", "spikeport.toml:2: convert.levels is True: should be a valid integer"),
        ("[run]\nduration = 'long'\n", "spikeport.toml:2: run.duration is 'long': should be a valid number"),
        ("on = 3\n", "spikeport.toml:1: on is 3: should be a valid tuple"),
        ("kind = 'nur'\n", "spikeport.toml:1: kind is 'nur': should be 'convert', 'hand-made' or 'nir'"),
        (
            "[targets.lohi2]\nx = 1\n",
            "spikeport.toml:2: targets.lohi2 is no installed backend (did you mean targets.loihi2?)",
        ),
        (
            "[targets.reference]\nx = 1\n",
            "spikeport.toml:2: targets.reference.x is not known (backend reference has no options)",
        ),
        ("[targets]\nloihi2 = 1\n", "spikeport.toml:2: targets.loihi2 is 1, and is a section ([targets.loihi2])"),
        ("on = ['lohi2']\n", "spikeport.toml:1: on: 'lohi2' is no installed backend (did you mean loihi2?)"),
        ("targets = 1\n", "spikeport.toml:1: targets has a section for each backend"),
    ],
)
def test_wrong_keys_and_values_are_named_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    (found,) = problems(written(tmp_path, text))
    assert found.replace("\n  hint: ", " (").startswith(said.rstrip(")"))


def test_all_that_is_wrong_is_said_at_once(file: Path) -> None:
    said = problems(
        file, {"SPIKEPORT_CONVERT__SEDE": "1", "SPIKEPORT_MODLE": "x"}, "convert.levels=many", "nonsense", "x.y=1"
    )
    assert [text.partition(":")[0] for text in said] == [
        "SPIKEPORT_CONVERT__SEDE",
        "SPIKEPORT_MODLE",
        "--set",
        "--set x.y",
        "--set convert.levels",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("native,loihi2", ("native", "loihi2")), ('["native"]', ("native",)), ("", ()), ("native", ("native",))],
)
def test_lists_of_names_may_have_commas_between(text: str, value: tuple[str, ...]) -> None:
    assert configuration(None, {"SPIKEPORT_ON": text}).options.on == value


def test_whole_numbers_are_numbers_and_texts_that_look_like_values_stay_texts_in_quotes() -> None:
    found = configuration(None, {}, ["run.duration=1", 'model="3"', "convert.steps=8", "weights=a b.pt"])
    assert (found.options.run.duration, found.options.model, found.options.convert.steps) == (1.0, "3", 8)
    assert found.options.weights == "a b.pt"
    (said,) = problems(None, {}, "model=3")
    assert said == "--set model: model is 3: should be a valid string"


def test_options_of_a_backend_are_held_against_its_own_dataclass(tmp_path: Path) -> None:
    (wrong,) = problems(written(tmp_path, "[targets.loihi2]\nneurons = 1\n"))
    assert "did you mean targets.loihi2.neuron?" in wrong
    assert problems(written(tmp_path, "[targets.loihi2]\nneuron = 1\n"))


def test_broken_toml_is_named_with_line_and_column(tmp_path: Path) -> None:
    (said,) = problems(written(tmp_path, "model = nets:mlp\n"))
    assert said.startswith("spikeport.toml:1:9: is no TOML")
    (said,) = problems(written(tmp_path, "a = 1\na = 2\n"))
    assert said.startswith("spikeport.toml:2:")
    path = tmp_path / "spikeport.toml"
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    assert problems(path)[0].startswith("spikeport.toml:2: is no text in UTF-8")
    path.write_bytes(b"#" * (2**20 + 1))
    assert "is larger than" in problems(path)[0]
    path.write_text("a = " + "[" * 100_000, encoding="utf-8")
    assert "is no TOML" in problems(path)[0]


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_toml(tmp_path / "nothing.toml")
    with pytest.raises(FileError, match="cannot be read"):
        read_toml(tmp_path)


def test_the_nearest_file_upwards_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    written(tmp_path, '[project]\nname = "x"\n[tool.spikeport]\nmodel = "m:n"\n', "pyproject.toml")
    written(tmp_path / "a", '[project]\nname = "y"\n', "pyproject.toml")  # says nothing of spikeport
    found = project_file(tmp_path / "a" / "b")
    assert found == tmp_path / "pyproject.toml"
    assert found is not None
    made = configuration(found, {})
    assert (made.options.model, made.settings["model"].origin) == ("m:n", "pyproject.toml:4")
    assert made.folder == tmp_path
    (said,) = problems(written(tmp_path, "[tool.spikeport.convert]\nlevel = 1\n", "pyproject.toml"))
    assert said.startswith("pyproject.toml:2: convert.level is not known")


def test_two_files_in_one_folder_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "[tool.spikeport]\n", "pyproject.toml")
    written(tmp_path, "\n")
    with pytest.raises(OptionError, match="keep those of one file"):
        project_file(tmp_path)


def test_lines_of_tables_texts_and_lists_of_several_lines() -> None:
    text = 'a = [ # x = [\n  "b = 1",\n]\nc = """\nd = 2\n"""\ne = \'#\' # f\n[g]\n"h i" = {j = 1}\nk.l = 2\n[[m]]\nn = 1\n'
    assert lines_of(text) == {
        ("a",): 1,
        ("c",): 4,
        ("e",): 7,
        ("g",): 8,
        ("g", "h i"): 9,
        ("g", "k"): 10,
        ("g", "k", "l"): 10,
        ("m",): 11,
        ("m", "n"): 12,
    }


def test_the_schema_knows_every_key_and_no_other() -> None:
    made = schema()
    assert set(made["properties"]) == {field.name for field in fields(ProjectOptions)}
    assert made["additionalProperties"] is False
    assert made["$defs"]["ConvertOptions"]["additionalProperties"] is False
    assert "loihi2" in made["properties"]["targets"]["properties"]
    json.dumps(made)
