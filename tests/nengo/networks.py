"""Networks of Nengo's documentation, small and short; each has probes of all its ensembles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

nengo = pytest.importorskip("nengo", reason="Nengo is not installed")

nengo.rc.set("decoder_cache", "enabled", "False")  # workers would wait for each other


def communication_channel() -> None:
    sine = nengo.Node(np.sin, label="input")
    a, b = (nengo.Ensemble(60, dimensions=1, label=name) for name in "ab")
    nengo.Connection(sine, a)
    nengo.Connection(a, b, synapse=0.01)


def addition() -> None:
    one, two = nengo.Node(output=0.5), nengo.Node(output=lambda t: 0.3 * np.cos(20 * t))
    a, b, c = (nengo.Ensemble(40, dimensions=1, label=name) for name in "abc")
    nengo.Connection(one, a)
    nengo.Connection(two, b)
    nengo.Connection(a, c)
    nengo.Connection(b, c)


def squaring() -> None:
    sine = nengo.Node(lambda t: np.sin(8 * t))
    a, b = (nengo.Ensemble(60, dimensions=1, label=name) for name in "ab")
    nengo.Connection(sine, a)
    nengo.Connection(a, b, function=np.square)


def integrator() -> None:
    a = nengo.Ensemble(100, dimensions=1, label="integrator")
    steps = nengo.Node(nengo.processes.Piecewise({0: 0, 0.05: 1, 0.1: 0, 0.2: -2}))
    nengo.Connection(a, a, transform=[[1]], synapse=0.1)
    nengo.Connection(steps, a, transform=[[0.1]], synapse=0.1)


def oscillator() -> None:
    neurons = nengo.Ensemble(120, dimensions=2, label="neurons")
    kick = nengo.Node(nengo.processes.Piecewise({0: [1, 0], 0.1: [0, 0]}))
    nengo.Connection(kick, neurons)
    nengo.Connection(neurons, neurons, transform=[[1, 1], [-1, 1]], synapse=0.1)


def learned_channel() -> None:
    pre, post, error = (nengo.Ensemble(40, dimensions=2, label=name) for name in ("pre", "post", "error"))
    noise = nengo.Node(nengo.processes.WhiteSignal(60, high=5), size_out=2)
    nengo.Connection(noise, pre)
    learned = nengo.Connection(pre, post, function=lambda x: [0.5, -0.5], learning_rule_type=nengo.PES(1e-3))
    nengo.Connection(post, error)
    nengo.Connection(pre, error, transform=-1)
    nengo.Connection(error, learned.learning_rule)
    nengo.Probe(learned, "weights", sample_every=0.01)


EXAMPLES: dict[str, Callable[[], None]] = {
    made.__name__: made for made in (communication_channel, addition, squaring, integrator, oscillator, learned_channel)
}


def network(describe: Callable[[], Any], *, seed: int | None = 3) -> nengo.Network:
    """With a probe of the spikes and of the decoded value of each ensemble."""
    with nengo.Network(seed=seed, label="net") as made:
        describe()
        for ensemble in made.all_ensembles:
            if not isinstance(ensemble.neuron_type, nengo.Direct):
                nengo.Probe(ensemble.neurons)
            nengo.Probe(ensemble, synapse=0.01)
    return made
