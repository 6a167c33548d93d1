"""Dense and recurrent layers."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.lava_dl.layers import MAX_NEURONS, Layers, cells_of, check_size, delays_of, remark_biases
from spikeport.lava_dl.section import COMPLEX, Section
from spikeport.lava_dl.weights import HIGH, LOW, Stored, stored
from spikeport.primitives import Dense, Projection, Reshape, Shape, Sparse, Synapse

WEIGHTS = "of weight"


def read_dense(layers: Layers, i: int, section: Section, *, recurrent: bool = False) -> None:
    section.skip("inFeatures", "outFeatures")  # compared with the weights, once these are known
    declared = section.shape("shape", at_most=MAX_NEURONS)
    given = _matrix(section, "weight", declared)
    back = _matrix(section, "weight_rec", declared) if recurrent else None
    cells = cells_of(layers, i, section, None if declared is None else (prod(declared),))
    delay = delays_of(section)
    if declared is None or given is None or (recurrent and back is None):
        return
    shape, name = (prod(declared),), f"layer{i}"
    if not layers.source:
        layers.enter(layers.input_shape or (given.shape[1],))
    if given.shape[1] != prod(layers.shape):
        why = f"has {given.shape[1]:,} columns, and {prod(layers.shape):,} neurons come before it"
        section.wrong("weight", why)
        return
    if back is not None and back.shape[1] != shape[0]:
        section.wrong("weight_rec", f"has {back.shape[1]:,} columns for {shape[0]:,} neurons")
        return
    for key, size in (("inFeatures", given.shape[1]), ("outFeatures", shape[0])):
        check_size(section, key, size)
    if recurrent and delay is not None and delay.any():
        why = "of a recurrent layer: lava-dl trains with delays of what leaves it, Lava's reader delays the recurrent spikes too"
        section.wrong("delay", why, "train the recurrent layer without delays")
        return
    made = stored((given,) if back is None else (given, back))
    if made is None:
        why = "has odd weights beyond 127 in synapses without a sign, which Lava's reader does not hold"
        section.wrong("weight", why, "lava-dl exports even weights: leave `pre_hook_fx` to the block")
        return
    chain: tuple[Synapse, ...] = () if len(layers.shape) == 1 else (Reshape((prod(layers.shape),)),)
    arriving = list(_delayed_dense(layers.source, name, chain, made[0], delay, section))
    if recurrent:
        arriving.append(Projection(name, name, (Dense(made[1].weight),), exponent=made[1].exponent))
    if cells is None:
        return
    error = max(m.error for m in made)
    if error:
        layers.remark(name, "Lava's reader clips weights of -256, or what it shifts to it", error, WEIGHTS)
    remark_biases(layers, name, delay, cells)
    layers.grow(name, shape, cells, arriving)


def read_recurrent(layers: Layers, i: int, section: Section) -> None:
    read_dense(layers, i, section, recurrent=True)


def _matrix(section: Section, name: str, declared: Shape | None) -> NDArray[np.int64] | None:
    """Weights of shape (post, pre); None where something is wrong."""
    before = len(section.problems)
    if isinstance(section.get(name), dict):
        section.wrong(name, *COMPLEX)
        return None
    weights = section.whole(name, LOW, HIGH)
    if len(section.problems) > before or declared is None:
        return None
    post = prod(declared)
    weights = weights.reshape(
        weights.shape[:2] if weights.ndim > 2 and weights.size == prod(weights.shape[:2]) else weights.shape
    )
    if weights.ndim == 1 and weights.size % post == 0:
        weights = weights.reshape(post, -1)
    if weights.ndim != 2 or weights.shape[:1] != (post,):
        section.wrong(name, f"has the shape {weights.shape}, and should have a row for each of {post:,} neurons")
        return None
    return weights


def _delayed_dense(
    source: str,
    target: str,
    chain: tuple[Synapse, ...],
    made: Stored,
    delay: NDArray[np.int64] | None,
    section: Section,
) -> list[Projection]:
    """One projection for each delay that occurs; a delay is of a row, a column, or a synapse."""
    post, pre = made.weight.shape
    if delay is None or delay.size == 1:
        each = np.full((1, 1), 0 if delay is None else delay.ravel()[0])
    elif delay.shape == (post,):  # also where there are as many columns: so does Lava's reader
        each = np.broadcast_to(delay[:, None], (post, pre))
    elif delay.shape == (pre,):
        each = np.broadcast_to(delay, (post, pre))
    elif delay.shape == (post, pre):
        each = delay
    else:
        section.wrong("delay", f"has the shape {delay.shape}, and the weights have {(post, pre)}")
        return []
    found = np.unique(each)
    if len(found) == 1:
        return [Projection(source, target, (*chain, Dense(made.weight)), delay=int(found[0]), exponent=made.exponent)]
    arriving = []
    for steps in found:
        targets, sources = np.nonzero((each == steps) & (made.weight != 0))
        synapses = Sparse.from_pairs(sources, targets, made.weight[targets, sources], pre=pre, post=post)
        arriving.append(Projection(source, target, (*chain, synapses), delay=int(steps), exponent=made.exponent))
    return arriving
