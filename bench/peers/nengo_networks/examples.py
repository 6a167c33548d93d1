"""Networks of Nengo's documentation, with the numbers of neurons, functions and synapses that they have there."""

from __future__ import annotations

from collections.abc import Callable

import nengo
import numpy as np
from nengo.processes import Piecewise, WhiteSignal


def single_neuron() -> None:
    neuron = nengo.Ensemble(1, 1, intercepts=[-0.5], max_rates=[100], encoders=[[1]])
    nengo.Connection(nengo.Node(lambda t: np.cos(8 * t)), neuron)


def two_neurons() -> None:
    neurons = nengo.Ensemble(2, 1, intercepts=[-0.5, -0.5], max_rates=[100, 100], encoders=[[1], [-1]])
    nengo.Connection(nengo.Node(lambda t: np.sin(8 * t)), neurons, synapse=0.01)


def many_neurons() -> None:
    nengo.Connection(nengo.Node(lambda t: np.sin(8 * t)), nengo.Ensemble(100, 1))


def communication_channel() -> None:
    a, b = nengo.Ensemble(100, 1), nengo.Ensemble(100, 1)
    nengo.Connection(nengo.Node(np.sin), a)
    nengo.Connection(a, b)


def addition() -> None:
    a, b, c = (nengo.Ensemble(100, 1) for _ in range(3))
    nengo.Connection(nengo.Node(0.5), a)
    nengo.Connection(nengo.Node(0.3), b)
    nengo.Connection(a, c)
    nengo.Connection(b, c)


def squaring() -> None:
    a, b = nengo.Ensemble(100, 1), nengo.Ensemble(100, 1)
    nengo.Connection(nengo.Node(np.sin), a)
    nengo.Connection(a, b, function=np.square)


def multiplication() -> None:
    a, b, c = nengo.Ensemble(100, 1, radius=10), nengo.Ensemble(100, 1, radius=10), nengo.Ensemble(100, 1, radius=100)
    both = nengo.Ensemble(200, 2, radius=15)
    nengo.Connection(nengo.Node(Piecewise({0: 0, 2.5: 10, 4: -10})), a)
    nengo.Connection(nengo.Node(Piecewise({0: 10, 1.5: 2, 3: 0, 4.5: 2})), b)
    nengo.Connection(a, both[0])
    nengo.Connection(b, both[1])
    nengo.Connection(both, c, function=lambda x: x[0] * x[1])


def integrator() -> None:
    a = nengo.Ensemble(100, 1)
    steps = nengo.Node(Piecewise({0: 0, 0.2: 1, 1: 0, 2: -2, 3: 0, 4: 1, 5: 0}))
    nengo.Connection(a, a, transform=[[1]], synapse=0.1)
    nengo.Connection(steps, a, transform=[[0.1]], synapse=0.1)


def controlled_integrator() -> None:
    a = nengo.Ensemble(225, 2, radius=1.5)
    nengo.Connection(
        nengo.Node(Piecewise({0: 0, 0.2: 5, 0.3: 0, 0.44: -10, 0.54: 0, 0.8: 5, 0.9: 0})),
        a[0],
        transform=0.1,
        synapse=0.1,
    )
    nengo.Connection(nengo.Node(Piecewise({0: 1, 0.6: 0.5})), a[1], synapse=0.1)
    nengo.Connection(a, a[0], function=lambda x: x[0] * x[1], synapse=0.1)


def oscillator() -> None:
    neurons = nengo.Ensemble(200, 2)
    nengo.Connection(nengo.Node(Piecewise({0: [1, 0], 0.1: [0, 0]})), neurons)
    nengo.Connection(neurons, neurons, transform=[[1, 1], [-1, 1]], synapse=0.1)


def controlled_oscillator() -> None:
    tau, w_max = 0.1, 5.0
    neurons = nengo.Ensemble(500, 3, radius=1.7)

    def feedback(x: np.ndarray) -> list[float]:
        return [x[1] * x[2] * w_max * tau + 1.1 * x[0], -x[0] * x[2] * w_max * tau + 1.1 * x[1]]

    nengo.Connection(neurons, neurons[:2], function=feedback, synapse=tau)
    nengo.Connection(nengo.Node(Piecewise({0: 1, 1: 0.5, 2: 0, 3: -0.5, 4: -1})), neurons[2])
    nengo.Connection(nengo.Node(Piecewise({0: [1, 0], 0.15: [0, 0]})), neurons[:2])


def lorenz() -> None:
    tau, sigma, beta, rho = 0.1, 10, 8.0 / 3, 28
    state = nengo.Ensemble(2000, 3, radius=60)

    def feedback(x: np.ndarray) -> list[float]:
        change = [sigma * (x[1] - x[0]), -x[0] * x[2] - x[1], x[0] * x[1] - beta * (x[2] + rho) - rho]
        return [d * tau + value for d, value in zip(change, x, strict=True)]

    nengo.Connection(state, state, function=feedback, synapse=tau)


def learned_channel() -> None:
    pre, post, error = (nengo.Ensemble(60, 2) for _ in range(3))
    nengo.Connection(nengo.Node(WhiteSignal(60, high=5), size_out=2), pre)
    learned = nengo.Connection(pre, post, function=lambda x: np.random.RandomState(5).random(2))
    learned.learning_rule_type = nengo.PES()
    nengo.Connection(post, error)
    nengo.Connection(pre, error, transform=-1)
    nengo.Connection(error, learned.learning_rule)


def product() -> None:
    made = nengo.networks.Product(100, 4)
    nengo.Connection(nengo.Node([0.5, -0.5, 1, 0]), made.input_a)
    nengo.Connection(nengo.Node(lambda t: [np.sin(t), np.cos(t), np.sin(3 * t), 1]), made.input_b)


def basal_ganglia() -> None:
    made = nengo.networks.BasalGanglia(3)
    nengo.Connection(nengo.Node(lambda t: [0.8 if t % 3 < 1 else 0.3, 0.6, 0.8 if t % 3 > 2 else 0.2]), made.input)


def adaptive_and_rectified() -> None:
    a = nengo.Ensemble(100, 1, neuron_type=nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.05))
    b = nengo.Ensemble(100, 1, neuron_type=nengo.SpikingRectifiedLinear())
    nengo.Connection(nengo.Node(lambda t: np.sin(8 * t)), a)
    nengo.Connection(a, b, synapse=nengo.Alpha(0.02))


def izhikevich() -> None:
    drive = nengo.Node(lambda t: np.sin(10 * t))
    for reset, increment in ((-65, 8), (-55, 4), (-50, 2)):
        kind, each = nengo.Izhikevich(reset_voltage=reset, reset_recovery=increment), np.full(50, 8.0)
        nengo.Connection(drive, nengo.Ensemble(50, 1, neuron_type=kind, gain=each, bias=each))


EXAMPLES: dict[str, tuple[float, Callable[[], None]]] = {
    "single neuron": (1, single_neuron),
    "two neurons": (1, two_neurons),
    "many neurons": (1, many_neurons),
    "communication channel": (1, communication_channel),
    "addition": (5, addition),
    "squaring": (5, squaring),
    "multiplication": (5, multiplication),
    "integrator": (6, integrator),
    "controlled integrator": (1.4, controlled_integrator),
    "oscillator": (3, oscillator),
    "controlled oscillator": (5, controlled_oscillator),
    "Lorenz attractor": (6, lorenz),
    "learning a communication channel": (10, learned_channel),
    "product": (1, product),
    "basal ganglia": (1, basal_ganglia),
    "adaptive and rectified neurons": (3, adaptive_and_rectified),
    "neurons of Izhikevich": (1, izhikevich),
}
"""Seconds that they are run for, and what they hold."""
