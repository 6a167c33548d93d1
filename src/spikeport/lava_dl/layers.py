"""What has been read of a network, and what the blocks of lava-dl have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.lava_dl.neurons import BIAS, NEVER, Cells, Remark, read_neuron
from spikeport.lava_dl.section import Section
from spikeport.primitives import (
    Approximation,
    DynamicPopulation,
    FixedCubaLIF,
    Projection,
    Shape,
    SigmaDelta,
    SpikeInput,
)

MAX_NEURONS = 2**27
MAX_DELAY = 62


@dataclass(slots=True)
class Layers:
    """What has been read of a network so far."""

    spike_exp: int
    input_shape: Shape | None
    last: int
    """Number of the last layer."""
    problems: list[Problem]
    input: SpikeInput | None = None
    shape: Shape = ()
    """Of what the next layer receives."""
    source: str = ""
    """Who sends it: the input, or the population of the layer before."""
    flat: bool = False
    """A layer said that feature maps become a row."""
    populations: list[DynamicPopulation] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    ledger: list[Approximation] = field(default_factory=list)

    def remark(self, where: str, what: str, error: float = 0.0, unit: str = "") -> None:
        self.ledger.append(Approximation(where, what, error, unit))

    def enter(self, shape: Shape) -> None:
        """Spikes of this shape come from outside."""
        self.input = SpikeInput("input", shape)
        self.shape, self.source = shape, "input"

    def grow(self, name: str, shape: Shape, cells: Cells, arriving: list[Projection]) -> None:
        """A population, and what leads to it."""
        self.populations.append(DynamicPopulation(name, shape, cells.neuron))
        self.projections.extend(arriving)
        for remark in cells.remarks:
            self.remark(name, remark.what, remark.error, remark.unit)
        if isinstance(cells.neuron, SigmaDelta) and not any("cum_error" in entry.what for entry in self.ledger):
            self.remark(name, "whether errors add up (cum_error) is not in the file: they do not, as in Lava's reader")
            what = f"how many bits of what is sent follow its binary point is not in the file: {self.spike_exp} (spike_exp)"
            self.remark(name, what)
            self.remark(name, "a layer takes a step, as on the chip; lava-dl trains sigma-delta networks without")
        self.shape, self.source, self.flat = shape, name, False


def cells_of(layers: Layers, section: Section, shape: Shape | None) -> Cells | None:
    """The neurons of a layer with weights, biases included; None where something is wrong."""
    bias = _bias(section, shape)
    neuron = section.group("neuron")
    if neuron is None:
        return _integrator(section, bias)
    if shape is None:
        read_neuron(neuron, (1,), None, layers.spike_exp)
        return None
    return read_neuron(neuron, shape, bias, layers.spike_exp)


def _integrator(section: Section, bias: NDArray[Any] | None) -> Cells | None:
    """What Lava's reader takes where a dense layer has no neurons: they only integrate."""
    if section.tree.get("type") != "dense":
        section.wrong("neuron", "is missing", "export the network again with lava-dl")
        return None
    if bias is not None and bias.any():
        section.wrong("bias", "belongs to neurons that are missing", "export the layer with dynamics=True")
        return None
    what = "has no neurons in the file: potentials sum up what arrives, and nothing is sent; Lava sums it in the current, which wraps where potentials saturate"
    return Cells(FixedCubaLIF(du=4095, dv=0, threshold=NEVER), graded=False, remarks=(Remark(what),))


def _bias(section: Section, shape: Shape | None) -> NDArray[np.int64] | None:
    """Mantissas, one for each channel or neuron."""
    if "bias" not in section:
        return None
    bias = section.whole("bias", -BIAS, BIAS - 1).ravel()
    if shape is None:
        return None
    if bias.size not in (1, shape[0]):
        section.wrong("bias", f"holds {bias.size:,} values for {shape[0]:,} channels")
        return None
    return bias.reshape(-1, *(1 for _ in shape[1:]))


def delays_of(section: Section) -> NDArray[np.int64] | None:
    """Delays in steps, None where there are none."""
    return section.whole("delay", 0, MAX_DELAY) if "delay" in section else None


def remark_delays(layers: Layers, name: str, delay: NDArray[np.int64] | None, cells: Cells) -> None:
    """lava-dl trains with delays of what a layer sends; they act on what it receives, as in Lava's reader."""
    if delay is not None and delay.any() and np.any(np.asarray(getattr(cells.neuron, "bias", 0))):
        what = "delays act on what arrives, and the biases are not late, as in Lava's reader; lava-dl trains with late biases"
        layers.remark(name, what, float(delay.max()), "steps")


def check_size(section: Section, name: str, size: int) -> None:
    """What the file says twice."""
    if name in section and section.integer(name, 0, 2**30) != size:
        section.wrong(name, f"is not {size:,}, the size of the weights")
