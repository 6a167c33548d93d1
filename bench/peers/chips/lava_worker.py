"""Lava's fixed-point process models, spoken to as `peers/protocol.py` says.

describe                       -> versions
run       case   into   probe  -> the states (if probed) and spikes of every step of a case of `bench/chips.py`, written to an npz file
time      case                 -> seconds of all its steps, without what happens before the first one
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402
from lava.proc.dense.process import DelayDense, Dense  # noqa: E402
from lava.proc.graded.process import GradedReluVec, GradedVec  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402
from lava.proc.lif.process import LIF  # noqa: E402
from lava.proc.monitor.process import Monitor  # noqa: E402
from lava.proc.rf.process import RF  # noqa: E402
from lava.proc.rf_iz.process import RF_IZ  # noqa: E402
from lava.proc.sdn.process import ActivationMode, SigmaDelta  # noqa: E402
from lava.proc.sparse.process import Sparse  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402

from peers.protocol import serve  # noqa: E402

PROBED = {
    "lif": ("u", "v"),
    "sigma_delta": ("residue", "sigma"),
    "rf": ("imag", "real"),
    "rf_iz": ("imag", "real"),
    "graded": (),
    "graded_relu": (),
}
"""Which variables of a process are our current and our potential."""


def neurons(kind: str, shape: tuple[int, ...], numbers: dict[str, Any]) -> Any:
    """A process; its documented parameters are one for all neurons, and its equations are written for arrays."""
    if kind == "lif":
        vectors = {name: numbers[name] for name in ("du", "dv", "vth")}
        made = LIF(
            shape=shape,
            v=numbers["v"],
            du=0,
            dv=0,
            vth=0,
            bias_mant=numbers["bias_mant"],
            bias_exp=numbers["bias_exp"],
        )
    elif kind == "sigma_delta":
        state_exp = int(numbers["state_exp"])
        made = SigmaDelta(
            shape=shape,
            vth=0,
            bias=numbers["bias"],
            act_mode=ActivationMode.RELU if numbers["relu"] else ActivationMode.UNIT,
            state_exp=state_exp,
            cum_error=False,
        )
        vectors = {"vth": numbers["vth"] << state_exp}  # as its constructor does with a number
    elif kind in ("rf", "rf_iz"):
        state_exp, bits = int(numbers["state_exp"]), int(numbers["decay_bits"])
        process = RF if kind == "rf" else RF_IZ
        made = process(shape=shape, period=10, alpha=0.1, state_exp=state_exp, decay_bits=bits, vth=1)
        vectors = {
            "cos_decay": numbers["cos"],
            "sin_decay": numbers["sin"],
            "vth": numbers["vth"] << state_exp,
        }
    else:
        made, vectors = (GradedVec if kind == "graded" else GradedReluVec)(shape=shape), {"vth": numbers["vth"]}
    for name, values in vectors.items():
        values = np.asarray(values)
        variable = getattr(made, name)
        if values.ndim:
            variable.shape, variable.init = shape, values.astype(np.int32)
        else:
            variable.init = int(values)
    return made


def connection(spec: dict[str, Any], weights: np.ndarray) -> Any:
    """A process of synapses."""
    if spec["kind"] == "conv":
        return Conv(
            weight=weights,
            input_shape=tuple(spec["input_shape"]),
            padding=tuple(spec["padding"]),
            stride=tuple(spec["stride"]),
            dilation=tuple(spec["dilation"]),
            groups=spec["groups"],
            num_message_bits=spec["message_bits"],
        )
    choices: dict[str, Any] = {
        "weights": weights,
        "weight_exp": spec["exponent"],
        "num_weight_bits": spec["bits"],
        "num_message_bits": spec["message_bits"],
    }
    if spec["sign"]:
        choices["sign_mode"] = SignMode[spec["sign"].upper()]
    if spec["kind"] == "sparse":
        return Sparse(**choices)
    if spec["kind"] == "delay":
        return DelayDense(delays=np.full(weights.shape, spec["delay"]), **choices)
    return Dense(**choices)


class Built:
    """The processes of a case."""

    def __init__(self, path: str, *, probe: bool, keep: bool = True) -> None:
        with np.load(path) as stored:
            arrays = dict(stored)
        case = json.loads(str(arrays.pop("case")))
        self.kind, self.shape, self.steps = case["kind"], tuple(case["shape"]), case["steps"]
        numbers = {
            name[2:]: values.reshape(self.shape) if values.ndim else values
            for name, values in arrays.items()
            if name.startswith("n ")
        }
        self.neurons = neurons(self.kind, self.shape, numbers)
        self.keep: list[Any] = []
        if keep:
            self.sink = Sink(shape=self.shape, buffer=self.steps)
            self.neurons.s_out.connect(self.sink.a_in)
        for i, spec in enumerate(case["connections"]):
            made = connection(spec, arrays[f"weights {i}"])
            port = "a_in" if not self.kind.startswith("rf") else "a_imag_in" if spec["imag"] else "a_real_in"
            made.a_out.connect(getattr(self.neurons, port))
            if spec["source"] == "self":
                self.neurons.s_out.connect(made.s_in)
            else:
                source = Source(data=arrays[f"x {i}"].astype(np.int32))
                source.s_out.connect(made.s_in)
                self.keep.append(source)
            self.keep.append(made)
        self.monitors = []
        for name in PROBED[self.kind] if probe else ():
            monitor = Monitor()
            monitor.probe(getattr(self.neurons, name), self.steps)
            self.monitors.append(monitor)

    def go(self, steps: int) -> None:
        """Step on, and wait for it."""
        condition, config = RunSteps(num_steps=steps), Loihi2SimCfg(select_tag="fixed_pt")
        self.neurons.run(condition=condition, run_cfg=config)


class Lava:
    """Answers."""

    def describe(self) -> dict[str, Any]:
        return {"versions": {"lava-nc": metadata.version("lava-nc"), "numpy": np.__version__}}

    def run(self, case: str, into: str, probe: bool = True) -> dict[str, Any]:
        built = Built(case, probe=probe)
        start = time.perf_counter()
        try:
            built.go(built.steps)
            found = [next(iter(next(iter(m.get_data().values())).values())) for m in built.monitors]
            spikes = np.moveaxis(built.sink.data.get(), -1, 0)
        finally:
            built.neurons.stop()
        arrays = dict(zip(("current", "potential"), found))  # noqa: B905  (Python 3.10)
        exact = {name: whole(values) for name, values in {**arrays, "spikes": spikes}.items()}
        np.savez(into, **exact)
        return {"seconds": time.perf_counter() - start}

    def time(self, case: str) -> dict[str, Any]:
        built = Built(case, probe=False, keep=False)
        try:
            built.go(1)  # builds and starts everything
            start = time.perf_counter()
            built.go(built.steps)
            return {"seconds": time.perf_counter() - start}
        finally:
            built.neurons.stop()


def whole(values: np.ndarray) -> np.ndarray:
    """Integers, which Lava hands back as floats."""
    integers = np.asarray(values).astype(np.int64)
    if not (integers == values).all():
        raise ValueError("values that are not whole numbers")
    return integers


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    answering = Lava()
    serve({name: getattr(answering, name) for name in ("describe", "run", "time")})
