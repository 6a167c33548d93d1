"""Lava's learning synapses, spoken to as `peers/protocol.py` says.

run   case   into   -> the weights and traces after every step of a case, written to an npz file

A case is an npz file: `pre` and `post` (step, neuron), `weights`, and as JSON `rule`: dw, impulses and time constants by trace, the sign mode, and
whether numbers are of fixed point.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.dense.process import LearningDense  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402

from peers.protocol import serve  # noqa: E402


def run(case: str, into: str) -> dict[str, Any]:
    """One case, step by step."""
    with np.load(case) as stored:
        given = dict(stored)
    said = json.loads(str(given["rule"]))
    rule = Loihi2FLearningRule(dw=said["dw"], rng_seed=1, **said["traces"])
    weights = given["weights"] if said["fixed"] else given["weights"].astype(float)
    synapses = LearningDense(weights=weights, learning_rule=rule, sign_mode=SignMode[said["sign"].upper()])
    pre, post = (Source(data=given[name].T.astype(int)) for name in ("pre", "post"))
    sink = Sink(shape=(len(weights),), buffer=len(given["pre"]))
    pre.s_out.connect(synapses.s_in)
    post.s_out.connect(synapses.s_in_bap)
    synapses.a_out.connect(sink.a_in)
    config = Loihi2SimCfg(select_tag="fixed_pt" if said["fixed"] else "floating_pt")
    found: dict[str, list[Any]] = {"weights": [], "x1": [], "y1": []}
    try:
        for _ in range(len(given["pre"])):
            synapses.run(condition=RunSteps(num_steps=1), run_cfg=config)
            for name, values in found.items():
                values.append(np.array(getattr(synapses, name).get()))
    finally:
        synapses.stop()
    np.savez_compressed(into, **{name: np.array(values) for name, values in found.items()})
    return {"steps": len(given["pre"])}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve({"run": run})
