"""The loaders of `bench/` read tiny files of each layout, and refuse damaged ones."""

import gzip
import lzma
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import data

PLAIN = {"mean": (0.0,), "std": (1.0,)}


def cifar_images(n: int = 3) -> data.Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return data.Images(pixels, np.arange(n, dtype=np.int64))


def compact(images: data.Images) -> bytes:
    """The compact layout, written as its description says."""
    red, green, blue = images.pixels.transpose(1, 0, 2, 3)
    planes = np.stack([red - green, green, blue - green])
    rows = np.diff(planes, axis=2, prepend=np.zeros_like(planes[:, :, :1]))
    both = np.diff(rows, axis=3, prepend=np.zeros_like(rows[..., :1]))
    return lzma.compress(images.labels.astype(np.uint8).tobytes() + both.tobytes())


def idx(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder: Path, *, packed: bool = False) -> NDArray[np.uint8]:
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    for name, array in (("images-idx3", pixels), ("labels-idx1", np.array([7, 2, 1, 0], np.uint8))):
        raw = idx(array)
        path = folder / f"t10k-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(raw) if packed else raw)
    return pixels


def nmnist_arrays() -> dict[str, NDArray[np.generic]]:
    """Two recordings of 4 and 3 events."""
    return {
        "label": np.array([7, 2], np.uint8),
        "mnist_number": np.array([1, 2], np.uint32),
        "offset": np.array([0, 4, 7], np.uint32),
        "x": np.array([0, 1, 2, 33, 5, 5, 5], np.uint8),
        "y": np.array([0, 0, 0, 33, 6, 6, 6], np.uint8),
        "p": np.array([0, 1, 0, 1, 1, 1, 0], np.uint8),
        "dt": np.array([10, 20, 30, 39, 0, 1, 1], np.uint16),  # times 10 30 60 99 and 0 1 2
    }


def write_npz(path: Path, **changed: NDArray[np.generic]) -> Path:
    np.savez(path, **{**nmnist_arrays(), **changed})
    return path


def test_both_layouts_of_cifar_hold_the_same_images(tmp_path: Path) -> None:
    images = cifar_images()
    (tmp_path / "test_batch.bin").write_bytes(data.cifar_records(images))
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "data_batch_1.xz").write_bytes(compact(images))
    for found in (
        data.cifar10(tmp_path, "test", verify=False),
        data.cifar10(tmp_path, "train", files=1, verify=False),
    ):
        np.testing.assert_array_equal(found.pixels, images.pixels)
        assert found.labels.tolist() == [0, 1, 2]


def test_a_cifar_record_is_a_label_and_three_planes(tmp_path: Path) -> None:
    record = bytes([6]) + bytes([1] * 1024 + [2] * 1024 + [3] * 1023 + [4])
    path = tmp_path / "test_batch.bin"
    path.write_bytes(record)
    images = data.read_cifar_records(path)
    assert images.labels.tolist() == [6]
    assert images.pixels[0, :, 0, 0].tolist() == [1, 2, 3]
    assert images.pixels[0, 2, 31, 31] == 4


@pytest.mark.parametrize(
    ("name", "contents", "why"),
    [
        ("test_batch.bin", data.cifar_records(cifar_images())[:-1], "whole number of records"),
        ("test_batch.bin", b"", "whole number of records"),
        ("test_batch.bin", bytes([10]) + bytes(3072), "label 10"),
        ("test_batch.xz", compact(cifar_images())[:-20], "not a complete xz file"),
        ("test_batch.xz", b"something else", "not a complete xz file"),
        ("test_batch.xz", lzma.compress(bytes(3072)), "whole number of records"),
    ],
)
def test_damaged_cifar_files_are_refused(tmp_path: Path, name: str, contents: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(data.DataFileError, match=why):
        data.cifar10(tmp_path, "test", verify=False)


def test_contents_other_than_the_published_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "test_batch.bin").write_bytes(data.cifar_records(cifar_images()))
    write_mnist(tmp_path / "mnist")
    write_npz(tmp_path / "nmnist_1100.npz")
    for load in (data.cifar10, data.mnist, data.nmnist):
        with pytest.raises(data.DataFileError, match="the published contents have"):
            load(tmp_path, "test")


def test_a_missing_file_is_named_with_the_places_looked_in(tmp_path: Path) -> None:
    with pytest.raises(data.DataFileError, match=r"no test_batch\.bin or test_batch\.xz \(looked in cifar10/"):
        data.cifar10(tmp_path, "test")


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_packed_or_not(tmp_path: Path, packed: bool) -> None:
    pixels = write_mnist(tmp_path / "mnist", packed=packed)
    images = data.mnist(tmp_path, "test", verify=False)
    assert images.pixels.shape == (4, 1, 28, 28)
    np.testing.assert_array_equal(images.pixels[:, 0], pixels)
    assert images.labels.tolist() == [7, 2, 1, 0]
    assert len(images.first(3)) == 3


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\0\0\x0d\x01" + bytes(8), "not with the mark"),
        (b"\x1f\x8b\x08\x00" + bytes(8), "not with the mark"),
        (b"", "not with the mark"),
        (b"\0\0\x08\x03\0\0\0\x01", "inside its header"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], "holds 5 values, its header says 2 x 3"),
        (idx(np.zeros((2, 3), np.uint8)) + b"\0", "holds 7 values"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path: Path, raw: bytes, why: str) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(raw)
    with pytest.raises(data.DataFileError, match=why):
        data.read_idx(path)


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.zeros((2, 3), np.uint8)))[:-9])
    with pytest.raises(data.DataFileError, match="not a complete gzip file"):
        data.read_idx(path)


def test_pixels_are_scaled_then_normalized_by_channel() -> None:
    pixels = np.array([[0, 255], [255, 51]], np.uint8).reshape(1, 2, 1, 2)
    found = data.normalized(pixels, mean=(0.5, 0.0), std=(0.25, 2.0))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), [-2.0, 2.0, 0.5, 0.1], rtol=1e-6)


def test_events_are_counted_in_equal_parts_of_a_recording(tmp_path: Path) -> None:
    found = data.read_nmnist_npz(write_npz(tmp_path / "few.npz"), slice(0, 1))
    assert found.time_us.tolist() == [10, 30, 60, 99]
    counts = found.counts(0, 3)
    assert counts.shape == (3, 2, 34, 34)
    assert [counts[t].sum() for t in range(3)] == [2, 1, 1]
    assert counts[0, 1, 0, 1] == 1
    assert counts[2, 1, 33, 33] == 1


def test_time_bins_of_a_third_sum_to_its_frame(tmp_path: Path) -> None:
    found = data.read_nmnist_npz(write_npz(tmp_path / "few.npz"), slice(None))
    fine, whole = found.thirds(4), found.thirds(1)
    assert fine.bins.shape == (4, 6, 2, 34, 34)
    assert fine.labels.tolist() == [7, 7, 7, 2, 2, 2]
    np.testing.assert_array_equal(fine.summed, whole.bins[0])
    assert fine.summed.sum() == 7


def test_a_folder_of_the_authors_gives_the_same_recordings(tmp_path: Path) -> None:
    expected = data.read_nmnist_npz(write_npz(tmp_path / "few.npz"), slice(None))
    for i, label in enumerate(expected.label):
        events = range(expected.offset[i], expected.offset[i + 1])
        raw = b"".join(
            bytes([expected.x[e], expected.y[e]])
            + (int(expected.p[e]) << 23 | int(expected.time_us[e])).to_bytes(3, "big")
            for e in events
        )
        (tmp_path / "Test" / str(label)).mkdir(parents=True)
        (tmp_path / "Test" / str(label) / f"{i + 1:05d}.bin").write_bytes(raw)
    found = data.read_nmnist_folder(tmp_path / "Test", 2)
    for name in ("label", "offset", "x", "y", "p", "time_us"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    with pytest.raises(data.DataFileError, match=r"00003\.bin is missing, and 97 others"):
        data.nmnist(tmp_path, "test")


def test_an_overflow_of_the_clock_is_no_event(tmp_path: Path) -> None:
    path = tmp_path / "00001.bin"
    path.write_bytes(bytes([1, 2, 128, 0, 5, 0, 240, 0, 0, 0, 3, 4, 0, 1, 0]))
    x, y, p, time = data.read_nmnist_events(path)
    assert [x.tolist(), y.tolist(), p.tolist(), time.tolist()] == [[1, 3], [2, 4], [1, 0], [5, 8192 + 256]]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"x": np.array([0, 1, 2, 34, 5, 5, 5], np.uint8)}, "outside of 34 x 34"),
        ({"p": np.array([0, 1, 2, 0, 1, 1, 1], np.uint8)}, "outside of 34 x 34"),
        ({"dt": np.zeros(6, np.uint16)}, "do not fit together"),
        ({"offset": np.array([0, 7, 7], np.uint32)}, "without events"),
        ({"x": np.zeros(7, np.int64)}, "x is int64"),
    ],
)
def test_npz_files_that_are_not_well_formed_are_refused(
    tmp_path: Path, changed: dict[str, NDArray[np.generic]], why: str
) -> None:
    with pytest.raises(data.DataFileError, match=why):
        data.read_nmnist_npz(write_npz(tmp_path / "few.npz", **changed), slice(None))


def test_a_truncated_npz_file_is_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "few.npz")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(data.DataFileError, match="not a complete npz file"):
        data.read_nmnist_npz(path, slice(None))
    np.savez(path, label=np.zeros(1, np.uint8))
    with pytest.raises(data.DataFileError, match="not a complete npz file"):
        data.read_nmnist_npz(path, slice(None))


def test_batches_are_float32_tensors_with_labels(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    write_mnist(tmp_path / "mnist")
    batches = data.mnist(tmp_path, "test", verify=False).batches(3, **PLAIN)
    assert [x.shape for x, _ in batches] == [(3, 1, 28, 28), (1, 1, 28, 28)]
    assert batches[0][0].dtype == torch.float32
    assert [label for _, y in batches for label in y.tolist()] == [7, 2, 1, 0]


def test_batches_of_frames_are_event_counts(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    frames = data.read_nmnist_npz(write_npz(tmp_path / "few.npz"), slice(None)).thirds(2)
    batches = frames.batches(4)
    assert [x.shape for x, _ in batches] == [(4, 2, 34, 34), (2, 2, 34, 34)]
    assert batches[0][0].dtype == torch.float32
    assert sum(float(x.sum()) for x, _ in batches) == 7
