"""Neurons in the terms of a tool: other numbers, the same spikes.

A neuron takes a step `v = d v + k v_leak + g x + h c` (d its decay, k = 1 - d, or 0 and 1 for IF; g the gain of what arrives, h that
of its own bias), fires beyond a threshold and resets. Seen as w = scale (v - origin) it is the neuron

    w = d w + scale (k (v_leak - origin) + h c) + scale g x,     threshold scale (threshold - origin)

which fires in the same steps. A tool settles where its potentials reset to and begin, what it multiplies what arrives by (one, or k), and
which numbers all neurons of a layer have in common; `scale` and `origin` are chosen for that. What remains of the gain goes into the
weights before the neuron (`rows`), and what remains of the constants into a bias there (`extra`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.primitives import IF, LIF, CubaLIF, DynamicPopulation, DynamicsContract, Relay

Array = NDArray[Any]
FOREVER = 2.0**100
"""Steps of a time constant that is none: what leaks in a step is below the rounding of any potential."""
NEIGHBORS = 2
"""Numbers beside a time constant that are tried."""
LARGEST_FACTOR = 2**12
"""Common multiples of thresholds up to which weights are multiplied by whole numbers, so that none is divided."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a tool settles about neurons."""

    compare: Literal[">", ">="]
    reset: Literal["zero", "v_reset", "subtract"]
    """Zero, whatever the file says; the file's value; or the threshold is taken off."""
    begins: Literal["zero", "v_leak", "v_reset"]
    step: float | None = None
    """Seconds that a step has, whatever the network's; `None`: as long as it is told."""
    spikes: Literal["single", "multi"] = "single"
    reset_when: Literal["same_step", "after_next_update"] = "same_step"
    shared: frozenset[str] = frozenset()
    """Of "threshold", "tau" and "v_reset", what all neurons of a layer have in common."""
    scaled: bool = False
    """What arrives at LIF counts times the share k of a step, at IF in full; else it is in full at both."""
    r_dt: bool = False
    """IF multiplies by r and the step."""
    integrators: bool = True
    """There is an IF; else a LIF that never leaks."""
    clipped: bool = False
    """IF is clipped at the negative threshold."""
    maps: bool = True
    """A LIF may have feature maps."""
    cuba: bool = True
    gains: bool = False
    """CubaLIF reads r and w_in; else what arrives and the current count in full."""
    decays: Literal["euler", "exponential"] = "euler"
    longest: float = 1.0
    """Share of a step that a LIF may lose."""
    shares: Callable[[Array, float], Array] = lambda tau, dt: (dt / tau).astype(np.float32)
    """The share that it works out from tau, as the file has it, and the step."""
    wide: bool = False
    """It reads numbers of neurons in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A neuron of a tool, and what goes into what leads to it."""

    neuron: IF | LIF | CubaLIF | Relay
    rows: Array | None
    """Factors of the weights that lead to each neuron; `None`: one."""
    extra: Array | None
    """What is added in each step besides; `None`: nothing."""
    rounded: Mapping[str, float] = field(default_factory=dict)
    """Largest relative change by what float32 does not hold."""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A neuron as its step, in float64 and of the population's shape; see above."""

    k: Array
    g: Array
    h: Array
    threshold: Array
    v_reset: Array
    v_leak: Array
    bias: Array
    initial: Array


def fold(
    population: DynamicPopulation, contract: DynamicsContract, terms: Terms, tool: str, step: float
) -> tuple[Folded | None, list[Problem]]:
    """A population as a tool has it, or everything that the tool has no numbers for.

    Args:
        step: seconds of a step in the file.
    """
    neuron, name = population.neuron, population.name
    if isinstance(neuron, Relay):
        bias = _full(neuron.bias, population)
        return Folded(Relay(), None, bias if bias.any() else None), []
    problems = list(_unlike(population, contract, terms, tool))
    if problems:
        return None, problems
    assert isinstance(neuron, IF | LIF | CubaLIF)
    if isinstance(neuron, CubaLIF):
        found = _current(population, contract, terms, tool, step)
    else:
        found = _membrane(population, contract, terms, tool, step)
    if isinstance(found, Problem):
        return None, [Problem(name, found.why, found.hint)]
    return found, []


def _full(values: Any, population: DynamicPopulation) -> Array:
    return np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), population.shape))


def _unlike(population: DynamicPopulation, contract: DynamicsContract, terms: Terms, tool: str) -> Iterator[Problem]:
    """What no numbers make up for."""
    neuron, name = population.neuron, population.name
    kind = type(neuron).__name__
    if not isinstance(neuron, IF | LIF | CubaLIF) or (isinstance(neuron, CubaLIF) and not terms.cuba):
        has = "IF, LIF and CubaLIF" if terms.cuba else "IF and LIF"
        yield Problem(name, f"{tool} has no {kind}", f"{has} are what it reads")
        return
    if isinstance(neuron, LIF) and not terms.maps and len(population.shape) > 1:
        yield Problem(name, f"{tool} fails at a LIF of feature maps", "use IF there, or flatten before it")
    if np.any(np.asarray(neuron.refractory) != 0):
        yield Problem(name, f"{tool} has no refractory period", "leave it out")
    clip = neuron.v_min is not None
    if clip and not (terms.clipped and isinstance(neuron, IF) and _at_minus_threshold(neuron)):
        why = "clips IF at -threshold, and nothing else" if terms.clipped else "has no lower clip"
        yield Problem(name, f"{tool} {why}", "leave v_min out")
    if isinstance(neuron, IF) and not clip and terms.clipped and len(population.shape) > 1 and not terms.maps:
        hint = "give it v_min=-threshold, or flatten before it"
        yield Problem(name, f"{tool} clips each IF of feature maps at -threshold", hint)
    subtracts = terms.reset == "subtract"
    if (contract.reset == "subtract") != subtracts:
        what = "subtracts the threshold" if subtracts else "resets to a value"
        yield Problem(
            name, f"{tool} {what}, and this population does not", f'reset="{"subtract" if subtracts else "to_value"}"'
        )
    if contract.spikes != terms.spikes:
        what = "as many spikes a step as there are thresholds" if terms.spikes == "multi" else "one spike a step"
        yield Problem(name, f"{tool} sends {what}, and this population does not", f'spikes="{terms.spikes}"')
    if subtracts and contract.compare != terms.compare:
        why = f"{tool} fires where v {terms.compare} threshold, and takes the same threshold off"
        yield Problem(name, why, f'compare="{terms.compare}"')
    keeps = (
        isinstance(neuron, IF) and subtracts and not clip
    )  # without a leak it does not matter when a threshold is taken off
    early = contract.reset_when in ("same_step", "next_step") and not (clip and contract.reset_when == "next_step")
    if not keeps and early != (terms.reset_when == "same_step"):
        yield Problem(name, f"{tool} resets otherwise than {contract.reset_when}", f'reset_when="{terms.reset_when}"')
    if isinstance(neuron, CubaLIF) and contract.current_order != "new":
        yield Problem(name, f"{tool} gives the membrane the new current", 'current_order="new"')


def _at_minus_threshold(neuron: IF) -> bool:
    return bool(np.all(np.asarray(neuron.v_min) == -np.asarray(neuron.threshold)))


def _begins(population: DynamicPopulation, contract: DynamicsContract) -> Array:
    """What the potentials are before the first step."""
    neuron: Any = population.neuron
    if neuron.initial is not None:
        return _full(neuron.initial, population)
    return _full(0.0 if contract.initial == "zero" else getattr(neuron, contract.initial, 0.0), population)


def _share(tau: Array, contract: DynamicsContract) -> Array:
    """The share of a step: what a potential loses."""
    ratio = contract.dt / tau
    return np.asarray(-np.expm1(-ratio)) if contract.integrator == "exponential" else ratio


def numbers_of(population: DynamicPopulation, contract: DynamicsContract) -> Numbers:
    """The step of IF and LIF."""
    neuron: Any = population.neuron
    r = _full(neuron.r, population)
    if isinstance(neuron, IF):
        k, h = np.zeros_like(r), r if contract.integrator == "accumulate" else r * contract.dt
        v_leak = k
    else:
        k, v_leak = _share(_full(neuron.tau, population), contract), _full(neuron.v_leak, population)
        h = k * r
    return Numbers(
        k,
        np.ones_like(h) if contract.synapse == "delta" else h,
        h,
        _full(neuron.threshold, population),
        _full(neuron.v_reset, population),
        v_leak,
        _full(neuron.bias, population),
        _begins(population, contract),
    )


def _membrane(
    population: DynamicPopulation, contract: DynamicsContract, terms: Terms, tool: str, step: float
) -> Folded | Problem:
    """IF and LIF."""
    neuron: Any = population.neuron
    n = numbers_of(population, contract)
    leaky = isinstance(neuron, LIF)
    if leaky and "tau" in terms.shared and np.ptp(n.k) > 0:
        return Problem("", f"{tool} has one tau for all neurons of a layer", "split the population by tau")
    if leaky and (n.k > terms.longest).any():
        return Problem(
            "", f"its tau is too short for {tool}", f"more than {1 / terms.longest:g} steps, or a shorter dt"
        )
    one = np.ones_like(n.k)
    gain = n.k if terms.scaled and leaky else one
    reached = _origin(n, terms, tool)
    if isinstance(reached, Problem):
        return reached
    origin, lands = reached
    scale = _scale(n.threshold - origin, n.g, gain, terms)
    if (scale <= 0).any():
        return Problem("", f"{tool} has one threshold for all neurons of a layer", "thresholds above v_reset")
    rows = scale * n.g / gain
    leak = scale * (n.initial - origin) if terms.begins == "v_leak" else (scale * lands if lands.any() else 0 * one)
    if terms.begins == "v_leak" and not leaky and leak.any():
        return Problem("", f"{tool} starts IF at what it resets to", "the same v_reset and initial potential")
    extra = (scale * (n.k * (n.v_leak - origin) + n.h * n.bias) - (n.k * leak if leaky else 0.0)) / gain
    shut = _compared(scale * (n.threshold - origin), contract, terms)
    made: IF | LIF
    lands = scale * lands
    if leaky or not terms.integrators or (terms.clipped and neuron.v_min is None):
        share = n.k if leaky else one / FOREVER
        r = one if terms.scaled else 1 / share
        made = LIF(tau=_tau(share, terms, step), threshold=shut, v_leak=leak, v_reset=lands, r=r)
    else:
        r = one / step if terms.r_dt else one
        made = IF(threshold=shut, v_reset=lands, r=r, v_min=-shut if terms.clipped else None)
    rounded = dict(_rounded({"threshold": shut, "v_leak": leak, "v_reset": lands, "extra": extra}))
    if isinstance(made, LIF) and leaky:
        rounded |= dict(_missed(n.k, made.tau, terms, step))
    return Folded(made, _unless(rows, 1.0), _unless(extra, 0.0), rounded, tuple(_said(scale, origin, contract, terms)))


def _current(
    population: DynamicPopulation, contract: DynamicsContract, terms: Terms, tool: str, step: float
) -> Folded | Problem:
    """CubaLIF: the current decays as it did, and the membrane takes it in full, or as r and w_in say."""
    neuron: Any = population.neuron
    k = _share(_full(neuron.tau_mem, population), contract)
    k_syn = _share(_full(neuron.tau_syn, population), contract)
    if (k > 1).any() or (k_syn > 1).any():
        return Problem(
            "", f"its tau is shorter than a step, which {tool} does not read", "a longer tau, or a shorter dt"
        )
    if "tau" in terms.shared and (np.ptp(k) > 0 or np.ptp(k_syn) > 0):
        return Problem("", f"{tool} has one tau for all neurons of a layer", "split the population by tau")
    r, w_in = _full(neuron.r, population), _full(neuron.w_in, population)
    enters = w_in if contract.synapse == "delta" else k_syn * w_in
    zero, one = np.zeros_like(k), np.ones_like(k)
    n = Numbers(
        k,
        k * r * enters,
        k * r,
        _full(neuron.threshold, population),
        _full(neuron.v_reset, population),
        _full(neuron.v_leak, population),
        _full(neuron.bias, population),
        _begins(population, contract),
    )
    reached = _origin(n, terms, tool)
    if isinstance(reached, Problem):
        return reached
    origin, lands = reached
    if (n.v_leak - origin + r * n.bias != 0).any():
        hint = "v_leak and v_reset of the same value and no bias, or LIF"
        return Problem("", f"{tool} has no constant current in the membrane of CubaLIF", hint)
    if terms.begins == "v_leak" and (n.initial != origin).any():
        return Problem("", f"{tool} starts CubaLIF at what it resets to", "the same v_reset and initial potential")
    tau, tau_syn = _tau(k, terms, step), _tau(k_syn, terms, step)
    if terms.gains:
        scale, rows = one, one
        r_file, w_file = r, w_in if contract.synapse == "current" else w_in / k_syn
    else:
        scale = _scale(n.threshold - origin, n.g, one, terms)
        if (scale <= 0).any():
            return Problem("", f"{tool} has one threshold for all neurons of a layer", "thresholds above v_reset")
        rows, r_file, w_file = scale * n.g, 1 / k, 1 / k_syn
    shut = _compared(scale * (n.threshold - origin), contract, terms)
    lands = scale * lands
    made = CubaLIF(tau_syn=tau_syn, tau_mem=tau, threshold=shut, v_leak=zero, v_reset=lands, r=r_file, w_in=w_file)
    rounded = dict(_rounded({"threshold": shut, "v_reset": lands}))
    for share, time in ((k, tau), (k_syn, tau_syn)):
        rounded |= dict(_missed(share, time, terms, step))
    return Folded(made, _unless(rows, 1.0), None, rounded, tuple(_said(scale, origin, contract, terms)))


def _origin(n: Numbers, terms: Terms, tool: str) -> tuple[Array, Array] | Problem:
    """What is subtracted from potentials, and where they land then after a reset, before they are scaled."""
    zero = np.zeros_like(n.v_reset)
    if terms.reset == "subtract":
        if n.initial.any():
            return Problem("", f"{tool} starts at 0 and subtracts the threshold from there", "begin at 0")
        return zero, zero
    if terms.begins != "v_leak" and (n.initial != n.v_reset).any():
        at = np.argmax(n.initial != n.v_reset)
        first = f"at {n.initial.flat[at]:g} and resets to {n.v_reset.flat[at]:g}"
        return Problem("", f"{tool} starts where it resets to, and this population starts {first}", 'initial="v_reset"')
    same = np.ptp(n.v_reset) == 0 and np.ptp(n.threshold) == 0 and np.ptp(n.g) == 0
    if terms.reset == "v_reset" and same and (n.v_reset == n.v_leak).all():
        return zero, n.v_reset
    return n.v_reset, zero


def _scale(threshold: Array, g: Array, gain: Array, terms: Terms) -> Array:
    """Positive factors of potentials: none of the gain goes into weights, unless thresholds have to be equal."""
    size = np.where(g == 0, gain, np.abs(g))
    if "threshold" not in terms.shared:
        return np.asarray(gain / size)
    wished = threshold * gain / size  # where the weights stay as they are
    common = _common(wished)
    if not (wished > 0).all() and np.ptp(wished) > 0:
        return np.zeros_like(threshold)
    return np.asarray(np.divide(common, threshold, out=gain / size, where=threshold != 0))


def _common(wished: Array) -> float:
    """A threshold for all of them, such that weights are multiplied by whole numbers if those are small."""
    values = np.unique(wished)
    if len(values) == 1 or not (values > 0).all():
        return float(values[-1])
    exact = [Fraction(float(v)) for v in values]
    top, bottom = 1, exact[0].denominator
    for value in exact:
        top, bottom = lcm(top, value.numerator), gcd(bottom, value.denominator)
        if top > LARGEST_FACTOR * bottom * max(values):
            return float(values[-1])
    return float(Fraction(top, bottom))


def _compared(threshold: Array, contract: DynamicsContract, terms: Terms) -> Array:
    """The threshold that a float32 potential meets with the tool's comparison exactly where it did with the contract's."""
    rounded = threshold.astype(np.float32)
    if contract.compare == terms.compare:
        return threshold
    toward = np.float32(np.inf if terms.compare == ">=" else -np.inf)  # v > t: v is at least the next number beyond t
    return np.nextafter(rounded, toward).astype(np.float64)


def _tau(share: Array, terms: Terms, step: float) -> Array:
    """The time constant in the file that gives the share of a step; of neighbouring numbers one that the tool reads as the nearest share."""
    first = np.asarray(-step / np.log1p(-share) if terms.decays == "exponential" else step / share)
    if terms.wide:
        return first
    best = first.astype(np.float32)
    found = best.copy()
    miss = _off(best, share, terms, step)
    for way in (np.inf, -np.inf):
        near = best
        for _ in range(NEIGHBORS):
            near = np.nextafter(near, np.float32(way))
            off = _off(near, share, terms, step)
            found, miss = np.where(off < miss, near, found), np.minimum(off, miss)
    return found.astype(np.float64)


def _off(tau: Array, share: Array, terms: Terms, step: float) -> Array:
    """How far the shares are from what they should be that the tool works out, and that its preset does."""
    wished = share.astype(np.float32)
    model = (
        terms.shares(tau, step) if terms.decays == "exponential" else (step / tau.astype(np.float64)).astype(np.float32)
    )
    return np.abs(terms.shares(tau, step) - wished) + np.abs(model - wished)


def _rounded(values: Mapping[str, Array]) -> Iterator[tuple[str, float]]:
    """What float32 changes, relative to itself."""
    for name, value in values.items():
        change = relative_change(value)
        if change:
            yield name, change


def _missed(share: Array, tau: Any, terms: Terms, step: float) -> Iterator[tuple[str, float]]:
    """How far the share that the tool works out is from what it should be."""
    time = np.asarray(tau) if terms.wide else np.asarray(tau).astype(np.float32)
    off = np.abs(terms.shares(time, step).astype(np.float64) - share)
    if not terms.wide:
        off = np.maximum(off, _off(time, share, terms, step))
    if off.any():
        yield "decay", float((off / share).max())


def relative_change(values: Array) -> float:
    """Largest change by rounding to float32, relative to each value."""
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        change = np.abs(wide.astype(np.float32).astype(np.float64) - wide)
        return float(np.divide(change, np.abs(wide), out=np.zeros_like(wide), where=wide != 0).max(initial=0.0))


def _unless(values: Array, neutral: float) -> Array | None:
    return None if (values == neutral).all() else values


def _said(scale: Array, origin: Array, contract: DynamicsContract, terms: Terms) -> Iterator[str]:
    if (scale != 1).any():
        yield f"potentials count in other units: {scale.min():g} to {scale.max():g} times as many"
    if origin.any():
        yield "potentials count from where it resets to"
    if contract.compare != terms.compare:
        yield f"fires where v {terms.compare} the next number beside the threshold, not where v {contract.compare} it"
