"""A case as our own networks: stepped as plain integrate-and-fire, and as one pass over counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from peers import plain
from peers.case import INPUT, Case
from peers.case import Layer as CaseLayer
from spikeport import native
from spikeport.backends import reference
from spikeport.backends.torch import ExactEvaluator as TorchEvaluator
from spikeport.primitives import (
    Accumulator,
    Connection,
    Conv,
    Dense,
    ExecutionContract,
    InputEncoder,
    OneToOne,
    PhasedIF,
    Population,
    Recording,
    Reshape,
    SpikingNetwork,
    SumPool,
    Synapse,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Layer, Readout

READOUT = "readout"
STATE_BITS = 32


def spiking_network(case: Case) -> SpikingNetwork:
    """The case, unit for unit: what is split over the steps is a whole number of times the steps."""
    populations = [
        Population(
            layer.name,
            layer.shape,
            # a phase of all steps, with no charge to hold it before or after, is a plain unit
            PhasedIF(
                threshold=_channels(layer, layer.threshold),
                initial=_channels(layer, layer.threshold // 2),
                bias=_channels(layer, case.steps * layer.bias),
                release=_channels(layer, 0),
                opens_at=0,
                closes_at=case.steps,
            ),
        )
        for layer in case.layers
    ]
    zeros = np.zeros(len(case.readout), np.int64)
    return SpikingNetwork(
        name=case.name,
        input=_encoder(case),
        populations=(*populations, Population(READOUT, zeros.shape, Accumulator(zeros, 1.0))),
        connections=_connections(case),
        output=READOUT,
        contract=ExecutionContract(code="phased", presentation=case.steps, max_steps=case.steps, state_bits=STATE_BITS),
    )


def integer_network(case: Case) -> IntegerNetwork:
    """The same weights and thresholds with as many levels as the case has steps: what an exact code carries.

    Under a constant current its counts are those of the stepped units; behind the first layer a plain unit only comes near.
    """
    layers = [
        CountLayer(
            name=layer.name,
            shape=layer.shape,
            threshold=_channels(layer, layer.threshold),
            bias=_channels(layer, case.steps * layer.bias),
            offset=_channels(layer, layer.threshold // 2),
            low=0,
            high=case.steps,
            scale=np.ones((1, 1, 1)),
        )
        for layer in case.layers
    ]
    zeros = np.zeros(len(case.readout), np.int64)
    return IntegerNetwork(
        input=_encoder(case),
        layers=(*layers, Readout(READOUT, zeros.shape, zeros, 1.0)),
        connections=_connections(case),
        weight_bits=8,
        state_bits=STATE_BITS,
    )


def _channels(layer: CaseLayer, values: int | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.full((layer.shape[0], 1, 1), 0) + np.reshape(np.asarray(values, np.int64), (-1, 1, 1))


def _encoder(case: Case) -> InputEncoder:
    """Static: a current c in each of T steps is the total T c, an integer of size 1 / T."""
    if case.static:
        high = case.steps * int(np.abs(case.input).max())
        return InputEncoder(INPUT, case.input.shape[1:], "static", np.full((1, 1, 1), 1 / case.steps), -high, high)
    high = int(case.input.sum(axis=0).max())
    return InputEncoder(INPUT, case.input.shape[2:], "events", np.ones((1, 1, 1)), 0, high)


def _connections(case: Case) -> tuple[Connection, ...]:
    found = []
    for layer in case.layers:
        for inflow in layer.inflows:
            synapse: Synapse = OneToOne(np.full((1, 1, 1), layer.gain))
            if inflow.weight is not None:
                padding = ((inflow.padding,) * 2,) * 2
                synapse = Conv(inflow.weight, (inflow.stride,) * 2, padding, (1, 1))
            found.append(Connection(inflow.source, layer.name, (synapse,)))
    pool: tuple[Synapse, ...] = ()
    if case.pool > 1:
        pool = (SumPool((case.pool,) * 2, (case.pool,) * 2, ((0, 0), (0, 0))),)
    last = case.layers[-1].name
    return (
        *found,
        Connection(last, READOUT, (*pool, Reshape((case.readout.shape[1],)), Dense(case.readout))),
    )


Visit = Callable[[Layer, NDArray[np.int64]], None]


class OnePass(Protocol):
    """An exact evaluator: the read-out of a batch; `visit` sees the counts of each layer."""

    def __call__(self, x: NDArray[Any], visit: Visit | None = None) -> NDArray[np.int64]: ...


def exact_evaluator(network: IntegerNetwork, *, threads: int) -> tuple[OnePass, str]:
    """The fastest exact evaluator there is, and its name."""
    if not native.why_missing():
        from spikeport.backends.native import ExactEvaluator

        return ExactEvaluator(network, threads=threads), f"native, {native.levels()[-1]}"
    evaluator = TorchEvaluator(network)

    def evaluate(x: NDArray[Any], visit: Visit | None = None) -> NDArray[np.int64]:
        def through(layer: Layer, counts: torch.Tensor) -> None:
            if visit is not None:
                visit(layer, counts.numpy().astype(np.int64))

        return evaluator(torch.from_numpy(x), visit=through).numpy()

    return evaluate, "torch"


def stepper(
    network: SpikingNetwork, x: NDArray[np.int64], *, threads: int, on: str
) -> tuple[Callable[[], Recording], str]:
    """One run of all steps from fresh state, and the backend's name."""
    # events as a camera's driver would hand them: bytes, step after step
    values = np.ascontiguousarray(x, np.float32 if network.input.kind == "static" or x.max() > 255 else np.uint8)
    if on == "reference":
        return lambda: reference.simulate(network, values), "reference"
    from spikeport.backends.native import simulate

    return lambda: simulate(network, values, threads=threads), f"native, {native.levels()[-1]}"


def counts(recording: Recording, samples: int) -> plain.Counts:
    """Counts of the first samples."""
    layers = {name: found[:samples] for name, found in recording.counts.items()}
    return plain.Counts(layers, recording.readout[-1][:samples])
