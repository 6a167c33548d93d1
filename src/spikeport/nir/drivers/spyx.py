"""Spyx, by `spyx.nir.from_nir`, which runs the network as well; steps first, channels last."""

from __future__ import annotations

from typing import Any

PACKAGES = ("spyx", "nir")
DT = 2.0**-10
STEP = "an argument of its importer, 1 by default"


def run(path: str, x: Any, dt: float) -> Any:
    import nir
    from spyx.nir import from_nir

    given = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    _, y = from_nir(nir.read(path), given[:, None], dt=dt)
    return y[:, 0]
