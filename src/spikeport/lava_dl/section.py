"""Strict reading of a group of the file: every value is checked, every problem is kept, nothing that is there goes unread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.storage.hdf5 import Tree

LARGEST = 2**31
"""Numbers in these files are far smaller."""
MOST = 2**26
"""Numbers of an array, which are held in eight bytes each while they are read."""
COMPLEX = ("is complex: real and imaginary weights are of resonators", "train with CUBA or sigma-delta neurons")
"""Why and hint of weights that are a group."""


class Section:
    """A group, where it stands, and the list that collects what is wrong; a wrong value reads as a harmless one."""

    def __init__(self, tree: Tree, where: str, problems: list[Problem]) -> None:
        self.tree = tree
        self.where = where
        self.problems = problems
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tree

    def wrong(self, name: str, why: str, hint: str = "") -> None:
        """Keep a problem of the entry `name`, or of the group itself where that is empty."""
        self.problems.append(Problem(f"{self.where}/{name}".rstrip("/"), why, hint))

    def skip(self, *names: str) -> None:
        """Entries that have no meaning outside of training, or repeat what is read elsewhere."""
        self._read.update(names)

    def rest(self) -> None:
        """Refuse what nobody read: it would mean something."""
        for name in sorted(set(self.tree) - self._read):
            hint = "if it has no meaning when the network runs, remove it from the file"
            self.wrong(name[:100], "is an entry that this reader does not know", hint)

    def get(self, name: str) -> Any:
        """The entry as it is stored, which counts as read; None if there is none."""
        self._read.add(name)
        return self.tree.get(name)

    def group(self, name: str) -> Section | None:
        """A group within; None if there is none."""
        found = self.get(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            self.wrong(name, "is not a group")
            return Section({}, f"{self.where}/{name}", [])  # what it lacks is no problem of its own
        return Section(found, f"{self.where}/{name}", self.problems)

    def text(self, name: str) -> str:
        found = self.get(name)
        if not isinstance(found, str):
            self.wrong(name, "is missing" if found is None else "is not a text")
            return ""
        return found

    def whole(self, name: str, low: int, high: int, *, default: int | None = None) -> NDArray[np.int64]:
        """An array of whole numbers from `low` to `high`; shape () where it is missing or wrong."""
        found = self.get(name)
        harmless = np.array(min(max(low, 1 if default is None else default), high), dtype=np.int64)
        if found is None:
            if default is None:
                self.wrong(name, "is missing", "export the network again with lava-dl")
            return harmless
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf" or found.size == 0:
            self.wrong(name, "is not an array of numbers")
        elif found.dtype.kind == "f" and not np.isfinite(found).all():
            self.wrong(name, "is not finite everywhere")
        elif found.size > MOST:
            self.wrong(name, f"holds {found.size:,} numbers, more than {MOST:,}")
        elif max(-float(found.min()), float(found.max())) >= LARGEST or (found != np.rint(found)).any():
            hint = "lava-dl exports whole numbers where its quantization is on: leave `pre_hook_fx` to the block"
            self.wrong(name, "is not made of whole numbers", hint)
        elif not (low <= found.min() and found.max() <= high):
            self.wrong(name, f"runs from {int(found.min())} to {int(found.max())}, and can be {low} to {high}")
        else:
            return found.astype(np.int64)
        return harmless

    def integer(self, name: str, low: int, high: int, *, default: int | None = None) -> int:
        """One whole number."""
        found = self.whole(name, low, high, default=default)
        if found.size != 1:
            self.wrong(name, f"holds {found.size:,} numbers, and should be one")
            return low
        return int(found.reshape(())[()])

    def flag(self, name: str) -> bool:
        """A truth value, false where it is missing."""
        found = self.get(name)
        if found is None:
            return False
        if not isinstance(found, np.ndarray) or found.size != 1 or found.dtype.kind not in "biu":
            self.wrong(name, "is not a truth value")
            return False
        return bool(found.reshape(())[()])

    def lengths(self, name: str, *, low: int = 1, high: int, default: int | None = None) -> tuple[int, int]:
        """A value for each of the two axes (y, x); one number holds for both."""
        found = self.whole(name, low, high, default=default).ravel()
        if found.size > 2:
            self.wrong(name, f"holds {found.size:,} numbers, and should be one, or two for y and x")
        return int(found[0]), int(found[-1])

    def shape(self, name: str, *, at_most: int) -> tuple[int, ...] | None:
        """The shape of a layer, (neuron,) or (channel, y, x); None where it is missing or wrong."""
        before = len(self.problems)
        found = self.whole(name, 1, at_most)
        if len(self.problems) > before:
            return None
        shape = tuple(found.ravel().tolist())
        if found.ndim != 1 or len(shape) not in (1, 2, 3):
            self.wrong(name, f"has the shape {found.shape}, and should be a row of 1 to 3 numbers")
            return None
        if float(np.prod(found, dtype=np.float64)) > at_most:
            self.wrong(name, f"is {shape}, more than {at_most:,} neurons")
            return None
        return shape
