"""What parameters in floating point lose on the grid of a chip: the largest relative change of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.lower.weights import weights_of
from spikeport.lower.wiring import Link, Site, Wiring
from spikeport.primitives import Approximation, DynamicNetwork
from spikeport.targets import Target

Floats = NDArray[np.float64]
FLOAT32 = 2.0**-24
"""Half a unit of the last place, relative."""


def losses(network: DynamicNetwork, wiring: Wiring, target: Target) -> Iterator[Approximation]:
    """One entry for each parameter that changes, relative to its size; weights relative to the largest of their projection.

    A population has one unit, a power of two: the finest in which its threshold fits its width and its weights, scaled by powers of two where
    the target has them, fit theirs.
    """
    if target.known("arithmetic") == "float32" and target.known("weight_bits") is None:
        yield Approximation(network.name, "parameters and state in float32", FLOAT32, "of each")
        return
    if target.known("arithmetic") == "analog":
        yield Approximation(network.name, "parameters become currents and voltages of circuits that differ", 0.0)
    for site in wiring.sites:
        unit = _unit(wiring, site, target)
        for link in wiring.incoming(site.name):
            change = _weights(link, unit, target)
            if change:
                width = target.known("weight_bits")
                yield Approximation(link.name, f"weights rounded to {width} bits", change, "of the largest")
        if unit:
            for name in ("threshold", "bias", "v_reset", "v_leak", "initial"):
                change = _rounded(getattr(site.neuron, name, None), unit)
                if change:
                    yield Approximation(
                        f"{site.name}.{name}", f"rounded to multiples of {unit:.3g}", change, "of its size"
                    )
        yield from _decays(network, site, target)


def _unit(wiring: Wiring, site: Site, target: Target) -> float:
    """Size of one step of the potential; 0 where nothing says so."""
    threshold = float(np.abs(np.asarray(getattr(site.neuron, "threshold", 0), dtype=np.float64)).max(initial=0))
    width = target.known("threshold_bits")
    sizes = []
    if width is not None and threshold:
        sizes.append(threshold / (2**width - 1))
    bits = target.known("weight_bits")
    if bits is not None:
        scale = target.known("weight_exponent_max", 0)
        largest = max((_largest(link) for link in wiring.incoming(site.name)), default=0.0)
        sizes.append(largest / ((2 ** (bits - 1) - 1) * 2**scale))
    finest = max(sizes, default=0.0)
    return float(2.0 ** np.ceil(np.log2(finest))) if finest else 0.0


def _largest(link: Link) -> float:
    return max((float(np.abs(array).max()) for array in weights_of(link)), default=0.0)


def _weights(link: Link, unit: float, target: Target) -> float:
    """Largest change of a weight, over the largest weight: by its own power of two where the target has them."""
    bits, largest = target.known("weight_bits"), _largest(link)
    if bits is None or not largest or not unit:
        return 0.0
    most = 2 ** (bits - 1) - 1
    step = unit * 2.0 ** max(target.known("weight_exponent_min", 0), np.ceil(np.log2(largest / (most * unit))))
    worst = 0.0
    for array in weights_of(link):
        scaled = np.asarray(array, dtype=np.float64) / step
        worst = max(worst, float(np.abs(np.rint(scaled) - scaled).max()) * step)
    return worst / largest


def _rounded(value: Any, unit: float) -> float:
    """Largest relative change of a parameter in multiples of a unit."""
    if value is None:
        return 0.0
    scaled = np.abs(np.asarray(value, dtype=np.float64)) / unit
    scaled = scaled[scaled > 0]
    return float((np.abs(np.rint(scaled) - scaled) / scaled).max(initial=0))


def _decays(network: DynamicNetwork, site: Site, target: Target) -> Iterator[Approximation]:
    """Leaks in the form that the target has."""
    form, contract = target.known("decay"), network.contract
    for name in ("tau", "tau_mem", "tau_syn"):
        tau = getattr(site.neuron, name, None)
        if tau is None:
            continue
        ratio = contract.dt / np.asarray(tau, dtype=np.float64)
        leak = ratio if contract.integrator == "forward_euler" else -np.expm1(-ratio)
        where, per = f"{site.name}.{name}", "of the leak in a step"
        match form:
            case "multiply 12 bit":
                change = _relative(np.clip(np.rint(leak * 4096), 0, 4096) / 4096, leak)
                yield Approximation(where, "decay in parts of 1/4096", change, per)
            case "shift, at least 1":
                change = _relative(2.0 ** -np.clip(np.rint(-np.log2(np.clip(leak, 2.0**-15, 1))), 0, 15), leak)
                yield Approximation(where, "decay by a power of two, by 1 at least", change, per)
            case "subtract":
                yield Approximation(where, "a constant is subtracted in place of a decay", 1.0, per)
            case "none":
                yield Approximation(where, "no decay", 1.0, per)
            case "analog":
                yield Approximation(where, "decay of a circuit", 0.0)
            case _:
                pass


def _relative(new: Floats, old: Floats) -> float:
    return float((np.abs(new - old) / old).max(initial=0))
