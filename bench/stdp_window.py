"""Weights that pairs of spikes leave, beside NEST's `stdp_synapse`: the STDP window, compared and drawn."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import common
import spikeport as sp
from common import Finding
from peers.protocol import ENVIRONMENTS, PeerError, python_of
from spikeport import native
from spikeport.primitives import STDP, DynamicPopulation, OneToOne, Projection, SpikeInput, Threshold

CLOSE = 1e-6
"""Largest difference of a weight that is accepted."""
SCRIPT = Path(__file__).parent / "peers" / "plasticity" / "nest_stdp.py"
RULES = {"additive": "#1f6feb", "multiplicative": "#c2410c", "mixed": "#15803d"}
"""And the color of each."""
Floats = NDArray[np.float64]


def rule(golden: Any, name: str) -> sp.Rule:
    """The rule with NEST's parameters in our words."""
    most = float(golden["Wmax"])
    rise = float(golden["lambda"]) * most
    return STDP(
        a_plus=rise,
        a_minus=float(golden["alpha"]) * rise,
        tau_plus=float(golden["tau_plus"]) * 1e-3,
        tau_minus=float(golden["tau_minus"]) * 1e-3,
        mu=tuple(golden[f"mu_{name}"].tolist()),
        w_max=most,
        delays="dendritic",
    )


def learned(raster: NDArray[np.bool_], delays: Sequence[int], learns: sp.Rule, on: str) -> Floats:
    """Weight of each pair of neurons at its last presynaptic spike; `raster` is (2, time, pair)."""
    found = np.zeros(raster.shape[2])
    for delay in sorted(set(delays)):
        kept = np.flatnonzero(np.array(delays) == delay)
        network = sp.DynamicNetwork(
            "pairs",
            (SpikeInput("pre", (len(kept),)), SpikeInput("drive", (len(kept),))),
            (DynamicPopulation("post", (len(kept),), Threshold(threshold=50.0)),),
            (
                Projection("drive", "post", (OneToOne(np.array(100.0)),)),
                Projection("pre", "post", (OneToOne(np.array(1.0)),), delay=delay, plasticity=learns),
            ),
            sp.DynamicsContract(dt=1e-3, integrator="accumulate"),
        )
        pre, post = raster[:, :, kept]
        x = {"pre": pre[:, None].astype(float), "drive": post[:, None].astype(float)}
        made = sp.simulate(network, x, record_weights=["pre -> post"], weights_every=1, on=on)
        last = len(pre) - 1 - np.argmax(pre[::-1], axis=0)
        found[kept] = made.weights_over_time["pre -> post"][last, 0, np.arange(len(kept))]
    return found


def rasters(golden: Any) -> dict[str, tuple[NDArray[np.bool_], list[int]]]:
    """Trains and delays, by what is asked."""
    pre, post = golden["window_pre"], golden["window_post"]
    pairs = np.zeros((2, int(pre.max()) + 1, len(pre)), np.bool_)
    pair = np.arange(len(pre))[:, None]
    pairs[0, pre, pair] = pairs[1, post, pair] = True
    shape = tuple(golden["trains_shape"].tolist())
    trains = np.unpackbits(golden["trains"], count=int(np.prod(shape))).reshape(shape).astype(np.bool_)
    return {"window": (pairs, [1] * len(pre)), "trains": (trains, golden["delays"].tolist())}


def measure(options: argparse.Namespace) -> Finding:
    """Ask NEST, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nest.npz"
        command = [python_of("nest", options.environments), SCRIPT, path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerError(f"NEST: {done.stderr[-2000:]}")
        with np.load(path) as read:
            golden = dict(read)
    lines, values, misses = [], dict[str, Any](), []
    curves = {}
    for on in ("reference", *(["native"] if native.available() else [])):
        for what, (raster, delays) in rasters(golden).items():
            for name in RULES:
                found = learned(raster, delays, rule(golden, name), on)
                worst = float(np.abs(found - golden[f"{what}_{name}"]).max())
                values[f"{on}.{what}.{name}"] = worst
                lines.append(f"{what}, {name}, {on}: {len(found)} weights, largest difference {worst:.1e}")
                if worst > CLOSE:
                    misses.append(f"{what}, {name}, {on}: {worst:.1e} from NEST, more than {CLOSE:.0e}")
                if what == "window":
                    # a post spike is at the synapse as late as the delay of one step says
                    curves[name] = (golden["apart"] + 1, found - 1, golden[f"window_{name}"] - 1)
    lines.append(f"versions: nest-simulator {golden['version']}")
    if options.svg is not None:
        options.svg.write_text(figure(curves), encoding="utf-8")
    return Finding(tuple(lines), values, tuple(misses))


def figure(curves: dict[str, tuple[Floats, Floats, Floats]]) -> str:
    """Change of the weight by the time from the pre spike to the post spike, both at the synapse; ours as lines, NEST's as circles."""
    width, height, left, right, top, bottom = 640, 360, 64, 16, 16, 44
    reach = 80
    most = 1.1 * max(float(np.abs(values).max()) for _, ours, nest in curves.values() for values in (ours, nest))

    def x(t: float) -> float:
        return left + (t + reach) / (2 * reach) * (width - left - right)

    def y(v: float) -> float:
        return top + (most - v) / (2 * most) * (height - top - bottom)

    def minus(number: object) -> str:
        return str(number).replace("-", "\N{MINUS SIGN}")

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{left} {y(0):.1f}H{width - right}M{x(0):.1f} {top}V{height - bottom}" stroke="#999"/>',
    ]
    for tick in np.arange(-80, 81, 20):
        parts.append(f'<text x="{x(tick):.1f}" y="{height - bottom + 16}" text-anchor="middle">{minus(tick)}</text>')
        parts.append(f'<path d="M{x(tick):.1f} {height - bottom}v4" stroke="#999"/>')
    for tick in np.arange(-0.04, 0.041, 0.02):
        label = minus(f"{tick:.2f}")
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<path d="M{left - 4} {y(tick):.1f}h4" stroke="#999"/>')
    parts.append(f'<path d="M{left} {top}V{height - bottom}H{width - right}" stroke="#999" fill="none"/>')
    middle = (left + width - right) / 2
    parts.append(
        f'<text x="{middle}" y="{height - 8}" text-anchor="middle">post spike after pre spike, at the synapse (ms)</text>'
    )
    parts.append(
        f'<text transform="translate(14 {(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">change of the weight</text>'
    )
    for row, (name, (apart, ours, nest)) in enumerate(curves.items()):
        color, beside = RULES[name], 20 + 18 * row
        for side in (apart < 0, apart > 0):
            side &= np.abs(apart) <= reach
            points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in zip(apart[side], ours[side], strict=True))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        for t, v in list(zip(apart, nest, strict=True))[row::8]:
            if abs(t) > reach:
                continue
            parts.append(f'<circle cx="{x(t):.1f}" cy="{y(v):.1f}" r="3" fill="none" stroke="{color}"/>')
        parts.append(f'<path d="M{left + 16} {top + beside - 4}h24" stroke="{color}" stroke-width="1.5"/>')
        parts.append(f'<text x="{left + 48}" y="{top + beside}">{name}</text>')
    note = 20 + 18 * len(curves)
    parts.append(f'<circle cx="{left + 28}" cy="{top + note - 4}" r="3" fill="none" stroke="#333"/>')
    parts.append(f'<text x="{left + 48}" y="{top + note}">NEST</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where NEST is installed"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="where to draw the window")
    parser.add_argument("--threads", type=common.positive, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
