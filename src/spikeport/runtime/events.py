"""What may happen to a network while it runs, a closed list of values; `spikeport.runtime.reconfigure` says what each one does.

Neurons and synapses are named by flat indices, populations and modules by their paths (`cortex/v1/exc`), projections as recordings name
them: `source -> target`, with ` #2` for the second from there to there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import ArchiveError, GraphError, Problem
from spikeport.network import Converted, Module
from spikeport.primitives import DynamicNetwork, freeze_fields, frozen


@dataclass(frozen=True, slots=True, eq=False, init=False)
class SetParameters:
    """Other parameters of a population's neurons: `SetParameters("hid", threshold=1.2)`. States go on."""

    path: str
    values: Mapping[str, Any]

    def __init__(self, path: str, values: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "values", _parameters({**(values or {}), **named}))


@dataclass(frozen=True, slots=True, eq=False)
class SetWeights:
    """Other weights of the synapses that a projection has; of one that learns, what it has learned is replaced in all samples."""

    projection: str
    weights: NDArray[Any]
    """As the synapse has them: (post, pre) of `Dense`, one a synapse of `Sparse`."""

    def __post_init__(self) -> None:
        freeze_fields(self, "weights")


@dataclass(frozen=True, slots=True, eq=False)
class AddSynapses:
    """More synapses in a projection, one for each entry; a second one between two neurons is a synapse of its own."""

    projection: str
    pre: NDArray[Any]
    post: NDArray[Any]
    weights: NDArray[Any]
    """One a synapse, or one for all."""

    def __post_init__(self) -> None:
        freeze_fields(self, "pre", "post", "weights")
        problems = _pair_problems(self.projection, self.pre, self.post)
        if not problems and self.weights.shape not in ((), self.pre.shape):
            why = f"is given {self.weights.shape} weights for {len(self.pre)} synapses"
            problems = [Problem(self.projection, why, "one a synapse, or one number")]
        if problems:
            raise GraphError(problems)


@dataclass(frozen=True, slots=True, eq=False)
class PruneSynapses:
    """All synapses of a projection from `pre[k]` to `post[k]` are gone."""

    projection: str
    pre: NDArray[Any]
    post: NDArray[Any]

    def __post_init__(self) -> None:
        freeze_fields(self, "pre", "post")
        problems = _pair_problems(self.projection, self.pre, self.post)
        if problems:
            raise GraphError(problems)


@dataclass(frozen=True, slots=True, eq=False, init=False)
class AddNeurons:
    """More neurons at the end of a population of shape (neuron,); nothing is connected to them yet."""

    path: str
    n: int
    values: Mapping[str, Any]
    """Parameters, numbers or one for each new neuron; where nothing is said the population's, if they are the same for all."""

    def __init__(self, path: str, n: int, values: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise GraphError(Problem(path, f"cannot have {n!r} neurons added", "a whole number from 1 on"))
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "n", int(n))
        object.__setattr__(self, "values", _parameters({**(values or {}), **named}))


@dataclass(frozen=True, slots=True, eq=False)
class PruneNeurons:
    """Neurons of a population of shape (neuron,) are gone, with their synapses; those behind them move up."""

    path: str
    indices: NDArray[Any]

    def __post_init__(self) -> None:
        freeze_fields(self, "indices")
        if not _is_row(self.indices):
            why = f"is given indices of {self.indices.dtype} and shape {self.indices.shape}"
            raise GraphError(Problem(self.path, why, "a row of whole numbers"))


@dataclass(frozen=True, slots=True)
class Gate:
    """Close or open the border of a module, a population or an input: while it is closed, nothing crosses it, and the inside goes on."""

    path: str
    open: bool


@dataclass(frozen=True, slots=True, eq=False)
class Swap:
    """Another module, or finished network, in the place of a part; of a session that was made from a `Network`, which knows its ports."""

    path: str
    module: Module | DynamicNetwork | Converted
    """With ports of the same names and shapes, as far as they are connected."""
    keep: bool = False
    """Populations inside that have the same path, kind and shape keep their state, and synapses between them what they learned."""


@dataclass(frozen=True, slots=True, eq=False)
class Replace:
    """What `Swap` comes to on a flat network: everything below a path, and all projections that cross its border, as `network` has them."""

    path: str
    network: DynamicNetwork
    """The whole network as it would be built now, of which the rest is not looked at."""
    keep: bool = False


Event = SetParameters | SetWeights | AddSynapses | PruneSynapses | AddNeurons | PruneNeurons | Gate | Replace
"""What is done to a flat network."""
EVENTS: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (SetParameters, SetWeights, AddSynapses, PruneSynapses, AddNeurons, PruneNeurons, Gate, Replace)
}


def content_of(event: Event) -> tuple[Any, ...]:
    """An event as values that a file holds: its kind, then its fields."""
    values = [getattr(event, field.name) for field in fields(event)]
    plain = (tuple(sorted(v.items())) if isinstance(v, Mapping) else v for v in values)
    return (type(event).__name__, *plain)


def event_of(content: Any) -> Event:
    """The event that `content_of` was given.

    Raises:
        ArchiveError: it is none.
    """
    if not isinstance(content, tuple) or not content or content[0] not in EVENTS:
        raise ArchiveError(Problem("event", "is none that there is", "use the spikeport that wrote the file"))
    kind = EVENTS[content[0]]
    known = fields(kind)
    if len(content) != len(known) + 1:
        raise ArchiveError(Problem(content[0], f"has {len(content) - 1} fields, not {len(known)}"))
    values = list(content[1:])
    for i, field in enumerate(known):
        value, said = values[i], str(field.type)
        if said.startswith("Mapping"):
            pairs = isinstance(value, tuple) and all(
                isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in value
            )
            values[i], fits = dict(value) if pairs else None, pairs
        else:
            kinds = {"str": str, "int": int, "bool": bool, "NDArray[Any]": np.ndarray, "DynamicNetwork": DynamicNetwork}
            fits = type(value) is kinds[said]
        if not fits:
            raise ArchiveError(Problem(f"{content[0]}.{field.name}", f"holds a {type(value).__name__}, not {said}"))
    try:
        made: Event = kind(*values)
    except GraphError as error:
        raise ArchiveError(Problem(f"{content[0]}: {p.where}", p.why, p.hint) for p in error.problems) from error
    return made


def _parameters(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arrays are copied: whoever gave them may change them afterwards."""
    plain = (str, bool, int, float, type(None))
    return MappingProxyType({n: v if isinstance(v, plain) else frozen(np.asarray(v)) for n, v in values.items()})


def _is_row(values: NDArray[Any]) -> bool:
    return values.ndim == 1 and (values.dtype.kind in "iu" or not values.size)


def _pair_problems(projection: str, pre: NDArray[Any], post: NDArray[Any]) -> list[Problem]:
    if _is_row(pre) and _is_row(post) and pre.shape == post.shape:
        return []
    why = f"is given sources of {pre.dtype} {pre.shape} and targets of {post.dtype} {post.shape}"
    return [Problem(projection, why, "two rows of flat indices, one entry a synapse")]
