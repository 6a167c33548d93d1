"""The group of commands, and what becomes of errors."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click

from spikeport.cli.console import Console, OutputClosedError
from spikeport.cli.group import LazyGroup
from spikeport.errors import Problem, SpikeportError
from spikeport.progress import silenced
from spikeport.version import __version__

MISUSE = 2
INTERRUPTED = 130
READER_GONE = 141  # what a shell shows of a command that SIGPIPE ended

NEED_TORCH = ("torch", "safetensors")


@click.group(
    cls=LazyGroup,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="spikeport", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks; so does SPIKEPORT_DEBUG=1.")
def spikeport() -> None:
    """From a trained PyTorch model to a spiking network that is proved and measured.

    Results go to standard output, messages to standard error. Exit codes: 0 done, 1 the validation found something or a target cannot carry it,
    2 misuse or an error, 130 interrupted, 141 nobody reads the output any more. Bars and colours are for terminals alone; --quiet says
    nothing but results and errors, --json gives one JSON document, for errors too.

    \b
    Example:
      spikeport convert nets:mlp train.npz -o mlp.spk
      spikeport validate mlp.spk test.npz
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        args: words after `spikeport`; by default those of this process.
    """
    words = list(sys.argv[1:] if args is None else args)
    debug = _given("--debug", words) or os.environ.get("SPIKEPORT_DEBUG", "") not in ("", "0")
    quiet = _given("--quiet", words) or _given("-q", words)
    console = Console(json=_given("--json", words), debug=debug, out=sys.stdout, err=sys.stderr, quiet=quiet)
    try:
        with silenced(quiet), _verbose(console, _given("--verbose", words)):
            code = spikeport.main(words, prog_name="spikeport", standalone_mode=False, obj=console)
    except OutputClosedError:
        _drop_output()
        return READER_GONE
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, click.Abort) or _by_interrupt(error):
            console.fail("Interrupted", [Problem("spikeport", "was interrupted")], error)
            return INTERRUPTED
        kind, problems = explained(error)
        console.fail(kind, problems, error)
        return MISUSE
    return code if isinstance(code, int) else 0


@contextmanager
def _verbose(console: Console, wanted: bool) -> Iterator[None]:
    """Log records on standard error inside the block, and how long it took at its end."""
    if not wanted:
        yield
        return
    log, start = logging.getLogger("spikeport"), time.perf_counter()
    handler = logging.StreamHandler(console.err)
    handler.setFormatter(logging.Formatter("%(relativeCreated)8.0f ms %(levelname)s %(name)s: %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        console.tell(f"took {time.perf_counter() - start:.2f} s")


def explained(error: BaseException) -> tuple[str, list[Problem]]:
    """The kind of an error, and its problems.

    >>> explained(FileNotFoundError(2, "No such file or directory", "x.npz"))
    ('FileNotFoundError', [Problem(where='x.npz', why='No such file or directory', hint='')])
    """
    kind = type(error).__name__
    match error:
        case SpikeportError():
            return kind, list(error.problems)
        case click.UsageError():
            where = error.ctx.command_path if error.ctx else "spikeport"
            return "UsageError", [Problem(where, error.format_message(), f"see {where} --help")]
        case click.ClickException():
            return kind, [Problem("spikeport", error.format_message())]
        case ModuleNotFoundError() if (error.name or "").partition(".")[0] in NEED_TORCH:
            return kind, [Problem(str(error.name), "is not installed", "pip install spikeport[torch]")]
        case OSError(filename=str() as name, strerror=str() as why):
            return kind, [Problem(name, why)]
        case MemoryError():
            return kind, [
                Problem("memory", str(error) or "there is not enough", "give fewer samples or smaller batches")
            ]
        case _:
            frames = traceback.extract_tb(error.__traceback__)
            place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
            hint = "--debug shows the traceback; if the fault is not in your model, please report it"
            return kind, [Problem("spikeport", f"stopped with {kind}: {error}{place}", hint)]


def _given(flag: str, words: Sequence[str]) -> bool:
    """Whether a flag stands among the options; known before click parses, so that its errors are shown right."""
    options = words[: words.index("--")] if "--" in words else words
    return flag in options


def _by_interrupt(error: BaseException) -> bool:
    """Whether an error came of Ctrl-C: some libraries stumble over their own half-finished work when it reaches them."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, KeyboardInterrupt):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not complain about it on its way out."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
