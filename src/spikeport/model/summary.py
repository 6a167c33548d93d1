"""A model as a table of text."""

from __future__ import annotations

from math import prod

from spikeport.primitives import SpikingNetwork
from spikeport.quantize import IntegerNetwork, NeuronLayer, synapses_into, total_synapses
from spikeport.report import Report


def summary(integer: IntegerNetwork, network: SpikingNetwork, report: Report) -> str:
    """One line a layer, then totals, latency and spikes."""
    stats = {layer.name: layer for layer in report.layers}
    rows = [("layer", "shape", "neurons", "levels", "synapses", "spikes/neuron")]
    for layer in integer.layers:
        levels = f"{layer.low}..{layer.high}" if isinstance(layer, NeuronLayer) else "-"
        found = stats.get(layer.name)
        rate = "-" if found is None or found.spikes_per_neuron is None else f"{found.spikes_per_neuron:.2f}"
        shape = " x ".join(map(str, layer.shape))
        rows.append(
            (layer.name, shape, f"{prod(layer.shape):,}", levels, f"{synapses_into(integer, layer.name):,}", rate)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    contract = network.contract
    lines.append(
        f"{integer.neurons:,} spiking neurons, {total_synapses(integer):,} synapses, {integer.weight_bits}-bit weights"
    )
    quiet = sorted(report.quiet_after)
    seen = f", measured median {quiet[len(quiet) // 2]}, maximum {quiet[-1]}" if quiet else ""
    lines.append(f"code `{contract.code}`: quiet after at most {contract.max_steps} steps{seen}")
    return "\n".join(lines)
