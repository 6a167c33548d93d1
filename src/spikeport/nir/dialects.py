"""A network with dynamics as a file of a tool: graph, numbers and names such that its unmodified importer gives the declared spikes.

    fold        every population in the tool's terms (`spikeport.nir.folding`), what remains in the weights and biases before it
    write       the nodes that the tool reads: matrices with a bias, convolutions, sums over windows; names and order of edges as it needs them
    read back   as the tool does, by its preset (`spikeport.nir.presets`): the same connections have to come of it
    rehearse    both networks run on generated spikes, and every spike of every population is compared (`spikeport.nir.rehearsal`)

All tools compute in float32, in an order of their own. Where every number is a short binary fraction that changes nothing but what
is below the rounding of a long sum; else it may, and the ledger says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.errors import NirError, Problem
from spikeport.nir import declared
from spikeport.nir.folding import Folded, fold
from spikeport.nir.forms import OF_SUMS, ROUNDED, arranged, channels_last, long, node_of, pooled, scaled
from spikeport.nir.names import free_name
from spikeport.nir.network import network_of
from spikeport.nir.outward import graph_of_network
from spikeport.nir.parse import graph_from_object
from spikeport.nir.presets import meant, preset
from spikeport.nir.rehearsal import rehearse
from spikeport.nir.retiming import delays, lags
from spikeport.nir.terms import BATCHES, REFUSED, REWIRING, SECONDS, TERMS
from spikeport.primitives import (
    IF,
    Approximation,
    DynamicNetwork,
    DynamicPopulation,
    Ledger,
    NetworkOutput,
    OneToOne,
    Projection,
    Relay,
    remark,
)

Array = NDArray[Any]


@dataclass
class _Draft:
    """What is being put together."""

    problems: list[Problem] = field(default_factory=list)
    ledger: list[Approximation] = field(default_factory=list)
    folded: dict[str, Folded] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    balanced: set[str] = field(default_factory=set)
    """Populations in which what is added in each step comes to nothing."""


def dialect_graph(network: DynamicNetwork, tool: str) -> tuple[nir.NIRGraph, Ledger]:
    """The graph of a network for a tool, and what the tool does not do as the network does.

    Raises:
        NirError: everything that the tool cannot carry, or the first spike that would be another.
    """
    if tool in REFUSED:
        hint = f"another dialect: {', '.join(map(repr, TERMS))}"
        raise NirError(Problem(network.name, f"{tool} runs no network of ours: {REFUSED[tool]}", hint))
    terms, draft = TERMS[tool], _Draft()
    dt = terms.step or network.contract.dt
    step = 1.0 if tool == "sinabs" else dt  # its times are steps
    output = _output(network, draft)
    _ends(network, tool, draft)
    for population in network.populations:
        made, problems = fold(population, network.contract_of(population.name), terms, tool, step)
        draft.problems += problems
        if made is not None:
            draft.folded[population.name] = made
    if draft.problems or output is None:
        raise NirError(draft.problems)
    draft.names = _names(network, output)
    theirs = _theirs(network, tool, step, output, draft)
    graph = _graph(theirs, tool, draft)
    meaning = meant(tool, graph_from_object(graph), dt)
    running = network_of(graph_from_object(graph), meaning, network.name)
    late = _connected(network, running, theirs, tool, draft)
    _say(network, graph, tool, dt, late.get(output, 0), draft)
    exact = not any(entry.unit in (ROUNDED, OF_SUMS) for entry in draft.ledger)
    draft.ledger += rehearse(network, running, draft.names, late, tool, exact=exact)
    graph.metadata[declared.KEY] = declared.text_of(meaning)
    return graph, tuple(draft.ledger)


def _output(network: DynamicNetwork, draft: _Draft) -> str | None:
    """The one population that is read."""
    read = sorted({o.source for o in network.outputs})
    if not network.outputs:
        sending = {p.source for p in network.projections}
        read = [p.name for p in network.populations if p.name not in sending]
    if len(read) == 1:
        return read[0]
    why = (
        f"is read at {len(read)} populations, and tools give what leaves one"
        if read
        else "does not say where it is read"
    )
    draft.problems.append(Problem(network.name, why, "outputs=(NetworkOutput(name, source),)"))
    return None


def _ends(network: DynamicNetwork, tool: str, draft: _Draft) -> None:
    """What of the network as a whole no tool has."""
    contract = network.contract
    if contract.chip:
        why = f"is stepped as {contract.integrator} does, whose neurons NIR does not have"
        draft.problems.append(Problem(network.name, why, "build the network from NIR's neurons"))
    for name in network.plastic:
        draft.problems.append(Problem(name, "learns, and no file of NIR says how", "plasticity=None"))
    if len(network.inputs) != 1:
        why = f"has {len(network.inputs)} inputs, and {tool} runs one"
        draft.problems.append(Problem(network.name, why, "one input, with a slice of it where parts go"))


def _names(network: DynamicNetwork, output: str) -> dict[str, str]:
    """Names that every tool can have: `input`, `output` and safe ones."""
    taken = {"input", "output"}
    found = {network.inputs[0].name: "input"}
    for population in network.populations:
        ends = population.name == output and isinstance(population.neuron, Relay)
        ends = ends and all(p.source != output for p in network.projections)
        found[population.name] = "output" if ends else free_name(population.name, taken)
    return found


def _theirs(network: DynamicNetwork, tool: str, step: float, output: str, draft: _Draft) -> DynamicNetwork:
    """The network in the tool's terms, as its files have it."""
    names, late = draft.names, preset(tool).dynamics.layer_latency
    place = {p.name: i for i, p in enumerate(network.populations)}
    contract = replace(preset(tool).dynamics, dt=step)
    populations = tuple(
        DynamicPopulation(
            names[p.name],
            p.shape,
            draft.folded[p.name].neuron,
            replace(contract, integrator="accumulate") if _each_step(tool, draft.folded[p.name].neuron) else None,
        )
        for p in network.populations
    )
    projections = []
    begins = _biases(network, tool, place, draft)
    for i, p in enumerate(network.projections):
        backwards = place.get(p.source, -1) >= place[p.target]
        waits = late and not (p.source in place and isinstance(network[p.source].neuron, Relay))
        chain = scaled(replace(p, synapses=pooled(p, network, tool)), draft.folded[p.target].rows, network)
        if backwards and tool in REWIRING:
            chain = (*chain, OneToOne(np.ones(network[p.target].shape)))
        projections.append(
            Projection(names[p.source], names[p.target], chain, int(backwards and not waits), begins.get(i))
        )
    outputs = (NetworkOutput("output", names[output]),)
    if draft.problems:
        raise NirError(draft.problems)
    inputs = (replace(network.inputs[0], name="input"),)
    return DynamicNetwork(network.name, inputs, populations, tuple(projections), contract, (), outputs)


def _each_step(tool: str, neuron: Any) -> bool:
    return isinstance(neuron, IF) and preset(tool).if_gain == "step"


def _biases(
    network: DynamicNetwork, tool: str, place: Mapping[str, int], draft: _Draft
) -> dict[int, NDArray[np.float64]]:
    """What projections add in the file, by number: what is there from the first step at one that is not late, the rest where it was."""
    found: dict[int, NDArray[np.float64]] = {}
    late = network.contract.bias_register == "weighted"
    theirs = preset(tool).dynamics.bias_register == "weighted"
    for population in network.populations:
        made = draft.folded[population.name]
        rows = 1.0 if made.rows is None else made.rows
        total = np.zeros(population.shape) if made.extra is None else np.array(made.extra)
        incoming = [(i, p) for i, p in enumerate(network.projections) if p.target == population.name]
        for i, p in incoming:
            if p.bias is None or not np.any(p.bias):
                continue
            if late and place.get(p.source, -1) >= place[p.target] and theirs:
                found[i] = rows * np.broadcast_to(p.bias, population.shape)
            else:
                total = total + rows * np.broadcast_to(p.bias, population.shape)
        if not total.any():
            draft.balanced.add(population.name)
            continue
        prompt = [i for i, p in incoming if place.get(p.source, -1) < place[p.target]]
        if not prompt:
            why = f"has a constant drive, and nothing but loops leads to it, whose bias {tool} does not add from the start"
            draft.problems.append(Problem(population.name, why, "lead the input to it, with weights of 0"))
            continue
        found[prompt[0]] = total
    return found


def _graph(theirs: DynamicNetwork, tool: str, draft: _Draft) -> nir.NIRGraph:
    """Nodes that the tool reads, in float32, and edges in an order in which it runs them."""
    made, _, _ = graph_of_network(theirs)
    nodes = {}
    for name, node in made.nodes.items():
        nodes[name] = node_of(name, node, tool, draft.problems, draft.ledger)
    edges = arranged(theirs, made.edges)
    if tool == "spyx":
        channels_last(nodes, edges, draft.problems)
    if draft.problems:
        raise NirError(draft.problems)
    return nir.NIRGraph(nodes, edges, type_check=False)


def _connected(
    network: DynamicNetwork, running: DynamicNetwork, theirs: DynamicNetwork, tool: str, draft: _Draft
) -> dict[str, int]:
    """Steps by which the tool has each population later than the network.

    Raises:
        NirError: it would have other connections, or loops of other lengths.
    """
    back = {theirs_name: name for name, theirs_name in draft.names.items()}
    found = sorted((back.get(p.source, ""), back.get(p.target, "")) for p in running.projections if p.target in back)
    wished = sorted((p.source, p.target) for p in network.projections)
    if found != wished:
        why = f"has other connections as {tool} reads it"
        raise NirError(Problem(network.name, why, "please report this network"))
    late = lags(delays(network), {(back[a], back[b]): d for (a, b), d in delays(running).items()})
    if isinstance(late, Problem):
        raise NirError(Problem(late.where, f"{late.why} as {tool} runs it", late.hint))
    _drives(network, running, tool, late, draft)
    return late


def _drives(
    network: DynamicNetwork, running: DynamicNetwork, tool: str, late: Mapping[str, int], draft: _Draft
) -> None:
    """What is added in each step has to begin as much later as everything else.

    Raises:
        NirError: biases that begin at another step.
    """
    problems = []
    for population in network.populations:
        name, made = population.name, draft.folded[population.name]
        mine = {late.get(name, 0) + step for step in _begins(network, name)}
        if made.extra is not None:
            mine.add(late.get(name, 0))
        theirs = _begins(running, draft.names[name])
        if mine != theirs and mine and not (len(mine) == 1 and not theirs and name in draft.balanced):
            steps = " and ".join(str(n - late.get(name, 0)) for n in sorted(theirs)) or "no step"
            why = f"its constant drive would begin in step {steps} of the network in {tool}"
            problems.append(Problem(name, why, "leave biases out, or put them where the first layer has them"))
    if problems:
        raise NirError(problems)


def _begins(network: DynamicNetwork, name: str) -> set[int]:
    """Steps in which biases of projections to a population begin."""
    weighted = network.contract.bias_register == "weighted"
    return {
        p.delay + network.latency_from(p.source) if weighted else 0
        for p in network.projections
        if p.target == name and p.bias is not None and np.any(p.bias)
    }


def _say(network: DynamicNetwork, graph: nir.NIRGraph, tool: str, dt: float, late: int, draft: _Draft) -> None:
    """Entries on what the tool does, and is to be told."""
    ledger, contract = draft.ledger, network.contract
    step = 1.0 if tool == "sinabs" else dt
    if TERMS[tool].step not in (None, contract.dt):
        ledger.append(
            remark(network.name, f"a step of {contract.dt:g} s is one of {dt:g} s in the file, as {tool} has no other")
        )
    elif tool == "sinabs":
        ledger.append(remark(network.name, "times are in steps in the file, as sinabs reads them"))
    elif SECONDS.get(tool, dt) != dt:
        ledger.append(remark(network.name, f"tell {tool} the step: dt={dt!r}"))
    if tool in BATCHES and any(isinstance(node, nir.Flatten) for node in graph.nodes.values()):
        ledger.append(remark(network.name, f"{tool} flattens the batch too: run one sample at a time"))
    if late:
        when = "later" if late > 0 else "earlier"
        what = f"its spikes come {abs(late)} steps {when} in {tool}, which has the network's delays elsewhere"
        ledger.append(Approximation(network.name, what, float(abs(late)), "steps"))
    for name, made in draft.folded.items():
        ledger += [remark(name, text) for text in made.remarks]
        ledger += [Approximation(name, f"{what} in float32", error, ROUNDED) for what, error in made.rounded.items()]
    odd = long(graph, tool, step)
    if odd:
        back = {theirs: name for name, theirs in draft.names.items()}
        what = (
            f"{tool} sums in an order of its own, and numbers here are no short binary fractions: "
            "what comes within rounding of a threshold may fire in one of the two alone"
        )
        ledger.append(Approximation(back.get(odd, odd), what, 2.0**-24, OF_SUMS))
    if contract.arithmetic == "integer":
        what = f"{tool} has no integers of {contract.state_bits} bits that {contract.overflow}"
        ledger.append(Approximation(network.name, what, 0.0))
