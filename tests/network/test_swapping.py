"""Parts of a hierarchy in the place of others: as if the network had been written so."""

import numpy as np
import pytest

import spikeport as sp
from spikeport.network import with_part
from tests.runtime.changing import assert_equal_networks, assert_equal_runs, assert_equal_states

X = {"eye": sp.Poisson(120.0, seed=2)}
RECORD = ["v1/exc.v", "v2/exc.v", "top.v", "top.spikes"]


def column(weight=0.3, tau=0.02, size=6, extra=False):
    module = sp.Module("column")
    exc = module.population("exc", size, sp.LIF(tau=tau))
    module.connect(module.input("in", 5), exc, sp.AllToAll(weight))
    if extra:
        inh = module.population("inh", 3, sp.LIF(tau=0.01))
        module.connect(exc, inh, sp.AllToAll(0.4))
        module.connect(inh, exc, sp.AllToAll(-0.2), delay=0.002)
    module.output("out", exc)
    return module


def cortex(first, second):
    net = sp.Network("cortex")
    v1, v2 = net.add("v1", first), net.add("v2", second)
    top = net.population("top", 4, sp.LIF(tau=0.02, threshold=0.8))
    eye = net.input("eye", 5)
    net.connect(eye, v1["in"])
    net.connect(eye, v2["in"], delay=0.003)
    net.connect(v1["out"], top, sp.FixedProbability(0.6, 0.3), plasticity=sp.STDP(a_plus=0.02, a_minus=0.01, w_max=1.0))
    net.connect(v2["out"], top, sp.FixedProbability(0.6, 0.2))
    net.output("out", top)
    return net


def test_a_swapped_part_is_as_if_it_had_been_written_so_and_its_twin_stays():
    same = column()
    net = cortex(same, same)
    made = with_part(net, "v1", column(weight=0.5, extra=True))
    assert_equal_networks(made.build(), cortex(column(weight=0.5, extra=True), column()).build())
    same = column()
    assert_equal_networks(net.build(), cortex(same, same).build())


def test_a_part_of_a_part_is_swapped():
    def outer(inner):
        module = sp.Module("outer")
        part = module.add("deep", inner)
        module.connect(module.input("in", 5), part["in"], sp.OneToOne(0.9))
        module.output("out", part["out"])
        return module

    made = with_part(cortex(outer(column()), column()), "v1/deep", column(tau=0.01))
    assert_equal_networks(made.build(), cortex(outer(column(tau=0.01)), column()).build())


@pytest.mark.parametrize(
    ("path", "module", "said"),
    [
        ("v3", column(), r"v3: 'v3' is no module that was added to cortex\n  hint: parts of cortex are v1, v2"),
        ("v1/exc", column(), "'exc' is no module that was added to column"),
        ("top", column(), "'top' is no module"),
        ("v1", column(size=7), r"v1/out: has shape \(7,\), and what it stands for \(6,\)"),
        ("v1", sp.Module("empty"), r"v1: has no input 'in', which is connected"),
    ],
)
def test_what_does_not_fit_is_refused_by_path(path, module, said):
    with pytest.raises(sp.GraphError, match=said):
        with_part(cortex(column(), column()), path, module)


def test_inputs_that_nothing_is_connected_to_are_refused():
    module = column()
    module.input("more", 2)
    with pytest.raises(sp.GraphError, match=r"v1/more: is an input that nothing is connected to"):
        with_part(cortex(column(), column()), "v1", module)
    module.input("open", 2)  # what was refused is not sealed


def test_a_swap_before_the_first_step_is_a_network_that_was_written_so():
    other = column(weight=0.5, extra=True)
    with sp.Session(cortex(column(), column())) as swapped, sp.Session(cortex(other, column())) as written:
        swapped.apply(sp.Swap("v1", column(weight=0.5, extra=True)))
        assert_equal_states(swapped.snapshot().state, written.snapshot().state)
        assert_equal_runs(*(s.run(X, duration=0.05, record=RECORD) for s in (swapped, written)))


@pytest.mark.parametrize("keep", [False, True])
def test_a_swap_begins_anew_inside_and_leaves_the_outside(keep):
    name = "v1/exc -> top"
    with sp.Session(cortex(column(), column())) as session:
        session.run(X, duration=0.05)
        before = session.snapshot().state
        session.apply(sp.Swap("v1", column(weight=0.5, extra=True), keep=keep))
        after = session.snapshot().state
        for outside in ("v2/exc", "top"):
            assert np.array_equal(before.populations[outside].v, after.populations[outside].v)
            assert np.array_equal(before.populations[outside].arriving, after.populations[outside].arriving)
        assert np.array_equal(before.populations["v1/exc"].v, after.populations["v1/exc"].v) == keep
        assert np.array_equal(before.plastic[name].weights, after.plastic[name].weights) == keep
        assert not after.populations["v1/inh"].v.any()
        session.run(X, duration=0.02, record=["v1/inh.v"])
        session.undo()
        assert_equal_networks(session.network, cortex(column(), column()).build())
        journal = session.journal
        assert_equal_states(sp.replay(journal).snapshot.state, session.snapshot().state)


def test_events_outside_survive_a_swap():
    with sp.Session(cortex(column(), column())) as session:
        session.apply(sp.SetParameters("v2/exc", tau=0.005))
        session.apply(sp.Gate("v1", False))
        session.apply(sp.Swap("v1", column(extra=True)))
        assert session.network["v2/exc"].neuron.tau == 0.005
        assert session.gates == ("v1",)
        session.apply(sp.AddNeurons("top", 1))
        with pytest.raises(sp.GraphError, match=r"v1/exc -> top: .*\n  hint: the populations outside changed"):
            session.apply(sp.Swap("v1", column()))


def test_a_flat_network_knows_no_ports():
    with (
        sp.Session(cortex(column(), column()).build()) as session,
        pytest.raises(sp.OptionError, match=r"v1: is swapped in a flat network.*\n  hint: .*Replace"),
    ):
        session.apply(sp.Swap("v1", column()))
