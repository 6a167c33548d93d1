"""Stepping on tensors: the recording of the reference stepper, in every field, however the work is cut."""

import inspect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from spikeport import codes  # noqa: E402
from spikeport.backends import reference, stepping  # noqa: E402
from spikeport.backends.torch import Chunks, fused, layers, scan, simulate, stepwise  # noqa: E402
from spikeport.backends.torch.bounds import Bounds  # noqa: E402
from spikeport.backends.torch.precision import exact_arithmetic, require_exact_products  # noqa: E402
from spikeport.errors import DataError, OptionError, QuantizeError  # noqa: E402
from spikeport.primitives import (  # noqa: E402
    Connection,
    Conv,
    Dense,
    InputEncoder,
    PhasedIF,
    Population,
    Reshape,
    SpikingNetwork,
)
from spikeport.quantize import CountLayer, IntegerNetwork, Readout, StaircaseLayer  # noqa: E402
from tests.integer_networks import random_input, random_network  # noqa: E402
from tests.recordings import assert_equal_recordings  # noqa: E402

SEEDS = st.integers(0, 2**31)
KINDS = st.sampled_from(["static", "events"])
CODES = st.sampled_from(sorted(codes.CODES))
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]
STEP_BY_STEP = Chunks(values=1, steps=1, drain=1)
"""One sample and one step at a time."""


def encoded(network: IntegerNetwork, code: str, steps: int | None = 3) -> SpikingNetwork | None:
    """The network under a code; None where the code refuses it."""
    given = None if code == "population" or (code, network.input.kind) == ("graded", "static") else steps
    try:
        return codes.encode(network, code, steps=given)
    except OptionError:
        return None


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=25)
@given(seed=SEEDS, kind=KINDS, code=CODES, explicit=st.booleans(), values=st.integers(1, 2000), steps=st.integers(1, 9))
def test_every_field_is_that_of_the_reference(
    device: str, seed: int, kind: str, code: str, explicit: bool, values: int, steps: int
) -> None:
    network = random_network(seed, kind=kind, digits=True, curved=seed % 2 == 1)
    spiking = encoded(network, code)
    if spiking is None:
        return
    x = random_input(network, seed, samples=4)
    expected = reference.simulate(spiking, x, record=None)
    for scan_over_time in (None, fused.by_torch):
        for chunks in (Chunks(), STEP_BY_STEP, Chunks(values, steps, steps)):
            found = simulate(
                spiking, x, record=None, device=device, explicit=explicit, chunks=chunks, scan=scan_over_time
            )
            assert_equal_recordings(found, expected)


@given(SEEDS, KINDS, CODES, st.integers(1, 12))
@settings(max_examples=40)
def test_a_run_that_is_cut_short_says_so_too(seed: int, kind: str, code: str, max_steps: int) -> None:
    network = random_network(seed, kind=kind, digits=True, curved=seed % 2 == 1)
    spiking = encoded(network, code)
    if spiking is None:
        return
    x = random_input(network, seed)
    expected = reference.simulate(spiking, x, record=None, max_steps=max_steps)
    for chunks in (Chunks(), STEP_BY_STEP):
        found = simulate(spiking, x, record=None, max_steps=max_steps, chunks=chunks)
        assert_equal_recordings(found, expected)


@pytest.mark.parametrize("code", codes.CODES)
def test_time_bins_of_events_enter_one_a_step(code: str) -> None:
    network = random_network(4, kind="events", digits=True)
    steps = 1 if code == "population" else 5
    spiking = codes.encode(network, code, steps=steps)
    rng = np.random.default_rng(0)
    bins = rng.integers(0, 4, size=(max(1, steps - 2), 3, *network.input.shape)).astype(np.float64)
    bins[:, 1] = 0  # a sample without an event
    for chunks in (Chunks(), STEP_BY_STEP):
        found = simulate(spiking, bins, record=None, chunks=chunks)
        assert_equal_recordings(found, reference.simulate(spiking, bins, record=None))


@pytest.mark.parametrize("kind", ["static", "events"])
@pytest.mark.parametrize("code", codes.CODES)
def test_an_empty_batch_is_one(code: str, kind: str) -> None:
    network = random_network(4, kind=kind, digits=True)
    spiking = encoded(network, code)
    assert spiking is not None
    x = random_input(network, 4)[:0]
    assert_equal_recordings(simulate(spiking, x, record=None), reference.simulate(spiking, x, record=None))


def chain(
    threshold: int, weight: int, *, low: int = 0, high: int = 7, offset: int = 0, shape: tuple[int, ...] = (1,)
) -> IntegerNetwork:
    """One neuron, or one a channel, between an input and a read-out."""
    layer = CountLayer("n", shape, np.array(threshold), np.zeros((), int), np.array(offset), low, high, np.ones(()))
    one = (
        Dense(np.array([[weight]]))
        if len(shape) == 1
        else Conv(np.full((1, 1, 1, 1), weight), (1, 1), ((0, 0),) * 2, (1, 1))
    )
    size = int(np.prod(shape))
    return IntegerNetwork(
        InputEncoder("input", shape, "static", np.ones(()), -1000, 1000),
        (layer, Readout("output", (1,), np.array([3]), 0.5)),
        (
            Connection("input", "n", (one,)),
            Connection("n", "output", (Reshape((size,)), Dense(np.full((1, size), -1)))),
        ),
        16,
        48,
    )


@pytest.mark.parametrize("code", codes.CODES)
@pytest.mark.parametrize("low", [0, -7])
def test_boundaries_of_one_neuron(code: str, low: int) -> None:
    """Just below, at and above every multiple of the threshold, beyond both ends, zero and negative."""
    network = chain(10, 1, low=low, offset=5)
    spiking = codes.encode(network, code)
    x = np.array([*range(-90, 91), -1000, 1000], dtype=np.float64)[:, None]
    assert_equal_recordings(simulate(spiking, x, record=None), reference.simulate(spiking, x, record=None))


@pytest.mark.parametrize("low", [0, -3])
def test_tables_of_one_neuron(low: int) -> None:
    """Entries that coincide and that no sum reaches; under every code that carries tables."""
    steps = np.array([-(2**60), -1000, -7, -7, 0, 1, 1000, 2**60])[1 if low == 0 else 0 :]
    network = chain(10, 1)
    layer = StaircaseLayer("n", (1,), steps, np.array([2]), low, np.ones(()))
    network = replace(network, layers=(layer, network.layers[1]))
    x = np.array([*range(-12, 13), *range(-1000, -996), *range(995, 1001)], dtype=np.float64)[:, None]
    carried = 0
    for code in codes.CODES:
        spiking = encoded(network, code, None)
        if spiking is not None:
            assert_equal_recordings(simulate(spiking, x, record=None), reference.simulate(spiking, x, record=None))
            carried += 1
    assert carried >= 3


@pytest.mark.parametrize(
    ("weight", "arriving", "state"),
    [
        (16777, torch.float32, torch.int32),  # 1000 * 16777 = 2**24 - 216
        (16778, torch.float64, torch.int32),  # 2**24 + 784
        (2100000, torch.float64, torch.int32),
        (2147484, torch.float64, torch.int64),  # beyond 2**31
        (8_800_000_000_000, torch.float64, torch.int64),  # below 2**53
    ],
)
def test_the_narrowest_exact_arithmetic_is_chosen(weight: int, arriving: Any, state: Any) -> None:
    network = chain(weight * 3, weight, low=-7)
    spiking = codes.encode(network, "graded")
    layer = layers.plan(spiking, 9, torch.device("cpu"), None)[0]
    assert (layer.arriving, layer.state) == (arriving, state)
    assert layer.routes[0].operations.dtype == arriving
    x = np.array([-1000.0, -999, -1, 0, 1, 2, 3, 4, 999, 1000])[:, None]
    for code in ("graded", "signed"):
        spiking = codes.encode(network, code)
        assert_equal_recordings(simulate(spiking, x, record=None), reference.simulate(spiking, x, record=None))


def test_sums_beyond_exact_arithmetic_are_refused_by_name() -> None:
    spiking = codes.encode(chain(10, 2**53 // 1000 + 1), "graded")
    with pytest.raises(QuantizeError, match=r"n: its sums reach .* beyond exact arithmetic"):
        simulate(spiking, np.zeros((1, 1)))


def test_bounds_hold_for_neurons_that_keep_no_lemma() -> None:
    """A phased unit without a gate fires in every step; its count is bounded by the steps, and everything stays equal."""
    spiking = codes.encode(chain(1, 1, high=3), "phased")
    gateless = []
    for population in spiking.populations:
        neuron = population.neuron
        if isinstance(neuron, PhasedIF):
            zero = np.zeros_like(neuron.initial)
            neuron = PhasedIF(neuron.threshold, zero, neuron.bias, zero, neuron.opens_at, neuron.closes_at)
        gateless.append(Population(population.name, population.shape, neuron))
    network = SpikingNetwork(
        spiking.name, spiking.input, tuple(gateless), spiking.connections, spiking.output, spiking.contract
    )
    x = np.array([[1000.0], [2.0]])
    found = simulate(network, x, record=None, max_steps=300)
    assert found.counts["n"].max() == 300 == Bounds(network, 300).ever["n"]
    assert_equal_recordings(found, reference.simulate(network, x, record=None, max_steps=300))


def test_bad_requests_are_refused_as_by_the_reference() -> None:
    network = random_network(2)
    spiking = codes.encode(network, "signed")
    x = random_input(network, 2)
    with pytest.raises(OptionError, match="nobody: is not a population"):
        simulate(spiking, x, record=["nobody"])
    with pytest.raises(OptionError, match="max_steps"):
        simulate(spiking, x, max_steps=0)
    with pytest.raises(DataError, match="shape"):
        simulate(spiking, x[:, :, :1])
    assert not simulate(spiking, x).spikes


def test_it_is_found_by_name() -> None:
    network = random_network(3)
    spiking = codes.encode(network, "signed")
    x = torch.tensor(random_input(network, 3))
    found = stepping.simulate(spiking, x, record=None, on="torch")
    assert_equal_recordings(found, stepping.simulate(spiking, x, record=None, on="reference"))


def test_input_is_never_written_to() -> None:
    network = random_network(2, kind="events")
    spiking = codes.encode(network, "signed", steps=2)
    x = torch.tensor(random_input(network, 2))
    before = x.clone()
    simulate(spiking, x)
    assert torch.equal(x, before)


@contextmanager
def unusual_settings() -> Iterator[None]:
    """Everything that a surrounding program may have set, and that would change sums."""
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.device("meta"), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True


@pytest.mark.parametrize("explicit", [False, True])
def test_settings_of_the_surrounding_program_change_nothing_and_come_back(explicit: bool) -> None:
    network = random_network(1)
    spiking = codes.encode(network, "signed")
    x = random_input(network, 1)
    expected = reference.simulate(spiking, x, record=None)
    with unusual_settings():
        found = simulate(spiking, x, record=None, explicit=explicit)
        assert torch.get_default_dtype() == torch.float64
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_float32_matmul_precision() == "medium"
        assert not torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
        assert torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
        assert torch.is_autocast_enabled("cpu")
        assert torch.is_grad_enabled()
        assert torch.backends.cudnn.enabled
    assert_equal_recordings(found, expected)


def test_a_device_that_computes_in_fewer_bits_is_found_out() -> None:
    require_exact_products(torch.device("cpu"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(OptionError, match="fewer bits"):
            require_exact_products(torch.device("cpu"))
        with exact_arithmetic():
            require_exact_products(torch.device("cpu"))


def test_stepping_on_tensors_never_calls_the_one_pass_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    import spikeport.backends.torch.exact as exact
    import spikeport.quantize.integer as integer

    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("the stepper called the one-pass evaluator")

    network = random_network(1, everything=False, digits=True)
    x = random_input(network, 1)
    monkeypatch.setattr(exact.ExactEvaluator, "__call__", forbidden)
    for name in ("evaluate", "drive", "respond"):
        monkeypatch.setattr(integer, name, forbidden)
    for code in codes.CODES:
        spiking = encoded(network, code)
        assert spiking is not None
        assert np.array_equal(simulate(spiking, x).readout, reference.simulate(spiking, x).readout)


MUTANTS: dict[str, tuple[ModuleType, str, str]] = {
    "threshold not reached when equal": (scan, "up = (v >= threshold)", "up = (v > threshold)"),
    "no upper end of the counter": (scan, "sent < high", "sent < high + 1"),
    "no lower end of the counter": (scan, "sent > low", "sent >= low"),
    "drains at zero": (scan, "down = (v < 0)", "down = (v <= 0)"),
    "binary spike not at the threshold": (scan, "(v >= price)", "(v > price)"),
    "digits not worth their place": (scan, "sent.add_(spikes, alpha=worth)", "sent.add_(spikes)"),
    "phase never closed": (scan, "- (step == self.closes_at)", ""),
    "floor towards zero": (scan, 'rounding_mode="floor").clamp_', 'rounding_mode="trunc").clamp_'),
    "payload beyond the levels": (scan, ".clamp_(low, high)", ".clamp_(low, high + 1)"),
    "table entry not reached when equal": (scan, "up = (v >= _entry", "up = (v > _entry"),
    "table descended too late": (scan, "_entry(rows, column, climbed - 1)", "_entry(rows, column, climbed - 2)"),
    "thermometer read from its top": (scan, "v >= rows[k]", "v >= rows[-1 - k]"),
    "payload from zero": (scan, "torch.full_like(v, rule.low)", "torch.zeros_like(v)"),
    "a clock that is not looked at": (layers, "and not due:", "and not (due and start < 2):"),
    "silent samples mixed up": (layers, "total[chosen] = part", "total[: len(part)] = part"),
    "late shares": (layers, "torch.arange(start, stop + 1", "torch.arange(start + 1, stop + 2"),
    "maximum of what arrives now": (layers, "sums = self.v + arriving", "sums = 0 * self.v + arriving"),
    "a window forgotten": (stepwise, "start = stop", "start = stop + 1"),
    "quiet samples lose their charge": (stepwise, '"potentials", still=True', '"potentials", still=False'),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with the reference sees each of these changes, so it would see a bug like them."""
    module, old, new = MUTANTS[name]
    source = inspect.getsource(module)
    assert source.count(old) >= 1, "the mutation no longer fits the source"
    mutant = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", mutant)  # dataclasses look their module up
    exec(compile(source.replace(old, new), Path(str(module.__file__)).name, "exec"), mutant.__dict__)
    if module is scan:
        for function in ("rule_of", "on_clock"):
            monkeypatch.setattr(layers, function, getattr(mutant, function))
        monkeypatch.setattr(fused, "scan", mutant.scan)
    elif module is layers:
        for function in ("Stepped", "host_currents", "plan", "Spikes"):
            monkeypatch.setattr(stepwise, function, getattr(mutant, function))
    step = mutant.simulate if module is stepwise else simulate
    if module is scan:
        step = partial(simulate, scan=fused.by_torch)
    assert any(differs(step, seed) for seed in range(12))


def differs(step: Any, seed: int) -> bool:
    network = random_network(seed, digits=True, curved=seed % 2 == 1)
    x = random_input(network, seed, samples=5)
    x[2] = 0
    for code in codes.CODES:
        spiking = encoded(network, code)
        if spiking is None:
            continue
        expected = reference.simulate(spiking, x, record=None)
        try:
            assert_equal_recordings(step(spiking, x, record=None, chunks=Chunks(40, 4, 2)), expected)
        except (AssertionError, RuntimeError, ValueError, IndexError):
            return True
    return False


def test_settings_are_exact_until_the_last_thread_has_left() -> None:
    conv = torch.backends.mkldnn.conv
    before = conv.fp32_precision, torch.backends.cudnn.enabled
    entered, leave, seen = threading.Event(), threading.Event(), []

    def second() -> None:
        with exact_arithmetic():
            entered.set()
            leave.wait()
            seen.append((conv.fp32_precision, torch.backends.cudnn.enabled))

    thread = threading.Thread(target=second)
    try:
        conv.fp32_precision = "bf16"
        with exact_arithmetic():
            thread.start()
            entered.wait()
        # the first has left, and the second still computes
        leave.set()
        thread.join()
        assert seen == [("ieee", False)]
        assert (conv.fp32_precision, torch.backends.cudnn.enabled) == ("bf16", before[1])
    finally:
        conv.fp32_precision = before[0]
