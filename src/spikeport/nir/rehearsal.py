"""Run a network and what a tool makes of its file beside each other, and compare every spike of every population.

The spikes that go in are generated: sparse, dense and all at once, several and negative ones, and pulses that take single neurons
exactly to their thresholds. It is no proof of what other spikes would do; what makes them alike is how the file was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import NirError, Problem
from spikeport.graph import apply_synapse
from spikeport.nir.folding import numbers_of
from spikeport.primitives import (
    IF,
    LIF,
    Approximation,
    DynamicNetwork,
    DynamicRecording,
    Ledger,
    Projection,
    Relay,
    Sparse,
    remark,
)

PULSES = 8
"""Neurons that are taken to their thresholds."""
BESIDE = 2.0**-12
"""Of itself: so far from where a threshold is are pulses where sums are rounded, half of them to either side."""
STEPS = (12, 48)
"""At least and at most."""
SENDINGS = 40_000
"""Values that go in, about."""
SUMS = 1e-5
"""Relative to the largest: what relays give are sums in float32."""


def rehearse(
    network: DynamicNetwork,
    running: DynamicNetwork,
    names: Mapping[str, str],
    late: Mapping[str, int],
    tool: str,
    *,
    exact: bool,
) -> Ledger:
    """Compare, with the arithmetic that both can have; entries on what was compared, and what another arithmetic does.

    Args:
        running: the network that a tool makes of the file.
        names: of inputs and populations in it.
        late: steps by which it has each population later.
        exact: no number is rounded in it; else pulses go close to thresholds only, as which way a sum is rounded would decide there.

    Raises:
        NirError: a spike that is another; the first one.
    """
    x = generated(network, 0.0 if exact else BESIDE)
    narrow = _in_float32(network)
    mine = _run(narrow, x)
    theirs = _run(running, x)
    spikes = 0
    for population in network.populations:
        name = population.name
        a, b = _values(mine, name), _values(theirs, names[name])
        at = _first(a, b, late.get(name, 0), SUMS if isinstance(population.neuron, Relay) else 0.0)
        if at is not None:
            what = _told(at)
            raise NirError(
                Problem(name, f"{what} than in {tool}", "numbers that are short binary fractions, or another dialect")
            )
        if name in mine.counts:
            spikes += int(np.abs(a).sum())
    n, samples = len(x), x.shape[1]
    compared = f"{spikes:,} spikes in {samples} runs of {n} steps are the same in our model of {tool}"
    entries = [remark(network.name, compared)]
    if narrow is not network:
        wide = _run(network, x)
        for population in network.populations:
            if population.name not in wide.counts:
                continue
            at = _first(_values(wide, population.name), _values(mine, population.name), 0, 0.0)
            if at is not None:
                what = f"{tool} computes in float32, and the network says float64: {_told(at)} than in float32"
                return (*entries, Approximation(population.name, what, 1.0, "spike and more"))
        what = f"{tool} computes in float32: the spikes are those of the network in float32, in these runs those in float64 too"
        entries.append(remark(network.name, what))
    return tuple(entries)


def _in_float32(network: DynamicNetwork) -> DynamicNetwork:
    if network.contract.arithmetic != "float64":
        return network
    populations = tuple(
        p if p.contract is None else replace(p, contract=replace(p.contract, arithmetic="float32"))
        for p in network.populations
    )
    return replace(network, populations=populations, contract=replace(network.contract, arithmetic="float32"))


def _run(network: DynamicNetwork, x: NDArray[np.float64]) -> DynamicRecording:
    relays = [p.name for p in network.populations if isinstance(p.neuron, Relay)]
    return simulate_dynamics(network, x, potentials=relays)


def _values(recording: DynamicRecording, name: str) -> NDArray[Any]:
    """What a population sent, shape (time, batch, neuron): spikes, or the sums of a relay."""
    if name in recording.spikes:
        raster = recording.spikes[name].train().raster
        return np.asarray(raster).reshape(*raster.shape[:2], -1)
    values = recording.potentials[name]
    return values.reshape(*values.shape[:2], -1)


def _first(a: NDArray[Any], b: NDArray[Any], late: int, tolerance: float) -> tuple[Any, ...] | None:
    """The first (step, sample, neuron, there, here) that differs, and by what; `b` comes `late` steps later."""
    if late >= 0:
        a = np.concatenate([np.zeros_like(a[:late]), a[: len(a) - late]])
    else:
        b = np.concatenate([np.zeros_like(b[:-late]), b[: len(b) + late]])
    room = tolerance * max(1.0, float(np.abs(a).max(initial=0.0)))
    odd = np.argwhere(np.abs(a.astype(np.float64) - b.astype(np.float64)) > room)
    if not len(odd):
        return None
    step, sample, neuron = (int(i) for i in odd[0])
    return step, sample, neuron, a[step, sample, neuron], b[step, sample, neuron]


def _told(at: tuple[Any, ...]) -> str:
    step, sample, neuron, mine, theirs = at
    return (
        f"neuron {neuron} sends {mine:g}, not {theirs:g}, in step {step} of run {sample}: first of what is other here"
    )


def generated(network: DynamicNetwork, beside: float = 0.0) -> NDArray[np.float64]:
    """Values of the one input, shape (time, run, *shape); the same for the same network.

    Args:
        beside: how far pulses miss the thresholds, relative to what they are.
    """
    rng = np.random.default_rng(0)
    shape = network.inputs[0].shape
    lines = network.inputs[0].size
    pulses = _pulses(network, rng)
    runs = 6 + len(pulses)
    n = int(np.clip(SENDINGS // (runs * lines), *STEPS))
    kinds = [
        rng.random((n, lines)) < 0.5,
        rng.random((n, lines)) < 0.1,
        np.ones((n, lines)),
        rng.integers(0, 4, (n, lines)),
        rng.integers(-8, 9, (n, lines)) / 4,
        np.arange(n)[:, None] == np.arange(lines)[None] % n,
        *((rng.random((n, lines)) < 0.3) for _ in pulses),
    ]
    x = np.stack([np.asarray(kind, dtype=np.float64) for kind in kinds], axis=1)
    for i, (line, value) in enumerate(pulses):
        x[0, 6 + i] = 0
        x[0, 6 + i, line] = value * (1 + (beside if i % 2 else -beside))
    return x.reshape(n, runs, *shape)


def _pulses(network: DynamicNetwork, rng: np.random.Generator) -> list[tuple[int, float]]:
    """(line, value) such that a neuron behind the input ends its first step exactly at the threshold, where floats can."""
    found: list[tuple[int, float]] = []
    source = network.inputs[0]
    for p in network.projections:
        neuron = network[p.target].neuron
        if p.source != source.name or not isinstance(neuron, IF | LIF):
            continue
        n = numbers_of(network[p.target], network.contract_of(p.target))
        bias = 0.0 if p.bias is None else p.bias
        rest = (1 - n.k) * n.initial + n.k * n.v_leak + n.h * n.bias + n.g * bias
        for line in rng.permutation(source.size)[:PULSES]:
            one = np.zeros(source.shape)
            one.flat[line] = 1.0
            each = n.g * carried(p, one, network[p.target].shape)
            moved = np.flatnonzero(each)
            if len(moved) and len(found) < PULSES:
                at = int(moved[rng.integers(len(moved))])
                found.append((int(line), float((n.threshold.flat[at] - rest.flat[at]) / each.flat[at])))
    return found


def carried(p: Projection, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """What arrives at the target of a projection, shape of which is given, without its bias."""
    for synapse in p.synapses:
        if isinstance(synapse, Sparse):
            each = np.repeat(values.ravel(), np.diff(synapse.offsets)) * synapse.each_weight()
            values = np.bincount(synapse.targets, weights=each, minlength=synapse.post)
        else:
            values = apply_synapse(synapse, values[None].astype(np.float64))[0]
    return values.reshape(shape)
