"""Fixed-point neurons in the reference: tables worked out by hand, at the ends of registers, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.errors import DataError, GraphError, NativeError
from spikeport.primitives import (
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    OneToOne,
    Projection,
    Sparse,
    SpikeEvents,
    SpikeInput,
)

ONE = (Dense(np.array([[1]])),)
LIMIT = 2**23


def simulate(neuron: Any, x: Any, *, chip: Any = "loihi2", more: tuple[Projection, ...] = (), **projection: Any) -> Any:
    """One neuron behind one input, whose payloads are `x`."""
    joined = Projection("in", "n", projection.pop("synapses", ONE), **projection)
    population = DynamicPopulation("n", (1,), neuron)
    net = DynamicNetwork("n", (SpikeInput("in", (1,)),), (population,), (joined, *more), DynamicsContract.loihi(chip))
    found = sp.simulate(net, np.array(x).reshape(-1, 1, 1), record=["n"])
    assert found.spikes["n"].counts.tolist() == found.counts["n"].tolist()
    series = (found.currents.get("n", np.zeros(0)), found.potentials["n"], found.spikes["n"].train().raster)
    return tuple(values.ravel().tolist() for values in series)


def test_a_spike_arrives_a_step_later_shifted_by_six_and_equal_does_not_fire() -> None:
    whole = {"du": 4095, "dv": 0}
    assert simulate(FixedCubaLIF(**whole, threshold=3 << 6), [3, 1, 0, 0]) == (
        [0, 192, 64, 0],
        [0, 192, 0, 0],
        [0, 0, 1, 0],
    )
    assert simulate(FixedCubaLIF(**whole, threshold=0, bias=-1), [0, 0]) == ([0, 0], [-1, -2], [0, 0])
    assert simulate(FixedCubaLIF(**whole, threshold=0, bias=1), [0, 0]) == ([0, 0], [0, 0], [1, 1])
    assert simulate(FixedCubaLIF(**whole, threshold=5, initial=5), [0, 0])[2] == [0, 0]
    assert simulate(FixedCubaLIF(**whole, threshold=5, initial=6), [0, 0])[2] == [1, 0]


def test_decays_round_towards_zero_and_the_current_has_one_more() -> None:
    # du = 2047 keeps half: 64, 32, ..., 1, 0; from below too
    halves = [0, 64, 32, 16, 8, 4, 2, 1, 0, 0]
    slow = FixedCubaLIF(du=2047, dv=4096, threshold=LIMIT)
    assert simulate(slow, [1] + [0] * 9) == (halves, halves, [0] * 10)
    assert simulate(slow, [-1] + [0] * 9)[0] == [-u for u in halves]
    assert simulate(FixedCubaLIF(du=0, dv=4096, threshold=LIMIT), [64, 0, 0])[0] == [0, 4096, 4095]
    assert simulate(FixedCubaLIF(du=4095, dv=1, threshold=LIMIT), [64, 0, 0])[1] == [0, 4096, 4095]
    assert simulate(FixedCubaLIF(du=4095, dv=2048, threshold=LIMIT, initial=-3), [0, 0])[1] == [-1, 0]


def test_the_current_of_loihi2_wraps_once_above_its_end_and_at_the_other() -> None:
    keeps = FixedCubaLIF(du=4095, dv=4096, threshold=LIMIT)

    def u(drive: int) -> int:
        found: int = simulate(keeps, [drive, 0])[0][1]
        return found

    edge = LIMIT >> 6
    assert [u(edge - 1), u(edge), u(edge + 1)] == [LIMIT - 64, LIMIT, 64 - LIMIT]
    assert [u(1 - edge), u(-edge), u(-edge - 1)] == [64 - LIMIT, LIMIT, LIMIT - 64]
    assert u(3 * edge + 1) == LIMIT + 64  # twice around is not brought back
    assert simulate(FixedCubaLIF(du=4095, dv=0, threshold=LIMIT), [edge, edge, 0])[1] == [0, LIMIT - 1, LIMIT - 1]
    low = FixedCubaLIF(du=4095, dv=0, threshold=LIMIT, bias=-LIMIT)
    assert simulate(low, [0])[1] == [1 - LIMIT]


def test_loihi1_wraps_what_arrives_and_its_current_by_their_own_widths() -> None:
    keeps = FixedCubaLIF(du=4095, dv=4096, threshold=LIMIT)
    edge = 2**21 >> 6
    for drive, u in ((edge - 1, 2**21 - 64), (edge, -(2**21)), (-edge, -(2**21)), (-edge - 1, 2**21 - 64)):
        assert simulate(keeps, [drive, 0], chip="loihi1")[0] == [0, u]
    # 5 times 2**21 - 64, of which du = 0 keeps nearly all, passes 2**23
    grows = FixedCubaLIF(du=0, dv=4096, threshold=LIMIT)
    u, v, _ = simulate(grows, [edge - 1] * 6, chip="loihi1")
    assert u[4] > 0 > u[5]
    assert u == v
    # the bias wraps on its way into the potential, and does not enter the current
    biased = FixedCubaLIF(du=4095, dv=4096, threshold=LIMIT, bias=LIMIT)
    assert simulate(biased, [1, 0], chip="loihi1") == ([0, 64], [1 - LIMIT, 64 - LIMIT], [0, 0])


def test_loihi1_holds_a_refractory_neuron_at_zero_and_clips_where_it_is_told() -> None:
    for refractory, spikes in ((1, [1, 1, 1, 1, 1, 1]), (2, [1, 0, 1, 0, 1, 0]), (4, [1, 0, 0, 0, 1, 0])):
        neuron = FixedCubaLIF(du=4095, dv=0, threshold=64, bias=65, refractory=refractory)
        assert simulate(neuron, [0] * 6, chip="loihi1") == ([0] * 6, [0] * 6, spikes)
    floor = FixedCubaLIF(du=4095, dv=0, threshold=64, bias=-9, v_min=-20, v_max=511)
    assert simulate(floor, [0] * 4, chip="loihi1")[1] == [-9, -18, -20, -20]
    ceiling = FixedCubaLIF(du=4095, dv=0, threshold=511, bias=300, v_max=511)
    assert simulate(ceiling, [0] * 3, chip="loihi1")[1] == [300, 511, 511]


@pytest.mark.parametrize(
    ("chip", "exponent", "arrives"),
    [
        ("loihi2", 0, [-3, 5]),
        ("loihi2", 7, [-384, 640]),
        ("loihi2", -1, [-2, 2]),
        ("loihi2", -7, [-1, 0]),
        ("loihi1", 2, [-12, 20]),
        ("loihi1", -1, [-1.5, 2.5]),
        ("loihi1", -7, [-2 / 64, 2 / 64]),
    ],
)
def test_the_sum_of_a_projection_is_shifted_not_its_weights(chip: Any, exponent: int, arrives: list[float]) -> None:
    neuron = FixedCubaLIF(du=4095, dv=4096, threshold=LIMIT)
    # the sum of each step is made of two spikes: -1 - 2 and 2 + 3
    both = (Dense(np.array([[1, 1]])),)
    net = DynamicNetwork(
        "n",
        (SpikeInput("in", (2,)),),
        (DynamicPopulation("n", (1,), neuron),),
        (Projection("in", "n", both, exponent=exponent),),
        DynamicsContract.loihi(chip),
    )
    found = sp.simulate(net, np.array([[-1, -2], [2, 3], [0, 0]])[:, None], record=["n"])
    assert (found.currents["n"].ravel()[1:] / 64).tolist() == arrives


def test_delays_come_on_top_of_the_latency_and_projections_add_up() -> None:
    neuron = FixedCubaLIF(du=4095, dv=4096, threshold=LIMIT)
    late = Projection("in", "n", (OneToOne(np.array(10)),), delay=2)
    sparse = Projection("in", "n", (Sparse([0, 2], [0, 0], np.array([100, 100]), 1),), delay=2, exponent=-1)
    u, _, _ = simulate(neuron, [1, 2, 0, 0, 0], more=(late, sparse))
    assert [value // 64 for value in u] == [0, 1, 2, 110, 220]


def test_sigma_delta_sends_changes_and_keeps_what_it_did_not_send() -> None:
    # d: 2 (kept), 3, -8 (to the activation of -3: relu 0 from 5), 0
    assert simulate(FixedSigmaDelta(threshold=3), [2, 3, -8, 0, 0]) == (
        [0, 2, 0, 0, 0],
        [0, 2, 5, -3, -3],
        [0, 0, 5, -5, 0],
    )
    unit = FixedSigmaDelta(threshold=3, activation="unit", bias=-1)
    assert simulate(unit, [2, 3, -8, 0, 0])[2] == [0, 0, 4, -8, 0]
    # payloads are rounded down; one that is 0 then is no spike, and is gone
    fine = FixedSigmaDelta(threshold=3, state_exp=2, activation="unit")
    assert simulate(fine, [3, -3, 7, 0])[2] == [0, 0, -1, 1]
    assert simulate(FixedSigmaDelta(threshold=0), [1, 0, -1, 0])[2] == [0, 1, 0, -1]


def test_resonators_spike_where_they_rise_through_zero_or_reach_the_threshold() -> None:
    turn = {"cos": 0, "sin": 4096, "threshold": 8}  # a quarter of a turn a step
    im, re, spikes = simulate(FixedResonateAndFire(**turn), [8, 0, 0, 0, 0, 0])
    assert (re, im, spikes) == ([0, 8, 0, -8, 0, 8], [0, 0, 8, 0, -8, 0], [0, 0, 0, 0, 0, 1])
    assert simulate(FixedResonateAndFire(**turn | {"threshold": 9}), [8, 0, 0, 0, 0, 0])[2] == [0] * 6
    im, re, spikes = simulate(FixedResonateAndFire(**turn, kind="izhikevich"), [8, 0, 0])
    assert (re, im, spikes) == ([0, 8, 0], [0, 0, 7], [0, 0, 1])
    half = FixedResonateAndFire(cos=2, sin=0, threshold=99, decay_bits=2, state_exp=1)
    assert simulate(half, [-3, 0, 0, 0])[1] == [0, -6, -3, -1]
    assert simulate(half, [-3, 0, 0, 0], port="imag")[0] == [0, -6, -3, -1]
    ends = FixedResonateAndFire(cos=4096, sin=0, threshold=LIMIT)
    assert simulate(ends, [LIMIT, 0, -4 * 2**22, 0])[1] == [0, LIMIT - 1, LIMIT - 1, 1 - LIMIT]


def test_graded_thresholds_send_what_is_beyond_them() -> None:
    assert simulate(GradedThreshold(threshold=3), [3, 4, -3, -4, 0])[2] == [0, 0, 4, 0, -4]
    assert simulate(GradedThreshold(threshold=3, relu=True), [3, 4, -3, -4, 0])[2] == [0, 0, 4, 0, 0]
    assert simulate(GradedThreshold(threshold=0), [-1, 0])[1:] == ([0, 0], [0, -1])


def test_a_convolution_hands_over_24_bits() -> None:
    def sent(payload: int) -> int:
        conv = Conv(np.full((1, 1, 1), 2), (1,), ((0, 0),), (1,))
        net = DynamicNetwork(
            "n",
            (SpikeInput("in", (1, 1)),),
            (DynamicPopulation("n", (1, 1), GradedThreshold(threshold=0)),),
            (Projection("in", "n", (conv,)),),
            DynamicsContract.loihi("loihi2"),
        )
        found = sp.simulate(net, np.array([payload, 0]).reshape(2, 1, 1, 1), record=["n"]).spikes["n"]
        return int(found.train().raster.sum())

    assert [sent(2**22 - 1), sent(2**22), sent(-(2**22)), sent(-(2**22) - 1)] == [
        2**23 - 2,
        -(2**23),
        -(2**23),
        2**23 - 2,
    ]


def test_sums_wrap_at_32_bits_before_they_are_shifted_right_and_after_they_are_shifted_left() -> None:
    sends = GradedThreshold(threshold=0)

    def sent(payload: int, weight: int, exponent: int) -> int:
        net = DynamicNetwork(
            "n",
            (SpikeInput("in", (1,)),),
            (DynamicPopulation("n", (1,), sends),),
            (Projection("in", "n", (Dense(np.array([[weight]])),), exponent=exponent),),
            DynamicsContract.loihi("loihi2"),
        )
        found = sp.simulate(net, np.array([payload, 0]).reshape(2, 1, 1), record=["n"]).spikes["n"]
        return int(found.train().raster.sum())

    assert sent(2**24, 127, 0) == 127 * 2**24
    assert sent(2**24, 128, 0) == -(2**31)
    assert sent(2**24, 128, -1) == -(2**30)
    assert sent(2**24, 64, 1) == -(2**31)
    assert sent(-(2**24), 2**31 - 1, 0) == 2**24
    # the same of what LIF and resonators shift on arrival
    lif = FixedCubaLIF(du=4095, dv=4096, threshold=LIMIT)
    assert simulate(lif, [2**24, 0], exponent=1)[0] == [0, -(2**31) + 2**24]
    assert simulate(lif, [2**24, 0], exponent=2)[0] == [0, 0]
    resonator = FixedResonateAndFire(cos=0, sin=0, threshold=LIMIT, state_exp=7)
    assert simulate(resonator, [2**24, 2**24 - 2**17, 0])[1] == [0, 1 - LIMIT, LIMIT - 1]


def test_payloads_travel_between_populations_and_as_lists() -> None:
    populations = (
        DynamicPopulation("a", (2,), GradedThreshold(threshold=0)),
        DynamicPopulation("b", (2,), GradedThreshold(threshold=0)),
    )
    projections = (Projection("in", "a", (OneToOne(np.array([1, -2])),)), Projection("a", "b", (), exponent=1))
    net = DynamicNetwork("n", (SpikeInput("in", (2,)),), populations, projections, DynamicsContract.loihi("loihi2"))
    events = SpikeEvents([0, 0, 0], [0, 0, 0], [0, 1, 1], (2,), 3, 1, 1e-3, values=[5, 7, 1])
    found = sp.simulate(net, events, record=None)
    assert found.spikes["b"].values is not None
    assert found.spikes["b"].values.tolist() == [10, -32]
    assert found.spikes["b"].train().raster.tolist() == [[[0, 0]], [[0, 0]], [[10, -32]]]
    assert found.counts["b"].tolist() == [[1, 1]]
    raster = np.zeros((3, 1, 2), np.int64)
    raster[0, 0] = 5, 8
    again = sp.simulate(net, raster, record=None)
    assert again.spikes["b"].values is not None
    assert again.spikes["b"].values.tolist() == [10, -32]
    with pytest.raises(DataError, match="has payloads of type"):
        sp.simulate(net, SpikeEvents([0], [0], [0], (2,), 3, 1, 1e-3, values=[1, 2]))


def test_what_chips_do_not_take_is_refused() -> None:
    neuron = DynamicPopulation("n", (1,), FixedCubaLIF(du=0, dv=0, threshold=64))
    place = (SpikeInput("in", (1,)),)
    contract = DynamicsContract.loihi("loihi2")

    def made(*projections: Projection) -> DynamicNetwork:
        return DynamicNetwork("net", place, (neuron,), projections, contract)

    with pytest.raises(DataError, match="neurons of loihi2 take no currents"):
        sp.simulate(made(), np.zeros((1, 1, 1)), currents={"n": 1})
    with pytest.raises(DataError, match="not whole numbers"):
        sp.simulate(made(), np.full((1, 1, 1), 0.5))
    sp.simulate(made(), np.full((1, 1, 1), 2**24))
    with pytest.raises(DataError, match="beyond 16,777,216"):
        sp.simulate(made(), np.full((1, 1, 1), 2**24 + 1))
    wrong = (Projection("in", "n", (Dense(np.array([[0.5]])),)), Projection("n", "n", (Dense(np.ones((2, 1), int)),)))
    with pytest.raises(GraphError) as error:
        sp.simulate(made(*wrong), np.zeros((1, 1, 1)))
    assert "in -> n: weights are not all whole numbers" in str(error.value)
    assert "n -> n: its synapses lead to shape (2,)" in str(error.value)
    if native.available():
        with pytest.raises(NativeError, match="n: FixedCubaLIF neurons are not stepped by 'native'"):
            sp.simulate(made(), np.zeros((1, 1, 1)), on="native")
