"""From measurements to a `Report`: the arrows of the road, the layers, and what was missed."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.codes import STATISTICAL, rate, split_signs
from spikeport.codes.unsigned import NEGATIVE
from spikeport.primitives import PhasedIF, SignedIF, SpikingNetwork
from spikeport.quantize import (
    CountLayer,
    IntegerNetwork,
    Interval,
    Layer,
    MaxLayer,
    NeuronLayer,
    Readout,
    StaircaseLayer,
    bits,
    membrane,
    partial_sums,
    synapses_into,
)
from spikeport.report import Arrow, LayerStats, RegressionError, Report
from spikeport.validate.accuracy import agreement_interval, paired_gap, regression_error
from spikeport.validate.agreement import Stepped
from spikeport.version import __version__

GAP_TOLERANCE = 1.0
"""Percentage points: default for the upper end of the gap's interval, and for the loss of agreement without labels."""
REGRESSION_TOLERANCE = 10.0
"""Percent: default for the relative error where outputs are no classes; beyond it something is wrong, not just coarse."""
UNSIGNED = ("phased", "population", "radix")
"""Codes that carry a layer of both signs by two populations."""
KINDS: Mapping[type[Layer], Literal["neurons", "max", "read-out"]] = {
    CountLayer: "neurons",
    StaircaseLayer: "neurons",
    MaxLayer: "max",
    Readout: "read-out",
}
CAPTURE_TOLERANCE = 1e-5
"""Largest difference of graph and model over the output's scale."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of the model and of the spiking network for the same samples, and labels where there are any."""

    model: NDArray[Any]
    spiking: NDArray[Any]
    labels: NDArray[Any] | None

    @property
    def classes(self) -> bool:
        """Whether outputs are scores of classes: one axis, more than one entry, labels that are class numbers or none."""
        if self.model.ndim != 2 or self.model.shape[1] < 2:
            return False
        if self.labels is None:
            return True
        whole = self.labels.ndim == 1 and self.labels.dtype.kind in "iub"
        return whole and bool(
            len(self.labels) == 0 or (self.labels.min() >= 0 and self.labels.max() < self.model.shape[1])
        )


@dataclass(frozen=True, slots=True)
class Proof:
    """Agreement of graph and model on real inputs."""

    relative: float
    samples: int


def make_report(
    integer: IntegerNetwork,
    network: SpikingNetwork,
    outputs: Outputs,
    stepped: Stepped,
    proof: Proof,
    *,
    tolerance: float | None = None,
    data_hash: str = "",
) -> Report:
    """Every arrow of the road with its verdict, and what was missed."""
    limit = GAP_TOLERANCE if tolerance is None else tolerance
    n = len(outputs.model)
    ann = snn = gap = agreement = None
    interval: tuple[float, float] | None = None
    regression: RegressionError | None = None
    disagreements = 0
    if outputs.classes:
        chosen_model, chosen = outputs.model.argmax(1), outputs.spiking.argmax(1)
        disagreements = int((chosen_model != chosen).sum())
        agreement = 100 * (1 - disagreements / n)
        if outputs.labels is not None:
            right_model, right = chosen_model == outputs.labels, chosen == outputs.labels
            ann, snn = 100 * float(right_model.mean()), 100 * float(right.mean())
            gap, interval = paired_gap(right_model, right)
    else:
        regression = regression_error(outputs.model, outputs.spiking)
    mismatches = sum(stepped.mismatches.values())
    comparisons = sum(stepped.comparisons.values())
    layers = layer_stats(integer, network, stepped)
    fits = all(layer.state_bits <= network.contract.state_bits for layer in layers if layer.kind != "max")
    misses = []
    if proof.relative > CAPTURE_TOLERANCE:
        why = f"graph and model differ by {proof.relative:.1e} of the output's scale, more than {CAPTURE_TOLERANCE:.0e}"
        misses.append(f"{why}: is it the model that was converted, with the same weights?")
    if mismatches:
        misses.append(f"{mismatches:,} of {comparisons:,} counts differ; first {stepped.divergence}")
    if not fits:
        misses.append(f"a membrane potential needs more than {network.contract.state_bits} bits")
    lost = []
    if interval is not None and interval[1] > limit:
        lost.append(f"the gap may reach {interval[1]:.2f} points, more than {limit:g}")
    if interval is None and agreement is not None and 100 * disagreements > limit * n:
        lost.append(f"{agreement:.2f} % of the predictions agree, fewer than {100 - limit:g} %")
    if regression is not None:
        limit = REGRESSION_TOLERANCE if tolerance is None else tolerance
        if 100 * regression.relative > limit:
            size = f"{100 * regression.relative:.2f} % (root mean square)"
            lost.append(f"outputs differ by {size}, more than {limit:g} %")
    misses += lost
    return Report(
        samples=n,
        ann_accuracy=ann,
        snn_accuracy=snn,
        gap=gap,
        gap_interval=interval,
        agreement=agreement,
        disagreements=disagreements,
        regression=regression,
        stepped_samples=stepped.samples,
        comparisons=comparisons,
        mismatches=mismatches,
        divergence=stepped.divergence,
        capture_difference=proof.relative,
        capture_samples=proof.samples,
        quiet_after=tuple(stepped.quiet_after),
        drain_bound=network.contract.max_steps,
        curve=stepped.curve,
        layers=layers,
        arrows=_arrows(
            network, proof, stepped, fits, lost, _measured(outputs, ann, snn, gap, interval, agreement, regression)
        ),
        ledger=network.ledger,
        raster=stepped.raster,
        code=network.contract.code,
        versions=versions(),
        tolerance=limit,
        misses=tuple(misses),
        data_hash=data_hash,
    )


def layer_stats(integer: IntegerNetwork, network: SpikingNetwork, stepped: Stepped) -> tuple[LayerStats, ...]:
    """Figures of every layer; fractions are over the stepped samples."""
    held = _held(integer, network)
    rows = []
    for layer in integer.layers:
        neurons = prod(layer.shape)
        seen = max(1, neurons * stepped.samples)
        spikes = stepped.spikes.get(layer.name)
        low, high = (layer.low, layer.high) if isinstance(layer, NeuronLayer) else (0, 0)
        rows.append(
            LayerStats(
                name=layer.name,
                kind=KINDS[type(layer)],
                shape=layer.shape,
                neurons=neurons,
                low=low,
                high=high,
                synapses=synapses_into(integer, layer.name),
                saturation=stepped.at_top.get(layer.name, 0) / seen,
                silent=stepped.silent.get(layer.name, 0) / seen,
                spikes_per_neuron=None if spikes is None or not stepped.samples else spikes / seen,
                state_bits=held[layer.name],
                comparisons=stepped.comparisons.get(layer.name, 0),
                mismatches=stepped.mismatches.get(layer.name, 0),
            )
        )
    return tuple(rows)


def _held(integer: IntegerNetwork, network: SpikingNetwork) -> dict[str, int]:
    """Bits that the membranes of each layer need under the network's code."""
    if network.contract.code in STATISTICAL:
        most: dict[str, int] = {}
        for name, interval in rate.membranes(network).items():
            layer = name.removesuffix(NEGATIVE)
            most[layer] = max(most.get(layer, 0), bits(interval))
        return {layer.name: most.get(layer.name, 1) for layer in integer.layers}
    parts = split_signs(integer, network.contract.code) if network.contract.code in UNSIGNED else integer
    every = partial_sums(parts)
    needed: dict[str, int] = {}
    for part in parts.layers:
        name = part.name.removesuffix(NEGATIVE) if part.name not in integer.by_name else part.name
        sums = every[part.name]
        neuron = network[part.name].neuron
        if isinstance(part, CountLayer) and isinstance(neuron, SignedIF):
            held = membrane(part, sums)
            sums = Interval(np.minimum(held.low, sums.low), np.maximum(held.high, sums.high))
        elif isinstance(neuron, PhasedIF):
            sums = Interval(sums.low - neuron.release, sums.high)
        needed[name] = max(needed.get(name, 0), bits(sums))
    return needed


def _measured(
    outputs: Outputs,
    ann: float | None,
    snn: float | None,
    gap: float | None,
    interval: tuple[float, float] | None,
    agreement: float | None,
    regression: RegressionError | None,
) -> str:
    """What the arrow from the model's function to the integers claims."""
    n = len(outputs.model)
    if gap is not None and interval is not None:
        accuracy = f"accuracy {ann:.2f} % before, {snn:.2f} % after"
        return (
            f"{accuracy}: gap {gap:+.2f} points, 95 % interval {interval[0]:+.2f} to {interval[1]:+.2f}, {n:,} samples"
        )
    if agreement is not None:
        low, high = agreement_interval(round(n * (1 - agreement / 100)), n)
        return f"{agreement:.2f} % of {n:,} predictions agree, 95 % interval {low:.2f} to {high:.2f}; no labels"
    assert regression is not None
    unused = "" if outputs.labels is None else "; the labels are no class numbers and were not used"
    relative = f"outputs differ by {100 * regression.relative:.3g} % (root mean square)"
    return f"{relative}, at most {regression.largest:.3g}, {n:,} samples{unused}"


def _arrows(
    network: SpikingNetwork, proof: Proof, stepped: Stepped, fits: bool, lost: list[str], measured: str
) -> tuple[Arrow, ...]:
    same = proof.relative <= CAPTURE_TOLERANCE
    capture = f"outputs differ by at most {proof.relative:.1e} of their scale on {proof.samples:,} real inputs"
    mismatches, comparisons = sum(stepped.mismatches.values()), sum(stepped.comparisons.values())
    if network.contract.code in STATISTICAL:
        return (
            Arrow("model -> graph", "measured" if same else "failed", capture),
            Arrow(
                "graph -> integer network",
                "failed" if lost else "measured",
                "; ".join([f"through the {network.contract.code} code, both losses together: {measured}", *lost]),
            ),
            Arrow("integer network -> spiking network", "measured" if fits else "failed", _rates(network, stepped)),
        )
    lemma = f"by the lemma of the {network.contract.code} code; membranes fit {network.contract.state_bits} bits; "
    shown = f"{mismatches:,} mismatches in {comparisons:,} counts of {stepped.samples:,} samples stepped by the {stepped.on} backend"
    if not stepped.samples:
        shown = "no sample was stepped"
    return (
        Arrow("model -> graph", "measured" if same else "failed", capture),
        Arrow("graph -> integer network", "failed" if lost else "measured", "; ".join([measured, *lost])),
        Arrow("integer network -> spiking network", "proved" if fits and not mismatches else "failed", lemma + shown),
    )


def _rates(network: SpikingNetwork, stepped: Stepped) -> str:
    """How far a code without a lemma is from the integers."""
    steps = network.contract.presentation
    start = f"statistical, no lemma: the {network.contract.code} code over {steps} steps is never exact"
    if not stepped.samples:
        return f"{start}; no sample was stepped"
    layers = {name: pair for name, pair in stepped.rates.items() if name != network.output}
    relative = {name: (error / size) ** 0.5 if size else 0.0 for name, (error, size) in layers.items()}
    worst = max(relative, key=lambda name: relative[name], default="")
    shown = (
        f"; rates differ by at most {100 * relative[worst]:.3g} % of a layer's (root mean square, {worst})"
        if worst
        else ""
    )
    alike = ""
    if stepped.agreeing:
        percent = 100 * stepped.same_choice / stepped.samples
        alike = f"; {percent:.2f} % of the predictions are those of the integer network"
    return f"{start}{shown}{alike}, {stepped.samples:,} stepped samples"


def versions() -> tuple[tuple[str, str], ...]:
    """Versions that a reader needs to repeat the measurement."""
    found = [("spikeport", __version__), ("python", platform.python_version()), ("numpy", np.__version__)]
    for name in ("torch", "nir"):
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)
