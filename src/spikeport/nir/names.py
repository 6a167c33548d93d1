"""Names of nodes that every tool can read: letters, digits and underscores."""

from __future__ import annotations

import re
from dataclasses import replace

from spikeport.primitives import DynamicNetwork


def free_name(name: str, taken: set[str]) -> str:
    """A safe name like `name` that is not taken; from then on it is."""
    safe = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60] or "_"
    result, count = safe, 1
    while result in taken:
        count += 1
        result = f"{safe}_{count}"
    taken.add(result)
    return result


def dotted(network: DynamicNetwork) -> DynamicNetwork:
    """With `v1.exc` for the path `v1/exc`, as names of nested graphs are: HDF5 takes a name with / apart."""
    names = [*(i.name for i in network.inputs), *network.by_name, *(o.name for o in network.outputs)]
    if not any("/" in name for name in names):
        return network
    taken = {name for name in names if "/" not in name}
    changed = {name: name for name in taken}
    for name in dict.fromkeys(n for n in names if "/" in n):
        made, count = name.replace("/", "."), 1
        while made in taken:
            count += 1
            made = f"{name.replace('/', '.')}_{count}"
        taken.add(made)
        changed[name] = made
    return replace(
        network,
        inputs=tuple(replace(i, name=changed[i.name]) for i in network.inputs),
        populations=tuple(replace(p, name=changed[p.name]) for p in network.populations),
        projections=tuple(replace(p, source=changed[p.source], target=changed[p.target]) for p in network.projections),
        outputs=tuple(replace(o, name=changed[o.name], source=changed[o.source]) for o in network.outputs),
    )
