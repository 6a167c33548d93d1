"""A converted network kept open for event input: one call of the library for each packet of events."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikeport import native
from spikeport.backends.native.plan import plan
from spikeport.errors import DataError, NativeError, OptionError, Problem
from spikeport.native.stepping import ITEMS, Run
from spikeport.primitives import Accumulator, SpikingNetwork
from spikeport.quantize import input_problems


class Stepper:
    """One sample of event input, stepped packet by packet. It is used by one thread at a time.

    State goes on from packet to packet until `reset`; what a presentation of packets leaves is what `simulate` gives for them as
    time bins. A network may go on firing after its last packet: empty packets let it.
    """

    def __init__(self, network: SpikingNetwork, *, threads: int | None = None) -> None:
        """Open a network; see `open_stepper`."""
        if network.input.kind != "events":
            why = "takes static input, which enters at once"
            raise OptionError(Problem(network.input.name, why, "convert with input='events', or use simulate"))
        self._plan = plan(network)
        self.network = network
        neuron = network[network.output].neuron
        assert isinstance(neuron, Accumulator)
        self._scale = neuron.scale
        # packets are small, and a second thread costs more than it does: one is the default
        self._run: Run | None = Run(
            self._plan.plan, samples=1, steps=1, threads=1 if threads is None else max(1, threads), traced=False
        )
        self._wanted = np.ones(1, dtype=np.uint8)
        self._readout = np.zeros((1, 1, *network[network.output].shape), dtype=np.int64)
        self._empty = np.zeros((1, 1, *network.input.shape), dtype=np.uint8)
        self.step_index = 0
        """Packets since the last reset."""
        self.reset()

    def step(self, events: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """One packet of events; returns the read-out on the model's own scale, shape (*output).

        Args:
            events: counts of events in each place, shape (*input); None for a packet without events.

        Raises:
            DataError: counts that are none, more events in one place than were declared, or more packets with events than the network
                presents. Nothing of the packet is then taken: the session is as before, and goes on with the next one.
            NativeError: the session is closed.
        """
        run = self._opened()
        packet = self._empty if events is None else self._packet(events)
        fired = run.step(
            self.step_index,
            1,
            self._wanted,
            self._readout,
            events=packet,
            first_bin=self.step_index,
            high=self.network.input.high,
        )
        if fired is None:
            raise DataError(self._refusal(packet[0]))
        self.step_index += 1
        self.fired = bool(fired[0])
        output: NDArray[np.float64] = self._readout[0, 0] * self._scale
        return output

    def run(self, packets: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
        """All packets, one after the other; returns the last read-out."""
        output = self._readout[0, 0] * self._scale
        for events in packets:
            output = self.step(events)
        return output

    def reset(self) -> None:
        """Restore the initial state: the next packet is the first of a new sample."""
        self._opened().begin(1, {})
        self._readout[:] = 0
        self.step_index = 0
        self.fired = False
        """Whether any neuron fired in the last step."""

    @property
    def counts(self) -> dict[str, NDArray[np.int64]]:
        """What every neuron has sent since the last reset, by population."""
        run, network = self._opened(), self.network
        names = [p.name for p in network.populations if p.name != network.output]
        return {n: run.counts(self._plan.layers[n], 1).reshape(network[n].shape) for n in names}

    def close(self) -> None:
        """Free what the session holds; closing twice is no error."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> Run:
        if self._run is None:
            raise NativeError(Problem("session", "is closed", "open the network again"))
        return self._run

    def _packet(self, events: NDArray[Any]) -> NDArray[Any]:
        """Counts as the library reads them, (1, 1, *input)."""
        x = np.asarray(events)
        if x.shape != self.network.input.shape:
            wanted = ", ".join(map(str, self.network.input.shape))
            why = f"has shape {x.shape}, and a packet of this network has ({wanted})"
            raise DataError(Problem("input", why, "give counts of events for each place"))
        if x.dtype.kind not in "fiub":
            raise DataError(Problem("input", f"has dtype {x.dtype}", "convert it to a real number type"))
        if self.step_index >= self.network.contract.presentation:
            if x.any():
                why = f"has events after the {self.network.contract.presentation} packets that the network presents"
                raise DataError(Problem("input", why, "reset for a new sample, or convert with more steps"))
            return self._empty
        if x.dtype == np.bool_:
            x = x.view(np.uint8)
        if x.dtype not in ITEMS:
            x = x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
        return native.plain(x, x.dtype)[None, None]

    def _refusal(self, packet: NDArray[Any]) -> list[Problem]:
        """Why the library did not take a packet."""
        return input_problems(self.network.input, packet) or [
            Problem(
                "input",
                f"holds more than {self.network.input.high} events in one place since the last reset",
                "reset for a new sample, or convert with a larger input_bits",
            )
        ]


def open_stepper(network: SpikingNetwork, *, threads: int | None = None) -> Stepper:
    """A converted network kept open for packets of events; close it, or use it in a `with` block.

    Raises:
        OptionError: a network of static input.
        NativeError: no native library, or a network that the native stepper does not carry.
    """
    return Stepper(network, threads=threads)
