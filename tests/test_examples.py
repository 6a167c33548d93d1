"""What `make demo` runs, with a short training."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import spikeport as sp

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

EXAMPLES = Path(__file__).parents[1] / "examples"
EPOCHS = 3
LEAST_ACCURACY = 95.0  # percent; three epochs give about 98, the ten of `make demo` more than 99


class Run(NamedTuple):
    digits: Any
    status: int
    printed: str
    folder: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The example after one run in a folder of its own."""
    digits = loaded("digits")
    folder = tmp_path_factory.mktemp("digits")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as printed:
            status = digits.main(epochs=EPOCHS)
    finally:
        torch.set_num_threads(threads)
    return Run(digits, status, printed.getvalue(), folder / "demo")


def loaded(name: str) -> Any:
    """An example as a module."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_holds(run: Run) -> None:
    assert run.status == 0
    assert "Every arrow holds" in run.printed
    assert "identical spikes" in run.printed


def test_the_files_are_written_where_the_text_says(run: Run) -> None:
    assert sorted(path.name for path in run.folder.iterdir()) == ["digits.spk", "model.nir", "report.html"]
    for path in run.folder.iterdir():
        assert str(Path("demo", path.name)) in run.printed
    assert "Every arrow holds" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_the_saved_model_is_as_good_as_it_says(run: Run) -> None:
    snn = sp.load(run.folder / "digits.spk")
    assert snn.report.ok
    assert snn.report.samples == 500
    images, labels = run.digits.loaders()[1].dataset.tensors
    accuracy = 100 * float((snn(images).argmax(1) == labels).float().mean())
    assert accuracy == pytest.approx(snn.report.snn_accuracy)
    assert accuracy > LEAST_ACCURACY
    assert snn.report.ann_accuracy is not None
    assert snn.report.ann_accuracy > LEAST_ACCURACY


def test_the_nir_file_fires_the_spikes_of_the_saved_model(run: Run) -> None:
    images = run.digits.loaders()[1].dataset.tensors[0][:4]
    saved = sp.load(run.folder / "digits.spk").simulate(images)
    read_back = sp.simulate(sp.from_nir(run.folder / "model.nir"), images.numpy(), record=saved.spikes)
    assert any(train.raster.any() for train in saved.spikes.values())
    assert run.digits.same_spikes(saved, read_back)


def test_other_images_do_not_pass_for_the_same_spikes(run: Run) -> None:
    snn = sp.load(run.folder / "digits.spk")
    images = run.digits.loaders()[1].dataset.tensors[0]
    assert not run.digits.same_spikes(snn.simulate(images[:1]), snn.simulate(images[1:2]))


def test_training_and_test_images_are_different_ones(run: Run) -> None:
    train, test = (loader.dataset.tensors[0] for loader in run.digits.loaders())
    assert (len(train), len(test)) == (1297, 500)
    seen = {image.numpy().tobytes() for image in train}
    assert not any(image.numpy().tobytes() in seen for image in test)
