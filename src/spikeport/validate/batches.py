"""Data from outside: any iterable of batches, checked once, as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, Problem

SAME = "give batches of one kind: the same shape, all with labels or none"
PART = 64
"""Most samples that are stepped together."""

Batch = tuple[NDArray[Any], NDArray[Any] | None]


def batches(data: Iterable[Any]) -> Iterator[Batch]:
    """Inputs and labels (or None) of each batch.

    Args:
        data: batches `x`, or `(x, y)` tuples or lists; tensors of any device and dtype, or arrays. A single tensor or
            array is one data set of unlabelled samples.

    Raises:
        DataError: nothing in it, or something that is no batch of finite numbers.
    """
    if _is_array(data):
        data = [data]
    try:
        iterator = iter(data)
    except TypeError:
        raise DataError(
            Problem(
                "data", f"a {type(data).__name__} cannot be iterated over", "give batches, for example a DataLoader"
            )
        ) from None
    shape: tuple[int, ...] | None = None
    labelled: bool | None = None
    for index, item in enumerate(iterator):
        where = f"batch {index}"
        x, y = _parts(where, item)
        if not len(x):
            continue
        if shape is not None and x.shape[1:] != shape:
            raise DataError(Problem(where, f"holds samples of shape {x.shape[1:]}, earlier ones have {shape}", SAME))
        if labelled is not None and (y is not None) != labelled:
            raise DataError(Problem(where, "has labels where others have none, or the other way round", SAME))
        shape, labelled = x.shape[1:], y is not None
        yield x, y
    if shape is None:
        raise DataError(Problem("data", "is empty", "a generator can be read only once: give a list or a DataLoader"))


def parts(data: Iterable[Any], limit: int | None = None) -> Iterator[Batch]:
    """Batches of at most `PART` samples, `limit` samples in all."""
    left = limit
    for x, y in batches(data):
        n = len(x) if left is None else min(left, len(x))
        for first in range(0, n, PART):
            part = slice(first, min(first + PART, n))
            yield x[part], None if y is None else y[part]
        if left is not None:
            left -= n
            if left == 0:
                return


def collect(data: Iterable[Any], limit: int) -> NDArray[Any]:
    """The first `limit` inputs."""
    return collect_labelled(data, limit)[0]


def collect_labelled(data: Iterable[Any], limit: int) -> Batch:
    """The first `limit` inputs, and their labels if there are any."""
    parts: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    left = limit
    for x, y in batches(data):
        parts.append(x[:left])
        if y is not None:
            labels.append(y[:left])
        left -= len(parts[-1])
        if left <= 0:
            break
    return np.concatenate(parts), np.concatenate(labels) if labels else None


def _parts(where: str, item: Any) -> Batch:
    if isinstance(item, tuple | list) and item and _is_array(item[0]):
        x = _array(where, item[0])
        y = _array(f"labels of {where}", item[1]) if len(item) > 1 else None
    else:
        x, y = _array(where, item), None
    if x.ndim < 2:
        raise DataError(Problem(where, f"has shape {x.shape}", "a batch has a leading batch axis: (batch, *input)"))
    if y is not None and len(y) != len(x):
        raise DataError(Problem(where, f"has {len(x)} samples and {len(y)} labels", "give one label for each sample"))
    return x, y


def _array(where: str, value: Any) -> NDArray[Any]:
    if not _is_array(value):
        why = f"is a {type(value).__name__}, not a tensor or array"
        raise DataError(Problem(where, why, "give batches `x` or `(x, y)`"))
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) in ("torch.float16", "torch.bfloat16") else value
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DataError(Problem(where, f"has dtype {array.dtype}", "convert it to a real number type"))
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch computes little with wide unsigned integers
    if not np.isfinite(array).all():
        raise DataError(Problem(where, "holds NaN or infinite values", "clean the data first"))
    if array.dtype == np.float64 and array.size and np.abs(array).max() > np.finfo(np.float32).max:
        raise DataError(
            Problem(where, "holds values beyond the range of float32", "models compute in float32: scale the data")
        )
    return array


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "shape"))
