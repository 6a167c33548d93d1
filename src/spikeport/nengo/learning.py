"""PES, Nengo's supervised rule, as ours."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from spikeport.nengo.draft import Refused
from spikeport.primitives import PES, Factor, Rule, Term


@dataclass(frozen=True, slots=True)
class Learned:
    """A connection that learns."""

    name: str
    """Of the projection, among those that learn."""
    rule: Rule
    unit: float
    """What a weight of ours is in Nengo."""


def rule_of(conn: Any, dt: float, worth: float, name: str) -> Rule | None:
    """The rule of a connection, for weights that are `worth` times Nengo's.

    In step n Nengo adds -rate dt / neurons * error * a, where a is what the synapse of the rule made of the activities up to this step:
    a sum of b worth d^(n-m) over the spikes of steps m, with d = exp(-dt / tau) and b = 1 - d. `sp.PES` reads its trace before this step's
    spikes enter it; so a second term, at these spikes, adds what they are worth.

    Raises:
        Refused: rules and synapses that are others.
    """
    import nengo

    given = conn.learning_rule_type
    if given is None:
        return None
    if type(given) is not nengo.PES:
        raise Refused(f"learns by {given}, and only nengo.PES is known here", "plasticity of ours, by hand")
    synapse = given.pre_synapse
    if type(synapse) is not nengo.Lowpass or synapse.tau == 0 or not synapse.analog or synapse.method != "zoh":
        raise Refused(f"its rule filters activities by {synapse}", "PES(pre_synapse=nengo.Lowpass(tau))")
    if (
        not isinstance(conn.pre_obj, nengo.Ensemble)
        or conn.solver.weights
        or isinstance(conn.post_obj, nengo.ensemble.Neurons)
    ):
        raise Refused("learns, and is no decoded connection", "a connection from an ensemble, to an ensemble or node")
    trace = -math.expm1(-dt / synapse.tau) * worth
    rate = worth * given.learning_rate / conn.pre_obj.n_neurons * trace
    error = f"{name} error"
    rule = PES(rate=rate, tau=synapse.tau, error=error)
    return replace(rule, terms=(Term("pre", -rate * dt, (Factor(error),)), *rule.terms))
