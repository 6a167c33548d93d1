"""From what people write between two populations to the operators that carry it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import OptionError
from spikeport.graph import output_shape
from spikeport.network.drawing import (
    by_delay,
    draw,
    pairs_by_distance,
    pairs_of_in_degree,
    pairs_with_probability,
)
from spikeport.network.recipes import (
    AllToAll,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Delays,
    Dense,
    DistanceDependent,
    FixedInDegree,
    FixedProbability,
    OneToOne,
    Recipe,
    Size,
    Sparse,
    SumPool2d,
    Weights,
)
from spikeport.primitives import Conv, Pairs, Reshape, Shape, SumPool, Synapse
from spikeport.primitives import Dense as DenseSynapses
from spikeport.primitives import OneToOne as OneToOneSynapses
from spikeport.primitives import Sparse as SparseSynapses
from spikeport.primitives.dynamic_network import WHOLE

Chain = tuple[Synapse | SparseSynapses, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Operators, and the steps from a spike to its arrival."""

    chain: Chain
    delay: int


def resolve(
    recipe: Recipe | Synapse | SparseSynapses | tuple[Any, ...] | None,
    source: Shape,
    target: Shape,
    *,
    dt: float,
    delay: float,
    same: bool,
    seeded: Callable[[int | None], np.random.Generator],
) -> tuple[Resolved, ...]:
    """The operators of a connection, one entry a delay; seconds become steps here, and nowhere else.

    Args:
        delay: seconds that the connection takes besides its recipe.
        same: whether source and target are one population.
        seeded: a generator from a recipe's own seed, or None.

    Raises:
        ValueError: it does not lead from the one shape to the other; the text says why.
    """
    made = _resolved(recipe, source, target, dt, same, seeded)
    more = steps_of(delay, dt)
    return tuple(replace(each, delay=each.delay + more) for each in made) if more else made


def _resolved(
    recipe: Recipe | Synapse | SparseSynapses | tuple[Any, ...] | None,
    source: Shape,
    target: Shape,
    dt: float,
    same: bool,
    seeded: Callable[[int | None], np.random.Generator],
) -> tuple[Resolved, ...]:
    """A recipe with its own delays."""
    if isinstance(recipe, AllToAll | FixedProbability | FixedInDegree | DistanceDependent | Sparse):
        return tuple(_synapses(recipe, source, target, dt, same, seeded))
    if isinstance(recipe, tuple):
        chain, delay = [], 0.0
        shape = source
        for i, part in enumerate(recipe):
            if not isinstance(part, Recipe | Synapse):
                raise ValueError(f"{type(part).__name__} cannot stand in a chain of synapses")
            if isinstance(part, AllToAll | FixedProbability | FixedInDegree | DistanceDependent | Sparse):
                raise ValueError(f"{type(part).__name__} stands alone: put a population between it and the others")
            made = _operators(part, shape, target if i == len(recipe) - 1 else None)
            for operator in made:
                shape = output_shape(operator, [shape])
            chain += made
            delay += getattr(part, "delay", 0.0)
        _check_end(shape, target)
        return (Resolved(tuple(chain), steps_of(delay, dt)),)
    if recipe is None:
        if source != target:
            raise ValueError(f"{source} and {target} differ, and nothing says how they are joined: give synapses")
        return (Resolved((), 0),)
    if isinstance(recipe, SparseSynapses):
        if (recipe.pre, recipe.post) != (prod(source), prod(target)):
            raise ValueError(
                f"its synapses join {recipe.pre} to {recipe.post} neurons, and there are {prod(source)} and {prod(target)}"
            )
        return (Resolved((recipe,), 0),)
    made = _operators(recipe, source, target)
    shape = source
    for operator in made:
        shape = output_shape(operator, [shape])
    _check_end(shape, target)
    return (Resolved(tuple(made), steps_of(getattr(recipe, "delay", 0.0), dt)),)


def steps_of(delay: float, dt: float) -> int:
    """A delay in steps.

    Raises:
        ValueError: it is negative, or no whole number of steps.
    """
    steps = _steps(np.asarray(delay), dt)
    return int(steps)


def _steps(delay: NDArray[Any], dt: float) -> NDArray[np.int64]:
    exact = np.asarray(delay, dtype=np.float64) / dt
    steps = np.rint(exact)
    if not np.isfinite(exact).all() or (exact < 0).any():
        raise ValueError("its delay is not a number of seconds from 0 on")
    off = np.abs(exact - steps) > WHOLE * np.maximum(1, steps)
    if off.any():
        first = float(np.asarray(delay).ravel()[int(np.argmax(off.ravel()))])
        raise ValueError(f"its delay of {first:g} s is no whole number of steps of {dt:g} s: change it, or dt")
    whole: NDArray[np.int64] = steps.astype(np.int64)
    return whole


def _check_end(shape: Shape, target: Shape) -> None:
    if shape != target:
        raise ValueError(f"its synapses lead to shape {shape}, and the target has {target}")


def _operators(recipe: Any, source: Shape, target: Shape | None) -> list[Synapse]:
    """What has no delays of single synapses; a target of None: any shape will do."""
    match recipe:
        case Dense(weight):
            if weight.ndim != 2 or weight.shape[1] != prod(source):
                wants = f"({prod(target) if target else 'post'}, {prod(source)})"
                raise ValueError(
                    f"weight of shape {weight.shape} for {prod(source)} source neurons: give (post, pre), here {wants}"
                )
            flat: list[Synapse] = [] if len(source) == 1 else [Reshape((prod(source),))]
            back: list[Synapse] = []
            if target is not None and len(target) != 1 and prod(target) == len(weight):
                back = [Reshape(target)]
            return [*flat, DenseSynapses(weight), *back]
        case OneToOne(weight):
            values = np.asarray(weight)
            return [] if values.shape == () and values == 1 else [OneToOneSynapses(values)]
        case Conv1d() | Conv2d():
            return [_convolution(recipe)]
        case SumPool2d(kernel, stride, padding, weight):
            scaled: list[Synapse] = [] if weight == 1 else [OneToOneSynapses(np.asarray(weight))]
            return [_pool(kernel, stride, padding), *scaled]
        case AvgPool2d(kernel, stride, padding):
            pool = _pool(kernel, stride, padding)
            return [pool, OneToOneSynapses(np.asarray(1 / prod(pool.kernel)))]
        case _ if isinstance(recipe, Synapse):
            return [recipe]
        case _:
            raise ValueError(f"{type(recipe).__name__} is no kind of synapses")


def _convolution(recipe: Conv1d | Conv2d) -> Conv:
    axes, name = (1, "Conv1d") if isinstance(recipe, Conv1d) else (2, "Conv2d")
    if recipe.weight.ndim != axes + 2:
        raise ValueError(f"{name} has a weight of shape {recipe.weight.shape}: give (post, pre / groups, *kernel)")
    kernel = recipe.weight.shape[2:]
    stride, dilation = _each(recipe.stride, axes, "stride"), _each(recipe.dilation, axes, "dilation")
    given: Any = recipe.padding
    match given:
        case "valid":
            padding: Pairs = ((0, 0),) * axes
        case "same":
            if any(s != 1 for s in stride):
                raise ValueError('padding="same" goes with a stride of 1')
            total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            padding = tuple((t // 2, t - t // 2) for t in total)
        case str():
            raise ValueError(f'its padding is {given!r}: a number, one an axis, "same" or "valid"')
        case _:
            padding = tuple((p, p) for p in _each(given, axes, "padding", least=0))
    return Conv(recipe.weight, stride, padding, dilation, recipe.groups)


def _pool(kernel: Size, stride: Size | None, padding: Size) -> SumPool:
    size = _each(kernel, 2, "kernel")
    step = size if stride is None else _each(stride, 2, "stride")
    return SumPool(size, step, tuple((p, p) for p in _each(padding, 2, "padding", least=0)))


def _each(value: Size, axes: int, name: str, least: int = 1) -> Shape:
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or any(not isinstance(v, int) or isinstance(v, bool) or v < least for v in values):
        raise ValueError(f"its {name} is {value!r}: give {axes} whole numbers from {least} on, or one for all")
    return values


def _synapses(
    recipe: AllToAll | FixedProbability | FixedInDegree | DistanceDependent | Sparse,
    source: Shape,
    target: Shape,
    dt: float,
    same: bool,
    seeded: Callable[[int | None], np.random.Generator],
) -> Iterator[Resolved]:
    """What joins neurons one by one."""
    pre, post = prod(source), prod(target)
    if isinstance(recipe, Sparse):
        _check_counts(recipe)
        made = SparseSynapses.from_pairs(recipe.pre, recipe.post, np.asarray(recipe.weight), pre=pre, post=post)
        delay = np.asarray(recipe.delay)
        if delay.ndim:
            yield from _split(recipe.pre, recipe.post, recipe.weight, _steps(delay, dt), pre, post)
        else:
            yield Resolved((made,), steps_of(float(delay), dt))
        return
    rng = seeded(recipe.seed)
    selves = recipe.self_connections or not same
    distance = None
    match recipe:
        case AllToAll():
            offsets, targets = pairs_with_probability(1.0, pre, post, rng)
        case FixedProbability(p):
            if not 0 <= p <= 1:
                raise ValueError(f"its probability is {p!r}: 0 to 1")
            offsets, targets = pairs_with_probability(float(p), pre, post, rng)
        case FixedInDegree(n):
            most = pre if selves else pre - 1
            if n < 0 or (n > most and not recipe.multapses) or (n and most < 1):
                raise ValueError(f"each target neuron takes {n} synapses, and there are {most} sources to draw from")
            offsets, targets = _by_source(*pairs_of_in_degree(n, pre, post, recipe.multapses, selves, rng), pre)
        case DistanceDependent():
            if len(source) != len(target):
                raise ValueError(f"{source} and {target} have different numbers of axes: distances need the same space")
            sources, found, distance = pairs_by_distance(recipe, source, target, same, rng)
            offsets, targets = _offsets(sources, pre), found
        case _:
            assert_never(recipe)
    if not selves and isinstance(recipe, AllToAll | FixedProbability):
        sources = np.repeat(np.arange(pre, dtype=np.uint32), np.diff(offsets))
        kept = sources != targets
        offsets, targets = _offsets(sources[kept], pre), targets[kept]
    weights = _drawn(recipe.weight, len(targets), rng)
    delays = _drawn(recipe.delay, len(targets), rng)
    if distance is not None and isinstance(recipe, DistanceDependent) and recipe.speed is not None:
        delays = delays + distance / recipe.speed
    for array in (offsets, targets, weights):
        array.setflags(write=False)  # they are ours alone: no copy is needed to freeze them
    if not delays.ndim:
        yield Resolved((SparseSynapses(offsets, targets, weights, post),), steps_of(float(delays), dt))
        return
    if delays.size and not (np.isfinite(delays) & (delays >= 0)).all():
        raise ValueError("its delays are drawn below 0: give the distribution low=0")
    steps = np.rint(delays / dt).astype(np.int64)
    yield from _split(np.repeat(np.arange(pre), np.diff(offsets)), targets, weights, steps, pre, post)


def _check_counts(recipe: Sparse) -> None:
    n = recipe.pre.shape
    for name in ("post", "weight", "delay"):
        shape = np.shape(getattr(recipe, name))
        if shape != n and (shape or name == "post"):
            raise ValueError(f"has {n} source neurons, and {name} of shape {shape}: give one a synapse")


def _drawn(values: Weights | Delays, n: int, rng: np.random.Generator) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        raise ValueError("its synapses are drawn, and so must their weights and delays be: a number, Normal or Uniform")
    try:
        return draw(values, n, rng)
    except OptionError as error:
        raise ValueError(str(error)) from error


def _split(
    sources: NDArray[Any],
    targets: NDArray[Any],
    weights: float | NDArray[Any],
    steps: NDArray[np.int64],
    pre: int,
    post: int,
) -> Iterator[Resolved]:
    """One set of synapses for each delay."""
    each = np.asarray(weights)
    if not steps.size:  # a connection without synapses is one all the same, and may have a bias
        yield Resolved((SparseSynapses.from_pairs(sources, targets, each, pre=pre, post=post),), 0)
    for delay, which in by_delay(steps):
        part = each[which] if each.ndim else each
        made = SparseSynapses.from_pairs(sources[which], targets[which], part, pre=pre, post=post)
        yield Resolved((made,), delay)


def _offsets(sources: NDArray[Any], pre: int) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(np.bincount(sources, minlength=pre))))


def _by_source(
    sources: NDArray[np.int64], targets: NDArray[np.int64], pre: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    # numpy sorts two bytes by counting: wider numbers in two passes are so faster too
    order = np.argsort(sources.astype(np.uint16), kind="stable")
    if pre > 2**16:
        order = order[np.argsort((sources >> 16).astype(np.uint16)[order], kind="stable")]
    return _offsets(sources, pre), targets[order].astype(np.uint32)
