"""The four regimes of Brunel's network of 2000: run at full size, told by their spikes, set beside his figures and equations, and drawn."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikeport as sp
from brunel_model import Brunel, external, network, neuron, stationary
from spikeport import native
from spikeport.backends.native import DynamicSession
from spikeport.plugin.driving import drive

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Regime:
    """A panel of his figure 8, with what his table 1 says of it."""

    letter: str
    name: str
    model: Brunel
    shows: Callable[[Measured], bool]
    """Whether a run is of this regime."""
    said: str
    """What that means."""
    published: dict[str, float]
    """His simulation and his theory: rates, and frequencies of the population, in hertz."""
    shown: float
    """Seconds that are drawn."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run says."""

    rate: float
    """Hertz, of all neurons."""
    cv: float
    """Standard deviation over mean of a neuron's intervals, averaged over neurons with `FEW` intervals."""
    cv_of: int
    """Such neurons."""
    modulation: float
    """Standard deviation over mean of the population's activity in bins of 0.5 ms."""
    chance: float
    """The same of as many independent Poisson neurons."""
    lull: float
    """What the activity falls below in a twentieth of these bins, over its mean."""
    frequency: float
    """Hertz, of the highest peak of the activity's spectrum."""
    peak: float
    """Power there, over that of as many independent Poisson neurons."""

    @property
    def synchronous(self) -> bool:
        """The activity nearly stops between its peaks."""
        return self.lull < LULL

    @property
    def irregular(self) -> bool:
        return self.cv > REGULAR


FEW = 5
"""Intervals that a neuron needs for its own irregularity."""
BIN = 5e-4
SEGMENT = 0.5
"""Seconds of a piece of the spectrum: lines are 2 Hz apart."""
LULL, REGULAR = 0.1, 0.2
PIECE = 0.1
"""Seconds that are drawn and stepped at once."""
CLOSE = 0.15
"""Share of his simulated rate and frequency that ours may differ by: another random network, other initial potentials."""

REGIMES = (
    Regime(
        "A", "synchronous regular", Brunel(3.0, 2.0),
        lambda m: m.synchronous and not m.irregular,
        "the population fires in sharp volleys, each neuron at equal intervals", {}, 0.1,
    ),
    Regime(
        "B", "synchronous irregular, fast", Brunel(6.0, 4.0),
        lambda m: m.synchronous and m.irregular and m.frequency > max(100, 2 * m.rate),
        "the population oscillates above 100 Hz, and its neurons fire irregularly, in less than half of the cycles",
        {"rate": 60.7, "rate in theory": 55.8, "frequency": 180.0, "frequency in theory": 190.0}, 0.1,
    ),
    Regime(
        "C", "asynchronous irregular", Brunel(5.0, 2.0),
        lambda m: not m.synchronous and m.irregular,
        "the population is never silent, and its neurons fire irregularly",
        {"rate": 37.7, "rate in theory": 38.0}, 0.1,
    ),
    Regime(
        "D", "synchronous irregular, slow", Brunel(4.5, 0.9),
        lambda m: m.synchronous and m.irregular and 2 * m.rate < m.frequency < 50,
        "the population oscillates below 50 Hz, and its neurons fire irregularly, in less than half of the cycles",
        {"rate": 5.5, "rate in theory": 6.5, "frequency": 22.0, "frequency in theory": 29.0}, 0.25,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Of all neurons, excitatory ones first, in order of time."""

    steps: Counts
    neurons: Counts
    n_steps: int
    size: int
    dt: float

    @property
    def rate(self) -> float:
        """Hertz."""
        return len(self.steps) / self.size / (self.n_steps * self.dt)

    @property
    def activity(self) -> Counts:
        """Spikes of the population by step."""
        return np.bincount(self.steps, minlength=self.n_steps)


def run(model: Brunel, *, settle: float, seconds: float, seed: int, threads: int) -> tuple[Spikes, dict[str, float]]:
    """Spikes of so many seconds after the settling, and the seconds that building, drawing and stepping took."""
    piece = round(PIECE / model.dt)
    skipped, pieces = round(settle / PIECE), round((settle + seconds) / PIECE)
    start = time.perf_counter()
    made = network(model, seed=seed).build(dt=model.dt)
    rng = np.random.default_rng(seed)
    took = {"built": 0.0, "drawn": 0.0, "stepped": 0.0}
    steps, neurons = [], []
    with DynamicSession(made, threads=threads) as session:
        took["built"] = time.perf_counter() - start
        for k in range(pieces):
            start = time.perf_counter()
            x = drive(made, external(model, made, piece, rng), batch=1)
            took["drawn"] += time.perf_counter() - start
            start = time.perf_counter()
            found = session.run(x, record=["exc", "inh"] if k >= skipped else []).spikes
            took["stepped"] += time.perf_counter() - start
            for name, first in (("exc", 0), ("inh", model.excitatory)):
                if k >= skipped:
                    steps.append(found[name].steps + (k - skipped) * piece)
                    neurons.append(found[name].neurons + first)
    at, which = np.concatenate(steps), np.concatenate(neurons)
    order = np.lexsort((which, at))
    size = model.excitatory + model.inhibitory
    return Spikes(at[order], which[order], (pieces - skipped) * piece, size, model.dt), took


def measured(spikes: Spikes) -> Measured:
    """Rate, irregularity and synchrony."""
    cv, cv_of = irregularity(spikes)
    width = round(BIN / spikes.dt)
    binned = spikes.activity[: spikes.n_steps // width * width].reshape(-1, width).sum(axis=1)
    frequency, power = spectrum(spikes)
    highest = int(np.argmax(power))
    return Measured(
        rate=spikes.rate,
        cv=cv,
        cv_of=cv_of,
        modulation=float(binned.std() / binned.mean()),
        chance=float(1 / np.sqrt(binned.mean())),
        lull=float(np.quantile(binned, 0.05) / binned.mean()),
        frequency=float(frequency[highest]),
        peak=float(power[highest]),
    )


def irregularity(spikes: Spikes) -> tuple[float, int]:
    """Mean over neurons of the coefficient of variation of their intervals, and how many have enough of them."""
    order = np.lexsort((spikes.steps, spikes.neurons))
    steps, neurons = spikes.steps[order], spikes.neurons[order]
    own = np.diff(neurons) == 0
    intervals, whose = np.diff(steps)[own].astype(np.float64), neurons[1:][own]
    n = np.bincount(whose, minlength=spikes.size)
    enough = n >= FEW
    mean = np.bincount(whose, intervals, minlength=spikes.size)[enough] / n[enough]
    square = np.bincount(whose, intervals**2, minlength=spikes.size)[enough] / n[enough]
    return float(np.mean(np.sqrt(np.maximum(square - mean**2, 0)) / mean)), int(enough.sum())


def spectrum(spikes: Spikes) -> tuple[Floats, Floats]:
    """Frequencies from 8 Hz on, and the power of the population's activity over that of as many independent Poisson neurons.

    Mean over pieces that overlap by half, under a Hann window. A Poisson train's spectrum is flat, and its height the rate.
    """
    n = round(SEGMENT / spikes.dt)
    activity = spikes.activity.astype(np.float64)
    window = np.hanning(n)
    pieces = [activity[k : k + n] for k in range(0, len(activity) - n + 1, n // 2)]
    mean = activity.mean()
    power = np.mean([np.abs(np.fft.rfft((piece - mean) * window)) ** 2 for piece in pieces], axis=0)
    frequency = np.fft.rfftfreq(n, spikes.dt)
    kept = (frequency >= 2 / SEGMENT) & (frequency <= 1000)
    return frequency[kept], power[kept] / (mean * (window**2).sum())


def heard(model: Brunel, spikes: Spikes, listeners: int, rng: np.random.Generator) -> dict[str, Counts]:
    """Spikes of as many neurons as a neuron hears, each train shifted in time on its own, in a circle; (time, 1, listener) by kind."""
    order = np.lexsort((spikes.steps, spikes.neurons))
    steps = spikes.steps[order]
    begins = np.searchsorted(spikes.neurons[order], np.arange(spikes.size + 1))
    n_steps, found = spikes.n_steps, {}
    for name, first, size in (("exc", 0, model.excitatory), ("inh", model.excitatory, model.inhibitory)):
        found[name] = np.zeros((n_steps, 1, listeners), np.int64)
        for k in range(listeners):
            chosen = first + rng.choice(size, round(model.connected * size), replace=False)
            lengths = begins[chosen + 1] - begins[chosen]
            ends = np.cumsum(lengths)
            which = np.arange(ends[-1]) + np.repeat(begins[chosen] - (ends - lengths), lengths)
            late = np.repeat(rng.integers(0, n_steps, len(chosen)), lengths)
            found[name][:, 0, k] = np.bincount((steps[which] + late) % n_steps, minlength=n_steps)
    return found


def shifted(model: Brunel, spikes: Spikes, *, seed: int, listeners: int = 200) -> Spikes:
    """Neurons outside of the network that hear its trains, each shifted on its own.

    The intervals of a train are in what they hear, and what the trains have in common is not.
    """
    rng = np.random.default_rng(seed)
    net = sp.Network("outside")
    cells = net.population("cells", listeners, neuron(model))
    x = heard(model, spikes, listeners, rng)
    x["external"] = rng.poisson(model.external * model.dt, (spikes.n_steps, 1, listeners))
    for name, weight in (("exc", model.weight), ("inh", -model.g * model.weight), ("external", model.weight)):
        net.connect(net.input(name, listeners), cells, sp.OneToOne(weight))
    found = sp.simulate(net.build(dt=model.dt), x, record=["cells"]).spikes["cells"]
    return Spikes(found.steps, found.neurons, spikes.n_steps, listeners, model.dt)


def figure(runs: Sequence[tuple[Regime, Spikes]]) -> str:
    """Trains of 50 neurons, and the population's activity below, as in his figure 8; the dashed line is its mean."""
    width, height, left, raster, curve = 460, 330, 54, 150, 90
    rng = np.random.default_rng(0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width} {2 * height}" font-family="sans-serif" font-size="11">',
        "<title>The four regimes of Brunel's network</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for k, (regime, spikes) in enumerate(runs):
        x0, y0 = k % 2 * width + left, k // 2 * height + 30
        across = width - left - 20
        last = round(regime.shown / spikes.dt)
        model = regime.model
        chosen = np.sort(rng.choice(spikes.size, 50, replace=False))
        shown = spikes.steps < last
        row = np.searchsorted(chosen, spikes.neurons[shown]).clip(max=49)
        mine = chosen[row] == spikes.neurons[shown]
        dots = "".join(
            f"M{x0 + step / last * across:.1f} {y0 + 3 * at:.0f}v2.4"
            for step, at in zip(spikes.steps[shown][mine].tolist(), row[mine].tolist(), strict=True)
        )
        bins = 500
        activity = spikes.activity[:last].reshape(bins, -1).mean(axis=1) / (spikes.size * spikes.dt)
        most, base = float(activity.max()), y0 + raster + 16 + curve
        line = " ".join(
            f"{x0 + (i + 0.5) / bins * across:.1f},{base - value / most * curve:.1f}"
            for i, value in enumerate(activity)
        )
        mean = base - spikes.rate / most * curve
        numbers = f'<tspan font-weight="400" fill="#666666">, g = {model.g:g}, \N{GREEK SMALL LETTER ETA} = {model.eta:g}</tspan>'
        title = f"{regime.letter}: {regime.name}{numbers}"
        parts += [
            f'<text x="{x0}" y="{y0 - 10}" font-weight="600">{title}</text>',
            f'<path d="{dots}" stroke="#1f5f99" stroke-width="1.5" fill="none"/>',
            f'<polyline points="{line}" fill="none" stroke="#222222" stroke-width="0.8"/>',
            f'<path d="M{x0} {mean:.1f}h{across}" stroke="#c2410c" stroke-dasharray="5 4"/>',
            f'<path d="M{x0} {y0 - 3}V{base}H{x0 + across}" fill="none" stroke="#999999"/>',
            f'<text x="{x0 - 6}" y="{base - curve + 4}" text-anchor="end">{most:,.0f}</text>',
            f'<text x="{x0 - 6}" y="{base + 4}" text-anchor="end">0 Hz</text>',
            f'<text transform="translate({x0 - 12} {y0 + 75}) rotate(-90)" text-anchor="middle">50 neurons</text>',
        ]
        for tick in np.linspace(0, regime.shown, 6):
            at = x0 + tick / regime.shown * across
            unit = " ms" if tick == regime.shown else ""
            parts.append(f'<path d="M{at:.1f} {base}v4" stroke="#999999"/>')
            parts.append(f'<text x="{at:.1f}" y="{base + 16}" text-anchor="middle">{1000 * tick:.0f}{unit}</text>')
    return "\n".join([*parts, "</svg>", ""])


def lines_of(regime: Regime, found: dict[str, Any]) -> list[str]:
    """A regime in words."""
    m, took, theory, outside = (found[name] for name in ("measured", "seconds", "theory", "shifted"))
    model, his = regime.model, ", ".join(f"{name} {value:g}" for name, value in regime.published.items())
    return [
        f"{regime.letter}: {regime.name}, g = {model.g:g}, eta = {model.eta:g}",
        f"   {'' if found['shown'] else 'NOT '}{regime.said}",
        f"   rate {m['rate']:.2f} Hz, CV {m['cv']:.3f} (of {m['cv_of']:,} neurons)",
        f"   modulation {m['modulation']:.3f} (by chance {m['chance']:.3f}), lull {m['lull']:.3f}",
        f"   peak at {m['frequency']:g} Hz, {m['peak']:,.0f} times as high as chance",
        f"   by the equations: rate {theory['rate']:.2f} Hz, CV {theory['cv']:.3f}",
        f"   outside, where each train is shifted on its own: rate {outside['rate']:.2f} Hz, CV {outside['cv']:.3f}",
        f"   published (Hz): {his or 'nothing'}",
        f"   {found['synapses']:,} synapses, built in {took['built']:.1f} s; {found['simulated']:g} s stepped in {took['stepped']:.1f} s",
        f"   external spikes drawn in {took['drawn']:.1f} s",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each regime, after it settled")
    parser.add_argument("--settle", type=float, default=0.5, help="seconds that are not looked at")
    parser.add_argument("--seed", type=int, default=1, help="of connections, initial potentials and external spikes")
    parser.add_argument("--threads", type=int, default=2, help="that step the network")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="where to draw them")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args()
    if not native.available():
        print(native.why_missing(), file=sys.stderr)
        return 2
    runs, values, misses = [], {}, []
    for regime in REGIMES:
        spikes, took = run(
            regime.model, settle=options.settle, seconds=options.seconds, seed=options.seed, threads=options.threads
        )
        m = measured(spikes)
        outside = shifted(regime.model, spikes, seed=options.seed)
        rate, cv = stationary(regime.model)
        model = regime.model
        indegree = model.indegree + round(model.connected * model.inhibitory)
        found = values[regime.letter] = {
            "measured": asdict(m),
            "shown": regime.shows(m),
            "theory": {"rate": rate, "cv": cv},
            "shifted": {"rate": outside.rate, "cv": irregularity(outside)[0]},
            "published": regime.published,
            "synapses": spikes.size * indegree,
            "simulated": options.settle + options.seconds,
            "seconds": took,
        }
        if not found["shown"]:
            misses.append(f"{regime.letter}: {regime.name} is not recognised")
        for name in ("rate", "frequency"):
            if name in regime.published and abs(getattr(m, name) / regime.published[name] - 1) > CLOSE:
                misses.append(
                    f"{regime.letter}: {name} {getattr(m, name):.1f} Hz, published {regime.published[name]:g} Hz"
                )
        if not options.json:
            print("\n".join(lines_of(regime, found)), flush=True)
        runs.append((regime, spikes))
    if options.json:
        print(json.dumps(values, indent=2))
    if options.svg is not None:
        options.svg.write_text(figure(runs), encoding="utf-8")
    for miss in misses:
        print(miss, file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
