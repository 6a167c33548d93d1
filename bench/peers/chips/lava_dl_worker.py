"""lava-dl and Lava, spoken to as `peers/protocol.py` says. Torch and Lava's processes do not mix: ask one worker to make, another to run.

describe                                -> versions
make      name   seed   steps   into    -> a network of class `name` is drawn, exported to `into`.net, and run by lava-dl's training
                                           code, written with its input to `into`.npz
shipped   name   seed   steps   into    -> the same of a file that lava-dl's own tests use, without lava-dl's training code
run       path   case   into            -> the same file in Lava's reader, in fixed point: spikes and states, written to `into`
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

# Behind everything else: a library's own modules may have the names of ours. What follows is imported with this path (E402).
sys.path[:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))
warnings.filterwarnings("ignore")

import h5py  # noqa: E402
import numpy as np  # noqa: E402

with contextlib.redirect_stdout(io.StringIO()):
    import lava.lib.dl.slayer as slayer
    import torch
    from lava.lib.dl import netx
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.monitor.process import Monitor

from peers.protocol import serve  # noqa: E402

STATES = {"LIF": ("u", "v"), "Delta": ("act",), "SigmaDelta": ("sigma",), "Sigma": ("sigma",)}
"""Which variables of a process are kept."""
Blocks = list[Any]


def cuba(rng: np.random.Generator, **more: Any) -> dict[str, Any]:
    """Parameters of CUBA neurons."""
    decays = (1 / 4096, 0.01, 0.1, 0.25, 0.5, 0.75, 4095 / 4096, 1.0)
    return {
        "threshold": float(rng.choice([1 / 64, 0.125, 0.25, 0.5, 1.0])),
        "current_decay": float(rng.choice(decays)),
        "voltage_decay": float(rng.choice((0.0, *decays))),
        "requires_grad": False,
        **more,
    }


def sigma_delta(rng: np.random.Generator, **more: Any) -> dict[str, Any]:
    threshold = float(rng.choice([0.0, 1 / 64, 0.1, 0.25, 0.5]))
    return {"threshold": threshold, "activation": torch.nn.functional.relu, "requires_grad": False, **more}


def normal() -> Any:
    return slayer.neuron.norm.MeanOnlyBatchNorm


class Drawn:
    """Blocks, what enters in the integers of the chip, shape (time, *input), and in lava-dl's training code."""

    def __init__(self, blocks: Blocks, x: np.ndarray, trained: np.ndarray | None = None) -> None:
        self.blocks, self.x = blocks, x
        self.trained = x if trained is None else trained


def events(rng: np.random.Generator, shape: tuple[int, ...], steps: int) -> np.ndarray:
    return (rng.random((steps, *shape)) < rng.choice([0.05, 0.2, 0.5])).astype(np.int64)


def dense(rng: np.random.Generator, steps: int) -> Drawn:
    block, sizes = slayer.block.cuba, rng.integers(3, 30, 4)
    blocks = [
        block.Dense(
            cuba(rng, norm=normal() if rng.random() < 0.4 else None),
            int(a),
            int(b),
            weight_scale=float(rng.choice([1, 2, 4])),
        )
        for a, b in pairwise(sizes)
    ]
    return Drawn(
        [block.Input(None, delay_shift=False), *blocks] if rng.random() < 0.5 else blocks,
        events(rng, (int(sizes[0]),), steps),
    )


def readout(rng: np.random.Generator, steps: int) -> Drawn:
    """A last layer that only integrates."""
    block = slayer.block.cuba
    blocks = [
        block.Dense(cuba(rng), 12, 10, weight_scale=3),
        block.Affine(cuba(rng), 10, 4, dynamics=bool(rng.random() < 0.5)),
    ]
    return Drawn(blocks, events(rng, (12,), steps))


def fed(rng: np.random.Generator, steps: int) -> Drawn:
    """Input neurons, fed with numbers."""
    block = slayer.block.cuba
    weight, bias = 2 * int(rng.integers(-60, 60)), 2 * int(rng.integers(-30, 30))
    blocks = [
        block.Input(cuba(rng), weight=weight / 64, bias=bias / 64),
        block.Dense(cuba(rng), 9, 14, weight_scale=3),
        block.Dense(cuba(rng), 14, 5, weight_scale=3),
    ]
    x = rng.integers(-1, 3, (steps, 9))
    return Drawn(blocks, weight * x + bias, x)


def channels(rng: np.random.Generator, steps: int) -> Drawn:
    """Decays of their own for every neuron."""
    block = slayer.block.cuba
    apart = {"current_decay": (0.05, 0.9), "voltage_decay": (0.0, 0.9), "shared_param": False}
    blocks = [
        block.Dense(cuba(rng, **apart), 9, 11, weight_scale=3),
        block.Dense(cuba(rng, **apart), 11, 4, weight_scale=3),
    ]
    return Drawn(blocks, events(rng, (9,), steps))


def delayed(rng: np.random.Generator, steps: int) -> Drawn:
    """Delays of what is sent, one for each neuron."""
    block = slayer.block.cuba
    sizes = [10, int(rng.choice([7, 10])), 6]
    blocks = [block.Dense(cuba(rng), a, b, weight_scale=3, delay=True) for a, b in pairwise(sizes)]
    return Drawn([*blocks, block.Dense(cuba(rng), 6, 5, weight_scale=3)], events(rng, (10,), steps))


def recurrent(rng: np.random.Generator, steps: int) -> Drawn:
    block = slayer.block.cuba
    return Drawn(
        [
            block.Recurrent(cuba(rng), 8, 11, weight_scale=float(rng.choice([1, 3]))),
            block.Recurrent(cuba(rng, norm=normal()), 11, 6, weight_scale=2),
        ],
        events(rng, (8,), steps),
    )


def maps(rng: np.random.Generator, steps: int) -> Drawn:
    """Convolutions of any geometry, then a dense layer."""
    block = slayer.block.cuba
    groups = int(rng.choice([1, 2]))
    two = [tuple(int(n) for n in rng.integers(1, 4, 2)), tuple(int(n) for n in rng.integers(1, 3, 2))]
    blocks = [
        block.Input(None, delay_shift=False),
        block.Conv(cuba(rng), 2, 4, two[0], padding=two[1], stride=two[1], weight_scale=3, groups=groups),
        block.Conv(cuba(rng, norm=normal()), 4, 3, 2, dilation=(1, int(rng.integers(1, 3))), weight_scale=3),
        block.Flatten(),
    ]
    x = events(rng, (2, 7, 9), steps)
    size = flattened(blocks, x)
    return Drawn([*blocks, block.Dense(cuba(rng), size, 6, weight_scale=2)], x)


def pooled(rng: np.random.Generator, steps: int) -> Drawn:
    block = slayer.block.cuba
    shape = (2, 8, 8) if rng.random() < 0.8 else (2, 7, 9)
    blocks = [
        block.Conv(cuba(rng), 2, 3, 3, padding=1, weight_scale=3),
        block.Pool(cuba(rng), 2, weight_scale=float(rng.choice([0.5, 1, 2]))),
        block.Conv(cuba(rng), 3, 2, 2, weight_scale=3),
        block.Flatten(),
    ]
    x = events(rng, shape, steps)
    return Drawn(
        [
            block.Input(None, delay_shift=False),
            *blocks,
            block.Dense(cuba(rng), flattened(blocks, x), 4, weight_scale=3),
        ],
        x,
    )


def delayed_maps(rng: np.random.Generator, steps: int) -> Drawn:
    """Delays of channels, which Lava's reader leaves out."""
    block = slayer.block.cuba
    blocks = [
        block.Input(None, delay_shift=False),
        block.Conv(cuba(rng), 2, 4, 3, padding=1, weight_scale=3, delay=True),
        block.Conv(cuba(rng), 4, 3, 3, weight_scale=3, delay=True),
    ]
    return Drawn(blocks, events(rng, (2, 6, 5), steps))


def sums(rng: np.random.Generator, steps: int) -> Drawn:
    """Sigma-delta neurons, dense, with the sum as output."""
    block = slayer.block.sigma_delta
    norm = normal() if rng.random() < 0.5 else None
    blocks = [
        block.Input(sigma_delta(rng)),
        block.Dense(sigma_delta(rng, norm=norm), 7, 12, weight_scale=2),
        block.Dense(sigma_delta(rng, norm=norm), 12, 9, weight_scale=2),
        block.Output(sigma_delta(rng), 9, 3),
    ]
    x = drifting(rng, (steps, 7))
    return Drawn(blocks, x, x / 64)


def sum_maps(rng: np.random.Generator, steps: int) -> Drawn:
    block = slayer.block.sigma_delta
    blocks = [
        block.Input(sigma_delta(rng)),
        block.Conv(sigma_delta(rng, norm=normal()), 2, 3, 3, padding=1, stride=2, weight_scale=2),
        block.Flatten(),
    ]
    x = drifting(rng, (steps, 2, 6, 7))
    size = flattened(blocks, x / 64)
    return Drawn([*blocks, block.Dense(sigma_delta(rng), size, 5, weight_scale=2)], x, x / 64)


def drifting(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Even numbers that change seldom and little: lava-dl's input block rounds to 1/32."""
    moves = rng.integers(-12, 13, shape) * (rng.random(shape) < 0.5)
    return np.clip(2 * np.cumsum(moves, axis=0), -128, 126)


CLASSES: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    made.__name__: made
    for made in (dense, readout, fed, channels, delayed, recurrent, maps, pooled, delayed_maps, sums, sum_maps)
}
EDGES = "edges"
"""Dense and recurrent networks whose weights are written over with those at the ends of synapse memory."""
SHIPPED = {
    "tiny": "tiny.net",
    "mnist": "mnist.net",
    "ntidigits": "gts/ntidigits/ntidigits.net",
    "pilotnet": "gts/pilotnet_sdnn/square_network.net",
}


def tensor(x: np.ndarray) -> Any:
    """(time, *shape) as a batch of one, time last."""
    return torch.from_numpy(np.moveaxis(x, 0, -1)[None].astype(np.float32).copy())


def flattened(blocks: Blocks, x: np.ndarray) -> int:
    y = tensor(x[:2])
    for block in blocks:
        y = block(y)
    return int(y.shape[1])


def set_delays(blocks: Blocks, rng: np.random.Generator) -> None:
    for block in blocks:
        if getattr(block, "delay", None) is not None and block.delay.init:
            most = int(rng.choice([2, 62]))
            drawn = rng.integers(0, most + 1, tuple(block.delay.delay.shape))
            block.delay.delay.data = torch.from_numpy(drawn.astype(np.float32))


def at_the_ends(rng: np.random.Generator, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Weights of matrices that share a scale: mixed, of one sign, odd, small, -256 and 255."""
    mode = rng.integers(5)
    low, high = [(-256, 256), (0, 256), (-256, 0), (-128, 128), (-256, 1)][mode]
    most = int(rng.choice([1, 3, 16, 127, 128, 200, 256]))
    drawn = []
    for shape in shapes:
        weights = rng.integers(max(low, -most), max(min(high, most), max(low, -most) + 1), shape)
        ends = rng.choice([low, low + 1, -most, most, high - 1, high - 2], shape)
        weights = np.where(rng.random(shape) < 0.3, np.clip(ends, max(low, -most), min(high - 1, most)), weights)
        drawn.append(weights if mode < 4 else weights // 2 * 2)
    if not any(weights.any() for weights in drawn):  # of nothing but zeros Lava's reader makes an error
        drawn[0].flat[0] = low or 2
    return drawn


def rewrite(path: str, rng: np.random.Generator) -> None:
    """Put weights at the ends of synapse memory into a file."""
    with h5py.File(path, "r+") as file:
        for layer in file["layer"].values():
            names = [name for name in ("weight", "weight_rec") if name in layer]
            if not names:
                continue
            for name, values in zip(names, at_the_ends(rng, [layer[n].shape for n in names])):  # noqa: B905  (Python 3.10)
                layer[name][...] = values


def as_convolution(path: str) -> str:
    """A file in which pooling is written as the convolution of each channel that it is: Lava's reader has no pooling."""
    with h5py.File(path, "r") as file:
        layers = [file["layer"][str(i)] for i in range(len(file["layer"]))]
        if all(layer["type"][0] != b"pool" for layer in layers):
            return path
        other = path + ".as_convolution"
        with h5py.File(other, "w") as made:
            file.copy("layer", made)
            for layer in made["layer"].values():
                if layer["type"][0] != b"pool":
                    continue
                count = int(layer["shape"][0])
                weight = np.repeat(layer["weight"][()], count, axis=0)
                del layer["type"], layer["weight"]
                layer.create_dataset("type", (1,), "S10", [b"conv"])
                layer["weight"], layer["groups"] = weight, count
    return other


class LavaDl:
    """Answers."""

    def describe(self) -> dict[str, Any]:
        names = ("lava-dl", "lava-nc", "torch", "numpy")
        return {
            "versions": {name: metadata.version(name) for name in names},
            "classes": [*CLASSES, EDGES],
            "shipped": list(SHIPPED),
        }

    def make(self, name: str, seed: int, steps: int, into: str) -> dict[str, Any]:
        rng = np.random.default_rng([seed, [*CLASSES, EDGES].index(name)])
        torch.manual_seed(int(rng.integers(2**31)))
        edges = name == EDGES
        drawn = CLASSES[str(rng.choice(["dense", "recurrent", "delayed"])) if edges else name](rng, steps)
        x = tensor(drawn.trained)
        with torch.no_grad():
            for _ in range(3):  # shapes are settled, means are estimated
                y = x
                for block in drawn.blocks:
                    y = block.train()(y)
            set_delays(drawn.blocks, rng)
            outputs, y = {}, x
            for i, block in enumerate(drawn.blocks):
                y = forget(block.eval())(y)
                if not edges:
                    outputs[f"slayer {i}"] = np.moveaxis(y[0].numpy(), -1, 0)
        with h5py.File(f"{into}.net", "w") as file:
            for i, block in enumerate(drawn.blocks):
                block.export_hdf5(file.create_group(f"layer/{i}"))
        if edges:
            rewrite(f"{into}.net", rng)
        np.savez(f"{into}.npz", x=drawn.x, **outputs)
        return {}

    def shipped(self, name: str, seed: int, steps: int, into: str) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        place = next(
            Path(folder) / "tests/lava/lib/dl/netx"
            for folder in sys.path
            if (Path(folder) / "tests/lava/lib/dl").exists()
        )
        shutil.copyfile(place / SHIPPED[name], f"{into}.net")
        with h5py.File(f"{into}.net") as file:
            first = file["layer/0"]
            shape = tuple(first["shape"][()])
            x = rng.integers(-64, 130, (steps, *shape)) if "neuron" in first else events(rng, shape, steps)
        np.savez(f"{into}.npz", x=x)
        return {}

    def run(self, path: str, case: str, into: str) -> dict[str, Any]:
        x = np.load(case)["x"]
        with contextlib.redirect_stdout(io.StringIO()):
            network = netx.hdf5.Network(net_config=as_convolution(path), num_layers=neuron_layers(path))
        steps, first = len(x), network.in_layer
        data = np.transpose(x).astype(np.int32)  # (x, y, channel, time), as Lava has it
        sinks, monitors = [], []
        if hasattr(first, "synapse"):
            source = Source(data=data.reshape(*first.inp.shape, steps))
            source.s_out.connect(network.inp)
        else:  # what is fed reaches neurons in the step, and ours in the next
            late = np.concatenate([np.zeros_like(data[..., :1]), data[..., :-1]], axis=-1)
            source = Source(data=late)
            source.s_out.connect(first.neuron.a_in)
        for layer in network.layers:
            sink = Sink(shape=layer.out.shape, buffer=steps)
            layer.neuron.s_out.connect(sink.a_in)
            sinks.append(sink)
            kept = {}
            for name in STATES[type(layer.neuron).__name__]:
                kept[name] = Monitor()
                kept[name].probe(getattr(layer.neuron, name), steps)
            monitors.append(kept)
        try:
            network.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
            found = {f"spikes {i}": np.transpose(sink.data.get()) for i, sink in enumerate(sinks)}
            for i, kept in enumerate(monitors):
                for name, monitor in kept.items():
                    values = next(iter(next(iter(monitor.get_data().values())).values()))
                    found[f"{name} {i}"] = by_channel(np.asarray(values))
        finally:
            network.stop()
        np.savez(into, **{name: whole(values) for name, values in found.items()})
        return {"kinds": [type(layer.neuron).__name__ for layer in network.layers]}


def neuron_layers(path: str) -> int:
    """Layers of a file without a mean over outputs at its end, which Lava's reader does not have."""
    with h5py.File(path, "r") as file:
        count = len(file["layer"])
        return count - (file[f"layer/{count - 1}/type"][0] == b"average")


def by_channel(values: np.ndarray) -> np.ndarray:
    """(time, x, y, channel) as (time, channel, y, x)."""
    return np.transpose(values, (0, *range(values.ndim - 1, 0, -1)))


def forget(block: Any) -> Any:
    """A block as before its first step."""
    for module in block.modules():
        for name in ("current_state", "voltage_state", "pre_state", "residual_state", "error_state", "spike_state"):
            if hasattr(module, name):
                getattr(module, name).zero_()
        if hasattr(module, "delay_buffer"):
            module.delay_buffer = None
    return block


def whole(values: np.ndarray) -> np.ndarray:
    """Integers, which Lava hands back as floats."""
    integers = np.asarray(values).astype(np.int64)
    if not (integers == values).all():
        raise ValueError("values that are not whole numbers")
    return integers


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    answering = LavaDl()
    serve({name: getattr(answering, name) for name in ("describe", "make", "shipped", "run")})
