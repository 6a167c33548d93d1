"""The neurons of a layer, from the device parameters that lava-dl wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.lava_dl.section import Section
from spikeport.primitives import FixedCubaLIF, FixedNeuron, FixedSigmaDelta

CUBA = ("CUBA", "LOIHI")
"""Names of one neuron; the second is that of lava-dl's predecessor."""
SIGMA_DELTA = "SDNN"
STATE_EXP = 6
"""Bits by which Loihi's states are finer than mantissas, and than what sigma-delta neurons send."""
NEVER = 2**23
"""A threshold that no potential reaches."""
BIAS = 2**12
"""Mantissas of biases have 13 bits."""
OTHERS = {
    "ADRF": "an adaptive resonate-and-fire neuron",
    "ADRF_IZ": "an adaptive resonate-and-fire neuron",
    "ALIF": "a neuron with an adaptive threshold",
    "RF": "a resonate-and-fire neuron",
    "RF_IZ": "a resonate-and-fire neuron",
    "RF_PHASE": "a resonate-and-fire neuron",
    "ADRF_PHASE": "an adaptive resonate-and-fire neuron",
}


@dataclass(frozen=True, slots=True)
class Remark:
    """Something for the ledger."""

    what: str
    error: float = 0.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Cells:
    """The neurons of a layer, and what they are not."""

    neuron: FixedNeuron
    remarks: tuple[Remark, ...] = ()


def read_neuron(
    section: Section, shape: tuple[int, ...] | None, bias: NDArray[Any] | None, spike_exp: int
) -> Cells | None:
    """The neurons of a layer; None where the group says something else, which is among the problems then.

    Args:
        shape: of the layer; None where it is not known, so that sizes are not compared with it.
        bias: mantissas, broadcastable to `shape`.
        spike_exp: bits after the binary point of what sigma-delta neurons send.
    """
    before = len(section.problems)
    kind = section.text("type")
    cells: Cells | None = None
    if kind in CUBA:
        cells = _cuba(section, shape, bias)
    elif kind == SIGMA_DELTA:
        cells = _sigma_delta(section, bias, spike_exp)
    elif kind:
        known = OTHERS.get(kind.upper().replace("-", "_"), "a neuron that this reader does not know")
        section.wrong(
            "type",
            f"is {kind[:40]!r}, {known}",
            "train with CUBA or sigma-delta neurons (slayer.block.cuba, slayer.block.sigma_delta)",
        )
        return None
    if kind:
        section.rest()
    return cells if len(section.problems) == before else None


def _cuba(section: Section, shape: tuple[int, ...] | None, bias: NDArray[Any] | None) -> Cells:
    remarks = []
    # wgtExp and theta are of the predecessor; what is left of it steers the gradient
    section.skip("scaleRho", "tauRho", "theta")
    if section.integer("wgtExp", -8, 8, default=0) != 0:
        section.wrong("wgtExp", "scales the weights, and Lava's reader does not", "fold it into the weights")
    _normalization(section)
    if section.flag("gradedSpike"):
        hint = "train with graded_spike=False, or sigma-delta neurons"
        section.wrong("gradedSpike", "is true, and Loihi's CUBA-LIF sends no payloads", hint)
    if section.integer("refDelay", 0, 2**16, default=1) != 1:
        hint = "set it to 1, which is what lava-dl trains with"
        section.wrong("refDelay", "is a refractory period, which CUBA-LIF of Loihi 2 does not have", hint)
    section.integer("messageBits", 0, 32, default=0)  # a spike is 1, however many bits carry it
    mantissa = section.integer("vThMant", 0, 2**24)
    if mantissa << STATE_EXP >= NEVER:
        remarks.append(
            Remark(f"the threshold's mantissa is {mantissa:,}: no potential reaches it, so that nothing is sent")
        )
    current = section.whole("iDecay", 0, 4096)
    voltage = section.whole("vDecay", 0, 4096)
    if not current.all():
        hint = "train with current_decay of 1/4096 or more"
        section.wrong("iDecay", "is 0, and the current of Loihi 2 decays by 1/4096 at least", hint)
    for name, values in (("iDecay", current), ("vDecay", voltage)):
        if shape is not None and values.size not in (1, shape[0]):
            section.wrong(name, f"holds {values.size:,} values for {shape[0]:,} channels")
    neuron = FixedCubaLIF(
        du=_by_channel(np.maximum(current, 1) - 1, shape),
        dv=_by_channel(voltage, shape),
        threshold=min(mantissa << STATE_EXP, NEVER),
        bias=0 if bias is None else bias << STATE_EXP,
    )
    return Cells(neuron, remarks=tuple(remarks))


def _by_channel(values: NDArray[Any], shape: tuple[int, ...] | None) -> Any:
    if shape is None or values.size != shape[0] or values.size == 1:
        return values.ravel()[0]
    return values.reshape(-1, *(1 for _ in shape[1:]))


def _sigma_delta(section: Section, bias: NDArray[Any] | None, spike_exp: int) -> Cells:
    activation = section.text("activation")
    if activation and activation != "relu":
        why = f"is {activation[:40]!r}; Lava's reader takes a ReLU for it, and Loihi's model has no other"
        section.wrong("activation", why, "train with activation=torch.nn.functional.relu")
    _normalization(section)
    section.integer("messageBits", 1, 32, default=16)
    sigma = section.flag("sigma_output")
    scale = spike_exp + STATE_EXP
    mantissa = section.integer("vThMant", 0, 2 ** (24 - scale))
    if sigma:
        if bias is not None and bias.any():
            section.wrong("sigma_output", "has a bias, which the sum of what arrives does not have", "remove the bias")
        what = "Lava sends the sum of what has arrived in every step; here it is the potential, and what is sent is its change"
        return Cells(FixedSigmaDelta(threshold=1, activation="unit"), remarks=(Remark(what),))
    if bias is not None and not -(2 ** (24 - scale)) <= bias.min() <= bias.max() <= 2 ** (24 - scale):
        why = f"belongs to a bias of {int(np.abs(bias).max()):,}, which leaves the 24 bits of the state"
        section.wrong("type", why, "choose a smaller spike_exp")
        return Cells(FixedSigmaDelta(threshold=1))
    neuron = FixedSigmaDelta(
        threshold=mantissa << scale, bias=0 if bias is None else bias << scale, state_exp=STATE_EXP, activation="relu"
    )
    return Cells(neuron)


def is_sum(section: Section) -> bool:
    """Whether sigma-delta neurons are a read-out, which sends the sum of what arrived."""
    found = section.tree.get("sigma_output")
    return section.tree.get("type") == SIGMA_DELTA and isinstance(found, np.ndarray) and bool(found.any())


def _normalization(section: Section) -> None:
    """The exponent of `WgtScaleBatchNorm`, by which training divides what arrives."""
    if section.integer("weight_exp", -(2**10), 2**10, default=0) != 0:
        why = "divides what arrives by a power of two (WgtScaleBatchNorm), which Lava's reader does not"
        section.wrong("weight_exp", why, "train with MeanOnlyBatchNorm")


def delta_input(section: Section, spike_exp: int) -> Cells | None:
    """Sigma-delta neurons of an input layer: they send the change of what is fed, without an activation."""
    before = len(section.problems)
    section.skip("type", "activation")
    section.integer("messageBits", 1, 32, default=16)
    _normalization(section)
    scale = spike_exp + STATE_EXP
    mantissa = section.integer("vThMant", 0, 2 ** (24 - scale))
    section.rest()
    if len(section.problems) > before:
        return None
    return Cells(FixedSigmaDelta(threshold=mantissa << scale, state_exp=STATE_EXP, activation="unit"))
