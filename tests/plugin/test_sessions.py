"""Sessions of the backends on this machine: whole runs and single steps give the recording of the reference, in every field."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import spikeport as sp
from spikeport import codes, native
from spikeport.backends import reference
from spikeport.backends.hosts import NATIVE, REFERENCE, TORCH
from spikeport.errors import BackendError, DataError, LowerError, OptionError
from spikeport.plugin import Backend, BackendSession, Program, Step, running
from spikeport.plugin.exact import largest_payload, reach
from spikeport.plugin.inputs import fed_populations, spiking, with_membrane
from spikeport.primitives import (
    IF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicRecording,
    DynamicsContract,
    FixedCubaLIF,
    FixedSigmaDelta,
    GradedThreshold,
    Projection,
    SpikeInput,
    SpikingNetwork,
)
from tests.dynamic_networks import simulations
from tests.integer_networks import random_input, random_network
from tests.recordings import assert_equal_recordings

HOSTS = [
    REFERENCE,
    pytest.param(NATIVE, marks=pytest.mark.skipif(not native.available(), reason=native.why_missing())),
    pytest.param(TORCH, marks=pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")),
]
by_name = {"ids": lambda backend: backend.name}


def opened(backend: Backend, network: SpikingNetwork | DynamicNetwork) -> BackendSession:
    program = backend.compile(network, backend.targets[0], backend.options())
    kept = with_membrane(network)
    return backend.open(program, record=spiking(network), potentials=kept)


def encoded(seed: int, code: str, kind: str, **options: Any) -> tuple[SpikingNetwork, np.ndarray] | None:
    base = random_network(seed, kind=kind, digits=True)
    try:
        return codes.encode(base, code, **options), random_input(base, seed, samples=3)
    except OptionError:
        return None


@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", sorted([*codes.CODES, *codes.STATISTICAL]))
@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_a_run_by_steps_equals_the_reference_in_every_field(backend: Backend, code: str, kind: str) -> None:
    seen = 0
    for seed in range(3):
        case = encoded(seed, code, kind)
        if case is None:
            continue
        network, x = case
        expected = reference.simulate(network, x, record=None)
        with opened(backend, network) as session:
            for _ in range(2):  # the second sample begins as the first did
                assert_equal_recordings(BackendSession.run(session, x), expected)
            assert_equal_recordings(session.run(x), expected)
            few = BackendSession.run(session, x, record=[network.output], max_steps=3)
            assert_equal_recordings(few, reference.simulate(network, x, record=[network.output], max_steps=3))
        seen += 1
    assert seen


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_many_steps_at_once_are_as_many_steps(backend: Backend) -> None:
    case = encoded(4, "signed", "events", steps=12)
    assert case is not None
    network, _ = case
    bins = np.random.default_rng(0).integers(0, 2, (12, 2, *network.input.shape))
    with opened(backend, network) as session:
        session.reset(2)
        once = session.advance(100, {network.input.name: np.concatenate([bins, np.zeros((88, *bins.shape[1:]), int)])})
        session.reset(2)
        for t in range(100):
            step = session.step({network.input.name: bins[t]} if t < 12 else {})
            for kind in ("spikes", "potentials"):
                for name, values in getattr(step, kind).items():
                    assert np.array_equal(values, getattr(once, kind)[name][t]), (t, name)


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_currents_go_where_a_static_input_feeds_in_any_step_of_the_presentation(backend: Backend) -> None:
    case = encoded(3, "signed", "static", steps=9)
    assert case is not None
    network, _ = case
    rng = np.random.default_rng(1)
    with opened(backend, network) as session, opened(REFERENCE, network) as expected:
        session.reset(2)
        expected.reset(2)
        for t in range(network.contract.presentation + 3):
            fed = {}
            if t < network.contract.presentation and t % 3:
                fed = {n: rng.integers(-9, 10, (2, *network[n].shape)) for n in fed_populations(network)}
            mine, theirs = session.step({}, fed), expected.step({}, fed)
            for name, values in theirs.potentials.items():
                assert np.array_equal(mine.potentials[name], values), (t, name)
            for name, values in theirs.spikes.items():
                assert np.array_equal(mine.spikes[name], values), (t, name)


class Late(BackendSession):
    """The reference, whose populations run behind the network by offsets from 1 on, with noise before their first step."""

    def __init__(self, network: Any, offsets: dict[str, int], cut: Any = None) -> None:
        program = replace(REFERENCE.compile(network, REFERENCE.targets[0], None), cut=cut)
        self.inner = REFERENCE.open(program, record=spiking(network), potentials=with_membrane(network))
        self.record, self.potentials = self.inner.record, self.inner.potentials
        self.program = Program("late", "1", "late", program.network, offsets)

    def reset(self, batch: int = 1) -> None:
        self.inner.reset(batch)
        self.batch, self.held, self.given = batch, {}, None

    def step(self, spikes: Any = {}, currents: Any = {}) -> Step:  # noqa: B006
        self.require_open()
        network, offsets = self.program.network, self.program.offsets
        now = None if self.given is None else self.inner.step(self.given, currents)
        self.given = spikes
        chip = getattr(network.contract, "chip", False)
        second = [n for n in self.potentials if chip and not isinstance(network[n].neuron, GradedThreshold)]
        parts = []
        for kind, names in (("spikes", self.record), ("potentials", self.potentials), ("currents", second)):
            part = {}
            for name in names:
                held = self.held.setdefault((kind, name), [])
                if now is not None:
                    held.append(getattr(now, kind)[name])
                behind = offsets[name]
                part[name] = held[-behind] if len(held) >= behind else np.full((self.batch, *network[name].shape), 7)
            parts.append(part)
        return Step(*parts)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("piece", [1, 3, 32])
@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", ["graded", "phased", "signed"])
def test_offsets_are_taken_back(code: str, kind: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PIECE", piece)
    monkeypatch.setattr(running, "DRAIN", min(piece, 5))
    for seed in (3, 4):
        case = encoded(seed, code, kind)
        assert case is not None
        network, x = case
        fed = fed_populations(network)
        names = [p.name for p in network.populations if p.name not in network.on_host()]
        offsets = {name: 1 if name in fed else 1 + i for i, name in enumerate(names)}
        session = Late(network, offsets)
        assert_equal_recordings(session.run(x), reference.simulate(network, x, record=None))
        for max_steps in (1, 2, 5):
            found = session.run(x, max_steps=max_steps)
            assert_equal_recordings(found, reference.simulate(network, x, record=None, max_steps=max_steps))


def assert_equal(found: DynamicRecording, expected: DynamicRecording) -> None:
    assert found.n_steps == expected.n_steps
    for kind in ("counts", "potentials", "currents"):
        mine, theirs = getattr(found, kind), getattr(expected, kind)
        assert list(mine) == list(theirs), kind
        for name, values in theirs.items():
            assert mine[name].dtype == values.dtype, (kind, name)
            assert np.array_equal(mine[name], values), (kind, name)
    assert list(found.spikes) == list(expected.spikes)
    for name, events in expected.spikes.items():
        mine = found.spikes[name]
        assert (mine.shape, mine.n_steps, mine.batch, mine.dt) == (
            events.shape,
            events.n_steps,
            events.batch,
            events.dt,
        )
        for field in ("samples", "steps", "neurons"):
            assert np.array_equal(getattr(mine, field), getattr(events, field)), (name, field)
        assert (mine.values is None) == (events.values is None)
        assert events.values is None or np.array_equal(mine.values, events.values)


@pytest.mark.parametrize("backend", HOSTS[:2], **by_name)
@settings(max_examples=25, deadline=None)
@given(case=simulations())
def test_networks_with_dynamics_by_steps_equal_the_reference(backend: Backend, case: Any) -> None:
    network, given_ = case
    expected = reference.simulate_dynamics(network, **given_, potentials=[p.name for p in network.populations])
    arguments = {"max_steps": given_["n_steps"], "currents": given_["currents"]}
    with opened(backend, network) as session:
        assert_equal(BackendSession.run(session, given_["x"], **arguments), expected)
        assert_equal(session.run(given_["x"], **arguments), expected)


def chip_network() -> DynamicNetwork:
    return DynamicNetwork(
        "chip",
        (SpikeInput("in", (3,)),),
        (
            DynamicPopulation("lif", (4,), FixedCubaLIF(du=1000, dv=100, threshold=8 << 6)),
            DynamicPopulation("delta", (2,), FixedSigmaDelta(threshold=3)),
            DynamicPopulation("vector", (2,), GradedThreshold(threshold=1, relu=False)),
        ),
        (
            Projection("in", "lif", (Dense(np.arange(12).reshape(4, 3) - 3),)),
            Projection("lif", "delta", (Dense(np.array([[3, -2, 1, 5], [1, 1, 1, -4]])),), delay=2),
            Projection("delta", "vector", (Dense(np.array([[2, 1], [-1, 3]])),)),
        ),
        DynamicsContract.loihi("loihi2"),
    )


def test_networks_of_a_chip_give_payloads_and_both_states() -> None:
    network = chip_network()
    x = np.random.default_rng(2).integers(0, 5, (40, 2, 3))
    names = [p.name for p in network.populations]
    expected = reference.simulate_dynamics(network, x, potentials=names)
    assert expected.spikes["vector"].values is not None
    with opened(REFERENCE, network) as session:
        assert_equal(BackendSession.run(session, x), expected)
    assert_equal(sp.simulate(network, x, record=None, on="reference"), expected)
    offsets = {"lif": 1, "delta": 3, "vector": 2}
    assert_equal(Late(network, offsets).run(x), expected)
    for backend in (NATIVE, TORCH):
        with pytest.raises(LowerError) as error:
            backend.compile(network, backend.targets[0], None)
        assert [p.where for p in error.value.problems] == names


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_a_closed_session_refuses_everything(backend: Backend) -> None:
    case = encoded(3, "signed", "static")
    assert case is not None
    network, x = case
    session = opened(backend, network)
    session.close()
    session.close()
    for use in (session.reset, session.step, lambda: session.advance(2), lambda: session.run(x)):
        with pytest.raises(BackendError, match="session: is closed"):
            use()


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_what_does_not_fit_into_a_step_is_refused_by_name(backend: Backend) -> None:
    network, _ = encoded(4, "signed", "events") or pytest.fail("seed 4 converts")
    shape = network.input.shape
    with opened(backend, network) as session:
        for spikes, why in (
            ({"nobody": np.zeros((1, *shape))}, "nobody: is no spike input"),
            ({network.input.name: np.zeros(shape)}, "has shape"),
            ({network.input.name: np.full((1, *shape), 0.5)}, "not whole numbers"),
            ({network.input.name: np.full((1, *shape), np.nan)}, "not finite"),
        ):
            with pytest.raises(DataError, match=why):
                session.step(spikes)
        with pytest.raises(DataError, match="no population that takes currents"):
            session.step({}, {network.output: np.zeros((1, *network[network.output].shape))})
        with pytest.raises(OptionError, match="batch"):
            session.reset(-1)
    program = backend.compile(network, backend.targets[0], None)
    for record, potentials, why in ((["x"], [], "x: is not a population"), ([], ["x"], "x: is not a population")):
        with pytest.raises(OptionError, match=why):
            backend.open(program, record=record, potentials=potentials)


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_events_beyond_the_declared_input_are_refused_alike(backend: Backend) -> None:
    network, _ = encoded(4, "signed", "events") or pytest.fail("seed 4 converts")
    name, high, presentation = network.input.name, network.input.high, network.contract.presentation

    def events(value: Any, dtype: Any = np.int64) -> dict[str, np.ndarray]:
        return {name: np.full((1, *network.input.shape), value, dtype=dtype)}

    with opened(backend, network) as session:
        session.reset()
        session.step(events(high))  # just what was declared
        with pytest.raises(DataError, match=f"{name}: holds more than {high} events in one place since the last reset"):
            session.step(events(1))
        session.reset()
        for value, dtype in ((high + 1, int), (-1, int), (2**33, int), (1e300, float), (2**64 - 1, np.uint64)):
            with pytest.raises(DataError, match=f"{name}: has a? ?values? "):
                session.step(events(value, dtype))
        session.step(events(high))  # nothing of what was refused was counted
        session.reset()
        session.advance(presentation)
        with pytest.raises(DataError, match=f"{name}: has events after the presentation"):
            session.step(events(1))


@pytest.mark.parametrize("backend", HOSTS, **by_name)
def test_currents_beyond_what_an_input_gives_are_refused_alike(backend: Backend) -> None:
    network, _ = encoded(3, "signed", "static", steps=9) or pytest.fail("seed 3 converts")
    name = next(iter(fed_populations(network)))
    shape = (1, *network[name].shape)
    most = sum(
        reach(c, largest_payload(network, c.source)) for c in network.incoming(name) if c.source in network.on_host()
    )
    with opened(backend, network) as session:
        session.reset()
        session.step({}, {name: np.full(shape, most)})
        session.step({}, {name: np.full(shape, -2 * most + most)})
        session.step({}, {name: np.full(shape, -most)})
        with pytest.raises(DataError, match=f"{name}: holds a current of more than {most} in one place"):
            session.step({}, {name: np.full(shape, -1)})
        for value in (most + 1, -most - 1, 2**31, -(2**63)):
            with pytest.raises(DataError, match=f"{name}: has a? ?values? "):
                session.step({}, {name: np.full(shape, value)})
        session.reset()
        session.advance(9)
        with pytest.raises(DataError, match=f"{name}: has currents after the presentation"):
            session.step({}, {name: np.full(shape, 1)})


@pytest.mark.parametrize("backend", HOSTS, **by_name)
@pytest.mark.parametrize("n", [0, -1, True, 1.5])
def test_less_than_one_step_is_refused(backend: Backend, n: Any) -> None:
    network, x = encoded(3, "signed", "static") or pytest.fail("seed 3 converts")
    with opened(backend, network) as session:
        session.reset()
        with pytest.raises(OptionError, match="n_steps: is"):
            session.advance(n)
        with pytest.raises(OptionError, match="max_steps: is"):
            session.run(x, max_steps=n)


@pytest.mark.parametrize("backend", HOSTS[:2], **by_name)
def test_a_batch_without_samples_is_refused_by_networks_with_dynamics(backend: Backend) -> None:
    cell = DynamicPopulation("cell", (1,), IF(threshold=5.0))
    network = DynamicNetwork(
        "n", (SpikeInput("in", (1,)),), (cell,), (Projection("in", "cell", (Dense(np.array([[1.0]])),), delay=1),),
        DynamicsContract(dt=1e-3, integrator="accumulate", synapse="delta"),
    )  # fmt: skip
    with opened(backend, network) as session, pytest.raises(DataError, match="in: has no samples"):
        session.run(np.zeros((4, 0, 1)))


@pytest.mark.parametrize("value", [2**15 + 1, -(2**15) - 1, 1e300, 2**64 - 1])
def test_spikes_into_integer_dynamics_are_bounded_in_a_step_as_in_a_run(value: Any) -> None:
    cell = DynamicPopulation("cell", (1,), IF(threshold=5.0))
    network = DynamicNetwork(
        "n", (SpikeInput("in", (1,)),), (cell,), (Projection("in", "cell", (Dense(np.array([[1]])),), delay=1),),
        DynamicsContract(dt=1e-3, integrator="accumulate", synapse="delta", arithmetic="integer"),
    )  # fmt: skip
    with opened(REFERENCE, network) as session:
        session.reset()
        for give in (lambda x: session.step({"in": x}), lambda x: session.run(x[None])):
            with pytest.raises(DataError, match="in: has values beyond 32,768"):
                give(np.array([[value]], dtype=np.uint64 if value == 2**64 - 1 else None))


class Faulty(BackendSession):
    """A session of others, which changes what the reference gives."""

    def __init__(self, network: Any, change: Any) -> None:
        self.inner, self.change = opened(REFERENCE, network), change
        self.program, self.record, self.potentials = self.inner.program, self.inner.record, self.inner.potentials

    def reset(self, batch: int = 1) -> None:
        self.inner.reset(batch)

    def step(self, spikes: Any = {}, currents: Any = {}) -> Step:  # noqa: B006
        step = self.inner.step(spikes, currents)
        return self.change(step)  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed = True


def changed(change: Any) -> Any:
    return lambda step: Step({n: change(v) for n, v in step.spikes.items()}, step.potentials)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (changed(lambda v: v[:1]), "the session gives spikes of shape"),  # would be taken for every sample
        (changed(lambda v: v.reshape(len(v), -1)), "the session gives spikes of shape"),
        (changed(lambda v: v + 0.4), "the session gives spikes of type float64, and counts are whole"),
        (changed(lambda v: v.astype(object)), "the session gives spikes of type object"),
        (lambda step: Step(step.spikes), "the session gives no potentials of it"),
        (lambda step: None, "Faulty: gives something else than a Step"),
    ],
)
def test_what_a_session_gives_is_looked_at_before_it_is_believed(change: Any, why: str) -> None:
    for seed in range(20):
        network, x = encoded(seed, "signed", "static") or (None, None)
        if network is not None and len(network[spiking(network)[0]].shape) > 1:
            break
    assert network is not None
    with Faulty(network, change) as session, pytest.raises(BackendError, match=why):
        session.run(x)


def test_a_text_is_no_list_of_names() -> None:
    converted, x = encoded(3, "signed", "static") or pytest.fail("seed 3 converts")
    cell = DynamicPopulation("output", (1,), IF(threshold=5.0))
    dynamic = DynamicNetwork("n", (), (cell,), (), DynamicsContract(dt=1e-3, integrator="accumulate"))
    for network, more in ((converted, {"x": x}), (dynamic, {"max_steps": 3})):
        program = REFERENCE.compile(network, REFERENCE.targets[0], None)
        with sp.open(program) as session, pytest.raises(OptionError, match="record: is the text 'output'"):
            session.run(record="output", **more)
        with pytest.raises(OptionError, match="record: is the text 'output'"):
            sp.open(program, record="output")
        with pytest.raises(OptionError, match="potentials: is the text 'output'"):
            sp.open(program, potentials="output")
        with pytest.raises(OptionError, match="record: is the text 'output'"):
            sp.simulate(network, record="output", on="reference", **more)
    with pytest.raises(OptionError, match="backend: is None, not a name"):
        sp.backend(None)  # type: ignore[arg-type]


def test_a_run_needs_spikes_of_all_populations_and_the_read_out() -> None:
    network, x = encoded(3, "signed", "static") or pytest.fail("seed 3 converts")
    program = REFERENCE.compile(network, REFERENCE.targets[0], None)
    first = spiking(network)[0]
    with REFERENCE.open(program, record=spiking(network)[1:], potentials=[]) as session:
        with pytest.raises(OptionError) as error:
            session.run(x)
        assert [p.where for p in error.value.problems] == [first, network.output]
        assert first not in session.step().spikes
    with pytest.raises(OptionError, match="its potentials are not recorded"):
        REFERENCE.open(program, record=spiking(network), potentials=[network.output]).run(x, record=[first])
