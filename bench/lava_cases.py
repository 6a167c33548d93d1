"""Cases of every class that Lava's fixed-point processes are compared on: random ones, and boundaries on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from chips import Case, Link

DECAYS = (0, 1, 2, 17, 1024, 2047, 2048, 4094, 4095)


def binary(rng: np.random.Generator, lines: int, steps: int, rate: float = 0.25) -> np.ndarray:
    return (rng.random((lines, steps)) < rate).astype(np.int64)


def payloads(rng: np.random.Generator, lines: int, steps: int, most: int, rate: float = 0.25) -> np.ndarray:
    return binary(rng, lines, steps, rate) * rng.integers(-most, most + 1, (lines, steps))


def signed(rng: np.random.Generator, shape: tuple[int, ...], sign: str = "mixed") -> np.ndarray:
    low, high = {"mixed": (-256, 256), "excitatory": (0, 256), "inhibitory": (-255, 1)}[sign]
    return rng.integers(low, high, shape)


def thresholds(rng: np.random.Generator, n: int) -> np.ndarray:
    """Mantissas of all magnitudes."""
    return rng.integers(0, 2 ** rng.integers(1, 18, n))


def highest(rng: np.random.Generator) -> int:
    """The highest threshold; now and then one more, which the chip's register does not hold and no potential reaches."""
    return 131_071 + int(rng.random() < 0.25)


def lif(n: int, **numbers: Any) -> dict[str, Any]:
    """Parameters of LIF, all of them."""
    settled: dict[str, Any] = {"du": 4095, "dv": 0, "vth": 1, "bias_mant": 0, "bias_exp": 0, "v": 0} | numbers
    settled |= {name: np.broadcast_to(settled[name], n) for name in ("bias_mant", "bias_exp", "v")}
    return settled


def anything(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Everything random, one projection, spikes or payloads."""
    graded = rng.random() < 0.4
    x = payloads(rng, 24, steps, 60) if graded else binary(rng, 24, steps)
    link = Link(
        signed(rng, (n, 24), ["mixed", "mixed", "excitatory", "inhibitory"][rng.integers(4)]),
        x,
        exponent=int(rng.integers(-3, 4)),
        bits=int(rng.integers(1, 9)),
        message_bits=8 * graded,
    )
    numbers = lif(
        n,
        du=rng.integers(0, 4096, n),
        dv=rng.integers(0, 4096, n),
        vth=thresholds(rng, n),
        bias_mant=rng.integers(-4096, 4096, n),
        bias_exp=rng.integers(-7, 5, n),
        v=rng.integers(-5000, 5000, n),
    )
    return Case("random", "lif", (n,), steps, (link,), numbers)


def decays(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Every pair of decay classes."""
    du, dv = np.meshgrid(DECAYS, (*DECAYS, 4096))
    at = np.resize(np.arange(du.size), n)
    link = Link(signed(rng, (n, 12)), payloads(rng, 12, steps, 40), message_bits=8, exponent=2)
    numbers = lif(n, du=du.ravel()[at], dv=dv.ravel()[at], vth=thresholds(rng, n))
    return Case("decay classes", "lif", (n,), steps, (link,), numbers)


def equal(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Potentials that are small multiples of 64, as thresholds are: they meet often."""
    link = Link(rng.integers(-2, 4, (n, 3)) * 2, binary(rng, 3, steps, 0.5), exponent=-1)
    bias = 64 * rng.integers(-1, 2, n)
    # numbers near to a potential beyond zero too, from where one step more is one too many
    numbers = lif(n, du=4095, dv=np.where(rng.random(n) < 0.3, 4096, 0), vth=rng.integers(0, 5, n), bias_mant=bias)
    return Case("equal to the threshold", "lif", (n,), steps, (link,), numbers)


def wraps(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Currents around 2^23 on both sides: 128 times 1024 arrives, plus a little, once or three times."""
    weights = np.stack([np.full(n, 128), np.ones(n, np.int64), rng.integers(0, 4, n)], axis=1)
    x = np.zeros((3, steps), np.int64)
    often = rng.random(steps) < 0.7
    x[0] = np.where(often, rng.choice([-3072, -1024, -1024, 1024, 1024, 3072], steps), 0)
    x[1] = rng.integers(-2, 3, steps)
    x[2] = rng.integers(-1, 2, steps)
    link = Link(weights, x, message_bits=24)
    du = np.resize([4095, 4095, 0, 1, 2047, 2048, 4094], n)
    numbers = lif(n, du=du, dv=np.resize([4096, 0, 1, 2048, 4095], n), vth=rng.choice([1, 70_000, highest(rng)], n))
    return Case("wrap at 2^23, both sides", "lif", (n,), steps, (link,), numbers)


def odd(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Weights beyond the memory's ends, odd ones, in every sign mode, forced ones too, of every width."""
    mode, forced = [("mixed", ""), ("excitatory", ""), ("inhibitory", ""), ("mixed", "mixed"), ("mixed", "excitatory")][
        rng.integers(5)
    ]
    low, high = {"mixed": (-300, 300), "excitatory": (0, 300), "inhibitory": (-300, 1)}[mode]
    weights = rng.integers(low, high, (n, 16))
    ends = rng.choice([low, -257, -256, -255, -3, -1, 0, 1, 3, 255, 256, 257, high - 1], (n, 16))
    weights = np.where(rng.random((n, 16)) < 0.5, np.clip(ends, low, high - 1), weights)
    bits = 8 if rng.random() < 0.5 else int(rng.integers(1, 8))
    link = Link(weights, binary(rng, 16, steps), bits=bits, sign=forced)
    # a bias, so that inhibited neurons have something to fire for
    settled = {"bias_mant": rng.integers(-500, 4096, n), "bias_exp": rng.integers(0, 4, n)}
    numbers = lif(n, du=rng.integers(0, 4096, n), dv=rng.integers(0, 4096, n), vth=thresholds(rng, n), **settled)
    return Case("weights: odd, clipped, forced signs", "lif", (n,), steps, (link,), numbers)


def exponents(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Five projections of different exponents, sums that are not multiples of what is shifted away."""
    links = tuple(
        Link(signed(rng, (n, 3)), binary(rng, 3, steps), exponent=e)
        if e % 2
        else Link(signed(rng, (n, 3), "inhibitory"), payloads(rng, 3, steps, 9), exponent=e, message_bits=8)
        for e in rng.permutation(np.arange(-7, 8))[:5]
    )
    numbers = lif(n, du=rng.integers(0, 4096, n), dv=rng.integers(0, 4096, n), vth=thresholds(rng, n))
    return Case("exponents -7 to 7, projections added", "lif", (n,), steps, links, numbers)


def graded_input(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Payloads of up to 16 bits and a sign."""
    x = payloads(rng, 8, steps, [1, 127, 2047, 2**15][rng.integers(4)])
    link = Link(signed(rng, (n, 8)), x, message_bits=16, exponent=int(rng.integers(-7, 1)))
    numbers = lif(n, du=rng.integers(0, 4096, n), dv=rng.integers(0, 4096, n), vth=thresholds(rng, n))
    return Case("graded payloads", "lif", (n,), steps, (link,), numbers)


def beyond(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Sums beyond 32 bits, before and after every shift."""
    links = tuple(
        Link(signed(rng, (n, 3)), payloads(rng, 3, steps, 2**24, 0.3), exponent=e, message_bits=24)
        for e in rng.permutation(np.arange(-7, 8))[:2]
    )
    numbers = lif(n, du=rng.choice(DECAYS, n), dv=rng.choice(DECAYS, n), vth=thresholds(rng, n))
    return Case("sums beyond 32 bits", "lif", (n,), steps, links, numbers)


def biases(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Biases that push potentials to both ends of their range, and negative ones that are rounded down."""
    link = Link(signed(rng, (n, 6)), binary(rng, 6, steps))
    mantissa = np.where(rng.random(n) < 0.7, rng.integers(-4096, 0, n), rng.integers(0, 4096, n))
    numbers = lif(
        n,
        du=rng.integers(0, 4096, n),
        dv=rng.choice([0, 0, 1, 100, 4095], n),
        vth=rng.choice([100, highest(rng)], n),
        bias_mant=mantissa,
        bias_exp=rng.integers(-7, 8, n),
    )
    return Case("negative biases, ends of the potential", "lif", (n,), steps, (link,), numbers)


def loops(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Recurrent synapses."""
    weights = signed(rng, (n, n)) * (rng.random((n, n)) < 0.1)
    links = (Link(signed(rng, (n, 8)), binary(rng, 8, steps)), Link(weights, None, exponent=int(rng.integers(-2, 2))))
    numbers = lif(n, du=rng.integers(500, 4096, n), dv=rng.integers(0, 4096, n), vth=rng.integers(50, 900, n))
    return Case("recurrent", "lif", (n,), steps, links, numbers)


def sparse(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Sparse synapses of spikes and of payloads, and recurrent ones."""

    def drawn(lines: int) -> np.ndarray:
        return signed(rng, (n, lines)) * (rng.random((n, lines)) < 0.2)

    links = (
        Link(drawn(40), binary(rng, 40, steps), kind="sparse", exponent=int(rng.integers(-3, 3))),
        Link(drawn(10), payloads(rng, 10, steps, 50), kind="sparse", message_bits=8, bits=int(rng.integers(1, 9))),
        Link(drawn(n), None, kind="sparse"),
    )
    numbers = lif(n, du=rng.integers(500, 4096, n), dv=rng.integers(0, 4096, n), vth=thresholds(rng, n))
    return Case("sparse synapses", "lif", (n,), steps, links, numbers)


def payload_loop(rng: np.random.Generator, n: int) -> tuple[Link, ...]:
    """From the population to itself, now and then: what it sends arrives as payloads."""
    weights = signed(rng, (n, n)) * (rng.random((n, n)) < 2 / n)
    return (Link(weights, None, message_bits=24, exponent=-7),) if rng.random() < 0.4 else ()


def delayed(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Delays of a projection, 0 to 62 steps on top of the latency."""
    delay = int(rng.choice([0, 1, 2, 30, 62]))
    links = (
        Link(signed(rng, (n, 8)), binary(rng, 8, steps), kind="delay", delay=delay, exponent=int(rng.integers(-3, 3))),
        Link(signed(rng, (n, 8)), binary(rng, 8, steps)),
    )
    numbers = lif(n, du=rng.integers(0, 4096, n), dv=rng.integers(0, 4096, n), vth=rng.integers(50, 900, n))
    return Case("delays", "lif", (n,), steps, links, numbers)


def documented(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Decays and threshold one for all neurons, as LIF's documentation has them."""
    link = Link(signed(rng, (n, 24)), binary(rng, 24, steps), bits=int(rng.integers(1, 9)))
    numbers = lif(
        n,
        du=int(rng.choice(DECAYS)),
        dv=int(rng.choice(DECAYS)),
        vth=int(rng.integers(1, 400)),
        bias_mant=rng.integers(-400, 400, n),
    )
    return Case("parameters as documented", "lif", (n,), steps, (link,), numbers)


def convolution(rng: np.random.Generator, steps: int, most: int) -> tuple[tuple[int, int, int], Link]:
    """Shape of the target, and a convolution with a geometry of its own."""
    groups = int(rng.choice([1, 1, 2]))
    size, channels = rng.integers(6, 9, 2), groups * int(rng.integers(1, 3))
    kernel, stride = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    padding, dilation = rng.integers(0, 2, 2), rng.integers(1, 3, 2)
    out = 4
    weights = rng.integers(-128, 128, (out, *kernel, channels // groups))
    if rng.random() < 0.8:  # what a synapse memory holds; Lava's convolution takes any
        weights = 2 * weights
    graded = most > 1
    source = (int(size[0]), int(size[1]), channels)
    x = binary(rng, int(np.prod(source)), steps)
    x = (x * rng.integers(-most, most + 1, x.shape) if graded else x).reshape(*source, steps)
    shape = tuple(
        int((n + 2 * p - d * (k - 1) - 1) // s + 1)
        for n, p, d, k, s in zip(size, padding, dilation, kernel, stride, strict=True)
    )

    def pair(values: np.ndarray) -> tuple[int, int]:
        return int(values[0]), int(values[1])

    link = Link(
        weights,
        x,
        kind="conv",
        message_bits=24 * graded,
        padding=pair(padding),
        stride=pair(stride),
        dilation=pair(dilation),
        groups=groups,
    )
    width, height = shape
    return (width, height, out), link


def conv_lif(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Convolutions of spikes and of payloads onto LIF."""
    shape, link = convolution(rng, steps, int(rng.choice([1, 1, 50])))
    size = int(np.prod(shape))
    numbers = lif(size, du=rng.integers(0, 4096, size), dv=rng.integers(0, 4096, size), vth=thresholds(rng, size))
    return Case("convolution onto LIF", "lif", shape, steps, (link,), numbers)


def conv_graded(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Convolutions whose sums leave 24 bits."""
    shape, link = convolution(rng, steps, 2**17)
    vth = rng.choice([0, 5, 2**20], int(np.prod(shape)))
    return Case("convolution beyond 24 bits", "graded", shape, steps, (link,), {"vth": vth})


def conv_sigma_delta(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Convolutions onto sigma-delta."""
    shape, link = convolution(rng, steps, 50)
    return Case("convolution onto sigma-delta", "sigma_delta", shape, steps, (link,), sigma(rng, int(np.prod(shape))))


def sigma(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {
        "vth": rng.integers(0, 400, n),
        "bias": rng.integers(-300, 300, n),
        "relu": int(rng.integers(2)),
        "state_exp": int(rng.integers(0, 8)),
    }


def sigma_delta(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Sums small enough that changes are equal to thresholds."""
    weights = rng.integers(-3, 4, (n, 6)) if rng.random() < 0.5 else signed(rng, (n, 6))
    link = Link(weights * 2, payloads(rng, 6, steps, 20), message_bits=8, exponent=int(rng.integers(-2, 3)))
    numbers = sigma(rng, n)
    if numbers["state_exp"] < 2:
        numbers["vth"] = rng.integers(0, 20, n)
    return Case("sigma-delta", "sigma_delta", (n,), steps, (link, *payload_loop(rng, n)), numbers)


def sigma_delta_ends(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Sums that leave 32 bits."""
    link = Link(signed(rng, (n, 2), "excitatory"), payloads(rng, 2, steps, 2**20, 0.9), message_bits=24, exponent=4)
    return Case("sigma-delta beyond 32 bits", "sigma_delta", (n,), steps, (link, *payload_loop(rng, n)), sigma(rng, n))


def resonators(rng: np.random.Generator, n: int, steps: int, kind: Any) -> Case:
    """Oscillators of all periods, with decay and without; small, where states meet thresholds, or at the ends of their range."""
    bits = int(rng.choice([12, 12, 6]))
    period, kept = rng.uniform(2, 40, n), 1 - rng.choice([0, 0.01, 0.1, 0.3], n)
    small = rng.random() < 0.5
    if small:  # a quarter of a turn a step, without decay: whole numbers stay whole
        period, kept = np.where(rng.random(n) < 0.7, 4, period), np.where(rng.random(n) < 0.7, 1, kept)
    cos, sin = (np.trunc(kept * f(2 * np.pi / period) * 2**bits).astype(np.int64) for f in (np.cos, np.sin))
    most, exponent = (2, 0) if small else [(40, 0), (2000, 7)][rng.integers(2)]
    links = tuple(
        Link(
            2 * rng.integers(-1, 2, (n, 5)) if small else signed(rng, (n, 5)),
            payloads(rng, 5, steps, most, 0.2),
            message_bits=16,
            exponent=exponent,
            imag=imag,
        )
        for imag in (False, True)
    )
    numbers = {
        "cos": cos,
        "sin": sin,
        "vth": rng.integers(0, 9, n) if small else rng.choice([1, 100, 5000, 40_000], n),
        "state_exp": int(rng.integers(0, 7)),
        "decay_bits": bits,
    }
    loop = payload_loop(rng, n)
    return Case("resonate-and-fire" + ", Izhikevich" * (kind == "rf_iz"), kind, (n,), steps, (*links, *loop), numbers)


def rf(rng: np.random.Generator, n: int, steps: int) -> Case:
    return resonators(rng, n, steps, "rf")


def rf_iz(rng: np.random.Generator, n: int, steps: int) -> Case:
    return resonators(rng, n, steps, "rf_iz")


def graded_vectors(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Thresholds that sums meet exactly, beyond 32 bits too."""
    kind: Any = ["graded", "graded_relu"][rng.integers(2)]
    far = rng.random() < 0.3
    x = payloads(rng, 4, steps, 2**22 if far else 6, 0.6)
    weights = signed(rng, (n, 4), "excitatory") if far else rng.integers(-2, 3, (n, 4)) * 2
    link = Link(weights, x, message_bits=24, exponent=3 if far else -1)
    return Case("graded vectors", kind, (n,), steps, (link, *payload_loop(rng, n)), {"vth": rng.integers(0, 9, n)})


CLASSES = (
    anything,
    decays,
    equal,
    wraps,
    odd,
    exponents,
    graded_input,
    beyond,
    biases,
    loops,
    sparse,
    delayed,
    documented,
    conv_lif,
    conv_sigma_delta,
    conv_graded,
    sigma_delta,
    sigma_delta_ends,
    rf,
    rf_iz,
    graded_vectors,
)
