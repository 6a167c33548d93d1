"""Any padded, strided, dilated window as one that NIR can say and `nir` checks correctly.

NIR pads both sides of an axis alike, and the type check of `nir` 1.0.8 takes the first kernel size for every axis. A kernel
that is extended with zero taps says the same convolution with equal paddings and a square kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a convolution: output j reads input `stride * j - before + spacing * i` through tap i."""

    size: int
    """Length of the input; beyond it everything is zero."""
    taps: int
    spacing: int
    stride: int
    before: int
    """Zeros before the input; negative where the first window starts inside."""
    outputs: int


@dataclass(frozen=True, slots=True)
class Window:
    """The same axis with equal padding: original tap i sits at `first + step * i` of a kernel of `size` taps."""

    size: int
    dilation: int
    stride: int
    padding: int
    first: int
    step: int


def symmetric(axes: Sequence[Axis]) -> tuple[Window, ...] | None:
    """The smallest equal kernel size with equal paddings on every axis, or None if there is none.

    >>> symmetric([Axis(size=8, taps=2, spacing=1, stride=1, before=0, outputs=8)])
    (Window(size=3, dilation=1, stride=1, padding=1, first=1, step=1),)
    """
    for dilated in (True, False):  # without dilation every difference of the paddings can be said
        forms = [_Form(axis, dilated) for axis in axes]
        if any(form.fewest > form.most for form in forms):
            continue
        smallest = max(form.smallest for form in forms)
        for size in range(smallest, smallest + 3):
            windows = [form.window(size) for form in forms]
            if all(windows):
                return tuple(window for window in windows if window is not None)
    return None


class _Form:
    """Which kernel sizes can say an axis. With a zero taps before the kernel and b after it, only a - b matters."""

    def __init__(self, axis: Axis, dilated: bool) -> None:
        self.axis = axis
        self.dilation = axis.spacing if dilated else 1
        self.step = 1 if dilated else axis.spacing
        self.taps = axis.taps if dilated else (axis.taps - 1) * axis.spacing + 1
        # (outputs - 1) * stride <= size + 2 * before + (a - b) * dilation - (taps - 1) * dilation - 1 < outputs * stride
        room = axis.size + 2 * axis.before - (self.taps - 1) * self.dilation - 1
        self.fewest = -((room - (axis.outputs - 1) * axis.stride) // self.dilation)
        self.most = (axis.outputs * axis.stride - 1 - room) // self.dilation
        self.lead = max(0, -(axis.before // self.dilation))

    @property
    def smallest(self) -> int:
        lead = max(self.lead, self.fewest)
        return self.taps + lead + max(0, lead - self.most)

    def window(self, size: int) -> Window | None:
        zeros = size - self.taps
        first = max(self.lead, -((-zeros - self.fewest) // 2))
        if first > zeros or 2 * first - zeros > self.most:
            return None
        padding = self.axis.before + first * self.dilation
        return Window(size, self.dilation, self.axis.stride, padding, first, self.step)
