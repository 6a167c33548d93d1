"""Random networks with plasticity: rules of every kind, both kinds of delays, all arithmetics; drawn by Hypothesis as seeds and choices."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikeport.primitives import (
    IF,
    LIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    Factor,
    OneToOne,
    Projection,
    Relay,
    RewardSTDP,
    Rule,
    Sparse,
    SpikeInput,
    Term,
    Threshold,
    Trace,
)


def rule(rng: np.random.Generator, integer: bool) -> Rule:
    """Any rule of bounded numbers."""
    sides = [s for s in ("pre", "post", "synapse") for _ in range(rng.integers(0, 3))]
    rng.shuffle(sides)
    size = 20 if integer else 1

    def trace(i: int, side: Any) -> Trace:
        tau = None if rng.random() < 0.2 else float(rng.choice([0.0004, 0.003, 0.02]))
        limit = float(rng.integers(5, 60))  # analog loops grow, and float32 ends
        if side == "synapse":
            return Trace(f"x{i}", side, tau, limit=limit)
        return Trace(f"x{i}", side, tau, float(rng.integers(-3, 2 * size)), rng.choice(["add", "set"]), limit)

    traces = tuple(trace(i, side) for i, side in enumerate(sides))
    third = ("reward",) if rng.random() < 0.4 else ()
    readable = ["w", *(t.name for t in traces), *third]
    own = [t.name for t in traces if t.of == "synapse"]

    def term(into: str | None = None, must: str | None = None) -> Term:
        on = rng.choice(["pre", "post", "step"])
        names = [*([must] if must else []), *rng.choice(readable, rng.integers(0, 3))]
        factors = tuple(Factor(str(n), float(rng.integers(-4, 5))) for n in names)
        coefficient = int(rng.integers(-40, 41)) / 64 if integer else float(rng.normal(0, 0.05))
        every = int(rng.integers(1, 4)) if on == "step" else 1
        return Term(str(on), coefficient, factors, str(into or rng.choice(["w", *own])), every=every)  # type: ignore[arg-type]

    terms = (
        *(term(into=name) for name in own),
        *(term(must=name) for name in [*(t.name for t in traces), *third]),
        *(term() for _ in range(rng.integers(1, 4))),
    )
    rounding = rng.choice(["nearest", "floor", "stochastic"])
    bounds = (-120, 120) if integer else (-2.0, 2.0)
    return Rule(
        "drawn",
        traces,
        terms,
        third,
        *bounds,
        rounding=str(rounding),  # type: ignore[arg-type]
        seed=int(rng.integers(0, 2**62)),
        delays=str(rng.choice(["axonal", "dendritic"])),  # type: ignore[arg-type]
    )


@st.composite
def learners(draw: Any) -> tuple[DynamicNetwork, dict[str, Any]]:
    """Loops of populations that fire, count or send their potential, joined by what learns and what does not; and what drives them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32), label="seed"))
    arithmetic = draw(st.sampled_from(["float64", "float32", "integer"]), label="arithmetic")
    integer = arithmetic == "integer"
    contract = DynamicsContract(
        dt=1e-3,
        integrator="accumulate",
        arithmetic=arithmetic,
        spikes=draw(st.sampled_from(["single", "multi"]), label="spikes"),
        reset="subtract",
        layer_latency=draw(st.sampled_from([0, 1]), label="latency"),
        state_bits=8,
    )
    batch, n_steps = draw(st.integers(1, 3)), draw(st.integers(1, 14))
    unit: Any = 30 if integer else 1.0
    sizes = [int(rng.integers(1, 40)) for _ in range(draw(st.integers(1, 3)))]
    kinds: list[Any] = [IF(threshold=unit), Threshold(threshold=unit), Relay()]
    chances = [[0.4, 0.2, 0.4], [0.6, 0.4, 0.0]]  # the first one may be analog, and then hears the input alone
    populations = tuple(
        DynamicPopulation(f"p{i}", (n,), kinds[rng.choice(3, p=chances[i > 0])]) for i, n in enumerate(sizes)
    )
    places = [SpikeInput("in", (7,)), *populations]
    projections = []
    for k in range(draw(st.integers(1, 4))):
        source, target = places[rng.integers(len(places))], populations[rng.integers(len(populations))]
        if isinstance(target.neuron, Relay):
            source = places[0]
        pre, post = source.size, target.size
        learns = rule(rng, integer) if k == 0 or rng.random() < 0.6 else None
        weights = rng.integers(-20, 40, (post, pre)) if integer else rng.normal(0.2, 0.4, (post, pre)).clip(-2, 2)
        pairs = rng.integers(0, pre, 60), rng.integers(0, post, 60)
        synapses: list[Any] = [
            Dense(weights),
            Sparse.from_pairs(*pairs, weights.ravel()[rng.integers(0, weights.size, 60)], pre=pre, post=post),
        ]
        if pre == post:
            synapses.append(OneToOne(weights[0]))
        chosen = synapses[rng.integers(len(synapses))]
        delay = int(rng.integers(0 if learns is None else 1, 4))
        if source.name == "in" and learns is not None and learns.delays == "axonal":
            delay = int(rng.integers(0, 3))
        delay = max(delay, int(source.name != "in"))
        projections.append(Projection(source.name, target.name, (chosen,), delay=delay, plasticity=learns))
    network = DynamicNetwork("learners", (places[0],), populations, tuple(projections), contract)  # type: ignore[arg-type]
    x = rng.integers(-1, 3, (n_steps, batch, 7)) * (rng.random((n_steps, batch, 7)) < 0.4)
    drive = {p.name: rng.integers(0, 40, (n_steps, batch, p.size)) / (1 if integer else 32) for p in populations}
    reward: Any = rng.integers(-3, 4, (n_steps, batch)) if rng.random() < 0.7 else 2
    given: dict[str, Any] = {
        "x": x,
        "currents": drive,
        "modulation": dict.fromkeys(network.third_factors, reward),
        "record_weights": list(network.plastic),
        "weights_every": int(rng.integers(1, 6)),
        "potentials": [p.name for p in populations],
    }
    return network, given


def recurrent(arithmetic: Any, delays: Any, neurons: int = 1500) -> DynamicNetwork:
    """Large enough to be cut into parts, with rows longer than a block."""
    rng = np.random.default_rng(0)
    integer = arithmetic == "integer"
    pairs = rng.integers(0, neurons, 30 * neurons), rng.integers(0, neurons, 30 * neurons)
    pairs[0][:900] = 3
    pairs[1][900:1800] = 7
    weights = rng.integers(0, 20, len(pairs[0])) if integer else rng.normal(0.05, 0.1, len(pairs[0])).clip(0, 1)
    sparse = Sparse.from_pairs(*pairs, weights, pre=neurons, post=neurons)
    kind: Any = IF(threshold=200) if integer else LIF(tau=0.01, bias=1.3, refractory=2e-3)
    learns = RewardSTDP(
        a_plus=24 if integer else 0.013,
        a_minus=40 if integer else 0.011,
        rate=0.25,
        per="event",
        every=3,
        unit=64 if integer else 1,
        limit=500,
        w_max=50 if integer else 1.0,
        rounding="stochastic",
        delays=delays,
    )
    contract = DynamicsContract(
        dt=1e-3,
        integrator="accumulate" if integer else "exponential",
        synapse="delta",
        arithmetic=arithmetic,
    )
    return DynamicNetwork(
        "loop",
        (),
        (DynamicPopulation("n", (neurons,), kind),),
        (Projection("n", "n", (sparse,), delay=2, plasticity=learns),),
        contract,
    )
