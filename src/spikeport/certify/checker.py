"""Re-proves a certificate against its model, with numpy and the standard library alone.

    python checker.py certificate.json model.spk        0: all of it holds, 1: something does not, 2: misuse

It shares no code with the program whose work it checks. `measured`, `lemmas` and `versions` are covered by the hash alone, all else
is recomputed from the integers of the `.spk` file. Products run in float64, below 2**42, where they are exact.
"""

import json
import struct
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

MAX_DOCUMENT, MAX_ARRAY, MAX_FILE, MAX_TOTAL = 2**26, 2**30, 2**31 - 1, 2**32  # bytes
MAX_VALUES, MAX_STEPS, MAX_SUM, MAX_NUMBER, MAX_SHOWN = 2**27, 2**20, 2**42, 2**31, 20
END, ENTRY, LOCAL = struct.Struct("<4s4H2LH"), struct.Struct("<4s4B4H3L5H2L"), struct.Struct("<4s2B4H3L2H")
PARTS = ["execution", "format", "hashes", "layers", "lemmas", "measured", "samples", "sha256", "versions"]
RULES = {"compare": ">=", "reset": "subtract", "sample_boundary": "state restored"}
KINDS = {"CountLayer": "neurons", "MaxLayer": "max", "Readout": "read-out"}
NOTHING = {"threshold": np.array(1), "bias": np.array(0), "offset": np.array(0), "low": 0, "high": 0, "window": None}


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
    bits, (source, *layers) = integer["IntegerNetwork"]["state_bits"], network(integer["IntegerNetwork"])
    need(code in CODES, f"cannot check code {code}")
    rule, start, phase, membrane = CODES[code]
    source.ready = steps + start
    for layer in layers:
        layer.ready = phase(layer) + max(origin.ready for origin, _ in layer.inputs)
    bound = layers[-1].ready
    need(type(steps) is int and 0 < steps <= bound <= MAX_STEPS and 0 < bits <= 64, f"cannot check {bound} steps")
    execution = {"code": code, "presentation": steps, "state_bits": bits, "drain_bound": bound, **RULES}
    expected: dict[str, Any] = {"hashes": {"tensors": tensors, **hashes}, "execution": execution, "layers": {}}
    for layer in layers:
        layer.held = membrane(layer, *layer.prefix) if layer.kind == "neurons" else layer.prefix
        claims = {"final": layer.final, "prefix": layer.prefix, "membrane": layer.held}
        intervals = {key: interval(bits, *ends) for key, ends in claims.items()}
        expected["layers"][layer.name] = {"kind": layer.kind, "lemma": f"{code}/{layer.kind}", **intervals}
        if layer.kind != "max" and not all(claim["fits"] for claim in intervals.values()):
            yield f"layers/{layer.name}: does not fit a membrane of {bits} bits"
    if document["samples"] is not None:
        x = np.array(document["samples"]["inputs"], dtype=np.int64)
        fits = x.shape[1:] == source.shape and len(x) > 0 and source.low <= x.min() and x.max() <= source.high
        need(fits, f"samples/inputs: of shape {x.shape} are no inputs")
        counts = {source.name: x}
        yield from stepped(layers, counts, steps, bound, rule, steps if code == "signed" else bound)
        recorded = {layer.name: digest(counts[layer.name]) for layer in layers[:-1]}
        expected["samples"] = {"inputs": x.tolist(), "readout": counts[layers[-1].name].tolist(), "counts": recorded}
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
    if not isinstance(value, np.ndarray):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
        return sha256(text.encode()).hexdigest()
    plain = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
    return sha256(f"{plain.dtype.str} {list(plain.shape)}\n".encode() + plain.tobytes()).hexdigest()


def hashed(value: Any, place: str, into: dict[str, str]) -> Any:
    """A structure with hashes in the places of arrays, and the hashes by place; a key with a capital letter names a type."""
    if isinstance(value, dict):
        return {k: hashed(v, place if k[:1].isupper() else f"{place}/{k}".strip("/"), into) for k, v in value.items()}
    if isinstance(value, list):
        names = [next(iter(v.values())).get("name", i) if isinstance(v, dict) else i for i, v in enumerate(value)]
        return [hashed(v, f"{place}/{name}", into) for name, v in zip(names, value, strict=True)]
    if isinstance(value, np.ndarray):
        into[place] = digest(value)
        return {"array": into[place]}
    if isinstance(value, int | float):
        real = place.startswith(("nodes", "ledger")) or place.endswith(("/scale", "/log"))
        need(real or (type(value) is int and abs(value) <= MAX_NUMBER), f"{place}: is {str(value)[:40]}")
    return int(value) if type(value) is float and value.is_integer() else value


def archive(path: Path) -> dict[str, Any]:
    """model.json of a `.spk` file, with arrays in their places, if every byte is where the one writer puts it."""
    need(path.is_file() and path.stat().st_size <= MAX_FILE, "is not a file, or is too large")
    data, members, front, back, total = path.read_bytes(), dict[str, bytes](), bytearray(), bytearray(), 0
    count, _, start = END.unpack(data[-END.size :])[4:7]
    for _ in range(count):
        place, begin = start + len(back), len(front)
        method, _, _, crc, packed, size, n = ENTRY.unpack_from(data, place)[6:13]
        name = data[place + ENTRY.size : place + ENTRY.size + n]
        known, total = (0, method, 0, 33, crc, packed, size, n, 0), total + size
        back += ENTRY.pack(b"PK\1\2", 20, 3, 20, 0, *known, 0, 0, 0, 0o100644 << 16, begin) + name
        front += LOCAL.pack(b"PK\3\4", 20, 0, *known) + name
        front += (content := data[len(front) : len(front) + packed])
        need(size <= (MAX_ARRAY if name.endswith(b".npy") else MAX_DOCUMENT) and total <= MAX_TOTAL, "is too large")
        stream = zlib.decompressobj(-15)
        content = stream.decompress(content, size + 1) if method else content
        need(len(content) == size and (not method or (stream.eof and not stream.unused_data)), "is damaged")
        members[name.decode("ascii")] = content
    back += END.pack(b"PK\5\6", 0, 0, count, count, len(back), len(front), 0)
    need(front + back == data, "is damaged or was altered")
    manifest = json.loads(members.pop("manifest.json"))
    listed = {name: {"sha256": sha256(part).hexdigest(), "size": len(part)} for name, part in members.items()}
    need(manifest == {"format": "spikeport.archive/1", "members": listed}, "manifest.json: does not fit the members")
    files = {name[7:-4]: BytesIO(part) for name, part in members.items() if "/" in name}
    arrays = {name: np.lib.format.read_array(file, allow_pickle=False) for name, file in files.items()}
    model = json.loads(members["model.json"], object_hook=lambda p: arrays[p["array"]] if "array" in p else p)
    need(model["format"] == "spikeport.model/1", "model.json: is of another format")
    return dict(model)


def network(net: dict[str, Any]) -> tuple[Any, ...]:
    """Input and layers, with bounds: each term of a sum lies in an interval around zero, so any part of the sum does."""
    source = SimpleNamespace(**net["input"]["InputEncoder"])
    source.shape, known = tuple(source.shape), {source.name: source}
    need(prod(source.shape) <= MAX_VALUES and source.low <= 0 <= source.high, "takes no such input")
    source.sent = np.stack([np.full(source.shape, end) for end in (source.low, source.high)])
    for described in net["layers"]:
        ((kind, fields),) = described.items()
        layer = SimpleNamespace(**{**NOTHING, **fields, "kind": KINDS[kind], "shape": tuple(fields["shape"])})
        connections = [c["Connection"] for c in net["connections"] if c["Connection"]["target"] == layer.name]
        for p in (p for c in connections for op in c["synapses"] for p in op.values() if "weight" in p):
            p["weight"] = whole(p["weight"]).astype(float)
        layer.inputs = [(known[c["source"]], c["synapses"]) for c in connections]
        low, high = total = sum(through(chain, origin.sent, ends=True) for origin, chain in layer.inputs)
        arrays = [np.broadcast_to(whole(array), low.shape) for array in (layer.threshold, layer.bias, layer.offset)]
        layer.th, layer.bias, layer.offset = arrays
        layer.final = low + layer.bias + layer.offset, high + layer.bias + layer.offset
        layer.prefix = low + sum(np.minimum(arrays[1:], 0)), high + sum(np.maximum(arrays[1:], 0))
        need((through([layer.window], total) if layer.window else total).shape[1:] == layer.shape, "has another shape")
        need(layer.low <= 0 <= layer.high and (layer.th > 0).all() and layer.name not in known, "has no such layer")
        need((kind == "Readout") == (len(known) == len(net["layers"])), "has no read-out at its end")
        ends = (low.min(), high.max()) if layer.window else (layer.low, layer.high)
        layer.sent, known[layer.name] = np.stack([np.full(layer.shape, end) for end in ends]), layer
    return tuple(known.values())


def whole(array: Any) -> Any:
    need(array.dtype.kind in "iu" and np.abs(array.astype(float)).max() < MAX_SUM, "holds what cannot be added exactly")
    return array.astype(np.int64)


def interval(bits: int, low: Any, high: Any) -> dict[str, Any]:
    lows, highs = low.reshape(len(low), -1).min(1), high.reshape(len(high), -1).max(1)
    fits = [-(2**width) <= lows.min() and highs.max() < 2**width for width in (bits - 1, 24)]
    return {"low": lows.tolist(), "high": highs.tolist(), "fits": bool(fits[0]), "float32_exact": bool(fits[1])}


def taps(x: Any, p: dict[str, Any], kernel: Any, fill: float = 0) -> Iterator[tuple[Any, Any]]:
    stride, dilation = p["stride"], p.get("dilation", [1] * len(kernel))
    x = np.pad(x, ((0, 0), (0, 0), *p["padding"]), constant_values=fill)
    ends = [size - (k - 1) * d for size, k, d in zip(x.shape[2:], kernel, dilation, strict=True)]
    need(min(*ends, *kernel, *stride, *dilation) > 0 and prod(kernel) <= 2**16, "a window does not fit")
    for tap in np.ndindex(*kernel):
        places = zip(tap, dilation, ends, stride, strict=True)
        yield tap, x[(..., *(slice(i * d, i * d + end, s) for i, d, end, s in places))]


def convolve(p: dict[str, Any], x: Any, weight: Any) -> Any:
    groups, (post, pre, *kernel), total = p["groups"], weight.shape, 0
    need(x.shape[1] == pre * groups, "a convolution has other channels")
    for tap, part in taps(x, p, kernel):
        matrix = weight[(..., *tap)].reshape(groups, post // groups, pre)
        total = total + matrix @ part.reshape(len(x), groups, pre, -1)
    return np.asarray(total).reshape(len(x), post, *part.shape[2:])


OPERATORS: dict[str, Any] = {
    "Dense": lambda p, x, w: x @ w.T,
    "Conv": convolve,
    "OneToOne": lambda p, x, w: x * np.broadcast_to(w, x.shape[1:]),
    "SumPool": lambda p, x, w: sum(part for _, part in taps(x, p, p["kernel"])),
    "MaxPool": lambda p, x, w: np.maximum.reduce([part for _, part in taps(x, p, p["kernel"], -np.inf)]),
    "Reshape": lambda p, x, w: x.reshape(len(x), *p["shape"]),
    "Transpose": lambda p, x, w: x.transpose(0, *(axis + 1 for axis in p["axes"])),
    "Slice": lambda p, x, w: x[(slice(None), *map(slice, p["start"], p["stop"], p["step"]))],
    "Pad": lambda p, x, w: np.pad(x, ((0, 0), *p["width"])),
    "Upsample": lambda p, x, w: np.kron(x, np.ones((1, *p["factor"]))),
}


def through(chain: list[dict[str, Any]], x: Any, *, ends: bool = False) -> Any:
    """What operators make of integers of shape (batch, *shape); `ends`: of the two ends of an interval the two ends."""
    for op in chain:
        ((kind, p),) = op.items()
        pairs, w = [*p.get("padding", []), *p.get("width", [])], p.get("weight")
        sizes = prod(1 + sum(pair) / size for pair, size in zip(pairs, x.shape[x.ndim - len(pairs) :], strict=True))
        sizes *= prod(p.get("factor", [])) * (len(w) / x.shape[1] if np.ndim(w) > 1 else 1)
        need(x.size * sizes <= MAX_VALUES, "is too large to be computed")
        parts = [np.maximum(w, 0), np.minimum(w, 0)] if ends and w is not None else [w]
        x = sum(OPERATORS[kind](p, y.astype(float), part) for y, part in zip((x, x[::-1]), parts, strict=False))
        need(np.abs(x).max() < MAX_SUM, "adds up to more than can be computed exactly")
    return x.astype(np.int64)


def arriving(layer: Any, sent: dict[str, Any]) -> Any:
    return sum(through(chain, sent[origin.name]) for origin, chain in layer.inputs if sent[origin.name].any())


def share(total: Any, step: int, steps: int) -> Any:
    return ((step + 1) * total // steps - step * total // steps) * (step < steps)


def stepped(layers: Any, counts: dict[str, Any], steps: int, bound: int, fire: Any, due: int) -> Iterator[str]:
    """Steps the samples, with spikes alone between layers; `counts` gets what they sent, held against the integer rule."""
    (source, x), *_ = counts.items()
    for layer in layers:
        zeros = np.zeros((len(x), *layer.bias.shape), np.int64)
        layer.v, layer.s = zeros + layer.offset, through([layer.window], zeros) if layer.window else zeros
    for t in range(bound + 1):
        sent, fired = {source: share(x, t, steps)}, False
        for layer in layers:
            layer.v = layer.v + share(layer.bias, t, steps) + arriving(layer, sent)
            if (layer.v < layer.held[0]).any() or (layer.v > layer.held[1]).any():
                yield f"layers/{layer.name}: leaves the interval of its membrane in step {t}"
            if layer.kind != "read-out":
                sent[layer.name] = through([layer.window], layer.v) - layer.s if layer.window else fire(layer, t)
                layer.s, fired = layer.s + sent[layer.name], fired or bool(sent[layer.name].any())
        if t + 1 >= due and not fired:
            break
    else:
        yield "samples: fire beyond the drain bound"
    for layer in layers:
        u = arriving(layer, counts) + layer.bias + layer.offset + 0 * layer.v
        count = np.clip(u // layer.th, layer.low, layer.high) if layer.kind == "neurons" else u
        counts[layer.name] = layer.v if layer.kind == "read-out" else layer.s
        if not np.array_equal(counts[layer.name], through([layer.window], u) if layer.window else count):
            yield f"samples: {layer.name} does not count as the integer rule does"


def signed(layer: Any, t: int) -> Any:
    """Ternary spikes and a counter of them."""
    up, down = (layer.v >= layer.th) & (layer.s < layer.high), (layer.v < 0) & (layer.s > layer.low)
    layer.v = layer.v - (up * layer.th - down * layer.th)
    return up.astype(np.int64) - down


def graded(layer: Any, t: int) -> Any:
    """One event with the whole count, when all input has arrived; what is left in V is discarded."""
    due = t == layer.ready - 1
    spikes, layer.v = due * np.clip(layer.v // layer.th, layer.low, layer.high), layer.v * (not due)
    return spikes


# rule, step before the first phase, steps of a layer's phase, interval of V from that of all sums
CODES: dict[str, Any] = {
    "graded": (graded, -1, lambda u: 1, lambda u, low, high: (low, high)),
    "signed": (signed, 0, lambda u: u.high - u.low, lambda u, low, high: (low - u.th * u.high, high - u.th * u.low)),
}

if __name__ == "__main__":
    false = check(*sys.argv[1:]) if len(sys.argv) == 3 else ["usage: checker.py certificate.json model.spk"]
    sys.stdout.write("\n".join(false or ["proved"]) + "\n")
    sys.exit(2 if len(sys.argv) != 3 else len(false) > 0)
