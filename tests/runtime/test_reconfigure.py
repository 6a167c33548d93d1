"""What events do: to networks before their first step, to what is under way, to what was learned; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport.primitives import Conv, Dense, DynamicNetwork, DynamicPopulation, Projection, Reshape, Sparse, SpikeInput
from spikeport.runtime.configuration import Configuration
from spikeport.runtime.reconfigure import projection_names, reconfigured
from tests.runtime.changing import (
    BACKENDS,
    RECORD,
    RULE,
    X,
    assert_equal_networks,
    assert_equal_runs,
    assert_equal_states,
    network,
    with_population,
    with_projection,
    without,
)

LEARNS = "m/a -> m/b"


def sparse(made: DynamicNetwork, place: int) -> Sparse:
    """A Dense projection of the small network, every synapse on its own, by source."""
    (dense,) = made.projections[place].synapses
    post, pre = dense.weight.shape
    pairs = np.repeat(np.arange(pre), post), np.tile(np.arange(post), pre)
    return Sparse.from_pairs(*pairs, dense.weight.T.ravel(), pre=pre, post=post)


def cut(of: Sparse, *, pre: int | None = None, post: int | None = None) -> Sparse:
    """It without one source, or one target: others move up."""
    sources = np.repeat(np.arange(of.pre), np.diff(of.offsets))
    targets, keep = of.targets.astype(int), np.ones(len(of.targets), bool)
    if pre is not None:
        keep &= sources != pre
        sources = sources - (sources > pre)
    if post is not None:
        keep &= targets != post
        targets = targets - (targets > post)
    sizes = {"pre": of.pre - (pre is not None), "post": of.post - (post is not None)}
    return Sparse.from_pairs(sources[keep], targets[keep], of.weights[keep], **sizes)


def grown(of: Sparse, *, pre: int = 0, post: int = 0) -> Sparse:
    offsets = np.concatenate([of.offsets, np.full(pre, of.offsets[-1])])
    return Sparse(offsets, of.targets, of.weights, of.post + post)


def built(kind: str) -> tuple[Any, DynamicNetwork]:
    """An event, and the network that is built as it would leave it."""
    made = network()
    ends = {0: "post", 1: "pre", 2: "post", 4: "post"}  # on which side m/a is
    match kind:
        case "parameters":
            neuron = replace(made["m/b"].neuron, threshold=0.7, increment=np.array([0.0, 0.1, 0.2, 0.3]))
            event = sp.SetParameters("m/b", threshold=0.7, increment=np.array([0.0, 0.1, 0.2, 0.3]))
            return event, with_population(made, "m/b", neuron=neuron)
        case "weights":
            weight = np.linspace(-0.5, 1.0, 20).reshape(5, 4)
            return sp.SetWeights("m/b -> m/a", weight), with_projection(made, 2, synapses=(Dense(weight),))
        case "learned weights":
            weight = np.linspace(-0.5, 1.0, 20).reshape(4, 5)
            return sp.SetWeights(LEARNS, weight), with_projection(made, 1, synapses=(Dense(weight),))
        case "more synapses":
            old = sparse(made, 2)
            pairs = [*zip(np.repeat(np.arange(4), 5), old.targets, old.weights, strict=True), (1, 0, 0.5), (1, 0, 0.25)]
            more = Sparse.from_pairs(*map(np.array, zip(*pairs, strict=True)), pre=4, post=5)
            return sp.AddSynapses("m/b -> m/a", [1, 1], [0, 0], [0.5, 0.25]), with_projection(made, 2, synapses=(more,))
        case "fewer synapses":
            old = sparse(made, 6)
            keep = np.ones(12, bool)
            keep[[0, 9]] = False
            fewer = Sparse(np.array([0, 3, 7, 10]), old.targets[keep], old.weights[keep], 4)
            return sp.PruneSynapses("y -> c #2", [0, 2], [0, 1]), with_projection(made, 6, synapses=(fewer,))
        case "more neurons":
            neuron = replace(made["m/a"].neuron, threshold=np.array([1.0, 0.8, 1.2, 1.0, 0.9, 0.3, 0.3]))
            grew = with_population(made, "m/a", shape=(7,), neuron=neuron)
            for place, side in ends.items():
                grew_by = {side: 2}
                bias = None if place != 4 else np.array([0.01] * 5 + [0.0] * 2)
                changed = grown(sparse(made, place), **grew_by)
                grew = replace(
                    grew,
                    projections=tuple(
                        replace(p, synapses=(changed,), bias=bias) if i == place else p
                        for i, p in enumerate(grew.projections)
                    ),
                )
            return sp.AddNeurons("m/a", 2, threshold=0.3), grew
        case _:
            neuron = replace(made["m/a"].neuron, threshold=np.array([1.0, 1.2, 1.0, 0.9]))
            projections = list(made.projections)
            for place, side in ends.items():
                bias = None if place != 4 else np.full(4, 0.01)
                one = {side: 1}
                projections[place] = replace(projections[place], synapses=(cut(sparse(made, place), **one),), bias=bias)
            populations = tuple(
                replace(p, shape=(4,), neuron=neuron) if p.name == "m/a" else p for p in made.populations
            )
            return sp.PruneNeurons("m/a", [1]), replace(made, populations=populations, projections=tuple(projections))


KINDS = ["parameters", "weights", "learned weights", "more synapses", "fewer synapses", "more neurons", "fewer neurons"]


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_changed_before_its_first_step_is_one_that_was_built_so(kind, on):
    event, expected = built(kind)
    with sp.Session(network(), on=on, batch=2) as changed, sp.Session(expected, on=on, batch=2) as other:
        changed.apply(event)
        assert_equal_states(changed.snapshot().state, other.snapshot().state)
        assert_equal_runs(*(s.run(X, duration=0.06, record=RECORD) for s in (changed, other)))
        assert_equal_states(changed.snapshot().state, other.snapshot().state)
        assert projection_names(changed.network) == projection_names(network())


@pytest.mark.parametrize("place", [1, 2, 6])
def test_what_is_pruned_is_gone_from_then_on_and_all_else_goes_on(place):
    name = projection_names(network())[place]
    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.03)
        before = session.snapshot()
        session.apply(sp.PruneSynapses(name, [1, 2], [0, 2]))
        run = session.run(X, duration=0.03, record=RECORD)
    every = sparse(network(), place)
    sources = np.repeat(np.arange(every.pre), np.diff(every.offsets))
    gone = ((sources == 1) & (every.targets == 0)) | ((sources == 2) & (every.targets == 2))
    assert gone.sum() == 2
    offsets = np.concatenate([[0], np.cumsum(np.bincount(sources[~gone], minlength=every.pre))])
    fewer = with_projection(
        network(), place, synapses=(Sparse(offsets, every.targets[~gone], every.weights[~gone], every.post),)
    )
    plastic = dict(before.state.plastic)
    if name in plastic:
        old = plastic[name]
        plastic[name] = replace(old, weights=old.weights[:, ~gone], synapse=tuple(t[:, ~gone] for t in old.synapse))
    with sp.Session(fewer, on="reference") as other:
        other.restore(sp.Snapshot(fewer, (), replace(before.state, plastic=plastic)))
        # rates of inputs are drawn by step, so both hear the same
        assert_equal_runs(run, other.run(X, duration=0.03, record=RECORD))


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize(
    ("path", "crossing"), [("m", [0, 3, 4]), ("m/a", [0, 1, 2, 4]), ("c", [3, 4, 5, 6]), ("y", [5, 6])]
)
def test_a_gate_that_was_never_open_is_a_border_that_nothing_crosses(path, crossing, on):
    with sp.Session(network(), on=on) as shut, sp.Session(without(network(), *crossing), on=on) as other:
        shut.apply(sp.Gate(path, False))
        assert shut.gates == (path,)
        one, two = (s.run(X, duration=0.06, record=RECORD, record_weights=()) for s in (shut, other))
        assert_equal_runs(one, two)


def test_what_was_sent_before_a_gate_closed_arrives_but_finds_no_synapse_that_learns():
    spikes = np.zeros((4, 1, 3))
    spikes[3, 0, 0] = 1
    weights = np.array([[0.25, 0, 0]])
    made = DynamicNetwork(
        "late",
        (SpikeInput("y", (3,)),),
        (DynamicPopulation("c", (1,), sp.IF(threshold=50.0)), DynamicPopulation("d", (1,), sp.IF(threshold=50.0))),
        (
            Projection("y", "c", (Dense(weights),), delay=4),
            Projection("y", "d", (Dense(weights),), delay=4, plasticity=RULE),
        ),
        sp.DynamicsContract(dt=1e-3, integrator="accumulate", synapse="delta", layer_latency=1),
    )
    with sp.Session(made, on="reference") as session:
        session.run({"y": spikes}, duration=0.004)
        session.apply(sp.Gate("y", False))
        run = session.run({"y": np.ones((20, 1, 3))}, duration=0.02, record=["c.v", "d.v"])
    assert run["c.v"][:, 0, 0].tolist() == [0.0] * 4 + [0.25] * 16
    assert not run["d.v"].any()


@pytest.mark.parametrize("on", BACKENDS)
def test_behind_a_closed_gate_synapses_rest_as_they_were(on):
    with sp.Session(network(), on=on, batch=2) as session:
        session.run(X, duration=0.04)
        learned = {name: session.weights(name).copy() for name in session.network.plastic}
        session.apply(sp.Gate("c", False))
        run = session.run(X, duration=0.04, weights_every=20)
        for name in ("m/b -> c", "y -> c #2"):
            assert np.array_equal(session.weights(name), learned[name])
            assert np.array_equal(run.weights_over_time[name][0], learned[name])
            assert learned[name].shape == run.weights[name].shape
        assert not np.array_equal(session.weights(LEARNS), learned[LEARNS])
        session.apply(sp.Gate("c", True))
        assert np.array_equal(session.weights("m/b -> c"), learned["m/b -> c"])
        session.run(X, duration=0.04)
        assert not np.array_equal(session.weights("m/b -> c"), learned["m/b -> c"])


@pytest.mark.parametrize("path", ["m", "m/a", "c", "x"])
def test_a_gate_that_closes_and_opens_at_once_changes_nothing(path):
    with sp.Session(network(), on="reference", batch=2) as session:
        session.run(X, duration=0.04)
        before = session.snapshot()
        session.apply(sp.Gate(path, False))
        session.apply(sp.Gate(path, True))
        assert_equal_states(session.snapshot().state, before.state)
        assert_equal_networks(session.network, before.network)


def test_what_a_reward_waits_for_rests_behind_a_closed_gate_too():
    rule = sp.RewardSTDP(a_plus=0.05, a_minus=0.04, rate=5.0, w_min=-1.0, w_max=2.0)
    told = {"modulation": {"reward": 0.5}}
    with sp.Session(with_projection(network(), 1, plasticity=rule), on="reference") as session:
        session.run(X, duration=0.04, **told)
        (waiting,) = session.snapshot().state.plastic[LEARNS].synapse
        session.apply(sp.Gate("m/b", False))
        session.run(X, duration=0.01, **told)
        session.apply(sp.Gate("m/b", True))
        assert np.array_equal(session.snapshot().state.plastic[LEARNS].synapse[0], waiting)
        assert waiting.any()


def test_events_reach_what_is_behind_a_closed_gate():
    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.04)
        learned = session.weights(LEARNS)[0]
        session.apply(sp.Gate("m/b", False))
        session.apply(sp.AddSynapses(LEARNS, [0], [3], [0.125]))
        session.apply(sp.PruneNeurons("m/a", [4]))
        session.run(X, duration=0.01)
        session.apply(sp.Gate("m/b", True))
        now = session.weights(LEARNS)[0]
    kept = learned.T[:4]
    assert np.array_equal(now, np.concatenate([kept[0], [0.125], kept[1:].ravel()]))


def test_neurons_that_stay_keep_their_state_and_new_ones_begin():
    with sp.Session(network(), on="reference") as session:
        session.run(X, duration=0.037)
        before = session.snapshot().state.populations["m/a"]
        session.apply(sp.PruneNeurons("m/a", [0, 3]))
        fewer = session.snapshot().state.populations["m/a"]
        session.apply(sp.AddNeurons("m/a", 1, threshold=2.0))
        more = session.snapshot().state.populations["m/a"]
    for name in ("v", "refractory", "fired", "arriving"):
        assert np.array_equal(getattr(fewer, name), getattr(before, name)[..., [1, 2, 4]])
        assert np.array_equal(getattr(more, name)[..., :3], getattr(fewer, name))
        assert not getattr(more, name)[..., 3].any()
    assert before.v.any()
    assert before.arriving.any()


def test_a_neuron_is_deaf_no_longer_than_its_new_period():
    with sp.Session(network(), on="reference") as session:
        while session.snapshot().state.populations["m/a"].refractory.max() != 2:
            session.run(X, duration=0.001)
        session.apply(sp.SetParameters("m/a", refractory=0.001))
        assert session.snapshot().state.populations["m/a"].refractory.max() == 1


EVENTS = {
    "parameters": sp.SetParameters("m/a", tau=0.005),
    "weights": sp.SetWeights("m/b -> m/a", np.full((5, 4), 0.05)),
    "learned weights": sp.SetWeights("y -> c #2", np.full((4, 3), 0.3)),
    "more synapses": sp.AddSynapses(LEARNS, [0, 4], [1, 1], 0.5),
    "fewer synapses": sp.PruneSynapses("m/b -> c", [0, 2], [0, 2]),
    "more neurons": sp.AddNeurons("c", 3),
    "fewer neurons": sp.PruneNeurons("m/b", [3, 1]),
    "a gate": sp.Gate("m", False),
    "a swap": sp.Replace("m", network(), keep=False),
}


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_what_is_undone_at_once_never_happened(event, on):
    with sp.Session(network(), on=on, batch=2) as session:
        session.run(X, duration=0.04)
        before = session.snapshot()
        session.apply(event)
        session.undo()
        assert_equal_states(session.snapshot().state, before.state)
        assert_equal_networks(session.network, before.network)
        assert session.gates == ()


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_what_is_undone_later_leaves_the_network_as_it_was_and_the_rest_goes_on(event):
    with sp.Session(network(), on="reference", batch=2) as session:
        session.run(X, duration=0.04)
        before = session.snapshot()
        session.apply(event)
        session.run(X, duration=0.013)
        now = session.snapshot()
        session.undo()
        after = session.snapshot()
        assert_equal_networks(after.network, before.network)
        assert after.state.step == now.state.step
        touched = {getattr(event, "path", ""), getattr(event, "projection", "")}
        for name, neurons in after.state.populations.items():
            if name not in touched and not (isinstance(event, sp.Replace) and name.startswith("m/")):
                assert np.array_equal(neurons.v, now.state.populations[name].v)
                assert not np.array_equal(neurons.v, before.state.populations[name].v)
        session.run(X, duration=0.01, record=RECORD)


def test_pruned_neurons_come_back_as_they_went_with_what_was_learned():
    with sp.Session(network(), on="reference") as session:
        for _ in range(60):  # until enough is under way
            session.run(X, duration=0.001)
            before = session.snapshot().state
            if before.populations["m/a"].arriving[2:, :, 1].any() and before.sent["m/a"][:-2, :, 1].any():
                break
        session.apply(sp.PruneNeurons("m/a", [1]))
        session.run(X, duration=0.002)
        now = session.snapshot().state
        session.undo()
        after = session.snapshot().state
    a, b, c = (s.populations["m/a"] for s in (before, now, after))
    stayed = [0, 2, 3, 4]
    assert np.array_equal(c.v[:, stayed], b.v)
    assert np.array_equal(c.v[:, 1], a.v[:, 1])
    assert np.array_equal(c.arriving[:, :, stayed], b.arriving)
    assert np.array_equal(c.arriving[:-2, :, 1], a.arriving[2:, :, 1])  # what would have arrived meanwhile did not
    assert a.arriving[2:, :, 1].any()
    assert not c.arriving[-2:, :, 1].any()
    a, b, c = (s.sent["m/a"] for s in (before, now, after))
    assert np.array_equal(c[:, :, stayed], b)
    assert np.array_equal(c[2:, :, 1], a[:-2, :, 1])  # and it sent nothing meanwhile
    assert a[:-2, :, 1].any()
    assert not c[:2, :, 1].any()
    a, b, c = (s.plastic[LEARNS].weights.reshape(-1, 4) for s in (before, now, after))
    assert np.array_equal(c[stayed], b)
    assert np.array_equal(c[1], a[1])


def test_several_events_are_undone_one_after_the_other():
    with sp.Session(network(), on="reference") as session:
        for event in EVENTS.values():
            if not isinstance(event, sp.Replace):
                session.apply(event)
            session.run(X, duration=0.003)
        for _ in range(len(EVENTS) - 1):
            session.undo()
        assert_equal_networks(session.network, network())
        with pytest.raises(sp.OptionError, match="nothing to undo"):
            session.undo()


WRONG = {
    "no population": (sp.SetParameters("m/x", tau=1.0), r"m/x: is no population\n  hint: did you mean 'm/b'"),
    "no parameter": (sp.SetParameters("m/a", tua=1.0), r"m/a\.tua: is no parameter of LIF\n  hint: did you mean 'tau'"),
    "nothing": (sp.SetParameters("m/a"), "is given no parameters"),
    "out of range": (sp.SetParameters("m/a", tau=-1.0), r"m/a\.tau: must be positive"),
    "another shape": (sp.SetParameters("m/a", tau=np.ones(4)), r"m/a\.tau: has shape \(4,\)"),
    "between steps": (sp.SetParameters("m/a", refractory=0.0015), "not a whole number of steps"),
    "no projection": (sp.SetWeights("m/a -> c", np.ones(3)), "m/a -> c: is no projection of this network"),
    "weights' shape": (sp.SetWeights(LEARNS, np.ones((5, 4))), r"has weights of shape \(4, 5\), and is given \(5, 4\)"),
    "a batch of weights": (sp.SetWeights(LEARNS, np.ones((1, 4, 5))), r"one sample's: weights\[0\]"),
    "beyond w_max": (sp.SetWeights(LEARNS, np.full((4, 5), 3.0)), "begins with weights up to 3"),
    "no number": (sp.SetWeights("m/b -> m/a", np.full((5, 4), np.nan)), "not all finite"),
    "no source": (
        sp.AddSynapses(LEARNS, [5], [0], 1.0),
        r"its sources run from 5 to 5\n  hint: flat indices from 0 to 4",
    ),
    "no target": (sp.AddSynapses(LEARNS, [0], [-1], 1.0), "its targets run from -1 to -1"),
    "not there": (sp.PruneSynapses("m/b -> c", [0, 0, 1], [1, 0, 2]), "has no synapses 0 -> 1, 1 -> 2"),
    "which threshold": (sp.AddNeurons("m/a", 2), r"m/a\.threshold: is not the same for all\n  hint: say what it is"),
    "too many values": (sp.AddNeurons("m/a", 2, threshold=np.ones(3)), r"m/a\.threshold: has shape \(3,\)"),
    "a word": (sp.AddNeurons("m/b", 2, adapts="current"), r"m/b\.adapts: is 'threshold' of all its neurons"),
    "no neuron": (sp.PruneNeurons("m/a", [5, -1]), "has no neurons 5, -1"),
    "all neurons": (sp.PruneNeurons("m/a", np.arange(5)), r"no neurons left\n  hint: close its gate"),
    "no gate": (sp.Gate("mm", False), r"mm: is no module, population or input\n  hint: did you mean 'm'"),
    "nothing to replace": (sp.Replace("n", network()), "n: is no module and no population"),
    "another contract": (
        sp.Replace("m", network(contract=replace(network().contract, dt=2e-3))),
        "is built for another contract",
    ),
    "more outside": (sp.Replace("m", without(network(), 5)), "changes projections outside of it: "),
    "spikes under way": (sp.Replace("c", with_projection(network(), 4, delay=0)), "spikes are under way to it"),
}


@pytest.mark.parametrize(("event", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_apply_is_refused_by_path_and_changes_nothing(event, said):
    with sp.Session(network(), on="reference", batch=2) as session:
        session.run(X, duration=0.04)
        before, done = session.snapshot(), len(session.journal.entries)
        with pytest.raises(sp.GraphError, match=said):
            session.apply(event)
        assert_equal_states(session.snapshot().state, before.state)
        assert_equal_networks(session.network, before.network)
        assert len(session.journal.entries) == done
        with pytest.raises(sp.OptionError, match="nothing to undo"):
            session.undo()


def test_events_are_held_to_their_form_when_they_are_made():
    with pytest.raises(sp.GraphError, match=r"a -> b: is given sources of int64 \(2,\) and targets of int64 \(1,\)"):
        sp.PruneSynapses("a -> b", [0, 1], [0])
    with pytest.raises(sp.GraphError, match=r"is given \(3,\) weights for 2 synapses"):
        sp.AddSynapses("a -> b", [0, 1], [0, 1], np.ones(3))
    with pytest.raises(sp.GraphError, match="cannot have 0 neurons added"):
        sp.AddNeurons("a", 0)
    with pytest.raises(sp.GraphError, match="indices of float64"):
        sp.PruneNeurons("a", [0.5])


def test_all_problems_are_named_at_once():
    with pytest.raises(sp.GraphError) as caught:
        reconfigured(Configuration(network()), sp.SetParameters("m/a", taus=1.0, thresh=2.0))
    assert [p.where for p in caught.value.problems] == ["m/a.taus", "m/a.thresh"]


def test_neurons_of_an_image_are_not_a_row():
    made = DynamicNetwork(
        "image",
        (),
        (DynamicPopulation("p", (2, 3), sp.LIF(tau=0.02)),),
        (Projection("p", "p", ()),),
        network().contract,
    )
    for event in (sp.AddNeurons("p", 1), sp.PruneNeurons("p", [0])):
        with pytest.raises(sp.GraphError, match=r"p: has shape \(2, 3\)"):
            reconfigured(Configuration(made), event)
    after = reconfigured(Configuration(made), sp.PruneSynapses("p -> p", [0, 5], [0, 5])).after.network
    assert after.projections[0].synapses[0].targets.tolist() == [1, 2, 3, 4]


def test_operators_become_synapses_of_their_own_where_the_pattern_changes():
    kernel = np.arange(1.0, 7.0).reshape(1, 2, 3)
    made = DynamicNetwork(
        "conv",
        (SpikeInput("x", (2, 4)),),
        (DynamicPopulation("p", (4,), sp.LIF(tau=0.02)),),
        (Projection("x", "p", (Conv(kernel, (1,), ((1, 1),), (1,)), Reshape((4,)))),),
        network().contract,
    )
    x = {"x": sp.Poisson(300.0)}
    with sp.Session(made, on="reference") as session, sp.Session(made, on="reference") as other:
        session.apply(sp.AddSynapses("x -> p", [0], [3], [0.0]))
        assert isinstance(session.network.projections[0].synapses[0], Sparse)
        assert_equal_runs(*(s.run(x, duration=0.05, record=["p.v"]) for s in (session, other)))
