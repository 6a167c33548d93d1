"""Networks of PyNN's own documentation (examples/ and doc/examples/ of PyNN 0.13), in our words and with their numbers.

Where one has cells that spikeport refuses (alpha functions), the others of it are built; where its input is noise, the numbers are drawn
with numpy and given as spike times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Example:
    """A network that was built, and what is looked at."""

    parts: list[Any]
    watched: list[Any]
    """Populations whose spikes and potentials are compared."""
    duration: float
    """Milliseconds."""
    learns: Any = None
    """A projection whose weights are compared at the end."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of `from_pynn`."""
    same: bool = True
    """Whether the neuron is one of ours, so that every spike has to be equal."""


def setup(sim: Any, **choices: Any) -> None:
    """NEST has spikes between steps unless it is told otherwise."""
    if sim.__name__ == "pyNN.nest":
        choices["spike_precision"] = "on_grid"
    sim.setup(**choices)


def watch(population: Any, *, potentials: bool = True) -> None:
    """Record it; pyNN.nest does not know the potential of IF_curr_delta by its name."""
    population.record("spikes")
    if potentials:
        population.record("v")


def if_curr_exp(sim: Any) -> Example:
    """examples/IF_curr_exp.py: excitation, then inhibition, that decay differently."""
    setup(sim, timestep=0.1, min_delay=0.1, max_delay=4.0)
    cell = sim.Population(
        1,
        sim.IF_curr_exp(i_offset=0.1, tau_refrac=3.0, v_thresh=-51.0, tau_syn_E=2.0, tau_syn_I=5.0, v_reset=-70.0),
        label="cell",
        initial_values={"v": -53.2},
    )
    up = sim.Population(1, sim.SpikeSourceArray(spike_times=[float(t) for t in range(5, 105, 10)]), label="up")
    down = sim.Population(1, sim.SpikeSourceArray(spike_times=[float(t) for t in range(155, 255, 10)]), label="down")
    every = sim.AllToAllConnector()
    parts = [
        sim.Projection(up, cell, every, sim.StaticSynapse(weight=1.5, delay=2.0), receptor_type="excitatory"),
        sim.Projection(down, cell, every, sim.StaticSynapse(weight=-1.5, delay=4.0), receptor_type="inhibitory"),
    ]
    watch(cell)
    return Example(parts, [cell], 200.0)


def if_curr_exp2(sim: Any) -> Example:
    """examples/IF_curr_exp2.py: a cell under irregular input at 200 Hz."""
    setup(sim, timestep=0.1, min_delay=0.1, max_delay=4.0)
    cell = sim.Population(
        1,
        sim.IF_curr_exp(i_offset=0.1, tau_refrac=3.0, v_thresh=-51.0, tau_syn_E=2.0, tau_syn_I=5.0, v_reset=-70.0),
        label="cell",
        initial_values={"v": -53.2},
    )
    times = np.cumsum(np.random.default_rng(240965239).exponential(1000 / 200.0, 200))
    times = np.unique(np.round(times[times > 0.2], 1))  # Brian2 has one spike a step
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=times), label="source")
    synapse = sim.StaticSynapse(weight=1.5, delay=2.0)
    watch(cell)
    joined = sim.Projection(source, cell, sim.AllToAllConnector(), synapse, receptor_type="excitatory")
    return Example([joined], [cell], 1000.0)


def izhikevich(sim: Any) -> Example:
    """doc/examples/Izhikevich: cells of different recovery, under a constant current and a burst of input."""
    setup(sim, timestep=0.1, min_delay=0.1, max_delay=4.0)
    cells = sim.Population(
        3,
        sim.Izhikevich(a=0.02, b=0.2, c=-65.0, d=6.0, i_offset=[0.014, 0.0, 0.0]),
        label="cells",
        initial_values={"v": -70.0, "u": -14.0},
    )
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[float(t) for t in range(5, 105, 10)]), label="source")
    synapse = sim.StaticSynapse(weight=3.0, delay=2.0)
    joined = sim.Projection(source, cells[1:2], sim.AllToAllConnector(), synapse, receptor_type="excitatory")
    dc = sim.DCSource(amplitude=0.014, start=20.0, stop=180.0)
    dc.inject_into(cells[2:3])
    watch(cells)
    return Example([joined, (dc, cells[2:3])], [cells], 200.0)


def current_injection(sim: Any) -> Example:
    """doc/examples/current_injection: a constant current and one in steps, into one cell each; without noise and sine."""
    setup(sim, timestep=0.1, min_delay=0.1)
    cells = sim.Population(2, sim.IF_curr_exp(v_thresh=-55.0, tau_refrac=5.0, tau_m=10.0), label="cells")
    dc = sim.DCSource(amplitude=0.5, start=50.0, stop=400.0)
    steps = sim.StepCurrentSource(times=[50.0, 210.0, 250.0, 410.0], amplitudes=[0.4, 0.6, -0.2, 0.2])
    dc.inject_into(cells[0:1])
    steps.inject_into(cells[1:2])
    watch(cells)
    return Example([cells, (dc, cells[0:1]), (steps, cells[1:2])], [cells], 500.0)


def step_current_source(sim: Any) -> Example:
    """examples/StepCurrentSource.py, with more current: the cell fires."""
    setup(sim, timestep=0.1, min_delay=0.1)
    cell = sim.Population(1, sim.IF_curr_exp(v_thresh=-55.0, tau_refrac=5.0), label="cell")
    steps = sim.StepCurrentSource(times=[50.0, 110.0, 150.0, 210.0], amplitudes=[0.4, 0.6, -0.2, 0.2])
    steps.inject_into(cell)
    watch(cell)
    return Example([cell, (steps, cell)], [cell], 250.0)


def synaptic_input(sim: Any) -> Example:
    """doc/examples/synaptic_input: the cells of it that spikeport reads, two of each kind, one of them depolarized."""
    setup(sim, timestep=0.1, min_delay=1.0)
    exponential = sim.Population(
        2,
        sim.IF_curr_exp(tau_m=10.0, i_offset=[0.0, 1.0]),
        label="exponential",
        initial_values={"v": np.array([-65.0, -55.0])},
    )
    stimulus = sim.Population(1, sim.SpikeSourceArray(spike_times=[25.0, 50.0, 80.0, 90.0]), label="stimulus")
    parts, watched = [], [exponential]
    populations = [(exponential, 1.6)]
    if sim.__name__ == "pyNN.nest":  # Brian2 has the jumps of these at another moment, which has an example of its own
        step = sim.Population(
            2,
            sim.Izhikevich(i_offset=[0.0, 0.002]),
            label="step",
            initial_values={"v": np.array([-70.0, -67.0]), "u": np.array([-14.0, -13.4])},
        )
        populations.append((step, 1.0))
        watched.append(step)
    for population, weight in populations:
        synapse = sim.StaticSynapse(weight=weight, delay=2.0)
        parts.append(sim.Projection(stimulus, population, sim.AllToAllConnector(), synapse, receptor_type="excitatory"))
        watch(population)
    return Example(parts, watched, 100.0)


def vogels_abbott(sim: Any, conductances: bool = False, n: int = 4000) -> Example:
    """doc/examples/VAbenchmarks: excitation and inhibition in balance, 4,000 cells; CUBA, or COBA."""
    setup(sim, timestep=0.1, min_delay=0.2, max_delay=0.2)
    n_exc = n * 4 // 5
    rng = np.random.default_rng(98765)
    common = {"tau_m": 20.0, "tau_syn_E": 5.0, "tau_syn_I": 10.0, "v_reset": -60.0, "v_thresh": -50.0}
    common |= {"cm": 0.2, "tau_refrac": 5.0, "v_rest": -60.0 if conductances else -49.0}
    if conductances:
        cells, weights = sim.IF_cond_exp(e_rev_E=0.0, e_rev_I=-80.0, **common), (4e-3, 51e-3)
    else:
        cells, weights = sim.IF_curr_exp(**common), (0.27e-3 * 60, 4.5e-3 * -20)
    begin = rng.uniform(-60.0, -50.0, n)
    exc = sim.Population(n_exc, cells, label="Excitatory_Cells", initial_values={"v": begin[:n_exc]})
    inh = sim.Population(n - n_exc, cells, label="Inhibitory_Cells", initial_values={"v": begin[n_exc:]})
    parts = []
    for source, weight, receptor in ((exc, weights[0], "excitatory"), (inh, weights[1], "inhibitory")):
        for target in (exc, inh):
            pairs = np.argwhere(rng.random((source.size, target.size)) < 0.02)
            synapse = sim.StaticSynapse(weight=weight, delay=0.2)
            connector = sim.FromListConnector(pairs, column_names=[])
            parts.append(sim.Projection(source, target, connector, synapse, receptor_type=receptor))
    if conductances:
        times = [np.unique(np.ceil(rng.uniform(0.2, 50, rng.poisson(5)) * 10) / 10) for _ in range(20)]
        stimulus = sim.Population(20, sim.SpikeSourceArray(spike_times=[list(t) for t in times]), label="stimulus")
        for target in (exc, inh):
            pairs = np.argwhere(rng.random((20, target.size)) < 0.01)
            connector = sim.FromListConnector(pairs, column_names=[])
            synapse = sim.StaticSynapse(weight=0.1, delay=0.2)
            parts.append(sim.Projection(stimulus, target, connector, synapse, receptor_type="excitatory"))
    watch(exc, potentials=False)
    watch(inh, potentials=False)
    options = {"conductances_at": -60.0} if conductances else {}
    return Example(parts, [exc, inh], 200.0, options=options, same=not conductances)


def coba(sim: Any) -> Example:
    """doc/examples/VAbenchmarks, COBA: conductances, which become currents here."""
    return vogels_abbott(sim, conductances=True)


def simple_stdp(sim: Any) -> Example:
    """doc/examples/simple_STDP: 60 synapses whose spikes come at distances of -29 to 30 ms from those of one cell; delays of 3 ms."""
    period, n, delay = 100.0, 60, 3.0
    setup(sim, timestep=0.1, min_delay=0.1, max_delay=delay)
    stop = 10 * period + n
    trains = [list(np.arange(period + j, stop, period)) for j in np.arange(n) - n // 2]
    pre = sim.Population(n, sim.SpikeSourceArray(spike_times=trains), label="presynaptic")
    post = sim.Population(
        1,
        sim.IF_cond_exp(tau_m=10.0, v_thresh=-50.0, v_reset=-60.0, v_rest=-60.0, cm=1.0, tau_refrac=period / 2),
        label="postsynaptic",
        initial_values={"v": -60.0},
    )
    driver = sim.Population(
        1, sim.SpikeSourceArray(spike_times=list(np.arange(period - delay, stop, period))), label="driver"
    )
    learning = sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(tau_plus=20.0, tau_minus=20.0, A_plus=0.01, A_minus=0.012),
        weight_dependence=sim.AdditiveWeightDependence(w_min=0, w_max=1e-7),
        weight=5e-8,
        delay=delay,
        dendritic_delay_fraction=1.0 if sim.__name__ == "pyNN.nest" else 0.0,
    )
    every = sim.AllToAllConnector()
    learns = sim.Projection(pre, post, every, learning, receptor_type="excitatory")
    drives = sim.Projection(
        driver, post, every, sim.StaticSynapse(weight=10.0, delay=delay), receptor_type="excitatory"
    )
    watch(post, potentials=False)
    return Example([learns, drives], [post], stop, learns=learns, options={"conductances_at": -60.0}, same=False)


EXAMPLES: dict[str, tuple[Callable[[Any], Example], tuple[str, ...]]] = {
    "IF_curr_exp": (if_curr_exp, ("nest", "brian2")),
    "IF_curr_exp2": (if_curr_exp2, ("nest", "brian2")),
    "StepCurrentSource": (step_current_source, ("nest", "brian2")),
    "current_injection": (current_injection, ("nest", "brian2")),
    "synaptic_input": (synaptic_input, ("nest", "brian2")),
    "Izhikevich": (izhikevich, ("nest",)),
    "VAbenchmarks CUBA": (vogels_abbott, ("nest",)),
    "VAbenchmarks COBA": (coba, ("nest",)),
    "simple_STDP": (simple_stdp, ("nest", "brian2")),
}
"""By name: the network, and the simulators it is compared with."""
