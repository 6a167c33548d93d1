"""Networks of PyNN as networks of ours, on PyNN's own mock: what simulators make of them is in `test_beside_simulators`."""

import re
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport.primitives import Sparse as Synapses
from spikeport.pynn.cells import onto_membrane
from spikeport.pynn.simulators import BRIAN2, NEST

pytest.importorskip("pyNN", reason="PyNN is not installed: pip install 'spikeport[pynn]'")
import pyNN.mock as mock
from pyNN.network import Network
from pyNN.standardmodels import build_translations
from pyNN.standardmodels import cells as standard


class IFCurrDelta(standard.IF_curr_delta):
    """The mock has none."""

    translations = build_translations(*((name, name) for name in standard.IF_curr_delta.default_parameters))


@pytest.fixture
def sim() -> Any:
    mock.setup(timestep=0.5, min_delay=0.5)
    yield mock
    mock.end()


def joined(
    sim: Any, post: Any, *, weight: float = 1.0, delay: float = 1.0, receptor: str = "excitatory", times: Any = (2.0,)
) -> Any:
    source = sim.Population(post.size, sim.SpikeSourceArray(spike_times=list(times)), label="source")
    synapse = sim.StaticSynapse(weight=weight, delay=delay)
    # of one cell to one other, PyNN 0.13 cannot make the latter under NumPy 2
    connector = sim.OneToOneConnector() if post.size > 1 else sim.AllToAllConnector()
    return sim.Projection(source, post, connector, synapse, receptor_type=receptor)


def exact(i: float, tau_m: float, tau_s: float, r: float, t: float) -> float:
    """Potential above rest, t after a current of i that decays began: the solution as it stands in textbooks."""
    return i * r * tau_s / (tau_m - tau_s) * (np.exp(-t / tau_m) - np.exp(-t / tau_s))


def test_a_current_that_decays_gives_the_exact_potential(sim: Any) -> None:
    cells = sim.Population(1, sim.IF_curr_exp(tau_m=20.0, tau_syn_E=5.0, tau_syn_I=5.0, cm=0.5), label="cells")
    cells.record("v")
    found = sp.from_pynn(joined(sim, cells, weight=0.3))
    v = found.run(0.02)["cells.v"].ravel()
    # the spike of 2 ms arrives at 3 ms; v[k] is the potential at (k + 1) dt
    times = 0.5 * np.arange(1, 41)
    expected = np.where(times > 3.0, -65 + exact(0.3, 20, 5, 40, np.maximum(times - 3, 0)), -65.0)
    np.testing.assert_allclose(v, expected, rtol=0, atol=1e-12)
    assert v[5] == -65.0
    assert v[6] > -65.0


def test_two_time_constants_become_two_currents(sim: Any) -> None:
    cells = sim.Population(1, sim.IF_curr_exp(tau_m=20.0, tau_syn_E=2.0, tau_syn_I=8.0), label="cells")
    cells.record("v")
    up, down = joined(sim, cells, weight=0.5), joined(sim, cells, weight=-0.4, receptor="inhibitory", times=(4.0,))
    found = sp.from_pynn(up, down)
    assert [p.name for p in found.build().populations] == ["cells", "cells excitatory", "cells inhibitory"]
    v = found.run(0.02)["cells.v"].ravel()
    after = np.maximum(0.5 * np.arange(1, 41)[:, None] - [3.0, 5.0], 0)
    expected = -65 + exact(0.5, 20, 2, 20, after[:, 0]) + exact(-0.4, 20, 8, 20, after[:, 1])
    np.testing.assert_allclose(v, expected, rtol=0, atol=1e-12)


def test_equal_time_constants_of_membrane_and_current_are_no_division_by_zero(sim: Any) -> None:
    cells = sim.Population(1, sim.IF_curr_exp(tau_m=5.0, tau_syn_E=5.0, tau_syn_I=5.0), label="cells")
    cells.record("v")
    v = sp.from_pynn(joined(sim, cells, weight=0.3)).run(0.02)["cells.v"].ravel()
    t = np.maximum(0.5 * np.arange(1, 41) - 3, 0)
    np.testing.assert_allclose(v, -65 + 0.3 * t * np.exp(-t / 5), rtol=0, atol=1e-12)
    near = onto_membrane(np.asarray(5.0), np.asarray(5.0 * (1 + 1e-12)), 0.5)
    assert near == pytest.approx(float(onto_membrane(np.asarray(5.0), np.asarray(5.0), 0.5)), rel=1e-9)


def test_the_potential_that_equals_the_threshold_fires_in_nest_alone(sim: Any) -> None:
    cells = sim.Population(
        1, IFCurrDelta(v_rest=0.0, v_reset=0.0, v_thresh=2.0, tau_refrac=0.5), label="cells", initial_values={"v": 0.0}
    )
    cells.record("spikes")
    projection = joined(sim, cells, weight=2.0)
    nest, brian2 = sp.from_pynn(projection, like="nest"), sp.from_pynn(projection, like="brian2")
    assert [t.tolist() for t in nest.spike_times(nest.run(0.01), "cells")] == [[3.0]]
    assert [t.tolist() for t in brian2.spike_times(brian2.run(0.01), "cells")] == [[]]


def test_refractory_steps_are_those_of_the_simulator() -> None:
    dt, given = 1.0, np.array([0.0, 0.1, 1.0, 1.4, 2.0])
    # measured in NEST 3.10.0 and Brian2 2.9.0 by the distances of spikes under a strong current
    assert NEST.deaf(given, dt).tolist() == [0, 1, 1, 2, 2]
    assert BRIAN2.deaf(given, dt).tolist() == [0, 0, 0, 0, 1]


def test_times_between_steps_move_as_the_simulator_moves_them(sim: Any) -> None:
    # what NEST 3.10.0 recorded: with a least delay of 0.1 ms, 3 * 0.1, a little more than 0.3, is a spike at 0.4, and 0.4 one at 0.4
    assert NEST.source_step(np.array([0.3, 3 * 0.1, 0.31, 0.4, 4.4, 8.2]), 0.1, 0.1).tolist() == [2, 3, 3, 3, 44, 81]
    assert NEST.source_step(np.array([0.3, 3 * 0.1, 0.31, 0.4]), 0.1, 0.0).tolist() == [2, 2, 3, 3]
    assert BRIAN2.source_step(np.array([0.0, 0.3, 3 * 0.1, 0.35]), 0.1, 0.1).tolist() == [0, 3, 3, 3]
    cells = sim.Population(1, sim.IF_curr_exp(), label="cells")
    found = sp.from_pynn(joined(sim, cells, times=(2.0, 2.2)))
    (said,) = [e for e in found.ledger if "between steps" in e.what]
    assert said.is_remark
    assert said.what.startswith("1 of its spikes")


def test_a_spike_before_the_first_step_is_refused(sim: Any) -> None:
    cells = sim.Population(1, sim.IF_curr_exp(), label="cells")
    projection = joined(sim, cells, times=(0.0, 2.0))
    with pytest.raises(sp.PyNNError, match="source: has spikes before the first step"):
        sp.from_pynn(projection)
    assert sp.from_pynn(projection, like="brian2").inputs(0.01)["source"].times.tolist() == pytest.approx(
        [0.25e-3, 2.25e-3]
    )


def test_views_and_assemblies_lead_to_the_populations_behind_them(sim: Any) -> None:
    a = sim.Population(4, sim.IF_curr_exp(), label="a")
    b = sim.Population(3, sim.IF_curr_exp(), label="b")
    synapse = sim.StaticSynapse(weight=0.25, delay=1.5)
    projection = sim.Projection(a[1:3] + b[2:3], b[0:2], sim.AllToAllConnector(), synapse, receptor_type="excitatory")
    network = sp.from_pynn(projection).build()
    pairs = {}
    for p in network.projections:
        (synapses,) = p.synapses
        assert isinstance(synapses, Synapses)
        assert set(synapses.weights.tolist()) == {0.25}
        assert p.delay == 2  # and a step of latency
        sources = np.repeat(np.arange(len(synapses.offsets) - 1), np.diff(synapses.offsets))
        pairs[p.source] = sorted(zip(sources.tolist(), synapses.targets.tolist(), strict=True))
    assert pairs == {"a": [(1, 0), (1, 1), (2, 0), (2, 1)], "b": [(2, 0), (2, 1)]}


def test_synapses_keep_weights_and_delays_of_their_own(sim: Any) -> None:
    a = sim.Population(2, sim.IF_curr_exp(), label="a")
    b = sim.Population(2, sim.IF_curr_exp(), label="b")
    rows = [(0, 0, 0.5, 0.5), (0, 1, 0.25, 1.0), (1, 1, 0.75, 0.5), (1, 1, 0.125, 0.5)]
    projection = sim.Projection(a, b, sim.FromListConnector(rows), sim.StaticSynapse(), receptor_type="excitatory")
    found = {}
    for p in sp.from_pynn(projection).build().projections:
        (synapses,) = p.synapses
        assert isinstance(synapses, Synapses)
        sources = np.repeat(np.arange(len(synapses.offsets) - 1), np.diff(synapses.offsets))
        found[p.delay] = sorted(
            zip(sources.tolist(), synapses.targets.tolist(), synapses.weights.tolist(), strict=True)
        )
    assert found == {0: [(0, 0, 0.5), (1, 1, 0.125), (1, 1, 0.75)], 1: [(0, 1, 0.25)]}


def test_currents_flow_from_their_step_on_into_their_cells(sim: Any) -> None:
    cells = sim.Population(3, sim.IF_curr_exp(tau_m=10.0), label="cells")
    dc = sim.DCSource(amplitude=0.5, start=1.0, stop=2.0)
    steps = sim.StepCurrentSource(times=[0.5, 1.5], amplitudes=[0.25, 0.0])
    found = sp.from_pynn(cells, (dc, cells[0:2]), (steps, cells[1:3]))
    fed = found.currents(0.003)["cells"][:, 0]
    assert fed.T.tolist() == [[0, 0, 0.5, 0.5, 0, 0], [0, 0.25, 0.75, 0.5, 0, 0], [0, 0.25, 0.25, 0, 0, 0]]
    cells.record("v")
    v = sp.from_pynn(cells, (dc, cells[0:1])).run(0.003)["cells.v"][:, 0, 0]
    assert v[1] == -65.0
    assert v[2] == pytest.approx(-65 + 0.5 * 10 * (1 - np.exp(-0.05)), abs=1e-12)


def test_poisson_sources_spike_within_their_time_at_their_rates(sim: Any) -> None:
    source = sim.Population(2, sim.SpikeSourcePoisson(rate=[1000.0, 4000.0], start=100.0, duration=300.0), label="p")
    cells = sim.Population(2, sim.IF_curr_exp(), label="cells")
    projection = sim.Projection(
        source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1, delay=0.5), receptor_type="excitatory"
    )
    found = sp.from_pynn(projection, seed=3)
    drawn = found.inputs(1.0)["p"]
    assert drawn.times.min() >= 0.1
    assert drawn.times.max() <= 0.4
    # five standard deviations
    assert abs(np.count_nonzero(drawn.lines == 0) - 300) < 5 * 300**0.5
    assert abs(np.count_nonzero(drawn.lines == 1) - 1200) < 5 * 1200**0.5
    assert any(e.node == "p" and "of its own" in e.what for e in found.ledger)
    always = sim.Population(1, sim.SpikeSourcePoisson(rate=20.0), label="q")
    assert isinstance(sp.from_pynn(always).inputs(1.0)["q"], sp.Poisson)


def test_stdp_becomes_the_rule_that_nest_steps(sim: Any) -> None:
    cells = sim.Population(1, sim.IF_curr_exp(), label="cells")
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[2.0]), label="source")
    pairs = sim.SpikePairRule(tau_plus=10.0, tau_minus=20.0, A_plus=0.02, A_minus=0.01)
    learning = sim.STDPMechanism(pairs, sim.AdditiveWeightDependence(w_min=0.0, w_max=0.5), weight=0.25, delay=1.0)
    network = sp.from_pynn(
        sim.Projection(source, cells, sim.AllToAllConnector(), learning, receptor_type="excitatory")
    ).build()
    (projection,) = network.projections
    assert projection.plasticity == sp.STDP(
        a_plus=0.02 * 0.5, a_minus=0.01 * 0.5, tau_plus=10.0 * 1e-3, tau_minus=0.02, w_max=0.5, delays="dendritic"
    )


def test_conductances_are_refused_or_currents_at_one_potential(sim: Any) -> None:
    cells = sim.Population(2, sim.IF_cond_exp(e_rev_E=0.0, e_rev_I=-80.0), label="cells")
    excitatory, inhibitory = joined(sim, cells, weight=0.01), joined(sim, cells, weight=0.02, receptor="inhibitory")
    with pytest.raises(sp.PyNNError, match=re.escape("cells: its synapses are conductances (IF_cond_exp)")):
        sp.from_pynn(excitatory, inhibitory)
    found = sp.from_pynn(excitatory, inhibitory, conductances_at=-60.0)
    assert [p.synapses[0].weights.tolist() for p in found.build().projections] == [[0.6, 0.6], [-0.4, -0.4]]
    losses = [e for e in found.ledger if e.unit == "of the current"]
    # between the reset, -65, and the threshold, -50: 65 / 60 and 50 / 60; 15 / 20 and 30 / 20
    assert [e.error for e in losses] == pytest.approx([1 / 6, 0.5])
    with pytest.raises(sp.PyNNError, match="reversal potential at -80 mV"):
        sp.from_pynn(inhibitory, conductances_at=-80.0)


@pytest.mark.parametrize(
    "kind", ["IF_curr_alpha", "IF_cond_alpha", "EIF_cond_alpha_isfa_ista", "EIF_cond_exp_isfa_ista", "HH_cond_exp"]
)
def test_cells_without_a_form_are_refused_by_name(sim: Any, kind: str) -> None:
    assert hasattr(standard, kind)
    first = sim.Population(1, getattr(sim, kind)(), label="first")
    second = sim.Population(1, getattr(sim, kind)(), label="second")
    with pytest.raises(sp.PyNNError) as caught:
        sp.from_pynn(first, second)
    assert [p.where for p in caught.value.problems] == ["first", "second"]
    assert all("here" in p.why and p.hint for p in caught.value.problems)


def test_synapses_and_rules_without_a_form_are_refused_by_name_all_at_once(sim: Any) -> None:
    a = sim.Population(1, sim.IF_curr_exp(), label="a")
    b = sim.Population(1, sim.IF_curr_exp(tau_syn_E=1.0), label="b")
    pairs, weights = sim.SpikePairRule(), sim.AdditiveWeightDependence()
    kinds = [
        sim.TsodyksMarkramSynapse(weight=0.1, delay=1.0),
        sim.STDPMechanism(pairs, sim.GutigWeightDependence(), weight=0.1, delay=1.0),
        sim.STDPMechanism(pairs, weights, dendritic_delay_fraction=0.5, weight=0.1, delay=1.0),
    ]
    projections = [sim.Projection(a, b, sim.AllToAllConnector(), s, receptor_type="excitatory") for s in kinds]
    with pytest.raises(sp.PyNNError) as caught:
        sp.from_pynn(projections)
    assert [p.why.partition(",")[0] for p in caught.value.problems] == [
        "its synapses are TsodyksMarkramSynapse",
        "its weights change by GutigWeightDependence",
        "has 0.5 of its delay in the dendrite: a rule has all of it there",
    ]
    learning = sim.Projection(
        a,
        b,
        sim.AllToAllConnector(),
        sim.STDPMechanism(pairs, weights, weight=0.1, delay=1.0),
        receptor_type="excitatory",
    )
    still = sim.Projection(
        a, b, sim.AllToAllConnector(), sim.StaticSynapse(weight=-0.1, delay=1.0), receptor_type="inhibitory"
    )
    with pytest.raises(sp.PyNNError, match="synaptic currents are populations of their own"):
        sp.from_pynn(learning, still)


def test_what_is_no_part_of_a_network_is_refused(sim: Any) -> None:
    cells = sim.Population(1, sim.IF_curr_exp(), label="cells")
    noise = sim.NoisyCurrentSource(mean=0.1, stdev=0.1, start=0.0, stop=10.0, dt=1.0)
    with pytest.raises(sp.PyNNError, match="int: is nothing of a PyNN network"):
        sp.from_pynn(cells, 3)
    with pytest.raises(sp.PyNNError, match="NoisyCurrentSource: is a current that has no form here"):
        sp.from_pynn(cells, (noise, cells))
    with pytest.raises(sp.PyNNError, match="DCSource: is a current source, and does not say what it flows into"):
        sp.from_pynn(cells, sim.DCSource(amplitude=0.1, start=0.0, stop=1.0))
    with pytest.raises(sp.PyNNError, match="no population"):
        sp.from_pynn()
    with pytest.raises(sp.OptionError, match="'neuron'"):
        sp.from_pynn(cells, like="neuron")  # type: ignore[arg-type]


def test_labels_become_names_that_paths_can_hold(sim: Any) -> None:
    labels = ["v1/exc", "v1.exc", "<b>'\"", "v1/exc"]
    found = sp.from_pynn([sim.Population(1, sim.IF_curr_exp(), label=label) for label in labels])
    assert list(found.names.values()) == ["v1_exc", "v1_exc 2", "<b>'\"", "v1_exc 3"]
    assert [p.name for p in found.build().populations] == list(found.names.values())
    with pytest.raises(sp.OptionError, match="was not imported"):
        found.name_of(sim.Population(1, sim.IF_curr_exp(), label="other"))


def test_a_network_object_brings_everything_and_recordings_are_probes(sim: Any) -> None:
    cells = sim.Population(3, sim.Izhikevich(i_offset=0.01), label="cells", initial_values={"v": -70.0, "u": -14.0})
    projection = joined(sim, cells, weight=2.0)
    cells[0:1].record(["spikes", "v", "u"])
    found = sp.from_pynn(Network(projection.pre, cells, projection))
    assert found.build().projections[0].synapses[0].weights.tolist() == [2.0, 2.0, 2.0]
    run = found.run(0.1)
    assert set(run.names) == {"cells.spikes", "cells.v"}
    assert any(e.node == "cells" and e.what == "u is not recorded here" for e in found.ledger)
    assert run.counts["cells"].min() > 0
    # a step of forward Euler with both states old, and the current in picoamperes
    v = -70 + 0.5 * (0.04 * 70**2 - 5 * 70 + 140 + 14 + 10)
    assert run["cells.v"][0, 0, 0] == pytest.approx(v, abs=1e-12)


def test_brian2_adds_jumps_after_it_compared_and_the_ledger_says_so(sim: Any) -> None:
    cells = sim.Population(1, IFCurrDelta(), label="cells")
    assert not [e for e in sp.from_pynn(cells).ledger if e.unit == "steps"]
    (loss,) = [e for e in sp.from_pynn(cells, like="brian2").ledger if e.unit == "steps"]
    assert (loss.node, loss.error) == ("cells", 1.0)
