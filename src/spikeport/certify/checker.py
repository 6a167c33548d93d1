"""Re-proves a certificate against its model, with numpy and the standard library alone.

    python checker.py certificate.json model.spk        0: all of it holds, 1: something does not, 2: misuse

It shares no code with the program whose work it checks. `measured`, `lemmas` and `versions` are covered by the hash alone, all else
is recomputed from the integers of the `.spk` file. Products run in float64, below 2**42, where they are exact.
"""

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

MAX_DOCUMENT, MAX_ARRAY, MAX_FILE, MAX_TOTAL = 2**26, 2**30, 2**31 - 1, 2**32  # bytes
MAX_VALUES, MAX_LEVELS, MAX_STEPS, MAX_SUM, MAX_NUMBER, MAX_SHOWN = 2**27, 2**16, 2**20, 2**42, 2**31, 20
PARTS = ["execution", "format", "hashes", "layers", "lemmas", "measured", "samples", "sha256", "versions"]
RULES = {"compare": ">=", "reset": "subtract", "sample_boundary": "state restored"}
KINDS = {"CountLayer": "neurons", "StaircaseLayer": "staircase", "MaxLayer": "max", "Readout": "read-out"}
NOTHING = {**dict.fromkeys(["threshold", "bias", "offset"], np.array(0)), "window": None, "low": 0, "high": 0}
CODES, ONE_SIGN = ("graded", "phased", "population", "radix", "signed", "staircase"), ("phased", "population", "radix")


def check(certificate_path: str | Path, model_path: str | Path) -> list[str]:
    """What is false in a certificate of a `.spk` model; an empty list means that it is proved."""
    found, path = list[str](), certificate_path
    try:
        document = certificate(Path(path))
        path = model_path
        found += findings(document, archive(Path(path)))
    except Exception as error:  # whatever a hostile file provokes is a finding
        found.append(f"{path}: {str(error)[:200]} ({type(error).__name__})")
    return [ascii(text)[1:-1] for text in found[:MAX_SHOWN]]


def findings(document: dict[str, Any], model: dict[str, Any]) -> Iterator[str]:
    code, steps, (graph, integer), tensors = model["code"], model["presentation"], model["content"], dict[str, str]()
    hashes = {"graph": digest(hashed(graph, "", {})), "structure": digest(hashed(integer, "", tensors))}
    need(code in CODES and type(steps) is int and steps > 0, f"cannot check code {code} of {steps} steps")
    bits, (source, *layers) = integer["IntegerNetwork"]["state_bits"], network(integer["IntegerNetwork"], code, steps)
    units, bound = [unit for layer in layers for unit in layer.units], layers[-1].ready
    need(steps <= bound <= MAX_STEPS and 0 < bits <= 64 and (bound == 1 or code != "population"), "cannot be stepped")
    execution = {"code": code, "presentation": steps, "state_bits": bits, "drain_bound": bound, **RULES}
    expected: dict[str, Any] = {"hashes": {"tensors": tensors, **hashes}, "execution": execution, "layers": {}}
    for unit in units:
        intervals = {key: interval(bits, *vars(unit)[key]) for key in ("final", "prefix", "membrane")}
        expected["layers"][unit.name] = {"kind": unit.kind, "lemma": f"{code}/{unit.kind}", **intervals}
        if unit.kind != "max" and not all(claim["fits"] for claim in intervals.values()):
            yield f"layers/{unit.name}: does not fit a membrane of {bits} bits"
    need(len(expected["layers"]) == len(units), "uses a name twice")
    if document["samples"] is not None:
        x = np.array(document["samples"]["inputs"], dtype=np.int64).reshape(-1, *source.shape)
        need(source.low <= x.min() and x.max() <= source.high, "samples/inputs: are no inputs")
        yield from stepped(code, source.name, layers, x, steps)
        recorded = {layer.name: digest(layer.counts) for layer in layers[:-1]}
        expected["samples"] = {"inputs": x.tolist(), "readout": layers[-1].counts.tolist(), "counts": recorded}
    yield from differences({part: document[part] for part in expected}, expected, "")
    if document["measured"]["mismatches"] or max([0, *(n for n, _ in document["measured"]["quiet_after"])]) > bound:
        yield "measured: tells of mismatches, or of samples that were not quiet within the drain bound"


def differences(claimed: Any, found: Any, place: str) -> Iterator[str]:
    if isinstance(claimed, list) and isinstance(found, list) and len(claimed) == len(found):
        claimed, found = dict(enumerate(claimed)), dict(enumerate(found))
    if isinstance(claimed, dict) and isinstance(found, dict):
        for key in {**claimed, **found}:
            yield from differences(claimed.get(key), found.get(key), f"{place}/{key}".strip("/"))
    elif digest(claimed) != digest(found):
        yield f"{place}: the certificate says {str(claimed)[:70]}, the model gives {str(found)[:70]}"


def need(condition: object, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


def certificate(path: Path) -> dict[str, Any]:
    """The document, if its text is the one way to write it, and `sha256` the hash of all the rest."""
    need(path.is_file() and path.stat().st_size <= MAX_DOCUMENT, "is not a file, or is too large")
    text = path.read_bytes()
    document: dict[str, Any] = json.loads(text)
    need(sorted(document) == PARTS and document["format"] == "spikeport.certificate/1", "is not a certificate")
    own = document.pop("sha256")
    need(own == digest(document) and digest({**document, "sha256": own}) == sha256(text).hexdigest(), "was altered")
    return document


def digest(value: Any) -> str:
    """SHA-256 of an array: dtype, shape and little-endian numbers; of anything else: the one way to write it as JSON."""
    if isinstance(value, np.ndarray):
        plain = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
        return sha256(f"{plain.dtype.str} {list(plain.shape)}\n".encode() + plain.tobytes()).hexdigest()
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
    return sha256(text.encode()).hexdigest()


def hashed(value: Any, place: str, into: dict[str, str]) -> Any:
    """A structure with hashes in the places of arrays, and the hashes by place; a key with a capital letter names a type."""
    if isinstance(value, dict):
        return {k: hashed(v, place if k[:1].isupper() else f"{place}/{k}".strip("/"), into) for k, v in value.items()}
    if isinstance(value, list):
        names = [next(iter(v.values())).get("name", i) if isinstance(v, dict) else i for i, v in enumerate(value)]
        return [hashed(v, f"{place}/{name}", into) for name, v in zip(names, value, strict=True)]
    if isinstance(value, np.ndarray):
        return {"array": into.setdefault(place, digest(value))}
    if isinstance(value, int | float):
        real = place.startswith(("nodes", "ledger")) or place.endswith(("/scale", "/log"))
        need(real or (type(value) is int and abs(value) <= MAX_NUMBER), f"{place}: is {str(value)[:40]}")
    return int(value) if type(value) is float and value.is_integer() else value


def archive(path: Path) -> dict[str, Any]:
    """model.json of a `.spk` file, with arrays in their places; the file ends with the hash of all bytes before it."""
    need(path.is_file() and path.stat().st_size <= MAX_FILE, "is not a file, or is too large")
    data = path.read_bytes()
    need(data[-64:] == sha256(data[:-64]).hexdigest().encode(), "is damaged, altered, or old: save it again")
    with ZipFile(BytesIO(data)) as file:
        sizes = {i.filename: i.file_size for i in file.infolist() if i.compress_type in (ZIP_STORED, ZIP_DEFLATED)}
        fits = all(size <= (MAX_ARRAY if name.endswith(".npy") else MAX_DOCUMENT) for name, size in sizes.items())
        need(fits and sum(sizes.values()) <= MAX_TOTAL, "is too large")
        members = {name: file.read(name) for name in sizes}
    arrays = {name[7:-4]: np.load(BytesIO(part), allow_pickle=False) for name, part in members.items() if "/" in name}
    model = json.loads(members["model.json"], object_hook=lambda p: arrays[p["array"]] if "array" in p else p)
    need(model["format"] == "spikeport.model/1", "model.json: is of another format")
    return dict(model)


def network(net: dict[str, Any], code: str, steps: int) -> list[Any]:
    """Input and layers, with units and bounds: each term of a sum is in an interval around zero, so any part of the sum is too."""
    source = SimpleNamespace(**net["input"]["InputEncoder"], ready=steps - (code == "graded"), units=[])
    source.shape, source.ends, known = tuple(source.shape), (source.low, source.high), {source.name: source}
    need(prod(source.shape) <= MAX_VALUES and source.low <= 0 <= source.high, "takes no such input")
    for ((kind, fields),) in map(dict.items, net["layers"]):
        layer = SimpleNamespace(**{**NOTHING, **fields, "kind": KINDS[kind], "shape": tuple(fields["shape"])})
        into = [c for (c,) in map(dict.values, net["connections"]) if c["target"] == layer.name]
        layer.inputs = [(known[c["source"]], c["synapses"]) for c in into]
        total = sum(through(chain, np.multiply.outer(o.ends, np.ones(o.shape)), ends=True) for o, chain in layer.inputs)
        layer.window, layer.fires = [layer.window] * (kind == "MaxLayer"), kind in ("CountLayer", "StaircaseLayer")
        need(through(layer.window, total).shape[1:] == layer.shape and layer.name not in known, "has no such layer")
        need((kind == "Readout") == (len(known) == len(net["layers"])), "has no read-out at its end")
        need(not layer.window or all(len(o.units) < 2 for o, _ in layer.inputs), "takes a maximum over both signs")
        if kind == "CountLayer":
            need(layer.high - layer.low <= MAX_LEVELS and (layer.threshold > 0).all(), "has no such neurons")
            layer.steps = np.multiply.outer(np.arange(layer.low + 1, layer.high + 1), whole(layer.threshold))
        if layer.fires:  # what U has to reach for each count
            rows = np.moveaxis(whole(layer.steps), 0, -1)
            layer.steps = np.moveaxis(np.broadcast_to(rows, (*layer.shape, rows.shape[-1])), -1, 0)
            layer.high = layer.low + len(layer.steps)
            need(layer.low <= 0 < layer.high and (np.diff(rows) >= 0).all(), "has no such neurons")
        arrays = (whole(array) for array in (layer.threshold, layer.bias, layer.offset))
        layer.th, layer.bias, layer.offset = (np.broadcast_to(array, total.shape[1:]) for array in arrays)
        layer.ends = (total.min(), total.max()) if layer.window else (layer.low, layer.high)
        signs = (1, -1) if code in ONE_SIGN and layer.low < 0 else (0,)
        layer.units, known[layer.name] = [carrier(code, layer, total, sign, source) for sign in signs], layer
        layer.ready = max(unit.ready for unit in layer.units)
    return list(known.values())


def carrier(code: str, layer: Any, total: Any, sign: int, source: Any) -> Any:
    """Units of a layer, with the intervals of their U and V; where spikes have one sign, those of n+ or of n- in n = n+ - n-. The
    latter get the negative of all that the former get, and stand at th - 1 - U, as -floor(U / th) = floor((th - 1 - U) / th), or on
    a staircase at -U, as U < c is -U >= 1 - c."""
    u, stand = SimpleNamespace(**vars(layer), layer=layer, sign=sign or 1), layer.th - (layer.th > 0)
    if sign > 0:
        u.kind, u.low, u.steps = "positive part", 0, u.steps[-u.low :]
    if sign < 0:
        u.name, u.kind, u.low, u.high = f"{u.name} (negative)", "negative part", 0, -u.low
        u.offset, u.steps = stand - u.offset, stand + 1 - u.steps[: u.high][::-1]
    u.bias, (low, high) = u.sign * u.bias, u.sign * total[:: u.sign]
    u.final = low + u.bias + u.offset, high + u.bias + u.offset
    low, high = (end + pick(u.bias, 0) + pick(u.offset, 0) for end, pick in ((low, np.minimum), (high, np.maximum)))
    u.prefix, above, th = (low, high), np.maximum(high, 0) + 1, u.th * (code == "signed")
    u.charge, u.membrane = 0, (low - th * u.high, high - th * u.low)  # V - U before the phase; interval of V
    if code == "phased" and u.th.any():
        u.charge, u.membrane = -above, (low - above, high)
    if code == "population" and u.fires:
        u.charge = (above - np.minimum(u.steps[0], 0)).max()  # so much that no unit reaches it twice
        u.membrane = low - np.maximum(u.steps[-1], 0) + u.charge, high - np.minimum(u.steps[0], 0) + u.charge
    ready = {origin.ready for origin, _ in u.inputs}
    phase = {"graded": 1, "phased": u.high + (u.kind == "read-out"), "population": 0, "radix": u.high.bit_length()}
    u.ready = max(ready) + phase.get(code, u.high - u.low)
    digits = not (u.th.any() and u.high & (u.high + 1)) and (not u.window or len(ready - {source.ready}) < 2)
    need(code != "radix" or digits, f"{u.name}: has levels that are not 2**K - 1, or sources out of phase")
    return u


def whole(array: Any) -> Any:
    need(array.dtype.kind in "iu" and np.abs(array.astype(float)).max() < MAX_SUM, "holds what cannot be added exactly")
    return array.astype(np.int64)


def interval(bits: int, low: Any, high: Any) -> dict[str, Any]:
    lows, highs = low.reshape(len(low), -1).min(1), high.reshape(len(high), -1).max(1)
    fits = [-(2**width) <= lows.min() and highs.max() < 2**width for width in (bits - 1, 24)]
    return {"low": lows.tolist(), "high": highs.tolist(), "fits": bool(fits[0]), "float32_exact": bool(fits[1])}


def windows(p: dict[str, Any], x: Any, kernel: Any, fill: float = 0) -> Any:
    """All windows of the spatial axes, shape (batch, channel, place in the window, *output)."""
    stride, dilation = p["stride"], p.get("dilation", [1] * len(kernel))
    need(min(*kernel, *stride, *dilation) > 0, "has no windows")
    spans = [(size - 1) * d + 1 for size, d, _ in zip(kernel, dilation, stride, strict=True)]
    x, axes = np.pad(x, ((0, 0), (0, 0), *p["padding"]), constant_values=fill), range(2, x.ndim)
    view: Any = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(axes))
    view = view[(..., *(slice(None, None, step) for step in (*stride, *dilation)))]
    need(view.size <= MAX_VALUES, "is too large to be computed")  # no copy so far
    return np.moveaxis(view, [axis - x.ndim for axis in axes], axes).reshape(*x.shape[:2], -1, *view.shape[2 : x.ndim])


def convolve(p: dict[str, Any], x: Any, weight: Any) -> Any:
    view, groups = windows(p, x, weight.shape[2:]), p["groups"]
    sums = weight.reshape(groups, -1, weight[0].size) @ view.reshape(len(x), groups, weight[0].size, -1)
    return sums.reshape(len(x), len(weight), *view.shape[3:])


OPERATORS: dict[str, Any] = {
    "Dense": lambda p, x, w: x @ w.T,
    "Conv": convolve,
    "OneToOne": lambda p, x, w: x * np.broadcast_to(w, x.shape[1:]),
    "SumPool": lambda p, x, w: windows(p, x, p["kernel"]).sum(2),
    "MaxPool": lambda p, x, w: windows(p, x, p["kernel"], -np.inf).max(2),
    "Reshape": lambda p, x, w: x.reshape(len(x), *p["shape"]),
    "Transpose": lambda p, x, w: x.transpose(0, *(axis + 1 for axis in p["axes"])),
    "Slice": lambda p, x, w: x[(slice(None), *map(slice, p["start"], p["stop"], p["step"]))],
    "Pad": lambda p, x, w: np.pad(x, ((0, 0), *p["width"])),
    "Upsample": lambda p, x, w: np.kron(x, np.ones((1, *p["factor"]))),
}


def through(chain: list[dict[str, Any]], x: Any, *, ends: bool = False) -> Any:
    """What operators make of integers of shape (batch, *shape); `ends`: of the two ends of an interval the two ends."""
    for ((kind, p),) in map(dict.items, chain):
        pairs = [*p.get("padding", []), *p.get("width", [])]
        w: Any = whole(p["weight"]).astype(float) if "weight" in p else None
        sizes = prod(1 + sum(pair) / size for pair, size in zip(pairs, x.shape[x.ndim - len(pairs) :], strict=True))
        sizes *= prod(p.get("factor", [])) * (len(w) / x.shape[1] if np.ndim(w) > 1 else 1)
        need(x.size * sizes <= MAX_VALUES, "is too large to be computed")
        parts = [np.maximum(w, 0), np.minimum(w, 0)] if ends and w is not None else [w]
        x = sum(OPERATORS[kind](p, y.astype(float), part) for y, part in zip((x, x[::-1]), parts, strict=False))
        need(np.abs(x).max() < MAX_SUM, "adds up to more than can be computed exactly")
    return x.astype(np.int64)


def stepped(code: str, source: str, layers: list[Any], x: Any, steps: int) -> Iterator[str]:
    """Steps the samples, with spikes alone between layers: `u` is what units have received, `s` what they have sent."""
    units, bound = [unit for layer in layers for unit in layer.units], layers[-1].ready
    totals = {source: x, **{unit.name: unit.bias for unit in units}}
    for unit in units:
        unit.u = np.zeros((len(x), *unit.bias.shape), np.int64) + unit.offset
        unit.s = through(unit.window, 0 * unit.u)
    for t in range(bound + 1):
        share = {name: ((t + 1) * n // steps - t * n // steps) * (t < steps) for name, n in totals.items()}
        sent, fired = {source: share[source]}, False
        for unit in units:
            arriving = sum(through(chain, sent[o.name]) for o, chain in unit.inputs if sent[o.name].any())
            unit.u = unit.u + share[unit.name] + unit.sign * arriving
            spikes = fire(code, unit, unit.ready - t) if unit.fires else through(unit.window, unit.u) - unit.s
            unit.s, fired = unit.s + spikes, fired or bool(spikes.any())
            sent[unit.layer.name] = sent.get(unit.layer.name, 0) + unit.sign * spikes
        if t + 1 >= (steps if code in ("signed", "staircase") else bound) and not fired:
            break
    else:
        yield "samples: fire beyond the drain bound"
    for layer in layers:
        u, layer.counts = layer.units[0].u, sum(unit.sign * unit.s for unit in layer.units)
        rule = layer.low + sum(1 * (u >= row) for row in layer.steps) if layer.fires else through(layer.window, u)
        if not np.array_equal(layer.counts, rule):
            yield f"samples: {layer.name} does not count as the integer rule does"


def fire(code: str, u: Any, left: int) -> Any:
    """What units send when all input of a step has arrived, `left` steps before the end of their phase; V = v - th S or v."""
    v = u.u + u.charge * (code != "phased" or not 0 < left <= u.high)
    held = v - u.th * u.s * (code in ("phased", "radix", "signed"))
    need((u.membrane[0] <= held).all() and (held <= u.membrane[1]).all(), f"{u.name}: leaves its interval")
    worth = 1 if code != "radix" else 2 ** (left - 1) if 0 < left <= u.high.bit_length() else 0
    down, up = (np.take_along_axis(u.steps, np.clip(u.s + n - u.low, 1, len(u.steps)) - 1, 0) for n in (0, worth))
    match code:
        case "graded":  # one event with the whole count
            return (left == 1) * (u.low + sum(1 * (v >= row) for row in u.steps))
        case "phased":  # binary; outside of its phase, of a step a level, a charge holds V down, or the clock is silent
            return (u.th.any() or 0 < left <= u.high) * (v >= up)
        case "population":  # unit k at V - c[k]; all have one threshold, which their spike subtracts
            return sum(1 * (v - row - u.charge * (k < u.s) >= u.charge) for k, row in enumerate(u.steps))
        case "radix":  # binary digits, the most significant first, each worth its digit
            return worth * ((v >= up) & (u.s + worth <= u.high))
    return 1 * ((v >= up) & (u.s < u.high)) - ((v < down) & (u.s > u.low))  # ternary, with a counter


if __name__ == "__main__":
    false = check(*sys.argv[1:]) if len(sys.argv) == 3 else ["usage: checker.py certificate.json model.spk"]
    sys.stdout.write("\n".join(false or ["proved"]) + "\n")
    sys.exit(2 if len(sys.argv) != 3 else len(false) > 0)
