"""What goes wrong, one test each: the error says where, why and what to try, and nothing is lost."""

import builtins
import errno
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import spikeport as sp  # noqa: E402
from spikeport.quantize import CountLayer  # noqa: E402
from spikeport.storage import archive  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models as small as these are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(factory: Callable[[], Any], seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def small() -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))).eval()


X = seeded(lambda: torch.randn(40, 6))


def convert(model: nn.Module, data: Any = None, **options: Any) -> sp.SpikingModel:
    return sp.convert(model, [X] if data is None else data, progress=False, **options)


@cache
def converted() -> sp.SpikingModel:
    return convert(small())


def state(model: nn.Module) -> list[Any]:
    """Everything of a model that a user could miss."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [
        [(name, id(t), t.dtype, t.device, t.requires_grad, None if t.is_meta else t.tolist()) for name, t in tensors],
        [module.training for module in model.modules()],
    ]


def refused(
    model: nn.Module, data: Any, error: type[sp.SpikeportError], *said: str, hint: bool = True, **options: Any
) -> None:
    """Conversion raises exactly this error, which says all that, and leaves the model as it was."""
    before = repr(state(model))
    with pytest.raises(sp.SpikeportError) as caught:
        convert(model, data, **options)
    assert type(caught.value) is error
    assert all(text in str(caught.value) for text in said), caught.value
    assert all(problem.where and problem.why for problem in caught.value.problems)
    if hint:
        assert all(problem.hint for problem in caught.value.problems)
    assert repr(state(model)) == before


def works(model: nn.Module, data: Any = None, **options: Any) -> sp.SpikingModel:
    """Conversion succeeds, is exact, and leaves the model as it was."""
    before = repr(state(model))
    snn = convert(model, data, **options)
    assert repr(state(model)) == before
    assert snn.report.mismatches == 0
    assert snn.report.comparisons > 0
    return snn


# Data


@pytest.mark.parametrize(
    "data", [[], (), [X[:0]], [(X[:0], X[:0])], iter([])], ids=["list", "tuple", "batch", "pair", "iterator"]
)
def test_empty_loader(data: Any) -> None:
    refused(small(), data, sp.DataError, "data: is empty", "a list or a DataLoader")


def test_empty_loader_of_torch() -> None:
    refused(small(), DataLoader(TensorDataset(X[:0]), batch_size=4), sp.DataError, "data: is empty")
    with pytest.raises(sp.DataError, match=r"data: is empty\n  hint: "):
        sp.validate(converted(), DataLoader(TensorDataset(X[:0])), progress=False)


def test_one_batch_loader() -> None:
    snn = works(small(), DataLoader(TensorDataset(X, torch.zeros(40)), batch_size=40))
    assert torch.equal(snn(X), converted()(X))
    works(small(), [X[:1]])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([X[:, :5]], ("Sequential: the model fails on a batch of shape", "batches like those")),
        ([X[0]], ("batch 0: has shape (6,)", "(batch, *input)")),
        ([X, X[0]], ("batch 1: has shape (6,)",)),
        ([torch.zeros(())], ("batch 0: has shape ()",)),
        ([X.reshape(40, 2, 3)], ("Sequential: the model fails",)),
    ],
    ids=["features", "no batch axis", "no batch axis later", "a number", "another rank"],
)
def test_wrong_shapes(data: Any, said: tuple[str, ...]) -> None:
    refused(small(), data, sp.DataError, *said)


def test_wrong_shapes_that_change_between_batches_or_do_not_match_the_labels() -> None:
    refused(
        small(), [X, X[:, :5]], sp.DataError, "batch 1: holds samples of shape (5,), earlier ones have (6,)", hint=False
    )
    refused(small(), [(X, torch.zeros(39))], sp.DataError, "batch 0: has 40 samples and 39 labels", hint=False)
    refused(small(), [(X, torch.zeros(40)), X], sp.DataError, "batch 1: has labels where others have none", hint=False)


@pytest.mark.parametrize(
    "data",
    [[X, X[:, :5]], [(X, torch.zeros(39))], [(X, torch.zeros(40)), X]],
    ids=["shapes", "labels", "labels in some"],
)
def test_wrong_shapes_have_a_hint(data: Any) -> None:
    refused(small(), data, sp.DataError, hint=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([X.to(torch.complex64)], "batch 0: has dtype complex64"),
        ([np.array([["a"] * 6])], "batch 0: has dtype <U1"),
        ([np.array([[None] * 6])], "batch 0: has dtype object"),
        ([X, "a path"], "batch 1: is a str, not a tensor or array"),
        ([{"image": X}], "batch 0: is a dict"),
        ([None], "batch 0: is a NoneType"),
        ([(X, "cat")], "labels of batch 0: is a str"),
        (7, "data: a int cannot be iterated over"),
    ],
    ids=str,
)
def test_wrong_dtypes(data: Any, said: str) -> None:
    refused(small(), data, sp.DataError, said)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_nan_or_inf_in_data(bad: float) -> None:
    x = X.clone()
    x[17, 2] = bad
    refused(small(), [X, x], sp.DataError, "batch 1: holds NaN or infinite values", "clean the data")
    refused(small(), [(X, x[:, 2])], sp.DataError, "labels of batch 0: holds NaN or infinite values")
    with pytest.raises(sp.DataError, match="batch 0: holds NaN"):
        sp.validate(converted(), [x], progress=False)
    for value in (x, x.numpy()):
        with pytest.raises(sp.DataError, match="input: holds NaN"):
            converted()(value)
        with pytest.raises(sp.DataError, match="input: holds NaN"):
            converted().simulate(value)


def test_data_too_large_for_the_models_arithmetic() -> None:
    refused(small(), [X.double() * 1e300], sp.DataError, "batch 0")


def test_all_zero_data() -> None:
    snn = works(small(), [torch.zeros(20, 6)])
    with torch.no_grad():
        expected = small()(torch.zeros(1, 6))
    assert torch.allclose(snn(torch.zeros(1, 6)), expected, atol=0.02)


# Models


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_or_inf_in_weights(layer: int, bad: float) -> None:
    model = small()
    with torch.no_grad():
        model[layer].weight[1, 1] = bad
    refused(model, None, sp.GraphError, f"{layer}: its weight holds NaN or infinite values", "check the training")


def test_weights_so_large_that_outputs_overflow() -> None:
    model = small()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1e30
    refused(model, None, sp.ProofError, "Sequential: returns NaN or infinite values", "check its weights")


def test_a_model_in_training_mode() -> None:
    def make() -> nn.Module:
        model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.7), nn.Linear(5, 3))
        model(X)
        return model

    model = seeded(make).train()
    snn = works(model)
    assert model.training
    assert torch.equal(snn(X), convert(model.eval())(X))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["half precision", "bfloat16"])
def test_a_half_precision_or_bfloat16_model(dtype: torch.dtype) -> None:
    model = small().to(dtype)
    snn = works(model, [X.to(dtype)])
    assert next(model.parameters()).dtype == dtype
    assert torch.equal(snn(X), convert(small().to(dtype).float(), [X.to(dtype).float()])(X))
    assert snn(X.to(dtype)).dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_model() -> None:
    model = small().cuda()
    snn = works(model, [X.cuda()])
    assert next(model.parameters()).is_cuda
    assert snn(X.cuda()).is_cuda
    assert torch.equal(snn(X.cuda()).cpu(), converted()(X))


def test_a_model_on_the_meta_device() -> None:
    refused(small().to("meta"), None, sp.CaptureError, "Sequential", "meta")


def test_a_model_that_is_none_or_cannot_be_copied() -> None:
    with pytest.raises(sp.CaptureError, match=r"a function: is not a torch.nn.Module\n  hint: "):
        convert(lambda x: x)  # type: ignore[arg-type]
    model = small()
    model.cache = model[0](X)  # a tensor inside a graph of gradients
    refused(model, None, sp.CaptureError, "Sequential: cannot be copied", "detach")


def test_dead_channels() -> None:
    model = small()
    with torch.no_grad():
        model[0].weight[1] = 0
        model[0].bias[1] = -3
        model[2].weight[:, 3] = 0
    snn = works(model)
    with torch.no_grad():
        assert (snn(X) - model(X)).abs().max() < 0.1
    assert not snn.simulate(X).counts["1"][:, 1].any()
    layer = snn.integer["1"]
    assert isinstance(layer, CountLayer)
    assert layer.scale[1] == layer.scale.max()  # wakes up at a plausible size on other data


@pytest.mark.parametrize(("bias", "count"), [(-1e9, 0), (-1e25, 0), (1e9, 31)])
def test_a_huge_bias_only_silences_or_saturates_its_channel(bias: float, count: int) -> None:
    model = small()
    with torch.no_grad():
        model[0].bias[1] = bias
        model[2].weight[:, 1] = 0
    snn = works(model)
    assert (snn.simulate(X).counts["1"][:, 1] == count).all()


def test_all_negative_activations() -> None:
    model = small()
    with torch.no_grad():
        model[0].bias.fill_(-50)
    snn = works(model)
    assert torch.allclose(snn(X), model[2].bias.detach().expand(40, 3), atol=0.02)
    assert any("never active" in entry.what for entry in snn.ledger)
    assert not snn.simulate(X).counts["1"].any()


def test_constant_layers() -> None:
    """Weights of zero: a hidden layer that does not depend on the input, then an output that does not either."""
    model = small()
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.copy_(torch.tensor([1.0, 0.5, -1.0, 0.0, 0.25]))
        expected = model(X)
    assert (works(model)(X) - expected).abs().max() < 0.02
    with torch.no_grad():
        model[2].weight.zero_()
    snn = works(model)
    assert (snn(X) == snn(X)[0]).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_constant_layers_of_almost_zero_weights() -> None:
    model = small()
    with torch.no_grad():
        model[2].weight *= 1e-30
    assert torch.allclose(works(model)(X), model[2].bias.detach().expand(40, 3), atol=0.02)


def test_weights_that_overflow_the_bound() -> None:
    refused(
        small(), None, sp.QuantizeError, "1: channel ", "does not fit", "raise state_bits", state_bits=8, levels=255
    )
    deeper = seeded(
        lambda: nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 3))
    ).eval()
    levels = {"1": 3, "3": 127}
    refused(deeper, None, sp.QuantizeError, "3: channel ", "raise state_bits", state_bits=8, levels=levels)


# Files


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return converted().save(tmp_path / "model.spk")


def unharmed(path: Path) -> bool:
    """The old file is alone in its folder, and is still the model."""
    return [p.name for p in path.parent.iterdir()] == [path.name] and torch.equal(sp.load(path)(X), converted()(X))


def complains(error: pytest.ExceptionInfo[sp.SpikeportError], path: Path, why: str) -> None:
    assert all(str(path) in p.where and p.hint for p in error.value.problems), error.value
    assert why in str(error.value)


def test_unwritable_target_directory(saved: Path) -> None:
    for target, why in (
        (saved / "other.spk", "Not a directory"),
        (saved.parent / "missing" / "other.spk", "No such file or directory"),
    ):
        with pytest.raises(sp.FileError) as caught:
            converted().save(target)
        complains(caught, target, why)
        assert type(caught.value) is sp.FileError
    assert unharmed(saved)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_target_directory_by_its_permissions(saved: Path) -> None:
    saved.parent.chmod(0o555)
    try:
        with pytest.raises(sp.FileError) as caught:
            converted().save(saved)
    finally:
        saved.parent.chmod(0o755)
    complains(caught, saved, "Permission denied")
    assert unharmed(saved)


@pytest.mark.parametrize("moment", ["while writing", "when the data reaches the disk"])
def test_full_target_directory(saved: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if moment == "while writing":
        monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(sp.FileError) as caught:
        convert(small(), levels=3).save(saved)
    monkeypatch.undo()
    complains(caught, saved, "No space left on device")
    assert "nothing was changed" in str(caught.value)
    assert unharmed(saved)


def test_a_saved_model_is_loaded_as_it_was(saved: Path) -> None:
    assert unharmed(saved)
    assert sp.load(saved).report == converted().report


def not_loaded(path: Path, content: bytes, why: str = "") -> None:
    path.write_bytes(content)
    before = sorted(p.name for p in path.parent.iterdir())
    with pytest.raises(sp.ArchiveError) as caught:
        sp.load(path)
    complains(caught, path, why)
    assert path.read_bytes() == content
    assert sorted(p.name for p in path.parent.iterdir()) == before


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_spk(saved: Path, part: float) -> None:
    content = saved.read_bytes()
    not_loaded(saved, content[: int(part * len(content))])


@pytest.mark.parametrize("place", [0.02, 0.2, 0.4, 0.6, 0.8, 0.97])
def test_tampered_spk(saved: Path, place: float) -> None:
    content = bytearray(saved.read_bytes())
    content[int(place * len(content))] ^= 0x10
    not_loaded(saved, bytes(content))


def test_tampered_spk_with_correct_checksums_of_the_zip(saved: Path) -> None:
    """An editor of zip files mends the checksums of zip, and not the manifest's hashes."""
    with zipfile.ZipFile(saved) as old:
        members = [(info, old.read(info)) for info in old.infolist()]
    with zipfile.ZipFile(saved, "w") as new:
        for info, content in members:
            changed = content.replace(b"31", b"13") if info.filename == "report.json" else content
            assert (changed != content) == (info.filename == "report.json")
            new.writestr(info, changed, info.compress_type, 1)
    not_loaded(saved, saved.read_bytes(), "report.json: does not have the hash that the manifest gives")


def test_tampered_spk_with_a_manifest_of_its_own(saved: Path, tmp_path: Path) -> None:
    """A forger who recomputes all hashes still meets the checks of what the file says."""
    documents, arrays = archive.read_archive(saved)
    forged = documents["model.json"].replace(b'"high": 31', b'"high": "a lot"')
    assert forged != documents["model.json"]
    archive.write_archive(saved, {**documents, "model.json": forged}, arrays)
    with pytest.raises(sp.ArchiveError, match="high"):
        sp.load(saved)
    archive.write_archive(saved, {**documents, "model.json": b"[]"}, arrays)
    with pytest.raises(sp.ArchiveError, match="is not of the format"):
        sp.load(saved)


def test_zip_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.spk"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, content in (("model.json", bytes(32 * 2**20)), ("manifest.json", b"{}" * 50)):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16  # as our own writer does
            bomb.writestr(info, content, zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    assert len(content) < 2**20
    tracemalloc.start()
    with pytest.raises(sp.ArchiveError) as caught:
        sp.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (problem,) = caught.value.problems
    assert problem.where == f"{path}: model.json"
    assert "declares 33554432 bytes" in problem.why
    assert "the ratio is 200 at most" in problem.why
    assert peak < 2**20  # it was never expanded
    assert path.read_bytes() == content


class Payload:
    """Does something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import builtins; builtins.pwned = True",)


@pytest.mark.parametrize("form", ["pickle", "torch", "numpy"])
def test_pickled_file_pretending_to_be_spk(tmp_path: Path, form: str) -> None:
    path = tmp_path / "evil.spk"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    elif form == "torch":
        torch.save(Payload(), path)
    else:
        with open(path, "wb") as file:
            np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)
    not_loaded(path, path.read_bytes())
    assert not hasattr(builtins, "pwned")


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.spk"
    with pytest.raises(sp.FileError) as caught:
        sp.load(path)
    complains(caught, path, "cannot be read: No such file")
    assert not isinstance(caught.value, sp.ArchiveError)


def test_a_report_where_no_page_can_be_written(saved: Path) -> None:
    for write in (converted().report.to_html, converted().report.to_json):
        with pytest.raises(sp.FileError) as caught:
            write(saved / "report")
        complains(caught, saved / "report", "Not a directory")
    assert unharmed(saved)
