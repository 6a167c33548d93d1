"""Data in `.npz` files: read in batches, bounded, never executed."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport.cli import npz
from spikeport.cli.npz import BATCH, open_npz
from spikeport.errors import DataError, FileError

RNG = np.random.default_rng(0)


def written(path: Path, compressed: bool = False, **arrays: Any) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def member(header: str, content: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An `.npy` file with any header."""
    text = header.encode("latin1")
    size = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + text + content


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4", "uint8", "int64", "bool"])
def test_batches_are_the_rows_in_order(tmp_path: Path, compressed: bool, dtype: str) -> None:
    x = RNG.integers(0, 2, (BATCH + 5, 3, 4)).astype(dtype)
    y = RNG.integers(0, 10, BATCH + 5)
    data = open_npz(written(tmp_path / "d.npz", compressed, x=x, y=y))
    for _ in range(2):  # it can be read again
        parts = list(data)
        assert [len(part[0]) for part in parts] == [BATCH, 5]
        assert len(data) == 2
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), x)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), y)
        assert all(part[0].dtype.isnative and part[0].flags.writeable for part in parts)


def test_fortran_order_is_read_too(tmp_path: Path) -> None:
    x = np.asfortranarray(RNG.standard_normal((70, 5)))
    np.testing.assert_array_equal(np.concatenate(list(open_npz(written(tmp_path / "d.npz", x=x)))), x)


def test_without_labels_a_batch_is_the_inputs_alone(tmp_path: Path) -> None:
    (batch,) = open_npz(written(tmp_path / "d.npz", x=np.ones((3, 2))))
    np.testing.assert_array_equal(batch, np.ones((3, 2)))


def test_wide_samples_come_in_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MOST_AT_ONCE", 100)
    data = open_npz(written(tmp_path / "d.npz", x=np.ones((5, 5))))
    assert [len(x) for x in data] == [2, 2, 1]


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"images": np.ones((2, 2)), "labels": np.ones(2)}, "holds images, labels"),
        ({"x": np.ones((2, 2)), "x_test": np.ones((2, 2))}, "holds x, x_test"),
        ({}, "holds nothing"),
        ({"x": np.ones(4)}, r"has shape \(4,\)"),
        ({"x": np.ones(())}, r"has shape \(\)"),
        ({"x": np.ones((0, 4))}, r"has shape \(0, 4\)"),
        ({"x": np.ones((4, 4)), "y": np.ones(3)}, r"x has \(4, 4\)"),
        ({"x": np.ones((4, 4)), "y": np.array(3)}, r"has shape \(\)"),
        ({"x": np.array([["a"]])}, "has dtype <U1"),
        ({"x": np.ones((2, 2), dtype=complex)}, "has dtype complex128"),
        ({"x": np.array([[1, "a", None]], dtype=object)}, "holds Python objects"),
        ({"x": np.ones((2, 2)), "y": np.array([None, 1], dtype=object)}, "holds Python objects"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        open_npz(written(tmp_path / "d.npz", **arrays))


def test_all_shapes_that_are_wrong_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_npz(written(tmp_path / "d.npz", x=np.ones(4), y=np.ones(3)))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (member("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 4), }"), "holds 0 bytes"),
        (member("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -2), }", bytes(8)), "holds 8 bytes"),
        (member("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }", bytes(9)), "holds 9 bytes"),
        (member("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }", bytes(8)), "holds Python objects"),
        (member("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1, 1), }", bytes(8)), "is not an array"),
        (member("(" * 5000), "is not an array"),
        (member(" " * 100_000, version=(2, 0)), "is not an array"),
        (member("{}", version=(9, 9)), "is not an array"),
        (b"", "is not an array"),
        (b"x,y\n1,2\n", "is not an array"),
    ],
)
def test_a_header_is_not_believed(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(DataError, match=why):
        open_npz(zipped(tmp_path / "d.npz", x=content))


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "d.npz", compressed=True, x=np.zeros((1000, 1000)))
    monkeypatch.setattr(npz, "MOST_BYTES", 1_000_000)
    with pytest.raises(DataError, match="unpacked, more than 1,000,000"):
        open_npz(path)


def test_a_sample_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MOST_AT_ONCE", 100)
    with pytest.raises(DataError, match="has 160 bytes a sample"):
        open_npz(written(tmp_path / "d.npz", x=np.ones((2, 20))))
    with pytest.raises(DataError, match="Fortran"):
        open_npz(written(tmp_path / "d.npz", x=np.asfortranarray(np.ones((200, 10)))))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and then nothing"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"is not a readable \.npz file"):
        open_npz(path)


def test_a_single_array_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 2)))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(FileError, match=r"is not a readable \.npz file"):
        open_npz(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        open_npz(tmp_path / "d.npz")
    with pytest.raises(FileError, match="is a folder"):
        open_npz(tmp_path)


def test_damage_is_found_while_reading(tmp_path: Path) -> None:
    path = written(tmp_path / "d.npz", x=RNG.standard_normal((100, 1000)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    data = open_npz(path)
    with pytest.raises(FileError, match="is damaged"):
        list(data)
