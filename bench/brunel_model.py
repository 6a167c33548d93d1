"""Brunel's network of 2000: its numbers, itself as a `Network`, and what his equations say of its stationary state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import dblquad, quad
from scipy.optimize import brentq
from scipy.special import erfcx

import spikeport as sp
from spikeport.primitives import DynamicNetwork


@dataclass(frozen=True, slots=True)
class Brunel:
    """Model A of N. Brunel, Dynamics of sparsely connected networks of excitatory and inhibitory spiking neurons, J Comput Neurosci 8
    (2000) 183: one kind of neuron; potentials in millivolts above rest, times in seconds."""

    g: float
    """An inhibitory weight over an excitatory one."""
    eta: float
    """External rate over the one whose mean reaches the threshold."""
    excitatory: int = 10_000
    inhibitory: int = 2500
    connected: float = 0.1
    """Of the neurons of each kind that reach a neuron."""
    weight: float = 0.1
    delay: float = 1.5e-3
    tau: float = 0.02
    threshold: float = 20.0
    v_reset: float = 10.0
    refractory: float = 2e-3
    dt: float = 1e-4

    @property
    def indegree(self) -> int:
        """Excitatory synapses of a neuron; as many are external, each with a Poisson train of its own."""
        return round(self.connected * self.excitatory)

    @property
    def external(self) -> float:
        """Spikes a second that reach a neuron from outside."""
        return self.eta * self.threshold / (self.weight * self.tau)


def neuron(model: Brunel) -> sp.LIF:
    return sp.LIF(tau=model.tau, threshold=model.threshold, v_reset=model.v_reset, refractory=model.refractory)


def network(model: Brunel, *, seed: int) -> sp.Network:
    """It, as it is described; what comes from outside to a neuron over all its external synapses is one train."""
    net = sp.Network("brunel", seed=seed)
    rng = np.random.default_rng(seed)
    exc, inh = (
        net.population(name, size, replace(neuron(model), initial=rng.uniform(0, model.threshold, size)))
        for name, size in (("exc", model.excitatory), ("inh", model.inhibitory))
    )
    from_inh = round(model.connected * model.inhibitory)
    for target in (exc, inh):
        net.connect(net.input(f"to {target.name}", target.shape), target, sp.OneToOne(model.weight))
        for source, n, weight in ((exc, model.indegree, model.weight), (inh, from_inh, -model.g * model.weight)):
            synapses = sp.FixedInDegree(n, weight, multapses=False, self_connections=False, delay=model.delay)
            net.connect(source, target, synapses)
    return net


def external(model: Brunel, made: DynamicNetwork, n_steps: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Numbers of external spikes, drawn for each neuron and step."""
    mean = model.external * model.dt
    return {place.name: rng.poisson(mean, (n_steps, 1, place.size)).astype(np.uint8) for place in made.inputs}


def diffusion_rate(mu: float, sigma: float, model: Brunel) -> float:
    """Rate of a neuron under white noise: `1 / (t_rp + tau sqrt(pi) int exp(u^2) (1 + erf u) du)`."""
    low, high = (model.v_reset - mu) / sigma, (model.threshold - mu) / sigma
    mean = quad(lambda u: erfcx(-u), low, high, limit=200)[0]  # erfcx(-u) is exp(u^2) (1 + erf u)
    return float(1 / (model.refractory + model.tau * np.sqrt(np.pi) * mean))


def input_of(rate: float, model: Brunel) -> tuple[float, float]:
    """Mean and fluctuation of what reaches a neuron where all fire at `rate`, in millivolts."""
    gamma = model.inhibitory / model.excitatory
    one = model.weight * model.tau
    mu = one * (model.external + model.indegree * rate * (1 - gamma * model.g))
    sigma = np.sqrt(model.weight * one * (model.external + model.indegree * rate * (1 + gamma * model.g**2)))
    return float(mu), float(sigma)


def stationary(model: Brunel) -> tuple[float, float]:
    """Rate and irregularity of the asynchronous state: the rate at which neurons answer what they send, with it."""

    def lacks(rate: float) -> float:
        return diffusion_rate(*input_of(rate, model), model) - rate

    rate = float(brentq(lacks, 1e-3, 0.999999 / model.refractory))
    mu, sigma = input_of(rate, model)
    low, high = (model.v_reset - mu) / sigma, (model.threshold - mu) / sigma
    # variance of an interval: 2 pi tau^2 int exp(x^2) int_{-inf}^x exp(z^2) (1 + erf z)^2 dz dx, written without large factors
    inner, _ = dblquad(
        lambda z, x: erfcx(-z) ** 2 * np.exp(x * x - z * z), low, high, lambda x: min(x, 0.0) - 6, lambda x: x
    )
    return rate, float(np.sqrt(2 * np.pi * inner) * model.tau * rate)
