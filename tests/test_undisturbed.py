"""A block of `undisturbed` work leaves the process as it was, whatever happens in it."""

import random
import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikeport.undisturbed import undisturbed  # noqa: E402


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def seed() -> None:
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)


@pytest.fixture(autouse=True)
def as_before():
    """These tests seed the global generators, and must not do what they forbid."""
    state, legacy, generator = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(state)
    np.random.set_state(legacy)  # noqa: NPY002
    torch.random.set_rng_state(generator)


@pytest.mark.parametrize("fails", [False, True])
def test_random_states_come_back(fails: bool) -> None:
    seed()
    expected = draws()
    seed()
    try:
        with undisturbed():
            draws()
            seed()
            draws()
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert draws() == expected


@pytest.mark.parametrize("fails", [False, True])
def test_torchs_settings_come_back(fails: bool) -> None:
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        try:
            with undisturbed():
                torch.set_default_dtype(torch.float16)
                torch.use_deterministic_algorithms(False)
                torch.set_num_threads(threads + 1)
                torch.set_grad_enabled(True)
                if fails:
                    raise RuntimeError
        except RuntimeError:
            assert fails
        assert torch.get_default_dtype() == torch.float64
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.get_num_threads() == threads
        assert torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)


def test_inside_torch_computes_plain_float32_on_the_cpu() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.autocast("cpu", dtype=torch.bfloat16), undisturbed():
            made = torch.ones(2, 2)
            assert (made.dtype, made.device.type) == (torch.float32, "cpu")
            assert (made @ made).dtype == torch.float32
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.ones(1).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("enabled", [False, True])
def test_the_gradient_mode_is_the_callers_again(enabled: bool) -> None:
    with torch.set_grad_enabled(enabled):
        with undisturbed():
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled() == enabled


def test_it_nests() -> None:
    seed()
    expected = draws()
    seed()
    with undisturbed():
        with undisturbed():
            draws()
        inner = draws()
    assert inner == expected
    assert draws() == expected


def test_without_torch_the_rest_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seed()
    expected = random.random(), float(np.random.rand())  # noqa: NPY002
    seed()
    monkeypatch.delitem(sys.modules, "torch")
    with undisturbed():
        assert "torch" not in sys.modules
        random.random()
        np.random.rand()  # noqa: NPY002
    assert (random.random(), float(np.random.rand())) == expected  # noqa: NPY002


def test_threads_that_overlap_leave_the_process_as_it_was() -> None:
    entered, leave, seen = threading.Event(), threading.Event(), []

    def second() -> None:
        with undisturbed():
            entered.set()
            leave.wait()
            seen.append(torch.get_default_dtype())
            draws()

    seed()
    expected = draws()
    seed()
    torch.set_default_dtype(torch.float64)
    thread = threading.Thread(target=second)
    try:
        with undisturbed():
            draws()  # the second must not keep this state
            thread.start()
            entered.wait()
            draws()
        # the first has left, and the second still computes
        leave.set()
        thread.join()
        assert seen == [torch.float32]
        assert torch.get_default_dtype() == torch.float64
        torch.set_default_dtype(torch.float32)
        assert draws() == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_block_within_a_block_brings_back_what_it_found() -> None:
    with undisturbed():
        torch.set_default_dtype(torch.float16)
        with undisturbed():
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float16
    assert torch.get_default_dtype() == torch.float32
