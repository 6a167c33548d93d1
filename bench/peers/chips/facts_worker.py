"""What packages of vendors say of their chips: constants that they declare, and what their mapping and their neurons do when asked.

Runs in the environment of a group; answers `facts` with {chip: {fact: value}}, in the words of the catalog.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from peers.protocol import serve

Facts = dict[str, dict[str, Any]]


def nengo_loihi() -> Facts:
    """Constants of the emulator and of its allocator."""
    from inspect import signature

    from nengo_loihi import block
    from nengo_loihi.builder import discretize
    from nengo_loihi.hardware.allocators import Greedy
    from nengo_loihi.hardware.nxsdk_objects import CompartmentConfig

    found = {
        "neurons_per_core": block.MAX_COMPARTMENTS,
        "axons_in_per_core": block.MAX_IN_AXONS,
        "axons_out_per_core": block.MAX_OUT_AXONS,
        "synapse_bits_per_core": block.MAX_SYNAPSE_BITS,
        "cores": signature(Greedy).parameters["cores_per_chip"].default,
        "threshold_bits": discretize.VTH_MAN_MAX.bit_length(),
        "fraction_bits": discretize.VTH_EXP,
        "bias_bits": discretize.BIAS_MAN_MAX.bit_length() + 1,
        "bias_exponent_max": discretize.BIAS_EXP_MAX,
        "arrival_bits": discretize.Q_BITS + 1,
        "state_bits": discretize.U_BITS + 1,
        "refractory_max": CompartmentConfig.REFRACT_DELAY_MAX,
    }
    return {"loihi1": found}


def lava() -> Facts:
    """Widths that Lava's bit-accurate LIF declares."""
    from lava.proc.lif.models import PyLifModelBitAcc as Lif

    model = object.__new__(Lif)
    model.proc_params = {}
    Lif.__init__(model, {})
    found = {
        "state_bits": Lif.u.precision,
        "fraction_bits": model.act_shift,
        "threshold_bits": Lif.vth.precision,
        "bias_bits": Lif.bias_mant.precision,
        "bias_exponent_max": 2**Lif.bias_exp.precision - 1,
        "payload_min": -(2 ** (Lif.s_out.precision - 1)),
        "payload_max": 2 ** (Lif.s_out.precision - 1) - 1,
    }
    return {"loihi2": found}


def akida() -> Facts:
    """What virtual devices map, and what the software backend computes."""
    import akida as package

    return {"akida1000": _akida(package.AKD1000), "akida1500": _akida(package.AKD1500)}


def _akida(device: Callable[[], Any]) -> dict[str, Any]:
    import akida as ak
    import numpy as np

    def model(*layers: Any) -> Any:
        made = ak.Model()
        made.add(ak.InputData((16, 16, 4), input_bits=4))
        for layer in layers:
            made.add(layer)
        for layer in made.layers[1:]:
            layer.set_variable("weights", np.ones_like(layer.get_variable("weights")))
        return made

    def conv(**options: Any) -> Any:
        return ak.Convolutional(filters=4, **{"kernel_size": (3, 3), "weights_bits": 4, "act_bits": 4, **options})

    def maps(*layers: Callable[[], Any]) -> bool:
        try:
            model(*(layer() for layer in layers)).map(device(), hw_only=True)
        except (RuntimeError, ValueError):
            return False
        return True

    def pooled(k: int) -> Callable[[], Any]:
        return lambda: conv(pool_type=ak.PoolType.Max, pool_size=(k, k), pool_stride=(k, k))

    def dense(**options: Any) -> Callable[[], Any]:
        return lambda: ak.FullyConnected(units=4, **{"weights_bits": 4, "act_bits": 4, **options})

    tried = range(1, 12)
    mesh = device().mesh
    return {
        "cores": len(mesh.nps),
        "synapse_bits_per_core": 8 * mesh.np_sram_size.weight_bytes,
        "kernels": [k for k in tried if maps(lambda k=k: conv(kernel_size=(k, k)))],
        "kernel_max": max(k for k in tried if maps(lambda k=k: conv(kernel_size=(k, k)))),
        "strides": [s for s in tried if maps(lambda s=s: conv(kernel_stride=(s, s)))],
        "pools": [k for k in tried if maps(pooled(k), conv)],
        "weight_bits": max(b for b in tried if maps(dense(weights_bits=b)) and b != 8),  # 8: of the first layer alone
        "payload_caps": [2**b - 1 for b in tried if maps(dense(act_bits=b))],
        "payload_max": max(2**b - 1 for b in tried if maps(dense(act_bits=b))),
        "skips": maps(conv, ak.Add),
        **_akida_counts(ak, np),
    }


def _akida_counts(ak: Any, np: Any) -> dict[str, Any]:
    """Whether a neuron computes clip(ceil((U - threshold) / (step 2^(4 - bits))), 0, 2^bits - 1), at the boundaries too."""
    rng = np.random.default_rng(0)
    equal = True
    for bits in (1, 2, 4):
        made = ak.Model()
        made.add(ak.InputData((1, 1, 24), input_bits=4))
        made.add(ak.FullyConnected(units=64, weights_bits=4, act_bits=bits))
        layer = made.layers[1]
        weights = rng.integers(-7, 8, (24, 64))
        thresholds, steps = rng.integers(-40, 40, 64), rng.integers(1, 30, 64)
        layer.set_variable("weights", weights.reshape(1, 1, 24, 64).astype(np.int8))
        layer.set_variable("threshold", thresholds.astype(np.int32))
        layer.set_variable("act_step", steps.astype(np.float32))
        x = rng.integers(0, 16, (2000, 24))
        sums, wide = x @ weights - thresholds, steps << 4 - bits
        counts = np.clip(-(-sums // wide), 0, 2**bits - 1)
        equal &= bool((made.forward(x.reshape(-1, 1, 1, 24).astype(np.uint8)).reshape(-1, 64) == counts).all())
        equal &= bool((sums % wide == 0).any())
    return {"features": ["payload"] if equal else []}


def xylosim() -> Facts:
    """What single neurons do, and whether a wave through three layers carries the counts of an integer network."""
    import numpy as np

    def single(events: int, weight: int) -> tuple[Any, Any, Any]:
        """One hidden neuron of threshold 4, fed by one input, and one output that reads it; two steps."""
        one = np.array([[1]])
        return _xylo(np.array([events]), weight * one, 0 * one, one, np.array([4]), 2)

    at, below, many = (single(*case)[0][0, 0] for case in ((1, 4), (1, 3), (8, 127)))
    hidden, output, potential = single(1, 7)
    most = single(255, -128)[2][0, 0] // -128  # of the events of a step, as many are taken
    wide = np.full((16, 1), -128)
    lowest = _xylo(np.full(16, 15), wide, np.zeros((1, 1), int), np.array([[1]]), np.array([4]), 1)[2][0, 0]
    found = {
        "compare": ">=" if (at, below) == (1, 0) else ">",
        "reset": ["subtract"] if potential[0, 0] == 7 - 4 else ["to zero"],
        "payload_max": int(many),
        "input_latency": int(np.flatnonzero(hidden[:, 0])[0]),
        "layer_latency": int(np.flatnonzero(output[:, 0])[0]),
        "input_bits": int(most).bit_length(),
        "arrival_bits": int(-lowest).bit_length(),
    }
    rng = np.random.default_rng(3)
    equal = all(_wave_is_exact(rng) for _ in range(100))
    return {"xylo": {**found, "features": ["many units", "payload", "subtract reset"] if equal else []}}


def _xylo(x: Any, w_in: Any, w_rec: Any, w_out: Any, thresholds: Any, steps: int) -> tuple[Any, Any, Any]:
    """Hidden spikes, output potentials and hidden potentials, (step, neuron), of input in the first step.

    Weights are doubled and currents decay by a shift of 1, so that a potential is the sum of weights in the step of its arrival;
    potentials are cleared by a shift of 0.
    """
    import numpy as np
    import xylosim.v2 as package

    def table(weights: Any) -> Any:
        return [[package.XyloSynapse(int(j), 0, int(row[j])) for j in np.flatnonzero(row)] for row in weights]

    n, m = w_out.shape
    synapses = (table(w_in), table(w_rec), table(w_out), [[]] * n)  # the layer keeps pointers to them
    shifts = (1, 1, 1, [0] * n, [0] * m, [[1, 0]] * n, [[1]] * m)
    layer = package.XyloLayer(*synapses, thresholds.tolist(), [32767] * m, True, [0] * n, [0] * m, *shifts, "facts")
    layer.evolve([x.tolist()] + [[0] * len(x)] * (steps - 1))
    return np.array(layer.rec_recurrent_spikes), np.array(layer.rec_v_mem_out).T, np.array(layer.rec_v_mem).T


def _wave_is_exact(rng: Any) -> bool:
    """A random network of two hidden layers; biases come from an input that is always on, and travel with the wave."""
    import numpy as np

    n, m, k = 40, 30, 8
    w1, w2, w3 = (rng.integers(-40, 41, shape) for shape in ((16, n), (n + 1, m), (m + 1, k)))
    t1, t2 = rng.integers(20, 300, n), rng.integers(50, 900, m)
    x = np.append(rng.integers(0, 16, 15), 1)
    w_in, w_rec, w_out = (np.zeros(shape, dtype=int) for shape in ((16, n + m + 2), (n + m + 2,) * 2, (n + m + 2, k)))
    w_in[:, :n], w_in[15, n + m] = w1, 1
    w_rec[:n, n : n + m], w_rec[n + m, n : n + m], w_rec[n + m, n + m + 1] = w2[:-1], w2[-1], 1
    w_out[n : n + m], w_out[n + m + 1] = w3[:-1], w3[-1]
    spikes, outputs, _ = _xylo(x, w_in, w_rec, w_out, np.concatenate([t1, t2, [1, 1]]), 4)
    first = np.clip(x @ w1 // t1, 0, 31)
    second = np.clip(np.append(first, 1) @ w2 // t2, 0, 31)
    equal = (spikes[0, :n] == first).all() and (spikes[1, n : n + m] == second).all()
    return bool(equal and (outputs[2] == np.append(second, 1) @ w3).all())


GROUPS: Mapping[str, Callable[[], Facts]] = {
    "akida": akida,
    "lava": lava,
    "nengo_loihi": nengo_loihi,
    "xylosim": xylosim,
}

if __name__ == "__main__":
    serve({"facts": GROUPS[sys.argv[1]]})
