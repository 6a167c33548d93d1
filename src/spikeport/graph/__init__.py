"""The float network before conversion: `Graph`, its operations and their meaning in numpy."""

from spikeport.graph.activations import Activation, Curve
from spikeport.graph.graph import Graph, Node, build, evaluate, parameters
from spikeport.graph.ops import (
    Add,
    Affine,
    Concat,
    Input,
    NumpyOperations,
    Op,
    Operations,
    Quantize,
    Relu,
    Softmax,
    apply,
    apply_synapse,
    patches,
)
from spikeport.graph.rewrite import (
    insert_quantizers,
    is_current,
    is_spiking,
    nonnegative,
    normalized,
    per_channel,
    split_host_tail,
)
from spikeport.graph.shapes import output_shape, window_shape
from spikeport.graph.text import to_text

__all__ = [
    "Activation",
    "Add",
    "Affine",
    "Concat",
    "Curve",
    "Graph",
    "Input",
    "Node",
    "NumpyOperations",
    "Op",
    "Operations",
    "Quantize",
    "Relu",
    "Softmax",
    "apply",
    "apply_synapse",
    "build",
    "evaluate",
    "insert_quantizers",
    "is_current",
    "is_spiking",
    "nonnegative",
    "normalized",
    "output_shape",
    "parameters",
    "patches",
    "per_channel",
    "split_host_tail",
    "to_text",
    "window_shape",
]
