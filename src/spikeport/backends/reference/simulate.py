"""Run a batch through the stepper until it is quiet, and record what happened."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.reference.stepper import Stepper, split
from spikeport.errors import DataError, OptionError, Problem
from spikeport.primitives import (
    Accumulator,
    GradedIF,
    MaxUnit,
    Neuron,
    PhasedIF,
    RadixIF,
    Recording,
    SpikeTrain,
    SpikingNetwork,
    StaircaseBank,
    StaircaseUnit,
    UnitBank,
)
from spikeport.quantize import encode_input


def simulate(
    network: SpikingNetwork,
    x: Any,
    *,
    record: Collection[str] | None = (),
    max_steps: int | None = None,
) -> Recording:
    """Step a batch until no sample fires any more, at most `max_steps` (default: the proved bound).

    Args:
        x: array or tensor of values, shape (batch, *input); for event input also (time, batch, *input), one time bin a step. A summed
            frame is split evenly over the contract's time bins.
        record: names of populations whose spike trains and membrane potentials are kept; None keeps all.

    Raises:
        DataError: input that does not fit.
        OptionError: a name that is not in the network.
    """
    known, record, limit = checked_request(network, record, max_steps)
    stepper = Stepper(network, encode_steps(network, as_array(x)))
    quiet_after = np.zeros(stepper.batch, dtype=np.int64)
    n_spikes = {name: np.zeros(stepper.batch, dtype=np.int64) for name in known if name != network.output}
    trains: dict[str, list[NDArray[Any]]] = {name: [] for name in record}
    potentials: dict[str, list[NDArray[Any]]] = {name: [] for name in record}
    readout = []
    waits_until = last_scheduled_step(network)
    fired = np.ones(stepper.batch, dtype=np.bool_)
    while stepper.step_index < limit and (stepper.step_index <= waits_until or fired.any()):
        spikes = stepper.step()
        fired[:] = False
        for name, sent in spikes.items():
            if name not in n_spikes:
                continue
            flat = sent.reshape(stepper.batch, network[name].size)
            # the payload of a bank is its number of units that fired, one spike each
            events = flat.sum(axis=1) if network.contract.code == "population" else np.count_nonzero(flat, axis=1)
            n_spikes[name] += events
            fired |= events > 0
        quiet_after[fired] = stepper.step_index
        readout.append(stepper.state[network.output].v.copy())
        for name in record:
            trains[name].append(spikes[name].astype(np.int32))
            potentials[name].append(stepper.state[name].v.copy())
    complete = stepper.step_index > waits_until and not fired.any()
    quiet_after = np.maximum(quiet_after, min(network.contract.presentation, stepper.step_index))
    if not complete and stepper.step_index < network.contract.max_steps:
        quiet_after[fired] = -1
    readout_neuron = network[network.output].neuron
    assert isinstance(readout_neuron, Accumulator)
    return Recording(
        n_steps=stepper.step_index,
        quiet_after=quiet_after,
        readout=np.array(readout),
        output=readout[-1] * readout_neuron.scale,
        counts={name: stepper.state[name].sent for name in n_spikes},
        n_spikes=n_spikes,
        spikes={name: SpikeTrain(np.array(trains[name]), network.contract.dt) for name in record},
        potentials={
            name: np.array(potentials[name]) for name in record if not isinstance(network[name].neuron, MaxUnit)
        },
    )


def checked_request(
    network: SpikingNetwork, record: Collection[str] | None, max_steps: int | None
) -> tuple[list[str], list[str], int]:
    """Populations that are stepped, those that are recorded, and the most steps to take; the same for every backend.

    Raises:
        OptionError: a name that is not in the network, fewer than one step.
    """
    known = [p.name for p in network.populations if p.name not in network.on_host()]
    unknown = sorted(set(record or ()) - set(known))
    if unknown:
        raise OptionError([Problem(name, "is not a population of this network") for name in unknown])
    if max_steps is not None and (not isinstance(max_steps, int) or max_steps < 1):
        raise OptionError(
            Problem("max_steps", f"is {max_steps!r}", "give at least one step, or None for the proved bound")
        )
    limit = network.contract.max_steps if max_steps is None else max_steps
    return known, known if record is None else list(record), limit


def as_array(x: Any) -> NDArray[Any]:
    """A tensor or an array as an array; torch's half precisions become float32."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = (x.float() if str(x.dtype) in ("torch.float16", "torch.bfloat16") else x).numpy()
    return np.asarray(x)


def encode_steps(network: SpikingNetwork, x: NDArray[Any]) -> NDArray[np.int64]:
    """Integers that enter: (batch, *input) for static input, (time, batch, *input) for events."""
    encoder = network.input
    if encoder.kind == "static":
        return encode_input(encoder, x)
    steps = network.contract.presentation
    if x.ndim == len(encoder.shape) + 2:
        if len(x) > steps:
            hint = f"convert with steps={len(x)}, or sum the events into {steps} bins"
            raise DataError(Problem("input", f"has {len(x)} time bins, the network presents {steps}", hint))
        encoded = np.empty(x.shape, dtype=np.int64)
        for step, part in enumerate(x):
            encoded[step] = encode_input(encoder, part)
        # the declared maximum holds for the whole presentation; a sum in the dtype of x might round, or wrap
        encode_input(encoder, encoded.sum(axis=0))
        return encoded
    frame = encode_input(encoder, x)
    return np.stack([split(frame, step, steps) for step in range(steps)])


def last_scheduled_step(network: SpikingNetwork) -> int:
    """Index of the last step in which something is due to arrive or to be sent."""
    due = [_last_due(p.neuron) for p in network.populations]
    return max(network.contract.presentation - 1, *due)


def _last_due(neuron: Neuron) -> int:
    """Index of the step after which the clock asks nothing more of a neuron."""
    match neuron:
        case (
            GradedIF(fires_at=step) | UnitBank(fires_at=step) | StaircaseBank(fires_at=step) | PhasedIF(closes_at=step)
        ):
            return step
        case StaircaseUnit(opens_at=step):
            return step + neuron.duration - 1
        case RadixIF(bits=bits, opens_at=step):
            return step + bits - 1
        case MaxUnit(fires_at=int(step)):
            return step
        case _:
            return 0
