"""The digits of `bench/digits_stdp.py` in small: a few neurons learn three classes, and do not where learning is off."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from spikeport import native
from spikeport.backends.hosts import REFERENCE
from tests.states import opened

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
BENCH = Path(__file__).resolve().parents[2] / "bench"
CLOSE = 1e-12
"""Of a threshold: sums of exponentials beside products of one, in some thousand steps."""
compiled = pytest.mark.skipif(not native.available(), reason="as many steps as learning needs take minutes in numpy")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("digits_stdp")


def few(data: Any, n: int) -> Any:
    """The first images of 0, 1 and 6."""
    kept = np.flatnonzero(np.isin(data.labels, [0, 1, 6]))[:n]
    return replace(data, images=data.images[kept], labels=data.labels[kept])


@pytest.fixture
def small(bench: Any) -> Any:
    """So few images that thresholds have to start close to where homeostasis takes them, and to follow soon."""
    return bench.Setup(
        neurons=12,
        passes=3,
        show=80,
        rest=40,
        contrast=2250.0,
        threshold=40.0,
        theta=1.0,
        tau_theta=5.0,
        inhibition=45.0,
        rate=(0.2, 0.05),
        on="native",
    )


@compiled
def test_digits_are_learned_without_labels_and_only_by_learning(bench: Any, small: Any) -> None:
    train, test = (few(data, n) for data, n in zip(bench.digits(), (100, 100), strict=True))

    def told(setup: Any) -> float:
        state = bench.learn(setup, train.images)[-1]
        return float(bench.percent(bench.read(setup, state, train, test).told, test))

    variants = bench.variants(small)
    assert told(small) >= 85  # 93; a third is chance
    assert told(variants["weights that stay"]) <= 70
    assert told(variants["thresholds that stay"]) <= 70


def test_training_and_test_images_are_apart(bench: Any) -> None:
    train, test = bench.digits()
    assert (len(train), len(test)) == (1297, 500)
    assert np.allclose(np.linalg.norm(test.images, axis=1), 1)
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


@compiled
def test_weights_keep_the_length_of_the_images(bench: Any, small: Any) -> None:
    train = few(bench.digits()[0], 100)
    before, after = bench.untaught(small, train.images), bench.learn(small, train.images)[-1]
    changed = np.abs(after.weights - before.weights).max(axis=1) > 0.1
    assert changed.sum() >= 3
    lengths = np.linalg.norm(after.weights[changed], axis=1)
    assert lengths.min() > 0.6
    assert lengths.max() < 1.2


@pytest.mark.skipif(not native.available(), reason="compares the compiled kernels with the reference")
def test_both_steppers_learn_the_same(bench: Any, small: Any) -> None:
    images = few(bench.digits()[0], 12).images
    setup = replace(small, passes=1, threshold=3.0)
    ours, theirs = (bench.learn(replace(setup, on=on), images)[-1] for on in ("native", "reference"))
    assert ours.thetas.any()
    assert np.array_equal(ours.weights, theirs.weights)
    assert np.array_equal(ours.thetas, theirs.thetas)


def test_thresholds_are_those_of_the_neurons(bench: Any, small: Any) -> None:
    """`thetas`, from the spikes that were sent, against the second state of a session."""
    setup = replace(small, threshold=2.0, tau_theta=0.3, theta=0.5)
    images = few(bench.digits()[0], 4).images
    start = bench.untaught(setup, images)
    entering = bench.spikes(images, setup, np.random.default_rng(0), in_a_row=True)
    raster = entering.train().raster
    steps, neurons = [], []
    with opened(REFERENCE, bench.network(setup, start, learns=True).build()) as session:
        session.modulate({"rate": 0.0})
        for t, row in enumerate(raster):
            sent = session.step({"retina": row}).spikes["cortex"][0]
            fired = np.flatnonzero(sent)
            steps += [t] * len(fired)
            neurons += fired.tolist()
        second = session.snapshot().populations["cortex"].second[0]
    assert len(steps) > 20
    zero = np.zeros(len(steps), int)
    train = replace(entering, samples=zero, steps=np.array(steps), neurons=np.array(neurons), shape=(12,), values=None)
    np.testing.assert_allclose(bench.thetas(train, setup, len(raster)), second, rtol=CLOSE, atol=CLOSE)


def test_reading_changes_nothing(bench: Any, small: Any) -> None:
    images = few(bench.digits()[0], 4).images
    start = replace(bench.untaught(small, images), thetas=np.linspace(-39.0, 5.0, small.neurons))
    raster = bench.spikes(images, small, np.random.default_rng(0), in_a_row=True).train().raster
    built = bench.network(small, start, learns=False).build()
    assert not built.plastic
    with opened(REFERENCE, built) as session:
        fired = sum(session.step({"retina": row}).spikes["cortex"].sum() for row in raster)
        assert fired > 20
        assert np.array_equal(session.snapshot().populations["cortex"].second[0], start.thetas)


def test_the_same_images_give_the_same_spikes_in_a_row_and_in_a_batch(bench: Any, small: Any) -> None:
    images = few(bench.digits()[0], 5).images
    row, batch = (
        bench.spikes(images, small, np.random.default_rng(3), in_a_row=in_a_row).train().raster
        for in_a_row in (True, False)
    )
    assert np.array_equal(row.reshape(5, small.period, 64), batch.transpose(1, 0, 2))
    assert not batch[small.show :].any()
    assert batch.sum() == pytest.approx(images.sum() * small.contrast * 1e-3 * small.show, rel=0.1)


def test_classes_are_those_that_neurons_answer_to_most(bench: Any) -> None:
    found = np.array([[3, 0, 0], [1, 0, 0], [1, 5, 0], [0, 4, 0]])
    assert bench.assigned(found, np.array([7, 7, 7, 2])).tolist() == [7, 2, 0]  # means, not sums


def test_the_nearest_image_tells(bench: Any) -> None:
    train = bench.Data(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), np.array([4, 4, 9]))
    test = bench.Data(np.array([[0.8, 0.0], [0.0, 0.7]]), np.array([4, 9]))
    assert (
        bench.nearest(np.array([[0.0, 2.0], [1.0, 0.0]]), train, test) == 50
    )  # 2 is as far as 0 is, and farther than (1, 0)
    assert bench.nearest(np.array([[0.0, 1.0], [1.0, 0.0]]), train, test) == 100


def test_pictures_are_svg(bench: Any) -> None:
    figures = importlib.import_module("digits_figures")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 50)
    told = np.where(rng.random(50) < 0.1, -1, labels)
    pictures = (
        figures.fields(rng.random((7, 64)), np.arange(7)),
        figures.accuracy([[20.0, 80.0], [30.0, 90.0]], 100, {"beside": [95.0]}),
        figures.confusion(told, labels),
    )
    for picture in pictures:
        assert len(ElementTree.fromstring(picture)) > 10
    assert ">none<" in pictures[2]


def test_an_interval_over_seeds_is_students(bench: Any) -> None:
    mean, half = bench.over_seeds([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.303 / np.sqrt(3))
