"""The native stepper against the reference: every field of a recording, under every code and instruction set."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from spikeport import codes, native
from spikeport.backends import reference
from spikeport.errors import DataError, OptionError
from spikeport.primitives import (
    Connection,
    Conv,
    Dense,
    InputEncoder,
    MaxPool,
    OneToOne,
    Reshape,
    SpikingNetwork,
    Transpose,
)
from spikeport.quantize import CountLayer, IntegerNetwork, MaxLayer, Readout
from tests.backends.test_reference import MUTANTS
from tests.integer_networks import random_input, random_network
from tests.recordings import assert_equal_recordings as assert_equal

if not native.available():
    pytest.skip(native.why_missing(), allow_module_level=True)

from spikeport.backends.native import plan, simulate


def spiking(seed: int, code: str, *, kind: str = "static", **options: object) -> SpikingNetwork | None:
    """A random network under a code; None where the code refuses it."""
    try:
        return codes.encode(random_network(seed, kind=kind, digits=True), code, **options)
    except OptionError:
        return None


@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", sorted(codes.CODES))
def test_every_field_equals_the_reference(code: str, kind: str) -> None:
    seen = 0
    for seed in range(9):
        network = spiking(seed, code, kind=kind)
        if network is None:
            continue
        x = random_input(random_network(seed, kind=kind, digits=True), seed, samples=5)
        record = None if seed % 2 else ()
        expected = reference.simulate(network, x, record=record)
        for level in native.levels():
            with native.using(level):
                for threads in (1, 2, 3):
                    assert_equal(simulate(network, x, record=record, threads=threads), expected)
        seen += 1
    assert seen


@pytest.mark.parametrize("code", ["phased", "radix", "signed", "staircase"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_bins_of_events_equal_the_reference(code: str, dtype: str) -> None:
    for seed in (4, 5, 6):
        network = spiking(seed, code, kind="events", steps=40)  # more than one chunk of steps
        if network is None:
            continue
        rng = np.random.default_rng(seed)
        bins = (rng.random((40, 3, *network.input.shape)) < 0.1).astype(dtype)
        bins[3] *= 2  # two events in one place and step
        expected = reference.simulate(network, bins, record=None)
        assert_equal(simulate(network, bins, record=None), expected)
        strided = np.repeat(np.repeat(bins, 2, axis=-1), 2, axis=0)[::2, ..., ::2]
        assert_equal(simulate(network, strided, record=None), expected)
        raw = np.zeros(bins.nbytes + 1, dtype=np.uint8)
        misaligned = raw[1:].view(dtype).reshape(bins.shape)
        misaligned[...] = bins
        assert_equal(simulate(network, misaligned, record=None), expected)


def test_a_run_that_is_cut_short_equals_the_reference() -> None:
    network = spiking(11, "signed")
    assert network is not None
    x = random_input(random_network(11, digits=True), 11)
    for max_steps in range(1, network.contract.max_steps + 2):
        assert_equal(simulate(network, x, max_steps=max_steps), reference.simulate(network, x, max_steps=max_steps))


def test_groups_and_chunks_do_not_change_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    module = inspect.getmodule(simulate)
    assert module is not None
    for seed, kind in ((2, "static"), (4, "events")):
        network = spiking(seed, "signed", kind=kind)
        assert network is not None
        x = random_input(random_network(seed, kind=kind, digits=True), seed, samples=7)
        expected = reference.simulate(network, x, record=None)
        for chunk in (1, 3, 7):
            monkeypatch.setattr(module, "CHUNK", chunk)
            monkeypatch.setattr(module, "GROUP_WORK", 2 * chunk * network.neurons)
            assert_equal(simulate(network, x, record=None), expected)


def test_wide_potentials_and_weights_equal_the_reference() -> None:
    """Thresholds and weights beyond int8 and int32 take other kernels."""
    for seed, factor in ((0, 300), (1, 300), (0, 2**40), (1, 2**40)):
        base = random_network(seed, digits=True)
        layers = tuple(
            replace(
                layer, **{n: getattr(layer, n) * factor for n in ("threshold", "bias", "offset") if hasattr(layer, n)}
            )
            for layer in base.layers
        )
        connections = tuple(
            replace(
                c,
                synapses=tuple(replace(s, weight=s.weight * factor) if hasattr(s, "weight") else s for s in c.synapses),
            )
            for c in base.connections
        )
        network = codes.encode(replace(base, layers=layers, connections=connections, state_bits=60), "signed")
        assert plan(network).plan.wide == (factor == 2**40)
        x = random_input(base, seed, samples=4)
        assert_equal(simulate(network, x, record=None), reference.simulate(network, x, record=None))


def many_channels(seed: int, *, kind: str = "static", top: int = 7) -> IntegerNetwork:
    """Channels beyond a vector and beyond a word of bits, extreme weights, a shortcut, a strided and a depthwise layer."""
    rng = np.random.default_rng(seed)
    pads = ((1, 1), (1, 1))

    def conv(out: int, channels: int, size: int, stride: int, groups: int = 1) -> Conv:
        weight = rng.choice([-128, -100, -1, 0, 1, 99, 127], size=(out, channels // groups, size, size))
        return Conv(weight, (stride, stride), pads if size == 3 else ((0, 0), (0, 0)), (1, 1), groups)

    def layer(name: str, channels: int, space: int, threshold: int, low: int = 0) -> CountLayer:
        threshold = max(2, 7 * threshold // top // 2)  # more levels are finer ones
        thresholds = rng.integers(threshold, 2 * threshold, size=(channels, 1, 1))
        bias = rng.integers(-threshold, threshold, size=(channels, 1, 1))
        shape = (channels, space, space)
        return CountLayer(name, shape, thresholds, bias, thresholds // 2, low, top, np.ones(()))

    low, high = (-127, 127) if kind == "static" else (0, 3)
    return IntegerNetwork(
        InputEncoder("input", (2, 6, 6), kind, np.ones(()), low, high),  # type: ignore[arg-type]
        (
            layer("a", 70, 6, 3000),
            layer("b", 70, 6, 5000, -top),
            layer("c", 33, 3, 5000),
            layer("d", 33, 3, 900),
            MaxLayer("e", (33, 2, 2), MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)), np.ones(())),
            Readout("output", (3,), np.array([5, -5, 0]), 0.5),
        ),
        (
            Connection("input", "a", (conv(70, 2, 3, 1),)),
            Connection("a", "b", (conv(70, 70, 3, 1),)),
            Connection("a", "b", (OneToOne(rng.integers(-900, 900, size=(70, 1, 1))),)),
            Connection("b", "c", (conv(33, 70, 3, 2),)),
            Connection("c", "d", (conv(33, 33, 3, 1, 33),)),
            Connection("d", "e", ()),
            Connection("e", "output", (Reshape((132,)), Dense(rng.integers(-128, 128, size=(3, 132))))),
        ),
        8,
        31,
    )


@pytest.mark.parametrize("dense_from", [0.0, 0.25, 2.0])
def test_lists_of_rows_and_whole_sums_equal_the_reference(dense_from: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever kernel measured activity chooses, for every code and instruction set."""
    monkeypatch.setattr(sys.modules[plan.__module__], "DENSE_FROM", dense_from)
    for kind, base in (("static", many_channels(0)), ("events", many_channels(1, kind="events"))):
        x = random_input(base, 1, samples=2)
        x[0] = base.input.high  # many sums of more than 256 rows
        for code in sorted(codes.CODES):
            network = codes.encode(base, code)
            expected = reference.simulate(network, x, record=None)
            for level in native.levels():
                with native.using(level):
                    assert_equal(simulate(network, x, record=None), expected)
            assert expected.n_spikes["c"].all(), (kind, code)


def test_payloads_wider_than_a_byte_equal_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[plan.__module__], "DENSE_FROM", 0.0)
    base = many_channels(2, top=255)
    x = random_input(base, 2)
    for code in ("graded", "population", "radix"):
        network = codes.encode(base, code)
        expected = reference.simulate(network, x, record=None)
        assert max(abs(counts).max() for counts in expected.counts.values()) > 127
        assert_equal(simulate(network, x, record=None), expected)


@pytest.mark.parametrize("largest", [127, 1000])
@pytest.mark.parametrize("code", ["phased", "radix", "signed", "graded"])
def test_axes_that_change_places_equal_the_reference(code: str, largest: int) -> None:
    """Slabs with weights for few of their channels, beyond a word of them."""
    rng = np.random.default_rng(0)

    def conv(out: int, channels: int) -> Conv:
        return Conv(rng.integers(-largest, largest + 1, size=(out, channels, 3)), (1,), ((1, 1),), (1,))

    def layer(name: str, *shape: int) -> CountLayer:
        threshold = rng.integers(2, 9, size=(shape[0], 1)) * largest
        return CountLayer(name, shape, threshold, threshold // 5, threshold // 2, 0, 7, np.ones(()))

    base = IntegerNetwork(
        InputEncoder("input", (2, 3), "static", np.ones(()), -127, 127),
        (layer("a", 70, 3), layer("b", 20, 70), Readout("output", (1400,), np.zeros(1400, int), 1.0)),
        (
            Connection("input", "a", (conv(70, 2),)),
            Connection("a", "b", (Transpose((1, 0)), conv(20, 3))),
            Connection("b", "output", (Reshape((1400,)),)),
        ),
        11,
        31,
    )
    network = codes.encode(base, code)  # type: ignore[arg-type]
    x = rng.integers(-127, 128, size=(3, 2, 3))
    recording = simulate(network, x, record=None)
    assert recording.counts["b"].any()
    assert_equal(recording, reference.simulate(network, x, record=None))


def test_no_samples_give_an_empty_recording() -> None:
    for kind in ("static", "events"):
        network = spiking(3, "signed", kind=kind)
        assert network is not None
        x = np.zeros((0, *network.input.shape))
        assert_equal(simulate(network, x, record=None), reference.simulate(network, x, record=None))


def test_no_bins_are_steps_without_events() -> None:
    network = spiking(3, "signed", kind="events")
    assert network is not None
    x = np.zeros((0, 2, *network.input.shape))
    expected = reference.simulate(network, x, record=None)
    assert_equal(expected, reference.simulate(network, np.zeros((1, *x.shape[1:])), record=None))
    assert_equal(simulate(network, x, record=None), expected)


def test_event_input_that_does_not_fit_is_refused_as_by_the_reference() -> None:
    network = spiking(4, "signed", kind="events", steps=2)
    assert network is not None
    x = random_input(random_network(4, kind="events", digits=True), 4)
    for wrong in (
        np.stack([x, x, x]),
        np.stack([x, x]),
        x - 0.5,
        np.stack([x, -x]),
        np.stack([x * np.nan, x]),
        x[..., :-1],
    ):
        with pytest.raises(DataError) as mine:
            simulate(network, wrong)
        with pytest.raises(DataError) as theirs:
            reference.simulate(network, wrong)
        assert str(mine.value) == str(theirs.value)


def test_a_sum_of_half_precision_bins_is_not_rounded() -> None:
    network = spiking(4, "signed", kind="events", steps=2)
    assert network is not None
    network = replace(network, input=replace(network.input, high=2048))
    bins = np.stack([np.full((1, *network.input.shape), count, np.float16) for count in (2048, 1)])
    for step in (simulate, reference.simulate):
        with pytest.raises(DataError, match="holds 2049 events"):
            step(network, bins)


def test_bins_that_lie_apart_are_read_where_they_are() -> None:
    network = spiking(4, "signed", kind="events", steps=2)
    assert network is not None
    x = random_input(random_network(4, kind="events", digits=True), 4).astype(np.int64)
    bins = np.stack([x, 0 * x, 0 * x, x])[::-3, ::2]
    bins[1] = 0
    assert_equal(simulate(network, bins, record=None), reference.simulate(network, bins, record=None))


def test_a_later_run_leaves_an_earlier_recording_alone() -> None:
    network = spiking(4, "signed")
    assert network is not None
    x = random_input(random_network(4, digits=True), 4)
    first = simulate(network, x)
    kept = {name: counts.copy() for name, counts in first.counts.items()}
    simulate(network, 0 * x)
    assert any(counts.any() for counts in kept.values())
    assert all(np.array_equal(first.counts[name], counts) for name, counts in kept.items())


def test_wrong_options_are_refused_as_by_the_reference() -> None:
    network = spiking(4, "signed")
    assert network is not None
    x = np.zeros((1, *network.input.shape))
    with pytest.raises(OptionError, match="nobody: is not a population"):
        simulate(network, x, record=["nobody"])
    with pytest.raises(OptionError, match="at least one step"):
        simulate(network, x, max_steps=0)


def test_stepping_never_calls_the_one_pass_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("the stepper called the one-pass evaluator")

    import spikeport.quantize as quantize
    import spikeport.quantize.integer as integer

    network = random_network(1, everything=False, digits=True)
    x = random_input(network, 1)
    expected = quantize.evaluate(network, x)
    for name in ("evaluate", "drive", "respond"):
        for module in (quantize, integer):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, forbidden)
    for code in codes.CODES:
        assert np.array_equal(simulate(codes.encode(network, code), x).readout[-1], expected)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_differs_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a kernel's rule another one, as these changes of the reference are, the comparison would fail."""
    old, new = MUTANTS[name]
    from spikeport.backends.reference import stepper

    module = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", module)
    exec(compile(inspect.getsource(stepper).replace(old, new), "mutant", "exec"), module.__dict__)
    monkeypatch.setattr(inspect.getmodule(reference.simulate), "Stepper", module.Stepper)
    for seed in range(12):
        network = random_network(seed)
        x = random_input(network, seed)
        for code in ("signed", "graded"):
            other = reference.simulate(codes.encode(network, code), x, record=None, max_steps=60)
            try:
                assert_equal(simulate(codes.encode(network, code), x, record=None, max_steps=60), other)
            except AssertionError:
                return
    pytest.fail("no comparison saw it")
