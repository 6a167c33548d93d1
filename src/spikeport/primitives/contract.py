"""The execution contract: everything about running a network that its structure leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Code = Literal["graded", "phased", "population", "radix", "signed", "staircase"]


@dataclass(frozen=True, slots=True)
class ExecutionContract:
    """How a `SpikingNetwork` is meant to be stepped. Two simulators that honour it give the same spikes."""

    code: Code
    """Neural code that carries the integers; names the lemma in `spikeport.codes`."""
    presentation: int
    """Steps over which a static input current and all biases are split, or the number of time bins of event input."""
    max_steps: int
    """Proved bound: after this many steps nothing fires any more."""
    state_bits: int
    """Width of the membrane potential, two's complement; proved wide enough, so overflow behaviour never matters."""
    dt: float = 1e-3
    """Duration of a step in seconds; the integers do not depend on it."""
    arithmetic: Literal["integer"] = "integer"
    integrator: Literal["accumulate"] = "accumulate"
    """`v += input`: no leak, no dt."""
    compare: Literal[">="] = ">="
    """A unit fires where `v >= threshold`."""
    reset: Literal["subtract"] = "subtract"
    """In the step of the spike, by the threshold times the spike."""
    layer_latency: Literal[0] = 0
    """A spike of step t reaches the next population within step t; populations update in the order of the list."""
    split: Literal["floor"] = "floor"
    """A total a is injected as floor((t+1) a / P) - floor(t a / P) in step t of P."""
    sample_boundary: Literal["reset"] = "reset"
    """State is restored to the initial values before each sample."""
