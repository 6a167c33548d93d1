"""Networks of Nengo, imported, beside Nengo's own simulator: spike for spike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

nengo = pytest.importorskip("nengo", reason="Nengo is not installed")

import spikeport as sp  # noqa: E402
from spikeport import native  # noqa: E402
from spikeport.errors import DataError, NengoError, OptionError  # noqa: E402
from tests.nengo.networks import EXAMPLES, network  # noqa: E402

ROUNDING = 1e-11
"""Of decoded values and potentials, as a share of their largest: BLAS adds the terms of a product in another order than we do, and so does the
C library's expm1 differ from numpy's in the last bit."""


def compared(made: Any, duration: float = 0.3, *, on: str | None = None, **options: Any) -> Any:
    """The imported network, after each of its probes was compared: spikes are equal, all other numbers but for rounding."""
    with nengo.Simulator(made, progress_bar=False) as simulator:
        simulator.run(duration)
        model = sp.from_nengo(simulator, **options)
        run = model.run(duration, on=on)
        assert np.allclose(run.times, simulator.trange(), rtol=1e-15)
        for probe in made.all_probes:
            theirs, ours = simulator.data[probe], run[probe]
            assert theirs.shape == ours.shape
            if isinstance(probe.obj, nengo.ensemble.Neurons) and probe.attr == "output" and probe.synapse is None:
                assert theirs.any(), "a network that is silent shows nothing"
                assert (theirs == ours).all(), f"{probe}: {(theirs != ours).sum()} of {theirs.size} differ"
            else:
                assert np.abs(theirs - ours).max() <= ROUNDING * np.abs(theirs).max(), probe
    return model


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_documentation_give_the_same_spikes(name: str) -> None:
    model = compared(network(EXAMPLES[name]))
    assert all(entry.is_remark for entry in model.ledger)


@pytest.mark.parametrize("on", ["reference", "torch", "native"])
def test_every_backend_gives_them(on: str) -> None:
    if on == "native" and native.why_missing():
        pytest.skip("no library")
    if on == "torch":
        pytest.importorskip("torch")
    compared(network(EXAMPLES["squaring"]), 0.1, on=on)
    if on == "reference":
        compared(network(EXAMPLES["learned_channel"]), 0.1, on=on)


def one_of(neuron_type: Any, **options: Any) -> Callable[[], None]:
    """An ensemble that is driven up and down, and feeds another."""

    def describe() -> None:
        drive = nengo.Node(lambda t: [np.sin(25 * t), 0.5])
        a = nengo.Ensemble(50, 2, neuron_type=neuron_type, label="a", **options)
        b = nengo.Ensemble(30, 1, label="b")
        nengo.Connection(drive, a)
        nengo.Connection(a, b, function=lambda x: x[0] * x[1])
        nengo.Probe(a.neurons, "voltage")

    return describe


NEURONS = {
    "amplitude": nengo.LIF(amplitude=0.3),
    "no period": nengo.LIF(tau_ref=0),
    "a part of a step": nengo.LIF(tau_ref=0.0004),
    "parts of steps": nengo.LIF(tau_ref=0.00237, tau_rc=0.05),
    "below zero": nengo.LIF(min_voltage=-0.7),
    "without an end below": nengo.LIF(min_voltage=-np.inf),
    "deaf at first": nengo.LIF(initial_state={"refractory_time": nengo.dists.Uniform(0, 0.005)}),
    "adaptive": nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.2, amplitude=0.7, tau_ref=0.0011),
    "rectified": nengo.SpikingRectifiedLinear(amplitude=0.5),
}


@pytest.mark.parametrize("which", NEURONS)
def test_neurons_are_the_same(which: str) -> None:
    compared(network(one_of(NEURONS[which])), 0.15)


def test_many_spikes_in_a_step() -> None:
    compared(network(one_of(nengo.SpikingRectifiedLinear(), max_rates=nengo.dists.Uniform(2500, 4000))), 0.1)


def test_izhikevich_is_the_same_where_nengo_clips_nothing() -> None:
    def describe() -> None:
        kind, of_each = nengo.Izhikevich(reset_recovery=6.0), np.full(30, 8.0)
        a = nengo.Ensemble(30, 1, neuron_type=kind, gain=of_each, bias=of_each - 1, label="a")
        nengo.Connection(nengo.Node(lambda t: np.sin(25 * t)), a)

    made = network(describe)
    del made.probes[1]  # decoders of a few spikes, which rounding says little about
    model = compared(made, 0.2)
    assert [entry.node for entry in model.ledger if not entry.is_remark] == ["a"]


def wired() -> None:
    """Slices, synapses of each kind, weights from neurons to neurons, passthrough nodes, full weight matrices, nested networks."""
    white = nengo.Node(nengo.processes.WhiteSignal(1.0, high=20), size_out=2, label="a.b/c")
    a = nengo.Ensemble(40, 2, label="a")
    b = nengo.Ensemble(30, 3, noise=nengo.processes.WhiteNoise(), radius=2)
    nengo.Connection(white, a)
    nengo.Connection(a[1], b[[2, 0]], function=lambda x: [x, x * x], synapse=nengo.Alpha(0.01))
    nengo.Connection(a, b[1:], synapse=nengo.Lowpass(0))
    nengo.Connection(a.neurons[::2], b.neurons[3:23], synapse=None, transform=1e-4)
    nengo.Connection(b.neurons[:10], a.neurons[[3, 1]], transform=np.linspace(-1e-3, 1e-3, 20).reshape(2, 10))
    nengo.Connection(b, b, solver=nengo.solvers.LstsqL2(weights=True))
    nengo.Connection(a, a, solver=nengo.solvers.NoSolver(np.full((40, 2), 1e-4)), synapse=0.02)
    sparse = nengo.Sparse((30, 40), indices=[[3, 4], [29, 0], [3, 5]], init=[1e-3, 2e-3, -1e-3])
    nengo.Connection(a.neurons, b.neurons, transform=sparse)
    through = nengo.Node(size_in=2, label="through")
    nengo.Connection(a, through)
    nengo.Connection(through[[1, 1]], b[:2], transform=[2, -1])
    nengo.Probe(through, synapse=nengo.Alpha(0.05), sample_every=0.004)
    nengo.Probe(a.neurons[3:5], synapse=0.1)
    nengo.Probe(b, "input")
    nengo.Probe(a[1])
    nengo.Probe(white)
    nengo.Probe(nengo.Connection(a, through, synapse=0.1))
    with nengo.Network(label="inner") as inner:
        c = nengo.Ensemble(20, 1, neuron_type=nengo.Direct())
        d = nengo.Ensemble(20, 1, label="d")
        nengo.Connection(c, d)
    assert inner
    nengo.Connection(a[0], c)


@pytest.mark.parametrize("optimize", [False, True])
def test_wiring_of_all_kinds(optimize: bool) -> None:
    made = network(lambda: None)
    with made:
        wired()
        for ensemble in made.all_ensembles[:3]:
            nengo.Probe(ensemble.neurons) if not isinstance(ensemble.neuron_type, nengo.Direct) else None
    with nengo.Simulator(made, progress_bar=False, optimize=optimize) as simulator:
        simulator.run(0.15)
        model = sp.from_nengo(simulator)
        run = model.run(0.15)
    assert sorted(model.paths.values()) == ["a", "a_b_c", "ensemble 1", "inner/d", "inner/ensemble 0", "through"]
    for probe in made.all_probes:
        theirs, ours = simulator.data[probe], run[probe]
        if isinstance(probe.obj, nengo.ensemble.Neurons) and probe.synapse is None:
            assert theirs.any()
            assert (theirs == ours).all()
        assert np.abs(theirs - ours).max() <= ROUNDING * np.abs(theirs).max(), probe
    assert model.ledger[0].node == "simulator"


def test_a_network_is_built_with_the_step_that_is_asked_for() -> None:
    made = network(EXAMPLES["squaring"])
    model = sp.from_nengo(made, dt=5e-4)
    with nengo.Simulator(made, dt=5e-4, progress_bar=False) as simulator:
        simulator.run(0.05)
        run = model.run(0.05)
        assert all((simulator.data[p] == run[p]).all() for p in made.all_probes if hasattr(p.obj, "ensemble"))
        assert model.network.contract.dt == 5e-4
        with pytest.raises(OptionError, match="the simulator was built for"):
            sp.from_nengo(simulator, dt=1e-3)


def test_functions_of_nodes_are_called_once_a_step_and_no_others() -> None:
    calls: list[float] = []
    solved: list[Any] = []

    def describe() -> None:
        a = nengo.Ensemble(10, 1)
        nengo.Connection(nengo.Node(lambda t: calls.append(t) or 0.5, size_out=1), a)
        nengo.Connection(a, a, function=lambda x: solved.append(x) or x)

    made = network(describe)
    with nengo.Simulator(made, progress_bar=False) as simulator:
        before = len(solved)
        calls.clear()
        model = sp.from_nengo(simulator)
        assert calls == []
        model.run(0.005)
        assert calls == [0.001, 0.002, 0.003, 0.004, 0.005]
        assert len(solved) == before
        model.run(0.003, inputs={"node 0": np.zeros((3, 1))})
        assert len(calls) == 5


def test_an_input_may_be_given_in_its_place() -> None:
    made = network(EXAMPLES["squaring"])
    model = sp.from_nengo(made)
    plain, other = model.run(0.05), model.run(0.05, inputs={"node 0": np.ones((50, 1))})
    again = model.run(0.05, inputs={"node 0": model.inputs(0.05)["node 0"]})
    for probe in made.all_probes:
        assert (plain[probe] == again[probe]).all()
    assert any((plain[probe] != other[probe]).any() for probe in made.all_probes)
    with pytest.raises(OptionError, match="inputs are node 0"):
        model.run(0.05, inputs={"sine": np.ones((50, 1))})
    with pytest.raises(DataError, match=r"\(50, 1\)"):
        model.run(0.05, inputs={"node 0": np.ones((49, 1))})
    with pytest.raises(OptionError, match="positive number of steps"):
        model.run(0.0)
    with pytest.raises(OptionError, match="was not recorded"):
        plain["b"]


def test_a_node_that_gives_no_numbers_is_named() -> None:
    for gives, what in ((lambda t: np.nan, "not finite"), (lambda t: None, "node 0")):

        def describe(gives: Any = gives) -> None:
            nengo.Connection(nengo.Node(gives, size_out=1), nengo.Ensemble(5, 1))

        with pytest.raises(DataError, match=what):
            sp.from_nengo(network(describe)).run(0.01)


def test_plain_neurons_go_where_others_cannot(tmp_path: Any) -> None:
    made = network(EXAMPLES["squaring"])
    model = sp.from_nengo(made, plain=True)
    lost = [entry for entry in model.ledger if not entry.is_remark]
    assert [(entry.node, entry.error, entry.unit) for entry in lost] == [("a", 1e-3, "s"), ("b", 1e-3, "s")]
    with nengo.Simulator(made, progress_bar=False) as simulator:
        simulator.run(0.5)
        run = model.run(0.5)
        for probe in made.all_probes:
            if hasattr(probe.obj, "ensemble"):
                assert 0.8 < run[probe].sum() / simulator.data[probe].sum() < 1.05
    sp.to_nir(model.network, tmp_path / "squaring.nir")
    back = sp.from_nir(tmp_path / "squaring.nir")
    x = model.inputs(0.1)
    ours, theirs = (sp.simulate(n, x, record=["a", "b"]) for n in (model.network, back))
    assert all((ours.counts[n] == theirs.counts[n]).all() for n in ("a", "b"))


def test_it_is_part_of_a_network_by_hand() -> None:
    model = sp.from_nengo(network(EXAMPLES["squaring"]))
    net = sp.Network("around")
    eye = net.add("nengo", model.network)
    net.connect(net.input("in", 1), eye["node 0"])
    x = model.inputs(0.05)["node 0"]
    run = sp.run(net, {"in": x}, duration=0.05, contract=model.network.contract, record=["nengo/b.spikes"])
    alone = sp.simulate(model.network, x, record=["b"])
    assert alone.counts["b"].any()
    assert (run.counts["nengo/b"] == alone.counts["b"]).all()


class Mine(nengo.LIF):
    """Whose `step` may be anything."""


def refused_parts() -> None:
    """Everything that is not carried, once."""
    a, b = nengo.Ensemble(10, 1, label="a"), nengo.Ensemble(10, 1, label="b")
    for i, kind in enumerate(
        [nengo.LIFRate(), nengo.RectifiedLinear(), nengo.Sigmoid(), Mine(), nengo.PoissonSpiking(nengo.LIFRate())]
    ):
        rate = nengo.Ensemble(10, 1, neuron_type=kind, label=f"kind {i}")
        nengo.Connection(rate, a)  # is not told twice
    nengo.Connection(a, b, synapse=nengo.synapses.Triangle(0.01), label="triangle")
    nengo.Connection(a, b, synapse=nengo.LinearFilter([1], [0.1, 0.2, 1]), label="linear")
    nengo.Connection(a, b, synapse=nengo.Lowpass(0.1, method="bilinear"), label="bilinear")
    python = nengo.Node(lambda t, x: x, size_in=1, label="python")
    nengo.Connection(a, python)
    nengo.Connection(nengo.Node(1.0), b, function=lambda x: x, label="function")
    direct = nengo.Ensemble(10, 1, neuron_type=nengo.Direct(), label="direct")
    nengo.Connection(direct, b, function=lambda x: x, label="of direct")
    nengo.Connection(a, b, learning_rule_type=nengo.Voja(), label="voja")
    nengo.Connection(a, b, learning_rule_type=nengo.PES(pre_synapse=None), label="unfiltered")
    convolved = nengo.Convolution(1, (5, 2), kernel_size=(3,), strides=(1,))
    nengo.Connection(a.neurons, nengo.Node(size_in=3), transform=convolved, label="convolution")


def test_all_that_cannot_be_carried_is_named_at_once() -> None:
    with pytest.raises(NengoError) as caught:
        sp.from_nengo(network(refused_parts))
    said = {p.where: p.why for p in caught.value.problems}
    expected = {
        "kind 0": "sends rates", "kind 1": "sends rates", "kind 2": "sends rates", "kind 3": "Mine is no neuron",
        "kind 4": "PoissonSpiking is no neuron", "triangle": "no Lowpass and no Alpha", "linear": "no Lowpass and no Alpha",
        "bilinear": "zero-order hold", "python": "computes in Python", "function": "calls a Python function",
        "of direct": "calls a Python function", "voja": "learns by", "unfiltered": "filters activities by None",
        "convolution": "is a convolution",
    }  # fmt: skip
    assert set(said) == set(expected)
    for where, why in expected.items():
        assert why in said[where]
    assert all(p.hint for p in caught.value.problems)


def test_what_is_not_called_or_recorded_stands_in_the_ledger() -> None:
    def describe() -> None:
        a = nengo.Ensemble(10, 1, label="a")
        nengo.Connection(a, nengo.Node(lambda t, x: None, size_in=1, label="log"))
        nengo.Probe(a.neurons, "refractory_time", label="deaf")

    model = sp.from_nengo(network(describe, seed=None))
    assert [entry.node for entry in model.ledger] == ["net", "log", "deaf"]
    assert "no seed" in model.ledger[0].what


def test_an_error_that_arrives_within_its_step_is_refused() -> None:
    def describe() -> None:
        a = nengo.Ensemble(10, 1, label="a")
        c = nengo.Connection(a, nengo.Ensemble(10, 1), learning_rule_type=nengo.PES())
        nengo.Connection(a, c.learning_rule, synapse=None)

    with pytest.raises(NengoError, match="give the connection to the rule a synapse"):
        sp.from_nengo(network(describe))


def test_an_error_may_come_from_outside() -> None:
    def describe() -> None:
        a = nengo.Ensemble(30, 1, label="a")
        c = nengo.Connection(a, nengo.Node(size_in=1), learning_rule_type=nengo.PES(1e-2), transform=-1)
        nengo.Connection(nengo.Node(lambda t: np.sin(40 * t)), c.learning_rule, synapse=None)
        nengo.Probe(c, "weights")
        nengo.Probe(c, "output")

    compared(network(describe), 0.1)


def test_something_else_is_no_network() -> None:
    with pytest.raises(OptionError, match=r"a nengo\.Network"):
        sp.from_nengo("net")  # type: ignore[arg-type]
