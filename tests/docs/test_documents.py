"""The documents hold: their Python runs, their commands exist, their links lead somewhere."""

import doctest
import linecache
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import dropwhile, groupby, takewhile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNNING = [path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if path.exists()]
DOCUMENTS = [*RUNNING, ROOT / "CONTRIBUTING.md", ROOT / "changes" / "README.md"]

FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)[^`]*")
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
OTHER_TOOLS = {".", "cat", "cd", "curl", "git", "ls", "pip", "sha256sum", "tar", "unzip", "xdg-open"}
PROJECT = {"train.py"}
"""Scripts that `spikeport init` writes."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is the number of its first line of text."""

    language: str
    text: str
    line: int
    above: str


def blocks(document: str) -> Iterator[Block]:
    """The fenced blocks of a document, in order; a fence of more backticks may hold fences of fewer."""
    lines = document.splitlines()
    number = 0
    while number < len(lines):
        fence = FENCE.fullmatch(lines[number])
        start = number = number + 1
        if not fence:
            continue
        while number < len(lines) and lines[number].strip() != fence["ticks"]:
            number += 1
        assert number < len(lines), f"line {start}: the block never ends"
        text = "".join(f"{line.removeprefix(fence['indent'])}\n" for line in lines[start:number])
        above = next((line.strip() for line in reversed(lines[: start - 1]) if line.strip()), "")
        yield Block(fence["language"], text, start + 1, above)
        number += 1


def prose(document: str) -> str:
    """A document without its fenced blocks and inline code."""
    lines = document.splitlines()
    for block in blocks(document):
        end = block.line - 1 + block.text.count("\n")
        lines[block.line - 1 : end] = [""] * (end - block.line + 1)
    return re.sub(r"`[^`\n]+`", "", "\n".join(lines))


def commands(block: Block) -> Iterator[list[str]]:
    """The words of the commands on `$ ` lines, without `NAME=value` in front or pipes and redirections behind."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if not line.startswith("$ "):
            continue
        lexer = shlex.shlex(line[2:], posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for together, words in groupby(lexer, lambda word: word in ("&&", ";")):
            if not together:
                command = takewhile(lambda word: word not in ("|", ">", ">>", "<"), words)
                if rest := list(dropwhile(re.compile(r"[A-Z_]+=").match, command)):
                    yield rest


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@cache
def command_help(*words: str) -> str | None:
    """What `spikeport WORDS --help` prints, or None where there is no such command."""
    start = "import sys\nfrom spikeport.cli import main\nsys.argv[0] = 'spikeport'\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", start, *words, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout if done.returncode == 0 else None


GROUPS = ("fpga", "nir")
"""Commands whose first argument is a command of theirs."""


def trouble(words: list[str]) -> str | None:
    """Why a reader could not type this command, as far as a glance can tell."""
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    match [Path(words[0]).name or words[0], *words[1:]]:
        case ["make", *arguments]:
            missing = {word for word in arguments if "=" not in word} - make_targets()
            return f"the Makefile has no {', '.join(sorted(missing))}" if missing else None
        case ["spikeport", *arguments]:
            command = arguments[:1] if arguments and not arguments[0].startswith("-") else []
            if command and command[0] in GROUPS:
                command = arguments[:2]
            text = command_help(*command)
            if text is None:
                return "the command line has no such command"
            missing = {option for option in options if not re.search(rf"{option}(?![\w-])", text)}
            return f"it has no {', '.join(sorted(missing))}" if missing else None
        case ["python" | "python3", "-m", module, *_]:
            return None if find_spec(module.partition(".")[0]) else f"there is no module {module}"
        case ["python" | "python3", script, *_]:
            return None if script in PROJECT or (ROOT / script).is_file() else f"there is no file {script}"
        case [tool, *_] if tool in OTHER_TOOLS:
            return None
        case _:
            return "make, spikeport, python or a tool in OTHER_TOOLS is expected"


def run_block(block: Block, path: Path, module: ModuleType) -> None:
    """Run one block in the module's namespace; tracebacks name the document's own lines."""
    if ">>> " in block.text:
        example = doctest.DocTestParser().get_doctest(block.text, module.__dict__, path.name, str(path), block.line - 1)
        example.globs = module.__dict__  # the parser made a copy; later blocks go on where this one ends
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        said: list[str] = []
        failed, _ = doctest.DocTestRunner(optionflags=flags).run(example, out=said.append, clear_globs=False)
        assert not failed, "".join(said)
    else:
        exec(compile("\n" * (block.line - 1) + block.text, str(path), "exec", dont_inherit=True), module.__dict__)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", RUNNING, ids=name_of)
def test_python_blocks_run_in_order(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # what a document writes goes there
    module = ModuleType("document")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses and torch look their module up
    python = [block for block in blocks(path.read_text("utf-8")) if block.language == "python"]
    run = [block for block in python if not NOT_RUN.fullmatch(block.above)]
    for package in ("torch", "nengo"):
        used = any(re.search(rf"^(>>> )?(import|from) {package}\b", block.text, re.M) for block in run)
        if used and not find_spec(package):
            pytest.skip(f"imports {package}, which is not installed")
    lines = ["\n"] * max((block.line + block.text.count("\n") for block in run), default=0)
    for block in run:
        if ">>> " not in block.text:
            lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = block.text.splitlines(keepends=True)
    # `inspect` and torch read the source of what they are handed: show them the document as the Python in it
    monkeypatch.setitem(linecache.cache, str(path), (sum(map(len, lines)), None, lines, str(path)))
    for block in run:
        run_block(block, path, module)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_block_that_is_not_run_says_why(path: Path) -> None:
    marks = re.findall(r"<!--\s*not run.*?-->", prose(path.read_text("utf-8")), re.DOTALL)
    assert [mark for mark in marks if not NOT_RUN.fullmatch(mark)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_exist(path: Path) -> None:
    found = [
        f"{path.name}:{block.line}: $ {shlex.join(words)}: {why}"
        for block in blocks(path.read_text("utf-8"))
        if block.language == "console"
        for words in commands(block)
        if (why := trouble(words))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_named_bench_files_exist(path: Path) -> None:
    named = set(re.findall(r"\bbench/[\w./-]*\w\.\w+", path.read_text("utf-8")))
    assert sorted(file for file in named if not (ROOT / file).is_file()) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_of_the_repository(path: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(prose(path.read_text("utf-8")))]
    inside = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    broken = [
        target
        for target in inside
        if not (place := (path.parent / target).resolve()).exists() or not place.is_relative_to(ROOT)
    ]
    assert broken == []


def test_the_readers_of_this_file_work() -> None:
    document = "````text\n```python\n1 / 0\n```\n````\n<!-- not run: because -->\n\n```python\nx\n```\n[a](b.md#c)"
    assert [(block.language, block.line, block.above) for block in blocks(document)] == [
        ("text", 2, ""),
        ("python", 9, "<!-- not run: because -->"),
    ]
    assert LINK.findall(prose(document)) == ["b.md#c"]
    console = Block("console", "$ CI=1 make \\\n  venv | tail # x\nmade\n$ make nothing && rm x\n", 1, "")
    assert list(commands(console)) == [["make", "venv"], ["make", "nothing"], ["rm", "x"]]
    assert [trouble(words) is None for words in commands(console)] == [True, False, False]
