"""States of sessions, compared bit for bit; and sessions that are driven by what a simulation is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.plugin import Backend, BackendSession, SessionState, Step
from spikeport.plugin.inputs import spiking, with_membrane
from spikeport.primitives import DynamicNetwork
from spikeport.testing.resuming import arrays, difference


def opened(backend: Backend, network: DynamicNetwork) -> BackendSession:
    program = backend.compile(network, backend.targets[0], backend.options())
    return backend.open(program, record=spiking(network), potentials=with_membrane(network))


def assert_equal_states(found: SessionState, expected: SessionState) -> None:
    """Bit for bit, the signs of zeros too; and read-only."""
    told = difference(found, expected)
    assert told is None, told
    held = [values for name, values in arrays(found) if name != "step and batch" and values is not None]
    assert not any(values.flags.writeable for values in held)


class Driver:
    """Steps sessions by what a simulation is given: x, currents and third factors, of all steps."""

    def __init__(self, network: DynamicNetwork, batch: int, n_steps: int, given: Mapping[str, Any]) -> None:
        self.network, self.batch, self.n_steps = network, batch, n_steps
        x = given.get("x")
        self.spikes = {} if x is None else x if isinstance(x, Mapping) else {network.inputs[0].name: x}
        self.currents = {
            name: np.broadcast_to(values, (n_steps, batch, *network[name].shape))
            for name, values in (given.get("currents") or {}).items()
        }
        self.modulation = {
            name: np.broadcast_to(values, (n_steps, batch)) for name, values in (given.get("modulation") or {}).items()
        }

    def drive(self, session: BackendSession, begin: int, end: int) -> list[dict[str, Any]]:
        """Steps [begin, end); what each showed."""
        shown = []
        for t in range(begin, end):
            if self.modulation:
                session.modulate({name: values[t][:, None] for name, values in self.modulation.items()})
            shown.append(_seen(session.step(*({n: v[t] for n, v in g.items()} for g in (self.spikes, self.currents)))))
        return shown


def _seen(step: Step) -> dict[str, Any]:
    kinds = ("spikes", "potentials", "currents")
    return {f"{kind} of {name}": values for kind in kinds for name, values in getattr(step, kind).items()}


def assert_equal_steps(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for t, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        assert mine.keys() == theirs.keys()
        for name, values in theirs.items():
            assert np.array_equal(mine[name], values, equal_nan=values.dtype.kind == "f"), f"{name} in step {t}"
