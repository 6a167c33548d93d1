"""Rockpool: its importer guesses the step from tau_mem and r."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from rockpool.nn.modules.torch.nir import from_nir

PACKAGES = ("rockpool", "nir", "nirtorch")


def run(path: str, x: NDArray[np.float32], dt: float) -> NDArray[Any]:
    model = from_nir(nir.read(path))
    with torch.no_grad():
        y = model(torch.from_numpy(x[None]))
    return np.asarray((y[0] if isinstance(y, tuple) else y)[0].numpy())
