"""Learning in the reference: equations worked out by hand or in another form, at the boundaries; and who refuses it by name."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport.backends import reference
from spikeport.backends.reference.philox import philox
from spikeport.errors import BackendError, DataError, GraphError, LowerError, NirError, OptionError
from spikeport.plugin import BackendSession, Step
from spikeport.primitives import (
    PES,
    STDP,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    Factor,
    FixedCubaLIF,
    Oja,
    OneToOne,
    Projection,
    RewardSTDP,
    Rule,
    Sparse,
    SpikeInput,
    SynapticScaling,
    Term,
    Threshold,
    Trace,
)
from spikeport.storage import codec

NAME = "pre -> post"


def one(rule: Rule, w: Any = 0.5, *, delay: int = 0, arithmetic: Any = "float64", size: int = 1) -> DynamicNetwork:
    """One synapse for each post neuron; `drive` makes it fire in the step in which it spikes."""
    threshold: Any = 50 if arithmetic == "integer" else 50.0
    contract = DynamicsContract(dt=1e-3, integrator="accumulate", arithmetic=arithmetic)
    weight = np.full((size, 1), w)
    return DynamicNetwork(
        "one",
        (SpikeInput("pre", (1,)), SpikeInput("drive", (size,))),
        (DynamicPopulation("post", (size,), Threshold(threshold=threshold)),),
        (
            Projection("drive", "post", (OneToOne(np.array(100)),)),
            Projection("pre", "post", (Dense(weight),), delay=delay, plasticity=rule),
        ),
        contract,
    )


def raster(steps: Any, n_steps: int) -> Any:
    made = np.zeros((n_steps, 1, 1))
    made[list(steps)] = 1
    return made


def run(network: DynamicNetwork, pre: Any, post: Any, n_steps: int, **options: Any) -> list[float]:
    """The weight at the end of each step."""
    x = {"pre": raster(pre, n_steps), "drive": raster(post, n_steps)}
    found = reference.simulate_dynamics(network, x, record_weights=[NAME], weights_every=1, **options)
    over_time = found.weights_over_time[NAME]
    assert over_time.shape == (n_steps, 1, 1, 1)
    assert np.array_equal(found.weights[NAME], over_time[-1])
    return over_time.ravel().tolist()


def pairs(pre: Any, post: Any, a_plus: float, a_minus: float, tau_plus: float, tau_minus: float) -> float:
    """The sum over all pairs, as the textbook writes it."""
    total = 0.0
    for i in pre:
        for j in post:
            if j > i:
                total += a_plus * math.exp((i - j) * 1e-3 / tau_plus)
            elif i > j:
                total -= a_minus * math.exp((j - i) * 1e-3 / tau_minus)
    return total


ROUNDING = 1e-12  # decay step by step against one exponential
FREE: dict[str, Any] = {"w_min": -100.0, "w_max": 100.0}


@pytest.mark.parametrize("delays", ["axonal", "dendritic"])
def test_pairs_add_up_as_in_the_textbook(delays: Any) -> None:
    rng = np.random.default_rng(3)
    pre, post = (np.flatnonzero(rng.random(200) < 0.1).tolist() for _ in range(2))
    rule = STDP(a_plus=0.5, a_minus=0.25, tau_plus=0.02, tau_minus=0.03, delays=delays, **FREE)
    for delay in (0, 3):
        if delays == "dendritic" and delay == 0:
            continue
        late = 0 if delays == "axonal" else delay
        early = delay - late
        expected = 0.5 + pairs(
            [i + early for i in pre if i + early < 200],
            [j + late for j in post if j + late < 200],
            0.5,
            0.25,
            0.02,
            0.03,
        )
        assert abs(run(one(rule, delay=delay), pre, post, 200)[-1] - expected) < ROUNDING


def test_a_pair_in_one_step_changes_nothing() -> None:
    assert run(one(STDP(**FREE)), [4], [4], 6) == [0.5] * 6


def test_the_nearest_spike_alone_counts_where_the_trace_is_set() -> None:
    rule = STDP(a_plus=1.0, a_minus=0.0, nearest=True, **FREE)
    found = run(one(rule), [1, 3], [5], 6)
    assert abs(found[-1] - 0.5 - math.exp(-2e-3 / 0.02)) < ROUNDING


def test_the_target_comes_first_and_bounds_hold_after_each() -> None:
    """In step 2 a post spike raises to the bound before the pre spike lowers: the other order would end elsewhere."""
    rule = Rule(
        "order",
        traces=(),
        terms=(Term("post", 4.0), Term("pre", -1.0)),
        w_min=0.0,
        w_max=1.0,
    )
    assert run(one(rule), [2], [2], 3) == [0.5, 0.5, 0.0]
    assert run(one(rule), [], [1, 2], 3) == [0.5, 1.0, 1.0]
    assert run(one(replace(rule, w_max=2.0)), [2], [2], 3)[-1] == 1.0


def test_changes_in_proportion_to_what_is_left() -> None:
    rule = STDP(a_plus=0.5, a_minus=0.5, mu=1, tau_plus=1e9, tau_minus=1e9, w_min=0.25, w_max=1.25)
    assert run(one(rule), [0], [1], 2)[-1] == pytest.approx(0.5 + 0.5 * 0.75, abs=1e-9)
    assert run(one(rule), [1], [0], 2)[-1] == pytest.approx(0.5 - 0.5 * 0.25, abs=1e-9)
    assert run(one(rule, w=1.25), [0], [1], 2)[-1] == 1.25
    assert run(one(rule, w=0.25), [1], [0], 2)[-1] == 0.25


GROW = Rule("grow", (), (Term("pre", 1.0),), w_min=0.0, w_max=100.0)


def test_an_axonal_weight_counts_as_it_was_before_this_steps_learning() -> None:
    x = {"pre": raster([0, 1, 2], 5), "drive": raster([], 5)}
    found = reference.simulate_dynamics(
        one(GROW, w=1.0, delay=2), x, potentials=["post"], record_weights=[NAME], weights_every=1
    )
    assert found.potentials["post"].ravel().tolist() == [0, 0, 1, 2, 3]
    assert found.weights_over_time[NAME].ravel().tolist() == [1, 1, 2, 3, 4]


def test_a_dendritic_weight_counts_as_this_steps_learning_leaves_it() -> None:
    x = {"pre": raster([0, 1, 2], 5), "drive": raster([], 5)}
    slow = replace(GROW, delays="dendritic")
    found = reference.simulate_dynamics(
        one(slow, w=1.0, delay=2), x, potentials=["post"], record_weights=[NAME], weights_every=1
    )
    assert found.potentials["post"].ravel().tolist() == [0, 0, 2, 3, 4]
    assert found.weights_over_time[NAME].ravel().tolist() == [2, 3, 4, 4, 4]


def test_what_is_sent_counts_so_many_times() -> None:
    x = {"pre": raster([0, 1], 3) * np.array([2.0, -3.0, 0.0]).reshape(-1, 1, 1), "drive": raster([], 3)}
    found = reference.simulate_dynamics(one(GROW, w=5.0), x, record_weights=[NAME], weights_every=1)
    assert found.weights_over_time[NAME].ravel().tolist() == [7, 4, 4]


def test_a_reward_turns_eligibility_into_weight() -> None:
    rule = RewardSTDP(rate=1000.0, a_plus=1.0, a_minus=0.5, tau_eligibility=0.01, baseline=0.5, **FREE)
    reward = np.full((5, 1), 0.5)
    reward[3] = 2.5
    found = run(one(rule), [0], [1], 5, modulation={"reward": reward})
    eligible = math.exp(-1e-3 / 0.02) * math.exp(-2e-3 / 0.01)
    assert found[:3] == [0.5] * 3
    assert abs(found[3] - 0.5 - 2.0 * eligible) < ROUNDING
    assert found[4] == found[3]


def test_an_error_moves_the_weights_of_its_own_target_alone() -> None:
    network = one(PES(rate=100.0, tau=0.01), w=0.0, size=3)
    error = np.zeros((3, 1, 3))
    error[1] = [[1.0, 0.0, -2.0]]
    x = {"pre": raster([0], 3), "drive": np.zeros((3, 1, 3))}
    found = reference.simulate_dynamics(network, x, modulation={"error": error}, record_weights=[NAME])
    trace = math.exp(-0.1)
    assert np.allclose(found.weights[NAME].ravel(), [-0.1 * trace, 0.0, 0.2 * trace], atol=ROUNDING, rtol=0)


def test_oja_ends_where_what_comes_in_balances_what_goes() -> None:
    """Regular firing of both sides: x = y w at each post spike, so w = x / y."""
    rule = Oja(rate=0.05, tau=0.02)
    found = run(one(rule), range(0, 4000, 5), range(2, 4000, 10), 4000)
    d = math.exp(-1 / 20)
    x, y = d**2 / (1 - d**5), d**10 / (1 - d**10)
    assert found[-1] == pytest.approx(x / y, rel=1e-6)


def test_scaling_rests_at_the_rate_that_it_aims_at() -> None:
    """The trace is the rate: one spike in 50 steps is 20 Hz, and weights then stay in the mean."""
    rule = SynapticScaling(target=20.0, rate=1.0, tau=0.5)
    silent = run(one(rule), [], [], 100)
    assert silent[-1] == pytest.approx(0.5 * (1 + 1e-3) ** 100)
    settled = run(one(rule), [], range(0, 4000, 50), 4000)
    assert abs(settled[-1] - settled[-1001]) < 0.01 * settled[-1]
    busy = run(one(rule), [], range(0, 4000, 25), 4000)
    assert busy[-1] < 0.5 * busy[-1001]


def test_terms_in_steps_have_a_rhythm_and_a_rate() -> None:
    rule = Rule("drift", (), (Term("step", 2.0, per="second", every=3), Term("step", 1.0, every=4)))
    assert run(one(rule), [], [], 12) == pytest.approx(
        [0.5, 0.5, 0.506, 1.506, 1.506, 1.512, 1.512, 2.512, 2.518, 2.518, 2.518, 3.524]
    )


# -- integers -----------------------------------------------------------------------------------------------------------


def whole(terms: Any, traces: Any = (), **options: Any) -> Rule:
    return Rule("whole", traces, terms, **{"w_min": -128, "w_max": 127, **options})


@pytest.mark.parametrize(
    ("rounding", "changes"),
    # quarters of -5 .. 6: multiples of 1/4 that end in a half go to even
    [
        ("nearest", [-1, -1, -1, 0, 0, 0, 0, 0, 1, 1, 1, 2]),
        ("floor", [-2, -1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1]),
    ],
)
def test_sums_of_integers_are_rounded_once(rounding: Any, changes: list[int]) -> None:
    found = []
    for quarters in range(-5, 7):
        rule = whole((Term("pre", quarters / 4 - 0.25), Term("pre", 0.25)), rounding=rounding)
        found.append(run(one(rule, w=10, arithmetic="integer"), [0], [], 1)[0] - 10)
    assert found == changes


def test_stochastic_rounding_is_a_function_of_seed_step_and_synapse() -> None:
    rule = whole((Term("step", 0.375),), rounding="stochastic", seed=2**40 + 7)
    network = one(rule, w=0, arithmetic="integer", size=50)
    x = {"pre": np.zeros((3, 2, 1)), "drive": np.zeros((3, 2, 50))}
    found = reference.simulate_dynamics(network, x, record_weights=[NAME], weights_every=1)
    steps = np.diff(found.weights_over_time[NAME][:, :, :, 0], axis=0, prepend=0)
    assert np.array_equal(steps[:, 0], steps[:, 1])
    expected = [philox(2**40 + 7, np.arange(50), t, 1, 2) >> np.uint32(29) for t in range(3)]
    assert np.array_equal(steps[:, 0], (np.array(expected).astype(int) + 3) // 8)
    assert 0.2 < steps[:, 0].mean() < 0.55
    other = reference.simulate_dynamics(
        one(replace(rule, seed=1), w=0, arithmetic="integer", size=50), x, record_weights=[NAME]
    )
    assert not np.array_equal(other.weights[NAME], found.weights[NAME])


def test_philox_gives_its_published_words() -> None:
    """Known answers of Random123, philox4x32 with 10 rounds."""
    assert philox(0, 0, 0, 0, 0) == 0x6627E8D5
    assert philox(2**64 - 1, *[2**32 - 1] * 4) == 0x408F276D
    assert philox(0x299F31D0A4093822, 0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344) == 0xD16CFE09


def test_integer_traces_decay_towards_zero_from_both_sides_and_saturate() -> None:
    traces = (
        Trace("x", "pre", 1e-3 / math.log(2), 100, limit=120),
        Trace("e", "synapse", 1e-3 / math.log(2), limit=90),
    )
    terms = (Term("pre", -75.0, into="e"), Term("step", 1.0, (Factor("e"),)), Term("step", 1.0, (Factor("x"),)))
    found = run(one(whole(terms, traces, w_min=-500, w_max=500), w=0, arithmetic="integer"), [0, 1], [], 6)
    # e: -75, then -37 - 75 within -90, then -45, -22, -11, -5; x is read before what arrives in the step: 0, 50, 60, 30, 15, 7
    assert np.diff([0, *found]).tolist() == [-75, -40, 15, 8, 4, 2]


def test_integer_weights_end_at_their_bounds() -> None:
    up, down = whole((Term("pre", 100.0),)), whole((Term("pre", -100.0),))
    assert run(one(up, w=26, arithmetic="integer"), [0, 1, 2], [], 3) == [126, 127, 127]
    assert run(one(down, w=72, arithmetic="integer"), [0, 1, 2], [], 3) == [-28, -128, -128]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (STDP(a_plus=0.01, w_max=100.0), "is 0.01, no multiple of 2^-24"),
        (STDP(a_plus=0.5, a_minus=0.5, w_max=0.5), "w_max: is 0.5"),
        (whole((Term("pre", 1.0),), w_max=None), "has no w_min or no w_max"),
        (whole((Term("pre", 1.0, (Factor("x"),)),), (Trace("x", "pre", None),)), "may grow beyond 64 bits"),
        (whole((Term("pre", 1.0, into="e"), Term("step", 1.0, (Factor("e"),))), (Trace("e", "synapse", 0.1),)), "grow"),
        (
            whole((Term("post", 2.0**20, (Factor("x"),) * 3),), (Trace("x", "pre", 0.02, 1000),)),
            'its terms on "post" may leave 64 bits',
        ),
    ],
)
def test_what_integers_do_not_hold_is_refused(rule: Rule, said: str) -> None:
    with pytest.raises(GraphError) as error:
        run(one(rule, w=0, arithmetic="integer"), [], [], 1)
    assert said in str(error.value)
    assert NAME in str(error.value)


# -- weights and samples ------------------------------------------------------------------------------------------------


def test_each_sample_learns_apart_and_from_the_same_weights() -> None:
    network = one(GROW, w=0.0)
    x = np.zeros((4, 3, 1))
    x[:1, 1], x[:, 2] = 1, 1
    found = reference.simulate_dynamics(network, {"pre": x, "drive": np.zeros((4, 3, 1))}, record_weights=[NAME])
    assert found.weights[NAME].ravel().tolist() == [0, 1, 4]
    again = reference.simulate_dynamics(network, {"pre": x, "drive": np.zeros((4, 3, 1))}, record_weights=[NAME])
    assert np.array_equal(again.weights[NAME], found.weights[NAME])


def test_weights_come_back_in_the_shape_of_their_synapse() -> None:
    contract = DynamicsContract(dt=1e-3, integrator="accumulate")
    still = Rule("still", (), (Term("pre", 0.0),))
    dense = np.arange(6.0).reshape(2, 3)  # a zero is a synapse here
    sparse = Sparse([0, 0, 2, 3], [0, 1, 1], np.array([[1.0], [2.0], [3.0]]), post=2)
    network = DynamicNetwork(
        "shapes",
        (SpikeInput("a", (3,)), SpikeInput("b", (2,))),
        (DynamicPopulation("n", (2,), Threshold()),),
        (
            Projection("a", "n", (Dense(dense),), plasticity=still),
            Projection("a", "n", (sparse,), plasticity=still),
            Projection("b", "n", (OneToOne(np.array(0.25)),), plasticity=still),
        ),
        contract,
    )
    names = list(network.plastic)
    found = reference.simulate_dynamics(network, n_steps=1, record_weights=names).weights
    assert np.array_equal(found["a -> n"], dense[None])
    assert found["a -> n #2"].tolist() == [[2, 2, 3]]
    assert found["b -> n"].tolist() == [[0.25, 0.25]]


def test_a_rule_that_changes_nothing_gives_the_spikes_of_static_weights() -> None:
    """In integers, where the order of adding does not matter."""
    rng = np.random.default_rng(0)
    still = whole((Term("post", 0.0),))
    for delays, delay in (("axonal", 0), ("axonal", 2), ("dendritic", 2)):
        rule = replace(still, delays=delays)
        network = one(rule, w=30, delay=delay, arithmetic="integer", size=4)
        x = {"pre": rng.integers(-2, 5, (30, 2, 1)), "drive": (rng.random((30, 2, 4)) < 0.1).astype(int)}
        plain = replace(network, projections=tuple(replace(p, plasticity=None) for p in network.projections))
        found = reference.simulate_dynamics(network, x, potentials=["post"])
        expected = reference.simulate_dynamics(plain, x, potentials=["post"])
        assert found.counts["post"].sum() > 5
        assert np.array_equal(found.potentials["post"], expected.potentials["post"])


def test_a_session_keeps_weights_from_step_to_step_and_reset_restores_them() -> None:
    network = one(RewardSTDP(rate=1000.0, a_plus=1.0, **FREE), w=0.5)
    drive, silent = np.ones((1, 1)), np.zeros((1, 1))
    with sp.open(sp.compile(network, "reference")) as session:
        session.reset(1)
        with pytest.raises(DataError, match="third factor that was not given"):
            session.step({"pre": drive})
        session.modulate({"reward": 1.0})
        session.step({"pre": drive})
        session.step({"drive": drive})
        first = session.weights(NAME)
        assert first > 1
        session.modulate({"reward": np.array([[0.0]])})
        session.step({"pre": silent})
        assert np.array_equal(session.weights(NAME), first)
        session.reset(1)
        assert session.weights(NAME).tolist() == [[[0.5]]]
        with pytest.raises(DataError, match="is a third factor of no projection"):
            session.modulate({"reward": 0.0, "dopamine": 1.0})


def test_the_door_gives_what_the_reference_gives() -> None:
    network = one(RewardSTDP(rate=10.0, **FREE), w=0.5)
    rng = np.random.default_rng(1)
    x = {"pre": (rng.random((50, 2, 1)) < 0.3).astype(float), "drive": (rng.random((50, 2, 1)) < 0.3).astype(float)}
    options: dict[str, Any] = {
        "modulation": {"reward": rng.normal(size=(50, 2))},
        "record_weights": [NAME],
        "weights_every": 7,
    }
    expected = reference.simulate_dynamics(network, x, **options)
    found = sp.simulate(network, x, on="reference", **options)
    assert isinstance(found, sp.DynamicRecording)
    assert np.array_equal(found.weights[NAME], expected.weights[NAME])
    assert found.weights_over_time[NAME].shape == (7, 2, 1, 1)
    assert np.array_equal(found.weights_over_time[NAME], expected.weights_over_time[NAME])


# -- refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modulation": {}}, "'reward'.: is not given"),
        ({"modulation": {"reward": np.zeros((3, 2, 7))}}, "has shape"),
        ({"modulation": {"reward": np.zeros(3)}}, "has shape"),
        ({"modulation": {"reward": [[np.nan]]}}, "is not finite"),
        ({"modulation": {"reward": 0.0, "error": 0.0}}, "is a third factor of no projection"),
        ({"modulation": {"reward": 0.0}, "record_weights": ["drive -> post"]}, "is no projection that learns"),
        ({"modulation": {"reward": 0.0}, "weights_every": 2}, "and none are"),
        ({"modulation": {"reward": 0.0}, "record_weights": [NAME], "weights_every": 0}, "weights_every: is 0"),
    ],
)
def test_what_does_not_fit_a_run_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises((DataError, OptionError), match=said):
        sp.simulate(one(RewardSTDP()), max_steps=3, on="reference", **options)


def test_weights_that_would_not_fit_into_memory_are_refused() -> None:
    with pytest.raises(OptionError, match="are more than 2,147,483,648"):
        reference.simulate_dynamics(one(GROW, size=1000), n_steps=2**20, record_weights=[NAME], weights_every=1)


def test_nobody_carries_a_rule_as_if_it_were_not_there() -> None:
    network = one(STDP())
    for target in ("loihi1", "loihi2", "torch"):
        with pytest.raises(LowerError, match=f"{NAME}: learns by STDP"):
            sp.compile(network, target)
    for target in ("loihi2", "xylo", "speck", "torch"):
        verdict = sp.check(network, target)
        assert any(reason.where.startswith(NAME) and reason.fact == "plasticity" for reason in verdict.reasons), target
    with pytest.raises(NirError, match=f"{NAME}: learns by STDP"):
        sp.to_nir(network, "never_written.nir")
    with pytest.raises(NirError, match=f"{NAME}: learns"):
        sp.to_nir(network, "never_written.nir", dialect="norse")
    with pytest.raises(LowerError, match=NAME):
        sp.simulate(network, max_steps=1, on="torch")


def test_no_learning_is_stepped_under_the_contract_of_a_chip() -> None:
    neuron = FixedCubaLIF(threshold=10, du=4095, dv=4095)
    synapse = Projection("in", "n", (Dense(np.ones((1, 1))),), plasticity=STDP())
    network = DynamicNetwork(
        "chip",
        (SpikeInput("in", (1,)),),
        (DynamicPopulation("n", (1,), neuron),),
        (synapse,),
        DynamicsContract.loihi("loihi2"),
    )
    with pytest.raises(GraphError, match="in -> n: learns by STDP, and no learning is stepped under loihi2's contract"):
        reference.simulate_dynamics(network, n_steps=1)


def test_torch_refuses_by_name_at_its_own_door_too() -> None:
    pytest.importorskip("torch")
    from spikeport.backends.torch import simulate_dynamics

    with pytest.raises(GraphError, match=f"{NAME}: learns by STDP"):
        simulate_dynamics(one(STDP()), n_steps=1)


class Deaf(BackendSession):
    """Of a vendor who has never heard of learning."""

    def reset(self, batch: int = 1) -> None: ...

    def step(self, spikes: Any = None, currents: Any = None) -> Step:
        return Step()

    def close(self) -> None: ...


def test_sessions_of_others_say_that_they_do_not_learn() -> None:
    for ask in (lambda: Deaf().weights(NAME), lambda: Deaf().modulate({"reward": 0.0})):
        with pytest.raises(BackendError, match="Deaf: steps no plasticity"):
            ask()


def test_a_rule_is_kept_in_files() -> None:
    network = one(RewardSTDP(seed=3, rounding="floor", delays="dendritic"), delay=1)
    found = codec.decode(*codec.encode(network))
    assert isinstance(found, DynamicNetwork)
    assert found.projections[1].plasticity == network.projections[1].plasticity
