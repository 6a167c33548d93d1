"""Random networks with dynamics: loops, delays, all neurons, all contracts; drawn by Hypothesis as seeds and choices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikeport.primitives import (
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    Conv,
    CubaLI,
    CubaLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    I,
    InterpolatedLIF,
    Izhikevich,
    OneToOne,
    Projection,
    RectifiedIF,
    Relay,
    Reshape,
    ResonateAndFire,
    SigmaDelta,
    Sparse,
    SpikeInput,
    SumPool,
    Threshold,
)
from spikeport.primitives.contract import CHOICES, NETWORK_WIDE


@st.composite
def contracts(draw: Any) -> DynamicsContract:
    """All but those of chips, whose neurons are others."""
    chosen = {
        name: draw(st.sampled_from([v for v in values if v not in ("loihi1", "loihi2")]), label=name)
        for name, values in CHOICES.items()
    }
    if chosen["arithmetic"] == "integer":
        chosen["integrator"] = "accumulate"
    return DynamicsContract(dt=1e-3, state_bits=draw(st.sampled_from([4, 8, 32])), **chosen)


@st.composite
def simulations(draw: Any) -> tuple[DynamicNetwork, dict[str, Any]]:
    """A network, and what it is simulated with."""
    contract = draw(contracts())
    rng = np.random.default_rng(draw(st.integers(0, 2**32), label="seed"))
    batch, n_steps = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    inputs = tuple(SpikeInput(f"in{i}", shape) for i, shape in enumerate([(5,), (2, 4)][: draw(st.integers(0, 2))]))
    shapes = [(int(rng.integers(1, 70)),) if rng.random() < 0.7 else (2, 3) for _ in range(draw(st.integers(1, 4)))]
    populations = tuple(population(rng, contract, f"p{i}", s) for i, s in enumerate(shapes))
    places = [*inputs, *populations]
    projections = []
    for _ in range(draw(st.integers(1, 6))):
        source, to = places[rng.integers(len(places))], int(rng.integers(len(populations)))
        target = populations[to]
        forward = source in inputs or populations.index(source) < to
        waits = contract.layer_latency and not isinstance(getattr(source, "neuron", None), Relay)
        delay = int(rng.integers(0 if forward or waits else 1, 5))
        bias = numbers(rng, contract, target.shape) if rng.random() < 0.3 else None
        chain = synapses(rng, contract, source.shape, target.shape)
        projections.append(Projection(source.name, target.name, chain, delay, bias))
    network = DynamicNetwork("random", inputs, populations, tuple(projections), contract)
    x = {i.name: spikes(rng, contract, (n_steps, batch, *i.shape)) for i in inputs}
    first = populations[0]
    lead = [(), (batch,), (n_steps, batch)][rng.integers(3)]
    fed = {first.name: numbers(rng, contract, (*lead, *first.shape))} if rng.random() < 0.5 else {}
    return network, {"x": x or None, "n_steps": n_steps, "currents": fed}


def population(
    rng: np.random.Generator, contract: DynamicsContract, name: str, shape: tuple[int, ...]
) -> DynamicPopulation:
    """Some by a contract of their own."""
    own = None
    if rng.random() < 0.3:
        free = [n for n in CHOICES if n not in NETWORK_WIDE and n != "integrator"]
        own = replace(contract, **{n: CHOICES[n][rng.integers(len(CHOICES[n]))] for n in free})
    return DynamicPopulation(name, shape, neuron(rng, own or contract, shape), own)


def numbers(rng: np.random.Generator, contract: DynamicsContract, shape: tuple[int, ...]) -> np.ndarray:
    """Values around the thresholds: whole numbers half of the time, which hit them exactly."""
    if contract.arithmetic == "integer" or rng.random() < 0.5:
        return rng.integers(-4, 6, shape).astype(float)
    return rng.normal(0.3, 1.5, shape)


def spikes(rng: np.random.Generator, contract: DynamicsContract, shape: tuple[int, ...]) -> np.ndarray:
    raster = (rng.random(shape) < 0.4).astype(float)
    return raster * rng.integers(-2, 4, shape) if rng.random() < 0.3 else raster


def neuron(rng: np.random.Generator, contract: DynamicsContract, shape: tuple[int, ...]) -> Any:
    def values() -> Any:
        return numbers(rng, contract, shape if rng.random() < 0.5 else ())

    threshold, to_value = np.abs(values()) + 1, contract.reset == "to_value"
    common: dict[str, Any] = {"bias": values()}
    if rng.random() < 0.5:
        common["initial"] = values()
    if contract.arithmetic != "integer":
        common["r"] = values()
    spiking = {"threshold": threshold, "v_reset": values() if to_value and rng.random() < 0.5 else 0.0}
    spiking["refractory"] = rng.integers(0, 4, shape) * contract.dt if rng.random() < 0.5 else 0.0
    taus = rng.uniform(1e-3, 2e-2, shape)
    if rng.random() < 0.3:
        spiking["v_min"] = -np.abs(values())
    kinds = ["IF", "RectifiedIF", "Threshold", "I", "Relay"]
    single, moves = contract.spikes == "single", contract.integrator != "accumulate"
    if single:
        kinds += ["SigmaDelta"]
    if moves:
        kinds += ["LIF", "LI", "CubaLIF", "CubaLI"]
    if moves and single:
        kinds += ["AdaptiveLIF", "rf", *(["ResonateAndFire"] if to_value else [])]
        if to_value and contract.reset_when != "after_next_update":
            kinds += ["Izhikevich"]
        if to_value and contract.reset_when == "same_step" and contract.integrator == "exponential":
            kinds += ["InterpolatedLIF"] * 3
    match kinds[rng.integers(len(kinds))]:
        case "IF":
            return IF(**common, **spiking)
        case "RectifiedIF":
            spiking.pop("v_min", None)
            return RectifiedIF(**common, **spiking)
        case "InterpolatedLIF":
            more = {"refractory": rng.uniform(0, 4, shape) * contract.dt, "initial_w": values() * contract.dt}
            return InterpolatedLIF(tau=taus, v_leak=values(), **common, **(spiking | more))
        case "Threshold":
            return Threshold(threshold=threshold, bias=values())
        case "I":
            return I(**common)
        case "Relay":
            return Relay(bias=values())
        case "LIF":
            return LIF(tau=taus, v_leak=values(), **common, **spiking)
        case "LI":
            return LI(tau=taus, v_leak=values(), **common)
        case "SigmaDelta":
            return SigmaDelta(threshold=threshold - 1, bias=values(), activation=["relu", "unit"][rng.integers(2)])
        case "AdaptiveLIF":
            more = {"adapts": ["threshold", "current"][rng.integers(2)], "coupling": values(), "initial_w": values()}
            tau_adapt = np.where(rng.random(shape) < 0.2, np.inf, rng.uniform(1e-3, 0.1, shape))
            return AdaptiveLIF(
                tau=taus, tau_adapt=tau_adapt, increment=values(), v_leak=values(), **more, **common, **spiking
            )
        case "Izhikevich":
            return izhikevich(rng, contract, shape)
        case "ResonateAndFire" | "rf" as kind:
            turn: dict[str, Any] = {"tau": taus, "frequency": rng.uniform(0, 300, shape), "threshold": values() / 2}
            if kind == "rf":
                return ResonateAndFire(kind="rf", initial_w=values(), **turn, **common)
            return ResonateAndFire(v_reset=values(), **turn, **common)
        case "CubaLIF":
            return CubaLIF(tau_syn=taus, tau_mem=0.01, v_leak=values(), w_in=values(), **common, **spiking)
        case _:
            return CubaLI(tau_syn=0.005, tau_mem=taus, v_leak=values(), w_in=values(), **common)


def izhikevich(rng: np.random.Generator, contract: DynamicsContract, shape: tuple[int, ...]) -> Izhikevich:
    """Driven so that it fires every few steps."""
    resets = contract.synapse == "current" and contract.reset_when == "same_step"
    return Izhikevich(
        a=rng.uniform(0.02, 0.1, shape),
        b=rng.uniform(0.2, 0.25, shape),
        c=rng.uniform(-65, -50, shape),
        d=rng.uniform(0.05, 8, shape),
        bias=rng.uniform(-5, 80, shape),
        r=rng.uniform(0.5, 1.5),
        initial=rng.uniform(-80, 30, shape) if rng.random() < 0.5 else None,
        initial_u=rng.uniform(-20, 5, shape) if rng.random() < 0.5 else None,
        recovery=["new", "old", "reset"][rng.integers(3 if resets else 2)],
        substeps=int(rng.integers(1, 4)),
        v_recovery=-65.0 if rng.random() < 0.2 else 0.0,
        leak=rng.uniform(0, 1.5, shape) if rng.random() < 0.5 else 1.0,
    )


def synapses(
    rng: np.random.Generator, contract: DynamicsContract, source: tuple[int, ...], target: tuple[int, ...]
) -> tuple[Any, ...]:
    pre, post = int(np.prod(source)), int(np.prod(target))
    if source == target and rng.random() < 0.5:
        return (OneToOne(numbers(rng, contract, source)),) if rng.random() < 0.5 else ()
    if source == (2, 4) and target == (2, 3) and rng.random() < 0.7:
        conv = Conv(numbers(rng, contract, (2, 2, 3)), (1,), ((1, 0),), (1,))
        return (conv,)
    if source == (2, 4) and rng.random() < 0.3:
        dense = Dense(numbers(rng, contract, (post, 4)))
        return (SumPool((2,), (2,), ((0, 0),)), Reshape((4,)), dense, Reshape(target))
    if rng.random() < 0.3:
        return (Reshape((pre,)), Dense(numbers(rng, contract, (post, pre))), Reshape(target))
    count = int(rng.integers(0, 4 * max(pre, post)))
    shape = [(count,), (pre, 1), ()][rng.integers(3)]
    pairs = np.sort(rng.integers(0, pre, count)), rng.integers(0, post, count)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(pairs[0], minlength=pre))))
    return (Sparse(offsets, pairs[1], numbers(rng, contract, shape), post),)
