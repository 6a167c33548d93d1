"""Neurons with dynamics of their own, for networks written by hand: the equations and names of NIR, SI units.

A parameter is a number or an array that broadcasts to the population's shape. In each step a unit takes in `x`, the sum of
what arrives over projections, and `c`, its constant `bias` current plus what a simulation feeds it; the contract says how the
equation becomes a step. After a spike a unit with a refractory period keeps its potential and is deaf for so long.

What a unit sends is a spike where it fires; `SigmaDelta` sends a number there. Analog units (`Relay`, `I`, `LI`, `CubaLI`) never fire:
they send, in every step, their potential at its end.

Units that count need no class of their own. `IF` under `integrator="accumulate"` fires when so many inputs arrived as its threshold says,
and `reset="subtract"` keeps what was beyond it; `I` counts without an end, and sends the count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.primitives.frozen import frozen

Values = NDArray[Any] | float
CHOICES: Mapping[str, tuple[str, ...]] = {
    "adapts": ("threshold", "current"),
    "recovery": ("new", "old", "reset"),
    "kind": ("izhikevich", "rf"),
    "activation": ("relu", "unit"),
}
"""Fields that are words, and not numbers."""
MAX_SUBSTEPS = 64


def _freeze(neuron: Any) -> None:
    for field in fields(neuron):
        value = getattr(neuron, field.name)
        if value is not None and field.name not in (*CHOICES, "substeps"):
            object.__setattr__(neuron, field.name, frozen(np.asarray(value)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IF:
    """Integrate-and-fire: `dv/dt = r i`; spike and reset at the threshold."""

    threshold: Values = 1.0
    v_reset: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    """Seconds, a whole number of steps."""
    v_min: Values | None = None
    """At the end of a step the potential is at least this; None: it may fall as far as it likes."""
    initial: Values | None = None
    """Membrane potential before the first step; None leaves it to the contract."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LIF:
    """Leaky integrate-and-fire: `tau dv/dt = (v_leak - v) + r i`; spike and reset at the threshold."""

    tau: Values
    threshold: Values = 1.0
    v_leak: Values = 0.0
    v_reset: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    v_min: Values | None = None
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RectifiedIF:
    """Integrate-and-fire that no current discharges: `dv/dt = r i` where that is positive, and 0 elsewhere."""

    threshold: Values = 1.0
    v_reset: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InterpolatedLIF:
    """`LIF` whose refractory period is not counted in steps: it begins at the moment within a step at which the potential crossed the
    threshold, and ends within another, of which the neuron integrates the rest. Its rate is that of the formula, whatever dt.

    A second state, w, says when it integrates again: so many seconds after the beginning of the last step.
    """

    tau: Values
    threshold: Values = 1.0
    v_leak: Values = 0.0
    v_reset: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    """Seconds, any number."""
    v_min: Values | None = None
    initial: Values | None = None
    initial_w: Values = 0.0
    """w before the first step; in the first step it is deaf for `initial_w - dt` seconds."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CubaLIF:
    """Leaky integrate-and-fire with a current that decays: `tau_syn di/dt = -i + w_in x`, `tau_mem dv/dt = (v_leak - v) + r (i + c)`."""

    tau_syn: Values
    tau_mem: Values
    threshold: Values = 1.0
    v_leak: Values = 0.0
    v_reset: Values = 0.0
    r: Values = 1.0
    w_in: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    v_min: Values | None = None
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class I:  # noqa: E742
    """Integrator, which never spikes: `dv/dt = r i`."""

    r: Values = 1.0
    bias: Values = 0.0
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LI:
    """Leaky integrator, which never spikes: `tau dv/dt = (v_leak - v) + r i`."""

    tau: Values
    v_leak: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CubaLI:
    """Leaky integrator of a current that decays, which never spikes; the equations of `CubaLIF`."""

    tau_syn: Values
    tau_mem: Values
    v_leak: Values = 0.0
    r: Values = 1.0
    w_in: Values = 1.0
    bias: Values = 0.0
    initial: Values | None = None

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Threshold:
    """Unit without memory: it spikes in each step in which its input `x + c` is beyond the threshold."""

    threshold: Values = 1.0
    bias: Values = 0.0

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Relay:
    """Unit without memory that never spikes: it sends on what arrives, `x + c`, within the step and without latency."""

    bias: Values = 0.0

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AdaptiveLIF:
    """Leaky integrate-and-fire whose spikes hold back the next ones: `w = w + increment` at a spike, and between them
    `tau_adapt dw/dt = coupling (v - v_leak) - w`.

    With `adapts="threshold"` the membrane is that of `LIF`, and a spike comes at `threshold + w`: ALIF, and homeostasis where
    `tau_adapt` is long or `inf`. With "current" it is `tau dv/dt = (v_leak - v) + r (i - w)`: spike-frequency adaptation.
    """

    tau: Values
    tau_adapt: Values
    """Seconds; `inf`: w never decays."""
    increment: Values
    coupling: Values = 0.0
    """How far w follows the potential below the threshold."""
    adapts: Literal["threshold", "current"] = "threshold"
    threshold: Values = 1.0
    v_leak: Values = 0.0
    v_reset: Values = 0.0
    r: Values = 1.0
    bias: Values = 0.0
    refractory: Values = 0.0
    """Seconds, a whole number of steps; w goes on meanwhile."""
    v_min: Values | None = None
    initial: Values | None = None
    initial_w: Values = 0.0
    """w before the first step."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Izhikevich:
    """Izhikevich's neuron: `dv/dt = square v^2 + linear v + constant - u + r i`, `du/dt = a (b (v - v_recovery) - leak u)`; where v is
    beyond the threshold, `v = c` and `u = u + d`.

    The equations are published as plain numbers: t counts milliseconds and v millivolts. So do a, b, c and d, and a step of dt seconds
    is one of 1000 dt. Where the input is strong and the step long, v and u can diverge, as they do in the published programs.
    """

    a: Values = 0.02
    b: Values = 0.2
    c: Values = -65.0
    d: Values = 8.0
    threshold: Values = 30.0
    """The peak at which a spike is cut off."""
    square: Values = 0.04
    linear: Values = 5.0
    constant: Values = 140.0
    v_recovery: Values = 0.0
    leak: Values = 1.0
    """It and `v_recovery` are as they stand here in all but one of the published patterns, accommodation, whose u does not decay."""
    r: Values = 1.0
    bias: Values = 0.0
    substeps: int = 2
    """Steps of v in one of u, 1 to 64: 2 in the program of 2003, whose step is 1 ms; 1 in those of 2004, whose steps are 0.1 to 0.5 ms."""
    recovery: Literal["new", "old", "reset"] = "new"
    """u takes v after its update, as the published programs do; or before, as forward Euler says; or after it and the reset, as Nengo does."""
    initial: Values | None = None
    """None: c, whatever the contract says."""
    initial_u: Values | None = None
    """None: b (v - v_recovery)."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ResonateAndFire:
    """A damped oscillator, which answers to inputs that come in its rhythm: `dz/dt = (-1/tau + 2 pi j frequency) z + r i`, with `v = Im z`.

    Kind "izhikevich" fires where v is beyond the threshold, and begins again at `z = j v_reset`. Kind "rf" fires once a turn, where v
    rises through zero while `Re z` is beyond the threshold, and is not reset. What arrives acts on `Re z`.
    """

    tau: Values
    frequency: Values
    """Hertz."""
    threshold: Values = 1.0
    v_reset: Values = 1.0
    """Of "izhikevich"."""
    r: Values = 1.0
    bias: Values = 0.0
    kind: Literal["izhikevich", "rf"] = "izhikevich"
    initial: Values | None = None
    """v before the first step; None leaves it to the contract."""
    initial_w: Values = 0.0
    """Re z before the first step."""

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SigmaDelta:
    """Sums what arrives, and sends how far its activation is from all that it sent before, where that is beyond the threshold.

    `v = v + x`, `d = activation(v + c) - w`; where |d| is beyond the threshold it sends d, and `w = w + d`. No equation has a time in it.
    """

    threshold: Values
    bias: Values = 0.0
    activation: Literal["relu", "unit"] = "relu"
    """max(v, 0), or v."""

    def __post_init__(self) -> None:
        _freeze(self)


Analog = I | LI | CubaLI | Relay
"""They never spike; what they send is their potential."""
TwoStates = AdaptiveLIF | InterpolatedLIF | Izhikevich | ResonateAndFire | SigmaDelta
"""They fire, and have a second state of their own beside the potential."""
SECOND_STATES: Mapping[type, str] = {
    CubaLIF: "i",
    CubaLI: "i",
    AdaptiveLIF: "w",
    InterpolatedLIF: "w",
    Izhikevich: "u",
    ResonateAndFire: "w",
    SigmaDelta: "w",
}
"""What is kept beside the potential, as recordings call it: the current i, and w of the equations, which Izhikevich calls u."""
DynamicNeuron = IF | LIF | CubaLIF | RectifiedIF | Threshold | TwoStates | Analog
