"""What a chip can do, as data: every fact with its unit, its source, how sure it is, and whether it is enforced.

A `Target` holds no behaviour. Bit widths alone do not say what a chip computes: how it rounds, decays, overflows, compares and
resets are named enumerations, because these decide whether two simulators agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")

Feature = Literal[
    "clock",
    "counter",
    "halving threshold",
    "many units",
    "payload",
    "signed events",
    "subtract reset",
    "table",
]
"""What a target may offer to the codes of converted networks: phases by a clock; a saturating counter of what a neuron has sent; thresholds
(and weights) that halve with the clock; as many units as levels for each neuron; events with a number; events of both signs; a reset that
subtracts the threshold; a table of thresholds for each neuron."""

Confidence = Literal["measured", "source", "document", "memory", "design"]
"""How a fact is known: by running the vendor's software; read in the vendor's source or package; in a public document; from memory only, and
then it is never enforced; or because who wrote it down decides it."""
NeuronModel = Literal[
    "IF",
    "LIF",
    "CubaLIF",
    "LI",
    "CubaLI",
    "RectifiedIF",
    "InterpolatedLIF",
    "Threshold",
    "I",
    "Relay",
    "AdaptiveLIF",
    "Izhikevich",
    "ResonateAndFire",
    "SigmaDelta",
    "FixedCubaLIF",
    "FixedSigmaDelta",
    "FixedResonateAndFire",
    "GradedThreshold",
]
"""Neurons of `spikeport.primitives` in networks written by hand, by the name of their class."""
Integrator = Literal["loihi1", "loihi2"]
"""Equations of `DynamicsContract` that belong to a chip."""
SynapseKind = Literal["dense", "sparse", "one to one", "convolution", "sum pooling", "max pooling", "routing"]
"""Operators of connections; routing moves neurons and weighs nothing."""
Arithmetic = Literal["integer", "fixed point", "float32", "analog"]
Rounding = Literal["toward zero", "floor", "nearest"]
"""Of products in the update of a state."""
Decay = Literal["none", "multiply 12 bit", "shift, at least 1", "exponential", "subtract", "analog"]
"""x (4096 - k) / 4096; x - max(x >> d, 1); x exp(-dt / tau); x - leak."""
Overflow = Literal["wrap", "saturate", "wrap current, saturate potential", "float", "analog"]
Compare = Literal[">", ">="]
Reset = Literal["to zero", "to value", "subtract", "programmable", "none"]
Multiplicity = Literal["one", "several", "payload"]
"""What a neuron sends in one step: one spike, a count of spikes, or an event with a number."""
MixedSigns = Literal["any", "even"]
"""Weights of a projection that has both signs: as precise as those of one sign; or even ones alone, as the sign takes a bit."""
Plasticity = Literal["STDP", "three-factor", "structural", "last layer", "sum of products", "rule"]
"""Learning on the chip: by times of spikes; by a third signal besides; of the wiring; of the last layer alone; by sums of products of traces, in an engine like Loihi 2's;
by any `Rule`, run by us."""
Execution = Literal["steps", "frames", "asynchronous", "analog"]
"""Steps in lockstep; one pass a frame; events without a clock; continuous time. The last two have no step-exact meaning."""
Placement = Literal["slices", "layers", "chip"]
"""How networks fill the chip: slices of populations onto equal cores; one layer a core, in its memory; all in one place."""


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """One thing known about a chip."""

    value: T
    unit: str
    """Empty for names and plain numbers."""
    source: str
    confidence: Confidence
    enforced: bool
    """Whether a network beyond it is refused; otherwise it is mentioned."""


def _fact(meaning: str, unit: str = "") -> Any:
    return field(default=None, metadata={"meaning": meaning, "unit": unit})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A chip, or a simulator of one. A field that is None is unknown or has no limit; nothing is refused for it."""

    name: str
    """As in `sp.compile(..., target=name)`."""
    title: str
    vendor: str
    notes: tuple[str, ...] = ()
    """What a reader should know besides, a sentence each: what was not compared with anything, what simulators of it leave out."""

    # what it computes
    neurons: Fact[frozenset[NeuronModel]] | None = _fact("neurons of hand-made networks")
    integrators: Fact[frozenset[Integrator]] | None = _fact(
        "fixed-point equations of hand-made networks that it computes exactly"
    )
    features: Fact[frozenset[Feature]] | None = _fact("what codes of converted networks may use")
    synapses: Fact[frozenset[SynapseKind]] | None = _fact("operators of connections")
    recurrent: Fact[bool] | None = _fact("whether a population may feed itself or an earlier one")
    skips: Fact[bool] | None = _fact("whether a population may be fed by several others")
    execution: Fact[Execution] | None = _fact("how time passes")
    arithmetic: Fact[Arithmetic] | None = _fact("kind of numbers")
    rounding: Fact[Rounding] | None = _fact("rounding of products in the update")
    decay: Fact[Decay] | None = _fact("how state decays")
    overflow: Fact[Overflow] | None = _fact("what state does at the ends of its range")
    compare: Fact[Compare] | None = _fact("comparison with the threshold")
    reset: Fact[frozenset[Reset]] | None = _fact("what a spike does to the potential")
    multiplicity: Fact[Multiplicity] | None = _fact("what a neuron sends in one step")
    plasticity: Fact[frozenset[Plasticity]] | None = _fact("learning on the chip")
    layer_latency: Fact[int] | None = _fact("steps from a spike to its arrival", "step")
    input_latency: Fact[int] | None = _fact("steps from an input to its arrival", "step")
    delay_max: Fact[int] | None = _fact("longest delay of a synapse besides", "step")
    refractory_max: Fact[int] | None = _fact(
        "least steps between two spikes of a neuron, at most; 1 is no refractory period", "step"
    )
    dt_min: Fact[float] | None = _fact("shortest step in seconds, where a step lasts a time", "s")

    # widths
    weight_bits: Fact[int] | None = _fact("width of a weight, its sign included", "bit")
    weight_exponent_min: Fact[int] | None = _fact("least power of two that scales the weights of a projection")
    weight_exponent_max: Fact[int] | None = _fact("largest power of two that scales the weights of a projection")
    mixed_signs: Fact[MixedSigns] | None = _fact("weights of projections that have both signs")
    state_bits: Fact[int] | None = _fact("width of a membrane potential, its sign included", "bit")
    fraction_bits: Fact[int] | None = _fact("places of a potential below the unit of weights and thresholds", "bit")
    arrival_bits: Fact[int] | None = _fact("width of what arrives in one step, in units of the potential", "bit")
    threshold_bits: Fact[int] | None = _fact("width of a threshold", "bit")
    bias_bits: Fact[int] | None = _fact("width of a bias, its sign included", "bit")
    bias_least: Fact[int] | None = _fact("least bias before it is scaled, where the width alone would let it be less")
    bias_exponent_max: Fact[int] | None = _fact("largest power of two that scales the bias of a neuron")
    potential_floors: Fact[tuple[int, ...]] | None = _fact("where potentials may end below, in their own unit")
    potential_ceilings: Fact[tuple[int, ...]] | None = _fact("where potentials may end above, in their own unit")
    payload_min: Fact[int] | None = _fact("least number of an event")
    payload_max: Fact[int] | None = _fact("largest number of an event, or count of spikes in one step")
    payload_caps: Fact[tuple[int, ...]] | None = _fact("numbers at which the events of a neuron may be capped")
    input_bits: Fact[int] | None = _fact("width of an input value, its sign included if it has one", "bit")
    input_signed: Fact[bool] | None = _fact("whether inputs may be negative")

    # resources
    placement: Fact[Placement] | None = _fact("how networks fill the chip")
    cores: Fact[int] | None = _fact("cores of the chip", "core")
    neurons_max: Fact[int] | None = _fact("neurons of the chip", "neuron")
    neurons_per_core: Fact[int] | None = _fact("neurons of a core", "neuron")
    synapses_max: Fact[int] | None = _fact("synapses of the chip", "synapse")
    synapse_bits_per_core: Fact[int] | None = _fact("synapse memory of a core", "bit")
    shared_memory: Fact[int] | None = _fact("memory of synapses outside the cores, all together", "byte")
    axons_in_per_core: Fact[int] | None = _fact("sources that reach a core", "axon")
    axons_out_per_core: Fact[int] | None = _fact(
        "neurons of a core that reach other cores, once a core reached", "axon"
    )
    inputs_max: Fact[int] | None = _fact("lines from outside", "line")
    hidden_max: Fact[int] | None = _fact("neurons that are not read", "neuron")
    outputs_max: Fact[int] | None = _fact("neurons that are read", "neuron")
    fan_in_max: Fact[int] | None = _fact("synapses into one neuron", "synapse")
    layers_min: Fact[int] | None = _fact("least number of layers of neurons", "layer")
    fan_out_layers_max: Fact[int] | None = _fact("layers that one layer may feed", "layer")
    channels_max: Fact[int] | None = _fact("channels of a layer", "channel")
    map_edge_in_max: Fact[int] | None = _fact("edge of a map that enters a layer", "place")
    map_edge_out_max: Fact[int] | None = _fact("edge of a map that leaves a layer, before pooling", "place")
    kernel_max: Fact[int] | None = _fact("edge of a kernel", "place")
    kernels: Fact[tuple[int, ...]] | None = _fact(
        "edges of a kernel, where not all up to the largest are offered", "place"
    )
    padding_max: Fact[int] | None = _fact("rows of zeros around a map", "place")
    strides: Fact[tuple[int, ...]] | None = _fact("strides of a convolution", "place")
    pools: Fact[tuple[int, ...]] | None = _fact("edges of a pooling window", "place")
    core_weight_words: Fact[tuple[int, ...]] | None = _fact("weight memory of each core", "word")
    core_neuron_words: Fact[tuple[int, ...]] | None = _fact("neuron memory of each core", "word")

    # what tells whether it is right
    dynamics_simulator: Fact[bool] | None = _fact(
        "whether software of the vendor computes its dynamics without hardware"
    )
    mapping_simulator: Fact[bool] | None = _fact("whether software of the vendor places networks without hardware")

    def limit(self, name: str, default: Any = None) -> Any:
        """Value of an enforced fact; the default where it is unknown or only mentioned.

        >>> Target(name="t", title="T", vendor="V").limit("weight_bits") is None
        True
        """
        fact: Fact[Any] | None = getattr(self, name)
        return default if fact is None or not fact.enforced else fact.value

    def known(self, name: str, default: Any = None) -> Any:
        """Value of a fact, enforced or not."""
        fact: Fact[Any] | None = getattr(self, name)
        return default if fact is None else fact.value


FACTS = {f.name: f for f in fields(Target) if "meaning" in f.metadata}
"""The fields that are facts; `metadata` has what each means, and its unit."""
