"""SpikingJelly, by `import_from_nir`."""

from __future__ import annotations

from typing import Any

PACKAGES = ("spikingjelly", "nir", "nirtorch")
DT = 1e-4
STEP = "an argument of its importer, 0.0001 by default"


def run(path: str, x: Any, dt: float) -> Any:
    from drivers.stepping import stepped
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return stepped(import_from_nir(path, dt=dt), x)
