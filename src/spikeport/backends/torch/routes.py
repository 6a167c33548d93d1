"""Projections of a hand-made network as products on tensors: operators stay operators, sparse synapses follow the spikes.

Sums of floating-point numbers are added in the order of the library, not in that of `DynamicsContract`; those of integers are exact,
in whatever order: in float32 or float64 where every sum is proved to stay below what these count to, else in 64-bit integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeport.backends.dynamics.plan import PopulationPlan, in_dtype, largest_sum, make_plan, too_large
from spikeport.backends.dynamics.rows import Rows, checked_chain, rows
from spikeport.backends.torch.bounds import reach
from spikeport.backends.torch.operations import TorchOperations
from spikeport.backends.torch.precision import exact_dtype
from spikeport.errors import GraphError, Problem
from spikeport.plugin.driving import DTYPES, LARGEST_INPUT
from spikeport.plugin.ranges import sends_several
from spikeport.primitives import DynamicNetwork, Projection, Shape, Sparse, Synapse

ENTRIES = 2**22
"""Synapses that are followed at once: bounds memory."""
TORCH_DTYPES = {"float64": torch.float64, "float32": torch.float32, "integer": torch.int64}


@dataclass(frozen=True, eq=False)
class Operators:
    """Operators one after the other."""

    synapses: tuple[Synapse, ...]
    shape: Shape
    """Of the source."""
    operations: TorchOperations

    def __call__(self, x: Tensor) -> Tensor:
        y = x.to(self.operations.dtype).reshape(len(x), *self.shape)
        for synapse in self.synapses:
            y = self.operations.synapse(synapse, y)
        return y.reshape(len(x), -1).to(x.dtype)


class Following:
    """Synapses by source: each value that is not zero is followed to its targets."""

    def __init__(self, found: Rows, post: int, dtype: torch.dtype, device: torch.device) -> None:
        self.post = post
        self.begins = torch.tensor(found.offsets[:-1], device=device)
        self.lengths = torch.tensor(np.diff(found.offsets), device=device)
        self.targets = torch.tensor(found.targets.astype(np.int64), device=device)
        self.weights = torch.tensor(found.weights, dtype=dtype, device=device)

    def __call__(self, x: Tensor) -> Tensor:
        out = x.new_zeros(len(x) * self.post)
        row, source = x.nonzero(as_tuple=True)
        ends = self.lengths[source].cumsum(0)
        begin = 0
        while begin < len(source):
            before = 0 if begin == 0 else int(ends[begin - 1])
            fit = int(torch.searchsorted(ends, before + ENTRIES, right=True))
            end = max(begin + 1, fit)
            self._follow(x, row[begin:end], source[begin:end], out)
            begin = end
        return out.reshape(len(x), self.post)

    def _follow(self, x: Tensor, row: Tensor, source: Tensor, out: Tensor) -> None:
        lengths = self.lengths[source]
        starts = lengths.cumsum(0) - lengths
        entries = torch.repeat_interleave(self.begins[source] - starts, lengths)
        entries += torch.arange(len(entries), device=x.device)
        value = x[row, source]
        match self.weights.ndim:
            case 0:
                worth = torch.repeat_interleave(self.weights * value, lengths)
            case 1:
                worth = self.weights[entries] * torch.repeat_interleave(value, lengths)
            case _:
                worth = torch.repeat_interleave(self.weights[source, 0] * value, lengths)
        out.index_add_(0, torch.repeat_interleave(row * self.post, lengths) + self.targets[entries], worth)


@dataclass(frozen=True, eq=False)
class Route:
    """A projection; source and target count inputs first, then populations."""

    source: int
    target: int
    delay: int
    """Steps from sending to arrival, the latency included."""
    through: Operators | Following
    """From (n, source neuron) to (n, target neuron)."""


def make_routes(
    network: DynamicNetwork, populations: Sequence[PopulationPlan], problems: list[Problem], device: torch.device
) -> tuple[Route, ...]:
    """All projections; `problems` are those of the neurons.

    Raises:
        GraphError: projections that learn; and what the reference refuses, of synapses and neurons.
    """
    hint = "the reference or the compiled kernels, or plasticity=None"
    learning = [
        Problem(p.name, f"learns by {p.plasticity.name}, which torch does not step", hint)
        for p in network.projections
        if p.plasticity is not None
    ]
    if learning:
        raise GraphError(learning)
    made = _Maker(network, populations, device)
    found = []
    for p in network.projections:
        try:
            through = made.product(p, problems)
        except ValueError as error:
            problems.append(Problem(p.name, str(error)))
            continue
        delay = p.delay + network.latency_from(p.source)
        found.append(Route(made.numbers[p.source], made.numbers[p.target], delay, through))
    if network.contract.arithmetic == "integer":
        problems.extend(too_large(network, populations, made.arriving))
    if problems:
        # bounds of operators one by one are wider than that of the folded synapses, which decides
        make_plan(network)
    return tuple(found)


class _Maker:
    def __init__(self, network: DynamicNetwork, populations: Sequence[PopulationPlan], device: torch.device) -> None:
        self.device, self.arithmetic = device, network.contract.arithmetic
        self.dtype: Any = DTYPES[self.arithmetic]
        self.state = TORCH_DTYPES[self.arithmetic]
        self.shapes = {place.name: place.shape for place in network.inputs}
        self.shapes |= {place.name: place.shape for place in network.populations}
        self.numbers = {name: i for i, name in enumerate(self.shapes)}
        self.most = sends_several(network) if self.arithmetic == "integer" else {}
        self.spiking = {p.name for p in populations if p.name not in self.most}
        self.arriving = dict.fromkeys(network.by_name, 0)
        self.operations: dict[torch.dtype, TorchOperations] = {}

    def product(self, p: Projection, problems: list[Problem]) -> Operators | Following:
        """Of one projection; integers add what it may bring to `arriving`."""
        chain = checked_chain(p, self.shapes[p.source], self.shapes[p.target])
        if isinstance(chain, Sparse) or not self._holds(chain):
            return self._followed(p, problems)
        dtype: torch.dtype | None = self.state
        if self.arithmetic == "integer":
            factor = reach(chain, 1)
            sent = 1 if p.source in self.spiking else self.most.get(p.source, LARGEST_INPUT)
            dtype = exact_dtype(factor * sent)
            if dtype is None:
                return self._followed(p, problems)
            self.arriving[p.target] += factor * self.most.get(p.source, LARGEST_INPUT)
        assert dtype is not None
        if dtype not in self.operations:
            self.operations[dtype] = TorchOperations(device=self.device, dtype=dtype)
        return Operators(chain, self.shapes[p.source], self.operations[dtype])

    def _holds(self, chain: tuple[Synapse, ...]) -> bool:
        """Whether the arithmetic holds each weight by itself, and what the folded ones can be."""
        lost: list[Problem] = []
        bound = 1.0
        for synapse in chain:
            weight: Any = getattr(synapse, "weight", None)
            if weight is not None:
                in_dtype(weight, self.dtype, "", "", lost)
                bound *= float(np.abs(weight.astype(np.float64)).sum())
        return not lost and (self.arithmetic == "integer" or bound <= float(np.finfo(self.dtype).max))

    def _followed(self, p: Projection, problems: list[Problem]) -> Following:
        found = rows(p, self.shapes[p.source], self.shapes[p.target])
        weights = in_dtype(found.weights, self.dtype, p.name, "weights", problems)
        found = Rows(found.offsets, found.targets, weights)
        post = prod(self.shapes[p.target])
        if self.arithmetic == "integer":
            self.arriving[p.target] += largest_sum(found, post) * self.most.get(p.source, LARGEST_INPUT)
        return Following(found, post, self.state, self.device)
