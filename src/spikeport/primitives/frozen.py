"""Read-only arrays: what the frozen dataclasses of all stages hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only C-ordered copy; an array that is read-only and owns its data already is shared.

    >>> frozen(np.zeros(3)).flags.writeable
    False
    """
    if array.flags.writeable or array.base is not None or not array.flags.c_contiguous:
        array = np.array(array, order="C", copy=True)
        array.setflags(write=False)
    return array


def freeze_fields(instance: object, *names: str) -> None:
    """Replace the named array fields of a frozen dataclass with read-only copies; for `__post_init__`."""
    for name in names:
        value = getattr(instance, name)
        if value is not None:
            object.__setattr__(instance, name, frozen(np.asarray(value)))
