"""Runs of networks by hand: what enters, what is recorded, how it is shown, and what is refused."""

from xml.etree import ElementTree

import numpy as np
import pytest

import spikeport as sp
from spikeport import native


def network():
    net = sp.Network("demo")
    x, hid = net.input("x", (2, 3)), net.population("hid", 4, sp.LIF(tau=0.02))
    net.connect(x, hid, sp.Dense(np.full((4, 6), 0.5)))
    net.output("out", hid)
    return net, hid


def test_spike_times_belong_to_the_step_they_lie_in():
    net, _ = network()
    times = sp.SpikeTimes([0.0, 0.003, 0.0029999999999, 0.0059], [0, 1, 5, 5])
    raster = np.zeros((10, 2, 3))
    raster[0, 0, 0] = raster[3, 0, 1] = raster[3, 1, 2] = raster[5, 1, 2] = 1
    found = [sp.run(net, {"x": x}, duration=0.01, record=["hid.v"])["hid.v"] for x in (times, raster, raster[:, None])]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert found[0].any()


def test_several_spikes_in_one_place_count_as_many():
    net, _ = network()
    run = sp.run(net, {"x": sp.SpikeTimes([0.001, 0.0011], [2, 2])}, duration=0.005, record=["hid.v"])
    assert run["hid.v"][:, 0, 0].tolist()[:3] == [0.0, 0.0, 1.0]


def test_poisson_has_its_rate_and_its_variance():
    net, _ = network()
    rate = np.array([[0.0, 10.0, 1500.0], [20.0, 0.0, 300.0]])
    from spikeport.runtime.inputs import entering

    place = net.build().inputs[0]
    events = entering(place, sp.Poisson(rate, seed=1), n_steps=20_000, dt=1e-3)
    counts = events.train().raster[:, 0]
    assert not counts[:, rate == 0].any()
    assert np.allclose(counts.mean(axis=0), rate * 1e-3, rtol=0.2)
    busy = counts[:, 0, 2]
    assert abs(busy.var() / busy.mean() - 1) < 0.1
    assert abs(np.corrcoef(busy[:-1], busy[1:])[0, 1]) < 0.05


def test_outputs_and_probes_are_recorded_unless_something_is_asked_for():
    net, hid = network()
    net.probe(hid, "v")
    run = sp.run(net, {"x": sp.Poisson(100.0)}, duration=0.05)
    assert run.names == ("hid.v", "hid.spikes")
    assert run["hid.v"].shape == (50, 1, 4)
    only = sp.run(net, {"x": sp.Poisson(100.0)}, duration=0.05, record=["hid.v"])
    assert not only.recording.spikes
    assert only.duration == 0.05
    assert only.rates("hid").shape == (1, 4)
    with pytest.raises(sp.OptionError, match=r"hid\.spikes: was not recorded"):
        only["hid.spikes"]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"inputs": {"y": np.zeros((10, 2, 3))}}, sp.DataError, "is no input of this network"),
        ({"inputs": {"x": np.zeros((10, 3, 2))}}, sp.DataError, "has shape"),
        ({"inputs": {"x": sp.Poisson(-1.0)}}, sp.DataError, "no numbers of hertz"),
        ({"inputs": {"x": sp.Poisson(np.ones(4))}}, sp.DataError, r"rates of shape \(4,\)"),
        ({"inputs": {"x": sp.SpikeTimes([0.01], [0])}}, sp.DataError, "outside of the run"),
        ({"inputs": {"x": sp.SpikeTimes([0.001], [6])}}, sp.DataError, "lines other than 0 to 5"),
        ({"duration": 0.0105}, sp.OptionError, "a positive number of steps"),
        ({"duration": 0}, sp.OptionError, "a positive number of steps"),
        ({"duration": float("nan")}, sp.OptionError, "a positive number of steps"),
        ({"record": ["hid.spike"]}, sp.OptionError, r"did you mean 'hid\.spikes'"),
        ({"record": ["hid"]}, sp.OptionError, "is nothing to record"),
        ({"record": "hid.v"}, sp.OptionError, r"a list: \['hid\.v'\]"),
        ({"on": "abacus"}, sp.OptionError, "is no backend"),
        (
            {"dt": 1e-3, "contract": sp.DynamicsContract(dt=1e-4, integrator="exponential")},
            sp.OptionError,
            "give one of them",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, error, said):
    net, _ = network()
    with pytest.raises(error, match=said):
        sp.run(net, change.pop("inputs", None), **{"duration": 0.01, **change})


def test_pictures_are_svg_with_every_spike_and_names_escaped():
    net = sp.Network("p")
    name = "<b>&'\""
    cells = net.population(name, 3, sp.LIF(tau=0.02, bias=[0.0, 1.5, 3.0]))
    net.output("out", cells)
    run = sp.run(net, duration=0.1, record=[f"{name}.spikes", f"{name}.v"])
    svg = run.plot().svg
    root = ElementTree.fromstring(svg)
    paths = [e for e in root.iter() if e.tag.endswith("path")]
    assert paths[0].get("d").count("M") == len(run[f"{name}.spikes"]) > 3
    assert len([e for e in root.iter() if e.tag.endswith("polyline")]) == 3
    assert run.plot(f"{name}.v").svg.count("<polyline") == 3
    with pytest.raises(sp.OptionError, match="sample"):
        run.plot(sample=1)


def test_large_pictures_stay_small_and_say_what_they_leave_out():
    net = sp.Network("p")
    net.output("out", net.population("n", 5000, sp.LIF(tau=0.02, bias=4.0)))
    svg = sp.run(net, duration=0.5).plot().svg
    assert "every 12.5th of 5,000 neurons" in svg
    assert len(svg) < 1_000_000


def test_nirdata_gives_the_spikes_back(tmp_path):
    nir = pytest.importorskip("nir")
    net, _ = network()
    run = sp.run(net, {"x": sp.Poisson(300.0)}, duration=0.05)
    data = nir.read_data(str(run.to_nirdata(tmp_path / "run.h5")))
    raster = data.nodes["hid"].observables["spikes"].to_time_gridded(1e-3).data
    assert np.array_equal(np.asarray(raster)[0], run["hid.spikes"].train().raster[:, 0])


def test_neo_gives_the_spikes_back():
    pytest.importorskip("neo", reason="Neo is an extra")
    net, _ = network()
    run = sp.run(net, {"x": sp.Poisson(300.0)}, duration=0.05, record=["hid.spikes", "hid.v"])
    segment = run.to_neo().segments[0]
    events = run["hid.spikes"]
    for neuron, train in enumerate(segment.spiketrains):
        assert np.allclose(train.magnitude, (events.steps[events.neurons == neuron] + 1) * 1e-3)
    assert np.array_equal(np.asarray(segment.analogsignals[0].magnitude), run["hid.v"][:, 0])


def learner(rule):
    net = sp.Network("learner")
    pre, drive = net.input("pre", (2,)), net.input("drive", (1,))
    post = net.population("post", 1, sp.Threshold(threshold=50.0))
    net.connect(drive, post, sp.Dense(np.array([[100.0]])))
    net.connect(pre, post, sp.Dense(np.array([[0.25, 0.5]])), plasticity=rule)
    net.output("out", post)
    x = {"pre": sp.SpikeTimes([0.001], [0]), "drive": sp.SpikeTimes([0.005], [0])}
    return net, x


def test_a_connection_that_learns_gives_its_weights_by_default():
    net, x = learner(sp.STDP(a_plus=0.1, tau_plus=0.02))
    run = sp.run(net, x, duration=0.01, weights_every=5)
    assert run.weights.keys() == {"pre -> post"}  # "drive -> post" does not learn
    assert np.allclose(run.weights["pre -> post"], [[[0.25 + 0.1 * np.exp(-0.2), 0.5]]], rtol=1e-14, atol=0)
    over = run.weights_over_time["pre -> post"]
    assert np.array_equal(over[:, 0, 0, 0] == 0.25, [True, False])
    assert np.array_equal(over[1], run.weights["pre -> post"])
    assert not sp.run(net, x, duration=0.01, record_weights=[]).weights
    with pytest.raises(sp.OptionError, match=r"drive -> post: is no projection that learns"):
        sp.run(net, x, duration=0.01, record_weights=["drive -> post"])


def test_a_run_is_told_third_factors():
    net, x = learner(sp.RewardSTDP(a_plus=0.1, rate=10.0))
    with pytest.raises(sp.DataError, match="reward"):
        sp.run(net, x, duration=0.01)
    ends = [sp.run(net, x, duration=0.01, modulation={"reward": r}).weights["pre -> post"][0, 0] for r in (-1, 0, 1)]
    assert np.array_equal(ends[1], [0.25, 0.5])
    assert ends[0][0] < 0.25 < ends[2][0]
    assert np.allclose(ends[2][0] - 0.25, 0.25 - ends[0][0], rtol=1e-12, atol=0)
    plain, _ = network()
    with pytest.raises(sp.DataError, match="reward"):
        sp.run(plain, duration=0.01, modulation={"reward": 1.0})


def test_a_rule_inside_a_module_keeps_its_path():
    inner, x = learner(sp.STDP(a_plus=0.1))
    part = sp.Module("part")
    pre, drive = part.input("pre", (2,)), part.input("drive", (1,))
    post = part.population("post", 1, sp.Threshold(threshold=50.0))
    part.connect(drive, post, sp.Dense(np.array([[100.0]])))
    part.connect(pre, post, sp.Dense(np.array([[0.25, 0.5]])), plasticity=sp.STDP(a_plus=0.1))
    net = sp.Network("outer")
    a, b = net.input("pre", (2,)), net.input("drive", (1,))
    ports = net.add("part", part)
    net.connect(a, ports["pre"])
    net.connect(b, ports["drive"])
    found = sp.run(net, x, duration=0.01).weights
    assert found.keys() == {"pre -> part/post"}
    assert np.array_equal(found["pre -> part/post"], sp.run(inner, x, duration=0.01).weights["pre -> post"])


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_third_factors_of_many_targets_mean_the_same_in_a_session_as_in_one_go(shape):
    from spikeport.backends.reference import simulate_dynamics

    rng, size = np.random.default_rng(0), int(np.prod(shape))
    net = sp.Network("many")
    x, post = net.input("x", (4,)), net.population("post", shape, sp.LIF(tau=0.02))
    net.connect(x, post, sp.Dense(rng.uniform(0.3, 0.6, (size, 4))), plasticity=sp.RewardSTDP(a_plus=0.1, rate=10.0))
    made, raster = net.build(), rng.random((20, 2, 4)) < 0.4
    found = []
    for reward in (1.0, rng.normal(size=(20, 1)), rng.normal(size=(20, 2, *shape)), rng.normal(size=(1, 2, *shape))):
        told = {"reward": reward}
        ours = sp.run(made, {"x": raster}, duration=0.02, modulation=told, on="reference").weights["x -> post"]
        whole = simulate_dynamics(made, {"x": raster}, modulation=told, record_weights=["x -> post"])
        assert np.array_equal(ours, whole.weights["x -> post"])
        found.append(ours)
    assert len({w.tobytes() for w in found}) == 4


STATES = {
    "i": sp.CubaLIF(tau_syn=0.005, tau_mem=0.01, bias=0.4),
    "w": sp.AdaptiveLIF(tau=0.02, tau_adapt=0.05, increment=0.3, initial_w=0.125),
    "u": sp.Izhikevich(bias=12.0),
}


def two_states(what):
    net = sp.Network("two")
    x, hid = net.input("x", 3), net.population("hid", 3, STATES[what])
    net.connect(x, hid, sp.OneToOne(2.0))
    net.probe(hid, what)
    net.output("out", hid)
    return net


@pytest.mark.parametrize("what", STATES)
def test_the_second_state_of_neurons_is_recorded_alike_everywhere(what):
    times = sp.SpikeTimes([0.001, 0.004, 0.0041, 0.02], [0, 1, 2, 2])
    runs = {}
    for on in ("reference", "native", "torch"):
        if on == "torch":
            pytest.importorskip("torch")
        if on == "native" and not native.available():
            continue
        run = runs[on] = sp.run(two_states(what), {"x": times}, duration=0.05, on=on)
        assert run.names == (f"hid.{what}", "hid.spikes")
        assert not run.recording.potentials  # they were not asked for
        # one step after the other gives the same
        program = sp.compile(two_states(what), on)
        with sp.backend(on).open(program, record=("hid",), potentials=("hid",)) as session:
            session.reset(1)
            raster = np.zeros((50, 1, 3))
            raster[1, 0, 0] = raster[4, 0, 1] = raster[4, 0, 2] = raster[20, 0, 2] = 1
            stepped = [session.step({"x": values}).currents["hid"] for values in raster]
        assert np.array_equal(np.array(stepped), run[f"hid.{what}"])
    found = [run[f"hid.{what}"] for run in runs.values()]
    assert all(np.array_equal(values, found[0]) for values in found)
    assert found[0].shape == (50, 1, 3)
    if what == "i":  # a spike of weight 2 arrives a step later, and decays by its own time constant
        assert found[0][:4, 0, 0].tolist() == [0, 0, 2, 2 * np.exp(-1e-3 / 0.005)]
    else:
        assert np.ptp(found[0]) > 0.1
    assert (found[0][0] == 0.125 * np.exp(-1e-3 / 0.05)).all() or what != "w"


def test_second_states_are_drawn_and_go_to_nirdata_and_neo(tmp_path):
    run = sp.run(two_states("i"), {"x": sp.Poisson(100.0)}, duration=0.05, record=["hid.i", "hid.v", "hid.spikes"])
    ElementTree.fromstring(run.plot("hid.i").svg)
    again = sp.read_nirdata(run.to_nirdata(tmp_path / "run.h5")).recording()
    assert np.array_equal(again.currents["hid"], run["hid.i"])
    assert np.array_equal(again.potentials["hid"], run["hid.v"])
    pytest.importorskip("neo")
    (segment,) = run.to_neo().segments
    assert [signal.name for signal in segment.analogsignals] == ["hid.i", "hid.v"]
    assert np.array_equal(np.asarray(segment.analogsignals[0].magnitude), run["hid.i"][:, 0])


def test_all_neurons_that_have_a_second_state_have_a_name_for_it():
    from typing import get_args

    from spikeport.primitives import SECOND_STATES, CubaLI, TwoStates

    assert SECOND_STATES.keys() == {*get_args(TwoStates), sp.CubaLIF, CubaLI}


def test_a_second_state_that_a_neuron_has_not_is_refused_with_the_nearest():
    net, _ = network()
    with pytest.raises(sp.OptionError, match=r"hid\.i: is nothing to record"):
        sp.run(net, duration=0.01, record=["hid.i"])
    with pytest.raises(sp.OptionError, match=r"there are hid\.spikes, hid\.u, hid\.v"):
        sp.run(two_states("u"), duration=0.01, record=["hid.w"])


def test_a_backend_that_gives_no_second_state_is_named(monkeypatch):
    from spikeport.backends.reference.session import DynamicSession

    monkeypatch.setattr(DynamicSession, "gives_second", False)
    with pytest.raises(sp.BackendError, match=r"hid\.w: is not given by this backend"):
        sp.run(two_states("w"), duration=0.01, on="reference")
