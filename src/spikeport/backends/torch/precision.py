"""Where floating-point products are exact integers, and torch set up so that they are computed as written.

Integers below 2**24 are exact in float32 and those below 2**53 in float64, and so is each sum that stays below, in whatever
order a library adds. Two things break that: fewer bits than the dtype says (TF32, bfloat16 passes, autocast), and algorithms
that compute with fractions (Winograd, FFT). `exact_arithmetic` rules the first out; on a GPU, where the library chooses among
both, `TorchOperations` writes convolutions as products of matrices itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from spikeport.errors import OptionError, Problem
from spikeport.undisturbed import Together

FLOAT32_EXACT = 2**24
FLOAT64_EXACT = 2**53
PRECISION_SETTINGS = ("cuda.matmul", "cudnn.conv", "mkldnn.matmul", "mkldnn.conv")
"""Where torch keeps whether float32 products may be rounded to fewer bits."""
REDUCTION_SETTINGS = (
    "allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction",
    "allow_fp16_accumulation",
)
"""Whether sums inside a product on a GPU may be kept in fewer bits; older versions of torch lack the last one."""


def exact_dtype(bound: int) -> torch.dtype | None:
    """The narrowest dtype in which every integer up to a bound is exact; None beyond float64.

    >>> exact_dtype(2**24 - 1), exact_dtype(2**24), exact_dtype(2**53)
    (torch.float32, torch.float64, None)
    """
    if bound < FLOAT32_EXACT:
        return torch.float32
    return torch.float64 if bound < FLOAT64_EXACT else None


def require_exact_products(device: torch.device) -> None:
    """Try a product that shows whether float32 is cut short by something that no setting here reaches, an environment variable say.

    Raises:
        OptionError: it is.
    """
    factor = 4095  # 12 bits, two more than TF32 keeps; its square is odd and below 2**24
    ones = torch.full((64, 64), float(factor), dtype=torch.float32, device=device)
    diagonal = torch.eye(64, dtype=torch.float32, device=device).mul_(factor)
    if not bool(((diagonal @ ones).to(torch.float64) == factor**2).all()):
        why = "computes float32 products in fewer bits, although it is told not to"
        raise OptionError(Problem(f"device {device}", why, "unset variables like NVIDIA_TF32_OVERRIDE, or use the CPU"))


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Products as written, whatever the surrounding program allows; its settings come back afterwards.

    The settings are those of the process, and threads overlap: the first to come makes them, the last to leave brings them back.

    Deterministic algorithms are not asked for: sums of exact integers do not depend on their order, and torch would refuse
    products on a GPU without a workspace setting that is made before the program starts.
    """
    with _TOGETHER, torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        yield


@contextmanager
def _exact_settings() -> Iterator[None]:
    """Settings of the process."""
    places = [place for place in map(_setting, PRECISION_SETTINGS) if hasattr(place, "fp32_precision")]
    before = [place.fp32_precision for place in places]
    legacy = None if places else torch.get_float32_matmul_precision()
    matmul = torch.backends.cuda.matmul
    reductions = {name: _reduction(name) for name in REDUCTION_SETTINGS if hasattr(matmul, name)}
    cudnn = torch.backends.cudnn.enabled
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        for place in places:
            place.fp32_precision = "ieee"
        if legacy is not None:  # torch before 2.9
            torch.set_float32_matmul_precision("highest")
        for name in reductions:
            setattr(matmul, name, False)
        torch.backends.cudnn.enabled = False
        torch.use_deterministic_algorithms(False)
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        torch.backends.cudnn.enabled = cudnn
        for name, was in reductions.items():
            setattr(matmul, name, was)
        for place, was in zip(places, before, strict=True):
            place.fp32_precision = was
        if legacy is not None:
            torch.set_float32_matmul_precision(legacy)


_TOGETHER = Together(_exact_settings)


def _reduction(name: str) -> bool | tuple[bool, bool]:
    """A setting in the form that sets it again; newer versions keep beside it whether sums may be cut in parts."""
    matmul = torch.backends.cuda.matmul
    allowed = bool(getattr(matmul, name))
    parts = getattr(matmul, f"{name}_split_k", None)
    return allowed if parts is None else (allowed, bool(parts))


def _setting(path: str) -> Any:
    place: Any = torch.backends
    for name in path.split("."):
        place = getattr(place, name, None)
    return place
