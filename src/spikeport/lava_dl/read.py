"""Read a file that lava-dl exported. Its meaning is what Lava's own reader of these files makes of it, in Lava's fixed-point numbers."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.errors import LavaError, OptionError, Problem
from spikeport.lava_dl.blocks import LAYERS
from spikeport.lava_dl.layers import MAX_NEURONS, Layers
from spikeport.lava_dl.section import Section
from spikeport.primitives import Approximation, DynamicNetwork, DynamicsContract
from spikeport.storage import hdf5

MAX_LAYERS = 2_000
FORMAT = hdf5.Kind(
    name="lava-dl",
    suffix=".net",
    error=LavaError,
    again="export it again, with lava-dl",
    max_file_bytes=2**31,
    max_loaded_bytes=2**28,
    max_objects=100_000,
    max_depth=8,
    max_rank=8,
    max_name=1_000,
    max_text=1_000,
    one_text=True,
)


def read_lava_dl(path: str | Path, *, input_shape: tuple[int, ...] | None = None, spike_exp: int = 6) -> DynamicNetwork:
    """See `spikeport.read_lava_dl`."""
    _check_options(input_shape, spike_exp)
    tree = hdf5.read_tree(Path(path), FORMAT)
    problems: list[Problem] = []
    entries = tree.get("layer")
    if not isinstance(entries, dict) or not entries:
        why = "holds no layers, so it is no network of lava-dl"
        raise LavaError(
            Problem(
                str(path), why, "give a file that the export_hdf5 of lava-dl's blocks wrote, each in layer/<number>"
            )
        )
    names = [str(i) for i in range(len(entries))]
    if len(names) > MAX_LAYERS or set(names) != set(entries):
        why = f"its {len(names):,} layers are not numbered from 0, or more than {MAX_LAYERS:,}"
        raise LavaError(Problem(f"{path}:layer", why, "export it again, with lava-dl"))
    layers = Layers(
        spike_exp=spike_exp,
        input_shape=input_shape,
        last=len(names) - 1,
        last_neurons=max((int(name) for name, entry in entries.items() if _has_weights(entry)), default=-1),
        problems=problems,
    )
    for i, name in enumerate(names):
        if not _read_layer(layers, i, entries[name]):
            break
    ledger = [Approximation(Path(path).stem, what, 0.0) for what in _remarks(tree)]
    dt = _step(tree, problems)
    if problems:
        raise LavaError(problems)
    if not layers.populations:
        raise LavaError(Problem(str(path), "holds no layer with neurons", "export a network with dense or conv layers"))
    return DynamicNetwork(
        name=Path(path).stem,
        inputs=(layers.input,) if layers.input else (),
        populations=tuple(layers.populations),
        projections=tuple(layers.projections),
        contract=DynamicsContract.loihi("loihi2", dt=dt),
        ledger=(*ledger, *layers.ledger),
    )


def _has_weights(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("type") not in ("input", "flatten", "average")


def _check_options(input_shape: Any, spike_exp: Any) -> None:
    problems = []
    if isinstance(spike_exp, bool) or not isinstance(spike_exp, int | np.integer) or not 0 <= spike_exp <= 7:
        problems.append(Problem("spike_exp", f"is {spike_exp!r}", "0 to 7; Lava's reader takes 6"))
    if input_shape is not None and not (
        isinstance(input_shape, tuple)
        and 1 <= len(input_shape) <= 3
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in input_shape)
    ):
        problems.append(Problem("input_shape", f"is {input_shape!r}", "positive integers, for example (2, 34, 34)"))
    if problems:
        raise OptionError(problems)


def _read_layer(layers: Layers, i: int, entry: Any) -> bool:
    """Whether the layers behind it can be read: they are measured against its shape."""
    where = f"layer/{i}"
    if not isinstance(entry, dict):
        layers.problems.append(Problem(where, "is not a group"))
        return False
    section = Section(entry, where, layers.problems)
    before = len(layers.problems)
    kind = section.text("type")
    if kind in LAYERS:
        LAYERS[kind](layers, i, section)
        section.rest()
    elif kind:
        known = ", ".join(sorted(LAYERS))
        section.wrong("type", f"is {kind[:40]!r}, a layer that cannot be carried", f"layers that can: {known}")
    if len(layers.problems) == before:
        return True
    declared = Section(entry, where, []).shape("shape", at_most=MAX_NEURONS)
    if declared is None:
        return False
    layers.shape = (prod(declared),) if kind in ("dense", "dense_rec", "flatten") else declared
    layers.source = layers.source if kind in ("input", "flatten") and layers.source else where
    return True


def _remarks(tree: hdf5.Tree) -> list[str]:
    remarks = ["when states are reset between samples is not in the file: they are kept within a run"]
    for name in sorted(set(tree) - {"layer", "simulation"}):
        remarks.append(f"the entry {name[:100]!r} of the file is not read; Lava's reader does not either")
    return remarks


def _step(tree: hdf5.Tree, problems: list[Problem]) -> float:
    """Duration of a step in seconds; `simulation/Ts` has milliseconds."""
    simulation = tree.get("simulation")
    step = simulation.get("Ts") if isinstance(simulation, dict) else None
    if step is None:
        return 1e-3
    if not isinstance(step, np.ndarray) or step.size != 1 or step.dtype.kind not in "iuf" or not 0 < step.item() < 1e6:
        problems.append(Problem("simulation/Ts", "is not a duration in milliseconds"))
        return 1e-3
    return float(step.item()) * 1e-3
