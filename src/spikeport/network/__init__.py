"""Networks by hand: what a person writes, and how it becomes one flat network."""

from spikeport.network.build import probed
from spikeport.network.defaults import default_contract
from spikeport.network.module import Converted, Link, Module, Part, Port, Probe
from spikeport.network.network import Network, as_built
from spikeport.network.recipes import (
    AllToAll,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Dense,
    DistanceDependent,
    FixedInDegree,
    FixedProbability,
    Normal,
    OneToOne,
    Recipe,
    Sparse,
    SumPool2d,
    Uniform,
)
from spikeport.network.swapping import with_part

__all__ = [
    "AllToAll",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "Converted",
    "Dense",
    "DistanceDependent",
    "FixedInDegree",
    "FixedProbability",
    "Link",
    "Module",
    "Network",
    "Normal",
    "OneToOne",
    "Part",
    "Port",
    "Probe",
    "Recipe",
    "Sparse",
    "SumPool2d",
    "Uniform",
    "as_built",
    "default_contract",
    "probed",
    "with_part",
]
