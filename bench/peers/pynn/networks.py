"""Random networks of two populations with loops, delays and refractory periods, for the backend `pynn`: written by hand, seeded."""

from __future__ import annotations

from typing import Any

import numpy as np

import spikeport as sp

N_STEPS, BATCH, INPUTS = 200, 2, 20


def network(kind: str, seed: int, *, compare: Any = ">=", size: int = 40) -> sp.DynamicNetwork:
    """One network; its names are none that code could take for its own."""
    rng = np.random.default_rng(seed)
    net = sp.Network(f"{kind} {seed}", seed=seed)

    def cells() -> sp.LIF | sp.CubaLIF:
        begin = rng.uniform(0, 1, size)
        if kind == "CubaLIF":
            return sp.CubaLIF(
                tau_syn=0.005, tau_mem=rng.uniform(0.01, 0.03, size), r=rng.uniform(2, 4, size), w_in=1.5,
                bias=0.1, refractory=0.003, initial=begin,
            )  # fmt: skip
        refractory = rng.integers(0, 4, size) * 1e-3
        tau = rng.uniform(0.01, 0.03, size)
        return sp.LIF(tau=tau, v_reset=-0.25, refractory=refractory, bias=0.3, initial=begin)

    line = net.input("in'\"\\", INPUTS)
    first, second = net.population("class", size, cells()), net.population("import os; b c", size, cells())
    net.connect(line, first, sp.AllToAll(sp.Uniform(0, 0.5), delay=sp.Uniform(0.001, 0.006)))
    net.connect(first, second, sp.FixedProbability(0.3, sp.Uniform(-0.3, 0.5), delay=0.003))
    net.connect(second, first, sp.FixedProbability(0.3, sp.Uniform(-0.3, 0.5)))
    net.connect(first, first, sp.Dense(rng.normal(0, 0.2, (size, size)), delay=0.002))
    contract = sp.DynamicsContract(
        dt=1e-3, integrator="exponential", synapse="delta", compare=compare, layer_latency=1, current_order="old"
    )
    return net.build(contract=contract)


def spikes(seed: int) -> Any:
    """What enters, from the first step on, (time, batch, line)."""
    return (np.random.default_rng([seed, 1]).random((N_STEPS, BATCH, INPUTS)) < 0.1).astype(np.float64)
