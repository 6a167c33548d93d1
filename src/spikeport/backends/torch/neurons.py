"""A step of a population with dynamics on tensors: the operations of `spikeport.backends.reference.dynamics.update`, in that order.

Each is one operation of IEEE arithmetic, or of integers, so that equal sums give equal potentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikeport.backends.dynamics import Kind, PopulationPlan
from spikeport.backends.dynamics.plan import Current, state_range
from spikeport.backends.reference.dynamics import LARGEST_COUNT

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
        v = self.v
        if contract.reset_when == "next_step":
            v = self._reset(v, self.fired)
        driven = None if i is None else n["gain"] * i if self.scaled and p.kind is not Kind.MEMORYLESS else i
        after = self._integrated(v, torch.zeros_like(v) if driven is None else driven)
        if p.delta:
            after = after + x
        after = self._fit(after)
        active = None if self.period is None else self.deaf == 0
        if active is None:
            v = after
        else:
            v = torch.where(active, after, v)
            self.deaf = torch.where(active, self.deaf, self.deaf - 1)
        if contract.reset_when == "after_next_update":
            v = self._reset(v, self.fired)
        if not p.fires:
            self.v = v
            return v
        fires = v > n["threshold"] if contract.compare == ">" else v >= n["threshold"]
        if active is not None:
            fires = fires & active
        spikes = torch.where(fires, self._thresholds(v), 0) if self.multi else fires.to(v.dtype)
        if contract.reset_when == "same_step":
            v = self._reset(v, spikes)
        if self.v_min is not None:
            v = torch.maximum(v, self.v_min)
        self.v = v
        if self.period is not None:
            self.deaf = torch.where(fires, self.period, self.deaf)
        self.fired = spikes
        return spikes

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
            case Kind.ACCUMULATE:
                return v + driven
            case Kind.FORWARD_EULER:
                return v + n["rate"] * ((n["v_leak"] - v) + driven)
            case Kind.EXPONENTIAL:
                return n["decay"] * v + n["rate"] * (n["v_leak"] + driven)
            case Kind.MEMORYLESS:
                return driven

    def _thresholds(self, v: Tensor) -> Tensor:
        """How many there are in a potential."""
        if v.dtype is torch.int64:
            return torch.div(v, self.numbers["threshold"], rounding_mode="floor")
        return torch.floor(v / self.numbers["threshold"]).clamp(max=LARGEST_COUNT)

    def _reset(self, v: Tensor, spikes: Tensor) -> Tensor:
        """The potentials after a reset of those that sent so many spikes."""
        if self.plan.kind is Kind.MEMORYLESS:
            return v
        if self.contract.reset == "to_value":
            return torch.where(spikes != 0, self.numbers["v_reset"], v)
        return torch.where(spikes != 0, self._fit(v - spikes * self.numbers["threshold"]), v)

    def _fit(self, v: Tensor) -> Tensor:
        """An integer potential within its width."""
        if self.contract.arithmetic != "integer":
            return v
        low, high = state_range(self.contract)
        if self.contract.overflow == "saturate":
            return v.clamp(low, high)
        return (v - low) % (high - low + 1) + low
