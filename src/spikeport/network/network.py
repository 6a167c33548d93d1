"""The whole: a module that can be built and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, overload

from spikeport.errors import OptionError, Problem
from spikeport.network.build import built
from spikeport.network.defaults import DT, SEED, default_contract
from spikeport.network.module import Module
from spikeport.network.saving import load_network, save_network
from spikeport.primitives import DynamicNetwork, DynamicsContract

T = TypeVar("T")


class Network(Module):
    """A network written by hand: populations, connections, modules, inputs and outputs.

    >>> from spikeport.network import AllToAll
    >>> from spikeport.primitives import LIF
    >>> net = Network("demo")
    >>> src, hid = net.input("events", (2, 4, 4)), net.population("hid", 8, LIF(tau=0.02, threshold=1.0))
    >>> _ = net.connect(src, hid, AllToAll(0.5, delay=0.001))
    >>> _ = net.output("out", hid)
    >>> net.build(dt=0.001).neurons
    8
    """

    def __init__(self, name: str, *, seed: int = SEED) -> None:
        """An empty one.

        Args:
            seed: of connections that are drawn and state none of their own.
        """
        super().__init__(name)
        self.seed = seed

    def build(self, *, dt: float | None = None, contract: DynamicsContract | None = None) -> DynamicNetwork:
        """The flat network that simulators step, chips are checked for and NIR is written from; parts have paths as names, `v1/exc`.

        Args:
            dt: seconds of a step; default: 1 ms. Another one is another way of computing the same network.
            contract: everything else about stepping, and dt; default: `default_contract`.

        Raises:
            GraphError: what does not fit, all of it by path.
            OptionError: a contract with another dt.
        """
        if contract is None:
            contract = default_contract(DT if dt is None else dt)
        elif dt is not None and dt != contract.dt:
            raise OptionError(
                Problem("dt", f"is {dt:g} s, and that of the contract {contract.dt:g} s", "give one of them")
            )
        return built(self, contract=contract, seed=self.seed)

    def save(self, path: str | Path) -> Path:
        """Write it to one file as it was written: modules once, recipes as recipes, with plasticity, settings and probes; whole or not at all.

        `Network.load` reads it; equal networks give equal bytes.

        Raises:
            FileError: the folder is missing, not writable or full, or something in it that no file holds: a function as a probability.
        """
        return save_network(self, path)

    @staticmethod
    def load(path: str | Path) -> Network:
        """Read what `save` wrote; nothing in it is executed, and every size is bounded before it is believed.

        Raises:
            FileError: the file does not exist.
            ArchiveError: it is truncated, altered, too large, or holds no such network.
        """
        network = load_network(path)
        assert isinstance(network, Network)
        return network


@overload
def as_built(network: Network) -> DynamicNetwork: ...


@overload
def as_built(network: T) -> T: ...


def as_built(network: Any) -> Any:
    """A network by hand as the flat one that it builds to, stepped as the defaults say; anything else as it is.

    Raises:
        GraphError: what does not fit in it.
    """
    return network.build() if isinstance(network, Network) else network
