"""Unsupervised digits: STDP, homeostasis and lateral inhibition learn scikit-learn's handwritten digits, from primitives alone.

    python bench/digits_stdp.py --svg docs/images

Labels are not used while the network learns. Afterwards each neuron is given the class that it answers to most on the training images, and
the test images are told by the neurons that answer to them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

import digits_figures
import spikeport as sp
from spikeport.primitives import Factor, Rule, Term, Trace
from spikeport.validate.accuracy import agreement_interval

REQUIRED = 80.0
"""Percent of the test images, with every seed."""
TEST = 500
"""The last images of the data set, of which neither weights, thresholds nor classes know."""
CLASSES = 10
DT = 1e-3
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""The 97.5 % quantile of Student's distribution, by the number of values."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that was chosen: `docs/digits.md` says on which images."""

    neurons: int = 100
    passes: int = 4
    """How often each training image is shown."""
    show: int = 120
    """Steps of 1 ms that an image is there."""
    rest: int = 100
    """Steps without input after it, in which potentials and traces fade."""
    contrast: float = 3600.0
    """Hertz of a pixel that holds all of an image; images are scaled to unit length."""
    tau: float = 0.05
    threshold: float = 9.0
    theta: float = 2.1
    """What a spike adds to the threshold of its neuron."""
    tau_theta: float = 600.0
    inhibition: float = 140.0
    """What a spike takes from the potential of all others."""
    floor: float = -140.0
    """Below which no potential falls: one spike takes others there, and the next ones none further."""
    tau_trace: float = 0.02
    rate: tuple[float, float] = (0.2, 0.03)
    """Of learning, at the first and at the last image; a geometric series between them."""
    seed: int = 0
    on: str | None = None

    @property
    def period(self) -> int:
        return self.show + self.rest


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Images of unit length, flat, and their classes."""

    images: Floats
    labels: Ints

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What a network became."""

    weights: Floats
    """Shape (neuron, pixel)."""
    thetas: Floats
    """Rise of the thresholds, shape (neuron,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How a network tells images."""

    classes: Ints
    """Of each neuron."""
    told: Ints
    """Class of each test image; -1 where no neuron answered."""
    spikes: float
    """For each test image, all neurons together."""


def digits() -> tuple[Data, Data]:
    """Training and test images: the first 1,297 and the last 500, in the order that the data set has."""
    x, y = load_digits(return_X_y=True)
    return unit_length(x[:-TEST], y[:-TEST]), unit_length(x[-TEST:], y[-TEST:])


def unit_length(images: Any, labels: Any) -> Data:
    """Every image as strong as any other, whatever it shows."""
    flat = np.asarray(images, np.float64).reshape(len(images), -1)
    return Data(flat / np.linalg.norm(flat, axis=1, keepdims=True), np.asarray(labels, np.int64))


def instar(setup: Setup) -> Rule:
    """STDP at spikes of the target: `w = w + rate * (x - w)`, with a trace x of the source, which is 1 times the pixel in the mean.

    What spiked lately grows and what did not shrinks, in proportion to the weight: so weights go to the mean of what their neuron answers
    to, and their length stays that of the images without a division.
    """
    kept = exp(-DT / setup.tau_trace)
    unit = (1 - kept) / kept / (setup.contrast * DT)
    return Rule(
        "instar",
        traces=(Trace("x", "pre", setup.tau_trace, unit),),
        terms=(
            Term("post", 1.0, (Factor("rate"), Factor("x"))),
            Term("post", -1.0, (Factor("rate"), Factor("w"))),
        ),
        third=("rate",),
        w_min=0.0,
    )


def network(setup: Setup, start: Learned, *, learns: bool) -> sp.Network:
    """One layer that competes. Without learning its thresholds stay too."""
    neurons, pixels = start.weights.shape
    net = sp.Network("digits")
    retina = net.input("retina", pixels)
    cells = sp.AdaptiveLIF(
        tau=setup.tau,
        threshold=setup.threshold,
        refractory=0.002,
        v_min=setup.floor,
        increment=setup.theta if learns else 0.0,
        tau_adapt=setup.tau_theta if learns else np.inf,
        initial_w=start.thetas,
    )
    cortex = net.population("cortex", neurons, cells)
    net.connect(retina, cortex, sp.Dense(start.weights), plasticity=instar(setup) if learns else None)
    net.connect(cortex, cortex, sp.AllToAll(-setup.inhibition, self_connections=False))
    net.output("out", cortex)
    return net


def spikes(images: Floats, setup: Setup, rng: np.random.Generator, *, in_a_row: bool) -> sp.SpikeEvents:
    """Poisson spikes for each pixel in the time that its image is shown: images one after the other, or each a sample of a batch."""
    n, pixels = images.shape
    totals = rng.poisson(images * (setup.contrast * DT * setup.show)).ravel()
    image, line = np.divmod(np.repeat(np.arange(n * pixels), totals), pixels)
    step = rng.integers(0, setup.show, len(image))
    sample, n_steps, batch = image, setup.period, n
    if in_a_row:
        step, sample, n_steps, batch = image * setup.period + step, np.zeros_like(image), n * setup.period, 1
    places, counts = np.unique((sample * n_steps + step) * pixels + line, return_counts=True)
    moments, lines = np.divmod(places, pixels)
    return sp.SpikeEvents(*np.divmod(moments, n_steps), lines, (pixels,), n_steps, batch, DT, counts)


def untaught(setup: Setup, images: Floats) -> Learned:
    """A network before its first image: weights at random."""
    rng = np.random.default_rng([setup.seed, 0])
    weights = rng.uniform(0, 2 * images.mean(), (setup.neurons, images.shape[1]))
    return Learned(weights, np.zeros(setup.neurons))


def learn(setup: Setup, images: Floats, *, looks: int = 1) -> list[Learned]:
    """Show all images, as often as the setup says, in one run; what the network is after each of so many equal parts of it."""
    rng = np.random.default_rng([setup.seed, 1])
    order = np.concatenate([rng.permutation(len(images)) for _ in range(setup.passes)])
    order = order[: len(order) // looks * looks]
    entering = spikes(images[order], setup, rng, in_a_row=True)
    rates = np.zeros(len(order)) if max(setup.rate) == 0 else np.geomspace(*setup.rate, len(order))
    every = entering.n_steps // looks
    run = sp.run(
        network(setup, untaught(setup, images), learns=True),
        {"retina": entering},
        duration=entering.n_steps * DT,
        modulation={"rate": np.repeat(rates, setup.period)[:, None]},
        record=["cortex.spikes"],
        weights_every=every,
        on=setup.on,
    )
    weights = run.weights_over_time["retina -> cortex"][:, 0]
    return [Learned(w, thetas(run["cortex.spikes"], setup, (k + 1) * every)) for k, w in enumerate(weights)]


def thetas(sent: sp.SpikeEvents, setup: Setup, end: int) -> Floats:
    """How far thresholds have risen when so many steps are over: the equation of `AdaptiveLIF`, for the spikes that were sent."""
    before = sent.steps < end
    left = setup.theta * np.exp(-(end - 1 - sent.steps[before]) * DT / setup.tau_theta)
    return np.bincount(sent.neurons[before], left, setup.neurons)


def answers(setup: Setup, state: Learned, images: Floats, stream: int) -> Ints:
    """Spikes of each neuron to each image, shape (image, neuron); nothing is learned, and each image finds the network at rest."""
    entering = spikes(images, setup, np.random.default_rng([setup.seed, stream]), in_a_row=False)
    net = network(setup, state, learns=False)
    run = sp.run(net, {"retina": entering}, duration=setup.period * DT, record=[], on=setup.on)
    return run.counts["cortex"]


def read(setup: Setup, state: Learned, train: Data, test: Data) -> Reading:
    """Give neurons classes by the training images, and tell the test images: the class whose neurons answer most in the mean."""
    classes = assigned(answers(setup, state, train.images, 2), train.labels)
    found = answers(setup, state, test.images, 3)
    votes = np.stack([found[:, classes == c].sum(1) / max(1, (classes == c).sum()) for c in range(CLASSES)], 1)
    return Reading(classes, np.where(found.any(1), votes.argmax(1), -1), float(found.sum(1).mean()))


def assigned(found: Ints, labels: Ints) -> Ints:
    """The class whose images a neuron answers to most in the mean."""
    means = np.stack([found[labels == c].sum(0) / max(1, (labels == c).sum()) for c in range(CLASSES)], 1)
    return means.argmax(1)


def variants(setup: Setup) -> dict[str, Setup]:
    """The same with a part of it switched off; all else is alike, and classes are given in the same way."""
    return {
        "weights that stay": replace(setup, rate=(0.0, 0.0)),
        "thresholds that stay": replace(setup, theta=0.0),
    }


def nearest(means: Floats, train: Data, test: Data) -> float:
    """Percent that the nearest of some images tells, each with the class that is most frequent among the training images it is nearest to."""

    def places(images: Floats) -> Ints:
        return ((means**2).sum(1) - 2 * images @ means.T).argmin(1)

    mine = places(train.images)
    classes = [np.bincount(train.labels[mine == k], minlength=CLASSES).argmax() for k in range(len(means))]
    return percent(np.array(classes)[places(test.images)], test)


def percent(told: Ints, test: Data) -> float:
    return 100 * float((told == test.labels).mean())


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval."""
    array = np.array(values)
    if len(array) < 2:
        return float(array.mean()), float("nan")
    return float(array.mean()), STUDENT[len(array)] * float(array.std(ddof=1)) / sqrt(len(array))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, choices=range(2, 11), metavar="N", help="2 to 10; default: 5")
    parser.add_argument("--on", help="the backend; default: the fastest")
    parser.add_argument("--svg", type=Path, metavar="DIR", help="where to draw the pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args()
    train, test = digits()
    rows: dict[str, list[float]] = {}
    lines, curves, shown = [], [], None
    for seed in range(options.seeds):
        setup = Setup(seed=seed, on=options.on)
        began, busy = time.perf_counter(), time.process_time()
        states = learn(setup, train.images, looks=setup.passes * 2)
        seconds, worked = time.perf_counter() - began, time.process_time() - busy
        readings = [read(setup, state, train, test) for state in states]
        last = readings[-1]
        low, high = agreement_interval(int((last.told != test.labels).sum()), len(test))
        means = KMeans(setup.neurons, n_init=1, random_state=seed).fit(train.images)
        found = {
            "accuracy": percent(last.told, test),
            "spikes for a digit": last.spikes,
            "seconds of learning": seconds,
            "of processor time": worked,
            "silent": 100 * float((last.told < 0).mean()),
            "learned weights, by distance": nearest(states[-1].weights, train, test),
            "k-means": nearest(means.cluster_centers_, train, test),
        }
        for name, changed in variants(setup).items():
            found[name] = percent(read(changed, learn(changed, train.images)[-1], train, test).told, test)
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
        curves.append([percent(reading.told, test) for reading in readings])
        shown = shown or (states[-1], last)
        lines.append(
            f"seed {seed}: {found['accuracy']:.1f} % of {len(test)} test images (95 % interval {low:.1f} to {high:.1f}), "
            f"{last.spikes:.2f} spikes for a digit, {found['silent']:.1f} % without; learned in {seconds:.1f} s, {worked:.1f} s of processor time"
        )
    chance = 100 * float(np.mean(test.labels == np.bincount(train.labels).argmax()))
    for name, values in rows.items():
        mean, half = over_seeds(values)
        lines.append(
            f"{name}: {mean:.2f}, 95 % interval of the mean {mean - half:.2f} to {mean + half:.2f}, {len(values)} seeds"
        )
    lines.append(f"always the most frequent class: {chance:.1f} %")
    if options.svg is not None:
        assert shown is not None
        images = Setup().passes * len(train)
        pictures = {
            "digits-fields.svg": digits_figures.fields(shown[0].weights, shown[1].classes),
            "digits-accuracy.svg": digits_figures.accuracy(
                curves,
                images,
                {"k-means, as many prototypes": rows["k-means"], "weights that stay": rows["weights that stay"]},
            ),
            "digits-confusion.svg": digits_figures.confusion(shown[1].told, test.labels),
        }
        for name, text in pictures.items():
            (options.svg / name).write_text(text, encoding="utf-8")
    missed = min(rows["accuracy"]) < REQUIRED
    if options.json:
        print(json.dumps({**rows, "chance": chance, "curves": curves, "missed": missed}, indent=2))
    else:
        print("\n".join(lines))
    if missed:
        print(f"fewer than {REQUIRED:g} % with a seed", file=sys.stderr)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
