"""The errors of spikeport: where it went wrong, why, and what to try.

Every error a user can cause is a `SpikeportError` that carries one or several `Problem`s. All problems
of a network are gathered and raised at once, so that ten nodes are fixed in one go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    >>> print(Problem("conv2.pool", "max pooling has no spiking form", "train with average pooling"))
    conv2.pool: max pooling has no spiking form
      hint: train with average pooling
    """

    where: str
    why: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.why}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class SpikeportError(Exception):
    """The root of the family; `problems` lists everything that is wrong."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[SpikeportError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class DataError(SpikeportError, ValueError):
    """Input data that cannot be used: empty, of the wrong shape or type, not finite, out of range."""


class OptionError(SpikeportError, ValueError):
    """An option outside its range, or two that contradict each other."""


class GraphError(SpikeportError, ValueError):
    """A graph or network that is not well formed: names, order, shapes or values."""


class CaptureError(SpikeportError):
    """A model that cannot become a `Graph`; lists every unsupported operation with file and line."""


class QuantizeError(SpikeportError):
    """A layer that has no integer form with the given widths."""


class TargetError(SpikeportError, ValueError):
    """A description of a chip that is not well formed; lists everything that is wrong, by key."""


class LowerError(SpikeportError):
    """A network that a target cannot carry; lists everything in the way, by node."""


class BackendError(SpikeportError, RuntimeError):
    """A backend that is missing, cannot be loaded, or was written for another contract; a program that is not its own; a session that is closed."""


class ProofError(SpikeportError):
    """Two stages that must agree do not: a bug of ours, or a model that does not always compute the same."""


class FileError(SpikeportError, OSError):
    """A file that cannot be written or read."""


class ArchiveError(FileError):
    """A `.spk` file that is truncated, altered, too large, or not one at all."""


class LavaError(FileError, ValueError):
    """A lava-dl file that is damaged, unreasonable, or holds what cannot be carried; lists everything by layer."""


class NengoError(SpikeportError, ValueError):
    """A network of Nengo that holds what cannot be carried; lists everything by path."""


class NirError(SpikeportError, ValueError):
    """A network that NIR cannot say, or a NIR file whose meaning is not declared."""


class PyNNError(SpikeportError, ValueError):
    """A network of PyNN that cannot be carried; lists everything in the way, by label."""


class NativeError(SpikeportError, RuntimeError):
    """The native kernels are missing, or refuse an argument or an instruction set."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a long run: what was finished by then is kept.

    It is a `KeyboardInterrupt`, so that whoever does not ask for the finished part sees what Ctrl-C always does.
    """

    def __init__(self, finished: Any, done: int, wanted: int, unit: str = "samples") -> None:
        super().__init__(f"interrupted after {done:,} of {wanted:,} {unit}")
        self.finished = finished
        """The recording of the first `done` samples, or steps of a network with dynamics; None if there are none."""
        self.done, self._wanted, self._unit = done, wanted, unit

    def __reduce__(self) -> tuple[type[Interrupted], tuple[Any, int, int, str]]:
        return type(self), (self.finished, self.done, self._wanted, self._unit)
