import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeport.nir.windows import Axis, symmetric


@st.composite
def axes(draw):
    size, taps, spacing, stride = (draw(st.integers(1, n)) for n in (9, 4, 3, 3))
    return Axis(size, taps, spacing, stride, draw(st.integers(-8, 4)), draw(st.integers(1, 9)))


def original(axis, kernel, x):
    """Output j reads input `stride * j - before + spacing * i` through tap i; zeros beyond the input."""
    places = [[axis.stride * j - axis.before + axis.spacing * i for i in range(axis.taps)] for j in range(axis.outputs)]
    return [sum(k * x[p] for k, p in zip(kernel, row, strict=True) if 0 <= p < axis.size) for row in places]


def padded(window, kernel, x):
    """An equally padded convolution as PyTorch defines it."""
    x = np.pad(x, window.padding)
    span = (len(kernel) - 1) * window.dilation + 1
    starts = range(0, len(x) - span + 1, window.stride)
    return [sum(kernel[i] * x[start + i * window.dilation] for i in range(len(kernel))) for start in starts]


def check(axis, window):
    rng = np.random.default_rng(0)
    kernel, x = rng.integers(1, 9, axis.taps), rng.integers(1, 9, axis.size)
    wide = np.zeros(window.size, dtype=int)
    wide[window.first : window.first + window.step * (axis.taps - 1) + 1 : window.step] = kernel
    assert window.padding >= 0
    assert padded(window, wide, x) == original(axis, kernel, x)


@given(axes())
def test_every_axis_has_a_symmetric_window(axis):
    windows = symmetric([axis])
    assert windows is not None
    check(axis, windows[0])


@given(axes(), axes())
def test_two_axes_get_one_kernel_size(first, second):
    windows = symmetric([first, second])
    if windows is None:  # by parity only, and then without a stride on any axis
        assert min(first.stride, second.stride) == 1
        return
    assert windows[0].size == windows[1].size
    check(first, windows[0])
    check(second, windows[1])


def test_a_window_that_nir_can_say_stays_as_it_is():
    axis = Axis(size=32, taps=3, spacing=2, stride=2, before=2, outputs=16)
    (window,) = symmetric([axis])
    assert (window.size, window.dilation, window.padding, window.first, window.step) == (3, 2, 2, 0, 1)
