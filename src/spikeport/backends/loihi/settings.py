"""What a network may say to a Loihi alone, `ext={"loihi2": {...}}`: cores of a population, and how the synapse memory holds weights.

`num_weight_bits` and `sign_mode` are those of Lava's `Dense` and `Sparse`: they decide what is left of weights, so the network that is
compiled is another one where they cut something, and the ledger of the program says how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikeport.backends.loihi.placed import with_weights
from spikeport.backends.loihi.weights import WIDTH, Sign, effective_weights
from spikeport.errors import LowerError, OptionError, Problem
from spikeport.lower import Part, Placement, arrange
from spikeport.plugin import Backend, settings_of
from spikeport.primitives import Approximation, Conv, Dense, DynamicNetwork, Ledger, OneToOne, Projection, Sparse
from spikeport.targets import Target


@dataclass(frozen=True, slots=True)
class LoihiPopulation:
    """Of a population."""

    cores: tuple[int, ...] = ()
    """On which its neurons are, in equal slices in this order, other populations beside them only if they name the same core; empty:
    wherever there is room."""

    def __post_init__(self) -> None:
        if any(core < 0 for core in self.cores) or len(set(self.cores)) < len(self.cores):
            raise OptionError(Problem("cores", f"are {self.cores!r}", "different numbers from 0 on"))


@dataclass(frozen=True, slots=True)
class LoihiProjection:
    """Of a projection."""

    num_weight_bits: int = WIDTH
    """Bits of a weight, the sign of mixed ones included; lower ones are cut off, as by the chip's compiler."""
    sign_mode: Sign | None = None
    """None finds it from the weights; weights of another sign than a mode has become 0."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_weight_bits <= WIDTH:
            raise OptionError(Problem("num_weight_bits", f"is {self.num_weight_bits!r}", f"1 to {WIDTH}"))


def with_weights_held(network: DynamicNetwork, of: Backend) -> tuple[DynamicNetwork, Ledger]:
    """The network with the weights that its settings leave, and what they cut off.

    Raises:
        LowerError: settings that are wrong, or of projections whose weights are no integers.
    """
    projections, entries, problems = list[Projection](), list[Approximation](), list[Problem]()
    for p in network.projections:
        try:
            settings = settings_of(p, of, LoihiProjection)
            made = p if settings is None else _held(p, settings)
        except LowerError as error:
            problems += error.problems
            continue
        projections.append(made)
        if settings is not None:
            entries += _lost(p, made, settings)
    if problems:
        raise LowerError(problems)
    return replace(network, projections=tuple(projections)), tuple(entries)


def _held(p: Projection, settings: LoihiProjection) -> Projection:
    weighted = [s for s in p.synapses if isinstance(s, Dense | Conv | OneToOne | Sparse)]
    if len(weighted) != 1 or _weights(weighted[0]).dtype.kind not in "iu":
        why = "has settings of its weights, and no weights of integers, or several in a chain"
        raise LowerError(Problem(p.name, why, "one Dense, Conv, OneToOne or Sparse of integers"))
    synapse = weighted[0]
    left = effective_weights(_weights(synapse), bits=settings.num_weight_bits, sign=settings.sign_mode)
    made = tuple(with_weights(s, lambda _: left) if s is synapse else s for s in p.synapses)
    return replace(p, synapses=made)


def _lost(p: Projection, made: Projection, settings: LoihiProjection) -> Iterator[Approximation]:
    old, new = (_weights(q.weighted or next(s for s in q.synapses if isinstance(s, Conv))) for q in (p, made))
    most = int(np.abs(old.astype(np.int64) - new).max(initial=0))
    if most:
        mode = "" if settings.sign_mode is None else f" of {settings.sign_mode} sign"
        yield Approximation(p.name, f"weights keep {settings.num_weight_bits} bits{mode}, as ext says", float(most))


def _weights(synapse: Dense | Conv | OneToOne | Sparse) -> Any:
    return np.asarray(synapse.weights if isinstance(synapse, Sparse) else synapse.weight)


def chosen_cores(network: DynamicNetwork, of: Backend) -> dict[str, tuple[int, ...]]:
    """Cores by population, of those that say any."""
    found = {p.name: settings_of(p, of, LoihiPopulation) for p in network.populations}
    return {name: settings.cores for name, settings in found.items() if settings is not None and settings.cores}


def placed_on(
    network: DynamicNetwork, target: Target, placement: Placement, cores: Mapping[str, tuple[int, ...]]
) -> Placement:
    """A placement in which some populations are on cores of their own choice; the rest keeps together, on cores that nobody named.

    Raises:
        LowerError: what does not fit there.
    """
    named = {core for chosen in cores.values() for core in chosen}
    rest = [part for part in placement.parts if part.population not in cores]
    numbers = dict.fromkeys(sorted({part.core for part in rest}))
    free = (core for core in range(len(numbers) + max(named) + 1) if core not in named)
    moved = dict(zip(numbers, free, strict=False))
    parts = [replace(part, core=moved[part.core]) for part in rest]
    problems = []
    for name, chosen in cores.items():
        size = network[name].size
        if len(chosen) > size:
            problems.append(Problem(name, f"names {len(chosen)} cores for {size} neurons", "one core a neuron at most"))
            continue
        ends = [size * i // len(chosen) for i in range(len(chosen) + 1)]
        parts += [Part(name, ends[i], ends[i + 1], core) for i, core in enumerate(chosen)]
    if problems:
        raise LowerError(problems)
    return arrange(network, target, parts)
