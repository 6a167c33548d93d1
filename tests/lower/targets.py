"""Small made-up chips."""

from __future__ import annotations

from typing import Any

from spikeport.targets import FACTS, Fact, Target

SETS = {"features", "neurons", "synapses", "reset"}


def chip(*, hint_at: tuple[str, ...] = (), **values: Any) -> Target:
    """A target with the given facts, all enforced but those named by `hint_at`."""
    facts = {
        name: Fact(
            frozenset(value) if name in SETS else value,
            FACTS[name].metadata["unit"],
            "made up",
            "measured",
            name not in hint_at,
        )
        for name, value in values.items()
    }
    return Target(name="tiny", title="Tiny", vendor="nobody", **facts)
