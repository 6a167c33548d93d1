"""What plans of several networks have in common, made once: for searches that mean one graph in many ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """Values by the objects that they were made from.

    Networks that hold the same `Projection.synapses`, neurons and biases, object for object, get the same arrays. What is kept holds
    on to its objects, so that no other object can come to have their identity.
    """

    def __init__(self) -> None:
        self._kept: dict[Any, tuple[tuple[Any, ...], Any]] = {}

    def once(self, what: str, objects: tuple[Any, ...], rest: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What `make` gives, from the same objects (by identity) and the same rest (by value) once; errors are not kept."""
        key = what, tuple(map(id, objects)), rest
        if key not in self._kept:
            self._kept[key] = objects, make()
        found: T = self._kept[key][1]
        return found
