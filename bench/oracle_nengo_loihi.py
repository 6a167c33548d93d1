"""Are our fixed-point neurons of Loihi 1 those of nengo-loihi's emulator? Random and boundary cases, every state of every step."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import common
import oracle
from chips import Case, Link
from lava_cases import DECAYS, binary, signed, thresholds
from lava_converted import converted_loihi1
from oracle import Simulator
from peers.protocol import PeerError
from spikeport.backends.loihi import effective_weights, found_sign

LEAST = 1_000_000
"""Values that are compared at least."""
LIMIT, HIGHEST = 2**23 - 1, 2**23 - 64
"""Largest potential, and largest threshold."""


def cuba(n: int, **numbers: Any) -> dict[str, Any]:
    """Parameters of the neurons, one value each."""
    settled: dict[str, Any] = {"du": 4095, "dv": 0, "threshold": 64, "bias": 0, "refractory": 1}
    settled |= {"v_min": -LIMIT, "v_max": LIMIT} | numbers
    return {name: np.broadcast_to(values, n) for name, values in settled.items()}


def case(name: str, n: int, steps: int, links: tuple[Link, ...], **numbers: Any) -> Case:
    """A case; the emulator clips no weights, so it is given those that a synapse memory holds."""
    signs = [found_sign(link.weights) for link in links]
    held = tuple(
        replace(link, weights=effective_weights(link.weights, sign=sign), sign=sign)
        for link, sign in zip(links, signs, strict=True)
    )
    return Case(name, "loihi1", (n,), steps, held, cuba(n, **numbers))


def anything(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Everything random, one projection."""
    sign = ["mixed", "excitatory", "inhibitory"][rng.integers(3)]
    link = Link(signed(rng, (n, 24), sign), binary(rng, 24, steps), exponent=int(rng.integers(-6, 4)))
    return case(
        "random",
        n,
        steps,
        (link,),
        du=rng.integers(0, 4096, n),
        dv=rng.integers(0, 4097, n),
        threshold=thresholds(rng, n) << 6,
        bias=rng.integers(-4095, 4096, n) << rng.integers(0, 8, n),
        refractory=rng.integers(1, 64, n) if rng.random() < 0.5 else 1,
    )


def decays(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Every pair of decay classes."""
    du, dv = np.meshgrid(DECAYS, (*DECAYS, 4096))
    at = np.resize(np.arange(du.size), n)
    link = Link(signed(rng, (n, 12)), binary(rng, 12, steps), exponent=2)
    threshold = thresholds(rng, n) << 6
    return case("decay classes", n, steps, (link,), du=du.ravel()[at], dv=dv.ravel()[at], threshold=threshold)


def equal(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Potentials and thresholds that are small multiples of 64: they meet often."""
    link = Link(rng.integers(-2, 4, (n, 3)) * 2, binary(rng, 3, steps, 0.5), exponent=-1)
    return case(
        "equal to the threshold",
        n,
        steps,
        (link,),
        dv=rng.choice([0, 0, 4096], n),
        threshold=64 * rng.integers(0, 5, n),
        bias=64 * rng.integers(-1, 2, n),
        refractory=rng.choice([1, 1, 2, 3], n),
    )


def wrapped(x: int, bits: int) -> int:
    return (x + 2**bits) % 2 ** (bits + 1) - 2**bits


def aimed(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Drives of which each step's is aimed at an end of a register: of what arrives at 2^21, or of the current at 2^23.

    24 lines are worth 2^0 to 2^23 (three projections of different exponents), or all of them the negative. The current of
    neurons that keep the most (du = 0) is followed here, so that the sum with what arrives can be aimed at.
    """
    sign = int(rng.choice([-1, 1]))
    bits = np.zeros((24, steps), np.int64)
    u = 0
    for step in range(steps):
        kept = int(np.sign(u)) * (abs(u) * 4095 >> 12)
        room = sign * (sign * 2**23 - kept)
        at_current = 0 <= room < 2**21 and rng.random() < 0.5
        aim = room if at_current else int(rng.choice([2**21, 2**21, 2**22, 2**21 - 2**10, 2**20]))
        drive = max(0, min(2**24 - 1, aim + int(rng.choice([-1, 0, 0, 1, -64, 64]))))
        bits[:, step] = drive >> np.arange(24) & 1
        u = wrapped(kept + wrapped(sign * drive, 21), 23)
    row = sign * 2 ** np.arange(8)
    # at exponent 7 a weight of 128 is worth 2^20: lines of 2^21, 2^22 and 2^23 are sent two, four and eight times over
    times = (1, 1, 1, 1, 1, 2, 4, 8)
    upper = np.repeat(sign * np.minimum(8 * 2 ** np.arange(8), 128), times)
    links = (
        Link(np.tile(row, (n, 1)), bits[:8], exponent=-6),
        Link(np.tile(row, (n, 1)), bits[8:16], exponent=2),
        Link(np.tile(upper, (n, 1)), np.repeat(bits[16:], times, axis=0), exponent=7),
    )
    return case(
        "wrap at 2^21 and at 2^23" + (", negative" if sign < 0 else ""),
        n,
        steps,
        links,
        du=np.resize([0, 0, 4095, 1, 2047], n),
        dv=np.resize([4096, 0, 2048], n),
        threshold=rng.choice([64, 2**22, HIGHEST], n),
        bias=rng.choice([0, 0, 1, -1, 4095 << 7], n),
    )


def refractory(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Every refractory period from 1 to 63, with drive that would fire in each step, and with less."""
    link = Link(signed(rng, (n, 6)), binary(rng, 6, steps))
    return case(
        "refractory 1 to 63",
        n,
        steps,
        (link,),
        du=rng.integers(0, 4096, n),
        dv=rng.choice([0, 1, 2000, 4096], n),
        threshold=64 * rng.integers(1, 50, n),
        bias=rng.integers(-100, 2000, n),
        refractory=np.resize(np.arange(1, 64), n),
    )


def clipped(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Floors 1 - 2^k and ceilings 2^(9 + 2k) - 1, thresholds just below and just above the ceiling, biases to either side."""
    link = Link(signed(rng, (n, 8)), binary(rng, 8, steps), exponent=int(rng.integers(-2, 5)))
    v_max = 2 ** (9 + 2 * rng.integers(0, 8, n)) - 1
    threshold = np.minimum((v_max >> 6) + rng.integers(0, 2, n), HIGHEST >> 6) << 6
    return case(
        "floors and ceilings",
        n,
        steps,
        (link,),
        du=rng.integers(0, 4096, n),
        dv=rng.choice([0, 0, 1, 4095], n),
        threshold=threshold,
        bias=rng.integers(-4095, 4096, n) << rng.integers(0, 8, n),
        v_min=1 - 2 ** rng.integers(0, 24, n),
        v_max=v_max,
        refractory=rng.choice([1, 1, 5], n),
    )


def biased(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Currents that are driven around and around, and biases that take their sum beyond 2^23 first; the current does not hold them."""
    link = Link(
        signed(rng, (n, 4), ["excitatory", "inhibitory"][rng.integers(2)]), binary(rng, 4, steps, 0.15), exponent=7
    )
    return case(
        "bias and current beyond 2^23",
        n,
        steps,
        (link,),
        du=rng.choice([0, 0, 1, 17], n),
        dv=rng.choice([4095, 4095, 0, 1], n),
        threshold=rng.choice([64, HIGHEST], n),
        bias=rng.choice([-4095, 4095], n) << 7,
    )


def loops(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Recurrent synapses."""
    weights = signed(rng, (n, n)) * (rng.random((n, n)) < 0.1)
    links = (Link(signed(rng, (n, 8)), binary(rng, 8, steps)), Link(weights, None, exponent=int(rng.integers(-2, 2))))
    return case(
        "recurrent",
        n,
        steps,
        links,
        du=rng.integers(500, 4096, n),
        dv=rng.integers(0, 4096, n),
        threshold=64 * rng.integers(50, 900, n),
        refractory=rng.choice([1, 1, 2, 9], n),
    )


def exponents(rng: np.random.Generator, n: int, steps: int) -> Case:
    """Projections of all exponents; under -7 mixed weights, which are even."""
    links = tuple(Link(signed(rng, (n, 2)), binary(rng, 2, steps), exponent=int(e)) for e in range(-7, 8))
    return case(
        "exponents -7 to 7, projections added",
        n,
        steps,
        links,
        du=rng.integers(0, 4096, n),
        dv=rng.integers(0, 4096, n),
        threshold=thresholds(rng, n) << 6,
    )


CLASSES = (anything, decays, equal, aimed, refractory, clipped, biased, loops, exponents, converted_loihi1)
EMULATOR = Simulator(
    name="nengo-loihi",
    group="nengo_loihi",
    worker=Path(__file__).parent / "peers" / "chips" / "nengo_loihi_worker.py",
    classes=CLASSES,
)


def main() -> int:
    options = oracle.parser(__doc__, comparisons=LEAST).parse_args()
    try:
        return common.run(lambda chosen: oracle.measure(EMULATOR, chosen), options)
    except PeerError as error:
        print(error, file=sys.stderr)
        return common.UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
