"""Networks written by hand against a chip: neurons, equations, parameters; and what floats lose on its grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.lower.findings import Findings
from spikeport.lower.rounding import losses
from spikeport.lower.wiring import Wiring
from spikeport.primitives import DynamicNetwork, DynamicPopulation, FixedCubaLIF, FixedNeuron
from spikeport.targets import Target

CLOSE = {"IF": "FixedCubaLIF", "LIF": "FixedCubaLIF", "CubaLIF": "FixedCubaLIF"}
"""Neurons of fixed point that come close to those of floating point."""
STATE = ("threshold", "bias", "initial", "v_min", "v_max")
"""Parameters in the units of a register of the potential."""


def neurons(network: DynamicNetwork, wiring: Wiring, found: Findings) -> None:
    """Kinds of neurons, and what their contract says of them."""
    target, contract = found.target, network.contract
    offered: frozenset[str] = target.known("neurons", frozenset())
    for site in wiring.sites:
        kind = type(site.neuron).__name__
        if kind not in offered and CLOSE.get(kind) in offered:
            continue
        why = f"is {kind}, and the target has {{limit}}"
        found.compare("neurons", site.name, kind, why, (), beyond=lambda used, limit: used not in limit)
        refractory = np.asarray(getattr(site.neuron, "refractory", 0)).max(initial=0)
        if isinstance(site.neuron, FixedNeuron):
            steps = int(refractory)
        else:
            steps = round(float(refractory) / contract.dt)
        if steps > 1 or (steps and not isinstance(site.neuron, FixedNeuron)):
            why = "is refractory for {used} steps, and the target for {limit} at most"
            found.compare("refractory_max", site.name, steps, why, ())
    if contract.reset == "subtract" and any(hasattr(site.neuron, "v_reset") for site in wiring.sites):
        why = "subtracts the threshold from a neuron that fired, and the target resets {limit}"
        found.compare("reset", network.name, "subtract", why, (), 'a contract with reset="to_value"', _unoffered)
    why = f"has steps of {contract.dt:g} s, and the target of {{limit}} s at least"
    found.compare("dt_min", network.name, contract.dt, why, (), beyond=lambda used, least: used < least)


def _unoffered(used: str, offered: frozenset[str]) -> bool:
    return used not in offered and "programmable" not in offered


def parameters(network: DynamicNetwork, wiring: Wiring, found: Findings) -> None:
    """Registers of fixed-point neurons as mantissas and exponents, and exponents of projections."""
    if not network.contract.chip:
        return
    target = found.target
    fraction = target.known("fraction_bits", 0)
    for population in network.populations:
        for name, values in _registers(population):
            where = f"{population.name}.{name}"
            if name == "threshold":
                _mantissa(where, values, _shifted_by(population, fraction), "threshold_bits", 0, found)
            elif name == "bias":
                _mantissa(where, values, 0, "bias_bits", target.known("bias_exponent_max", 0), found)
    for projection in network.projections:
        why = "its weights are scaled by 2 to the {used}, and the target scales by {limit} at "
        found.compare("weight_exponent_max", projection.name, projection.exponent, why + "most", ())
        below = lambda used, least: used < least  # noqa: E731
        found.compare("weight_exponent_min", projection.name, projection.exponent, why + "least", (), beyond=below)


def _shifted_by(population: DynamicPopulation, fraction: int) -> int:
    """Bits by which a neuron's threshold is shifted: those of the potential of CUBA-LIF, of others what they say."""
    if isinstance(population.neuron, FixedCubaLIF):
        return fraction
    return int(np.asarray(getattr(population.neuron, "state_exp", 0)).min(initial=0))


def _registers(population: DynamicPopulation) -> Iterator[tuple[str, NDArray[Any]]]:
    for field in fields(population.neuron):
        value = getattr(population.neuron, field.name)
        if field.name in STATE and value is not None:
            yield field.name, np.asarray(value)


def _mantissa(where: str, values: NDArray[Any], exponent: int, fact: str, largest: int, found: Findings) -> None:
    """A register that holds a mantissa of so many bits, shifted by one exponent: fixed, or any from 0 to the largest."""
    what = fact.removesuffix("_bits")
    seen = int(np.bitwise_or.reduce(np.abs(values.astype(np.int64)).ravel(), initial=0))
    zeros = (seen & -seen).bit_length() - 1 if seen else exponent
    if zeros < exponent:
        why = f"is no multiple of {2**exponent}, and the target's {what} is a number shifted by {exponent} bits"
        found.refuse(fact, where, why, (), f"round it to a multiple of {2**exponent}")
        return
    shift = exponent or min(zeros, largest)
    top = int(np.abs(values.astype(np.int64)).max(initial=0)) >> shift
    signed = 1 if what == "bias" else 0
    why = f"takes {{used}} bits, and the target's {what} has {{limit}}"
    found.compare(fact, where, top.bit_length() + signed, why, ())


def meaning(network: DynamicNetwork, wiring: Wiring, found: Findings) -> None:
    """What is computed, and what is only close."""
    target, contract = found.target, network.contract
    match target.known("execution"):
        case "asynchronous":
            found.lose(
                network.name,
                "events without a clock: steps have no meaning there, and spikes are not those of the reference",
            )
        case "analog":
            found.lose(
                network.name, "analog membranes: every number varies from circuit to circuit, and no spike is exact"
            )
        case "frames":
            why = "has state from step to step, and the target computes whole frames without any"
            found.refuse("execution", network.name, why)
        case _:
            pass
    found.lose_unseen(network.name)
    kind = target.known("arithmetic")
    if kind is None or contract.chip:
        integrators = target.known("integrators")
        if contract.chip and integrators is not None and contract.integrator not in integrators:
            why = f"follows the equations of {contract.integrator}, and the target those of {', '.join(sorted(integrators))}"
            found.refuse("integrators", network.name, why)
        return
    if contract.arithmetic == "integer" and kind in ("integer", "fixed point"):
        _integer(network, found)
        return
    if not exact_floats(network, target):
        for loss in losses(network, wiring, target):
            found.losses.append(loss)


def _integer(network: DynamicNetwork, found: Findings) -> None:
    """Integer networks without a leak are exact where comparison, reset and widths agree; `>=` t is `>` t - 1."""
    target = found.target
    fraction = target.known("fraction_bits", 0)
    for population in network.populations:
        threshold = getattr(population.neuron, "threshold", None)
        if threshold is None:
            continue
        top = int(np.abs(np.asarray(threshold)).max(initial=0))
        why = "its threshold takes {used} bits, and the target's has {limit}"
        found.compare("threshold_bits", population.name, top.bit_length(), why, ())
        reset = getattr(population.neuron, "v_reset", 0)
        offered = target.known("reset", frozenset())
        if network.contract.reset == "to_value" and np.any(np.asarray(reset) != 0):
            why = "is reset to a value, and the target resets {limit}"
            found.compare("reset", population.name, "to value", why, (), "a reset to 0", _unoffered)
        elif network.contract.reset == "to_value" and offered and not offered & {"to zero", "to value", "programmable"}:
            why = "is reset to 0, and the target resets {limit}"
            found.compare("reset", population.name, "to zero", why, (), "a reset by subtraction", _unoffered)
    width = network.contract.state_bits
    held = target.known("state_bits")
    if held is not None and width + fraction > held:
        found.lose(
            network.name,
            f"a membrane of {held - fraction} bits in place of {width}: sums beyond it saturate or wrap differently",
            float(width + fraction - held),
            "bits",
        )


def exact_floats(network: DynamicNetwork, target: Target) -> bool:
    """Whether the target computes in the very numbers of the contract."""
    return target.known("arithmetic") == network.contract.arithmetic
