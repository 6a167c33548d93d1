"""PyNN's standard cells as neurons of ours: potentials stay millivolts and currents nanoamperes, times become seconds.

A current that decays acts, in NEST and in Brian2, on the potential of the same moment: both equations are solved together,

    v(t + dt) = v_rest + (v - v_rest) d_m + r i d_m (dt / tau_m) phi(x) ...,   phi(x) = (1 - exp(-x)) / x,   x = dt (1 / tau_syn - 1 / tau_m)

and so does `CubaLIF` under integrator="exponential", synapse="delta", current_order="old" whose `w_in` is that factor over the one by
which a constant current acts, r (1 - d_m): the same numbers but for the rounding of float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.primitives import LI, LIF, Approximation, CubaLIF, DynamicNeuron, Izhikevich
from spikeport.primitives.approximation import remark
from spikeport.pynn.parts import initial, kind_of, numbers
from spikeport.pynn.simulators import Simulator

Floats = NDArray[np.float64]
MS = 1e-3
MEGA = 1e3
"""Millivolts per millisecond of a nanoampere into a picofarad: Izhikevich's equations have a capacity of one."""
RECEPTORS = {"excitatory": "E", "inhibitory": "I"}


@dataclass(frozen=True, slots=True, eq=False)
class Synaptic:
    """Synaptic current of one receptor as a population of its own: where receptors decay differently, one neuron has two of them."""

    neuron: LI
    weight: Floats
    """What a unit of it adds to the potential in a step."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What a population becomes."""

    neuron: DynamicNeuron
    scale: Mapping[str, float | Floats]
    """By receptor: what weights are multiplied with, one factor or one a cell."""
    apart: Mapping[str, Synaptic] = field(default_factory=dict)
    """By receptor."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What cells are read with, and where what is to be said about them goes."""

    simulator: Simulator
    dt: float
    """Milliseconds."""
    min_delay: float
    """Milliseconds by which the simulator's module sets sources off earlier."""
    conductances_at: float | None
    problems: list[Problem]
    ledger: list[Approximation]


def cells_of(population: Any, name: str, receptors: set[str], reading: Reading) -> Cells | None:
    """The neurons of a population on which synapses of these receptors end; None, and a problem, where there are none."""
    kind = kind_of(population.celltype)
    if kind in KNOWN:
        return KNOWN[kind](population, name, receptors, reading)
    why, hint = REFUSED.get(kind, (f"its cells are {kind}, which are no standard cells that have a form here", ""))
    reading.problems.append(Problem(name, why, hint or f"cells that can be read: {', '.join(KNOWN)}"))
    return None


def _membrane(population: Any, name: str, reading: Reading) -> dict[str, Any]:
    """Parameters that all integrate-and-fire cells share; but for tau."""
    given = numbers(population, "tau_refrac")
    deaf = reading.simulator.deaf(given, reading.dt)
    if (deaf * reading.dt != given).any():
        what = f"tau_refrac of {_said(given)} ms is {_said(deaf)} steps after that of a spike, as {reading.simulator.name} steps it"
        reading.ledger.append(remark(name, what))
    return {
        "threshold": numbers(population, "v_thresh"),
        "v_leak": numbers(population, "v_rest"),
        "v_reset": numbers(population, "v_reset"),
        "r": numbers(population, "tau_m") / numbers(population, "cm"),
        "bias": numbers(population, "i_offset"),
        "refractory": deaf * reading.dt * MS,
        "initial": initial(population, "v"),
    }


def _said(values: NDArray[Any]) -> str:
    return f"{values:g}" if not values.ndim else f"{values.min():g} to {values.max():g}"


def _delta(population: Any, name: str, receptors: set[str], reading: Reading) -> Cells:
    neuron = LIF(tau=numbers(population, "tau_m") * MS, **_membrane(population, name, reading))
    _say_jumps(name, reading)
    return Cells(neuron, dict.fromkeys(RECEPTORS, _unscaled(population)))


def _izhikevich(population: Any, name: str, receptors: set[str], reading: Reading) -> Cells:
    neuron = Izhikevich(
        **{letter: numbers(population, letter) for letter in "abcd"},
        r=MEGA,
        bias=numbers(population, "i_offset"),
        substeps=1,
        recovery="old",
        initial=initial(population, "v"),
        initial_u=initial(population, "u"),
    )
    _say_jumps(name, reading)
    return Cells(neuron, dict.fromkeys(RECEPTORS, _unscaled(population)))


def _unscaled(population: Any) -> float:
    """pyNN.nest alone scales weights that are millivolts, and gives them back scaled."""
    nest = type(population).__module__.startswith("pyNN.nest.")
    return 1 / float(getattr(population.celltype, "receptor_scale", 1.0)) if nest else 1.0


def _say_jumps(name: str, reading: Reading) -> None:
    if reading.simulator.late_jumps:
        what = f"a jump of the potential comes before the comparison of its step, and in {reading.simulator.name} after it: a step of decay earlier"
        reading.ledger.append(Approximation(name, what, 1.0, "steps"))


def _current(population: Any, name: str, receptors: set[str], reading: Reading) -> Cells:
    return _exponential(population, name, receptors, reading, dict.fromkeys(RECEPTORS, 1.0))


def _conductance(population: Any, name: str, receptors: set[str], reading: Reading) -> Cells | None:
    at = reading.conductances_at
    if at is None:
        hint = "build it with IF_curr_exp; or give conductances_at=-60.0, and each synapse is the current that it is at -60 mV"
        why = "its synapses are conductances (IF_cond_exp), whose currents depend on the potential: no neuron here has them"
        reading.problems.append(Problem(name, why, hint))
        return None
    scale: dict[str, float | Floats] = {}
    low = np.minimum(numbers(population, "v_reset"), numbers(population, "v_rest"))
    high = numbers(population, "v_thresh")
    for receptor, letter in RECEPTORS.items():
        reversal = numbers(population, f"e_rev_{letter}")
        drive = reversal - at
        scale[receptor] = drive
        if receptor in receptors:
            if (drive == 0).any():
                why = f"its {receptor} synapses have their reversal potential at {at:g} mV, and no current there"
                reading.problems.append(Problem(name, why, "another conductances_at"))
                return None
            off = max(float(np.abs((reversal - v) / drive - 1).max()) for v in (low, high))
            what = f"{receptor} conductances are the currents that they are at {at:g} mV, whatever the potential is"
            reading.ledger.append(Approximation(name, what, off, "of the current"))
    return _exponential(population, name, receptors, reading, scale)


def _exponential(
    population: Any, name: str, receptors: set[str], reading: Reading, scale: Mapping[str, float | Floats]
) -> Cells:
    for variable in ("isyn_exc", "isyn_inh", "gsyn_exc", "gsyn_inh"):
        begin = initial(population, variable)
        if begin is not None and begin.any():
            what = f"{variable} begins at {_said(begin)}: synaptic currents begin at 0 here"
            reading.ledger.append(Approximation(name, what, float(np.abs(begin).max()), "nA or uS"))
    membrane = _membrane(population, name, reading)
    tau_m = numbers(population, "tau_m")
    tau = {receptor: numbers(population, f"tau_syn_{letter}") for receptor, letter in RECEPTORS.items()}
    decays = [tau[receptor] for receptor in sorted(receptors)] or [tau["excitatory"]]
    if all(
        np.array_equal(np.broadcast_to(decays[0], (population.size,)), np.broadcast_to(t, (population.size,)))
        for t in decays
    ):
        neuron = CubaLIF(
            tau_syn=decays[0] * MS,
            tau_mem=tau_m * MS,
            w_in=onto_membrane(tau_m, decays[0], reading.dt) / -np.expm1(-reading.dt / tau_m),
            **membrane,
        )
        return Cells(neuron, scale)
    apart = {
        receptor: Synaptic(LI(tau=tau[receptor] * MS), membrane["r"] * onto_membrane(tau_m, tau[receptor], reading.dt))
        for receptor in sorted(receptors)
    }
    reading.ledger.append(
        remark(name, f"its synaptic currents are populations of their own: {', '.join(f'{name} {r}' for r in apart)}")
    )
    return Cells(LIF(tau=tau_m * MS, **membrane), scale, apart)


def onto_membrane(tau_m: Floats, tau_syn: Floats, dt: float) -> Floats:
    """What a current of 1 that decays adds to a potential that leaks in a step, over the resistance; milliseconds.

    >>> round(float(onto_membrane(np.asarray(20.0), np.asarray(5.0), 1.0)), 12)
    0.044166223808
    """
    x = np.asarray(dt / tau_syn - dt / tau_m)
    near = np.abs(x) < 1e-300  # at equal time constants the quotient is 1
    phi = np.where(near, 1.0, -np.expm1(-x) / np.where(near, 1.0, x))
    factor: Floats = dt / tau_m * np.exp(-dt / tau_m) * phi
    return factor


KNOWN: dict[str, Callable[[Any, str, set[str], Reading], Cells | None]] = {
    "IF_curr_delta": _delta,
    "IF_curr_exp": _current,
    "IF_cond_exp": _conductance,
    "Izhikevich": _izhikevich,
}
"""By PyNN's name."""
_ALPHA = (
    "its synaptic currents rise before they fall (alpha functions): no neuron here has them",
    "build it with IF_curr_exp",
)
_SPIKING_TERM = "its potential has an exponential term: no neuron here has it"
REFUSED: dict[str, tuple[str, str]] = {
    "IF_curr_alpha": _ALPHA,
    "IF_cond_alpha": (
        "its synapses are conductances that rise before they fall: no neuron here has them",
        "build it with IF_curr_exp",
    ),
    "IF_cond_exp_gsfa_grr": (
        "its adaptation is two conductances: no neuron here has them",
        "AdaptiveLIF, written by hand",
    ),
    "EIF_cond_exp_isfa_ista": (_SPIKING_TERM, "AdaptiveLIF or Izhikevich"),
    "EIF_cond_alpha_isfa_ista": (_SPIKING_TERM, "AdaptiveLIF or Izhikevich"),
    "HH_cond_exp": ("it has channels of ions: no neuron here has them", "Izhikevich"),
}
"""What has no form here, and what is close to it."""
