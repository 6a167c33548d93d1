"""The lockstep simulator of placed programs: the library equals its twin, and both the reference; cores make no difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeport import native
from spikeport.backends.loihi import compiled
from spikeport.backends.loihi.compiled import NativeEngine
from spikeport.backends.loihi.engine import Chunk, Engine, line_spikes, open_engine
from spikeport.backends.loihi.fixed import place_fixed
from spikeport.backends.loihi.placed import Placed
from spikeport.backends.reference import simulate_dynamics
from spikeport.lower import Part
from spikeport.native.lockstep import LockstepState
from spikeport.primitives import (
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedSigmaDelta,
    GradedThreshold,
    Projection,
    SpikeInput,
)
from tests.backends.loihi_networks import fixed_networks, parts_of

ENGINES = ["numpy", *(["native"] if native.available() else [])]


def ran(engine: Engine, x: dict[str, np.ndarray], pieces: list[int]) -> list[Chunk]:
    """Everything that an engine shows, taken in pieces of so many steps."""
    names = [group.name for group in engine.placed.groups]
    seconds = [g.name for g in engine.placed.groups if not isinstance(g.neuron, GradedThreshold)]
    chunks, first = [], 0
    for steps in pieces:
        lines = {name: line_spikes(raster[first : first + steps]) for name, raster in x.items()}
        chunks.append(engine.advance(steps, lines, record=names, potentials=names, seconds=seconds))
        first += steps
    return chunks


def joined(chunks: list[Chunk], field: str, name: str) -> np.ndarray:
    return np.concatenate([getattr(chunk, field)[name] for chunk in chunks])


def check(
    network: DynamicNetwork, placed: Placed, x: dict[str, np.ndarray], pieces: list[int], on: str, threads: int
) -> int:
    """An engine against the reference; returns the number of spikes."""
    expected = simulate_dynamics(network, x, record=None, potentials=list(network.by_name))
    samples = next(iter(x.values())).shape[1]
    engine = open_engine(placed, samples, threads=threads, on=on)
    chunks = ran(engine, x, pieces)
    for name in network.by_name:
        raster = expected.spikes[name].train().raster
        np.testing.assert_array_equal(joined(chunks, "rasters", name), raster, err_msg=f"{on}: spikes of {name}")
        np.testing.assert_array_equal(
            joined(chunks, "potentials", name), expected.potentials[name], err_msg=f"{on}: potentials of {name}"
        )
        if name in expected.currents:
            np.testing.assert_array_equal(
                joined(chunks, "seconds", name), expected.currents[name], err_msg=f"{on}: currents of {name}"
            )
    return sum(int(counts.sum()) for counts in expected.counts.values())


@pytest.mark.parametrize("on", ENGINES)
@given(fixed_networks(), st.integers(0, 2**32), st.integers(1, 2))
@settings(max_examples=60)
def test_random_networks_equal_the_reference_on_any_cores(on: str, case: Any, seed: int, threads: int) -> None:
    network, x = case
    rng = np.random.default_rng(seed)
    steps = len(next(iter(x.values())))
    cuts = sorted({0, steps, *rng.integers(0, steps + 1, 2).tolist()})
    pieces = np.diff(cuts).tolist()
    check(network, place_fixed(network), x, pieces, on, threads)
    check(network, place_fixed(network, parts_of(network.populations, rng)), x, pieces, on, threads)


def one(neuron: Any, chip: Any = "loihi2", *, delay: int = 0, exponent: int = 0, weight: int = 1) -> DynamicNetwork:
    joined = Projection("in", "n", (Dense(np.array([[weight]])),), delay=delay, exponent=exponent)
    population = DynamicPopulation("n", (1,), neuron)
    return DynamicNetwork("n", (SpikeInput("in", (1,)),), (population,), (joined,), DynamicsContract.loihi(chip))


def series(*payloads: int) -> dict[str, np.ndarray]:
    return {"in": np.array(payloads).reshape(-1, 1, 1)}


LIMIT = 2**23
KEEPS = {"du": 4095, "dv": 4096}


@pytest.mark.parametrize("on", ENGINES)
def test_ends_of_registers(on: str) -> None:
    edge = LIMIT >> 6
    cases = [
        (one(FixedCubaLIF(du=4095, dv=0, threshold=3 << 6)), series(3, 1, 0, 0)),
        (one(FixedCubaLIF(**KEEPS, threshold=0, bias=1)), series(-1, 0, 1)),
        (
            one(FixedCubaLIF(**KEEPS, threshold=0)),
            series(edge - 1, edge, edge + 1, -edge + 1, -edge, -edge - 1, 3 * edge + 1, 0),
        ),
        (one(FixedCubaLIF(du=4095, dv=0, threshold=LIMIT)), series(edge, edge, 0, -edge - 5, -edge, 0)),
        (one(FixedCubaLIF(**KEEPS, threshold=0), "loihi1"), series(2**15 - 1, 2**15, -(2**15), -(2**15) - 1, 2**24, 0)),
        (one(FixedCubaLIF(du=0, dv=0, threshold=LIMIT, bias=LIMIT), "loihi1"), series(*[2**15 - 1] * 8)),
        (one(FixedCubaLIF(**KEEPS, threshold=0, refractory=3), "loihi1"), series(*[1] * 8)),
        (one(FixedSigmaDelta(threshold=3)), series(2, 3, -8, 0, 2**24, -(2**24), 0)),
        (
            one(FixedSigmaDelta(threshold=1, activation="unit"), weight=254, exponent=7),
            series(*[2**24] * 3, -(2**24), 0),
        ),
        (one(GradedThreshold(threshold=0), weight=-256, exponent=7), series(2**16, 2**16 - 1, -(2**16), 1, 0)),
    ]
    for network, x in cases:
        check(network, place_fixed(network), x, [len(x["in"])], on, 1)


@pytest.mark.parametrize("on", ENGINES)
@pytest.mark.parametrize("exponent", [-7, -1, 0, 1, 7])
@pytest.mark.parametrize("delay", [0, 1, 62])
def test_exponents_shift_sums_and_delays_add_to_the_latency(on: str, exponent: int, delay: int) -> None:
    network = one(FixedCubaLIF(**KEEPS, threshold=3 << 6), delay=delay, exponent=exponent, weight=-3)
    x = series(*[1, -1, 0, -200], *[0] * (delay + 3))
    assert check(network, place_fixed(network), x, [2, len(x["in"]) - 2], on, 1) > 0


@pytest.mark.skipif(not native.available(), reason="the native library is missing")
def test_state_goes_on_in_64_bits_where_a_payload_asks_for_it() -> None:
    network = one(FixedCubaLIF(du=100, dv=100, threshold=9000), weight=254, delay=2)
    placed = place_fixed(network)
    x = series(5, 30, 1, 2**24, -(2**24), 3, 0, 0, 0, 0)
    assert 2 < placed.narrow_to < 2**24
    check(network, placed, x, [3, 7], "native", 1)
    engine = open_engine(placed, 1, on="native")
    assert isinstance(engine, NativeEngine)
    engine.advance(3, {"in": line_spikes(x["in"][:3])})
    assert not engine.wide
    engine.advance(1, {"in": line_spikes(x["in"][3:4])})
    assert engine.wide


@pytest.mark.skipif(not native.available(), reason="the native library is missing")
@pytest.mark.parametrize("block", [0, compiled.BLOCK])
@given(case=fixed_networks())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_instruction_sets_threads_and_blocks_give_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, block: int, case: Any
) -> None:
    monkeypatch.setattr(compiled, "BLOCK", block)
    network, x = case
    placed = place_fixed(network, parts_of(network.populations, np.random.default_rng(0)))
    for level in native.levels():
        with native.using(level):
            check(network, placed, x, [len(next(iter(x.values())))], "native", 3)


def test_neighbours_are_stepped_as_one_block() -> None:
    parts = [Part("b", 0, 3, 0), Part("a", 4, 6, 0), Part("a", 0, 4, 1), Part("a", 8, 9, 2), Part("b", 3, 2**14 + 1, 3)]
    joined = [(part.population, part.start, part.stop) for part in compiled._joined(parts)]
    assert joined == [("a", 0, 6), ("a", 8, 9), ("b", 0, 3), ("b", 3, 2**14 + 1)]


ENDS_OF_ROWS = {
    "int8": (-128, 127),
    "int8, shifted": (-256, 254),
    "int8, shifted far": (-(2**14), 127 << 7),
    "int16": (-256, 255),
    "above int8": (-127, 128),
    "below int8": (-129, 127),
    "int16, at its ends": (-(2**15), 2**15 - 1),
    "above int16": (-1, 2**15),
    "below int16": (-(2**15) - 1, 1),
}


@pytest.mark.skipif(not native.available(), reason="the native library is missing")
@pytest.mark.parametrize("post", [1, 8, 9, 33, 150, 305])
@pytest.mark.parametrize("ends", ENDS_OF_ROWS.values(), ids=ENDS_OF_ROWS)
def test_sums_of_rows_are_exact_up_to_their_ends(ends: tuple[int, int], post: int) -> None:
    rng, pre = np.random.default_rng(post), 300
    weights = rng.choice(np.array([*ends, 0]), (post, pre))
    weights[0], weights[-1] = ends
    population = DynamicPopulation("n", (post,), FixedSigmaDelta(threshold=1, activation="unit"))
    joined = Projection("in", "n", (Dense(weights),))
    network = DynamicNetwork(
        "n", (SpikeInput("in", (pre,)),), (population,), (joined,), DynamicsContract.loihi("loihi2")
    )
    ones = np.ones(pre, np.int64)
    mixed = [rng.choice(np.array(values), pre) for values in ([0, 1], [-1, 1], [-255, 0, 254], [1, 255, -256])]
    x = np.stack([ones, -ones, *mixed])[:, None]
    wide = np.stack([rng.choice(np.array([1, 65535, -65536, 2**24, -(2**24)]), pre)])[:, None]
    placed = place_fixed(network)
    for level in native.levels():
        with native.using(level):
            assert check(network, placed, {"in": x}, [len(x)], "native", 1) > 0
            check(network, placed, {"in": np.concatenate([x, wide])}, [len(x) + 1], "native", 1)


@pytest.mark.skipif(not native.available(), reason="the native library is missing")
def test_spikes_are_listed_as_numpy_lists_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for shape in [(0, 2, 3), (4, 0, 3), (3, 1, 1), (5, 2, 7), (2, 3, 40), (3, 2, 4, 9), (40, 2, 70)]:
        for share in (0.0, 0.2, 1.0):
            raster = rng.choice(np.array([1, -1, 2**40, -(2**33)]), shape) * (rng.random(shape) < share)
            found = []
            for level in native.levels():
                with native.using(level):
                    found.append(line_spikes(raster))
            with monkeypatch.context() as patch:
                patch.setattr(native, "available", lambda: False)
                expected = line_spikes(raster)
            for lists in found:
                for field in ("offsets", "neurons", "values"):
                    mine, other = getattr(lists, field), getattr(expected, field)
                    np.testing.assert_array_equal(mine, other)
                    assert mine.dtype == other.dtype


@pytest.mark.skipif(not native.available(), reason="the native library is missing")
def test_many_steps_are_taken_in_pieces_that_an_interruption_can_part(monkeypatch: pytest.MonkeyPatch) -> None:
    network = one(FixedCubaLIF(du=100, dv=100, threshold=5 << 6), delay=2)
    x = series(*[3, 0, 1] * 7)
    monkeypatch.setattr(compiled, "WORK", 4)
    calls = []
    run = LockstepState.run
    monkeypatch.setattr(
        LockstepState,
        "run",
        lambda self, first, steps, *a, **k: (calls.append((first, steps)), run(self, first, steps, *a, **k)),
    )
    check(network, place_fixed(network), x, [11, 10], "native", 1)
    assert calls == [(0, 4), (4, 4), (8, 3), (11, 4), (15, 4), (19, 2)]


@pytest.mark.parametrize("on", ENGINES)
def test_another_number_of_samples_begins_anew(on: str) -> None:
    placed = place_fixed(one(FixedCubaLIF(du=0, dv=0, threshold=1 << 6)))
    engine = open_engine(placed, 1, on=on)
    ran(engine, series(1, 1, 1), [3])
    again = engine.with_samples(2)
    assert (again.samples, again.step_index) == (2, 0)
    both = {"in": np.repeat(series(1, 1, 1)["in"], 2, axis=1)}
    expected = ran(open_engine(placed, 2, on=on), both, [3])
    found = ran(again, both, [3])
    for field in ("rasters", "potentials", "seconds"):
        np.testing.assert_array_equal(joined(found, field, "n"), joined(expected, field, "n"))
