"""A spiking network as a plan of the native stepper."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np

from spikeport.backends.native.layers import extent, largest_spike, layer_of, sends_ones
from spikeport.backends.native.wiring import NoWiringError, Wiring, pixels_of, windows, wire
from spikeport.errors import NativeError, Problem
from spikeport.graph import output_shape
from spikeport.native.stepping import Kind, LayerPlan, Payload, Plan
from spikeport.plugin.exact import reach
from spikeport.primitives import MaxUnit, Population, Shape, SpikingNetwork

INT32_END = 2**31
DENSE_FROM = 0.25
"""Activity from which sums over all channels are faster than lists of those that send."""
KEPT_PLANS = 4
"""Networks whose plans are kept, the last ones used."""


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """A network, its plan, and where each population stands in it."""

    network: SpikingNetwork
    plan: Plan
    layers: dict[str, int]
    """Layer of each population; of a max unit the one that sends."""
    host: frozenset[str]
    paths: dict[str, str] = field(default_factory=dict)
    """Which kernel carries each connection, by name."""
    once_bytes: int = 0
    """Memory of the state of one sample."""
    step_bytes: int = 0
    """Memory of what crosses layers in one step of one sample."""

    def __str__(self) -> str:
        width = "int64" if self.plan.wide else "int32"
        lines = [f"{self.network.contract.code} code, {width} potentials"]
        return "\n".join(lines + [f"{name}: {path}" for name, path in self.paths.items()])


_kept: OrderedDict[int, NetworkPlan] = OrderedDict()
_lock = Lock()


def plan(network: SpikingNetwork) -> NetworkPlan:
    """How a network is stepped; the last few plans are kept.

    Raises:
        NativeError: no native library, or a connection that has no native form, by name.
    """
    with _lock:
        found = _kept.get(id(network))
        if found is not None and found.network is network:  # kept alive by the plan, so that no id is used twice
            _kept.move_to_end(id(network))
            return found
    made = _Builder(network).build()
    with _lock:
        _kept[id(network)] = made
        while len(_kept) > KEPT_PLANS:
            _kept.popitem(last=False)
    return made


class _Builder:
    """One pass over the populations."""

    def __init__(self, network: SpikingNetwork) -> None:
        self.network = network
        self.host = network.on_host()
        self.names = [network.input.name]
        for population in network.populations:
            if isinstance(population.neuron, MaxUnit) and population.name not in self.host:
                self.names.append(f"{population.name} inputs")
            self.names.append(population.name)
        self.index = {name: i for i, name in enumerate(self.names)}
        self.counts: dict[str, int] = {}
        self.problems: list[Problem] = []
        self.wired = {c.name + str(i): self._wired(i) for i, c in enumerate(network.connections)}
        if self.problems:
            raise NativeError(self.problems)

    def build(self) -> NetworkPlan:
        network = self.network
        wide = self._needs_int64()
        made = Plan(len(self.names), presentation=network.contract.presentation, wide=wide)
        pixels, channels = pixels_of(network.input.shape)
        made.source(
            0,
            pixels=pixels,
            channels=channels,
            host=network.input.kind == "static",
            largest=self.counts[network.input.name],
        )
        paths: dict[str, str] = {}
        for population in network.populations:
            self._population(made, population, paths)
        made.finish(dense_from=DENSE_FROM)
        item = made.dtype.itemsize
        neurons = sum(p * c for p, c in made.sizes.values())
        return NetworkPlan(
            network, made, self.index, self.host, paths, once_bytes=neurons * 3 * item, step_bytes=neurons * item
        )

    def _wired(self, index: int) -> Wiring | None:
        connection = self.network.connections[index]
        if connection.target in self.host:
            return None
        try:
            return wire(connection.synapses, self._shape(connection.source), self._membrane_shape(connection.target))
        except NoWiringError as error:
            hint = 'use on="reference"'
            self.problems.append(Problem(connection.name, f"{error}, which the native stepper does not carry", hint))
            return None

    def _shape(self, name: str) -> Shape:
        return self.network.input.shape if name == self.network.input.name else self.network[name].shape

    def _membrane_shape(self, name: str) -> Shape:
        """Shape of what arrives: for a max unit what its windows lie over."""
        population = self.network[name]
        if not isinstance(population.neuron, MaxUnit):
            return population.shape
        connection = self.network.incoming(name)[0]
        shape = self._shape(connection.source)
        for synapse in connection.synapses:
            shape = output_shape(synapse, [shape])
        return shape

    def _population(self, made: Plan, population: Population, paths: dict[str, str]) -> None:
        name, neuron = population.name, population.neuron
        pixels, channels = pixels_of(population.shape)
        at = self.index[name]
        if name in self.host:
            made.source(at, pixels=pixels, channels=channels, host=True, largest=self.counts[name])
            return
        receiver = at
        if isinstance(neuron, MaxUnit):
            shape = self._membrane_shape(name)
            receiver = at - 1
            inner, _ = pixels_of(shape)
            made.layer(receiver, LayerPlan(Kind.ACCUMULATOR, inner, channels))
        else:
            made.layer(at, replace(layer_of(population), largest=largest_spike(population)))
        single = True
        for i, connection in enumerate(self.network.connections):
            if connection.target != name:
                continue
            wiring = self.wired[connection.name + str(i)]
            assert wiring is not None
            path = made.taps(
                receiver,
                self.index[connection.source],
                wiring.offsets,
                wiring.pixel,
                wiring.slab,
                rows=wiring.rows,
                to=wiring.target,
                factor=wiring.factor,
            )
            paths[connection.name] = path + (", once, on the host" if connection.source in self.host else "")
            single &= isinstance(neuron, MaxUnit) and self._passes_spikes(connection.source, wiring)
        if isinstance(neuron, MaxUnit):
            single &= len(self.network.incoming(name)) == 1
            payload = Payload.NONE if single else Payload.ALWAYS
            if neuron.fires_at is not None or self.network.contract.code == "population":
                payload = Payload.ONCE
            signs = payload is Payload.NONE
            where = windows(neuron.window, self._membrane_shape(name))
            fires_at = -1 if neuron.fires_at is None else neuron.fires_at
            made.layer(
                at,
                LayerPlan(
                    Kind.MAXIMUM,
                    pixels,
                    channels,
                    signs,
                    payload,
                    trace_of=receiver,
                    opens_at=fires_at,
                    largest=1 if single else self.counts[name],
                    windows=where,
                ),
            )

    def _passes_spikes(self, source: str, wiring: Wiring) -> bool:
        """Whether each input of a maximum is one neuron that sends -1, 0 or 1: then so does the maximum."""
        unit = wiring.factor is not None and wiring.repeats <= 1 and bool(np.isin(wiring.factor, (0, 1)).all())
        return unit and source in self.network.by_name and sends_ones(self.network[source])

    def _needs_int64(self) -> bool:
        """Whether some potential, current or product could leave int32, by a bound that asks nothing of the contract."""
        largest = max(-self.network.input.low, self.network.input.high)
        self.counts = {self.network.input.name: largest}
        for population in self.network.populations:
            incoming = self.network.incoming(population.name)
            sums = sum(reach(c, self.counts[c.source]) for c in incoming)
            count, reset = extent(population, self.network.contract.max_steps)
            self.counts[population.name] = sums if isinstance(population.neuron, MaxUnit) else count
            largest = max(largest, sums + reset, self.counts[population.name])
            for connection in incoming:
                weighted = connection.weighted
                if weighted is not None:
                    largest = max(largest, int(np.abs(weighted.weight.astype(np.int64)).max(initial=0)))
        return 2 * largest >= INT32_END
