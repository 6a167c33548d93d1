"""sinabs, by `sinabs.nir.from_nir`: layers keep their state and take all steps at once, as a batch of one."""

from __future__ import annotations

from typing import Any

PACKAGES = ("sinabs", "nir", "nirtorch")
DT = 2.0**-10
STEP = "of no matter to its importer, which knows none"


def run(path: str, x: Any, dt: float) -> Any:
    import nir
    import torch
    from drivers.stepping import first
    from sinabs.nir import from_nir

    model = from_nir(nir.read(path), batch_size=1)
    with torch.no_grad():
        return first(model(torch.from_numpy(x))).numpy()
