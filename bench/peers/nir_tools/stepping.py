"""What importers on torch have in common: an executor of one step that is handed its state back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def first(value: Any) -> Any:
    """Executors return the output, or a tuple that begins with it."""
    return value[0] if isinstance(value, tuple) else value


def _alone(y: NDArray[Any], axes: int) -> NDArray[np.float64]:
    """Without the batch of one; a Flatten that takes the batch for a map has lost it already."""
    return np.asarray(y[0] if y.ndim > axes else y, dtype=np.float64)


def stepped(model: Any, x: NDArray[np.float32], width: int = 1) -> NDArray[np.float64]:
    """Run a module that takes `(input, state)`, one step after the other, with a batch of one; `width` axes of what leaves it."""
    state, sent = None, []
    with torch.no_grad():
        for step in x:
            y = model(torch.from_numpy(step[None]), state)
            state = y[1] if isinstance(y, tuple) else None
            sent.append(_alone(first(y).numpy(), width))
    return np.stack(sent)
