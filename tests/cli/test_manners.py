"""What holds for every command: help with an example, JSON, quiet, and who is told what."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from spikeport.cli import main
from spikeport.cli.group import COMMANDS
from spikeport.cli.main import spikeport as group
from spikeport.progress import silenced, track

Captured = pytest.CaptureFixture[str]
ANSWERS = (
    ["version"],
    ["targets"],
    ["targets", "loihi2"],
    ["config", "show"],
    ["config", "schema"],
    ["completion", "bash"],
)
"""Commands that need nothing."""


def every() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in COMMANDS:
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield name, found
            for below, inner in found.commands.items():
                yield f"{name} {below}", inner
        else:
            yield name, found


ALL = dict(every())


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_what_it_does_with_an_example(name: str, capsys: Captured) -> None:
    assert main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:\n" in text
    assert f"spikeport {name}" in text.partition("Example:")[2]


@pytest.mark.parametrize("name", [name for name, found in ALL.items() if not isinstance(found, click.Group)])
def test_every_command_has_the_common_options(name: str) -> None:
    options = {option for parameter in ALL[name].params for option in parameter.opts}
    assert {"--json", "--quiet", "--verbose", "--debug"} <= options
    for parameter in ALL[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("words", ANSWERS)
def test_json_is_one_document_and_nothing_else(words: list[str], capsys: Captured) -> None:
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert isinstance(json.loads(captured.out), dict)
    assert captured.out.count("\n") == 1


def test_errors_are_documents_too(capsys: Captured) -> None:
    assert main(["targets", "lohi2", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["problems"][0]["why"]
    assert captured.err.startswith("error: ")


def test_quiet_says_results_and_errors_alone(
    tmp_path: object, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["targets", "lohi2", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    shown = []

    def bar(*given: object) -> FakeBar:
        shown.append(given)
        return FakeBar()

    monkeypatch.setattr("spikeport.progress._Bar", bar)
    with silenced():
        assert list(track([1, 2], "count")) == [1, 2]
    assert shown == []
    assert list(track([1, 2], "count")) == [1, 2]
    assert len(shown) == 1


class FakeBar:
    def expect(self) -> None: ...
    def advance(self) -> None: ...
    def close(self) -> None: ...


def test_verbose_shows_log_records_and_how_long_it_took(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def versions() -> dict[str, str]:
        logging.getLogger("spikeport.somewhere").info("was here")
        return {}

    monkeypatch.setattr("spikeport.cli.commands.versions", versions)
    assert main(["version", "--verbose"]) == 0
    err = capsys.readouterr().err
    assert "INFO spikeport.somewhere: was here" in err
    assert "took 0." in err
    assert main(["version"]) == 0
    assert capsys.readouterr().err == ""
    assert logging.getLogger("spikeport").handlers == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_script(shell: str, capsys: Captured) -> None:
    assert main(["completion", shell]) == 0
    assert "_SPIKEPORT_COMPLETE" in capsys.readouterr().out


def test_commands_are_completed_without_being_loaded() -> None:
    asked = {"_SPIKEPORT_COMPLETE": "bash_complete", "COMP_WORDS": "spikeport co", "COMP_CWORD": "1"}
    found = subprocess.run(
        [sys.executable, "-m", "spikeport"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == ["plain,compile", "plain,completion", "plain,config", "plain,convert"]


def test_pipes_get_no_colours_and_no_bars() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spikeport", "targets"],
        capture_output=True,
        check=False,
        env=os.environ | {"FORCE_COLOR": ""},
    )
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr


def test_help_says_the_exit_codes(capsys: Captured) -> None:
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for code in ("0 done", "1 the validation found", "2 misuse", "130 interrupted", "141 nobody reads"):
        assert code in text
