"""sinabs: it has no step; layers keep their state and take all steps at once, as a batch of one."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from sinabs.nir import from_nir

from peers.nir_tools.stepping import first

PACKAGES = ("sinabs", "nir", "nirtorch")


def run(path: str, x: NDArray[np.float32], dt: float) -> NDArray[Any]:
    model = from_nir(nir.read(path), batch_size=1)
    with torch.no_grad():
        return np.asarray(first(model(torch.from_numpy(x))).numpy())
