"""What is wrong in a NIR file, what is ambiguous, and which simulators were seen to disagree about it.

What is said of simulators was measured with snnTorch 1.0.0, Norse 1.1.0, SpikingJelly 2.0.0, Rockpool 3.1.0, sinabs 3.1.3, Spyx 1.0.0,
SC-NeuroCore 3.16.0, nirtorch 2.6 and nir 1.0.8: the same graph and input in each, compared spike by spike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spikeport.errors import NirError, Problem
from spikeport.nir import contract as converted
from spikeport.nir.declared import KEY, parse
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.inline import inlined
from spikeport.nir.loops import loops
from spikeport.nir.nodes import TYPES
from spikeport.nir.parse import graph_of
from spikeport.nir.repair import WAY_OUT, repaired, with_ways_out
from spikeport.nir.shapes import infer
from spikeport.nir.show import walk
from spikeport.nir.storage import read_tree
from spikeport.storage.hdf5 import Tree

Level = Literal["error", "warning"]
LONG_TAU = 0.5
"""Seconds; files mean tens of milliseconds, and no time constant of a neuron in the wild is longer."""
DYADIC_BITS = 12
"""Fractions of so many bits, where sums hit a threshold exactly."""
NO_RULE = ("Scale", "Delay", "Threshold", "I", "LI")


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them."""

    level: Level
    """An error keeps the file from being run as it is."""
    node: str
    what: str
    who: str = ""
    """Who reads it how."""
    hint: str = ""
    """A way out."""

    def __str__(self) -> str:
        lines = [f"{self.level}: {self.node}: {self.what}"]
        return "\n".join(lines + [f"  {text}" for text in (self.who, self.hint and f"try: {self.hint}") if text])


def lint(path: Path, *, repair: bool = False) -> tuple[Finding, ...]:
    """Findings about a file, errors first.

    Args:
        repair: look at the repaired graph; each repair is a warning.

    Raises:
        FileError: it cannot be read.
        NirError: it is not an HDF5 file, or damaged.
    """
    return lint_tree(read_tree(path), str(path), repair=repair)


def lint_tree(tree: Tree, where: str, *, repair: bool = False) -> tuple[Finding, ...]:
    """Findings about the tree of a file."""
    try:
        graph = graph_of(tree, where)
    except NirError as error:
        return (*_slashes(tree.get("node")), *map(_error, error.problems))
    if not repair:
        return lint_graph(graph)
    try:
        made, ledger = repaired(graph)
    except NirError as error:
        return (*map(_error, error.problems), *_nested(graph))
    done = (Finding("warning", entry.node, entry.what) for entry in ledger)
    return tuple(sorted((*done, *lint_graph(made)), key=lambda finding: finding.level != "error"))


def lint_graph(graph: NirGraph) -> tuple[Finding, ...]:
    """Findings about a graph, errors first."""
    try:
        flat = inlined(graph)
    except NirError as error:
        return (*map(_error, with_ways_out(error, graph).problems), *_nested(graph))
    found = [*_contract(graph), *_ports(graph, flat), *_nested(graph)]
    try:
        infer(flat)
    except NirError as error:
        found += map(_error, with_ways_out(error, graph).problems)
    for name, node in flat.nodes.items():
        for rule in RULES:
            found += rule(name, node)
    found += [*_loops(flat), *_sums(flat), *_equality(flat)]
    return tuple(sorted(found, key=lambda finding: finding.level != "error"))


def values_of(found: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [asdict(finding) for finding in found]


def _error(problem: Problem) -> Finding:
    return Finding("error", problem.where, problem.why, "", problem.hint)


def _warn(node: str, what: str, who: str, hint: str = "") -> Finding:
    return Finding("warning", node, what, who, hint)


def _slashes(node: Any) -> Iterator[Finding]:
    """Nodes that HDF5 took apart."""
    nodes = node.get("nodes") if isinstance(node, dict) else None
    for name, entry in nodes.items() if isinstance(nodes, dict) else ():
        if isinstance(entry, dict) and "type" not in entry:
            inside = [key for key, part in entry.items() if isinstance(part, dict) and "type" in part]
            for key in inside:
                who = "nir 1.0.8 writes such a name and cannot read it (KeyError 'type')"
                yield Finding(
                    "error", f"{name}/{key}", "has a / in its name", who, "rename it and write the file again"
                )


def _contract(graph: NirGraph) -> Iterator[Finding]:
    if isinstance(graph.metadata.get(converted.KEY), str):
        return
    text = graph.metadata.get(KEY)
    if isinstance(text, str):
        try:
            parse(text)
        except NirError as error:
            yield from map(_error, error.problems)
        return
    kinds = {node.kind for _, node in walk(graph)}
    if not any(TYPES[kind].group in ("neuron", "delay") for kind in kinds if kind in TYPES):
        return
    hint = "from_nir(like=...) or contract=; or find it out from a recording: spikeport nir discover"
    who = "snnTorch and SpikingJelly step 1e-4 s, Norse 1e-3 s, Spyx and SC-NeuroCore 1 s, Rockpool guesses from tau"
    yield _warn("graph", "nothing says the time step", who, hint)
    if kinds & {"IF", "LIF", "CubaLIF"}:
        who = "most set the potential to v_reset; sinabs and Spyx subtract the threshold; snnTorch's default writes files that lose it"
        yield _warn("graph", "nothing says whether a reset subtracts the threshold", who, hint)
    if kinds & {"LIF", "LI", "CubaLIF", "CubaLI"}:
        who = "Euler and exponential steps gave 11 of 500, 71 of 1,600 and 266 of 700 different spikes"
        yield _warn("graph", "nothing says the integrator", who, hint)
    if "CubaLIF" in kinds:
        who = "the membrane takes the new or the old current: 312 of 1,600 different spikes"
        yield _warn("graph", "nothing says in which order CubaLIF steps", who, hint)


def _repaired_kinds(graph: NirGraph) -> set[str]:
    try:
        return {node.kind for node in repaired(graph)[0].nodes.values()}
    except NirError:
        return set()


def _ports(graph: NirGraph, flat: NirGraph) -> Iterator[Finding]:
    for kind in ("Input", "Output"):
        if not graph.of_kind(kind):
            who = "nir adds one to each loose end without a word; other readers fail"
            helps = f"{WAY_OUT}; or " if kind in _repaired_kinds(graph) else ""
            hint = f"{helps}add an {kind} where the network begins or ends"
            yield Finding("error", "graph", f"has no {kind}", who, hint)
    for name in flat.of_kind("Input"):
        if name != "input" and "." not in name:
            who = "Spyx takes only a node called `input`, and gives back the input itself for any other name"
            yield _warn(name, "is an Input that is not called `input`", who, "rename it for Spyx")


def _nested(graph: NirGraph) -> Iterator[Finding]:
    for name, node in walk(graph):
        if node.graph is not None:
            who = "nirtorch 2.6, so snnTorch and SpikingJelly, fail depending on the names; sinabs refuses; nir refuses several inputs"
            yield _warn(name, "is a nested graph", who, "write the graph flat")


def _differs(node: NirNode, name: str, value: float) -> bool:
    return name in node.parameters and bool((node[name] != value).any())


def _neuron(name: str, node: NirNode) -> Iterator[Finding]:
    if TYPES[node.kind].group != "neuron":
        return
    if node.kind in ("LIF", "IF") and _differs(node, "r", 1.0):
        extra = "; snnTorch refuses it; SpikingJelly takes 1 / dt alone" if node.kind == "IF" else ""
        who = f"Norse, sinabs and Spyx ignore it{extra}"
        yield _warn(f"{name}.r", "is not 1", who, "fold r into the weights before it")
    if _differs(node, "v_reset", 0.0):
        who = "snnTorch ignores it without a word (105 of 500 spikes differ), Norse and Spyx ignore it"
        yield _warn(f"{name}.v_reset", "is not 0", who, "shift potentials and bias so that it is 0")
    if "v_reset" in node.parameters:
        who = "sinabs 3.1.3 needs nir 1.0.4 at most, which cannot read such a node (unexpected keyword argument 'v_reset')"
        yield _warn(f"{name}.v_reset", "is written", who, "leave it out where it is 0, for sinabs")
    if _differs(node, "v_leak", 0.0):
        who = "snnTorch and sinabs refuse it, Spyx ignores it, SC-NeuroCore starts at it; SpikingJelly wants it equal to v_reset"
        yield _warn(f"{name}.v_leak", "is not 0", who, "fold it into the bias before it")
    taus = [key for key in node.parameters if key.startswith("tau")]
    for key in taus:
        if node[key].size and len(np.unique(node[key])) > 1:
            yield _warn(f"{name}.{key}", "differs between neurons", "SpikingJelly refuses it (tau must be uniform)")
        if node[key].size and node[key].max() >= LONG_TAU:
            who = "most readers take seconds, sinabs steps, hxtorch and jaxsnn milliseconds"
            yield _warn(
                f"{name}.{key}",
                f"reaches {node[key].max():g}: too long for seconds",
                who,
                "state time_unit in a contract",
            )
    if "v_threshold" in node.parameters and len(np.unique(node["v_threshold"])) > 1:
        yield _warn(f"{name}.v_threshold", "differs between neurons", "snnTorch refuses it")


def _kind(name: str, node: NirNode) -> Iterator[Finding]:
    match node.kind:
        case "LIF":
            yield _warn(name, "is a LIF", "Rockpool 3.1.0 cannot import any; sinabs reads tau in steps")
        case "IF":
            who = "sinabs emits several spikes a step, subtracts and clips at -v_threshold; snnTorch makes it leaky"
            yield _warn(name, "is an IF", who)
        case "CubaLIF":
            yield _warn(
                name, "is a CubaLIF", "sinabs drops it without a word; Rockpool and Spyx differ (951 and 219 of 1,600)"
            )
        case "AvgPool2d":
            who = "Norse and sinabs have no rule for it (KeyError), Spyx skips it without a word"
            yield _warn(name, "is an AvgPool2d", who, "a SumPool2d, with the factor in the next weights")
            if (node["padding"] != 0).any():
                yield _warn(
                    name, "averages over padding", "NIR does not say whether the zeros count", "write it as a Conv2d"
                )
        case "Linear":
            yield _warn(name, "is a Linear", "sinabs has no rule for it and drops it", "an Affine with bias 0")
        case "Flatten":
            who = "Spyx flattens channels last; Norse and nirtorch count axes with the batch, so more than one sample is merged"
            yield _warn(name, "is a Flatten", who)
        case "Conv1d" | "Conv2d":
            kernel = node["weight"].shape[2:]
            if int(node["groups"].reshape(-1)[0]) != 1 or len(set(kernel)) > 1:
                who = "nir 1.0.8 infers wrong shapes for groups and for sides of different lengths, and refuses right ones; Spyx ignores groups"
                yield _warn(
                    name, f"has groups or a kernel of {'x'.join(map(str, kernel))}", who, "read with type_check=False"
                )
        case kind if kind in NO_RULE:
            yield _warn(name, f"is of type {kind}", "nirtorch 2.6 has no default for it")


RULES: tuple[Callable[[str, NirNode], Iterator[Finding]], ...] = (_neuron, _kind)


def _loops(flat: NirGraph) -> Iterator[Finding]:
    for names in loops(flat):
        where = ", ".join(names)
        biased = [n for n in names if "bias" in flat[n].parameters and (flat[n]["bias"] != 0).any()]
        if biased:
            who = "snnTorch has the bias at step 0, its importers and SC-NeuroCore one step later: 75 of 700 spikes differ"
            yield _warn(", ".join(biased), "is a bias on a loop", who, "state bias_register in a contract")
        yield _warn(
            where,
            "is a loop",
            "nothing says where its step of delay sits; Rockpool and Spyx differ",
            "state order in a contract",
        )


def _sums(flat: NirGraph) -> Iterator[Finding]:
    for name in flat.nodes:
        if len(flat.sources(name)) > 2:
            who = "nirtorch sums in the order of a Python set: five hash seeds gave five bit patterns"
            yield _warn(name, f"sums {len(flat.sources(name))} edges", who)
        if len(flat.targets(name)) > 1:
            yield _warn(name, f"leads to {len(flat.targets(name))} nodes", "Spyx follows the first edge alone")


def _equality(flat: NirGraph) -> Iterator[Finding]:
    """Where `>` and `>=` differ: potentials that are sums of short fractions hit thresholds exactly."""
    for name, node in flat.nodes.items():
        key = "threshold" if node.kind == "Threshold" else "v_threshold"
        if node.kind not in ("IF", "Threshold") or not _dyadic(node, key) or not _dyadic(node, "r"):
            continue
        before = [flat[source] for source in flat.sources(name)]
        if before and all("weight" in n.parameters and _dyadic(n, "weight") and _dyadic(n, "bias") for n in before):
            who = "NIR says >; whoever takes >= differs where a potential equals the threshold, which short binary fractions do"
            yield _warn(
                f"{name}.{key}", "can be met exactly", who, "put thresholds halfway between what potentials can be"
            )


def _dyadic(node: NirNode, name: str) -> bool:
    if name not in node.parameters:
        return True
    scaled = np.asarray(node[name], np.float64) * 2.0**DYADIC_BITS
    return bool((scaled == np.rint(scaled)).all())
