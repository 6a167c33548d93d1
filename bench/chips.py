"""Cases that a chip's simulator and ours both run: one population, what feeds it, and every state of every step compared.

A case says what the simulator's own processes take (mantissas, exponents, raw weights); `network` says the same in our words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import spikeport as sp
from spikeport.backends.loihi import effective_weights
from spikeport.backends.loihi.engine import line_spikes, open_engine
from spikeport.backends.loihi.fixed import place_fixed
from spikeport.primitives import (
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedNeuron,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    Projection,
    Sparse,
    SpikeInput,
)

Kind = Literal["lif", "sigma_delta", "rf", "rf_iz", "graded", "graded_relu", "loihi1"]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Synapses from an input of their own, or from the population itself."""

    weights: NDArray[Any]
    """As the memory is given them: (post, pre); of a convolution (post channel, width, height, pre channel), as Lava has them."""
    x: NDArray[Any] | None = None
    """Payloads, shape (*source, time); None: from the population itself."""
    kind: Literal["dense", "delay", "sparse", "conv"] = "dense"
    exponent: int = 0
    bits: int = 8
    message_bits: int = 0
    """0: spikes are ones, whatever their payload."""
    sign: str = ""
    delay: int = 0
    imag: bool = False
    padding: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One population of one kind."""

    name: str
    """Class of the case."""
    kind: Kind
    shape: tuple[int, ...]
    """Of a convolution's target (width, height, channel), as Lava has it."""
    steps: int
    links: tuple[Link, ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Parameters by the simulator's names; an array has one value a neuron, in C order of the shape."""


def save(case: Case, path: Path) -> None:
    """For the worker: connections and payloads as arrays, the rest as JSON."""
    arrays, text = parted(case)
    np.savez(path, case=json.dumps(text), **arrays)


def parted(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays by name, and the rest."""
    arrays: dict[str, Any] = {f"n {name}": np.asarray(values) for name, values in case.numbers.items()}
    specs = []
    for i, link in enumerate(case.links):
        spec = _plain(link)
        spec["source"] = "self" if link.x is None else "in"
        spec["input_shape"] = () if link.x is None else link.x.shape[:-1]
        arrays[f"weights {i}"] = link.weights
        if link.x is not None:
            arrays[f"x {i}"] = link.x
        specs.append(spec)
    text = {"name": case.name, "kind": case.kind, "shape": case.shape, "steps": case.steps, "connections": specs}
    return arrays, text


def joined(arrays: Mapping[str, NDArray[Any]], text: Mapping[str, Any]) -> Case:
    """The inverse of `parted`."""
    links = []
    for i, spec in enumerate(text["connections"]):
        known = {name: value for name, value in spec.items() if name in Link.__dataclass_fields__}
        geometry = {name: tuple(known[name]) for name in ("padding", "stride", "dilation")}
        links.append(Link(weights=arrays[f"weights {i}"], x=arrays.get(f"x {i}"), **known | geometry))
    numbers = {name[2:]: arrays[name] for name in arrays if name.startswith("n ")}
    return Case(text["name"], text["kind"], tuple(text["shape"]), text["steps"], tuple(links), numbers)


def _plain(link: Link) -> dict[str, Any]:
    return {
        name: int(value) if isinstance(value, np.integer) else value
        for name, value in ((n, getattr(link, n)) for n in Link.__dataclass_fields__)
        if name not in ("weights", "x")
    }


def network(case: Case) -> tuple[DynamicNetwork, dict[str, NDArray[Any]]]:
    """The case as we write it, and its input."""
    convolved = any(link.kind == "conv" for link in case.links)
    shape = (case.shape[2], *case.shape[:2]) if convolved else case.shape
    inputs, projections, x = [], [], {}
    for i, link in enumerate(case.links):
        name = "neurons" if link.x is None else f"in{i}"
        projections.append(_projection(link, name))
        if link.x is not None:
            raster = np.moveaxis(link.x, -1, 0)
            raster = np.moveaxis(raster, -1, 1) if link.kind == "conv" else raster
            inputs.append(SpikeInput(name, raster.shape[1:]))
            x[name] = (raster if link.message_bits else raster != 0)[:, None].astype(np.int64)
    population = DynamicPopulation("neurons", shape, _neuron(case, shape))
    contract = DynamicsContract.loihi("loihi1" if case.kind == "loihi1" else "loihi2")
    return DynamicNetwork(case.name, tuple(inputs), (population,), tuple(projections), contract), x


def _projection(link: Link, source: str) -> Projection:
    choices: dict[str, Any] = {"delay": link.delay, "exponent": link.exponent, "port": "imag" if link.imag else ""}
    if link.kind != "conv":
        sign: Any = link.sign or None
        kept = effective_weights(link.weights, bits=link.bits, sign=sign)
        if link.kind == "sparse":
            post, pre = np.nonzero(kept)
            made = Sparse.from_pairs(pre, post, kept[post, pre], pre=kept.shape[1], post=len(kept))
            return Projection(source, "neurons", (made,), **choices)
        return Projection(source, "neurons", (Dense(kept),), **choices)
    # Lava convolves, and Conv correlates; channels come last there
    turned = np.moveaxis(link.weights[:, ::-1, ::-1], -1, 1).astype(np.int64)
    pairs = tuple((p, p) for p in link.padding)
    return Projection(source, "neurons", (Conv(turned, link.stride, pairs, link.dilation, link.groups),), **choices)


def _neuron(case: Case, shape: tuple[int, ...]) -> FixedNeuron:
    n = {name: np.asarray(values, dtype=np.int64) for name, values in case.numbers.items()}
    if len(shape) == 3:
        n = {name: np.moveaxis(v.reshape(case.shape), -1, 0) if v.ndim else v for name, v in n.items()}
    match case.kind:
        case "lif":
            bias = np.where(n["bias_exp"] >= 0, n["bias_mant"] << np.maximum(n["bias_exp"], 0), n["bias_mant"])
            bias = np.where(n["bias_exp"] < 0, bias >> np.maximum(-n["bias_exp"], 0), bias)
            return FixedCubaLIF(du=n["du"], dv=n["dv"], threshold=n["vth"] << 6, bias=bias, initial=n["v"])
        case "loihi1":
            return FixedCubaLIF(**n)
        case "sigma_delta":
            up = n["state_exp"]
            activation: Any = "relu" if n["relu"] else "unit"
            return FixedSigmaDelta(threshold=n["vth"] << up, bias=n["bias"] << up, state_exp=up, activation=activation)
        case "rf" | "rf_iz":
            up = n["state_exp"]
            kind: Any = "rf" if case.kind == "rf" else "izhikevich"
            settled: dict[str, Any] = {"state_exp": up, "decay_bits": n["decay_bits"], "kind": kind}
            return FixedResonateAndFire(cos=n["cos"], sin=n["sin"], threshold=n["vth"] << up, **settled)
        case _:
            return GradedThreshold(threshold=n["vth"], relu=case.kind == "graded_relu")


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """Every step of a case, shape (time, *our shape); None where the simulator has no such state."""

    current: NDArray[Any] | None
    potential: NDArray[Any] | None
    spikes: NDArray[Any]
    """Payloads."""


def theirs(case: Case, arrays: Mapping[str, NDArray[Any]]) -> States:
    """What a worker wrote, in our order of axes."""
    convolved = any(link.kind == "conv" for link in case.links)
    found = {
        name: np.moveaxis(arrays[name], -1, 1) if convolved else arrays[name]
        for name in ("current", "potential", "spikes")
        if name in arrays
    }
    return States(found.get("current"), found.get("potential"), found["spikes"])


def ours(recording: sp.DynamicRecording) -> States:
    """The same of a recording of ours."""
    current = recording.currents.get("neurons")
    spikes = recording.spikes["neurons"].train().raster[:, 0]
    return States(None if current is None else current[:, 0], recording.potentials["neurons"][:, 0], spikes)


ENGINES = ("reference", "chip", "lockstep", "twin")
"""What of ours steps a case: the numpy reference; the case's chip, compiled for and opened; or the bare simulator of placed programs,
compiled where it is there, or its twin, which ask not whether the chip has what the case needs."""


def run_ours(case: Case, on: str = "reference") -> States:
    """The case on an engine of ours.

    Raises:
        LowerError: the chip does not have what the case needs.
        DataError: it does not take such payloads.
    """
    net, x = network(case)
    if on == "chip":
        with sp.open(sp.compile(net, target=net.contract.integrator)) as session:
            return ours(session.run(x, max_steps=case.steps))
    if on == "reference":
        return ours(sp.simulate(net, x, max_steps=case.steps, record=None, on="reference"))
    names = ["neurons"]
    second = [] if isinstance(net["neurons"].neuron, GradedThreshold) else names
    engine = open_engine(place_fixed(net), 1, on="numpy" if on == "twin" else None)
    lines = {name: line_spikes(raster) for name, raster in x.items()}
    chunk = engine.advance(case.steps, lines, record=names, potentials=names, seconds=second)
    current = chunk.seconds["neurons"][:, 0] if second else None
    return States(current, chunk.potentials["neurons"][:, 0], chunk.rasters["neurons"][:, 0])


def compare(mine: States, other: States) -> tuple[int, int]:
    """(values compared, values that differ)."""
    compared = differ = 0
    for name in ("current", "potential", "spikes"):
        expected = getattr(other, name)
        if expected is None:
            continue
        found = getattr(mine, name)
        if found.shape != expected.shape:
            raise ValueError(f"{name} has shape {found.shape}, and theirs {expected.shape}")
        compared += expected.size
        differ += int((found != expected).sum())
    return compared, differ


def happened(case: Case, states: States) -> dict[str, int]:
    """How often a boundary was met: what a comparison is worth."""
    neuron: Any = network(case)[0]["neurons"].neuron
    counts = {"spikes": int(np.count_nonzero(states.spikes))}
    if not isinstance(neuron, FixedCubaLIF):
        return counts
    assert states.potential is not None
    assert states.current is not None
    silent = states.spikes == 0
    counts["potential equal to the threshold"] = int((silent & (states.potential == neuron.threshold)).sum())
    edge = 2**23
    counts["current at the end of its register"] = int((np.abs(states.current) >= edge - 64).sum())
    low = -edge + 1 if neuron.v_min is None else neuron.v_min
    high = edge - 1 if neuron.v_max is None else neuron.v_max
    counts["potential at an end of its range"] = int(((states.potential == low) | (states.potential == high)).sum())
    # a current that wrapped is far from what its decay leaves and from where it was driven
    before = np.concatenate([np.zeros_like(states.current[:1]), states.current[:-1]])
    counts["current wrapped"] = int((np.abs(states.current - before) > edge).sum())
    return counts


def add(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Counts summed by name."""
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def pack(cases: Iterable[tuple[Case, States]], path: Path, **facts: Any) -> None:
    """Golden vectors: cases and what the simulator made of them, all integers in one row, since every array of a file costs some."""
    texts, index, parts = [], [], []
    for case, states in cases:
        arrays, text = parted(case)
        arrays |= {f"their {name}": values for name, values in by_name(states).items() if values is not None}
        texts.append(text)
        index.append({name: np.shape(values) for name, values in arrays.items()})
        parts += [np.asarray(values).ravel() for values in arrays.values()]
    row = np.concatenate(parts).astype(np.int64)
    if (row != row.astype(np.int32)).any():
        raise ValueError("values beyond 32 bits")
    # a byte of each value after the other: the upper ones are nearly all the same
    planes = row.astype("<i4").view(np.uint8).reshape(-1, 4).T
    np.savez_compressed(path, planes=planes, texts=json.dumps(texts), index=json.dumps(index), **facts)


def unpack(path: Path) -> list[tuple[Case, States]]:
    """What `pack` stored."""
    with np.load(path) as stored:
        row = np.ascontiguousarray(stored["planes"].T).view("<i4").ravel().astype(np.int64)
        texts, index = json.loads(str(stored["texts"])), json.loads(str(stored["index"]))
    found, at = [], 0
    for text, shapes in zip(texts, index, strict=True):
        arrays = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape, dtype=np.int64))
            arrays[name] = row[at : at + size].reshape(shape)
            at += size
        states = {name[6:]: arrays.pop(name) for name in list(arrays) if name.startswith("their ")}
        case = joined(arrays, text)
        found.append((case, States(states.get("current"), states.get("potential"), states["spikes"])))
    return found


def by_name(states: States) -> dict[str, Any]:
    """By name."""
    return {"current": states.current, "potential": states.potential, "spikes": states.spikes}
