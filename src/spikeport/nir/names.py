"""Names of nodes that every tool can read: letters, digits and underscores."""

from __future__ import annotations

import re


def free_name(name: str, taken: set[str]) -> str:
    """A safe name like `name` that is not taken; from then on it is."""
    safe = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60] or "_"
    result, count = safe, 1
    while result in taken:
        count += 1
        result = f"{safe}_{count}"
    taken.add(result)
    return result
