"""Hand-made networks in the arithmetic of a target: which contracts it computes, and small networks under each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import SpikeportError
from spikeport.primitives import (
    IF,
    LI,
    LIF,
    AdaptiveLIF,
    Analog,
    CubaLI,
    CubaLIF,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    I,
    InterpolatedLIF,
    Izhikevich,
    OneToOne,
    Projection,
    RectifiedIF,
    Relay,
    ResonateAndFire,
    Shape,
    SigmaDelta,
    SpikeInput,
    Threshold,
)
from spikeport.primitives.fixed_neurons import STATE_LIMIT
from spikeport.targets import Target

DT = 1e-3
CELLS = 8
STEPS = 12
RESETS: Mapping[str, list[Any]] = {"subtract": ["subtract"], "to zero": ["to_value"], "to value": ["to_value"]}


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A hand-made network and what it is simulated with."""

    network: DynamicNetwork
    x: Mapping[str, NDArray[Any]] | None
    n_steps: int
    currents: Mapping[str, Any] = field(default_factory=dict)


def contracts(target: Target) -> Iterator[DynamicsContract]:
    """What a target computes hand-made networks by: each of its integer or floating arithmetics, as far as they are open."""
    chips: frozenset[Any] | None = getattr(target, "integrators", None) and target.known("integrators")
    kind = target.known("arithmetic")
    own = chips is None or target.known("overflow") in ("saturate", "wrap")
    if kind == "integer" and own:  # that of the integer contract first; equations of a chip may come on top
        yield from _integer(target)
    if chips is not None or kind is None:
        for name in ("loihi1", "loihi2"):
            if chips is None or name in chips:
                yield DynamicsContract.loihi(name)
    if chips is not None:
        return
    if kind in (None, "fixed point"):
        yield from _integer(target)
    if kind is None:
        yield DynamicsContract(dt=DT, integrator="forward_euler")
        yield DynamicsContract(dt=DT, integrator="exponential")
        yield DynamicsContract(
            dt=DT,
            integrator="exponential",
            synapse="delta",
            compare=">=",
            reset="subtract",
            reset_when="next_step",
            layer_latency=1,
            current_order="old",
            initial="v_leak",
        )
    if kind in (None, "float32"):
        yield DynamicsContract(
            dt=DT,
            integrator="exponential",
            reset_when="after_next_update",
            initial="v_reset",
            layer_latency=target.known("layer_latency", 0),
            arithmetic="float32",
        )


def _integer(target: Target) -> Iterator[DynamicsContract]:
    compare = target.known("compare")
    resets = [r for name in sorted(target.known("reset", frozenset(RESETS))) for r in RESETS.get(name, ["subtract"])]
    width, overflow = target.known("state_bits"), target.known("overflow")
    for i, reset in enumerate(dict.fromkeys(resets)):
        yield DynamicsContract(
            dt=DT,
            integrator="accumulate",
            compare=compare or (">=", ">")[i % 2],
            reset=reset,
            layer_latency=target.known("layer_latency", i % 2),
            arithmetic="integer",
            state_bits=(8, 12)[i % 2] if width is None else min(width - target.known("fraction_bits", 0), 32),
            overflow=overflow if overflow in ("wrap", "saturate") else ("saturate", "wrap")[i % 2],
        )


def _several(target: Target) -> Iterator[DynamicsContract]:
    """Contracts of targets whose neurons send several spikes a step."""
    if target.known("arithmetic") is None and target.known("multiplicity") in ("several", "payload"):
        plain = DynamicsContract(dt=DT, integrator="accumulate", spikes="multi", reset="subtract")
        yield plain
        yield replace(plain, arithmetic="integer", compare=">=", reset_when="next_step")


def neuron_simulations(kind: str, target: Target) -> Iterator[Simulation]:
    """Neurons of one kind at their boundaries, under each contract of a target that has a meaning for them."""
    for contract in (*contracts(target), *_several(target)):
        for parameters in PARAMETERS[kind](contract, target):
            try:
                cells = DynamicPopulation("cells", (CELLS,), NEURONS[kind](**parameters))
                yield _probe(cells, contract, target)
            except SpikeportError:
                continue  # no meaning under this contract


def _probe(cells: DynamicPopulation, contract: DynamicsContract, target: Target) -> Simulation:
    """An input, the neurons that are looked at, and their like, which hear of their spikes."""
    if contract.chip:
        weights = np.array([1, 2, 4, 8, 16, 63, 126, 127]) * 2
        exponent = 7 if isinstance(cells.neuron, FixedCubaLIF) else 0
    else:
        weights, exponent = np.array([1, 2, 3, 1, -1, 2, -3, 1]), 0
    if target.known("mixed_signs") == "even" and not contract.chip:
        weights = weights * 2
    bits = target.known("weight_bits")
    if bits is not None:
        weights = weights.clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if contract.chip:
        weights = weights // 2 * 2
    into = OneToOne(weights)
    projections = [Projection("in", "cells", (into,), exponent=exponent)]
    if contract.chip and isinstance(cells.neuron, FixedCubaLIF):
        # a second line of the other sign, shifted to the right: sums are rounded down
        projections.append(Projection("other", "cells", (OneToOne(-(weights // 4 * 2)),), exponent=-3))
    if isinstance(cells.neuron, FixedResonateAndFire):
        projections.append(Projection("other", "cells", (into,), port="imag"))
    populations: tuple[DynamicPopulation, ...] = (cells,)
    if not isinstance(cells.neuron, Analog) or target.known("multiplicity") == "payload":
        populations = (cells, replace(cells, name="after"))
        projections.append(Projection("cells", "after", (into,), exponent=exponent))
    inputs = tuple(SpikeInput(name, (CELLS,)) for name in ("in", "other") if any(p.source == name for p in projections))
    network = DynamicNetwork("probe", inputs, populations, tuple(projections), contract)
    return Simulation(network, {place.name: raster((CELLS,), target, i) for i, place in enumerate(inputs)}, STEPS)


def raster(shape: Shape, target: Target, seed: int = 0, n_steps: int = STEPS) -> NDArray[np.int64]:
    """Spikes from outside of three samples: one in every step, none at all, and random ones, with payloads where there are any."""
    rng = np.random.default_rng(seed)
    spikes = np.zeros((n_steps, 3, *shape), dtype=np.int64)
    spikes[:, 0] = 1
    spikes[:, 2] = rng.random((n_steps, *shape)) < 0.5
    if target.known("multiplicity") == "payload" and target.known("input_signed", True):
        spikes[:, 2] *= rng.integers(-2, 4, (n_steps, *shape))
    return spikes


def ends(contract: DynamicsContract) -> tuple[int, int]:
    """Lowest and highest potential."""
    if contract.chip:
        return -STATE_LIMIT, STATE_LIMIT
    if contract.arithmetic != "integer":
        return -(2**20), 2**20
    return -(2 ** (contract.state_bits - 1)), 2 ** (contract.state_bits - 1) - 1


def _largest(contract: DynamicsContract, target: Target) -> int:
    """A threshold that is hardly ever reached."""
    bits = target.known("threshold_bits")
    high = ends(contract)[1]
    return high if bits is None else min(high, 2**bits - 1)


def _if(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    low, high = ends(contract)
    top = _largest(contract, target)
    plain = {
        "threshold": np.array([4, 4, 3, 2, 1, top, 5, 3]),
        "bias": np.array([0, 0, 0, 0, 2, 0, 0, 0]),
        "initial": np.array([0, 0, 0, -3, 0, high - 3, low + 2, 3]),
    }
    yield plain
    if contract.reset == "to_value" and target.known("reset", frozenset(["to value"])) & {"to value"}:
        yield plain | {"v_reset": np.array([0, 1, -1, 0, -2, 0, 2, 1])}
    if target.known("multiplicity") == "payload" and not contract.chip:
        yield plain | {"v_min": np.array([0, -1, -2, -4, 0, max(low, -1000), -1, 0])}
    if target.known("refractory_max", 2) >= 2:
        yield plain | {"refractory": np.array([0, 1, 2, 0, 1, 0, 2, 2]) * contract.dt}


def _i(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    low, high = ends(contract)
    yield {"r": np.array([1, 1, 2, 1, 3, 1, 1, 1]), "initial": np.array([0, 5, -2, high - 3, 0, low + 2, 1, 0])}


def _relay(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    yield {"bias": np.array([0, 1, 0, -2, 0, 0, 3, 0])}


def _threshold(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    yield {"threshold": np.array([1, 2, 4, 0, 1, 1, 2, 2]), "bias": np.array([0, 0, 0, 0, 2, -1, 1, 1])}


TAUS = np.array([0.005, 0.01, 0.02, 0.1, 0.002, 0.03, 0.004, 0.05])


def _lif(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    for plain in _if(contract, target):
        threshold = np.array([0.25, 0.5, 1.0, 0.125, 0.0625, 50.0, 0.25, 0.03125])
        yield plain | {"tau": TAUS, "threshold": threshold, "v_leak": np.array([0, 0.1, 0, 0, -0.1, 0, 0, 0])}


def _rectified(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    for plain in _if(contract, target):
        if "v_min" not in plain:  # nothing but jumps takes it down
            yield plain


def _interpolated(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    # periods of no step, of whole steps, and of parts; some units are deaf in the beginning
    periods = np.array([0, 1, 2, 0.3, 1.7, 0, 2.5, 0.999]) * contract.dt
    for plain in _lif(contract, target):
        begin = np.array([0, 0, 1, 1.5, 4, 0, 0.25, 2]) * contract.dt
        yield plain | {"refractory": periods, "initial_w": begin}


def _li(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    yield {"tau": TAUS, "bias": np.array([0, 0, 1, 0, -1, 0, 0, 0.5]), "v_leak": 0.25}


def _cuba_lif(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    for plain in _lif(contract, target):
        tau = plain.pop("tau")
        yield plain | {"tau_mem": tau, "tau_syn": tau[::-1], "w_in": 1.5}


def _cuba_li(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    yield {"tau_mem": TAUS, "tau_syn": TAUS[::-1], "bias": 0.5, "w_in": 2.0}


def _adaptive_lif(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    # dyadic, so that under Euler at dt / tau = 1/4 some potentials equal threshold + w
    more = {
        "increment": np.array([0.5, 0, 1, -0.25, 2, 0.5, 0.125, 0.25]),
        "initial_w": np.array([0, 1, 0, 0, -1, 0, 0.5, 0]),
    }
    slow = np.array([0.008, 0.1, np.inf, 0.02, 0.008, 1.0, 0.004, 0.05])
    for plain in _lif(contract, target):
        tau = np.array([0.004, 0.004, 0.02, 0.1, 0.002, 0.03, 0.004, 0.05])
        yield plain | more | {"tau": tau, "tau_adapt": slow, "adapts": "threshold"}
        yield plain | more | {"tau": tau, "tau_adapt": slow, "adapts": "current", "coupling": 0.25}


def _izhikevich(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    # a step of 1 ms is a long one: two substeps, or small rates
    published = {
        "a": np.array([0.02, 0.02, 0.02, 0.1, 0.02, 0.1, 0.02, 0.02]),
        "b": np.array([0.2, 0.2, 0.2, 0.2, 0.25, 0.25, 0.2, 0.25]),
        "c": np.array([-65, -55, -50, -65, -65, -65, -65, -65]),
        "d": np.array([8, 4, 2, 2, 0.05, 2, 6, 2]),
        "bias": np.array([10, 10, 10, 10, 10, 0, 12, -5]),
        "r": 1.25,
    }
    yield published
    yield published | {"recovery": "old", "substeps": 1, "initial": np.array([30, 29, 31, -65, -90, -70, 0, 25])}
    yield published | {"recovery": "reset", "initial": np.array([30, 29, 31, -65, -90, -70, 0, 25])}
    yield published | {
        "substeps": 3,
        "initial_u": -10.0,
        "v_recovery": -65.0,
        "leak": 0.5,
        "linear": 4.1,
        "constant": 108.0,
    }


def _resonate(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    plain = {
        "tau": np.array([0.01, 0.1, 0.02, 0.1, 0.05, 0.03, 0.004, 0.05]),
        "frequency": np.array([100, 250, 40, 0, 125, 60, 200, 10]),
        "r": 800.0,
        "bias": np.array([0, 0, 0.5, 0, 0, -1, 0, 0]),
    }
    threshold = np.array([0.5, 1, 0.25, 0, 1, 2, 0.125, 0.5])
    for kind in ("izhikevich", "rf"):
        yield plain | {"kind": kind, "threshold": threshold}
        yield plain | {"kind": kind, "threshold": threshold, "initial": threshold, "initial_w": np.arange(8.0) - 3}


def _difference(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    for activation in ("relu", "unit"):
        yield {
            "threshold": np.array([0, 1, 2, 3, 1, 2, 5, 0]),
            "bias": np.array([0, 0, -1, 0, 2, -3, 1, 0]),
            "activation": activation,
        }


def _fixed_cuba_lif(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    # with du = 4095 and dv = 0 neuron 0 reaches exactly its threshold, 2 * 2^7 * 2^6, in its first step
    plain = {
        "du": np.array([4095, 4095, 0, 2048, 100, 0, 0, 0]),
        "dv": np.array([0, 4096, 0, 300, 4096, 0, 1, 0]),
        "threshold": np.array([2 << 13, 3 << 13, 0, 1 << 16, 64, 131071 << 6, 131071 << 6, 131071 << 6]),
        "bias": np.array([0, 0, -8, 4095 << 3, -(4095 << 3), 8, 0, 0]),
        "initial": np.array([0, 0, 0, -1, 1, STATE_LIMIT - 100, -STATE_LIMIT + 100, 0]),
    }
    yield plain
    if contract.integrator == "loihi1":
        yield plain | {
            "refractory": np.array([1, 2, 3, 63, 1, 2, 1, 5]),
            "v_min": np.array([-(2**23) + 1, 0, -1023, 0, -(2**15) + 1, 0, -(2**23) + 1, 0]),
            "v_max": np.array([2**23 - 1, 2**23 - 1, 2**9 - 1, 2**15 - 1, 2**17 - 1, 2**23 - 1, 2**11 - 1, 2**23 - 1]),
        }


def _sigma_delta(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    for activation in ("relu", "unit"):
        yield {
            "threshold": np.array([0, 2, 4, 64, 1, 640, 3, 1000]),
            "bias": np.array([0, 0, -5, 0, 7, 64, -1, 0]),
            "state_exp": np.array([0, 1, 0, 6, 2, 3, 0, 0]),
            "activation": activation,
        }


def _resonate_and_fire(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    for kind in ("rf", "izhikevich"):
        yield {
            "cos": np.array([3900, 0, -3900, 2048, 3500, 4096, -2048, 1000]),
            "sin": np.array([1000, 4000, 500, 3300, -2000, 0, -3000, 4000]),
            "threshold": np.array([0, 2, 4, 8, 64, 100, 64, 254]),
            "state_exp": np.array([0, 0, 1, 6, 2, 7, 0, 0]),
            "kind": kind,
        }


def _graded_threshold(contract: DynamicsContract, target: Target) -> Iterator[dict[str, Any]]:
    for relu in (False, True):
        yield {"threshold": np.array([0, 4, 3, 16, 31, 126, 251, 508]), "relu": relu}


NEURONS: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        IF, LIF, CubaLIF, LI, CubaLI, RectifiedIF, InterpolatedLIF, Threshold, I, Relay, AdaptiveLIF, Izhikevich,
        ResonateAndFire, SigmaDelta,
        FixedCubaLIF, FixedSigmaDelta, FixedResonateAndFire, GradedThreshold,
    )
}  # fmt: skip
PARAMETERS: Mapping[str, Any] = {
    "IF": _if,
    "LIF": _lif,
    "CubaLIF": _cuba_lif,
    "LI": _li,
    "CubaLI": _cuba_li,
    "RectifiedIF": _rectified,
    "InterpolatedLIF": _interpolated,
    "Threshold": _threshold,
    "I": _i,
    "Relay": _relay,
    "AdaptiveLIF": _adaptive_lif,
    "Izhikevich": _izhikevich,
    "ResonateAndFire": _resonate,
    "SigmaDelta": _difference,
    "FixedCubaLIF": _fixed_cuba_lif,
    "FixedSigmaDelta": _sigma_delta,
    "FixedResonateAndFire": _resonate_and_fire,
    "GradedThreshold": _graded_threshold,
}
"""Kind of neuron -> the parameters that it is tried with, equal to thresholds and at the ends of its state."""
