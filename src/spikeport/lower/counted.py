"""What a model takes of a chip at least: counted in its graph, before anything is quantized and without a look at weights.

Whatever code carries it, a weight between two neurons is a synapse, and a rectifier that sums them is a neuron. What might shrink on
the way (silent channels of a concatenation, the input's weights, which the host may keep) is not counted.
"""

from __future__ import annotations

from math import ceil, prod

from spikeport.graph import Activation, Affine, Graph, Input, Node, Relu
from spikeport.lower.findings import Findings
from spikeport.lower.place import weighs_input
from spikeport.lower.relation import reach_of
from spikeport.lower.verdict import Bill, Use
from spikeport.primitives import Conv, Dense, MaxPool, Reshape, SumPool, Transpose
from spikeport.targets import Fact, Target


def least_bill(graph: Graph, target: Target, name: str, *, events: bool = False) -> Findings:
    """The bill of a graph at least; its reasons are the limits of the target that it is beyond already.

    Args:
        graph: as it was captured.
        target: facts of a chip.
        name: of the model.
        events: input enters as spikes, so that its weights are synapses of the chip too.
    """
    on_chip = events or weighs_input(target)
    synapses = sum(
        reach_of((node.op,), graph[node.inputs[0]].shape).pairs
        for node in graph.nodes
        if isinstance(node.op, Dense | Conv) and _fed_by_neurons(graph, node, on_chip)
    )
    neurons = sum(prod(node.shape) for node in graph.nodes if node.name == graph.output or _sums(graph, node))
    bits = synapses * target.known("weight_bits", 1)
    found, uses = Findings(target), list[Use]()

    def hold(fact: str, resource: str, used: int, unit: str = "") -> None:
        known: Fact[int] | None = getattr(target, fact)
        if known is None:
            uses.append(Use(resource, used, None, False, "", False, unit))
            return
        uses.append(Use(resource, used, known.value, known.enforced, known.source, False, unit))
        noun = "bytes of synapses" if unit else resource
        found.compare(fact, name, used, f"takes at least {{used}} {noun}, and {target.title} has {{limit}}", ())

    if target.known("placement") == "slices" and target.cores is not None:
        full = [1]
        for fact, used in (("neurons_per_core", neurons), ("synapse_bits_per_core", bits)):
            if target.limit(fact):
                full.append(ceil(used / target.limit(fact)))
        hold("cores", "cores", max(full))
    hold("neurons_max", "neurons", neurons)
    hold("synapses_max", "synapses", synapses)
    if target.shared_memory is not None:
        hold("shared_memory", "shared memory", -(-bits // 8), "byte")
    found.bill = Bill(tuple(uses))
    return found


def _fed_by_neurons(graph: Graph, node: Node, input_on_chip: bool) -> bool:
    """Whether all that a node weighs is sent by neurons, or by lines from outside, and each source by itself."""
    below = graph[node.inputs[0]]
    while True:
        match below.op:
            case Relu() | Activation() | Dense() | Conv():
                return True
            case Input():
                return input_on_chip
            case SumPool(padding=padding) if any(map(any, padding)):
                return False  # windows beyond the edge have fewer sources than places
            case SumPool() | MaxPool() | Affine() | Reshape() | Transpose():
                below = graph[below.inputs[0]]
            case _:
                return False


def _sums(graph: Graph, node: Node) -> bool:
    """Whether a node is an activation behind weights, so that it is a population on every way that the graph is rewritten."""
    if not isinstance(node.op, Relu | Activation):
        return False
    below = graph[node.inputs[0]]
    while isinstance(below.op, Affine):
        below = graph[below.inputs[0]]
    return isinstance(below.op, Dense | Conv)
