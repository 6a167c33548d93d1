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


GROUPS: Mapping[str, Callable[[], Facts]] = {"akida": akida, "lava": lava, "nengo_loihi": nengo_loihi}

if __name__ == "__main__":
    serve({"facts": GROUPS[sys.argv[1]]})
