"""How tools mean their files: a contract by name for `like=`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikeport.errors import OptionError, Problem
from spikeport.primitives import DynamicsContract
from spikeport.primitives.nir_contract import NirContract

_EULER = DynamicsContract(dt=1e-4, integrator="forward_euler")

PRESETS: Mapping[str, NirContract] = {
    "snntorch": NirContract(dynamics=_EULER),
    "spikingjelly": NirContract(dynamics=_EULER),
}


def preset(name: str, dt: float | None = None) -> NirContract:
    """The contract of a tool, with another duration of a step if one is given.

    Raises:
        OptionError: a tool that is not known.
    """
    found = PRESETS.get(name)
    if found is None:
        raise OptionError(Problem("like", f"is {name!r}", f"one of {', '.join(map(repr, PRESETS))}"))
    return found if dt is None else replace(found, dynamics=replace(found.dynamics, dt=dt))
