"""What exporters of simulators lose without a word, and how their files have to be read for the networks that they were.

A loss is proven where the file, read the way that is said here, gives every value of the simulator's own network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import spikeport as sp
from spikeport.nir.inline import inlined
from spikeport.nir.parse import graph_of
from spikeport.nir.presets import PRESETS
from spikeport.nir.storage import read_tree
from spikeport.primitives import LIF, CubaLIF, DynamicNetwork

EXPORTS: Mapping[str, int] = {
    "IF": 2,
    "LIF": 2,
    "LIF, each neuron its own": 2,
    "LIF, input decays": 2,
    "LIF, v_leak": 2,
    "LIF, v_reset": 2,
    "LIF, reset by subtraction": 2,
    "CubaLIF": 2,
    "CubaLIF, bias": 2,
    "Linear": 1,
    "residual": 2,
    "CNN, sum": 2,
    "CNN, average": 2,
    "recurrent, bias": 1,
    "recurrent, no bias": 1,
}
"""Networks that exporters are tried with, and how many layers of neurons they have."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Of one kind of network in one simulator."""

    why: str
    read: Callable[[Path, float], DynamicNetwork]
    """A file, and the simulator's step."""
    verdict: Literal["theirs"] = "theirs"


def layers_of(path: Path) -> int:
    """Layers of spiking neurons of a file."""
    flat = inlined(graph_of(read_tree(path), str(path)))
    return sum(len(flat.of_kind(kind)) for kind in ("IF", "LIF", "CubaLIF"))


def _read(tool: str, *, steps: int = 1, **dynamics: Any) -> Callable[[Path, float], DynamicNetwork]:
    """As the tool reads it, but for what is given; `steps` is the power of the step that times are multiples of."""

    def read(path: Path, dt: float) -> DynamicNetwork:
        preset = PRESETS[tool]
        contract = replace(preset, dynamics=replace(preset.dynamics, dt=dt**steps, **dynamics))
        network = sp.from_nir(path, contract=contract)
        assert isinstance(network, DynamicNetwork)
        return network

    return read


def _reset_to(value: float, read: Callable[[Path, float], DynamicNetwork]) -> Callable[[Path, float], DynamicNetwork]:
    def reread(path: Path, dt: float) -> DynamicNetwork:
        network = read(path, dt)
        populations = []
        for p in network.populations:
            assert isinstance(p.neuron, LIF)
            populations.append(replace(p, neuron=replace(p.neuron, v_reset=np.full(p.shape, value))))
        return replace(network, populations=tuple(populations))

    return reread


def _with_current(
    tau_syn: float, read: Callable[[Path, float], DynamicNetwork]
) -> Callable[[Path, float], DynamicNetwork]:
    """With the synaptic current of sinabs: `s = d (s + x)`, which the membrane takes in full."""

    def reread(path: Path, dt: float) -> DynamicNetwork:
        network = read(path, dt)
        populations = []
        for p in network.populations:
            assert isinstance(p.neuron, LIF)
            gain, decay = -1 / np.expm1(-dt / p.neuron.tau), np.full(p.shape, np.exp(-dt / tau_syn))
            neuron = CubaLIF(
                tau_syn=np.full(p.shape, tau_syn),
                tau_mem=p.neuron.tau,
                r=gain,
                w_in=decay,
                threshold=p.neuron.threshold,
            )
            populations.append(replace(p, neuron=neuron))
        return replace(network, populations=tuple(populations))

    return reread


_TAU = "its exporter writes times multiplied by the step, so that every leak is as many times too fast"
_NORSE = _read("norse", steps=2)
LOSSES: Mapping[tuple[str, str], Loss] = {
    ("snntorch", "LIF, reset by subtraction"): Loss(
        "its exporter does not say that a reset subtracts, and its importer sets potentials to 0",
        _read("snntorch", reset="subtract", reset_when="after_next_update"),
    ),
    **{("norse", case): Loss(_TAU, _NORSE) for case in ("LIF", "LIF, each neuron its own", "LIF, v_leak", "Linear")},
    ("norse", "LIF, v_reset"): Loss(f"{_TAU}; v_reset is left out", _reset_to(-0.125, _NORSE)),
    ("norse", "LIF, reset by subtraction"): Loss(
        f"{_TAU}; it does not say that a reset subtracts", _read("norse", steps=2, reset="subtract")
    ),
    ("sinabs", "LIF, input decays"): Loss(
        "its exporter does not say norm_input, with which the input decays as the membrane does",
        _read("sinabs", synapse="current"),
    ),
    ("sinabs", "LIF, v_reset"): Loss(
        "its exporter does not say that a reset sets potentials to 0", _read("sinabs", reset="to_value")
    ),
    ("sinabs", "CubaLIF"): Loss("its exporter leaves out tau_syn", _with_current(2.0, _read("sinabs"))),
    ("norse", "CubaLIF"): Loss(
        f"{_TAU}; and of LIFCell it does not say that input jumps its current", _read("norse", steps=2, synapse="delta")
    ),
}
