"""Norse."""

from __future__ import annotations

from typing import Any

import nir
import norse.torch
import numpy as np
from numpy.typing import NDArray

from peers.nir_tools.stepping import stepped

PACKAGES = ("norse", "nir", "nirtorch")


def run(path: str, x: NDArray[np.float32], dt: float) -> NDArray[Any]:
    return stepped(norse.torch.from_nir(nir.read(path), dt=dt), x)
