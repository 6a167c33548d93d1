"""Neurons with a second state, worked out by hand, and beside programs and formulas that others published."""

from __future__ import annotations

import cmath
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.backends.reference import simulate_dynamics
from spikeport.errors import GraphError, NirError
from spikeport.primitives import (
    IF,
    AdaptiveLIF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicRecording,
    DynamicsContract,
    I,
    Izhikevich,
    OneToOne,
    Projection,
    ResonateAndFire,
    SigmaDelta,
    SpikeInput,
)

ROUNDING = 1e-9  # of some thousand operations in float64, on values up to 1e2


def network(neuron: Any, *, weight: float = 1.0, **choices: Any) -> DynamicNetwork:
    """One input, one neuron; a step is 1 ms."""
    contract = DynamicsContract(**{"dt": 1e-3, "integrator": "forward_euler", "compare": ">=", **choices})
    cell = DynamicPopulation("n", (1,), neuron)
    synapse = Projection("in", "n", (OneToOne(np.array([weight])),))
    return DynamicNetwork("one", (SpikeInput("in", (1,)),), (cell,), (synapse,), contract)


def run(neuron: Any, x: list[float], **choices: Any) -> tuple[list[float], list[float]]:
    """What it sends and its potentials."""
    found = simulate_dynamics(network(neuron, **choices), np.array(x, float).reshape(-1, 1, 1), potentials=["n"])
    return found.spikes["n"].train().raster.ravel().tolist(), found.potentials["n"].ravel().tolist()


# with dt = tau / 2 each step goes half of the way
HALF = {"tau": 2e-3, "tau_adapt": 2e-3}


def test_a_spike_raises_the_threshold_which_decays() -> None:
    """x = 2 drives v to 1, where it fires; then the threshold is 1 + 4, halved in each step before it is compared."""
    neuron = AdaptiveLIF(**HALF, increment=4.0)
    spikes, potentials = run(neuron, [2, 2, 2, 2, 6.5])
    assert spikes == [1, 0, 0, 1, 1]  # thresholds 1, 3, 2, 1.5, 1 + (0.5 + 4) / 2 = 3.25
    assert potentials == [0, 1, 1.5, 0, 0]


def test_it_fires_at_the_threshold_with_w_or_beyond_it_as_the_contract_says() -> None:
    neuron = AdaptiveLIF(**HALF, increment=0.0, initial_w=2.0)  # compared with 1 + 1 in the first step
    assert run(neuron, [4])[0] == [1]
    assert run(neuron, [np.nextafter(4, 0)])[0] == [0]
    assert run(neuron, [4], compare=">")[0] == [0]


@pytest.mark.parametrize(
    ("choices", "spikes"),
    [
        ({}, [1, 0, 1, 0, 0]),
        ({"reset_when": "next_step"}, [1, 0, 1, 0, 0]),  # v and w are reset before the step in which both are used
        ({"reset_when": "after_next_update"}, [1, 0, 0, 1, 0]),  # w grows after it decayed: 4 at once, and not 2
    ],
)
def test_the_increment_is_part_of_the_reset(choices: dict[str, Any], spikes: list[int]) -> None:
    """Thresholds of 1; then 3, 2, ...; or 5, 3, 2, ... where the increment comes after the decay."""
    assert run(AdaptiveLIF(**HALF, increment=4.0), [2, 4, 4, 4, 0], **choices)[0] == spikes


def test_an_infinite_time_constant_keeps_what_spikes_added() -> None:
    """Homeostasis: each spike takes two more units of drive than the one before."""
    for integrator in ("forward_euler", "exponential"):
        neuron = AdaptiveLIF(tau=1e-9, tau_adapt=np.inf, increment=1.0)
        if integrator == "forward_euler":
            neuron = AdaptiveLIF(tau=1e-3, tau_adapt=np.inf, increment=1.0)
        assert run(neuron, [1, 1, 2, 2, 3, 3], integrator=integrator)[0] == [1, 0, 1, 0, 1, 0]


def test_an_adaptive_current_is_taken_from_the_drive_of_the_next_step() -> None:
    neuron = AdaptiveLIF(**HALF, increment=1.0, adapts="current", threshold=2.0)
    spikes, potentials = run(neuron, [4, 4, 4, 4])
    assert spikes == [1, 0, 1, 0]  # w is 1, then 1/2, then 1/4 + 1
    assert potentials == [0, 1.5, 0, 1.375]  # (4 - 1) / 2, then 1.5 + (4 - 0.5 - 1.5) / 2 = 2.5 fires; (4 - 1.25) / 2


def test_coupling_follows_the_potential_of_the_step_before() -> None:
    neuron = AdaptiveLIF(**HALF, increment=0.0, adapts="current", coupling=2.0, v_leak=1.0, initial=3.0, threshold=99)
    # v: 3 -> 3 + (1 - 3) / 2 = 2;  w: 0 + (2 (3 - 1)) / 2 = 2;  v: 2 + (1 - 2 - 2) / 2 = 0.5
    assert run(neuron, [0, 0])[1] == [2, 0.5]


def test_adaptation_goes_on_in_a_refractory_period() -> None:
    neuron = AdaptiveLIF(**HALF, increment=8.0, refractory=2e-3)
    # deaf in steps 1 and 2; thresholds are 1 + 8 / 8 = 2 in step 3 and 1.5 in step 4
    assert run(neuron, [2, 0, 0, 3, 3])[0] == [1, 0, 0, 0, 1]


def test_subtraction_takes_off_the_threshold_without_w() -> None:
    neuron = AdaptiveLIF(**HALF, increment=1.0, initial_w=2.0)
    spikes, potentials = run(neuron, [6], reset="subtract")  # v = 3, threshold 1 + 1
    assert (spikes, potentials) == ([1], [2])


# -- Izhikevich ---------------------------------------------------------------------------------------------------------------


def published(current: float, steps: int, *, a: float, b: float, c: float, d: float) -> list[int]:
    """The loop of the program of 2003, for one neuron: a step of 1 ms, v in two halves, the reset at the beginning of the next step."""
    v = -65.0
    u = b * v
    fired = []
    for t in range(steps):
        if v >= 30:
            fired.append(t - 1)
            v, u = c, u + d
        v = v + 0.5 * (0.04 * (v * v) + 5 * v + 140 - u + current)
        v = v + 0.5 * (0.04 * (v * v) + 5 * v + 140 - u + current)
        u = u + a * (b * v - u)
    return fired


@pytest.mark.parametrize(
    "parameters",
    [
        {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0},
        {"a": 0.02, "b": 0.2, "c": -55.0, "d": 4.0},
        {"a": 0.02, "b": 0.2, "c": -50.0, "d": 2.0},
        {"a": 0.1, "b": 0.2, "c": -65.0, "d": 2.0},
        {"a": 0.02, "b": 0.25, "c": -65.0, "d": 2.0},
    ],
    ids=["regular", "intrinsically bursting", "chattering", "fast", "low threshold"],
)
@pytest.mark.parametrize("reset_when", ["same_step", "next_step"])
def test_the_program_of_2003_fires_in_the_same_steps(parameters: dict[str, float], reset_when: str) -> None:
    steps = 1000
    expected = published(10.0, steps + 1, **parameters)
    neuron = Izhikevich(**parameters, initial=-65.0, bias=10.0)
    made = network(neuron, reset_when=reset_when)
    found = simulate_dynamics(made, np.zeros((steps, 1, 1)))
    assert len(expected) >= 20
    assert found.spikes["n"].steps.tolist() == expected


def test_one_step_of_izhikevich_by_hand() -> None:
    """All numbers are dyadic, so that nothing is rounded."""
    neuron = Izhikevich(
        a=0.5, b=0.25, c=-64.0, d=8.0, square=0.25, linear=5.0, constant=140.0, initial=-8.0, substeps=1, threshold=1e6
    )
    # u = -2;  v = -8 + (16 - 40 + 140 + 2 + 3) = 113;  u = -2 + 0.5 (0.25 v + 2)
    assert run(neuron, [3])[1] == [113.0]
    new = run(neuron, [3, 0])[1][1]
    assert new == 113 + (0.25 * 113 * 113 + 5 * 113 + 140 - (-2 + 0.5 * (0.25 * 113 + 2)))
    old = Izhikevich(
        a=0.5, b=0.25, c=-64.0, square=0.25, initial=-8.0, substeps=1, threshold=1e6, recovery="old", r=0.5
    )
    assert run(old, [6, 0])[1] == [113.0, 113 + (0.25 * 113 * 113 + 5 * 113 + 140 - -2.0)]


@pytest.mark.parametrize(("compare", "v"), [(">=", -64.0), (">", 113.0)])
def test_the_recovery_takes_the_potential_after_a_reset(compare: str, v: float) -> None:
    """As by hand above: v reaches 113, which is the threshold; what comes next is held below it."""
    neuron = Izhikevich(
        a=0.5, b=0.25, c=-64.0, d=8.0, square=0.25, initial=-8.0, substeps=1, threshold=113.0, recovery="reset"
    )
    fires = v < 0
    u = -2 + 0.5 * (0.25 * v + 2) + (8 if fires else 0)
    after = v + (0.25 * v * v + 5 * v + 140 - u)
    held = 100 - after
    assert run(neuron, [3, held], compare=compare) == ([int(fires), 0], [v, 100.0])


def test_a_recovery_after_the_reset_needs_a_reset_in_the_step() -> None:
    for choices in ({"synapse": "delta"}, {"reset_when": "next_step"}):
        with pytest.raises(GraphError, match='n: its recovery="reset"'):
            network(Izhikevich(recovery="reset"), **choices)


def test_jumps_come_after_the_substeps_and_are_compared() -> None:
    still: dict[str, Any] = {
        "a": 0.0,
        "square": 0.0,
        "linear": 0.0,
        "constant": 0.0,
        "initial_u": 0.0,
        "initial": -60.0,
    }
    for substeps in (1, 2):
        neuron = Izhikevich(**still, substeps=substeps)
        assert run(neuron, [89, 1, 0], synapse="delta") == ([0, 1, 0], [29, -65, -73])  # then u = d takes 8 off
    assert run(Izhikevich(**still), [90], synapse="delta", compare=">")[0] == [0]


# -- resonate and fire --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["izhikevich", "rf"])
def test_an_oscillation_is_that_of_the_formula(kind: Any) -> None:
    """Under "exponential" a step is exact, also of a constant current: z(t) = e^(lt) z + (e^(lt) - 1) / l r i."""
    rate = -1 / 0.02 + 2j * math.pi * 40
    neuron = ResonateAndFire(
        tau=0.02, frequency=40.0, threshold=1e9, kind=kind, initial=2.0, initial_w=-1.0, bias=3.0, r=7.0
    )
    _, potentials = run(neuron, [0] * 50, integrator="exponential")
    for step, v in enumerate(potentials, start=1):
        t = step * 1e-3
        z = cmath.exp(rate * t) * (-1 + 2j) + (cmath.exp(rate * t) - 1) / rate * 21
        assert abs(z.imag - v) < ROUNDING


def test_euler_takes_the_tangent() -> None:
    frequency = 0.25 / (2 * math.pi * 1e-3)  # 1/4 radian a step
    neuron = ResonateAndFire(tau=2e-3, frequency=frequency, threshold=99, initial=1.0, initial_w=2.0, r=1000.0)
    _, potentials = run(neuron, [4.0, 0.0])
    turn = 2 * math.pi * frequency * 1e-3
    # v = v / 2 + w / 4 = 1;  w = w / 2 - v / 4 + 4 = 4.75;  v = 0.5 + 4.75 / 4
    assert potentials == [0.5 + turn * 2, 0.5 * (0.5 + turn * 2) + turn * ((0.5 * 2 - turn) + 4.0)]


def test_a_phase_at_zero_is_one_that_has_risen() -> None:
    """Equal to zero, and equal to the threshold: v goes from -1 to -1/2 + 2/4, w to 2/2 + 1/4."""
    turn = exact_turn(0.25)
    for threshold, compare, spikes in ((1.25, ">=", [1]), (1.25, ">", [0]), (1.0, ">", [1])):
        neuron = ResonateAndFire(tau=2e-3, frequency=turn, threshold=threshold, kind="rf", initial=-1.0, initial_w=2.0)
        for simulate in steppers():
            made = network(neuron, compare=compare)
            found = simulate(made, np.zeros((1, 1, 1)), potentials=["n"])
            assert found.spikes["n"].train().raster.ravel().tolist() == spikes
            assert found.potentials["n"].item() == 0


def exact_turn(angle: float) -> float:
    """A frequency whose angle in a step of 1 ms is no other number."""
    frequency = angle / (2 * math.pi * 1e-3)
    near = [frequency, np.nextafter(frequency, 0), np.nextafter(frequency, np.inf)]
    (found, *_) = [float(f) for f in near if 2 * math.pi * f * 1e-3 == angle]
    return found


def steppers() -> list[Any]:
    """The reference, and the compiled kernels where they are."""
    if not native.available():
        return [simulate_dynamics]
    from spikeport.backends.native import simulate_dynamics as by_native

    return [simulate_dynamics, by_native]


def test_it_answers_to_its_rhythm_alone() -> None:
    """Spikes a period of 20 ms apart add up; at half of that they cancel."""
    neuron = ResonateAndFire(tau=0.1, frequency=50.0, threshold=1.2)
    rhythm, against = np.zeros(200), np.zeros(200)
    rhythm[::20], against[::10] = 1, 1
    found = [run(neuron, list(x), integrator="exponential", synapse="delta", weight=0.5)[0] for x in (rhythm, against)]
    assert sum(found[0]) > 0
    assert sum(found[1]) == 0


def test_izhikevichs_reset_begins_at_the_imaginary_unit_and_phase_fires_once_a_turn() -> None:
    quarter: dict[str, Any] = {"tau": 1e9, "frequency": 250.0, "threshold": 0.5}  # a quarter of a turn a step
    fires = run(ResonateAndFire(**quarter, v_reset=0.25), [0.0, 0, 0, 0], integrator="exponential", synapse="delta")
    assert fires[0] == [0, 0, 0, 0]
    spikes, potentials = run(ResonateAndFire(**quarter, v_reset=0.25, initial_w=1.0), [0] * 4, integrator="exponential")
    assert spikes == [1, 0, 0, 0]  # v goes to 1, and is reset to 0.25
    assert np.allclose(potentials, [0.25, 0, -0.25, 0], atol=ROUNDING)
    eighth: dict[str, Any] = {"tau": 1e9, "frequency": 125.0, "threshold": 0.5, "kind": "rf"}
    spikes, _ = run(ResonateAndFire(**eighth, initial=-0.5, initial_w=1.0), [0] * 17, integrator="exponential")
    assert spikes == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]  # once a turn of eight steps
    assert sum(run(ResonateAndFire(**eighth, initial=-0.2, initial_w=0.2), [0] * 17, integrator="exponential")[0]) == 0


# -- sigma-delta --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arithmetic", ["float64", "float32", "integer"])
@pytest.mark.parametrize("synapse", ["current", "delta"])
def test_sigma_delta_sends_changes_as_lavas_does(arithmetic: str, synapse: str) -> None:
    """The figures of the fixed-point one, which are Lava's: see test_fixed."""
    how: dict[str, Any] = {"integrator": "accumulate", "arithmetic": arithmetic, "synapse": synapse}
    assert run(SigmaDelta(threshold=3), [2, 3, -8, 0, 0], **how) == ([0, 5, -5, 0, 0], [2, 5, -3, -3, -3])
    unit = SigmaDelta(threshold=3, activation="unit", bias=-1)
    assert run(unit, [2, 2, -8, 0], **how)[0] == [0, 3, -8, 0]
    assert run(SigmaDelta(threshold=0), [1, 0, -1, 0], **how)[0] == [1, 0, -1, 0]
    assert run(SigmaDelta(threshold=3), [3], **how | {"compare": ">"})[0] == [0]


def test_what_sigma_delta_sends_adds_up_to_its_activation() -> None:
    """Whoever sums it is off by less than the threshold at any time."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.3, (200, 1, 4))
    cells = (
        DynamicPopulation("n", (4,), SigmaDelta(threshold=0.5, activation="unit")),
        DynamicPopulation("sum", (4,), I()),
    )
    one = (OneToOne(np.ones(4)),)
    how = DynamicsContract(dt=1e-3, integrator="accumulate")
    joined = (Projection("in", "n", one), Projection("n", "sum", one))
    made = DynamicNetwork("two", (SpikeInput("in", (4,)),), cells, joined, how)
    found = simulate_dynamics(made, x, potentials=["n", "sum"])
    assert np.abs(found.potentials["n"] - found.potentials["sum"]).max() <= 0.5
    assert 50 < found.counts["n"].sum() < 400  # of 800
    assert found.spikes["n"].values is not None
    assert found.spikes["n"].values.dtype == np.float64
    assert found.counts["n"].sum() == len(found.spikes["n"])


# -- everywhere ---------------------------------------------------------------------------------------------------------------

EACH = (
    AdaptiveLIF(tau=0.01, tau_adapt=0.05, increment=np.linspace(0, 1, 6), adapts="threshold", bias=1.5),
    AdaptiveLIF(tau=0.01, tau_adapt=0.05, increment=0.3, adapts="current", coupling=0.1, bias=1.5, refractory=2e-3),
    Izhikevich(a=np.array([0.02, 0.02, 0.02, 0.1, 0.02, 0.02]), d=np.array([8, 4, 2, 2, 2, 6]), bias=10.0),
    ResonateAndFire(tau=0.05, frequency=np.linspace(20, 200, 6), r=100.0, bias=1.0, threshold=0.25),
    ResonateAndFire(tau=0.05, frequency=np.linspace(20, 200, 6), r=100.0, bias=0.5, threshold=0.1, kind="rf"),
    SigmaDelta(threshold=0.75),
)


CONTRACTS = {
    "integrator": ("forward_euler", "exponential"),
    "synapse": ("current", "delta"),
    "compare": (">", ">="),
    "reset": ("to_value", "subtract"),
    "reset_when": ("same_step", "next_step", "after_next_update"),
}
MORE = (
    Izhikevich(a=0.02, b=np.linspace(0.2, 0.25, 6), bias=12.0, recovery="old", substeps=1, leak=0.9, v_recovery=-1.0),
    SigmaDelta(threshold=np.array([0, 1, 1, 2, 0.5, 3.0]), activation="unit", bias=np.array([0, 0, 1, -1, 0, 0.5])),
)


@pytest.mark.skipif(not native.available(), reason=native.why_missing())
@pytest.mark.parametrize("neuron", [*EACH, *MORE], ids=lambda n: type(n).__name__)
def test_native_gives_the_same_bits_under_every_contract_that_has_a_meaning(neuron: Any) -> None:
    from spikeport.backends.native import simulate_dynamics as by_native

    rng = np.random.default_rng(3)
    x = rng.integers(-2, 4, (24, 1, 6)) * (rng.random((24, 1, 6)) < 0.5)
    cells = DynamicPopulation("n", (6,), neuron)
    tried = 0
    for choices in product(*CONTRACTS.values()):
        how = DynamicsContract(dt=1e-3, **dict(zip(CONTRACTS, choices, strict=True)))  # type: ignore[arg-type]
        try:
            made = DynamicNetwork(
                "n", (SpikeInput("in", (6,)),), (cells,), (Projection("in", "n", (OneToOne(np.ones(6)),)),), how
            )
        except GraphError:
            continue
        expected = simulate_dynamics(made, x, potentials=["n"])
        assert same(by_native(made, x, potentials=["n"]), expected), choices
        tried += 1
    assert tried >= 16


def crowd(arithmetic: str) -> tuple[DynamicNetwork, np.ndarray]:
    """All kinds, each heard by all others."""
    rng = np.random.default_rng(1)
    cells = tuple(DynamicPopulation(f"p{k}", (6,), neuron) for k, neuron in enumerate(EACH))
    joined = [Projection("in", c.name, (Dense(rng.normal(0, 0.5, (6, 6))),)) for c in cells]
    joined += [
        Projection(a.name, b.name, (Dense(rng.normal(0, 0.1, (6, 6))),), delay=1 + k % 3)
        for k, (a, b) in enumerate((a, b) for a in cells for b in cells)
    ]
    how = DynamicsContract(dt=1e-3, integrator="exponential", arithmetic=arithmetic)  # type: ignore[arg-type]
    made = DynamicNetwork("crowd", (SpikeInput("in", (6,)),), cells, tuple(joined), how)
    return made, (rng.random((150, 2, 6)) < 0.1).astype(float)


def same(found: DynamicRecording, expected: DynamicRecording) -> bool:
    def equal(a: Any, b: Any) -> bool:
        return a.dtype == b.dtype and np.array_equal(a, b)

    return all(
        equal(found.spikes[n].train().raster, e.train().raster)
        and equal(found.potentials[n], expected.potentials[n])
        and equal(found.currents[n], expected.currents[n])
        for n, e in expected.spikes.items()
    ) and all(np.array_equal(found.counts[n], counts) for n, counts in expected.counts.items())


@pytest.mark.skipif(not native.available(), reason=native.why_missing())
@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_native_gives_the_same_bits_on_every_instruction_set_and_in_pieces(arithmetic: str) -> None:
    from spikeport.backends.native import DynamicSession
    from spikeport.backends.native import simulate_dynamics as by_native

    made, x = crowd(arithmetic)
    names = [p.name for p in made.populations]
    expected = simulate_dynamics(made, x, potentials=names)
    assert all(counts.sum() > 20 for counts in expected.counts.values())
    for level in native.levels():
        with native.using(level):
            assert same(by_native(made, x, potentials=names), expected)
    with DynamicSession(made, batch=2) as session:
        for _ in range(2):
            parts = [session.run(part, potentials=names) for part in (x[:40], x[40:])]
            for name in names:
                joined = np.concatenate([p.spikes[name].train().raster for p in parts])
                assert np.array_equal(joined, expected.spikes[name].train().raster)
            session.reset()


def test_doors_and_windows_keep_the_numbers_that_are_sent() -> None:
    made, x = crowd("float64")
    expected = simulate_dynamics(made, x)
    for on in ("reference", "native", "torch"):
        if on == "torch":
            pytest.importorskip("torch")
        if on == "native" and not native.available():
            continue
        program = sp.compile(made, on)
        with sp.backend(on).open(program, record=("p5",), potentials=()) as session:
            session.reset(2)
            steps = [session.step({"in": values}).spikes["p5"] for values in x]
        theirs = expected.spikes["p5"].train().raster
        assert np.abs(np.array(steps) - theirs).max() <= ROUNDING, on
        assert steps[0].dtype == np.float64


# -- what has no meaning ------------------------------------------------------------------------------------------------------


def refused(neuron: Any, **choices: Any) -> str:
    with pytest.raises(GraphError) as error:
        network(neuron, **choices)
    return str(error.value)


def test_what_has_no_meaning_is_refused_by_name() -> None:
    adaptive = AdaptiveLIF(tau=0.01, tau_adapt=0.1, increment=1.0)
    resonating = ResonateAndFire(tau=0.01, frequency=40.0)
    assert "n: AdaptiveLIF leaks, and accumulation has no leak" in refused(adaptive, integrator="accumulate")
    assert "n: AdaptiveLIF leaks, which integer arithmetic" in refused(adaptive, arithmetic="integer")
    for neuron in (Izhikevich(), resonating):
        name = type(neuron).__name__
        assert f"n: {name} moves in time" in refused(neuron, integrator="accumulate")
        assert f"n: {name} has no form in integer" in refused(neuron, arithmetic="integer")
        assert f"n: {name} begins again at a point" in refused(neuron, reset="subtract")
    network(ResonateAndFire(tau=0.01, frequency=40.0, kind="rf"), reset="subtract")
    assert "n: Izhikevich goes to infinity" in refused(Izhikevich(), reset_when="after_next_update")
    for neuron in (adaptive, Izhikevich(), resonating, SigmaDelta(threshold=1)):
        assert f"n: {type(neuron).__name__} fires once a step at most" in refused(neuron, spikes="multi")


def test_chips_and_nir_refuse_them_by_name(tmp_path: Path) -> None:
    made, _ = crowd("float64")
    kinds = {p.name: type(p.neuron).__name__ for p in made.populations}
    for target in ("loihi2", "xylo", "spinnaker2", "fpga", "brainscales2"):
        verdict = sp.check(made, target=target)
        assert verdict.outcome == "impossible"
        said = [str(reason) for reason in verdict.reasons]
        assert [
            any(f"{name}: is {kind}, and the target has" in text for text in said) for name, kind in kinds.items()
        ] == [True] * 6
    with pytest.raises(NirError) as error:
        sp.to_nir(made, tmp_path / "crowd.nir")
    assert [p.why for p in error.value.problems] == [f"{kind} has no node in NIR" for kind in kinds.values()]
    assert not (tmp_path / "crowd.nir").exists()


@pytest.mark.parametrize(
    ("neuron", "why"),
    [
        (AdaptiveLIF(tau=0.01, tau_adapt=0.0, increment=1.0), "n.tau_adapt: must be positive"),
        (AdaptiveLIF(tau=np.inf, tau_adapt=np.inf, increment=1.0), "n.tau: is not finite"),
        (AdaptiveLIF(tau=0.01, tau_adapt=np.nan, increment=1.0), "n.tau_adapt: is not finite"),
        (AdaptiveLIF(tau=0.01, tau_adapt=0.1, increment=1.0, adapts="both"), "n.adapts: is 'both'"),  # type: ignore[arg-type]
        (Izhikevich(substeps=0), "n.substeps: is 0"),
        (Izhikevich(substeps=65), "n.substeps: is 65"),
        (Izhikevich(substeps=True), "n.substeps: is True"),
        (Izhikevich(recovery="late"), "n.recovery: is 'late'"),  # type: ignore[arg-type]
        (Izhikevich(a=np.array([1.0, 2.0])), r"n.a: has shape \(2,\)"),
        (ResonateAndFire(tau=0.01, frequency=1.0, kind="phase"), "n.kind: is 'phase'"),  # type: ignore[arg-type]
        (SigmaDelta(threshold=-1.0), "n.threshold: is negative"),
        (SigmaDelta(threshold=1.0, activation="tanh"), "n.activation: is 'tanh'"),  # type: ignore[arg-type]
    ],
)
def test_parameters_that_do_not_fit_are_refused_by_name(neuron: Any, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        DynamicPopulation("n", (1,), neuron)


def test_units_that_count_are_integrators() -> None:
    """IF fires at every third input, with what is left kept or not; I never fires and sends the count."""
    assert run(IF(threshold=3), [1, 1, 1, 2, 2, 0], integrator="accumulate")[0] == [0, 0, 1, 0, 1, 0]
    keeps = run(IF(threshold=3), [1, 1, 1, 2, 2, 2], integrator="accumulate", reset="subtract")
    assert keeps == ([0, 0, 1, 0, 1, 1], [1, 2, 0, 2, 1, 0])
