"""Neuron types of Nengo as neurons of ours, by exact class: what a subclass does in its `step`, nobody knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.nengo.draft import Draft, Refused
from spikeport.primitives import (
    LI,
    LIF,
    Approximation,
    DynamicNeuron,
    DynamicsContract,
    InterpolatedLIF,
    Izhikevich,
    OneToOne,
    RectifiedIF,
)


@dataclass(frozen=True, slots=True)
class Built:
    """What Nengo's builder made of the neurons of an ensemble."""

    name: str
    size: int
    kind: Any
    bias: NDArray[np.float64]
    initial: Callable[[str], NDArray[np.float64]]
    """State before the first step, by Nengo's name."""
    plain: bool
    """LIF is wanted, whatever it costs."""


def add_neurons(draft: Draft, built: Built) -> float:
    """Add the neurons of an ensemble; what one of their spikes is worth in Nengo, amplitude / dt.

    Raises:
        Refused: a type that is none of the table.
    """
    import nengo

    table: dict[type, Callable[[Draft, Built], None]] = {
        nengo.LIF: _lif,
        nengo.AdaptiveLIF: _adaptive_lif,
        nengo.SpikingRectifiedLinear: _rectified,
        nengo.Izhikevich: _izhikevich,
    }
    kind = type(built.kind)
    if kind not in table:
        raise Refused(*_why_not(built.kind))
    table[kind](draft, built)
    return float(getattr(built.kind, "amplitude", 1)) / draft.dt


def _why_not(kind: Any) -> tuple[str, str]:
    name = type(kind).__name__
    known = "nengo.LIF, AdaptiveLIF, SpikingRectifiedLinear or Izhikevich"
    if not getattr(kind, "spiking", False):
        spikes = {"LIFRate": "nengo.LIF", "RectifiedLinear": "nengo.SpikingRectifiedLinear"}
        return f"{name} sends rates, and not spikes", spikes.get(name, known)
    return f"{name} is no neuron that is known here", known


def _lif(draft: Draft, built: Built) -> None:
    """Nengo's own order of operations is that of `InterpolatedLIF`, whose threshold is 1 and whose potential begins again at 0."""
    kind, dt = built.kind, draft.dt
    v_min = kind.min_voltage if np.isfinite(kind.min_voltage) else None
    neuron: DynamicNeuron = InterpolatedLIF(
        tau=kind.tau_rc,
        refractory=kind.tau_ref,
        v_min=v_min,
        bias=built.bias,
        initial=built.initial("voltage"),
        initial_w=built.initial("refractory_time"),
    )
    if built.plain:
        whole = round(kind.tau_ref / dt)
        neuron = LIF(
            tau=kind.tau_rc,
            refractory=whole * dt,
            v_min=v_min,
            bias=built.bias,
            initial=built.initial("voltage"),
        )
        what = f"refractory periods of {kind.tau_ref:g} s are {whole} whole steps, and begin at the end of the step of the spike"
        draft.ledger.append(Approximation(built.name, what, dt, "s"))
        if built.initial("refractory_time").any():
            draft.ledger.append(Approximation(built.name, "no neuron is deaf in the beginning", 0.0))
    draft.population(built.name, built.size, neuron)


def _adaptive_lif(draft: Draft, built: Built) -> None:
    """Adaptation is a current that the neuron's own spikes feed and that inhibits it a step later: a leaky integrator says it."""
    kind, dt = built.kind, draft.dt
    _lif(draft, built)
    left = 1 - dt / kind.tau_n  # Nengo takes Euler's step
    if left <= 0:
        raise Refused(f"its adaptation, {kind.tau_n:g} s, is not longer than a step", "a smaller dt")
    if built.initial("adaptation").any():
        raise Refused("begins with an adaptation", "initial_state without adaptation")
    name = draft.free(f"{built.name}/adaptation")
    draft.population(name, built.size, LI(tau=-dt / math.log(left)))
    amount = kind.inc_n * kind.amplitude / kind.tau_n
    ones = np.ones(built.size)
    draft.project(built.name, name, (OneToOne(ones * (amount / (dt / kind.tau_n))),))
    draft.project(name, built.name, (OneToOne(-ones),), delay=1)


def _rectified(draft: Draft, built: Built) -> None:
    """As many spikes a step as there are ones in the potential."""
    own: DynamicsContract = replace(
        draft.contract, integrator="forward_euler", spikes="multi", reset="subtract", compare=">="
    )
    neuron = RectifiedIF(bias=built.bias, initial=built.initial("voltage"))
    draft.population(built.name, built.size, neuron, own)


def _izhikevich(draft: Draft, built: Built) -> None:
    kind = built.kind
    neuron = Izhikevich(
        a=kind.tau_recovery,
        b=kind.coupling,
        c=kind.reset_voltage,
        d=kind.reset_recovery,
        substeps=1,
        recovery="reset",
        bias=built.bias,
        initial=built.initial("voltage"),
        initial_u=built.initial("recovery"),
    )
    draft.population(built.name, built.size, neuron, replace(draft.contract, compare=">="))
    what = "currents below -30 stay what they are, and in Nengo they are -30"
    draft.ledger.append(Approximation(built.name, what, 0.0))
