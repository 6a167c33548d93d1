"""Norse, by `norse.torch.from_nir`."""

from __future__ import annotations

from typing import Any

PACKAGES = ("norse", "nir", "nirtorch")
DT = 1e-3
STEP = "an argument of its importer, 0.001 by default"


def run(path: str, x: Any, dt: float) -> Any:
    import nir
    import norse.torch
    from drivers.stepping import stepped

    return stepped(norse.torch.from_nir(nir.read(path), dt=dt), x)
