"""Sessions in time: cut anywhere, planned, taken back whole where something fails, written down and done again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spikeport as sp
from spikeport.primitives import DynamicPopulation, Projection, SpikeInput
from spikeport.runtime import session as sessions
from spikeport.runtime.files import _of_snapshot
from spikeport.runtime.inputs import going_on
from spikeport.runtime.journal import Ran
from spikeport.storage import archive, codec
from tests.runtime.changing import (
    BACKENDS,
    RECORD,
    X,
    assert_equal_networks,
    assert_equal_runs,
    assert_equal_states,
    network,
    with_projection,
)


@pytest.mark.parametrize("on", BACKENDS)
def test_one_run_is_a_run_from_the_beginning(on):
    x = {"x": np.random.default_rng(0).integers(0, 2, (50, 2, 6)), "y": np.ones((30, 2, 3))}
    asked = {"record": RECORD, "weights_every": 10}
    current = {"c": np.linspace(0, 0.1, 50)[:, None, None] * np.ones((1, 2, 4))}
    with sp.Session(network(), on=on, batch=2) as session:
        found = session.run(x, duration=0.05, currents=current, **asked)
    x["y"] = np.concatenate([x["y"], np.zeros((20, 2, 3))])
    assert_equal_runs(found, sp.run(network(), x, duration=0.05, currents=current, on=on, **asked))
    assert found.counts["m/b"].any()


@pytest.mark.parametrize("on", BACKENDS)
def test_it_does_not_matter_where_a_run_is_cut(on):
    with sp.Session(network(), on=on, batch=2) as whole, sp.Session(network(), on=on, batch=2) as cut:
        one = whole.run(X, duration=0.04, record=RECORD)
        parts = [cut.run(X, duration=d, record=RECORD) for d in (0.001, 0.02, 0.007, 0.012)]
        assert_equal_states(whole.snapshot().state, cut.snapshot().state)
        assert cut.time == pytest.approx(0.04)
    for name in RECORD:
        if name.endswith(".v"):
            assert np.array_equal(one[name], np.concatenate([p[name] for p in parts]))
        else:
            trains = [p[name].train().raster for p in parts]
            assert np.array_equal(one[name].train().raster, np.concatenate(trains))


def test_poisson_has_its_rate_whatever_the_cuts_are_and_each_sample_its_own():
    place, rate = SpikeInput("x", (3,)), np.array([0.0, 100.0, 1500.0])
    given = sp.Poisson(rate, seed=7)
    whole = going_on(place, given, n_steps=4000, dt=1e-3, first=10, batch=2).train().raster
    later = going_on(place, given, n_steps=10, dt=1e-3, first=30, batch=2).train().raster
    assert np.array_equal(whole[20:30], later)
    assert np.allclose(whole.mean(axis=(0, 1)), rate * 1e-3, rtol=0.1)
    assert abs(whole[:, 0, 2].var() / 1.5 - 1) < 0.1
    assert abs(np.corrcoef(whole[:, 0, 2], whole[:, 1, 2])[0, 1]) < 0.05
    assert abs(np.corrcoef(whole[1:, 0, 2], whole[:-1, 0, 2])[0, 1]) < 0.05
    other = going_on(place, sp.Poisson(rate, seed=8), n_steps=4000, dt=1e-3, first=10, batch=2).train().raster
    assert not np.array_equal(whole, other)


@pytest.mark.parametrize("on", BACKENDS)
def test_a_planned_event_happens_right_before_its_step(on):
    events = [sp.SetParameters("m/a", tau=0.004), sp.Gate("c", False), sp.PruneSynapses("m/a -> m/b", [0], [1])]
    with sp.Session(network(), on=on) as planned, sp.Session(network(), on=on) as by_hand:
        for event in events[:2]:
            planned.at(0.011, event)
        planned.at(0.03, events[2])
        one = planned.run(X, duration=0.03, record=RECORD, weights_every=7, record_weights=["m/a -> m/b"])
        assert planned.network.projections[1].synapses[0].weight.shape == (
            4,
            5,
        )  # the step that it is for has not begun
        parts = [by_hand.run(X, duration=0.011, record=RECORD)]
        for event in events[:2]:
            by_hand.apply(event)
        parts.append(by_hand.run(X, duration=0.019, record=RECORD))
        assert_equal_states(planned.snapshot().state, by_hand.snapshot().state)
        assert np.array_equal(one["c.v"], np.concatenate([p["c.v"] for p in parts]))
        assert np.array_equal(one.counts["m/a"], sum(p.counts["m/a"] for p in parts))
        spikes = np.concatenate([p["m/a.spikes"].train().raster for p in parts])
        assert np.array_equal(one["m/a.spikes"].train().raster, spikes)
        assert one.weights_over_time["m/a -> m/b"].shape == (4, 1, 4, 5)
        planned.run(X, duration=0.001)
        assert planned.weights("m/a -> m/b").shape == (1, 19)


def test_what_is_planned_can_be_forgotten_and_nothing_is_planned_for_the_past():
    with sp.Session(network(), on="reference") as session:
        session.at(0.002, sp.Gate("c", False))
        session.forget()
        session.run(X, duration=0.004)
        assert session.gates == ()
        for time in (0.003, 0.0045, -1.0, float("nan")):
            with pytest.raises(sp.OptionError, match=r"and it is 0\.004 s now"):
                session.at(time, sp.Gate("c", False))
        session.at(0.004, sp.Gate("c", False))
        session.run(X, duration=0.001)
        assert session.gates == ("c",)


def test_a_run_that_something_planned_stops_leaves_all_as_it_was():
    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.01)
        session.at(0.012, sp.SetParameters("m/a", tau=0.004))
        session.at(0.014, sp.PruneNeurons("m/a", [9]))
        before, done = session.snapshot(), len(session.journal.entries)
        with pytest.raises(sp.GraphError, match="has no neurons 9"):
            session.run(X, duration=0.01)
        assert_equal_states(session.snapshot().state, before.state)
        assert_equal_networks(session.network, before.network)
        assert len(session.journal.entries) == done
        session.forget()
        session.run(X, duration=0.01)
        with pytest.raises(sp.OptionError, match="nothing to undo"):
            session.undo()


def test_an_interrupted_run_leaves_all_as_it_was(monkeypatch):
    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.01)
        session.at(0.012, sp.Gate("c", False))
        before, calls = session.snapshot(), []

        def stopping(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return go_on(*arguments)

        go_on = sessions.go_on
        monkeypatch.setattr(sessions, "go_on", stopping)
        with pytest.raises(KeyboardInterrupt, match="stands where it stood"):
            session.run(X, duration=0.01)
        monkeypatch.undo()
        assert_equal_states(session.snapshot().state, before.state)
        assert session.gates == ()
        session.run(X, duration=0.01)
        assert session.gates == ("c",)


def test_what_changes_its_shape_is_recorded_in_two_runs():
    with sp.Session(network(), on="reference") as session:
        session.at(0.005, sp.AddNeurons("m/b", 1))
        for asked in ({"record": ["m/b.v"]}, {"currents": {"m/b": np.ones(4)}, "record": []}):
            with pytest.raises(sp.OptionError, match=r"m/b: has shape \(5,\) from there on.*\n.*run up to the change"):
                session.run(X, duration=0.01, **asked)
        with pytest.raises(sp.OptionError, match=r"m/a -> m/b: has weights of shape \(1, 20\) now"):
            session.run(X, duration=0.01, record=[], weights_every=4)
        run = session.run(X, duration=0.01, record=["c.v"])
        assert run.counts.keys() == {"m/a", "c"}
        assert run["c.v"].shape == (10, 1, 4)


def test_what_the_arithmetic_does_not_hold_is_refused_when_it_is_applied():
    whole = replace(network().contract, integrator="accumulate", arithmetic="integer")
    made = replace(
        network(),
        contract=whole,
        populations=(DynamicPopulation("c", (4,), sp.IF(threshold=np.array(3))),),
        projections=(Projection("y", "c", (sp.primitives.Dense(np.ones((4, 3), int)),)),),
    )
    with sp.Session(made, on="reference") as session:
        session.run(X | {"x": sp.Poisson(0.0)}, duration=0.01)
        before = session.snapshot()
        with pytest.raises(sp.SpikeportError, match="whole numbers"):
            session.apply(sp.AddSynapses("y -> c", [0], [0], [0.5]))
        assert_equal_states(session.snapshot().state, before.state)
        session.apply(sp.AddSynapses("y -> c", [0], [0], [2]))
        session.run(X, duration=0.01)


@pytest.mark.parametrize("on", BACKENDS)
def test_a_snapshot_is_gone_on_from_here_in_another_session_and_from_a_file(on, tmp_path):
    with sp.Session(network(), on=on, batch=2) as session:
        session.run(X, duration=0.02)
        session.apply(sp.Gate("m/b", False))
        session.apply(sp.AddNeurons("c", 1))
        session.run(X, duration=0.005)
        snapshot = session.snapshot()
        first = session.run(X, duration=0.02, record=RECORD)
        session.apply(sp.Gate("m/b", True))
        session.restore(snapshot)
        assert session.gates == ("m/b",)
        assert session.time == snapshot.time == 0.025
        assert_equal_runs(first, session.run(X, duration=0.02, record=RECORD))
        with pytest.raises(sp.OptionError, match="nothing to undo"):
            session.undo()
    loaded = sp.Snapshot.load(snapshot.save(tmp_path / "state.spk"))
    assert_equal_states(loaded.state, snapshot.state)
    for other in ("reference", on):
        with sp.Session(loaded.network, on=other, batch=2) as session:
            session.restore(loaded)
            assert_equal_runs(first, session.run(X, duration=0.02, record=RECORD))


def test_a_snapshot_of_something_else_is_refused():
    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.01)
        before = session.snapshot()
        other = network(contract=replace(network().contract, dt=2e-3))
        wrong = {
            "another contract": replace(before, network=other),
            "2 samples": sp.Session(network(), on="reference", batch=2).snapshot(),
            "y -> c #2: is in the state": replace(
                before, network=replace(network(), projections=network().projections[:6])
            ),
            "has shape": replace(before, network=with_projection(network(), 4, delay=9)),
        }
        for said, snapshot in wrong.items():
            with pytest.raises(sp.DataError, match=said):
                session.restore(snapshot)
            assert_equal_states(session.snapshot().state, before.state)
        with pytest.raises(sp.OptionError, match="is a SessionState"):
            session.restore(before.state)


def busy(on):
    """A session with one of everything, and its runs."""
    with sp.Session(network(), on=on, batch=2) as session:
        runs = [session.run(X, duration=0.01, record=RECORD, weights_every=5)]
        kept = session.snapshot()
        session.apply(sp.Replace("m/b", with_projection(network(), 1, delay=3)))
        runs.append(session.run(X, duration=0.002, record=RECORD))
        session.undo()
        session.apply(sp.SetParameters("m/b", {"adapts": "current"}, coupling=0.1))
        session.at(0.015, sp.SetWeights("m/b -> c", np.full(4, 0.4)))
        session.at(0.017, sp.Gate("m", False))
        runs.append(session.run(X, duration=0.01, record=RECORD, currents={"c": np.array([0.1, 0, 0, 0.2])}))
        session.apply(sp.AddNeurons("c", 2, threshold=0.4))
        session.apply(sp.AddSynapses("y -> c #2", [0, 1], [4, 5], [0.5, 0.25]))
        session.apply(sp.PruneSynapses("m/a -> m/b", [3], [3]))
        session.apply(sp.Gate("m", True))
        session.undo()
        runs.append(session.run(X, duration=0.01, record=RECORD))
        session.apply(sp.PruneNeurons("m/a", [0]))
        session.undo()
        runs.append(session.run(X, duration=0.01, record=RECORD))
        session.restore(kept)
        session.at(0.9, sp.Gate("m", False))
        session.forget()
        runs.append(session.run({"x": np.ones((5, 6))}, duration=0.01, record=RECORD))
        return session.journal, runs, session.snapshot()


@pytest.mark.parametrize("on", BACKENDS)
def test_a_journal_done_again_gives_the_same_bits_from_a_file_and_on_another_backend(on, tmp_path):
    journal, runs, end = busy(on)
    loaded = sp.Journal.load(journal.save(tmp_path / "journal.spk"))
    for other in dict.fromkeys((on, "reference")):
        again = sp.replay(loaded, on=other)
        assert len(again.runs) == len(runs) == 6
        for one, two in zip(runs, again.runs, strict=True):
            assert_equal_runs(one, two)
        assert_equal_states(again.snapshot.state, end.state)
        assert_equal_networks(again.snapshot.network, end.network)
    assert runs[2].counts["m/b"].any()


def test_equal_journals_are_equal_files(tmp_path):
    paths = [busy("reference")[0].save(tmp_path / f"{i}.spk") for i in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_journal_keeps_what_was_given_and_not_what_became_of_it():
    raster = np.ones((5, 6))
    with sp.Session(network(), on="reference") as session:
        session.run({"x": raster}, duration=0.005)
        raster[:] = 0
        (entry,) = session.journal.entries
    assert isinstance(entry, Ran)
    assert len(entry.inputs["x"]) == 30


def tampered(path, form, change):
    """A file of the right form, with other content."""
    documents, arrays = archive.read_archive(path)
    import json

    document = json.loads(documents["session.json"])
    content = codec.decode(document["content"], arrays)
    structure, held = codec.encode(change(content))
    text = json.dumps({"format": form, "content": structure}).encode()
    return archive.write_archive(path.with_name("tampered.spk"), {"session.json": text}, held)


JOURNAL = {
    "no entries": lambda c: c[:2],
    "another entry": lambda c: (*c[:2], (("jumped", 1),)),
    "no steps": lambda c: (*c[:2], (("ran", 0, (), (), (), (), (), None),)),
    "half a step": lambda c: (*c[:2], (("ran", 1.5, (), (), (), (), (), None),)),
    "no event": lambda c: (*c[:2], (("applied", ("Explode", "m")),)),
    "an event without fields": lambda c: (*c[:2], (("applied", ("Gate", "m")),)),
    "an event of another kind": lambda c: (*c[:2], (("applied", ("Gate", "m", 1)),)),
    "an event out of form": lambda c: (*c[:2], (("applied", ("AddNeurons", "m", -1, ())),)),
    "a batch of none": lambda c: (c[0], 0, c[2]),
    "no network": lambda c: (1, *c[1:]),
    "spikes of one row": lambda c: (
        *c[:2],
        (
            (
                "ran",
                5,
                (("x", (np.ones((2, 2), int), np.ones(2, int), np.ones(2, int), (6,), 5, 1, 1e-3, None)),),
                *c[2][0][3:],
            ),
        ),
    ),
    "an input twice": lambda c: (*c[:2], (("ran", 5, (*c[2][0][2], *c[2][0][2]), *c[2][0][3:]),)),
}


@pytest.mark.parametrize("change", JOURNAL.values(), ids=JOURNAL)
def test_a_journal_that_is_none_is_refused(change, tmp_path):
    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.005)
        path = session.journal.save(tmp_path / "journal.spk")
    assert sp.Journal.load(tampered(path, "spikeport.journal/1", lambda c: c)).entries
    with pytest.raises(sp.ArchiveError):
        sp.Journal.load(tampered(path, "spikeport.journal/1", change))
    with pytest.raises(sp.ArchiveError, match=r"is not of the format spikeport\.snapshot/1"):
        sp.Snapshot.load(path)


def test_spikes_of_a_journal_that_do_not_fit_are_refused_when_it_is_done_again(tmp_path):
    def beyond(content):
        steps = np.array([7])
        one = (np.array([0]), steps, np.array([0]), (6,), 8, 1, 1e-3, None)
        return (*content[:2], (("ran", 5, (("x", one),), *content[2][0][3:]),))

    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.005)
        path = session.journal.save(tmp_path / "journal.spk")
    journal = sp.Journal.load(tampered(path, "spikeport.journal/1", beyond))
    with pytest.raises(sp.DataError, match="has 8 steps, and 5 are simulated"):
        sp.replay(journal, on="reference")


SNAPSHOT = {
    "no state": lambda c: c[:2],
    "no step": lambda c: (*c[:2], (-1, *c[2][1:])),
    "a population twice": lambda c: (*c[:2], (*c[2][:2], (*c[2][2], c[2][2][0]), *c[2][3:])),
    "a text for potentials": lambda c: (*c[:2], (*c[2][:2], (("m/a", ("v", *c[2][2][0][1][1:])),), *c[2][3:])),
}


@pytest.mark.parametrize("change", SNAPSHOT.values(), ids=SNAPSHOT)
def test_a_snapshot_that_is_none_is_refused(change, tmp_path):
    with sp.Session(network(), on="reference") as session:
        path = session.snapshot().save(tmp_path / "state.spk")
        assert len(_of_snapshot(session.snapshot())) == 3
    with pytest.raises(sp.ArchiveError):
        sp.Snapshot.load(tampered(path, "spikeport.snapshot/1", change))


def test_a_changed_byte_is_found(tmp_path):
    with sp.Session(network(), on="reference") as session:
        path = session.snapshot().save(tmp_path / "state.spk")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(sp.ArchiveError):
        sp.Snapshot.load(path)
    with pytest.raises(sp.FileError):
        sp.Journal.load(tmp_path / "none.spk")


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"inputs": {"z": np.ones((5, 6))}}, sp.DataError, "z: is no input of this network"),
        ({"inputs": {"x": np.ones((5, 4))}}, sp.DataError, r"x: has shape \(5, 4\)"),
        ({"inputs": {"x": np.ones((5, 3, 6))}}, sp.DataError, "x: has 3 samples, and the session 2"),
        ({"inputs": {"x": np.ones((11, 6))}}, sp.DataError, "x: has 11 steps, and 10 are taken"),
        ({"inputs": {"x": np.full((5, 6), np.nan)}}, sp.DataError, "x: is not finite numbers"),
        ({"duration": 0.0001}, sp.OptionError, "duration: is 0.0001 s"),
        ({"record": ["m/a.spike"]}, sp.OptionError, "is nothing to record of this network"),
        ({"record_weights": ["x -> m/a"]}, sp.OptionError, "is no projection that learns"),
        ({"weights_every": 0}, sp.OptionError, "weights_every: is 0"),
        ({"currents": {"d": np.ones(4)}}, sp.DataError, "is not a population"),
        ({"currents": {"c": np.ones((5, 2, 4))}}, sp.DataError, "has 5 steps, and 10 are simulated"),
        ({"modulation": {"reward": 1.0}}, sp.DataError, "is a third factor of no projection"),
    ],
)
def test_what_does_not_fit_into_a_run_is_refused_and_changes_nothing(asked, error, said):
    with sp.Session(network(), on="reference", batch=2) as session:
        session.run(X, duration=0.003)
        before = session.snapshot()
        with pytest.raises(error, match=said):
            session.run(**{"duration": 0.01, **asked})
        assert_equal_states(session.snapshot().state, before.state)
        assert len(session.journal.entries) == 1


def test_third_factors_are_told_to_each_run():
    rule = sp.RewardSTDP(a_plus=0.05, a_minus=0.01, rate=5.0, w_max=2.0, w_min=-1.0)
    made = with_projection(network(), 1, plasticity=rule)
    reward = np.linspace(-1, 1, 40)[:, None]
    with sp.Session(made, on="reference") as whole, sp.Session(made, on="reference") as cut:
        one = whole.run(X, duration=0.04, modulation={"reward": reward}, record=RECORD)
        cut.at(0.005, sp.SetParameters("m/b", threshold=1.0))  # cut, and changed into what it was
        for part in (reward[:30], reward[30:]):
            two = cut.run(X, duration=len(part) * 1e-3, modulation={"reward": part})
        assert np.array_equal(one.weights["m/a -> m/b"], two.weights["m/a -> m/b"])
        with pytest.raises(sp.DataError, match="reward"):
            cut.run(X, duration=0.01)
        assert cut.time == pytest.approx(0.04)
        replayed = sp.replay(cut.journal, on="reference")
        assert_equal_states(replayed.snapshot.state, cut.snapshot().state)


def test_a_closed_session_says_so():
    session = sp.Session(network(), on="reference")
    session.close()
    session.close()
    for what in (
        lambda: session.run(duration=0.01),
        lambda: session.apply(sp.Gate("m", False)),
        lambda: session.at(0.01, sp.Gate("m", False)),
        session.undo,
        session.forget,
        session.snapshot,
        lambda: session.weights("m/a -> m/b"),
    ):
        with pytest.raises(sp.BackendError, match="is closed"):
            what()
    with pytest.raises(sp.OptionError, match=r"batch: is 0"):
        sp.Session(network(), batch=0)
