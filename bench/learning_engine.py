"""Does Loihi 2's learning engine, as Lava simulates it, learn what our rule says: weights of pairwise STDP, step by step.

A `Rule` is put into Lava's words by `spikeport.lower.learning_engine`. Where nothing is rounded stochastically (whole changes, traces that stay for
the run) the fixed-point model has to have our integers; its floating-point model our floats, with traces that decay. What the engine does otherwise is
taken out of the cases: no source sends in a step in which a target does, or in the step before, and in floats a spike of the source is worth what it is one
step later.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikeport as sp
from peers.protocol import ENVIRONMENTS, PeerError, Worker, python_of
from spikeport.lower.learning_engine import WEIGHTS, engine_form
from spikeport.primitives import STDP, Dense, DynamicPopulation, Projection, SpikeInput, Threshold

WORKER = Path(__file__).parent / "peers" / "chips" / "lava_learning_worker.py"
CLOSE = 1e-9
"""Of floats: sums of decaying numbers in another order."""
STAYS = 1e9
"""Seconds: a trace that decays by less than one part of 2^53 in a run."""
DT = 1e-3
BEAT = 4
"""A source sends in the first of so many steps, targets in the last two."""


@dataclass(frozen=True)
class Case:
    """Spikes, weights at the beginning, and a rule."""

    name: str
    integer: bool
    sign: str
    choices: dict[str, Any]
    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weights: NDArray[np.int64]


def drawn(number: int, *, integer: bool, sign: str = "excitatory", steps: int = 200) -> Case:
    """A case with spikes often enough that traces and weights meet their ends."""
    rng = np.random.default_rng(number)
    low, high = next(ends for ends, mode in WEIGHTS.items() if mode == sign)
    n_pre, n_post = 5, 4
    pre, post = np.zeros((steps, n_pre), np.int64), np.zeros((steps, n_post), np.int64)
    pre[::BEAT] = rng.random((len(pre[::BEAT]), n_pre)) < 0.2
    for late in (BEAT - 2, BEAT - 1):
        post[late::BEAT] = rng.random((len(post[late::BEAT]), n_post)) < 0.15
    choices: dict[str, Any] = {"w_min": float(low), "w_max": float(high), "rounding": "stochastic", "limit": 127.0}
    if integer:
        unit = float(rng.choice([1, 3, 16]))
        sizes = rng.choice([1.0, 2.0, 3.0, 4.0], 2) * unit
        choices |= {"unit": unit, "tau_plus": STAYS, "tau_minus": STAYS}
    else:
        sizes = rng.choice([0.5, 0.75, 1.0], 2) * 16
        # Lava's model in floats ends neither traces nor weights
        choices |= {"unit": 16.0, "tau_plus": 0.02, "tau_minus": 0.03, "limit": None, "w_min": -1e6, "w_max": 1e6}
    choices |= {"a_plus": float(sizes[0]), "a_minus": float(sizes[1])}
    weights = rng.integers(low + 60, high - 60, (n_post, n_pre))
    return Case(f"{sign} {'integers' if integer else 'floats'} {number}", integer, sign, choices, pre, post, weights)


def network(case: Case, rule: sp.Rule) -> sp.DynamicNetwork:
    """Sources learn; targets are driven one by one."""
    n_post, n_pre = case.weights.shape
    return sp.DynamicNetwork(
        "learning",
        (SpikeInput("pre", (n_pre,)), SpikeInput("drive", (n_post,))),
        (DynamicPopulation("post", (n_post,), Threshold(threshold=50_000)),),
        (
            Projection("drive", "post", (Dense(100_000 * np.eye(n_post, dtype=np.int64)),)),
            Projection("pre", "post", (Dense(case.weights),), plasticity=rule),
        ),
        sp.DynamicsContract(
            dt=DT, integrator="accumulate", layer_latency=1, arithmetic="integer" if case.integer else "float64"
        ),
    )


def ours(case: Case, on: str = "reference") -> NDArray[Any]:
    """Weights at the end of every step, (step, post, pre)."""
    choices = dict(case.choices)
    rule = STDP(**choices)
    if not case.integer:
        # what is sent counts here from its arrival on, a step later than there
        plus, minus = (math.exp(-DT / choices[tau]) for tau in ("tau_plus", "tau_minus"))
        choices["a_plus"], choices["a_minus"] = choices["a_plus"] * plus, choices["a_minus"] / minus
        rule = STDP(**choices)
    drive = np.roll(case.post, -1, axis=0)  # it takes a step
    x = {"pre": case.pre[:, None], "drive": drive[:, None]}
    found = sp.simulate(network(case, rule), x, record_weights=["pre -> post"], weights_every=1, on=on)
    assert isinstance(found, sp.DynamicRecording)
    return found.weights_over_time["pre -> post"][:, 0]


def theirs(case: Case, worker: Worker, folder: Path) -> NDArray[Any]:
    """The same of Lava."""
    rule = STDP(**case.choices)
    learns = Projection("pre", "post", (Dense(case.weights),), plasticity=rule)
    form = engine_form(rule, learns, dt=DT, integer=case.integer)
    if case.integer and form.misfits:
        raise AssertionError(form.misfits)
    traces = {
        f"{name}_{what}": value
        for name, *both in form.traces
        for what, value in zip(("impulse", "tau"), both, strict=True)
    }
    said = {"dw": dict(form.equations)["dw"], "traces": traces, "sign": case.sign, "fixed": case.integer}
    given, into = folder / "case.npz", folder / "found.npz"
    np.savez(given, pre=case.pre, post=case.post, weights=case.weights, rule=json.dumps(said))
    worker.ask("run", case=str(given), into=str(into))
    with np.load(into) as found:
        return np.array(found["weights"])


def settled(case: Case) -> NDArray[np.intp]:
    """Steps in which no spike of a source is on its way."""
    return np.flatnonzero(np.arange(len(case.pre)) % BEAT != 0)


def cases() -> list[Case]:
    fixed = [
        drawn(n, integer=True, sign=sign)
        for n, sign in enumerate(("excitatory", "excitatory", "inhibitory", "excitatory"))
    ]
    return [*fixed, *(drawn(n, integer=False, sign="mixed") for n in (10, 11))]


def main() -> int:
    """Print how far each case is off; 1 where one is."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--golden", type=Path, metavar="FILE", help="write Lava's weights for the tests")
    parser.add_argument(
        "--environments", type=Path, default=ENVIRONMENTS, metavar="DIR", help="where peers are installed"
    )
    options = parser.parse_args()
    golden: dict[str, Any] = {}
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Worker(python_of("lava", options.environments), script=WORKER, threads=1, limit=300) as worker:
                for number, case in enumerate(cases()):
                    lava, own = theirs(case, worker, Path(folder)), ours(case)
                    compared = settled(case)
                    off = np.abs(lava[compared] - own[compared])
                    bad = int((off > (0 if case.integer else CLOSE * 256)).sum())
                    wrong += bad
                    ends = int(np.isin(own[compared], [case.choices["w_min"], case.choices["w_max"]]).sum())
                    print(f"{case.name:22} {off.size:6,} weights, {bad} differ, most {off.max():.3g}; {ends} at an end")
                    spikes = {"pre": case.pre.astype(bool), "post": case.post.astype(bool)}
                    stored = {"name": case.name, "integer": case.integer, "choices": case.choices}
                    golden |= {f"{k} {number}": v for k, v in spikes.items()}
                    golden |= {
                        f"weights {number}": case.weights,
                        f"lava {number}": lava,
                        f"case {number}": json.dumps(stored),
                    }
        except PeerError as error:
            print(error, file=sys.stderr)
            return 2
    if options.golden:
        np.savez_compressed(options.golden, **golden)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
