"""The comparison of a GPU with the CPU: without one nothing is claimed, and a difference is counted and named."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

BENCH = Path(__file__).parents[2] / "bench"


def test_without_a_device_it_says_so_and_reads_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "gpu.py"), "--data", str(tmp_path), "--weights", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={"CUDA_VISIBLE_DEVICES": ""}, check=False)
    assert (done.returncode, done.stdout) == (0, "not shown: no CUDA device\n"), done.stderr


def test_a_difference_is_counted_and_named_and_a_stopped_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    import gpu

    batches = [torch.zeros(2, 3) for _ in range(4)]
    calls = []

    def here(x: torch.Tensor) -> dict[str, np.ndarray]:
        return {"n": x.numpy()}

    def there(x: torch.Tensor) -> dict[str, np.ndarray]:
        calls.append(len(x))
        values = x.numpy().copy()
        values[1, 2] = len(calls) == 2  # wrong in the second part only
        return {"n": values}

    state = gpu.State(tmp_path / "state.json", "cuda net", "integers")
    gpu._compare("exact", here, there, batches, state, 7)
    assert (state.of("exact")["comparisons"], state.of("exact")["mismatches"]) == (12, 1)
    assert state.of("exact")["first"] == "n [1, 2] of the part that ends with image 4"
    again = gpu.State(tmp_path / "state.json", "cuda net", "integers")
    gpu._compare("exact", here, there, batches, again, 100)
    assert len(calls) == 4
    assert (again.of("exact")["comparisons"], again.of("exact")["mismatches"]) == (24, 1)
    other = gpu.State(tmp_path / "state.json", "cuda net", "other integers")
    assert other.of("exact")["comparisons"] == 0
