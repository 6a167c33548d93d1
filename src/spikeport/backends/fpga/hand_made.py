"""Hand-made networks of integers on the core: integrate-and-fire units, and thresholds without memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics import Kind, PopulationPlan, make_fixed_plan, make_plan
from spikeport.backends.fpga.machine import Link, Machine, Unit, Widths, build
from spikeport.backends.fpga.memory import signed_bits
from spikeport.backends.fpga.rows import RowSet, rows_of
from spikeport.errors import GraphError, LowerError, Problem
from spikeport.primitives import DynamicNetwork, FixedCubaLIF

Whole = NDArray[np.int64]


def machine_of(network: DynamicNetwork, *, largest_input: int, largest_current: int) -> Machine:
    """The network in the memories of the core.

    Args:
        network: of integers.
        largest_input: absolute value of a spike from outside that widths allow for.
        largest_current: the same of a current.

    Raises:
        LowerError: what the core does not step, by name.
    """
    problems = list(_unknown(network))
    if problems:
        raise LowerError(problems)
    if network.contract.chip:
        return _leaky_machine(network, largest_input)
    try:
        plan = make_plan(network)
    except GraphError as error:
        raise LowerError(error.problems) from None
    contract = network.contract
    by_name = {p.name: p for p in plan.populations}
    shapes = {place.name: place.shape for place in network.inputs} | {p.name: p.shape for p in network.populations}
    scales = {
        p.name: p.gain if p.kind is Kind.ACCUMULATE and not p.delta else np.ones_like(p.gain) for p in plan.populations
    }
    links = [
        Link(
            p.source,
            p.target,
            rows_of(p.synapses, shapes[p.source], shapes[p.target], scales[p.target]),
            p.delay + network.latency_from(p.source),
        )
        for p in network.projections
    ]
    largest = {place.name: (-largest_input, largest_input) for place in network.inputs}
    largest |= {p.name: (0, 1) for p in network.populations}
    arrived = [(0, 1)]
    for population in network.populations:
        low, high = (np.zeros(population.size, np.int64) for _ in range(2))
        for link in links:
            if link.target == population.name:
                for end, total in zip(
                    _reach(link.rows, population.size, *largest[link.source]), (low, high), strict=True
                ):
                    total += end
        fed = largest_current * np.abs(current_gain(by_name[population.name]))
        arrived.append((int((low - fed).min()), int((high + fed).max())))
    ends = min(low for low, _ in arrived), max(high for _, high in arrived)
    widths = Widths(
        signed_bits(*ends),
        contract.state_bits,
        signed_bits(-largest_input if network.inputs else -1, max(1, largest_input)),
    )
    return build(
        network.name,
        {place.name: place.size for place in network.inputs},
        [_unit(by_name[p.name], scales[p.name]) for p in network.populations],
        links,
        widths,
        presentation=0,
        meaning={
            "GREATER": int(contract.compare == ">"),
            "TO_VALUE": int(contract.reset == "to_value"),
            "SATURATE": int(contract.overflow == "saturate"),
        },
    )


def current_gain(population: PopulationPlan) -> Whole:
    """What a current of 1 from outside adds."""
    gain: Whole = population.gain if population.kind is Kind.ACCUMULATE else np.ones_like(population.gain)
    return gain


def _unknown(network: DynamicNetwork) -> Iterator[Problem]:
    """What the facts of the target do not tell of."""
    if network.contract.chip:
        yield from _unknown_leaky(network)
        return
    if network.contract.arithmetic != "integer":
        why = f"computes in {network.contract.arithmetic}, and the core in integers"
        yield Problem(network.name, why, 'arithmetic="integer"; scale and round weights and thresholds first')
    if network.contract.spikes == "multi":
        yield Problem(
            network.name, "lets units send several spikes a step, and those of the core send one", 'spikes="single"'
        )
    if network.contract.reset_when != "same_step":
        why = f"resets {network.contract.reset_when.replace('_', ' ')}, and the core in the step of the spike"
        yield Problem(network.name, why, 'reset_when="same_step"')
    for name in network.plastic:
        yield Problem(name, "learns, and the core does not", "plasticity=None")
    if network.contract.bias_register == "weighted":
        for p in network.projections:
            if p.bias is not None and p.delay + network.latency_from(p.source):
                why = "has a bias that begins to arrive after its delay, and that of the core is there from the first step"
                yield Problem(p.name, why, 'bias_register="spikes", or the bias in the neurons')


def _unit(plan: PopulationPlan, scale: Whole) -> Unit:
    constant = sum((values for _, values in plan.constants), np.zeros(plan.size, np.int64))
    registers = {
        "threshold": plan.threshold,
        "share": current_gain(plan) * plan.bias + scale * constant,
        "initial": plan.initial,
    }
    if plan.kind is Kind.MEMORYLESS:
        return Unit(plan.name, "memoryless", plan.size, registers)
    registers |= {"extra": plan.v_reset, "deaf_for": plan.refractory}
    return Unit(plan.name, "fires", plan.size, registers)


def _reach(rows: RowSet, post: int, low: int, high: int) -> tuple[Whole, Whole]:
    """Least and largest sum that payloads between two ends, 0 among them, bring to each target in a step."""
    least, most = np.zeros(post, np.int64), np.zeros(post, np.int64)
    for pattern, weight, target in zip(rows.pattern, rows.first_weight, rows.first_target, strict=True):
        distances, numbers = (np.frombuffer(part, np.int64) for part in rows.patterns[pattern])
        held = rows.weights[weight + numbers]
        ends = np.stack([held * low, held * high])
        least[target + distances] += ends.min(axis=0)
        most[target + distances] += ends.max(axis=0)
    return least, most


def _unknown_leaky(network: DynamicNetwork) -> Iterator[Problem]:
    """Of the contracts of Loihi's neurons the core knows one, and one neuron."""
    integrator = network.contract.integrator
    if integrator != "loihi2":
        yield Problem(network.name, f"follows the equations of {integrator}, and the core those of loihi2")
    for p in network.populations:
        if not isinstance(p.neuron, FixedCubaLIF):
            yield Problem(p.name, f"is {type(p.neuron).__name__}, and the core has FixedCubaLIF")
    for name in network.plastic:
        yield Problem(name, "learns, and the core does not", "plasticity=None")


def _leaky_machine(network: DynamicNetwork, largest_input: int) -> Machine:
    """Leaky units by Loihi 2's equations: sums modulo 2^32, those that are shifted to the right each at a port of its own."""
    try:
        plan = make_fixed_plan(network)
    except GraphError as error:
        raise LowerError(error.problems) from None
    names = [place.name for place in network.inputs] + [p.name for p in network.populations]
    shapes = {place.name: place.shape for place in network.inputs} | {p.name: p.shape for p in network.populations}
    largest = dict.fromkeys(names, (0, 1)) | {place.name: (-largest_input, largest_input) for place in network.inputs}
    ports: dict[str, list[int]] = {p.name: [0] for p in network.populations}
    arrived: dict[tuple[str, int], tuple[Whole, Whole]] = {}
    links, problems = [], []
    for given, p in zip(network.projections, plan.projections, strict=True):
        size = network[given.target].size
        rows = rows_of(p.synapses, shapes[given.source], shapes[given.target])
        low, high = _reach(rows, size, *largest[given.source])
        most = max(-int(low.min()) - 1, int(high.max()))
        if p.wraps and most * 2.0 ** max(p.shift, 0) >= 2**23:
            why = "is a convolution whose sums may leave 24 bits, where they wrap, and the core has no such register"
            problems.append(Problem(given.name, why, "smaller weights, or a smaller largest_input"))
        port, scale = 0, 1 << max(p.shift, 0)
        if p.shift < 0:
            # what no spike rounds, and no sum wraps, is shifted before it is stored
            scale = 1 << -p.shift
            if most < 2**31 and not np.any(rows.weights % scale):
                rows, low, high, scale = replace(rows, weights=rows.weights // scale), low // scale, high // scale, 1
            else:
                port, scale = len(ports[given.target]), 1
                ports[given.target].append(-p.shift)
        rows, low, high = replace(rows, weights=rows.weights * scale), low * scale, high * scale
        before = arrived.get((given.target, port), (np.zeros_like(low), np.zeros_like(high)))
        arrived[given.target, port] = before[0] + low, before[1] + high
        links.append(Link(given.source, given.target, rows, p.delay, port))
    if problems:
        raise LowerError(problems)
    ends = (
        min([0, *(int(low.min()) for low, _ in arrived.values())]),
        max([1, *(int(high.max()) for _, high in arrived.values())]),
    )
    bits = min(32, signed_bits(*ends))  # beyond it everything is taken modulo 2^32
    units = []
    for population in plan.populations:
        n: Any = population.neuron
        registers = {
            "threshold": n.threshold,
            "extra": n.bias,
            "initial": n.initial,
            "leak_u": 4095 - n.du,
            "leak_v": 4096 - n.dv,
        }
        shifts = ports[population.name]
        table = np.repeat(np.array(shifts, np.int64)[:, None], population.size, axis=1)
        units.append(
            Unit(population.name, "leaky", population.size, registers, table, range=len(shifts), ports=len(shifts))
        )
    return build(
        network.name,
        {place.name: place.size for place in network.inputs},
        units,
        links,
        Widths(bits, 24, signed_bits(-largest_input if network.inputs else -1, max(1, largest_input))),
        presentation=0,
        meaning={"WRAPS": int(bits == 32)},
    )
