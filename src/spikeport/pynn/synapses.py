"""PyNN's projections as synapses one by one, and its plasticity as rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.primitives import STDP, Approximation, Rule
from spikeport.pynn.parts import given, kind_of

MS = 1e-3
_WHOLE = 1e-6
"""Of a step: delays are decimal fractions, which floats round."""


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """Of one projection, between its own cells: what `projection.get` says; arrays of shape (synapse,)."""

    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weight: NDArray[np.float64]
    delay: NDArray[np.int64]
    """Steps."""


def synapses_of(projection: Any, dt: float, problems: list[Problem], ledger: list[Approximation]) -> Synapses | None:
    """The synapses of a projection, whatever connector made them.

    Args:
        dt: milliseconds.
    """
    found = _listed(projection, problems)
    if found is None:
        return None
    pre, post, weight, delay = found
    steps = np.rint(delay / dt).astype(np.int64)
    off = np.abs(delay - steps * dt)
    if not np.isfinite(weight).all() or (steps < 1).any():
        problems.append(
            Problem(_name(projection), f"has weights that are no numbers, or delays under a step of {dt:g} ms")
        )
        return None
    if (off > _WHOLE * dt).any():
        what = f"delays are rounded to steps of {dt:g} ms"
        ledger.append(Approximation(_name(projection), what, float(off.max()) * MS, "s"))
    return Synapses(pre, post, weight, steps)


def _name(projection: Any) -> str:
    return f"{projection.pre.label} -> {projection.post.label}"


def _listed(projection: Any, problems: list[Problem]) -> tuple[NDArray[Any], ...] | None:
    names = ["weight", "delay"]
    try:
        rows = np.array([tuple(row) for row in projection.get(names, format="list", gather=False)], dtype=np.float64)
        rows = rows.reshape(-1, 4)
        return rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2], rows[:, 3]
    except NotImplementedError:
        why = "leads from or to an assembly, whose synapses this simulator's module cannot list"
        problems.append(Problem(_name(projection), why, "one projection for each population of it"))
        return None
    except (ValueError, TypeError):
        # pyNN.brian2 cannot list a single synapse
        weights, delays = (np.asarray(a) for a in projection.get(names, format="array", gather=False))
        pre, post = np.nonzero(~np.isnan(weights))
        if len(pre) != projection.size():
            why = f"has {projection.size()} synapses between {len(pre)} pairs of cells, which cannot be told apart"
            problems.append(Problem(_name(projection), why, "a projection for each synapse of a pair"))
            return None
        return pre, post, weights[pre, post], delays[pre, post]


def rule_of(projection: Any, scale: float, problems: list[Problem]) -> Rule | None:
    """How a projection learns; None where it does not, or a problem says that it has no rule here.

    Args:
        scale: of weights, from PyNN's units to those of the network.
    """
    synapse, where = projection.synapse_type, _name(projection)
    kind = kind_of(synapse)
    if kind == "StaticSynapse":
        return None
    if kind != "STDPMechanism":
        problems.append(
            Problem(where, f"its synapses are {kind}, which have no form here", "StaticSynapse or STDPMechanism")
        )
        return None
    before = len(problems)
    timing, weighting = synapse.timing_dependence, synapse.weight_dependence
    if kind_of(timing) != "SpikePairRule":
        problems.append(Problem(where, f"learns by {kind_of(timing)}, which has no form here", "SpikePairRule"))
    if synapse.voltage_dependence is not None:
        problems.append(
            Problem(where, "learns by the potential, which no rule here reads", "leave voltage_dependence out")
        )
    fraction = float(synapse.dendritic_delay_fraction)
    if fraction not in (0.0, 1.0):
        why = f"has {fraction:g} of its delay in the dendrite: a rule has all of it there, or none"
        problems.append(Problem(where, why, "dendritic_delay_fraction 0 or 1"))
    pair, bounds = _values(timing, where, problems), _values(weighting, where, problems)
    mu = _exponents(kind_of(weighting), bounds)
    if mu is None:
        hint = "AdditiveWeightDependence, MultiplicativeWeightDependence, or whole exponents"
        problems.append(Problem(where, f"its weights change by {kind_of(weighting)}, which has no form here", hint))
    if len(problems) > before or mu is None:
        return None
    low, high = bounds["w_min"] * scale, bounds["w_max"] * scale
    if low > high or (max(mu) > 0 and low != 0):
        problems.append(
            Problem(where, f"learns between {low:g} and {high:g}: weights that change in proportion begin at 0")
        )
        return None
    return STDP(
        a_plus=pair["A_plus"] * high,  # amplitudes are parts of the largest weight
        a_minus=pair["A_minus"] * high,
        tau_plus=pair["tau_plus"] * MS,
        tau_minus=pair["tau_minus"] * MS,
        mu=mu,
        w_min=low,
        w_max=high,
        delays="dendritic" if fraction else "axonal",
    )


def _exponents(kind: str, values: dict[str, float]) -> tuple[int, int] | None:
    match kind:
        case "AdditiveWeightDependence":
            return 0, 0
        case "MultiplicativeWeightDependence":
            return 1, 1
        case "AdditivePotentiationMultiplicativeDepression":
            return 0, 1
        case "GutigWeightDependence":
            plus, minus = values.get("mu_plus", 0.5), values.get("mu_minus", 0.5)
            whole = plus.is_integer() and minus.is_integer()
            return (int(plus), int(minus)) if whole else None
        case _:
            return None


def _values(component: Any, where: str, problems: list[Problem]) -> dict[str, float]:
    """Parameters that all synapses share."""
    for name, value in component.parameter_space.items():
        if not value.is_homogeneous:
            problems.append(
                Problem(f"{where}.{name}", "differs from synapse to synapse", "a projection for each value")
            )
            return {}
    return {name: float(np.asarray(value).flat[0]) for name, value in given(component).items()}
