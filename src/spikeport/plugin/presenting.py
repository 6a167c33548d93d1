"""How a converted network is presented with its input: the same for every backend."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, OptionError, Problem
from spikeport.primitives import (
    GradedIF,
    MaxUnit,
    Neuron,
    PhasedIF,
    RadixIF,
    SpikingNetwork,
    StaircaseBank,
    StaircaseUnit,
    UnitBank,
)
from spikeport.quantize import encode_input


def split(total: NDArray[Any], step: int, steps: int) -> NDArray[Any]:
    """Share of step `step` of a total injected over `steps` steps; the shares sum to the total, negative totals too.

    >>> [int(split(np.array(-7), t, 3)) for t in range(3)]
    [-3, -2, -2]
    """
    if not 0 <= step < steps:
        return np.zeros_like(total)
    each, rest = np.divmod(total, steps)  # in two parts, so that no product leaves int64
    return each + (step + 1) * rest // steps - step * rest // steps


def require_names(names: object, what: str) -> None:
    """Refuse a text where names are expected: its letters would be taken for them.

    Raises:
        OptionError: it is one.
    """
    if isinstance(names, str):
        raise OptionError(Problem(what, f"is the text {names!r}", f"a list of names: [{names!r}]"))


def checked_request(
    network: SpikingNetwork, record: Collection[str] | None, max_steps: int | None
) -> tuple[list[str], list[str], int]:
    """Populations that are stepped, those that are recorded, and the most steps to take; the same for every backend.

    Raises:
        OptionError: a name that is not in the network, fewer than one step.
    """
    require_names(record, "record")
    known = [p.name for p in network.populations if p.name not in network.on_host()]
    unknown = sorted(set(record or ()) - set(known))
    if unknown:
        raise OptionError([Problem(name, "is not a population of this network") for name in unknown])
    if max_steps is not None and (
        isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer) or max_steps < 1
    ):
        raise OptionError(
            Problem("max_steps", f"is {max_steps!r}", "give at least one step, or None for the proved bound")
        )
    limit = network.contract.max_steps if max_steps is None else int(max_steps)
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
