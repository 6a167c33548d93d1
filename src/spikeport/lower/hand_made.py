"""Networks written by hand against a chip: neurons, equations, parameters; and what floats lose on its grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.lower.findings import Findings
from spikeport.lower.rounding import losses
from spikeport.lower.weights import bits_of, common_zeros, fits_memory, span, weight_bits
from spikeport.lower.wiring import Link, Wiring
from spikeport.primitives import IF, LIF, Analog, CubaLIF, DynamicNetwork, FixedCubaLIF, FixedNeuron
from spikeport.targets import Target

CLOSE = {"IF": "FixedCubaLIF", "LIF": "FixedCubaLIF", "CubaLIF": "FixedCubaLIF", "Threshold": "FixedCubaLIF"}
"""Neurons of fixed point that come close to those of floating point."""
REGISTERS = {
    "threshold": "threshold_bits",
    "bias": "bias_bits",
    "v_min": "potential_floors",
    "v_max": "potential_ceilings",
}
"""Parameters that a chip holds in registers of their own, and the facts of these."""
Whole = NDArray[np.int64]


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
    if target.known("arithmetic") is not None:
        _beyond_chips(network, found)
    if contract.reset == "subtract" and any(hasattr(site.neuron, "v_reset") for site in wiring.sites):
        why = "subtracts the threshold from a neuron that fired, and the target resets {limit}"
        found.compare("reset", network.name, "subtract", why, (), 'a contract with reset="to_value"', _unoffered)
    why = f"has steps of {contract.dt:g} s, and the target of {{limit}} s at least"
    found.compare("dt_min", network.name, contract.dt, why, (), beyond=lambda used, least: used < least)


def _beyond_chips(network: DynamicNetwork, found: Findings) -> None:
    """What simulators step and a chip may not: analog values that are sent, counts, lowest potentials, contracts of single populations."""
    sends, offered = found.target.known("multiplicity"), found.target.known("neurons", frozenset())
    sources = {p.source for p in network.projections}
    for population in network.populations:
        name, neuron = population.name, population.neuron
        if isinstance(neuron, Analog) and name in sources and sends != "payload":
            hint = "read it from outside, or let a spiking population stand for it"
            found.refuse("multiplicity", name, "sends its potential, and the target sends no numbers", (), hint)
        kind = type(neuron).__name__
        several = network.contract_of(name).spikes == "multi" and not isinstance(neuron, Analog)
        if several and (sends == "one" or kind not in offered):
            why = "sends several spikes a step, and the target one"
            found.refuse("multiplicity", name, why, (), 'a contract with spikes="single"')
        if isinstance(neuron, IF | LIF | CubaLIF) and neuron.v_min is not None:
            found.refuse(
                "neurons", name, "has a lowest potential, and no chip is known to hold one", (), "leave v_min out"
            )
        if population.contract is not None:
            why = "steps by a contract of its own, and the target by one for all"
            found.refuse("neurons", name, why, (), "one contract for all populations")


def _unoffered(used: str, offered: frozenset[str]) -> bool:
    return used not in offered and "programmable" not in offered


def parameters(network: DynamicNetwork, wiring: Wiring, found: Findings) -> None:
    """Registers of fixed-point neurons, and exponents of projections."""
    if not network.contract.chip:
        return
    for population in network.populations:
        neuron = population.neuron
        for name in REGISTERS:
            value = getattr(neuron, name, None)
            if value is None:
                continue
            where, values = f"{population.name}.{name}", np.asarray(value).astype(np.int64)
            match name:
                case "threshold" if isinstance(neuron, FixedCubaLIF):
                    _threshold(where, values, found)
                case "threshold":
                    _held_as_state(where, values, found)
                case "bias":
                    _bias(where, values, found)
                case _:
                    _end(where, values, REGISTERS[name], found)
    for link in wiring.links:
        why = "its weights are scaled by 2 to the {used}, and the target scales by {limit} at "
        found.compare("weight_exponent_max", link.name, link.exponent, why + "most", ())
        below = lambda used, least: used < least  # noqa: E731
        exponent = link.exponent - _doubled(link, found.target)
        found.compare("weight_exponent_min", link.name, exponent, why + "least", (), beyond=below)
        if link.exponent < 0 and not _alone(link, found.target):
            why = f"weights of {{used}} bits are several synapses of {{limit}}, and each of these rounds when it is shifted right by {-link.exponent}"
            found.compare("weight_bits", link.name, weight_bits(link), why, (), "an exponent of 0 or more")


def _threshold(where: str, values: Whole, found: Findings) -> None:
    """Of the chip's own neuron: a mantissa without a sign, shifted by the places of the potential below it."""
    shift = found.target.known("fraction_bits", 0)
    if values.size and int(np.bitwise_or.reduce(values.ravel())) & (2**shift - 1):
        why = f"is no multiple of {2**shift}, and the target's threshold is a number shifted by {shift} bits"
        found.refuse("threshold_bits", where, why, (), f"round it to a multiple of {2**shift}")
        return
    width = (int(values.max(initial=0)) >> shift).bit_length()
    found.compare("threshold_bits", where, width, "takes {used} bits, and the target's threshold has {limit}", ())


def _held_as_state(where: str, values: Whole, found: Findings) -> None:
    """Of a program in microcode: it stands beside the state, as wide as that, in its unit."""
    width = bits_of(0, int(values.max(initial=0)))
    why = "takes {used} bits, its sign included, and what the target's programs compare with has {limit}"
    found.compare("state_bits", where, width, why, ())


def _bias(where: str, values: Whole, found: Findings) -> None:
    """A mantissa with a sign, and an exponent, of each neuron."""
    target = found.target
    largest = target.known("bias_exponent_max", 0)
    low, high = (_shifted(values, largest, end) for end in (np.minimum, np.maximum))
    by = f", shifted by {largest} at most" if largest else ""
    why = f"of a neuron takes {{used}} bits{by}, and the target's bias has {{limit}}"
    if found.compare("bias_bits", where, bits_of(low, high), why, (), "a bias that ends in more zeros" if by else ""):
        return
    if target.bias_bits is None:
        return  # it says what of that width is missing
    why = f"of a neuron is {{used}}{by}, and the target's bias is {{limit}} at least"
    found.compare("bias_least", where, low, why, (), beyond=lambda used, least: used < least)


def _shifted(values: Whole, largest: int, end: np.ufunc) -> int:
    """Least or largest mantissa, each neuron's zeros gone into its exponent as far as that goes."""
    zeros = np.frexp((values & -values).astype(np.float64))[1] - 1  # of a power of two, exact; -1 of 0
    return int(end.reduce((values >> np.clip(zeros, 0, largest)).ravel(), initial=0))


def _end(where: str, values: Whole, fact: str, found: Findings) -> None:
    """An end of the potential that can be set."""
    offered = found.target.known(fact)
    if offered is not None:
        missing = sorted(set(np.unique(values).tolist()) - set(offered), key=abs)
        if missing:
            nearest = min(offered, key=lambda end: abs(end - missing[0]))
            why = f"is {missing[0]:,}, and the target offers powers of two less one alone"
            found.compare(fact, where, missing, why, (), f"{nearest:,} is the nearest", lambda used, _: bool(used))


def _doubled(link: Link, target: Target) -> bool:
    """Whether a memory that holds even numbers alone where signs are mixed has odd weights doubled, and shifts their sum back."""
    low, high = span(link)
    return target.known("mixed_signs") == "even" and low < 0 < high and common_zeros(link) == 0


def _alone(link: Link, target: Target) -> bool:
    """Whether each weight is one synapse, zeros in which all end left out."""
    width = target.known("weight_bits")
    zeros = common_zeros(link)
    low, high = (int(end) >> zeros for end in span(link))
    return width is None or fits_memory(low, high, width, target)


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
