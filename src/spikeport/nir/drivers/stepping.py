"""What importers on torch have in common: an executor of one step that is handed its state back."""

from __future__ import annotations

from typing import Any

import numpy as np


def first(value: Any) -> Any:
    """Executors return the output, or a tuple that begins with it."""
    return value[0] if isinstance(value, tuple) else value


def stepped(model: Any, x: Any, width: int = 1) -> Any:
    """Run a module that takes `(input, state)`, one step after the other, with a batch of one; `width` axes of what leaves it."""
    import torch

    state, sent = None, []
    with torch.no_grad():
        for step in x:
            y = model(torch.from_numpy(step[None]), state)
            state = y[1] if isinstance(y, tuple) else None
            out = first(y).numpy()
            sent.append(
                out[0] if out.ndim > width else out
            )  # a Flatten that takes the batch for a map has lost it already
    return np.stack(sent)
