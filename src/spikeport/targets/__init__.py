"""Chips as data: what each can do, with the source of every fact."""

from spikeport.targets.target import (
    FACTS,
    Arithmetic,
    Compare,
    Confidence,
    Decay,
    Execution,
    Fact,
    Feature,
    Multiplicity,
    NeuronModel,
    Overflow,
    Placement,
    Reset,
    Rounding,
    SynapseKind,
    Target,
)

__all__ = [
    "FACTS",
    "Arithmetic",
    "Compare",
    "Confidence",
    "Decay",
    "Execution",
    "Fact",
    "Feature",
    "Multiplicity",
    "NeuronModel",
    "Overflow",
    "Placement",
    "Reset",
    "Rounding",
    "SynapseKind",
    "Target",
]
