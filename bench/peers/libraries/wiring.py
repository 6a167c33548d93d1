"""A case as torch modules: what the five torch libraries share is how layers feed each other.

Neurons and the handling of time are the library's own. Numbers are the case's divided by the gain of each layer, a power of
two: every one of them is exact in float32, and an identity is a plain sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from peers.case import Case, Inflow, Layer

LAYOUTS = {"planes": torch.contiguous_format, "channels last": torch.channels_last}


class Wiring(nn.Module):
    """All layers of a case; `forward` is one step, or all of them where the library's modules take them at once."""

    def __init__(
        self,
        case: Case,
        neuron: Callable[[Layer], nn.Module],
        *,
        lifted: Callable[[nn.Module], nn.Module] = lambda module: module,
        unit: Mapping[str, float] | None = None,
        worth: Mapping[str, float] | None = None,
    ) -> None:
        """Build the modules.

        Args:
            neuron: a layer's units, of threshold `layer.threshold * unit` and half of it to begin with.
            lifted: makes a module without state take whatever the library's tensors are.
            unit: size of one integer in each layer's membranes; by default 1 / gain.
            worth: value of one spike of each layer; by default 1.
        """
        super().__init__()
        self.case = case
        self.links = nn.ModuleDict()
        self.neurons = nn.ModuleDict()
        self.seen: Callable[[str, Tensor], None] | None = None
        self._last_reader: dict[str, str] = {}
        unit = {layer.name: 1 / layer.gain for layer in case.layers} if unit is None else unit
        worth = {} if worth is None else worth
        for layer in case.layers:
            self.neurons[layer.name] = neuron(layer)
            bias = layer.bias * unit[layer.name] if layer.bias.any() else None
            for inflow in layer.inflows:
                self._last_reader[inflow.source] = layer.name
                if inflow.weight is None:
                    continue
                link = _convolution(inflow, unit[layer.name] / worth.get(inflow.source, 1), bias)
                bias = None  # once a layer
                # the first layer's is called by `enter`, on whatever it is there
                self.links[_link(layer, inflow)] = link if layer is case.layers[0] else lifted(link)
        self.pool = lifted(nn.AvgPool2d(case.pool)) if case.pool > 1 else None
        readout = nn.Linear(case.readout.shape[1], case.readout.shape[0], bias=False)
        readout.weight.data = _float32(case.readout / worth.get(case.layers[-1].name, 1))
        self.readout = lifted(readout)

    def enter(self, value: Tensor) -> Tensor:
        """Current of the first layer, the only thing that is the same in all steps of a static input."""
        first = self.case.layers[0]
        return self.links[_link(first, first.inflows[0])](value)

    def forward(self, current: Tensor, channel_axis: int = 1) -> Tensor:
        """Read-out for the current that `enter` gave for this step, or for all of them."""
        values: dict[str, Tensor] = {}
        for layer in self.case.layers:
            if layer is not self.case.layers[0]:
                parts = [
                    values[i.source] if i.weight is None else self.links[_link(layer, i)](values[i.source])
                    for i in layer.inflows
                ]
                current = parts[0]
                for part in parts[1:]:
                    current = current + part
            values[layer.name] = spikes = self.neurons[layer.name](current)
            if self.seen is not None:
                self.seen(layer.name, spikes)
            for inflow in layer.inflows:
                if self._last_reader[inflow.source] == layer.name:
                    values.pop(inflow.source, None)
        last = spikes if self.pool is None else self.pool(spikes)
        out: Tensor = self.readout(last.flatten(channel_axis))
        return out


def _convolution(inflow: Inflow, factor: float, bias: NDArray[Any] | None) -> nn.Conv2d:
    weight = inflow.weight
    assert weight is not None
    out, into, *kernel = weight.shape
    link = nn.Conv2d(into, out, tuple(kernel), inflow.stride, inflow.padding, bias=bias is not None)
    link.weight.data = _float32(weight * factor)
    if bias is not None:
        link.bias.data = _float32(bias)
    return link


def _link(layer: Layer, inflow: Inflow) -> str:
    return f"{layer.name} from {inflow.source}"


def _float32(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


class Network:
    """A case on a torch library. An adapter says how spikes go through all steps."""

    def __init__(self, case: Case, wiring: Wiring, layout: str, go: Callable[[Wiring, Tensor], Tensor]) -> None:
        self.case, self._go = case, go
        self.wiring = wiring.eval().requires_grad_(False).to(memory_format=LAYOUTS[layout])
        x = torch.from_numpy(np.asarray(case.input, np.float32))
        self.input = x.to(memory_format=LAYOUTS[layout]) if x.ndim == 4 else x

    def run(self) -> Tensor:
        """The read-out summed over all steps, from fresh state."""
        with torch.inference_mode():
            return self._go(self.wiring, self.input)

    def count(self) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64]]:
        """Spikes of every unit, (batch, *shape) by layer, and the read-out on the integers' scale."""
        raster: dict[str, list[Tensor]] = {layer.name: [] for layer in self.case.layers}
        self.wiring.seen = lambda name, spikes: raster[name].append((spikes != 0).to(torch.uint8))
        readout = self.run()
        self.wiring.seen = None
        counts = {name: self._summed(parts) for name, parts in raster.items()}
        return counts, readout.double().numpy() * self.case.pool**2

    def _summed(self, parts: list[Tensor]) -> NDArray[np.int64]:
        steps, batch = self.case.steps, self.case.batch
        if len(parts) == steps:  # one a step
            return torch.stack(parts).sum(0, dtype=torch.int64).numpy()
        (whole,) = parts
        if whole.ndim == 5:  # (time, batch, ...)
            return whole.sum(0, dtype=torch.int64).numpy()
        return whole.unflatten(0, (batch, steps)).sum(1, dtype=torch.int64).numpy()


def step_by_step(case: Case, wiring: Wiring, x: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    """All steps one after the other; a static input's current is computed once."""
    constant = wiring.enter(x) if case.static else None
    out: Tensor | None = None
    for t in range(case.steps):
        result = step(wiring.enter(x[t]) if constant is None else constant)
        out = result if out is None else out + result
    assert out is not None
    return out


class Folded(nn.Module):
    """A module without state on (time, batch, ...), all steps in one call."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.module(x.flatten(0, 1))
        return out.unflatten(0, x.shape[:2])


def all_steps(case: Case, wiring: Wiring, x: Tensor) -> Tensor:
    """Current of the first layer, (time, batch, ...)."""
    if case.static:
        return wiring.enter(x).unsqueeze(0).expand(case.steps, -1, -1, -1, -1)
    return wiring.enter(x.flatten(0, 1)).unflatten(0, x.shape[:2])
