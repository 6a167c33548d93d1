"""Networks by hand: what is built from what was written, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

import spikeport as sp
from spikeport.primitives import Relay
from spikeport.primitives import Sparse as SparseSynapses


def one_way(synapses, source=10, target=4, **kwargs):
    net = sp.Network("n")
    link = net.connect(net.input("x", source), net.population("y", target, sp.IF()), synapses, **kwargs)
    assert link.name == "x -> y"
    return net


def matrix(network, number=0):
    """Weights of a projection of flat populations, shape (post, pre)."""
    p = network.projections[number]
    size = next(place.size for place in (*network.inputs, *network.populations) if place.name == p.source)
    if isinstance(p.synapses[0], SparseSynapses):
        return p.synapses[0].dense()
    x = np.eye(size)
    for synapse in p.synapses:
        x = x @ synapse.weight.T
    return x.T


@pytest.mark.parametrize(
    ("recipe", "source", "target"),
    [
        (sp.Dense(np.ones((4, 10))), 10, 4),
        (sp.Dense(np.ones((4, 18))), (2, 3, 3), (4, 1, 1)),
        (sp.AllToAll(0.5), (2, 5), 4),
        (sp.OneToOne(2.0), (2, 5), (2, 5)),
        (sp.Conv2d(np.ones((4, 2, 3, 3)), padding=1), (2, 6, 6), (4, 6, 6)),
        (sp.Conv2d(np.ones((4, 1, 3, 3)), padding="same", groups=2), (2, 6, 6), (4, 6, 6)),
        (sp.Conv1d(np.ones((3, 2, 5)), stride=2), (2, 11), (3, 4)),
        (sp.SumPool2d(2), (2, 6, 6), (2, 3, 3)),
        (sp.AvgPool2d(3, stride=1, padding=1), (2, 6, 6), (2, 6, 6)),
        ((sp.SumPool2d(2), sp.Dense(np.ones((5, 18)))), (2, 6, 6), 5),
        (None, (3, 3), (3, 3)),
    ],
)
def test_shapes_that_fit_are_built_and_run(recipe, source, target):
    run = sp.run(
        one_way(recipe, source, target), {"x": sp.Poisson(200.0)}, duration=0.02, record=["y.spikes"], on="reference"
    )
    assert run["y.spikes"].n_steps == 20


def test_all_that_does_not_fit_is_said_at_once_by_path_with_both_shapes():
    column = sp.Module("column")
    exc = column.population("exc", 4, sp.IF())
    column.connect(column.input("in", 10), exc, sp.Dense(np.ones((4, 9))))
    column.connect(exc, exc, sp.OneToOne(np.ones(3)), delay=0.0015)
    column.output("out", exc)
    net = sp.Network("n")
    part, other = net.add("v1", column), net.population("inh", 5, sp.IF())
    net.connect(net.input("x", 10), part["in"])
    net.connect(part["out"], other)
    with pytest.raises(sp.GraphError) as caught:
        net.build()
    said = [str(p) for p in caught.value.problems]
    assert len(said) == 3
    assert any(text.startswith("v1/in -> exc") and "(10,)" in text and "(4,)" in text for text in said)
    assert any(text.startswith("v1/exc -> exc") and "(3,)" in text and "(4,)" in text for text in said)
    assert any("v1/out -> inh" in text and "(4,)" in text and "(5,)" in text for text in said)


def test_a_delay_is_the_time_from_spike_to_arrival():
    for delay, steps in ((0.0, 1), (0.001, 1), (0.002, 2), (0.1, 100)):
        net = one_way(sp.Dense(np.full((4, 10), 2.0), delay=delay))
        x = np.zeros((110, 10))
        x[3] = 1
        run = sp.run(net, {"x": x}, duration=0.11, record=["y.spikes"])
        assert set(run["y.spikes"].steps.tolist()) == {3 + steps}


def test_a_delay_between_steps_is_refused_with_both_times():
    with pytest.raises(sp.GraphError, match=r"0\.0015 s is no whole number of steps of 0\.001 s"):
        one_way(sp.AllToAll(delay=0.0015)).build()
    assert one_way(sp.AllToAll(delay=0.0015)).build(dt=5e-4).projections[0].delay == 2


def test_parts_have_paths_and_ports_between_them_vanish():
    leaf = sp.Module("leaf")
    cells = leaf.population("cells", 3, sp.IF())
    leaf.connect(leaf.input("in", 3), cells, sp.Dense(2 * np.eye(3)), delay=0.002)
    leaf.output("out", cells)
    area = sp.Module("area")
    entry, parts = area.input("in", 3), [area.add(name, leaf) for name in ("a", "b")]
    area.connect(entry, parts[0]["in"])
    area.connect(parts[0]["out"], parts[1]["in"], delay=0.003)
    area.output("out", parts[1]["out"])
    net = sp.Network("n")
    part = net.add("area", area)
    net.connect(net.input("x", 3), part["in"])
    net.output("y", part["out"])
    built = net.build()
    assert [p.name for p in built.populations] == ["area/a/cells", "area/b/cells"]
    assert {p.name: p.delay for p in built.projections} == {
        "x -> area/a/cells": 2,  # the latency of one step, and what is behind the port
        "area/a/cells -> area/b/cells": 4,
    }
    assert built.outputs[0].source == "area/b/cells"
    x = np.zeros((20, 3))
    x[0, 1] = 1
    run = sp.run(built, {"x": x}, duration=0.02)
    assert run["area/b/cells.spikes"].steps.tolist() == [3 + 5]


def test_a_port_that_no_connection_can_stand_for_is_a_relay_with_the_same_spikes():
    weights = np.random.default_rng(0).integers(-2, 4, (6, 5)) / 2.0

    def made(inner):
        leaf = sp.Module("leaf")
        cells = leaf.population("cells", 6, sp.IF())
        leaf.connect(leaf.input("in", 5), cells, inner, delay=0.002)
        leaf.output("out", cells)
        net = sp.Network("n")
        part = net.add("leaf", leaf)
        net.connect(net.input("x", 5), part["in"], sp.OneToOne(2.0), delay=0.004)
        net.output("y", part["out"])
        return net.build()

    pre, post = (axis.ravel() for axis in np.meshgrid(np.arange(5), np.arange(6)))
    folded, kept = made(sp.Dense(weights)), made(sp.Sparse(pre, post, weights[post, pre]))
    assert [type(p.neuron) for p in folded.populations] == [sp.IF]
    assert [type(p.neuron) for p in kept.populations] == [Relay, sp.IF]
    x = {"x": np.random.default_rng(1).integers(0, 2, (50, 5))}
    for on in ("reference", None):
        trains = [sp.run(n, x, duration=0.05, on=on)["leaf/cells.spikes"] for n in (folded, kept)]
        assert len(trains[0]) > 20
        assert trains[0].steps.tolist() == trains[1].steps.tolist()
        assert trains[0].neurons.tolist() == trains[1].neurons.tolist()


def test_an_input_that_nothing_reaches_is_refused_unless_it_is_silent_on_purpose():
    leaf = sp.Module("leaf")
    leaf.connect(leaf.input("in", 3), leaf.population("cells", 3, sp.IF()))
    net = sp.Network("n")
    net.add("a", leaf)
    with pytest.raises(sp.GraphError, match="a/in: is an input that nothing is connected to"):
        net.build()
    net = sp.Network("n")
    net.add("a", leaf, silent=("in",))
    assert [p.name for p in net.build().populations] == ["a/cells"]


def test_what_cannot_be_written_is_refused_where_it_is_written():
    net, other = sp.Network("n"), sp.Network("m")
    x, y = net.input("x", 3), net.population("y", 3, sp.IF())
    for call, said in (
        (lambda: net.connect(y, x), "no connection can end there"),
        (lambda: net.connect(x, other.population("z", 3, sp.IF())), "belongs to module m, not to n"),
        (lambda: net.connect("x", y), "cannot begin at a str"),
        (lambda: net.population("y", 3, sp.IF()), "is a name that is taken"),
        (lambda: net.population("a/b", 3, sp.IF()), "is no name"),
        (lambda: net.population("z", 3, sp.IF), "IF is not a neuron with its parameters"),
        (lambda: net.population("z", 0, sp.IF()), "its shape is 0"),
        (lambda: net.population("z", True, sp.IF()), "its shape is True"),
        (lambda: net.output("o", x), "has no population of this module as its source"),
        (lambda: net.add("p", net), "would be inside itself"),
        (lambda: net.add("p", 3), "int is no module"),
        (lambda: net.probe(y, "volts"), "is nothing to record"),
    ):
        with pytest.raises(sp.GraphError, match=said):
            call()
    leaf = sp.Module("leaf")
    net.add("p", leaf)
    with pytest.raises(sp.GraphError, match="is sealed: it is part of n/p"):
        leaf.input("late", 3)


def test_drawn_connections_depend_on_seed_and_path_alone():
    def drawn(seed, order):
        net = sp.Network("n", seed=seed)
        ports = {name: net.population(name, 30, sp.IF()) for name in ("a", "b")}
        for name in order:
            net.connect(ports[name], ports["b"], sp.FixedProbability(0.3, sp.Normal(1.0, 0.1)))
        built = net.build()
        return {p.name: p.synapses[0].dense() for p in built.projections}

    first, swapped, other = drawn(0, "ab"), drawn(0, "ba"), drawn(1, "ab")
    for name in first:
        assert np.array_equal(first[name], swapped[name])
        assert not np.array_equal(first[name], other[name])
    assert not np.array_equal(first["a -> b"], first["b -> b"])


def test_each_pair_is_drawn_with_its_probability():
    built = one_way(sp.FixedProbability(0.2, seed=3), 300, 500).build()
    dense = matrix(built)
    assert set(np.unique(dense)) == {0.0, 1.0}
    joined = dense.sum()
    spread = np.sqrt(300 * 500 * 0.2 * 0.8)
    assert abs(joined - 300 * 500 * 0.2) < 5 * spread  # one in a million
    for axis, n in ((0, 500), (1, 300)):
        sums = dense.sum(axis=axis)
        assert abs(sums.var() - 0.16 * n) < 0.2 * 0.16 * n * 2  # binomial, not lumped


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-7])
def test_probabilities_at_the_ends(p):
    joined = len(one_way(sp.FixedProbability(p)).build().projections[0].synapses[0].targets)
    assert joined == (40 if p == 1 else 0)


def test_in_degrees_are_what_was_asked_for():
    net = sp.Network("n")
    y = net.population("y", 20, sp.IF())
    net.connect(y, y, sp.FixedInDegree(19, multapses=False, self_connections=False))
    dense = matrix(net.build())
    assert np.array_equal(dense, 1 - np.eye(20))
    net.connect(y, y, sp.FixedInDegree(7))
    assert (matrix(net.build(), 1).sum(axis=1) == 7).all()
    bad = sp.Network("n")
    z = bad.population("z", 20, sp.IF())
    bad.connect(z, z, sp.FixedInDegree(20, multapses=False, self_connections=False))
    with pytest.raises(sp.GraphError, match="each target neuron takes 20 synapses, and there are 19 sources"):
        bad.build()


def test_near_neurons_are_joined_more_often():
    net = sp.Network("n")
    sheet = net.population("sheet", (20, 20), sp.IF())
    net.connect(sheet, sheet, sp.DistanceDependent(sp.Normal(0, 0.1), self_connections=False, speed=50.0), delay=0.001)
    built = net.build()
    assert len(built.projections) > 3  # one a delay
    total = sum(matrix(built, i) for i in range(len(built.projections)))
    assert not np.diag(total).any()
    index = np.stack(np.unravel_index(np.arange(400), (20, 20)), axis=1) / 20
    apart = np.sqrt(((index[:, None] - index[None]) ** 2).sum(axis=2))
    assert total[apart < 0.1].mean() > 5 * total[(apart > 0.2) & (apart < 0.3)].mean()
    for p in built.projections:
        j = np.repeat(np.arange(400), np.diff(p.synapses[0].offsets))
        here = apart[p.synapses[0].targets, j]
        assert (np.rint(here / 50.0 / 1e-3) == p.delay).all()


def test_single_synapses_keep_their_weights_and_delays():
    net = one_way(sp.Sparse([0, 0, 9, 9], [1, 1, 3, 2], [0.5, 1.0, 2.0, 4.0], [0.001, 0.002, 0.001, 0.002]))
    built = net.build()
    assert [p.delay for p in built.projections] == [0, 1]
    assert matrix(built, 0)[1, 0] == 0.5
    assert matrix(built, 1)[1, 0] == 1.0
    with pytest.raises(sp.GraphError, match="give one a synapse"):
        one_way(sp.Sparse([0, 1], [1, 1], [0.5])).build()


def test_a_finished_network_is_a_part_that_does_what_it_did():
    inner = one_way(sp.Dense(np.random.default_rng(0).integers(0, 3, (4, 10)) / 4.0))
    inner.output("out", inner.links[0].target)
    built = inner.build()
    x = {"x": np.random.default_rng(1).integers(0, 2, (40, 10))}
    alone = sp.run(built, x, duration=0.04)["y.spikes"]
    net = sp.Network("whole")
    part = net.add("part", built)
    net.connect(net.input("x", 10), part["x"])
    net.output("out", part["out"])
    inside = sp.run(net, x, duration=0.04)["part/y.spikes"]
    assert len(alone) > 10
    assert inside.steps.tolist() == alone.steps.tolist()
    assert inside.neurons.tolist() == alone.neurons.tolist()
    other = sp.Network("whole")
    other.connect(other.input("x", 10), other.add("part", built)["x"])
    with pytest.raises(sp.GraphError, match=r"part: was built with dt=0\.001"):
        other.build(dt=1e-4)


def test_networks_by_hand_go_where_built_ones_go(tmp_path):
    leaf = sp.Module("leaf")
    leaf.output("out", leaf.population("cells", 3, sp.LIF(tau=0.02, bias=3.0)))
    net = sp.Network("n")
    net.output("y", net.add("v1", leaf)["out"])
    ledger = sp.to_nir(net, tmp_path / "n.nir")
    again = sp.from_nir(tmp_path / "n.nir")
    assert [p.name for p in again.populations] == ["v1.cells"]
    first, second = sp.run(net, duration=0.1), sp.run(again, duration=0.1)
    assert first["v1/cells.spikes"].steps.tolist() == second["v1.cells.spikes"].steps.tolist()
    assert len(first["v1/cells.spikes"]) > 3
    assert sp.check(net, "loihi2").outcome == sp.check(net.build(), "loihi2").outcome
    with sp.open(sp.compile(net, "reference")) as session:
        assert session.run(max_steps=100).counts["v1/cells"].sum() == len(first["v1/cells.spikes"])
    assert ledger


def learner():
    """A built network that learns, with its input and output."""
    net = sp.Network("learner")
    y = net.population("y", 3, sp.IF(threshold=2.0))
    rule = sp.STDP(a_plus=0.5, a_minus=0.25, tau_plus=0.02, tau_minus=0.02, w_max=4.0)
    net.connect(net.input("x", 3), y, sp.Dense(np.full((3, 3), 1.0)), plasticity=rule)
    net.output("out", y)
    return net


def test_a_finished_network_goes_on_learning_as_a_part_and_keeps_its_ledger():
    lost = sp.Approximation("y", "rounded", 0.5)
    built = replace(learner().build(), ledger=(lost,))
    net = sp.Network("whole")
    part = net.add("part", built)
    net.connect(net.input("x", 3), part["x"])
    net.output("out", part["out"])
    whole = net.build()
    assert whole.ledger == (sp.Approximation("part/y", "rounded", 0.5),)
    x = {"x": np.random.default_rng(0).integers(0, 2, (40, 3))}
    alone, inside = sp.run(built, x, duration=0.04).weights["x -> y"], sp.run(whole, x, duration=0.04).weights
    assert np.array_equal(inside["x -> part/y"], alone)
    assert not np.array_equal(alone, np.full_like(alone, 1.0))


def test_a_port_in_front_of_what_learns_stays_where_copies_or_delays_would_learn_otherwise():
    def made(sources, delay):
        leaf = sp.Module("leaf")
        y = leaf.population("y", 3, sp.IF(threshold=2.0))
        rule = sp.STDP(a_plus=0.5, a_minus=0.25, tau_plus=0.02, tau_minus=0.02, w_max=4.0)
        leaf.connect(leaf.input("in", 3), y, sp.Dense(np.full((3, 3), 1.0)), plasticity=rule)
        leaf.output("out", y)
        net = sp.Network("n")
        part = net.add("leaf", leaf)
        for i in range(sources):
            net.connect(net.input(f"x{i}", 3), part["in"], delay=delay)
        return [p.name for p in net.build().populations]

    assert made(1, 0.0) == ["leaf/y"]
    assert made(2, 0.0) == made(1, 0.003) == ["leaf/in", "leaf/y"]


def test_a_part_without_latency_is_refused_in_a_network_with_it():
    inner = sp.Network("inner")
    a, b = inner.population("a", 2, sp.IF()), inner.population("b", 2, sp.IF())
    inner.connect(inner.input("x", 2), a)
    inner.connect(a, b)
    quick = inner.build(contract=sp.DynamicsContract(dt=1e-3, integrator="exponential", synapse="delta"))
    net = sp.Network("n")
    net.connect(net.input("x", 2), net.add("part", quick)["x"])
    with pytest.raises(sp.GraphError, match="part/a -> b: takes 0 steps"):
        net.build()


def test_probes_of_parts_and_of_ports_are_recorded_under_the_path_of_their_population():
    leaf = sp.Module("leaf")
    cells = leaf.population("cells", 2, sp.LIF(tau=0.02, bias=3.0))
    leaf.output("out", cells)
    leaf.probe(cells, "v")
    net = sp.Network("n")
    net.probe(net.add("a", leaf)["out"])
    net.add("b", leaf)
    assert sp.run(net, duration=0.05).names == ("a/cells.spikes", "a/cells.v", "b/cells.v")
    with pytest.raises(sp.GraphError, match="is no population"):
        net.probe(net.input("x", 2))


def test_drawn_delays_below_zero_are_refused_and_no_synapses_keep_their_bias():
    with pytest.raises(sp.GraphError, match="give the distribution low=0"):
        one_way(sp.FixedProbability(1.0, delay=sp.Normal(0.001, 0.001))).build()
    assert one_way(sp.FixedProbability(1.0, delay=sp.Normal(0.001, 0.001, low=0.0))).build()
    built = one_way(sp.FixedProbability(0.0, delay=sp.Uniform(0.0, 0.01)), bias=np.full(4, 2.0)).build()
    assert built.projections[0].bias.tolist() == [2.0] * 4
    mine = np.ones(40)
    with pytest.raises(sp.GraphError, match="a number, Normal or Uniform"):
        one_way(sp.AllToAll(mine)).build()
    assert mine.flags.writeable


@pytest.mark.parametrize("pre", [1, 300, 2**16, 2**16 + 1, 200_000])
def test_synapses_by_target_are_put_by_source_in_their_order(pre):
    from spikeport.network.resolve import _by_source

    sources = np.random.default_rng(0).integers(0, pre, 20_000)
    offsets, targets = _by_source(sources, np.arange(20_000), pre)
    assert np.array_equal(targets, np.argsort(sources, kind="stable"))
    assert np.array_equal(np.diff(offsets), np.bincount(sources, minlength=pre))
