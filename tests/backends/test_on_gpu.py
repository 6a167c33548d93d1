"""The Triton kernel of the scan over time: what torch's own operations give, on a GPU or in Triton's interpreter."""

from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not find_spec("triton"):
    pytest.skip("needs triton, which torch brings along where it is built for CUDA", allow_module_level=True)

from spikeport.backends.torch import fused  # noqa: E402
from spikeport.backends.torch.scan import Binary, Climb, Rule, Signed  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
with pytest.MonkeyPatch.context() as patch:
    if DEVICE == "cpu":
        patch.setenv("TRITON_INTERPRET", "1")  # read where kernels are defined, triton's own among them
    from spikeport.backends.torch import on_gpu


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And read again where they run."""
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")


def random_rule(rng: np.random.Generator, kind: str, neurons: int, dtype: torch.dtype) -> Rule:
    threshold = torch.tensor(rng.integers(1, 9, neurons), dtype=dtype, device=DEVICE)
    match kind:
        case "signed":
            return Signed(threshold, -int(rng.integers(0, 4)), int(rng.integers(1, 4)))
        case "phased":
            return Binary(threshold, threshold * 3, 1, 4)
        case "digits":
            return Binary(threshold, None, 1, 4, 3)
        case _:
            table = np.sort(rng.integers(-20, 21, (int(rng.integers(1, 6)), 3)), axis=0)
            column = torch.tensor(rng.integers(0, 3, neurons), device=DEVICE)
            return Climb(torch.tensor(table, dtype=dtype, device=DEVICE), column, -int(rng.integers(0, len(table) + 1)))


@pytest.mark.parametrize("kind", ["signed", "phased", "digits", "climb"])
@pytest.mark.parametrize("state", [torch.int32, torch.int64])
@pytest.mark.parametrize("values", [torch.float32, torch.float64])
@pytest.mark.parametrize("neurons", [1, on_gpu.BLOCK - 1, on_gpu.BLOCK, on_gpu.BLOCK + 1])
def test_the_kernel_steps_as_torch_does(kind: str, state: torch.dtype, values: torch.dtype, neurons: int) -> None:
    rng = np.random.default_rng(neurons)
    for batch, steps in ((1, 1), (2, 7)):
        rule = random_rule(rng, kind, neurons, state)
        arriving = torch.tensor(rng.integers(-12, 13, (steps, batch, neurons)), dtype=values, device=DEVICE)
        v = torch.tensor(rng.integers(-10, 11, (batch, neurons)), dtype=state, device=DEVICE)
        outcomes = []
        for scan in (fused.by_triton, fused.by_torch):
            for keep in (True, False):
                mine = v.clone(), torch.zeros_like(v), arriving.clone()
                kept = torch.zeros(arriving.shape, dtype=state, device=DEVICE)
                events = scan(rule, *mine, 0, kept if keep else None)
                assert keep or not kept.any()
                outcomes.append(
                    [*(x.cpu().tolist() for x in mine), events.tolist(), kept.cpu().tolist() if keep else 0]
                )
        assert outcomes[0] == outcomes[2]
        assert outcomes[1] == outcomes[3]
        assert outcomes[0][:4] == outcomes[1][:4]
