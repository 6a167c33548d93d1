"""Texts of HDF5 files: what would keep the library in place for ever is refused before it opens a file."""

import struct

import h5py
import numpy as np
import pytest

import spikeport as sp
from spikeport.lava_dl.read import FORMAT
from spikeport.storage import hdf5_heaps
from spikeport.storage.hdf5 import read_tree

HEADER = 16


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "texts.h5", "w") as file:
        for name in "abc":
            file[name] = name * 5
    return tmp_path / "texts.h5"


def overwrite(path, at, values):
    """Bytes behind the begin of the only collection of texts."""
    data = bytearray(path.read_bytes())
    assert data.count(b"GCOL") == 1
    start = data.index(b"GCOL") + at
    data[start : start + len(values)] = values
    path.write_bytes(data)
    return path


def test_files_of_the_library_have_no_problem(path, tmp_path):
    assert hdf5_heaps.problem(path) == ""
    for version in ("earliest", "latest"):
        with h5py.File(tmp_path / f"{version}.h5", "w", libver=version) as file:
            file.create_dataset("many", data=["x" * n for n in range(300)], dtype=h5py.string_dtype())
            file.create_dataset("long", data="y" * 100_000)
            file["numbers"] = np.arange(10)
        assert hdf5_heaps.problem(tmp_path / f"{version}.h5") == ""


@pytest.mark.parametrize(
    "length",
    [0, 2**64 - 16, 2**64 - 1, 4096, 2**63],
    ids=["zeros follow", "back by its header", "wraps", "beyond the end", "half of all"],
)
def test_a_length_by_which_nobody_gets_ahead_is_refused(length, path):
    # an object of length 0 is its header: what is read next is its text, then zeros: leftovers of length 0
    overwrite(path, HEADER + 8, struct.pack("<Q", length))
    assert "damaged table of texts" in hdf5_heaps.problem(path)


def test_leftovers_of_length_0_are_refused(path):
    overwrite(path, HEADER + 3 * (HEADER + 8) + 8, struct.pack("<Q", 0))
    assert "damaged table of texts" in hdf5_heaps.problem(path)


def test_leftovers_that_fill_the_collection_are_not(path):
    data = path.read_bytes()
    start = data.index(b"GCOL")
    left = HEADER + 3 * (HEADER + 8)
    assert struct.unpack_from("<Q", data, start + left + 8) == (4096 - left,)
    for wrong, found in ((4096 - left + 1, "damaged"), (4096 - left, "")):
        overwrite(path, left + 8, struct.pack("<Q", wrong))
        assert found in hdf5_heaps.problem(path)
    assert hdf5_heaps.problem(path) == ""


def test_more_texts_than_anybody_writes_are_refused(path, monkeypatch):
    monkeypatch.setattr(hdf5_heaps, "MOST_OBJECTS", 5)  # the collection, three texts, and what is left over
    assert hdf5_heaps.problem(path) == ""
    monkeypatch.setattr(hdf5_heaps, "MOST_OBJECTS", 4)
    assert "more than 4 texts" in hdf5_heaps.problem(path)


@pytest.mark.parametrize("tail", [b"GCOL", b"GCOL\x01", b"GCOL\x01\0\0\0" + b"\xff" * 8, b"GCOL\x02" + bytes(8000)])
def test_the_same_letters_elsewhere_are_no_table(tail, path):
    path.write_bytes(path.read_bytes() + tail)
    assert hdf5_heaps.problem(path) == ""


@pytest.mark.parametrize("sizes", [(8, 4), (4, 8)])
def test_addresses_and_lengths_of_another_size_are_refused(sizes, tmp_path):
    plan = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plan.set_sizes(*sizes)
    path = tmp_path / "short.h5"
    h5py.h5f.create(bytes(path), h5py.h5f.ACC_TRUNC, plan).close()
    assert "other than 8 bytes" in hdf5_heaps.problem(path)


WAYS = [
    {},
    {"chunks": (2, 2)},
    {"chunks": (2, 2), "compression": "gzip"},
    {"chunks": (4, 1), "compression": "gzip", "shuffle": True},
    {"chunks": (3, 2), "shuffle": True},
]
TEXTS = [["", "a"], ["bb", "ccc"], ["x" * 300, "\u00e9"], ["dddd", "e"], ["f", "g" * 70_000]]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_lengths_are_those_of_the_texts_however_they_are_stored(way, tmp_path):
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("table", data=TEXTS, dtype=h5py.string_dtype(), **way)
    with h5py.File(path) as file:
        found = hdf5_heaps.lengths(file["table"], path)
    expected = sorted(len(text.encode()) for row in TEXTS for text in row)
    # chunks are filled up with nothing
    assert sorted(found.tolist())[-len(expected) :] == expected


def test_a_text_that_says_it_is_long_is_refused_before_memory_is_set_aside(path):
    with h5py.File(path) as file:
        at = file["b"].id.get_offset()
    data = bytearray(path.read_bytes())
    assert struct.unpack_from("<I", data, at) == (5,)
    data[at : at + 4] = b"\xff" * 4
    path.write_bytes(data)
    with h5py.File(path) as file:
        assert hdf5_heaps.lengths(file["b"], path).tolist() == [2**32 - 1]
    with pytest.raises(sp.LavaError, match="/b: is not a text of at most 1000 bytes"):
        read_tree(path, FORMAT)


def test_texts_in_a_header_or_nowhere_are_refused(path):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    with h5py.File(path, "r+") as file:
        kind, space = h5py.h5t.py_create(h5py.string_dtype(), logical=True), h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5d.create(file.id, b"compact", kind, space, plan)
        file.create_dataset("unwritten", (), h5py.string_dtype())
        for name in ("compact", "unwritten"):
            assert hdf5_heaps.lengths(file[name], path) is None
    with pytest.raises(sp.LavaError, match="/compact: keeps its texts in a way"):
        read_tree(path, FORMAT)
