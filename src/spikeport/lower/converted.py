"""What a code needs of a chip, and what its numbers need: features, widths of membranes, thresholds, biases and events, input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport import codes
from spikeport.lower.findings import CODE, SMALLER, Findings
from spikeport.lower.membranes import Held
from spikeport.lower.verdict import Knob
from spikeport.lower.wiring import Wiring
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
    Population,
    SpikingNetwork,
    StaircaseBank,
    StaircaseIF,
    StaircaseUnit,
    UnitBank,
)
from spikeport.quantize import Interval, bits
from spikeport.targets import Target

FLOAT32 = 25
"""Bits of whole numbers, the sign included, that a float32 holds."""
HOST: tuple[Knob, ...] = ("allow_host",)
FEWER: tuple[Knob, ...] = ("code", "levels", "weight_bits", "state_bits")
"""What makes the numbers of a layer smaller."""


def built_in(code: str, target: Target) -> bool:
    """Whether the chip's own neurons carry a code, in their formats; the others are programs, where a chip runs them."""
    return code == "population" or "programmable" not in target.known("reset", frozenset())


def features(network: SpikingNetwork, wiring: Wiring, found: Findings) -> None:
    """What the code of every population asks for and the target does not offer."""
    code = network.contract.code
    tables = (StaircaseIF, StaircaseUnit)
    for site in wiring.sites:
        if isinstance(site.neuron, Accumulator | MaxUnit):
            continue
        needed = codes.NEEDS[code] | (frozenset(["table"]) if isinstance(site.neuron, tables) else frozenset())
        lacking = lambda used, offered: bool(used - offered)  # noqa: E731
        offered = found.target.known("features", frozenset())
        why = f"the {code} code needs {', '.join(sorted(needed - offered))}, which the target does not have"
        found.compare("features", site.name, needed, why, CODE, beyond=lacking)


def numbers(network: SpikingNetwork, wiring: Wiring, bounds: dict[str, Held], found: Findings) -> None:
    """Widths of everything that a population holds and sends."""
    code, target = network.contract.code, found.target
    own = built_in(code, target)
    fraction = target.known("fraction_bits", 0) if own else 0
    for site in wiring.sites:
        population, one = network[site.name], bounds[site.name]
        needed = bits(one.membrane) + fraction
        if target.known("arithmetic") == "float32" and needed > FLOAT32:
            why = f"its membrane takes {needed} bits, and a float32 holds whole numbers of {FLOAT32}"
            found.refuse("arithmetic", site.name, why, (*FEWER, *SMALLER), "fewer levels or narrower weights")
        why = f"its membrane takes {{used}} bits{_beside(fraction)}, and the target's has {{limit}}"
        found.compare("state_bits", site.name, needed, why, (*FEWER, *SMALLER), "fewer levels or narrower weights")
        if own and site.name not in wiring.currents and not isinstance(population.neuron, MaxUnit):
            why = f"what arrives in one step takes {{used}} bits{_beside(fraction)}, and the target adds up {{limit}}"
            found.compare("arrival_bits", site.name, bits(one.arriving) + fraction, why, (*FEWER, *SMALLER))
        if own:
            _parameters(population, network.contract.presentation, fraction, found)
        _events(population, one, found)


def _beside(fraction: int) -> str:
    return f", {fraction} of them below the unit of weights" if fraction else ""


def _parameters(population: Population, steps: int, fraction: int, found: Findings) -> None:
    """Thresholds and biases in the formats of the chip's own neurons."""
    neuron, name = population.neuron, population.name
    if isinstance(neuron, MaxUnit | Accumulator):
        thresholds: NDArray[Any] | None = None
    elif isinstance(neuron, UnitBank | StaircaseBank):
        thresholds = np.asarray(neuron.common)
    elif isinstance(neuron, StaircaseIF | StaircaseUnit):
        thresholds = neuron.steps
    else:
        thresholds = neuron.threshold
    if thresholds is not None:
        width = int(np.abs(thresholds).max(initial=0)).bit_length()
        why = "its threshold takes {used} bits, and the target's has {limit}"
        found.compare("threshold_bits", name, width, why, (*FEWER, "allow_host"), "fewer levels or narrower weights")
    bias = None if isinstance(neuron, MaxUnit) else neuron.bias
    if bias is None:
        return
    share = -(-np.abs(bias) // steps)  # the largest of the parts over which it is split
    scale = max(0, found.target.known("bias_exponent_max", fraction) - fraction)
    width = int(share.max(initial=0) >> scale).bit_length() + 1
    why = "its bias takes {used} bits, and the target's has {limit}"
    found.compare("bias_bits", name, width, why, (*FEWER, "allow_host"), "fewer levels or narrower weights")


def _events(population: Population, one: Held, found: Findings) -> None:
    """Numbers that events carry."""
    neuron, name = population.neuron, population.name
    payload = isinstance(neuron, GradedIF) or (isinstance(neuron, StaircaseUnit) and neuron.sends == "payload")
    if not payload:
        return
    low, high = int(one.sent.low.min()), int(one.sent.high.max())
    why = "sends numbers down to {used}, and those of the target begin at {limit}"
    helps: tuple[Knob, ...] = ("code", "allow_host")
    if low < 0:
        found.compare("payload_min", name, low, why, helps, beyond=lambda used, least: used < least)
    why = "sends numbers up to {used}, and those of the target end at {limit}"
    too_large = found.compare(
        "payload_max",
        name,
        high,
        why,
        ("code", "levels", "allow_host"),
        f"convert with levels={found.target.known('payload_max')}",
    )
    if isinstance(neuron, GradedIF) and not too_large:
        largest = int((one.sums.high // neuron.threshold).max())
        caps = found.target.known("payload_caps")
        if caps is not None and largest > high:
            why = (
                f"stops counting at {{used}}, where its sum reaches {largest:,}, and the target stops at {{limit}} only"
            )
            hint = f"convert with levels={max(caps)}" if caps else ""
            found.compare(
                "payload_caps",
                name,
                high,
                why,
                ("code", "levels", "allow_host"),
                hint,
                lambda used, offered: used not in offered,
            )


def entering(network: SpikingNetwork, wiring: Wiring, found: Findings) -> None:
    """What comes from outside: events that are counts, or whole frames."""
    encoder = network.input
    if encoder.name not in wiring.lines:
        return
    width = bits(Interval(np.array([min(encoder.low, 0)]), np.array([encoder.high]))) - (encoder.low >= 0)
    why = "has values of {used} bits, and the target takes {limit}"
    found.compare("input_bits", encoder.name, width, why, ("input_bits", "allow_host"), "convert with fewer input_bits")
    if encoder.low < 0:
        why = "has negative values, and the target takes none"
        found.compare("input_signed", encoder.name, True, why, HOST, beyond=lambda used, offered: used and not offered)


def meaning(network: SpikingNetwork, found: Findings) -> None:
    """What is lost although everything fits."""
    code = network.contract.code
    if code in codes.STATISTICAL:
        found.lose(
            network.name, f"the {code} code is statistical: close to the integers, and how close has to be measured"
        )
    match found.target.known("execution"):
        case "asynchronous":
            what = "events without a clock: steps have no meaning there, and spikes are not those of the reference"
            found.lose(network.name, what)
        case "analog":
            found.lose(
                network.name, "analog membranes: every number varies from circuit to circuit, and no spike is exact"
            )
        case _:
            pass
    found.lose_unseen(network.name)
    if found.target.known("dynamics_simulator") is False:
        found.note("no software of the vendor computes the dynamics without hardware: nothing of it was compared")
