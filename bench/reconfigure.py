"""Random networks, changed at random while they run: does doing the journal again give the same bits?

    python bench/reconfigure.py --cases 1000 --seed 0

Each case is a network of all that there is (arithmetics, integrators, neurons, loops, delays, batches, projections that learn on either side of
their delay), and a session of runs, events now and later, undoing, snapshots and going back to them. Events that do not apply are drawn
too: they have to be refused, and to leave the session as it was. The journal is written to a file and read back; all spikes, potentials,
counts and weights of all runs, and the state at the end, are compared bit for bit, on the backend of the first run and on the other one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

import spikeport as sp
from spikeport.plugin.state import NeuronState, PlasticState, SessionState
from spikeport.primitives import (
    Analog,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    OneToOne,
    Projection,
    Sparse,
    SpikeInput,
)
from spikeport.runtime.reconfigure import projection_names

BACKENDS = ("reference", "native")
DT = 1e-3


@dataclass
class Found:
    """What was done, and how much of it differed."""

    done: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def contract(rng: np.random.Generator) -> sp.DynamicsContract:
    arithmetic = ["float64", "float64", "float32", "integer"][rng.integers(4)]
    integrator = "accumulate" if arithmetic == "integer" else ["exponential", "forward_euler"][rng.integers(2)]
    return sp.DynamicsContract(
        dt=DT,
        integrator=integrator,
        synapse=["delta", "delta", "current"][rng.integers(3)],
        compare=[">", ">="][rng.integers(2)],
        reset=["to_value", "subtract"][rng.integers(2)],
        reset_when=["same_step", "next_step", "after_next_update"][rng.integers(3)],
        layer_latency=int(rng.integers(2)),
        arithmetic=arithmetic,
        bias_register=["spikes", "weighted"][rng.integers(2)],
    )


def numbers(rng: np.random.Generator, how: sp.DynamicsContract, shape: Any, low: float, high: float) -> Any:
    """Between two ends; whole numbers where the arithmetic wants them, halves often, which meet thresholds exactly."""
    if how.arithmetic == "integer":
        return rng.integers(round(4 * low), round(4 * high) + 1, shape)
    if rng.random() < 0.5:
        return rng.integers(round(2 * low), round(2 * high) + 1, shape) / 2
    return rng.uniform(low, high, shape)


def neuron(rng: np.random.Generator, how: sp.DynamicsContract, size: int) -> Any:
    def values(low: float, high: float) -> Any:
        return numbers(rng, how, (size,) if rng.random() < 0.5 else (), low, high)

    deaf = rng.integers(0, 3, size if rng.random() < 0.5 else ()) * DT
    plain: dict[str, Any] = {
        "threshold": np.abs(values(0.5, 1.5)) + 0.5 * (how.arithmetic != "integer"),
        "refractory": deaf,
    }
    if how.reset == "to_value" and rng.random() < 0.3:
        plain["v_reset"] = values(-0.5, 0.5)
    taus = rng.uniform(2e-3, 2e-2, size)
    kinds = ["IF", "IF", "Threshold", "I", "Relay"]
    if how.arithmetic != "integer":
        kinds = ["LIF", "LIF", "CubaLIF", "AdaptiveLIF", "AdaptiveLIF", "LI", "Threshold", "IF", "Relay"]
        if how.reset == "to_value" and how.reset_when != "after_next_update":
            kinds += ["Izhikevich"]
    match kinds[rng.integers(len(kinds))]:
        case "LIF":
            return sp.LIF(tau=taus, bias=values(0, 0.5), **plain)
        case "CubaLIF":
            return sp.CubaLIF(tau_syn=taus, tau_mem=0.01, **plain)
        case "AdaptiveLIF":
            adapts = ["threshold", "current"][rng.integers(2)]
            return sp.AdaptiveLIF(tau=taus, tau_adapt=0.03, increment=values(0, 0.5), adapts=adapts, **plain)
        case "Izhikevich":
            return sp.Izhikevich(a=rng.uniform(0.02, 0.1, size), bias=rng.uniform(0, 20, size), r=20.0)
        case "LI":
            return sp.LI(tau=taus)
        case "Threshold":
            return sp.Threshold(threshold=np.abs(values(0.5, 1.5)))
        case "IF":
            r = {} if how.integrator == "accumulate" else {"r": 100.0}
            return sp.IF(**plain, **r)
        case "I":
            return sp.I()
        case _:
            return sp.Relay()


def rule(rng: np.random.Generator, how: sp.DynamicsContract, late: bool) -> Any:
    delays = ["axonal", "dendritic"][rng.integers(2)] if late else "axonal"
    if how.arithmetic == "integer":
        made = sp.STDP(a_plus=0.5, a_minus=0.25, tau_plus=0.01, tau_minus=0.02, w_min=-64, w_max=64)
        return replace(made, delays=delays, rounding=["nearest", "floor", "stochastic"][rng.integers(3)])
    if rng.random() < 0.3:
        return replace(sp.RewardSTDP(a_plus=0.05, a_minus=0.04, rate=10.0, w_min=-4.0, w_max=4.0), delays=delays)
    return replace(sp.STDP(a_plus=0.05, a_minus=0.04, w_min=-4.0, w_max=4.0), delays=delays)


def synapses(rng: np.random.Generator, how: sp.DynamicsContract, source: Any, target: Any) -> tuple[Any, ...]:
    pre, post = int(np.prod(source)), int(np.prod(target))
    if source == target and rng.random() < 0.4:
        return (OneToOne(numbers(rng, how, source, -0.5, 1.5)),)
    if len(source) == len(target) == 1 and rng.random() < 0.5:
        return (Dense(numbers(rng, how, (post, pre), -0.5, 1)),)
    count = int(rng.integers(0, 3 * max(pre, post)))
    pairs = rng.integers(0, pre, count), rng.integers(0, post, count)
    return (Sparse.from_pairs(*pairs, numbers(rng, how, count, -0.5, 1), pre=pre, post=post),)


def network(rng: np.random.Generator) -> DynamicNetwork:
    """Two or three modules of populations, joined in any way."""
    how = contract(rng)
    inputs = tuple(SpikeInput(f"in{i}", (int(rng.integers(2, 6)),)) for i in range(rng.integers(1, 3)))
    populations = []
    for i in range(rng.integers(2, 6)):
        shape = (2, 3) if rng.random() < 0.15 else (int(rng.integers(2, 9)),)
        cells = neuron(rng, how, int(np.prod(shape)))
        values = {f.name: getattr(cells, f.name) for f in fields(cells)}
        cells = replace(cells, **{n: v.reshape(shape) for n, v in values.items() if np.ndim(v)})
        populations.append(DynamicPopulation(f"m{rng.integers(3)}/p{i}", shape, cells))
    places: list[Any] = [*inputs, *populations]
    projections = []
    for k in range(rng.integers(3, 9)):
        source = places[rng.integers(len(places))] if k else inputs[0]
        to = int(rng.integers(len(populations)))
        target = populations[to]
        forward = source in inputs or populations.index(source) < to
        latency = 0 if isinstance(getattr(source, "neuron", None), sp.Relay) else how.layer_latency
        delay = int(rng.integers(0 if forward or latency else 1, 6))
        learns = rng.random() < 0.4 and not isinstance(getattr(source, "neuron", None), Analog)
        bias = numbers(rng, how, target.shape, 0, 0.25) if rng.random() < 0.2 else None
        chain = synapses(rng, how, source.shape, target.shape)
        learned = rule(rng, how, latency + delay > 0) if learns else None
        projections.append(Projection(source.name, target.name, chain, delay, bias, plasticity=learned))
    return DynamicNetwork("random", inputs, tuple(populations), tuple(projections), how)


def event(rng: np.random.Generator, now: DynamicNetwork, other: DynamicNetwork) -> Any:
    """Something that may happen to a network; about one in ten does not apply."""
    how, wrong = now.contract, rng.random() < 0.1
    population = now.populations[rng.integers(len(now.populations))]
    place = int(rng.integers(len(now.projections)))
    p, name = now.projections[place], projection_names(now)[place]
    sizes = {x.name: x.size for x in (*now.inputs, *now.populations)}
    pre, post = sizes[p.source], sizes[p.target]
    some = int(rng.integers(1, 4))
    neuron_values = {f.name: getattr(population.neuron, f.name) for f in fields(population.neuron)}
    match rng.integers(9):
        case 0:
            if not hasattr(population.neuron, "threshold"):
                return sp.SetParameters(population.name, bias=numbers(rng, how, (), 0, 0.5))
            threshold = np.abs(numbers(rng, how, population.shape, 0.5, 2)) + 1
            return sp.SetParameters(population.name, threshold=-threshold[:-1] if wrong else threshold)
        case 1:
            weighted: Any = p.weighted
            shape = () if weighted is None else np.shape(getattr(weighted, "weight", getattr(weighted, "weights", 0)))
            return sp.SetWeights(name, numbers(rng, how, (*shape, 2) if wrong else shape, -0.5, 1))
        case 2:
            pairs = rng.integers(0, pre + wrong * 9, some), rng.integers(0, post, some)
            return sp.AddSynapses(name, *pairs, numbers(rng, how, some, -0.5, 1))
        case 3:
            return sp.PruneSynapses(name, *_there(rng, now, place, some, wrong))
        case 4:
            given = {n: v.ravel()[rng.integers(v.size, size=some)] for n, v in neuron_values.items() if np.ndim(v)}
            return sp.AddNeurons(population.name, some, {} if wrong else given)
        case 5:
            return sp.PruneNeurons(population.name, rng.integers(0, population.size + wrong, some))
        case 6 | 7:
            paths = [population.name, population.name.partition("/")[0], now.inputs[0].name]
            return sp.Gate("nowhere" if wrong else paths[rng.integers(3)], bool(rng.integers(2)))
        case _:
            return sp.Replace(population.name, other, keep=bool(rng.integers(2)))


def _there(rng: np.random.Generator, now: DynamicNetwork, place: int, some: int, wrong: bool) -> Any:
    """Some synapses of a projection."""
    p, shapes = now.projections[place], {x.name: x.shape for x in (*now.inputs, *now.populations)}
    match p.weighted:
        case Sparse() as found:
            sources, targets = np.repeat(np.arange(found.pre), np.diff(found.offsets)), found.targets.astype(int)
        case Dense(weight):
            targets, sources = np.nonzero(weight if p.plasticity is None else np.ones_like(weight))
        case _:
            sources = targets = np.arange(int(np.prod(shapes[p.target])))
    if not len(sources) or wrong:
        return [0, 0], [0, 1]
    chosen = rng.integers(len(sources), size=some)
    return sources[chosen], targets[chosen]


def session(rng: np.random.Generator, made: DynamicNetwork, on: str, found: Found) -> tuple[Any, ...]:
    """A session of random runs and events; its journal, what its runs gave, and its end."""
    batch, runs, kept = int(rng.integers(1, 3)), [], []
    with sp.Session(made, batch=batch, on=on) as s:
        for _ in range(rng.integers(6, 15)):
            match rng.integers(12):
                case 0 | 1 | 2 | 3 | 4:
                    _try(lambda: s.apply(event(rng, s.network, made)), s, found, "events")
                case 5:
                    later = round(s.time / DT) + int(rng.integers(0, 8))
                    planned = event(rng, s.network, made)
                    _try(lambda: s.at(later * DT, planned), s, found, "planned")  # noqa: B023  (called at once)
                case 6:
                    _try(s.undo, s, found, "undone")
                case 7:
                    kept.append(s.snapshot())
                    found.done["snapshots"] += 1
                case 8 if kept:
                    _try(lambda: s.restore(kept[rng.integers(len(kept))]), s, found, "restored")
                case _:
                    runs += _run(rng, s, found)
        s.forget()
        runs += _run(rng, s, found)
        return s.journal, runs, s.snapshot()


def _run(rng: np.random.Generator, s: sp.Session, found: Found) -> list[sp.Run]:
    how, n_steps = s.network.contract, int(rng.integers(1, 9))
    given: dict[str, Any] = {i.name: sp.Poisson(400.0, seed=int(rng.integers(99))) for i in s.network.inputs[1:]}
    given["in0"] = rng.integers(0, 3, (n_steps, s.network.inputs[0].size))
    fed = {} if rng.random() < 0.7 else {s.network.populations[0].name: numbers(rng, how, (), 0, 1)}
    told = {name: rng.uniform(-1, 1, (n_steps, 1)) for name in s.network.third_factors}
    record = [f"{p.name}.v" for p in s.network.populations]
    record += [f"{p.name}.spikes" for p in s.network.populations if hasattr(p.neuron, "threshold")]
    every = int(rng.integers(1, 4)) if s.network.plastic and rng.random() < 0.5 else None
    got: list[sp.Run] = []

    def go() -> None:
        asked = {"currents": fed, "modulation": told, "record": record, "weights_every": every}
        got.append(s.run(given, duration=n_steps * DT, **asked))

    _try(go, s, found, "runs")
    if not got:  # something that was planned does not apply, or changes what is recorded
        s.forget()
        _try(go, s, found, "runs")
    found.done["steps"] += n_steps * len(got)
    found.done["spikes"] += sum(int(c.sum()) for run in got for c in run.counts.values())
    return got


def _try(what: Any, s: sp.Session, found: Found, name: str) -> None:
    """Do it, or see that it left nothing behind."""
    before, entries = s.snapshot(), len(s.journal.entries)
    try:
        what()
        found.done[name] += 1
    except sp.SpikeportError:
        found.done["refused"] += 1
        after = s.snapshot()
        differs = differing(flat(before.state), flat(after.state))
        same = after.network is before.network and after.closed == before.closed
        if differs or not same or len(s.journal.entries) != entries:
            found.differences.append(f"refused {name} left {differs or 'another network, or an entry'}")


def flat(state: SessionState) -> dict[str, Any]:
    """All arrays of a state by where they are."""
    arrays: dict[str, Any] = {"step": np.array(state.step)}
    for kind, cls in (("populations", NeuronState), ("plastic", PlasticState)):
        for name, held in getattr(state, kind).items():
            for f in fields(cls):
                value = getattr(held, f.name)
                parts = value if isinstance(value, tuple) else (value,)
                arrays |= {f"{name}: {f.name}[{i}]": part for i, part in enumerate(parts) if part is not None}
    return arrays | {f"sent {name}": rows for name, rows in state.sent.items()}


def of_run(run: sp.Run) -> dict[str, Any]:
    """All that a run gave, by name."""
    arrays: dict[str, Any] = {}
    for name in run.names:
        got = run[name]
        if isinstance(got, sp.SpikeEvents):
            arrays |= {f"{name}: {n}": getattr(got, n) for n in ("samples", "steps", "neurons")}
            arrays[f"{name}: values"] = np.zeros(0) if got.values is None else got.values
        else:
            arrays[name] = got
    for kind in ("counts", "weights", "weights_over_time"):
        arrays |= {f"{kind} {n}": v for n, v in getattr(run, kind).items()}
    return arrays


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Where bits differ."""
    if one.keys() != other.keys():
        return sorted(one.keys() ^ other.keys())
    return [
        name
        for name, a in one.items()
        if a.dtype != other[name].dtype or a.shape != other[name].shape or a.tobytes() != other[name].tobytes()
    ]


def case(seed: int, folder: Path, found: Found, first: str) -> None:
    """One random network and session, done again on all backends."""
    rng = np.random.default_rng(seed)
    while True:
        try:
            made = network(rng)
            sp.Session(made, on="reference").close()
            break
        except sp.SpikeportError:  # a contract that its neurons have no meaning under: another one
            found.done["drawn anew"] += 1
    journal, runs, end = session(rng, made, first, found)
    loaded = sp.Journal.load(journal.save(folder / "journal.spk"))
    found.done["networks"] += 1
    found.done["entries"] += len(journal.entries)
    for on in BACKENDS:
        try:
            again = sp.replay(loaded, on=on)
        except sp.SpikeportError as error:
            found.differences.append(f"seed {seed}: first on {first}, {on} refuses: {error}")
            continue
        differs = [] if len(again.runs) == len(runs) else ["number of runs"]
        for i, (one, two) in enumerate(zip(runs, again.runs, strict=False)):
            differs += [f"run {i}: {name}" for name in differing(of_run(one), of_run(two))]
            found.done["arrays compared"] += len(of_run(one))
        differs += differing(flat(end.state), flat(again.snapshot.state))
        if differs:
            found.differences.append(f"seed {seed}: first on {first}, again on {on}: {', '.join(differs[:5])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first case; the others count on")
    arguments = parser.parse_args()
    found, begin = Found(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for k in range(arguments.cases):
            case(arguments.seed + k, Path(folder), found, BACKENDS[k % 2])
            if (k + 1) % 100 == 0:
                print(
                    f"{k + 1:,} cases, {len(found.differences)} differences, {time.perf_counter() - begin:.0f} s",
                    flush=True,
                )
    for name in sorted(found.done):
        print(f"{found.done[name]:>12,}  {name}")
    for text in found.differences[:20]:
        print(text)
    print(f"{len(found.differences)} differences")
    raise SystemExit(bool(found.differences))


if __name__ == "__main__":
    main()
