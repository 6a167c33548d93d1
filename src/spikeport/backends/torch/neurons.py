"""A step of a population with dynamics on tensors: the operations of `spikeport.backends.reference.dynamics.update`, in that order.

Each is one operation of IEEE arithmetic, or of integers, so that equal sums give equal potentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import expm1, log1p
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.backends.dynamics import Kind, PopulationPlan, SecondPlan
from spikeport.backends.dynamics.plan import Current
from spikeport.backends.reference.dynamics import LARGEST_COUNT
from spikeport.plugin.ranges import state_range
from spikeport.plugin.state import NeuronState

NUMBERS = (
    "bias",
    "gain",
    "rate",
    "decay",
    "v_leak",
    "threshold",
    "v_reset",
    "current_rate",
    "current_decay",
    "w_in",
)
SECOND = ("initial", "rate", "decay", "coupling", "increment", "square", "linear", "constant", "v_recovery")


class Neurons:
    """One population and its state for a batch, shape (batch, neuron)."""

    def __init__(self, plan: PopulationPlan, batch: int, dtype: torch.dtype, device: torch.device) -> None:
        def tensor(values: Any) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)

        self.plan, self.contract = plan, plan.contract
        self.numbers: Mapping[str, Tensor] = {name: tensor(getattr(plan, name)) for name in NUMBERS}
        self.constants = [(begin, tensor(values)) for begin, values in plan.constants]
        self.v_min = None if plan.v_min is None else tensor(plan.v_min)
        self.biased = bool(plan.bias.any())
        self.scaled = bool((plan.gain != 1).any())
        self.multi = plan.fires and plan.contract.spikes == "multi"
        self.v = tensor(plan.initial).expand(batch, -1).clone()
        self.current = torch.zeros_like(self.v) if plan.current is not Current.NONE else self.v
        self.second: Mapping[str, Tensor] = {}
        if plan.second is not None:
            held = {name: getattr(plan.second, name) for name in SECOND}
            self.second = {name: tensor(values) for name, values in held.items() if values is not None}
            self.current = self.second["initial"].expand(batch, -1).clone()
        self.period = torch.tensor(plan.refractory, device=device) if plan.refractory.any() else None
        self.deaf = torch.zeros((batch, plan.size), dtype=torch.int64, device=device)
        self.fired = torch.zeros_like(self.v)
        """How many spikes in the step before."""

    def step(self, index: int, x: Tensor, fed: Tensor | None) -> Tensor:
        """What each neuron sends in a step, spikes or its potential, in the dtype of the state.

        Args:
            index: of the step, from 0 on.
            x: what arrives.
            fed: current besides, broadcastable to (batch, neuron).
        """
        p, contract, n = self.plan, self.contract, self.numbers
        for begin, constant in reversed(self.constants):
            if begin <= index:
                x = x + constant
                break
        c: Tensor | None = n["bias"] if self.biased else None
        if fed is not None:
            c = n["bias"] + fed
        i = self._driving(x, c)
        if contract.reset_when == "next_step":
            self._reset(self.fired)
        v = self.v
        jump = x if p.delta else None
        if p.second is None:
            if i is not None and p.kind is Kind.RECTIFIED:
                i = i.clamp(min=0)
            driven = None if i is None else n["gain"] * i if self.scaled and p.kind is not Kind.MEMORYLESS else i
            after = self._integrated(v, torch.zeros_like(v) if driven is None else driven)
        else:
            if p.kind in (Kind.RESONATE, Kind.INTERPOLATED):
                jump = None  # at the other half, or not while it is deaf
            i = torch.zeros_like(v) if i is None else i
            after = self._with_second(p.second, v, x, i)
        if jump is not None:
            after = after + jump
        after = self._fit(after)
        active = None if self.period is None else self.deaf == 0
        if active is None:
            self.v = after
        else:
            self.v = torch.where(active, after, v)
            self.deaf = torch.where(active, self.deaf, self.deaf - 1)
        if contract.reset_when == "after_next_update":
            self._reset(self.fired)
        if p.second is not None and p.graded:
            return self._difference(p.second, c)
        if not p.fires:
            return self.v
        if p.by_phase:
            fires = self._is_beyond(self.current, n["threshold"]) & (self.v >= 0) & (v < 0)
        else:
            fires = self._is_beyond(self.v, n["threshold"] + self.current if p.adapts else n["threshold"])
        if active is not None:
            fires = fires & active
        if p.kind is Kind.INTERPOLATED:
            fires = fires & (self.current < self.second["constant"])
        spikes = torch.where(fires, self._thresholds(self.v), 0) if self.multi else fires.to(v.dtype)
        if i is not None and p.kind is Kind.INTERPOLATED:
            self.current = torch.where(fires, self._deaf_until(i), self.current)
        if contract.reset_when == "same_step":
            self._reset(spikes)
        if self.v_min is not None:
            self.v = torch.maximum(self.v, self.v_min)
        if self.period is not None:
            self.deaf = torch.where(fires, self.period, self.deaf)
        self.fired = spikes
        return spikes

    def held(self) -> dict[str, Any]:
        """Copies of the state, as `NeuronState` has it."""
        two = self.plan.current is not Current.NONE or self.plan.second is not None
        return {
            "v": copied(self.v),
            "second": copied(self.current if two else torch.zeros_like(self.v)),
            "refractory": copied(self.deaf),
            "fired": copied(self.fired.to(torch.int64)),
        }

    def hold(self, state: NeuronState) -> None:
        """Take over a state."""
        device = self.v.device
        self.v = torch.tensor(state.v, device=device)
        self.current = torch.tensor(state.second, device=device)
        self.deaf = torch.tensor(state.refractory, device=device)
        self.fired = torch.tensor(state.fired, device=device).to(self.v.dtype)

    def _is_beyond(self, v: Tensor, threshold: Tensor) -> Tensor:
        return v > threshold if self.contract.compare == ">" else v >= threshold

    def _driving(self, x: Tensor, c: Tensor | None) -> Tensor | None:
        """i of the contract; None is 0."""
        p, n, old = self.plan, self.numbers, self.current
        match p.current:
            case Current.NONE:
                if p.delta:
                    return c
                return x if c is None else c + x
            case Current.EULER_CURRENT:
                self.current = old + n["current_rate"] * (n["w_in"] * x - old)
            case Current.EULER_DELTA:
                self.current = (old - n["current_rate"] * old) + n["w_in"] * x
            case Current.EXPONENTIAL_CURRENT:
                self.current = n["current_decay"] * old + n["current_rate"] * (n["w_in"] * x)
            case Current.EXPONENTIAL_DELTA:
                self.current = n["current_decay"] * old + n["w_in"] * x
        current = self.current if self.contract.current_order == "new" else old
        return current if c is None else c + current

    def _integrated(self, v: Tensor, driven: Tensor) -> Tensor:
        n = self.numbers
        match self.plan.kind:
            case Kind.FORWARD_EULER:
                return v + n["rate"] * ((n["v_leak"] - v) + driven)
            case Kind.EXPONENTIAL:
                return n["decay"] * v + n["rate"] * (n["v_leak"] + driven)
            case Kind.MEMORYLESS:
                return driven
            case _:
                return v + driven

    def _with_second(self, plan: SecondPlan, v: Tensor, x: Tensor, i: Tensor) -> Tensor:
        """The potential after a step, before a jump; the second state takes its step too."""
        p, n, s, w = self.plan, self.numbers, self.second, self.current
        match p.kind:
            case Kind.FORWARD_EULER:
                self.current = w + s["rate"] * (s["coupling"] * (v - n["v_leak"]) - w)
                return self._integrated(v, n["gain"] * (i - w if plan.other else i))
            case Kind.EXPONENTIAL:
                self.current = s["decay"] * w + s["rate"] * (s["coupling"] * (v - n["v_leak"]))
                return self._integrated(v, n["gain"] * (i - w if plan.other else i))
            case Kind.IZHIKEVICH:
                after, driven = v, n["gain"] * i
                for _ in range(plan.substeps):
                    slope = ((s["square"] * (after * after) + s["linear"] * after) + s["constant"]) - w
                    after = after + n["rate"] * (slope + driven)
                seen = v if plan.other == 1 else after
                if plan.other == 2:
                    seen = torch.where(self._is_beyond(after, n["threshold"]), n["v_reset"], after)
                self.current = w + s["rate"] * (s["coupling"] * (seen - s["v_recovery"]) - s["decay"] * w)
                return after
            case Kind.RESONATE:
                other = (s["decay"] * w - s["coupling"] * v) + n["gain"] * i
                self.current = other + x if p.delta else other
                return (s["decay"] * v + s["coupling"] * w) + s["rate"] * i
            case Kind.INTERPOLATED:
                w = self.current = (w - s["constant"]).clamp(min=0)
                h = (s["constant"] - w).clamp(min=0)
                k = torch.where(w == 0, n["rate"], 0).to(v.dtype)
                some = (w > 0) & (h > 0)
                k[some] = _each(lambda ratio: -expm1(-ratio), (h / s["decay"])[some])
                after = v + k * ((n["v_leak"] + n["gain"] * i) - v)
                return torch.where(h > 0, after + x, after) if p.delta else after
            case _:
                return v

    def _deaf_until(self, i: Tensor) -> Tensor:
        """The second state of units of InterpolatedLIF that fire."""
        n, s, v = self.numbers, self.second, self.v
        above = v - n["threshold"]
        drive = ((n["v_leak"] + n["gain"] * i) - n["threshold"]).expand_as(
            v
        )  # i is one for all samples where nothing arrives
        crossed = (drive > above) & (above >= 0)
        back = torch.zeros_like(v)
        back[crossed] = _each(log1p, -above[crossed] / drive[crossed])
        return s["increment"] + (s["constant"] + s["decay"] * back)

    def _difference(self, plan: SecondPlan, c: Tensor | None) -> Tensor:
        """What SigmaDelta sends."""
        activation = self._fit(self.v if c is None else self.v + c)
        if not plan.other:
            activation = activation.clamp(min=0)
        d = activation - self.current
        sent = torch.where(self._is_beyond(d.abs(), self.numbers["threshold"]), d, 0)
        self.current = self.current + sent
        return sent

    def _thresholds(self, v: Tensor) -> Tensor:
        """How many there are in a potential."""
        if v.dtype is torch.int64:
            return torch.div(v, self.numbers["threshold"], rounding_mode="floor")
        return torch.floor(v / self.numbers["threshold"]).clamp(max=LARGEST_COUNT)

    def _reset(self, spikes: Tensor) -> None:
        """Reset the neurons that sent so many spikes."""
        p, n, v = self.plan, self.numbers, self.v
        if not p.resets:
            return
        fired = spikes != 0
        if self.contract.reset == "to_value":
            self.v = torch.where(fired, n["v_reset"], v)
        else:
            self.v = torch.where(fired, self._fit(v - spikes * n["threshold"]), v)
        if p.second is not None and p.kind is not Kind.INTERPOLATED:
            after = 0 if p.kind is Kind.RESONATE else self.current + self.second["increment"]
            self.current = torch.where(fired, after, self.current)

    def _fit(self, v: Tensor) -> Tensor:
        """An integer potential within its width."""
        if self.contract.arithmetic != "integer":
            return v
        low, high = state_range(self.contract)
        if self.contract.overflow == "saturate":
            return v.clamp(low, high)
        return (v - low) % (high - low + 1) + low


def _each(function: Callable[[float], float], values: Tensor) -> Tensor:
    """The C library's function of each value, as the other backends have it: torch's differs in the last bit."""
    return torch.tensor([function(x) for x in values.tolist()], dtype=values.dtype, device=values.device)


def copied(values: Tensor) -> NDArray[Any]:
    """On the host, and nobody else's."""
    array = np.array(values.numpy(force=True))
    array.setflags(write=False)
    return array
