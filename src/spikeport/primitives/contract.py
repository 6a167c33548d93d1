"""The execution contract: everything about running a network that its structure leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args, get_type_hints

from spikeport.errors import OptionError, Problem

Code = Literal["graded", "phased", "population", "radix", "rate", "signed", "staircase"]
MAX_STATE_BITS = 48
"""Of an integer membrane that is stepped: sums of what arrives still fit into 64 bits."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicsContract:
    """How a `DynamicNetwork` is stepped: everything that its equations leave open. Two simulators that honour it give the same spikes.

    In step t, from t dt to (t + 1) dt, every population in the order of the list sums what arrives (x), integrates, compares,
    fires, resets and sends; analog populations (`I`, `LI`, `CubaLI`, `Relay`) send their potential. With `i = c` and `jump = x` under `synapse="delta"`, else `i = c + x` and no jump, in exactly this order of
    operations:

        accumulate      IF, I: v = v + r i (+ jump);  RectifiedIF: i, where it is below 0, counts as 0;  Threshold, Relay, under every integrator: v = i (+ jump)
        forward_euler   LIF: v = v + k ((v_leak - v) + r i) (+ jump), k = dt / tau;  IF, I: v = v + (r dt) i (+ jump)
        exponential     LIF: v = (d v + k (v_leak + r i)) (+ jump), d = exp(-dt / tau), k = -expm1(-dt / tau);  IF as above

    and for the current s of CubaLIF and CubaLI, whose membrane is that of LIF with `i = c + s` and no jump:

        forward_euler   s = s + k (w_in x - s), or (s - k s) + w_in x under "delta", k = dt / tau_syn
        exponential     s = d s + k (w_in x), or d s + w_in x under "delta"

    Neurons with a second state w (u of Izhikevich, Re z of ResonateAndFire) take both states of the step before, v after a reset
    that comes before the step:

        AdaptiveLIF      v is that of LIF; with adapts="current" i - w stands for i
          forward_euler  w = w + k (coupling (v - v_leak) - w), k = dt / tau_adapt
          exponential    w = d w + k (coupling (v - v_leak)), d = exp(-dt / tau_adapt), k = -expm1(-dt / tau_adapt)
                         compares v with threshold + w (adapts="threshold"), and w = w + increment is part of the reset, whenever it is;
                         w goes on in a refractory period
        Izhikevich       h = 1000 dt, and so many times as there are substeps, one after the other,
                         v = v + (h / substeps) ((((square (v v) + linear v) + constant) - u) + r i)
                         u = u + (h a) (b (v - v_recovery) - leak u), v being that after these substeps, or with recovery="old" before them,
                         or with "reset" v_reset, that is c, where v is beyond the threshold after them;
                         then v = v (+ jump).  v = c and u = u + d are the reset.  Both integrators
        InterpolatedLIF  w = w - dt, at least 0;  h = dt - w, at least 0;  k = -expm1(-h / tau), that of LIF where w = 0
                         v = v + k ((v_leak + r i) - v) (+ jump, where h > 0), and fires where h > 0 alone.
                         v = v_reset is the reset; before it, with a = v - threshold and b = (v_leak + r i) - threshold,
                         w = refractory + (dt + tau log1p(-a / b)), or refractory + dt where not b > a: a jump made it fire
        ResonateAndFire  v = (C v + S w) + k_v i,  w = (C w - S v) + k_w i (+ jump)
          forward_euler  C = 1 - dt / tau, S = 2 pi frequency dt, k_w = r dt, k_v = 0
          exponential    C = d cos(2 pi frequency dt), S = d sin(likewise), k_w + j k_v = r (C + j S - 1) / (-1 / tau + 2 pi j frequency)
                         v = v_reset and w = 0 are the reset; "rf" has none, compares w with the threshold, and fires where besides
                         v >= 0, which was below 0 in the step before
        SigmaDelta       v = v + x;  d = (v + c, in "relu" at least 0) - w, compares |d|;  w = w + d where it sends.  Every integrator

    Under `spikes="single"` a unit sends 1 where it fires. Under "multi" it sends n = floor(v / threshold) there, 2^53 at most, and the reset that
    subtracts takes n thresholds off, in one multiplication and one subtraction. A step ends with `v = max(v, v_min)`.

    A sum x begins at 0 and adds, in this order, `weight * value` by step of sending, source (inputs, then populations, in the order
    of their lists), projection in the order of the list, index of the source neuron, and position among its synapses; the
    constant biases of projections are summed apart and added last. What comes over projections that learn is summed apart too, and added
    before the biases: see `spikeport.primitives.plasticity`.

    `loihi1` and `loihi2` are the fixed-point neurons of these chips, `loihi(...)` makes their contracts; everything else in a
    contract is settled by them. All numbers are integers, `>>` rounds down, T(x, k) = sign(x) (|x| k >> 12) towards zero, and
    wrap(x, n) = (x + 2^n) mod 2^(n + 1) - 2^n. Of a projection p that leads to a neuron, S_p is the sum of weight times payload over
    what was sent 1 + delay steps before, wrap(..., 31); where synapses of loihi2 hold a `Conv`, the shifted S_p is wrap(..., 23). The
    arriving sum of loihi2 is a = wrap(sum of (S_p << exponent, or S_p >> -exponent if that is negative), 31).

        loihi2  FixedCubaLIF          u = wrap(T(u, 4095 - du) + (a << 6), 31)
                                      u = u - 2^24 where u > 2^23, u + 2^24 where u <= -2^23, once
                                      v = clip(T(v, 4096 - dv) + u + bias, -(2^23 - 1), 2^23 - 1)
                                      sends 1 where v > threshold, and v = 0 there; u stays
                FixedSigmaDelta       sigma = sigma + a;  act' = sigma + bias, in "relu" at least 0;  d = act' - act + residue
                                      s = d where |d| >= threshold, else 0;  residue = d - s;  act = act';  sends s >> state_exp
                                      every sum wrap(..., 31)
                FixedResonateAndFire  re' = clip(D(re, cos) - D(im, sin) + wrap(a << state_exp, 31), -(2^23 - 1), 2^23 - 1)
                                      im' = clip(D(re, sin) + D(im, cos) + wrap(a_imag << state_exp, 31), likewise)
                                      D(x, k) is T with decay_bits for 12, a_imag is what arrives at port "imag"
                                      "rf": sends 1 where re' >= threshold, im' >= 0 and im < 0, no reset
                                      "izhikevich": sends 1 where im' >= threshold; re = 0 and im = threshold - 1 there
                GradedThreshold       sends a where |a| > threshold, or where a > threshold with `relu`
        loihi1  FixedCubaLIF          q = wrap(sum of (S_p << exponent + 6, or >> if that is negative), 21)
                                      u = wrap(T(u, 4095 - du) + q, 23);  w = wrap(u + bias, 23)
                                      v = clip(T(v, 4096 - dv) + w, v_min, v_max);  v = 0 where r > 0
                                      sends 1 where v > threshold, and v = 0, r = refractory there;  r = max(r - 1, 0)
    """

    dt: float
    """Duration of a step in seconds."""
    integrator: Literal["accumulate", "forward_euler", "exponential", "loihi1", "loihi2"]
    synapse: Literal["current", "delta"] = "current"
    """What arrives is a current that lasts the step, or a jump."""
    compare: Literal[">", ">="] = ">"
    """A unit fires where `v > threshold`, or where `v >= threshold`."""
    spikes: Literal["single", "multi"] = "single"
    """At most one spike a step, or as many as there are thresholds in the potential."""
    reset: Literal["to_value", "subtract"] = "to_value"
    """`v = v_reset`, or `v = v - threshold`."""
    reset_when: Literal["same_step", "next_step", "after_next_update"] = "same_step"
    """Right after the comparison; before the next step integrates; or after it integrated and before it compares."""
    layer_latency: Literal[0, 1] = 0
    """Steps from a spike to its arrival, in addition to the delay of the projection; what a `Relay` sends on has none."""
    current_order: Literal["new", "old"] = "new"
    """The membrane of CubaLIF and CubaLI takes the current after its update in this step, or before."""
    initial: Literal["zero", "v_leak", "v_reset"] = "zero"
    """Membrane potential before the first step, of neurons that do not state their own; currents begin at zero."""
    bias_register: Literal["spikes", "weighted"] = "spikes"
    """Where the delay of a projection sits: before the weights, and its bias is there from step 0; or behind them, and it is late too."""
    arithmetic: Literal["float64", "float32", "integer"] = "float64"
    """Parameters, weights and state are rounded to this once, before the first step; integers must be integers already."""
    state_bits: int = 32
    """Width of an integer membrane potential, two's complement."""
    overflow: Literal["saturate", "wrap"] = "saturate"
    """What an integer membrane potential does at the ends of its range, after integration and after reset."""

    def __post_init__(self) -> None:
        problems = []
        if isinstance(self.dt, bool) or not isinstance(self.dt, int | float) or not (isfinite(self.dt) and self.dt > 0):
            problems.append(Problem("contract.dt", f"is {self.dt!r}", "a positive number of seconds"))
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or value not in choices:
                known = ", ".join(map(repr, choices))
                problems.append(Problem(f"contract.{name}", f"is {value!r}", f"one of {known}"))
        bits = self.state_bits
        if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= MAX_STATE_BITS:
            problems.append(Problem("contract.state_bits", f"is {bits!r}", f"2 to {MAX_STATE_BITS}"))
        if self.chip and not problems:
            for name, settled in SETTLED_BY_CHIPS.items():
                if getattr(self, name) != settled:
                    why = f"is {getattr(self, name)!r}, and {self.integrator} settles it: {settled!r}"
                    problems.append(Problem(f"contract.{name}", why, f'DynamicsContract.loihi("{self.integrator}")'))
        if problems:
            raise OptionError(problems)

    @property
    def chip(self) -> bool:
        """Whether the neurons are the fixed-point ones of a chip."""
        return self.integrator in ("loihi1", "loihi2")

    @classmethod
    def loihi(cls, integrator: Literal["loihi1", "loihi2"], *, dt: float = 1e-3) -> DynamicsContract:
        """The contract of a chip; the integers do not depend on `dt`.

        >>> DynamicsContract.loihi("loihi2").layer_latency
        1
        """
        if integrator not in ("loihi1", "loihi2"):
            raise OptionError(Problem("contract.integrator", f"is {integrator!r}", "'loihi1' or 'loihi2'"))
        return cls(dt=dt, integrator=integrator, **SETTLED_BY_CHIPS)


SETTLED_BY_CHIPS: dict[str, Any] = {
    "synapse": "current",
    "compare": ">",
    "spikes": "single",
    "reset": "to_value",
    "reset_when": "same_step",
    "layer_latency": 1,
    "current_order": "new",
    "initial": "zero",
    "bias_register": "spikes",
    "arithmetic": "integer",
    "state_bits": 24,
    "overflow": "saturate",
}
"""What the equations of `loihi1` and `loihi2` leave no choice in: their potentials saturate at 24 bits, and what wraps they say."""

NETWORK_WIDE = ("dt", "layer_latency", "bias_register", "arithmetic", "state_bits", "overflow")
"""What all populations of a network have in common; the rest a population may have otherwise."""

CHOICES: dict[str, tuple[Any, ...]] = {
    name: get_args(hint) for name, hint in get_type_hints(DynamicsContract).items() if get_args(hint)
}
"""What each field may be."""
