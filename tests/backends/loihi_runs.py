"""A converted network on a view of a placed program, beside the reference: aligned by hand, for tests."""

from __future__ import annotations

import numpy as np

from spikeport.backends.loihi.engine import line_spikes, open_engine
from spikeport.backends.loihi.view import View
from spikeport.backends.reference import simulate
from spikeport.plugin.exact import static_currents
from spikeport.plugin.presenting import encode_steps, split
from spikeport.primitives import SpikingNetwork


def entering(view: View, network: SpikingNetwork, x: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """Rasters of all lines for so many steps of the chip."""
    encoded = encode_steps(network, x)
    events = network.input.kind == "events"
    totals = {} if events else static_currents(network, encoded)
    presentation = network.contract.presentation
    lines: dict[str, np.ndarray] = {}
    if events:
        whole = np.zeros((steps, *encoded.shape[1:]), np.int64)
        whole[: len(encoded)] = encoded[:steps]
        lines |= view.enter(network.input.name, whole)
    for name, total in totals.items():
        fed = np.zeros((steps, *total.shape), np.int64)
        for t in range(min(presentation, steps - view.offsets[name])):
            fed[t + view.offsets[name]] = split(total, t, presentation)
        lines |= view.feed(name, fed)
    for name in view.at_once:
        lines[name] = np.zeros((steps, encoded.shape[int(events)], 1), np.int64)
        lines[name][0] = 1
    return lines


def compared(view: View, network: SpikingNetwork, x: np.ndarray, on: str, threads: int = 1) -> int:
    """Spikes and potentials of every population and step against the reference; returns the number of spikes."""
    expected = simulate(network, x, record=None)
    steps = expected.n_steps + max(view.offsets.values())
    engine = open_engine(view.placed, len(next(iter(expected.counts.values()))), on=on, threads=threads)
    lines = {name: line_spikes(raster) for name, raster in entering(view, network, x, steps).items()}
    names = list(view.offsets)
    found = view.shown(engine.advance(steps, lines, **view.asked(names, names)), 0)
    spiking = [name for name in expected.spikes if name != network.output]
    assert set(spiking) <= set(found.spikes)
    assert set(expected.potentials) <= set(found.potentials)
    for name in spiking:
        mine = found.spikes[name]
        offset = view.offsets[name]
        assert not mine[:offset].any(), f"{name} sends before its first step"
        np.testing.assert_array_equal(
            mine[offset : offset + expected.n_steps], expected.spikes[name].raster, err_msg=name
        )
    for name, potentials in expected.potentials.items():
        offset = view.offsets[name]
        mine = found.potentials[name][offset : offset + expected.n_steps]
        np.testing.assert_array_equal(mine, potentials, err_msg=f"potentials of {name}")
    return sum(int(np.abs(train.raster).sum()) for train in expected.spikes.values())
