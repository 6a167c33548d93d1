"""A hierarchy three deep, with one part converted from PyTorch and one module used 100 times: the same spikes everywhere.

    python bench/hierarchy.py

A digit enters; a network converted from PyTorch sorts it; the ten sums of its read-out go to ten columns of ten cells each, the same module 100 times,
which hand their spikes to a counter. The network is run on reference, native, torch and loihi2 (our simulation of it); saved as it was written, loaded and built
again; written as NIR, read back, and run again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import spikeport as sp
from spikeport.quantize.integer import encode_input

BACKENDS = ("reference", "native", "torch", "loihi2")
CONTRACT = sp.DynamicsContract(
    dt=1e-3, integrator="accumulate", synapse="delta", layer_latency=1, arithmetic="integer", state_bits=24
)


def trained() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    """A small perceptron for real digits, and the test images with their classes."""
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    inputs, classes = torch.tensor(x[:1200]), torch.tensor(y[:1200])
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), classes).backward()
        optimizer.step()
    return model.eval(), x[1200:], y[1200:]


def cell() -> sp.Module:
    """What is used 100 times: an integrate-and-fire neuron that a memoryless one triggers."""
    made = sp.Module("cell")
    gate, body = made.population("gate", 1, sp.Threshold(threshold=0)), made.population("body", 1, sp.IF(threshold=2))
    made.connect(made.input("in", 1), gate)
    made.connect(gate, body, sp.Dense([[1]]))
    made.output("out", body)
    return made


def network(model: Any, levels: np.ndarray) -> sp.Network:
    """The hierarchy: network / column / cell."""
    small = cell()
    column = sp.Module("column")
    entry, total = column.input("in", 1), column.population("total", 1, sp.IF(threshold=4))
    for i in range(10):
        part = column.add(f"cell{i}", small)
        column.connect(entry, part["in"], sp.Dense([[1 + i % 3]]))
        column.connect(part["out"], total, sp.Dense([[1]]), delay=0.001 * (1 + i % 3))
    column.output("out", total)
    net = sp.Network("hierarchy")
    eye = net.add("eye", model)
    net.connect(net.input("pixels", 64), eye["input"])
    votes = net.population("votes", 10, sp.Threshold(threshold=levels))
    net.connect(eye["output"], votes, sp.Dense(np.eye(10, dtype=np.int64)))
    for k in range(10):
        part = net.add(f"column{k}", column)
        net.connect(votes, part["in"], sp.Dense(np.eye(10, dtype=np.int64)[[k]]))
        net.output(f"out{k}", part["out"])
    return net


def main() -> int:
    """Print where which spikes came; 1 where any differ."""
    model, x, y = trained()
    snn = sp.convert(model, [torch.tensor(x[:200])], levels=7, code="population", weight_bits=5, input_bits=4)
    integers = encode_input(snn.network.input, x[:200])
    readout = sp.simulate(snn.network, x[:200]).readout[-1]
    net = network(snn, np.median(readout, axis=0).astype(np.int64))
    built = net.build(contract=CONTRACT)
    print(f"{len(built.populations)} populations, {built.neurons:,} neurons, {len(built.projections)} projections")
    accuracy = (readout.argmax(axis=1) == y[:200]).mean()
    print(f"the converted part alone: {100 * accuracy:.2f} % of {len(readout)} digits")
    first: dict[str, Any] = {}
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        loaded = sp.Network.load(net.save(Path(folder) / "hierarchy.spn")).build(contract=CONTRACT)
        path = Path(folder) / "hierarchy.nir"
        sp.to_nir(built, path)
        again = sp.from_nir(path)
        assert isinstance(again, sp.DynamicNetwork)
        for name, candidate in (("built", built), ("loaded", loaded), ("from NIR", again)):
            names = [f"{p.name}.spikes" for p in candidate.populations if not p.name.endswith("output")]
            for on in BACKENDS:
                began = time.perf_counter()
                run = sp.run(candidate, {candidate.inputs[0].name: integers}, duration=0.21, record=names, on=on)
                took = time.perf_counter() - began
                found = [run[n] for n in names]
                spikes = sum(len(events) for events in found)
                if not first:
                    first = {"trains": found}
                differ = sum(
                    not (np.array_equal(a.steps, b.steps) and np.array_equal(a.neurons, b.neurons))
                    for a, b in zip(found, first["trains"], strict=True)
                )
                wrong += differ
                print(f"{name:9} {on:10} {spikes:9,} spikes of {len(names)} populations, {differ} differ, {took:.2f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
