"""The reference stepper: an independent oracle that only passes spikes between layers."""

import inspect
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport import codes
from spikeport.backends.reference import Stepper, simulate, stepper
from spikeport.errors import DataError, OptionError
from spikeport.plugin.presenting import encode_steps, split
from spikeport.primitives import Connection, Dense, InputEncoder
from spikeport.quantize import IntegerNetwork, Readout, evaluate
from tests.integer_networks import random_input, random_network


def test_stepping_never_calls_the_one_pass_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(1, everything=False, digits=True)
    x = random_input(network, 1)
    expected = evaluate(network, x)

    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("the stepper called the one-pass evaluator")

    import spikeport.quantize as quantize
    import spikeport.quantize.integer as integer

    for module in (quantize, integer):
        for name in ("evaluate", "drive", "respond"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, forbidden)
    try:
        import spikeport.backends.torch.exact as exact

        monkeypatch.setattr(exact.ExactEvaluator, "__call__", forbidden)
    except ImportError:
        pass
    for code in codes.CODES:
        assert np.array_equal(simulate(codes.encode(network, code), x).readout[-1], expected)


def test_only_spikes_cross_layers() -> None:
    """What a population receives is a function of the spikes that were recorded, and of nothing else."""
    network = random_network(3, everything=False)
    spiking = codes.encode(network, "signed")
    x = random_input(network, 3)
    run = Stepper(spiking, encode_steps(spiking, x))
    names = [p.name for p in spiking.populations]
    total = dict.fromkeys(names, 0)
    for _ in range(spiking.contract.max_steps):
        for name, sent in run.step().items():
            assert np.isin(sent, (-1, 0, 1)).all()
            total[name] = total[name] + sent
    for name in names[:-1]:
        assert np.array_equal(total[name], run.state[name].sent)


@given(st.integers(-(10**6), 10**6), st.integers(1, 60))
def test_the_shares_of_a_total_sum_to_it_and_differ_by_at_most_one(total: int, steps: int) -> None:
    shares = [int(split(np.array(total), t, steps)) for t in range(steps)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
    assert int(split(np.array(total), steps, steps)) == 0


def test_samples_of_a_batch_do_not_touch_each_other() -> None:
    network = random_network(7)
    spiking = codes.encode(network, "signed")
    x = random_input(network, 7, samples=5)
    together = simulate(spiking, x)
    for i in range(5):
        alone = simulate(spiking, x[i : i + 1])
        assert np.array_equal(alone.readout[-1][0], together.readout[-1][i])
        assert alone.quiet_after[0] == together.quiet_after[i]
        for name, count in alone.n_spikes.items():
            assert count[0] == together.n_spikes[name][i]


def test_a_run_that_is_cut_short_says_so() -> None:
    network = random_network(11)
    spiking = codes.encode(network, "signed")
    x = random_input(network, 11)
    whole = simulate(spiking, x)
    short = simulate(spiking, x, max_steps=2)
    assert short.n_steps == 2
    assert (short.quiet_after == -1).any()
    assert np.array_equal(short.readout, whole.readout[:2])


def test_nothing_is_recorded_that_was_not_asked_for() -> None:
    network = random_network(2)
    spiking = codes.encode(network, "signed")
    x = random_input(network, 2)
    assert not simulate(spiking, x).spikes
    with pytest.raises(OptionError, match="nobody: is not a population"):
        simulate(spiking, x, record=["nobody"])


def test_event_input_in_too_many_bins_or_beyond_the_maximum_is_refused() -> None:
    network = random_network(4, kind="events")
    spiking = codes.encode(network, "signed", steps=2)
    x = random_input(network, 4)
    with pytest.raises(DataError, match="3 time bins"):
        simulate(spiking, np.stack([x, x, x]))
    with pytest.raises(DataError, match="events in one place"):
        simulate(spiking, np.stack([x, x]))  # twice the maximum in the sum
    with pytest.raises(DataError, match="whole numbers"):
        simulate(spiking, x - 0.5)


@pytest.mark.parametrize(
    ("dtype", "each"), [(np.float16, [2048, 1]), (np.uint8, [9] + 8 * [255]), (np.float32, [2048, 1])]
)
def test_the_maximum_holds_for_the_sum_of_all_bins_whatever_their_dtype(dtype: type, each: list[int]) -> None:
    """In float16 2048 + 1 is 2048, and unsigned bytes wrap where they are not widened."""
    source = InputEncoder("input", (1,), "events", np.ones(()), 0, 2048)
    layers = (Readout("output", (1,), np.zeros(1, np.int64), 1.0),)
    ends = (Connection("input", "output", (Dense(np.ones((1, 1), np.int64)),)),)
    spiking = codes.encode(IntegerNetwork(source, layers, ends, 8, 32), "signed", steps=len(each))
    x = np.array(each).astype(dtype).reshape(-1, 1, 1)
    with pytest.raises(DataError, match="holds 2049 events in one place"):
        simulate(spiking, x)
    x[-1] -= 1
    assert simulate(spiking, x).output.tolist() == [[2048]]


MUTANTS = {
    "threshold not reached when equal": ("up = (state.v >= threshold)", "up = (state.v > threshold)"),
    "no upper end of the counter": ("& (state.sent < high)", "& (state.sent < high + 1)"),
    "no lower end of the counter": ("& (state.sent > low)", "& (state.sent >= low)"),
    "drains at zero": ("(state.v < 0)", "(state.v <= 0)"),
    "reset to zero": (
        "state.v -= spikes * threshold\n        case GradedIF",
        "state.v[spikes != 0] = 0\n        case GradedIF",
    ),
    "floor towards zero": ("np.floor_divide(state.v, threshold)", "np.trunc(state.v / threshold).astype(np.int64)"),
    "payload beyond the levels": ("threshold), low, high)", "threshold), low, high + 1)"),
    "maximum of what arrives now": ("apply(window, [state.v]) - state.sent", "apply(window, [arriving])"),
    "input rounded in each step": (
        "split(np.asarray(population.neuron.bias), t, contract.presentation)",
        "np.asarray(population.neuron.bias) // contract.presentation",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutated_stepper_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with the integer network sees each of these changes, so it would see a bug like them."""
    old, new = MUTANTS[name]
    source = inspect.getsource(stepper)
    assert source.count(old) == 1, "the mutation no longer fits the source"
    module = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", module)  # dataclasses look their module up
    exec(compile(source.replace(old, new), Path(stepper.__file__).name, "exec"), module.__dict__)
    found = 0
    for seed in range(12):
        network = random_network(seed)
        x = random_input(network, seed)
        for code in ("signed", "graded"):
            spiking = codes.encode(network, code)
            run = module.Stepper(spiking, encode_steps(spiking, x))
            for _ in range(spiking.contract.max_steps):
                run.step()
            found += not np.array_equal(run.state["output"].v, evaluate(network, x))
    assert found


def test_shares_of_totals_near_the_ends_of_int64_do_not_wrap() -> None:
    for total in (2**62, -(2**62) + 1):
        shares = [int(split(np.array(total), t, 2**18)) for t in (0, 1, 2**17, 2**18 - 1)]
        assert all(abs(share - total / 2**18) <= 1 for share in shares)
