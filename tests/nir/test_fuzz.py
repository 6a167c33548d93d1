"""Random graphs of all kinds keep every spike, or are refused by name: a few of those that `bench/nir_fuzz.py` tries."""

import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = 40
CHUNKS = 4


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("nir_fuzz")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_graphs_are_read_written_and_run_without_a_change(fuzz: ModuleType, tmp_path: Path, chunk: int) -> None:
    verdicts: Counter[str] = Counter()
    for index in range(chunk, GRAPHS, CHUNKS):
        verdict = fuzz.tried(fuzz.case_of(1, index), tmp_path, apart=index < CHUNKS)
        assert not verdict.bad, (index, verdict)
        verdicts[verdict.kind] += 1
    assert verdicts["exact"] > GRAPHS // CHUNKS / 3  # nothing is rounded in most of them: boundaries count


def test_a_changed_number_is_seen(fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself: an interpreter that adds something else does not agree."""
    oracle = importlib.import_module("nir_oracle")
    real = oracle.convolve
    monkeypatch.setattr(oracle, "convolve", lambda node, x: real(node, x) + 0.25)
    verdicts = (fuzz.tried(fuzz.case_of(1, index), tmp_path) for index in range(200))
    assert any(verdict.kind == "CHANGED" for verdict in verdicts)


def test_convolutions_of_the_other_interpreter_are_those_of_torch(fuzz: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    draw, oracle = importlib.import_module("nir_draw"), importlib.import_module("nir_oracle")
    rng = np.random.default_rng(0)
    for _ in range(60):
        drawer = draw._Drawer(rng)
        drawer.mode = "grid"
        shape = (int(rng.integers(1, 5)), *(int(n) for n in rng.integers(2, 9, rng.integers(1, 3))))
        node, _, target, _ = drawer._convolution(shape)
        x = rng.integers(-3, 4, (2, *shape)).astype(float)
        run = torch.nn.functional.conv1d if len(shape) == 2 else torch.nn.functional.conv2d
        axes = len(shape) - 1
        padding = node.padding if isinstance(node.padding, str) else oracle._each(node.padding, axes)
        expected = run(
            torch.tensor(x),
            torch.tensor(node.weight, dtype=torch.float64),
            torch.tensor(node.bias, dtype=torch.float64),
            oracle._each(node.stride, axes),
            padding,
            oracle._each(node.dilation, axes),
            int(node.groups),
        )
        assert tuple(expected.shape[1:]) == target
        np.testing.assert_array_equal(oracle.convolve(node, x), expected.numpy())
