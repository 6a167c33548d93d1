"""How the suite opens and drives sessions: by name or instance, in pieces, with random input."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikeport.plugin import Backend, BackendSession, Program, Step, backend_of, load_program
from spikeport.plugin import backend as by_name
from spikeport.plugin.inputs import fed_populations
from spikeport.plugin.registry import GROUP
from spikeport.primitives import DynamicNetwork, SpikingNetwork
from spikeport.testing.carrying import Run, UnderTest

T = TypeVar("T")
Network = SpikingNetwork | DynamicNetwork
Arrays = Mapping[str, NDArray[Any]]


def loaded(backend: Backend | str) -> Backend:
    """The backend itself, or the installed one of a name."""
    return by_name(backend) if isinstance(backend, str) else backend


class InPieces(BackendSession):
    """A session whose many steps are taken a few at a time, by `step` where it is one."""

    def __init__(self, inner: BackendSession, n: int) -> None:
        self.inner, self.n = inner, n
        self.program, self.record, self.potentials = inner.program, inner.record, inner.potentials

    def reset(self, batch: int = 1) -> None:
        self.inner.reset(batch)

    def step(self, spikes: Arrays = {}, currents: Arrays = {}) -> Step:  # noqa: B006  (never changed)
        return self.inner.step(spikes, currents)

    def advance(self, n_steps: int, spikes: Arrays = {}, currents: Arrays = {}) -> Step:  # noqa: B006
        if self.n == 1:
            return super().advance(n_steps, spikes, currents)
        parts = []
        for start in range(0, n_steps, self.n):
            stop = min(n_steps, start + self.n)
            given = [{name: values[start:stop] for name, values in fed.items()} for fed in (spikes, currents)]
            parts.append(self.inner.advance(stop - start, *given))
        return Step(
            *(
                {n: np.concatenate([getattr(p, kind)[n] for p in parts]) for n in getattr(parts[0], kind)}
                for kind in KINDS
            )
        )

    def close(self) -> None:
        self.inner.close()


KINDS = ("spikes", "potentials", "currents")


def source_of(network: Network) -> str | None:
    """Name of an input that takes spikes; None where input is static."""
    if isinstance(network, DynamicNetwork):
        return network.inputs[0].name if network.inputs else None
    return network.input.name if network.input.kind == "events" else None


def random_input(network: Network, n_steps: int, batch: int, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Spikes and currents of many steps, time first, within what the network declares."""
    rng = np.random.default_rng(seed)
    if isinstance(network, DynamicNetwork):
        spikes = {
            place.name: (rng.random((n_steps, batch, *place.shape)) < 0.3).astype(np.int64) for place in network.inputs
        }
        return spikes, {}
    encoder, presentation = network.input, network.contract.presentation
    if encoder.kind == "events":
        values = np.zeros((n_steps, batch, *encoder.shape), dtype=np.int64)
        # no more events in one place than the declared maximum, however many steps there are
        values[min(n_steps - 1, presentation - 1)] = rng.integers(0, encoder.high + 1, (batch, *encoder.shape))
        return {encoder.name: values}, {}
    currents = {}
    for name in sorted(fed_populations(network)):
        currents[name] = np.zeros((n_steps, batch, *network[name].shape), dtype=np.int64)
        currents[name][0] = rng.integers(0, encoder.high + 1, (batch, *network[name].shape))
    return {}, currents


def bytes_of(program: Program) -> bytes:
    """The file of a program."""
    with TemporaryDirectory() as folder:
        return program.save(Path(folder) / "program.spp").read_bytes()


def loaded_again(program: Program) -> Program:
    """Saved to a file and read from it."""
    with TemporaryDirectory() as folder:
        return load_program(program.save(Path(folder) / "program.spp"))


def digests(runs: Sequence[Run], under_test: UnderTest) -> dict[str, str]:
    """Of the program of each network."""
    return {run.about: sha256(bytes_of(under_test.compile(run.network))).hexdigest() for run in runs}


def elsewhere(function: Callable[[UnderTest], T], under_test: UnderTest) -> T:
    """What a function gives in a new process, with another seed for hashes: the backend is imported again there."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "1" if before != "1" else "2"
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(function, under_test).result()
    finally:
        del os.environ["PYTHONHASHSEED"]
        if before is not None:
            os.environ["PYTHONHASHSEED"] = before


class Announced(metadata.EntryPoint):
    """An entry point of a backend that need not be installed."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend.name, f"{type(backend).__module__}:{type(backend).__qualname__}", GROUP)
        vars(self).update(backend=backend)

    def load(self) -> Any:
        return vars(self)["backend"]


def opener_of(backend: Backend, program: Program) -> Backend:
    """The backend that opens a program where this one alone is installed; refuses programs of others."""
    return backend_of(program, points=[Announced(backend)])
