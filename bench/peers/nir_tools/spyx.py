"""Spyx: channels last, steps first; the importer runs the network as well."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from spyx.nir import from_nir

PACKAGES = ("spyx", "nir")


def run(path: str, x: NDArray[np.float32], dt: float) -> NDArray[Any]:
    given = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    _, y = from_nir(nir.read(path), given[:, None], dt=dt)
    return np.asarray(y)[:, 0]
