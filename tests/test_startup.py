"""What is loaded when: importing the package and asking for help need nothing heavy."""

import subprocess
import sys

import click
import pytest

import spikeport
from spikeport.cli.group import COMMANDS
from spikeport.cli.main import spikeport as group

HEAVY = ("torch", "numpy", "h5py", "nir", "jinja2", "rich", "click")


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_the_package_loads_no_package_of_others() -> None:
    heavy = f"import sys, spikeport; print([n for n in {HEAVY!r} if n in sys.modules])"
    assert python(heavy) == "[]\n"


def test_help_loads_click_alone() -> None:
    code = f"import sys; from spikeport.cli import main; main(['--help']); print([n for n in {HEAVY!r} if n in sys.modules])"
    assert python(code).endswith("['click']\n")


def test_functions_are_not_hidden_by_modules_of_their_name() -> None:
    code = (
        "import spikeport.convert, spikeport.validate, spikeport.check, spikeport.targets, spikeport as sp\n"
        "import spikeport.compile\n"
        "print([callable(f) for f in (sp.convert, sp.validate, sp.check, sp.targets, sp.compile)])"
    )
    assert python(code) == f"{[True] * 5}\n"


def test_rooms_are_there_without_being_imported_by_name() -> None:
    assert python("import spikeport as sp; print(sp.network.default_contract.__name__)") == "default_contract\n"


def test_what_is_no_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'convrt'"):
        spikeport.convrt
    assert not hasattr(spikeport, "_nothing")
    assert set(spikeport.__all__) <= set(dir(spikeport))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_help_says(name: str) -> None:
    with click.Context(group) as ctx:
        found = group.get_command(ctx, name)
    assert found is not None
    assert found.name == name
    assert found.get_short_help_str(200) == COMMANDS[name][1]
