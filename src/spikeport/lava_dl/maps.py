"""Layers of feature maps: convolutions and pooling."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.lava_dl.layers import MAX_NEURONS, Layers, cells_of, check_size, delays_of, remark_biases
from spikeport.lava_dl.section import COMPLEX, Section
from spikeport.lava_dl.weights import HIGH, LOW
from spikeport.primitives import Conv, Projection, Shape


def read_conv(layers: Layers, i: int, section: Section) -> None:
    section.skip("inChannels", "kernelSize", "outChannels")  # compared with the weights, once these are known
    declared = section.shape("shape", at_most=MAX_NEURONS)
    weights = _kernel(section)
    stride = section.lengths("stride", high=MAX_NEURONS)
    padding = section.lengths("padding", low=0, high=2**16)
    dilation = section.lengths("dilation", high=2**16)
    groups = section.integer("groups", 1, 2**20, default=1)
    cells = cells_of(layers, i, section, declared)
    delay = delays_of(section)
    shape = _maps(layers, i, section)
    if declared is None or weights is None or shape is None:
        return
    post, pre = weights.shape[0], weights.shape[1] * groups
    if post % groups or pre != shape[0]:
        why = f"has {weights.shape[1]:,} columns in {groups:,} groups and {post:,} rows, and {shape[0]:,} channels come before it"
        section.wrong("weight", why)
        return
    for key, size in (("inChannels", pre), ("outChannels", post)):
        check_size(section, key, size)
    _check_kernel(section, weights)
    axes = zip(shape[1:], padding, dilation, weights.shape[2:], stride, strict=True)
    space = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in axes)
    if declared != (post, *space):
        section.wrong("shape", f"is {declared}, and the convolution gives {(post, *space)}")
        return
    if not _delays_fit(layers, section, delay, post, weights.size) or cells is None:
        return
    name = f"layer{i}"
    kernel = Conv(
        weights.astype(np.int16),
        stride=stride,
        padding=tuple((p, p) for p in padding),
        dilation=dilation,
        groups=groups,
    )
    if delay is not None and delay.any():
        layers.remark(
            name,
            "delays act, as in training; Lava's reader leaves out delays of convolutions",
            float(delay.max()),
            "steps",
        )
    remark_biases(layers, name, delay, cells)
    layers.grow(name, declared, cells, _delayed_conv(layers.source, name, kernel, delay))


def read_pool(layers: Layers, i: int, section: Section) -> None:
    """Sums over windows: a convolution of each channel with itself. Lava's reader has none; the meaning is that of training."""
    section.skip("kernelSize")  # compared with the weights, once these are known
    declared = section.shape("shape", at_most=MAX_NEURONS)
    weights = _kernel(section)
    stride = section.lengths("stride", high=MAX_NEURONS)
    padding = section.lengths("padding", low=0, high=2**16)
    dilation = section.lengths("dilation", high=2**16)
    cells = cells_of(layers, i, section, declared)
    delay = delays_of(section)
    shape = _maps(layers, i, section)
    if declared is None or weights is None or shape is None:
        return
    _check_kernel(section, weights)
    size = weights.shape[2:]
    # what lava-dl adds at the lower and right edge; its windows run over all rows of all channels, as if they were one map
    more = tuple(n % k for n, k in zip(shape[1:], size, strict=True))
    if weights.shape[:2] != (1, 1):
        section.wrong("weight", f"has the shape {weights.shape}, and should be (1, 1, y, x)")
        return
    if (
        stride != size
        or padding != (0, 0)
        or dilation != (1, 1)
        or any((n + m) % k for n, m, k in zip(shape[1:], more, size, strict=True))
    ):
        why = "pools windows that overlap or do not fill the maps, where lava-dl mixes rows of different channels"
        section.wrong("kernelSize", why, "pool with stride = kernel_size on maps of which it is a divisor")
        return
    space = tuple((n + m) // k for n, m, k in zip(shape[1:], more, size, strict=True))
    if declared != (shape[0], *space):
        section.wrong("shape", f"is {declared}, and pooling gives {(shape[0], *space)}")
        return
    if not _delays_fit(layers, section, delay, shape[0], shape[0] * prod(size)) or cells is None:
        return
    name = f"layer{i}"
    kernel = Conv(
        np.broadcast_to(weights.astype(np.int16), (shape[0], 1, *size)),
        stride=stride,
        padding=tuple((0, m) for m in more),
        dilation=(1, 1),
        groups=shape[0],
    )
    layers.remark(name, "pooling is the convolution that lava-dl trains with; Lava's reader has no pooling")
    remark_biases(layers, name, delay, cells)
    layers.grow(name, declared, cells, _delayed_conv(layers.source, name, kernel, delay))


def _check_kernel(section: Section, weights: NDArray[np.int64]) -> None:
    """What the file says twice, with one number where both axes have it."""
    before = len(section.problems)
    if "kernelSize" in section:
        size = section.lengths("kernelSize", high=MAX_NEURONS)
        if len(section.problems) == before and size != weights.shape[2:]:
            section.wrong("kernelSize", f"is {size}, and the weights have {weights.shape[2:]}")


def _delays_fit(layers: Layers, section: Section, delay: NDArray[np.int64] | None, channels: int, weights: int) -> bool:
    """Whether there is a delay for each channel, and room for the kernels, which are held once for each delay that occurs."""
    if delay is not None and (delay.size not in (1, channels) or max(delay.shape, default=1) != delay.size):
        section.wrong("delay", f"has the shape {delay.shape}, and there are {channels:,} channels")
        return False
    return layers.take(section, "weight", weights * (1 if delay is None else len(np.unique(delay))), "weights")


def _maps(layers: Layers, i: int, section: Section) -> Shape | None:
    """The shape of the feature maps that a layer receives."""
    if not layers.source:
        if layers.input_shape is None or len(layers.input_shape) != 3:
            hint = "give input_shape=(channel, y, x)"
            section.wrong(
                "type", "has no input layer before it, so that the shape of what it receives is not known", hint
            )
            return None
        layers.enter(layers.input_shape)
    if len(layers.shape) != 3 or layers.flat:
        section.wrong("type", "needs feature maps, and a row of neurons comes before it")
        return None
    return layers.shape


def _kernel(section: Section) -> NDArray[np.int64] | None:
    """Weights of shape (post, pre / groups, y, x); a last axis over time is 1 long."""
    before = len(section.problems)
    if isinstance(section.get("weight"), dict):
        section.wrong("weight", *COMPLEX)
        return None
    weights = section.whole("weight", LOW, HIGH)
    if len(section.problems) > before:
        return None
    if weights.ndim == 5 and weights.shape[4] == 1:
        weights = weights[..., 0]
    if weights.ndim != 4:
        section.wrong("weight", f"has the shape {weights.shape}, and should be (channel, channel, y, x)")
        return None
    return weights


def _delayed_conv(source: str, target: str, kernel: Conv, delay: NDArray[np.int64] | None) -> list[Projection]:
    """One projection for each delay that occurs, with the kernels of its channels."""
    each = np.zeros(1, dtype=np.int64) if delay is None else delay.ravel()
    if len(np.unique(each)) == 1:
        return [Projection(source, target, (kernel,), delay=int(each[0]))]
    arriving = []
    for steps in np.unique(each):
        chosen = (each == steps).reshape(-1, 1, 1, 1)
        part = replace(kernel, weight=np.where(chosen, kernel.weight, np.int16(0)))
        arriving.append(Projection(source, target, (part,), delay=int(steps)))
    return arriving
