"""Rockpool, by its `from_nir` for torch; it guesses the step of each layer from tau_mem and r."""

from __future__ import annotations

from typing import Any

PACKAGES = ("rockpool", "nir", "nirtorch")
DT = 2.0**-10
STEP = "of no matter to its importer, which guesses one of each layer"


def run(path: str, x: Any, dt: float) -> Any:
    import nir
    import torch
    from drivers.stepping import first
    from rockpool.nn.modules.torch.nir import from_nir

    with torch.no_grad():
        return first(from_nir(nir.read(path))(torch.from_numpy(x[None])))[0].numpy()
