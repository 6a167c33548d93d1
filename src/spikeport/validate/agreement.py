"""Spiking against integer: every neuron's count and the read-out, compared on the fastest backend that steps the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.stepping import simulate, stepped_on
from spikeport.codes import STATISTICAL, of_layer
from spikeport.primitives import Accumulator, Recording, SpikingNetwork
from spikeport.progress import track
from spikeport.quantize import IntegerNetwork, Layer, NeuronLayer, Readout, total_synapses
from spikeport.report import Divergence, Raster

Counts = dict[str, NDArray[np.int64]]
CountsOf = Callable[[NDArray[Any]], Counts]

BATCH_NEURONS = 2_000_000
"""Neurons times samples stepped at once: bounds memory."""
RASTER_ROWS = 400
"""Rows of the raster picture."""


@dataclass
class Stepped:
    """What stepping some samples showed; mappings are by layer name."""

    samples: int = 0
    on: str = ""
    """The backend that stepped them."""
    comparisons: dict[str, int] = field(default_factory=dict)
    mismatches: dict[str, int] = field(default_factory=dict)
    spikes: dict[str, int] = field(default_factory=dict)
    at_top: dict[str, int] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    quiet_after: list[int] = field(default_factory=list)
    rates: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Under a code without a lemma: squares of the differences to the counts, in counts, and squares of the counts."""
    same_choice: int = 0
    """Samples whose stepped read-out is largest where that of the integer network is; for classes under such a code."""
    agreeing: list[NDArray[np.int64]] = field(default_factory=list)
    divergence: Divergence | None = None
    raster: Raster | None = None

    @property
    def curve(self) -> tuple[float, ...]:
        """Percentage of samples whose prediction after each step is the final one."""
        steps = max(map(len, self.agreeing), default=0)
        total = np.zeros(steps)
        for part in self.agreeing:
            total += np.concatenate([part, np.repeat(part[-1:], steps - len(part))])
        return tuple((100 * total / self.samples).tolist()) if self.samples else ()


def affordable_samples(integer: IntegerNetwork, network: SpikingNetwork, work: float) -> int:
    """Samples that about `work` synaptic operations pay for; at least four."""
    return max(4, int(work / (total_synapses(integer) * max(1, network.contract.presentation))))


def step_and_compare(
    network: SpikingNetwork,
    integer: IntegerNetwork,
    x: NDArray[Any],
    counts_of: CountsOf,
    *,
    classes: bool,
    progress: bool = False,
) -> Stepped:
    """Step every sample until quiet and compare all counts and the read-out with `counts_of`, exactly.

    A code without a lemma sends no counts: there is nothing to compare exactly, and the distance of its rates is measured.
    """
    exact = network.contract.code not in STATISTICAL
    stepped = Stepped(on=stepped_on(network))
    names = [layer.name for layer in integer.layers if layer.name not in network.on_host()]
    size = max(1, BATCH_NEURONS // network.neurons)
    shown = _rows_to_show(network, names)
    parts = [x[i : i + size] for i in range(0, len(x), size)]
    for part in track(parts, "step and compare", enabled=progress):
        first = stepped.samples == 0
        if first:
            one = simulate(network, part[:1], record=list(shown))
            stepped.raster = _raster(one, shown)
        found = simulate(network, part)
        expected = counts_of(part)
        for name in names:
            mine = found.readout[-1] if name == network.output else of_layer(found.counts, name)
            if exact:
                _compare(stepped, integer[name], mine, expected[name])
            else:
                _measure(stepped, network, integer[name], mine, expected[name])
            if name != network.output:
                stepped.spikes[name] = stepped.spikes.get(name, 0) + int(of_layer(found.n_spikes, name, sign=1).sum())
        stepped.quiet_after += found.quiet_after.tolist()
        if classes:
            choice = found.readout.reshape(found.n_steps, len(part), -1).argmax(axis=2)
            if not exact:
                wanted = expected[network.output].reshape(len(part), -1).argmax(axis=1)
                stepped.same_choice += int((choice[-1] == wanted).sum())
            stepped.agreeing.append((choice == choice[-1]).sum(axis=1))
        stepped.samples += len(part)
    return stepped


def _compare(stepped: Stepped, layer: Layer, found: NDArray[np.int64], expected: NDArray[np.int64]) -> None:
    name = layer.name
    wrong = found != expected
    stepped.comparisons[name] = stepped.comparisons.get(name, 0) + wrong.size
    stepped.mismatches[name] = stepped.mismatches.get(name, 0) + int(wrong.sum())
    if isinstance(layer, NeuronLayer):
        stepped.at_top[name] = stepped.at_top.get(name, 0) + int((expected == layer.high).sum())
    stepped.silent[name] = stepped.silent.get(name, 0) + int((expected == 0).sum())
    if stepped.divergence is None and wrong.any():
        sample, *neuron = (int(i) for i in np.argwhere(wrong)[0])
        place = (sample, *neuron)
        stepped.divergence = Divergence(
            name, stepped.samples + sample, tuple(neuron), int(expected[place]), int(found[place])
        )


def _measure(
    stepped: Stepped, network: SpikingNetwork, layer: Layer, found: NDArray[np.int64], expected: NDArray[np.int64]
) -> None:
    """Distance of rates, brought to the size of counts."""
    if isinstance(layer, NeuronLayer):
        each = layer.high / network.contract.presentation
        stepped.at_top[layer.name] = stepped.at_top.get(layer.name, 0) + int((expected == layer.high).sum())
    else:
        neuron = network[layer.name].neuron
        assert isinstance(neuron, Accumulator)
        assert isinstance(layer, Readout)
        each = neuron.scale / layer.scale
    stepped.silent[layer.name] = stepped.silent.get(layer.name, 0) + int((expected == 0).sum())
    error, size = stepped.rates.get(layer.name, (0.0, 0.0))
    error += float(np.square(found * each - expected).sum())
    stepped.rates[layer.name] = (error, size + float(np.square(expected.astype(np.float64)).sum()))


def _rows_to_show(network: SpikingNetwork, names: list[str]) -> dict[str, int]:
    """How many neurons of each population the raster shows."""
    spiking = [name for name in names if name != network.output]
    each = max(4, RASTER_ROWS // max(1, len(spiking)))
    return {name: min(each, network[name].size) for name in spiking[: RASTER_ROWS // 4]}


def _raster(recording: Recording, shown: dict[str, int]) -> Raster:
    """Spikes of the first sample; of a large population evenly spread neurons."""
    steps: list[int] = []
    rows: list[int] = []
    payloads: list[int] = []
    base = 0
    for name, count in shown.items():
        raster = recording.spikes[name].raster[:, 0].reshape(recording.n_steps, -1)
        chosen = np.linspace(0, raster.shape[1] - 1, count).round().astype(int)
        at, row = np.nonzero(raster[:, chosen])
        steps += at.tolist()
        rows += (row + base).tolist()
        payloads += raster[:, chosen][at, row].tolist()
        base += count
    return Raster(tuple(shown.items()), tuple(steps), tuple(rows), tuple(payloads), recording.n_steps)
