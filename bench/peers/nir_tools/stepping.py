"""What importers on torch have in common: an executor of one step that is handed its state back, and layers that can be listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Values = Mapping[str, NDArray[Any]]
"""What "output" and the layers, by the name of their node, sent in each step."""
Runner = Callable[[NDArray[np.float32]], Values]


def first(value: Any) -> Any:
    """Executors return the output, or a tuple that begins with it."""
    return value[0] if isinstance(value, tuple) else value


def _alone(y: NDArray[Any], axes: int) -> NDArray[np.float64]:
    """Without the batch of one; a Flatten that takes the batch for a map has lost it already."""
    return np.asarray(y[0] if y.ndim > axes else y, dtype=np.float64)


@contextmanager
def heard(model: Any) -> Iterator[dict[str, list[NDArray[np.float64]]]]:
    """What layers right below a module return while it runs, by name."""
    found: dict[str, list[NDArray[np.float64]]] = {}

    def hook(name: str) -> Callable[..., None]:
        def keep(_: Any, given: Any, returned: Any) -> None:
            value = first(returned)
            if isinstance(value, torch.Tensor):
                found.setdefault(name, []).append(np.array(value.detach().numpy(), dtype=np.float64))

        return keep

    handles = [child.register_forward_hook(hook(name)) for name, child in model.named_children()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def stepped(model: Any, reset: Callable[[], Any] = lambda: None, width: int = 1) -> Runner:
    """Runs a module that takes `(input, state)`, one step after the other, with a batch of one; `width` axes of what leaves it.

    `reset` forgets what the layers themselves keep.
    """

    def run(x: NDArray[np.float32]) -> Values:
        reset()
        state, left = None, []
        with torch.no_grad(), heard(model) as layers:
            for step in x:
                y = model(torch.from_numpy(step[None]), state)
                state = y[1] if isinstance(y, tuple) else None
                left.append(_alone(first(y).numpy(), width))
        inner = {
            n: np.stack([a[0] if len(a) == 1 else a for a in sent]) for n, sent in layers.items() if len(sent) == len(x)
        }
        return {**inner, "output": np.stack(left)}

    return run
