"""What has been read of a network, and what the blocks of lava-dl have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import Problem
from spikeport.lava_dl.neurons import BIAS, NEVER, Cells, Remark, is_sum, read_neuron
from spikeport.lava_dl.section import Section
from spikeport.primitives import (
    Approximation,
    DynamicPopulation,
    FixedCubaLIF,
    FixedSigmaDelta,
    Projection,
    Shape,
    SpikeInput,
)

MAX_NEURONS = 2**27
"""Of a layer, and of a network."""
MAX_WEIGHTS = 2**27
"""Of a network, as they are held: those of pooling once for each channel, of convolutions once for each delay."""
MAX_DELAY = 62


@dataclass(slots=True)
class Layers:
    """What has been read of a network so far."""

    spike_exp: int
    input_shape: Shape | None
    last: int
    """Number of the last layer."""
    last_neurons: int
    """Number of the last layer with weights."""
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
    room: dict[str, int] = field(default_factory=lambda: {"neurons": MAX_NEURONS, "weights": MAX_WEIGHTS})
    """How many more there may be."""

    def remark(self, where: str, what: str, error: float = 0.0, unit: str = "") -> None:
        self.ledger.append(Approximation(where, what, error, unit))

    def enter(self, shape: Shape) -> None:
        """Spikes of this shape come from outside."""
        self.input = SpikeInput("input", shape)
        self.shape, self.source = shape, "input"

    def take(self, section: Section, name: str, count: int, what: str) -> bool:
        """Whether there is room for so many more, which is less then: a small file can describe a network beyond all memory."""
        if count > self.room[what]:
            why = f"takes {count:,} {what}, and {self.room[what]:,} more can be read"
            section.wrong(name, why, "this reader is for networks of a chip; give a smaller one")
            return False
        self.room[what] -= count
        return True

    def grow(self, name: str, shape: Shape, cells: Cells, arriving: list[Projection]) -> None:
        """A population, and what leads to it."""
        self.populations.append(DynamicPopulation(name, shape, cells.neuron))
        self.projections.extend(arriving)
        for remark in cells.remarks:
            self.remark(name, remark.what, remark.error, remark.unit)
        if isinstance(cells.neuron, FixedSigmaDelta) and not any("cum_error" in entry.what for entry in self.ledger):
            self.remark(name, "whether errors add up (cum_error) is not in the file: they do not, as in Lava's reader")
            what = f"how many bits of what is sent follow its binary point is not in the file: {self.spike_exp} (spike_exp)"
            self.remark(name, what)
            self.remark(name, "a layer takes a step, as on the chip; lava-dl trains sigma-delta networks without")
        self.shape, self.source, self.flat = shape, name, False


def cells_of(layers: Layers, i: int, section: Section, shape: Shape | None) -> Cells | None:
    """The neurons of a layer with weights, biases included; None where something is wrong."""
    bias = _bias(section, shape)
    neuron = section.group("neuron")
    cells = _integrator(section, bias) if neuron is None else read_neuron(neuron, shape, bias, layers.spike_exp)
    if neuron is not None and i < layers.last_neurons and is_sum(neuron):
        why = "is true, and a layer follows: it would receive the sum in every step, where ours sends its change"
        neuron.wrong("sigma_output", why, "use slayer.block.sigma_delta.Output as the last layer alone")
        return None
    if shape is None or not layers.take(section, "shape", prod(shape), "neurons"):
        return None
    return cells


def _integrator(section: Section, bias: NDArray[Any] | None) -> Cells | None:
    """What Lava's reader takes where a dense layer has no neurons: they only integrate."""
    if section.tree.get("type") != "dense":
        section.wrong("neuron", "is missing", "export the network again with lava-dl")
        return None
    if bias is not None and bias.any():
        section.wrong("bias", "belongs to neurons that are missing", "export the layer with dynamics=True")
        return None
    what = "has no neurons in the file: potentials sum up what arrives, and nothing is sent; Lava sums it in the current, which wraps where potentials saturate"
    return Cells(FixedCubaLIF(du=4095, dv=0, threshold=NEVER), remarks=(Remark(what),))


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


def remark_biases(layers: Layers, name: str, delay: NDArray[np.int64] | None, cells: Cells) -> None:
    """When biases begin; and lava-dl trains with delays of what a layer sends, which act on what it receives, as in Lava's reader."""
    if not np.any(np.asarray(getattr(cells.neuron, "bias", 0))):
        return
    depth = len(layers.populations) + 1
    what = "biases act from the first step on, before anything that enters can arrive, as in Lava; lava-dl trains with both at once"
    layers.remark(name, what, float(depth), "steps")
    if delay is not None and delay.any():
        what = "delays act on what arrives, and the biases are not late, as in Lava's reader; lava-dl trains with late biases"
        layers.remark(name, what, float(delay.max()), "steps")


def check_size(section: Section, name: str, size: int) -> None:
    """What the file says twice."""
    before = len(section.problems)
    if name in section and section.integer(name, 0, 2**30) != size and len(section.problems) == before:
        section.wrong(name, f"is not {size:,}, the size of the weights")
