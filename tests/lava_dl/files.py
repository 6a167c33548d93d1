"""Files as lava-dl's exporter writes them, made by hand."""

import h5py
import numpy as np

CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1, "gradedSpike": False}
SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 2}


def layer(kind, shape, *, neuron=CUBA, **entries):
    """The entries of a layer; those given as None are left out."""
    found = {"type": kind, "shape": np.array(shape), **entries}
    if neuron is not None:
        found |= {f"neuron/{name}": value for name, value in neuron.items()}
    return {name: value for name, value in found.items() if value is not None}


def changed(entries, **more):
    """A layer with other entries; those given as None are left out, `neuron` is replaced as a whole."""
    found = dict(entries)
    if "neuron" in more:
        neuron = more.pop("neuron")
        found = {name: value for name, value in found.items() if not name.startswith("neuron/")}
        found |= {f"neuron/{name}": v for name, v in neuron.items()} if isinstance(neuron, dict) else {"neuron": neuron}
    return {name: value for name, value in (found | more).items() if value is not None}


def source(shape):
    return layer("input", shape, neuron=None)


def dense(weight, **entries):
    weight = np.asarray(weight, dtype=np.float32)
    post, pre = weight.shape
    given = {"inFeatures": pre, "outFeatures": post, "weight": weight, **entries}
    return layer("dense", (post,), **given)


def conv(weight, shape, **entries):
    weight = np.asarray(weight, dtype=np.float32)
    post, pre, *kernel = weight.shape
    given = {
        "inChannels": pre * entries.get("groups", 1),
        "outChannels": post,
        "kernelSize": np.array(kernel),
        "stride": np.array([1, 1]),
        "padding": np.array([0, 0]),
        "dilation": np.array([1, 1]),
        "groups": 1,
        "weight": weight,
        **entries,
    }
    return layer("conv", shape, **given)


def pool(size, shape, *, weight=64, **entries):
    given = {
        "kernelSize": np.array([size, size]),
        "stride": np.array([size, size]),
        "padding": np.array([0, 0]),
        "dilation": np.array([1, 1]),
        "weight": np.full((1, 1, size, size), weight, dtype=np.float32),
        **entries,
    }
    return layer("pool", shape, **given)


def flatten(size):
    return layer("flatten", (size, 1, 1), neuron=None)


def write(path, layers, **more):
    """A file of layers; `more` goes beside them."""
    with h5py.File(path, "w") as file:
        for i, entries in enumerate(layers):
            for name, value in entries.items():
                where = f"layer/{i}/{name}"
                if name == "type":
                    file.create_dataset(where, (1,), "S10", [value.encode("ascii")])
                else:
                    file.create_dataset(where, data=value)
        for name, value in more.items():
            file.create_dataset(name, data=value)
    return path
