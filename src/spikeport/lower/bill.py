"""What a network takes of a chip, resource by resource, beside what there is."""

from __future__ import annotations

from typing import Any

from spikeport.lower.findings import SMALLER, Findings
from spikeport.lower.place import Layout, lay_out
from spikeport.lower.structure import total_bits, total_synapses
from spikeport.lower.verdict import Bill, Knob, Use
from spikeport.lower.wiring import Wiring
from spikeport.targets import Fact, Target


def take_stock(wiring: Wiring, found: Findings) -> None:
    """Place the network, write the bill, and refuse what is over a limit."""
    target = found.target
    layout = lay_out(wiring, target)
    found.bill = bill_of(wiring, target, layout)
    found.reasons += [reason for reason in layout.reasons if reason not in found.reasons]
    banks: tuple[Knob, ...] = ("code", "levels") if any(site.units > 1 for site in wiring.sites) else ()
    helps: tuple[Knob, ...] = (*banks, "weight_bits", *SMALLER)
    for fact, resource in (
        ("neurons_max", "neurons"),
        ("synapses_max", "synapses"),
        ("shared_memory", "shared memory"),
    ):
        used = next((use.used for use in found.bill.uses if use.resource == resource), 0)
        unit = "bytes of synapses" if fact == "shared_memory" else resource
        why = f"takes {{used}} {unit}, and {target.title} has {{limit}}"
        found.compare(fact, wiring.name, used, why, helps)
    over = layout.placement is not None and layout.cores > target.known("cores", layout.cores)
    if over and not layout.reasons:
        found.note(f"placed by limits that are not enforced it takes {layout.cores:,} cores, more than there are")


def bill_of(wiring: Wiring, target: Target, layout: Layout) -> Bill:
    """Every resource that the target limits, and neurons and synapses in any case."""
    uses = []
    if target.cores is not None:
        uses.append(_use("cores", layout.cores, target.cores, layout.exact))
    uses += [
        _use("neurons", wiring.neurons, target.neurons_max),
        _use("synapses", total_synapses(wiring, target), target.synapses_max),
    ]
    if target.shared_memory is not None:
        uses.append(_use("shared memory", -(-total_bits(wiring, target) // 8), target.shared_memory, unit="byte"))
    loads = layout.placement.loads if layout.placement else ()
    for resource, field, fact, unit in (
        ("neurons of the fullest core", "neurons", "neurons_per_core", ""),
        ("synapse memory of the fullest core", "synapse_bits", "synapse_bits_per_core", "bit"),
        ("axons into a core", "axons_in", "axons_in_per_core", ""),
        ("axons out of a core", "axons_out", "axons_out_per_core", ""),
    ):
        if loads and getattr(target, fact) is not None and target.known("placement") != "layers":
            uses.append(_use(resource, max(getattr(load, field) for load in loads), getattr(target, fact), unit=unit))
    for resource, field, fact in (
        ("weight memory", "weight_words", "core_weight_words"),
        ("neuron memory", "neuron_words", "core_neuron_words"),
    ):
        sizes: Fact[tuple[int, ...]] | None = getattr(target, fact)
        if loads and sizes is not None:
            used = sum(getattr(load, field) for load in loads)
            uses.append(Use(resource, used, sum(sizes.value), sizes.enforced, sizes.source, unit="word"))
    entering = sum(wiring.lines.values()) + sum(wiring.by_name[name].neurons for name in wiring.currents)
    if target.inputs_max is not None:
        uses.append(_use("lines in", entering, target.inputs_max))
    if target.outputs_max is not None:
        read = sum(wiring.by_name[name].neurons for name in wiring.outputs)
        uses.append(_use("lines out", read, target.outputs_max))
    return Bill(tuple(uses))


def _use(resource: str, used: int, fact: Fact[Any] | None, exact: bool = True, unit: str = "") -> Use:
    if fact is None:
        return Use(resource, used, None, False, "", exact, unit)
    return Use(resource, used, fact.value, fact.enforced, fact.source, exact, unit)
