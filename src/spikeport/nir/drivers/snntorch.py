"""snnTorch, by `import_from_nir`."""

from __future__ import annotations

from typing import Any

PACKAGES = ("snntorch", "nir", "nirtorch")
DT = 1e-4
STEP = "fixed in its importer"


def run(path: str, x: Any, dt: float) -> Any:
    import nir
    from drivers.stepping import stepped
    from snntorch.import_nir import import_from_nir

    if dt != DT:
        raise ValueError(f"steps are {DT:g} s in this importer")
    return stepped(import_from_nir(nir.read(path)), x)
