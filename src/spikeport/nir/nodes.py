"""The node types of NIR 1.0.8 and what each of them holds: the one table that reading, checking and writing share.

Times are in the unit of the file's contract, everything else has no unit that a file could state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Holds = Literal["numbers", "positive", "whole", "shape", "padding"]
"""Finite numbers; above zero; integers from 0 on; integers from 1 on; integers, or "same" or "valid"."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One entry of a node."""

    name: str
    holds: Holds = "numbers"
    ranks: tuple[int, ...] | None = None
    """Numbers of axes that it may have; None: any."""
    absent: float | None = None
    """What an older file means by leaving it out; None: it has to be there, unless `inferred`."""
    inferred: bool = False
    """It may be left out, and follows from what comes before."""


@dataclass(frozen=True, slots=True)
class NodeType:
    """A type of node."""

    parameters: tuple[Parameter, ...]
    group: Literal["port", "linear", "neuron", "delay"]
    """Neurons have one shape, that of all their parameters."""

    def __getitem__(self, name: str) -> Parameter:
        return next(p for p in self.parameters if p.name == name)


def _neuron(*names: str) -> NodeType:
    optional = {"v_reset": 0.0, "w_in": 1.0}
    return NodeType(
        tuple(
            Parameter(name, "positive" if name.startswith("tau") else "numbers", absent=optional.get(name))
            for name in names
        ),
        "neuron",
    )


def _convolution(axes: int) -> NodeType:
    each = (0, 1)
    return NodeType(
        (
            Parameter("input_shape", "shape", each, inferred=True),
            Parameter("weight", ranks=(2 + axes,)),
            Parameter("stride", "shape", each),
            Parameter("padding", "padding", each),
            Parameter("dilation", "shape", each),
            Parameter("groups", "shape", (0,)),
            Parameter("bias", ranks=(1,)),
        ),
        "linear",
    )


def _pooling() -> NodeType:
    each = (0, 1)
    return NodeType(
        (
            Parameter("kernel_size", "shape", each),
            Parameter("stride", "shape", each),
            Parameter("padding", "whole", each),
        ),
        "linear",
    )


TYPES: Mapping[str, NodeType] = {
    "Affine": NodeType((Parameter("weight", ranks=(2,)), Parameter("bias", ranks=(1,))), "linear"),
    "AvgPool2d": _pooling(),
    "Conv1d": _convolution(1),
    "Conv2d": _convolution(2),
    "CubaLI": _neuron("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": _neuron("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "Delay": NodeType((Parameter("delay"),), "delay"),
    "Flatten": NodeType(
        (
            Parameter("input_type", "shape", (1,), inferred=True),
            Parameter("start_dim", ranks=(0,)),
            Parameter("end_dim", ranks=(0,)),
        ),
        "linear",
    ),
    "I": _neuron("r"),
    "IF": _neuron("r", "v_threshold", "v_reset"),
    "Input": NodeType((Parameter("shape", "shape", (1,)),), "port"),
    "LI": _neuron("tau", "r", "v_leak"),
    "LIF": _neuron("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "Linear": NodeType((Parameter("weight", ranks=(2,)),), "linear"),
    "Output": NodeType((Parameter("shape", "shape", (1,)),), "port"),
    "Scale": NodeType((Parameter("scale"),), "linear"),
    "SumPool2d": _pooling(),
    "Threshold": _neuron("threshold"),
}
"""By the name that files use; nested graphs, `NIRGraph`, hold nodes instead."""
