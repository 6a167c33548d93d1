"""Run a batch through the stepper until it is quiet, and record what happened."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.reference.stepper import Stepper
from spikeport.plugin.presenting import as_array, checked_request, encode_steps, last_scheduled_step
from spikeport.primitives import Accumulator, MaxUnit, Recording, SpikeTrain, SpikingNetwork


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
