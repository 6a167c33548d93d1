"""The container: equal bytes for equal content, whole or nothing, and no belief in anything that a file says."""

import errno
import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from spikeport.errors import ArchiveError, FileError
from spikeport.storage import archive
from spikeport.storage.archive import read_archive, write_archive

DOCUMENTS = {"model.json": b'{"format": "some", "content": [1, 2, 3]}', "report.json": b'{"ok": true}'}
ARRAYS = {
    "a0": np.arange(-40, 40, dtype=np.int64).reshape(8, 10),
    "a1": np.array(2.5, dtype=np.float32),
    "a2": np.zeros((0, 3), dtype=np.bool_),
    "a3": np.zeros(4096),
}
PLAIN_FILE = 0o100644 << 16


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=array.dtype.hasobject)
    return stream.getvalue()


def npy_with_header(header, data=b""):
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@dataclass
class Member:
    """One member as it will stand in the file, every field open to lies."""

    name: str
    data: bytes
    method: int = 8
    flags: int = 0
    attributes: int = PLAIN_FILE
    size: int | None = None
    packed_size: int | None = None
    content: bytes | None = None
    offset: int | None = None
    local_name: str | None = None
    local_extra: bytes = b""
    extra: bytes = b""
    crc: int | None = None
    packed: bytes = field(init=False)

    def __post_init__(self):
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        raw = self.data if self.content is None else self.content
        self.packed = stream.compress(raw) + stream.flush() if self.method == 8 else raw
        self.size = len(self.data) if self.size is None else self.size
        self.packed_size = len(self.packed) if self.packed_size is None else self.packed_size
        self.crc = zlib.crc32(self.data) if self.crc is None else self.crc


def listed(members, **changes):
    entries = {m.name: {"size": m.size, "sha256": sha256(m.data).hexdigest()} for m in members}
    return json.dumps({"format": archive.FORMAT, "members": entries | changes}).encode()


def zipped(members, *, gap=b"", count=None, manifest=None):
    """A zip file of exactly these members and a manifest that agrees with them."""
    manifest = listed(members) if manifest is None else manifest
    members = [*members, Member("manifest.json", manifest, method=0)]
    body, directory = b"", b""
    for m in members:
        offset = len(body) if m.offset is None else m.offset
        name, local = m.name.encode(), (m.name if m.local_name is None else m.local_name).encode()
        common = struct.pack("<5H3L", 20, m.flags, m.method, 0, 33, m.crc, m.packed_size, m.size)
        body += (
            b"PK\x03\x04"
            + common
            + struct.pack("<2H", len(local), len(m.local_extra))
            + local
            + m.local_extra
            + m.packed
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 3 << 8 | 20) + common
        directory += struct.pack("<5H2L", len(name), len(m.extra), 0, 0, 0, m.attributes, offset) + name + m.extra
    body += gap
    n = len(members) if count is None else count
    return body + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n, n, len(directory), len(body), 0)


MODEL = Member("model.json", b'{"a": 1}', method=0)
WEIGHT = Member("arrays/a0.npy", npy(np.arange(300)))


def read_bytes(tmp_path, content):
    path = tmp_path / "crafted.spk"
    path.write_bytes(content)
    return read_archive(path)


def equal(one, other):
    return (
        one[0] == other[0]
        and one[1].keys() == other[1].keys()
        and all(
            a.dtype == other[1][k].dtype and a.shape == other[1][k].shape and a.tobytes() == other[1][k].tobytes()
            for k, a in one[1].items()
        )
    )


def refused(tmp_path, content, match=None):
    with pytest.raises(ArchiveError, match=match) as caught:
        read_bytes(tmp_path, content)
    return caught.value


# -- writing and reading ----------------------------------------------------------------------------------------------


def test_what_was_written_is_read(tmp_path):
    path = write_archive(tmp_path / "m.spk", DOCUMENTS, ARRAYS)
    assert path == tmp_path / "m.spk"
    assert equal(read_archive(path), (DOCUMENTS, ARRAYS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    array=npst.arrays(
        st.sampled_from(["?", "i1", "<i2", ">i4", "<i8", "u1", "<u2", "<u4", ">u8", "<f2", "<f4", ">f8"]),
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    fortran=st.booleans(),
)
def test_any_array_of_plain_numbers_comes_back_in_native_order(tmp_path, array, fortran):
    array = np.asfortranarray(array) if fortran and array.ndim > 1 else array
    _, arrays = read_archive(write_archive(tmp_path / "m.spk", {}, {"x": array}))
    found = arrays["x"]
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


def test_arrays_are_read_only_and_own_their_data(tmp_path):
    _, arrays = read_archive(write_archive(tmp_path / "m.spk", DOCUMENTS, ARRAYS))
    assert all(not a.flags.writeable and a.base is None and a.flags.c_contiguous for a in arrays.values())


def test_writing_twice_gives_identical_files(tmp_path):
    first = write_archive(tmp_path / "one.spk", DOCUMENTS, ARRAYS)
    os.utime(first, (0, 0))
    shuffled = dict(reversed(ARRAYS.items()))
    second = write_archive(tmp_path / "two.spk", dict(reversed(DOCUMENTS.items())), shuffled)
    third = write_archive(tmp_path / "one.spk", *read_archive(first))
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()


def test_any_zip_tool_opens_it(tmp_path):
    with zipfile.ZipFile(write_archive(tmp_path / "m.spk", DOCUMENTS, ARRAYS)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == [*sorted([*DOCUMENTS, *(f"arrays/{n}.npy" for n in ARRAYS)]), "manifest.json"]
        assert np.array_equal(np.load(io.BytesIO(opened.read("arrays/a0.npy"))), ARRAYS["a0"])


def test_constant_arrays_of_any_size_are_within_the_ratio_that_is_read(tmp_path):
    zeros = np.zeros(10**6, dtype=np.int64)
    _, arrays = read_archive(write_archive(tmp_path / "m.spk", {"model.json": b" " * 10**6}, {"z": zeros}))
    assert np.array_equal(arrays["z"], zeros)


# -- whole or not at all ----------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "m.spk"
    path.write_bytes(b"the old file")
    return path


def untouched(path):
    return path.read_bytes() == b"the old file" and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("which", [0, 1, 5])
def test_a_full_disk_leaves_the_old_file(monkeypatch, old, which):
    calls, write = [], zipfile.ZipFile.writestr

    def full(*args, **kwargs):
        calls.append(args)
        if len(calls) > which:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(FileError, match="No space left"):
        write_archive(old, DOCUMENTS, ARRAYS)
    assert len(calls) == which + 1
    assert untouched(old)


def test_a_disk_that_is_full_when_the_data_reaches_it_leaves_the_old_file(monkeypatch, old):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left"):
        write_archive(old, DOCUMENTS, ARRAYS)
    assert untouched(old)


def test_being_interrupted_leaves_the_old_file(monkeypatch, old):
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", killed)
    with pytest.raises(KeyboardInterrupt):
        write_archive(old, DOCUMENTS, ARRAYS)
    assert untouched(old)


def test_a_missing_folder_and_a_file_as_folder_are_named(old):
    for folder in (old.parent / "missing", old):
        with pytest.raises(FileError, match="cannot be written"):
            write_archive(folder / "m.spk", DOCUMENTS, ARRAYS)
    assert untouched(old)


def test_a_folder_that_is_not_writable_is_named(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(FileError, match="Permission denied"):
        write_archive(folder / "m.spk", DOCUMENTS, ARRAYS)
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("documents", "arrays", "why"),
    [
        ({"../model.json": b""}, {}, "not a name"),
        ({"manifest.json": b""}, {}, "not a name"),
        ({}, {"a/b": np.zeros(1)}, "not a name"),
        ({}, {"o": np.array([None])}, "dtype object"),
        ({}, {"c": np.zeros(1, complex)}, "dtype complex128"),
        ({}, {"s": np.array(["x"])}, "dtype <U1"),
        ({}, {"big": np.broadcast_to(np.zeros(()), (2**28,))}, "larger than"),
        ({}, {f"x{i}": np.broadcast_to(np.zeros(()), (2**26,)) for i in range(9)}, "more than"),
    ],
)
def test_what_would_not_be_read_is_not_written(tmp_path, documents, arrays, why):
    with pytest.raises(FileError, match=why):
        write_archive(tmp_path / "m.spk", documents, arrays)
    assert os.listdir(tmp_path) == []


# -- files that are no archives ---------------------------------------------------------------------------------------


def test_a_missing_file_a_folder_and_a_pipe_are_file_errors_and_not_archive_errors(tmp_path):
    cases = [(tmp_path / "none.spk", "No such file"), (tmp_path, "regular")]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        cases.append((tmp_path / "pipe", "regular"))
    for path, why in cases:
        with pytest.raises(FileError, match=why) as caught:
            read_archive(path)
        assert not isinstance(caught.value, ArchiveError)
        assert caught.value.problems[0].where == str(path)
    with pytest.raises(FileError, match="null"):
        read_archive(Path("a\0b"))


def test_a_file_of_another_kind_is_an_archive_error(tmp_path):
    for content in (b"", b"PK", b"\x89HDF\r\n\x1a\n" * 40, bytes(100), b"PK\x05\x06" + bytes(18)):
        refused(tmp_path, content)
    np.savez(tmp_path / "m.npz", a=np.zeros(3))
    with pytest.raises(ArchiveError):
        read_archive(tmp_path / "m.npz")


def test_every_truncation_is_refused(tmp_path):
    whole = write_archive(tmp_path / "m.spk", DOCUMENTS, ARRAYS).read_bytes()
    step = max(1, len(whole) // 1500)
    for length in (*range(0, len(whole), step), len(whole) - 1):
        refused(tmp_path, whole[:length])


def test_bytes_before_or_after_are_refused(tmp_path):
    whole = zipped([MODEL, WEIGHT])
    read_bytes(tmp_path, whole)
    refused(tmp_path, whole + b"\0")
    refused(tmp_path, b"#!/bin/sh\n" + whole, "belong to no member")
    refused(tmp_path, zipped([MODEL, WEIGHT], gap=b"more"), "belong to no member")


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_no_flipped_byte_changes_what_is_read(tmp_path, mask):
    arrays = {name: array for name, array in ARRAYS.items() if name != "a3"}
    whole = write_archive(tmp_path / "m.spk", DOCUMENTS, arrays).read_bytes()
    expected, accepted = read_archive(tmp_path / "m.spk"), 0
    for place in range(len(whole)):
        content = whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]
        try:
            found = read_bytes(tmp_path, content)
        except ArchiveError:
            continue
        assert equal(found, expected), place
        accepted += 1
    assert accepted <= 16  # three lengths at the very end of the list, and unused bits at the end of each stream


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_random_damage_is_refused_or_harmless(tmp_path, data):
    whole = zipped([MODEL, WEIGHT])
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    try:
        found = read_bytes(tmp_path, bytes(content))
    except ArchiveError:
        return
    assert equal(found, read_bytes(tmp_path, whole))


# -- crafted files ----------------------------------------------------------------------------------------------------


def test_a_crafted_file_without_lies_is_read(tmp_path):
    documents, arrays = read_bytes(tmp_path, zipped([WEIGHT, MODEL]))
    assert documents == {"model.json": MODEL.data}
    assert np.array_equal(arrays["a0"], np.arange(300))


@pytest.mark.parametrize(
    "name",
    [
        "../model.json", "/model.json", "arrays/../../x.npy", "arrays\\a.npy", "C:model.json", "arrays/", "arrays/a.npy/",
        "arrays/.npy", "Model.json", "model.json\0.npy", "arrays/a b.npy", "model.txt", "arrays/a/b.npy", "", "mödel.json",
        "a" * 80 + ".json", "model.json\n",
    ],
)  # fmt: skip
def test_names_outside_the_pattern_are_refused(tmp_path, name):
    flags = 0 if name.isascii() else 0x800
    refused(tmp_path, zipped([MODEL, Member(name, b"x", method=0, flags=flags)]), "not a name for a member")


def test_names_used_twice_are_refused(tmp_path):
    refused(tmp_path, zipped([MODEL, MODEL]), r"model\.json: is a name used twice")


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (Member("a.json", b"/etc/passwd", method=0, attributes=0o120777 << 16), "not a plain file"),
        (Member("a.json", b"", method=0, attributes=0o040755 << 16 | 0x10), "not a plain file"),
        (Member("a.json", b"x", method=0, extra=b"\x99\x99\0\0"), "not a plain file"),
        (Member("a.json", b"x", method=0, flags=1), "encrypted"),
        (Member("a.json", b"x", method=0, flags=8), "encrypted or of an unusual form"),
        (Member("a.json", b"x" * 100, method=12), "method 12"),
        (Member("a.json", b"x" * 100, method=14), "method 14"),
        (Member("a.json", b"x" * 100, method=99), "method 99"),
        (Member("a.json", b"x", method=0, local_name="b.json"), "header that differs"),
        (Member("a.json", b"x", method=0, local_extra=b"\x99\x99\0\0"), "belong to no member|begins at"),
        (Member("a.json", b"x" * 50, crc=7), "wrong checksum"),
        (Member("a.json", b"x" * 50, method=0, size=60), "declares 60 bytes in 50"),
        (Member("a.json", b"x" * 50, method=0, size=40), "declares 40 bytes in 50"),
        (Member("a.json", b"x" * 50, offset=3), "begins at byte 3"),
        (Member("a.json", b"x" * 50, offset=0), "begins at byte 0"),
        (Member("a.json", b"x" * 50, size=2**31), "2147483648 bytes; 67108864 is the most"),
        (Member("arrays/x.npy", b"x" * 50, size=2**31), "2147483648 bytes; 1073741824 is the most"),
    ],
)
def test_members_that_are_not_plain_are_refused_by_name(tmp_path, member, why):
    error = refused(tmp_path, zipped([MODEL, member]), why)
    assert any("a.json" in p.where or "x.npy" in p.where or "manifest" in p.where for p in error.problems)


def test_members_that_share_bytes_are_refused(tmp_path):
    shared = Member("b.json", WEIGHT.data, offset=30 + len("model.json") + len(MODEL.packed))
    refused(tmp_path, zipped([MODEL, WEIGHT, shared]), "begins at byte")


def test_a_list_of_members_that_would_fill_memory_is_refused_before_it_is_read(tmp_path):
    whole = zipped([MODEL])
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65_535, 65_535, 65_535 * 46, len(whole), 0)
    refused(tmp_path, whole + bytes(65_535 * 46) + end, "declares 65535 members")
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, 10**6, len(whole), 0)
    refused(tmp_path, whole + bytes(10**6) + end, "declares 2 members in 1000000 bytes")
    refused(tmp_path, zipped([MODEL], count=1), "damaged list|missing|is missing")


def test_the_64_bit_records_of_large_zip_files_are_refused(tmp_path):
    whole = zipped([MODEL])
    *fields, length, start, comment = struct.unpack("<4s4H2LH", whole[-22:])
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = struct.pack("<4s4H2LH", *fields, length + len(locator), start, comment)
    refused(tmp_path, whole[:-22] + locator + end, "belong to no member")


def peak_of(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MEGABYTE = 2**20


def test_a_bomb_is_refused_without_being_expanded(tmp_path):
    bomb = zipped([MODEL, Member("arrays/z.npy", npy(np.zeros(4 * MEGABYTE)))])
    assert len(bomb) < MEGABYTE / 20 * 2
    assert (
        peak_of(lambda: refused(tmp_path, bomb, r"arrays/z\.npy: declares 335\d+ bytes in \d+; the ratio")) < MEGABYTE
    )


@pytest.mark.parametrize("declared", [0, 1000, 100_000])
def test_a_member_that_declares_less_than_it_holds_is_not_expanded(tmp_path, declared):
    content = b"{" + b" " * (32 * MEGABYTE)
    member = Member("a.json", content[:declared], content=content)
    whole = zipped([MODEL, member])
    assert (len(member.packed) < declared) == (declared == 100_000)
    why = "does not hold the 100000 bytes" if declared == 100_000 else rf"a\.json: declares {declared} bytes in"
    assert peak_of(lambda: refused(tmp_path, whole, why)) < MEGABYTE


def test_a_member_that_holds_little_more_than_it_declares_is_refused_in_the_stream(tmp_path):
    text = np.random.default_rng(0).integers(0, 64, 5000, dtype=np.uint8).tobytes()
    refused(tmp_path, zipped([MODEL, Member("a.json", text[:-1], content=text)]), "does not hold the 4999 bytes")
    refused(tmp_path, zipped([MODEL, Member("a.json", text + b"x", content=text)]), "does not hold the 5001 bytes")


def test_bytes_hidden_behind_the_end_of_a_stream_are_refused(tmp_path):
    member = Member("a.json", b"ab" * 500)
    member.packed += b"hidden"
    member.packed_size += 6
    refused(tmp_path, zipped([MODEL, member]), "does not hold the 1000 bytes")


def test_the_sum_of_all_sizes_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 1000)
    refused(tmp_path, zipped([MODEL, WEIGHT]), "declares more than 1000 bytes")


# -- the manifest -----------------------------------------------------------------------------------------------------


def test_a_file_without_manifest_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.spk", "w") as file:
        file.writestr("model.json", b"{}")
    with pytest.raises(ArchiveError, match=r"manifest\.json: is missing"):
        read_archive(tmp_path / "m.spk")


HASH = sha256(MODEL.data).hexdigest()


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"a":' * 5000, "not JSON"),
        (b"[]", "not of the format"),
        (b'{"format": "spikeport.archive/2", "members": {}}', "not of the format"),
        (listed([]), r"model\.json: is not in the manifest"),
        (listed([MODEL, Member("b.json", b"")]), r"b\.json: is in the manifest, not in the file"),
        (listed([MODEL], **{"model.json": {"size": 9, "sha256": HASH}}), r"model\.json: has 8 bytes, not 9"),
        (listed([MODEL], **{"model.json": {"size": 8, "sha256": "0" * 64}}), r"model\.json: does not have the hash"),
        (listed([MODEL], **{"model.json": {"size": 8, "sha256": HASH.upper()}}), "does not have the hash"),
        (listed([MODEL], **{"model.json": {"size": True, "sha256": HASH}}), "no size and hash"),
        (listed([MODEL], **{"model.json": {"size": 8, "sha256": HASH, "x": 1}}), "no size and hash"),
        (listed([MODEL], **{"model.json": 3}), "no size and hash"),
        (json.dumps({"format": archive.FORMAT, "members": []}).encode(), "does not list members"),
        (json.dumps({"format": archive.FORMAT, "members": {}, "more": 1}).encode(), "does not list members"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, manifest, why):
    read_bytes(tmp_path, zipped([MODEL], manifest=listed([MODEL])))
    refused(tmp_path, zipped([MODEL], manifest=manifest), why)


# -- arrays -----------------------------------------------------------------------------------------------------------


class Trap:
    """Leaves a trace when it is unpickled."""

    sprung = False

    def __reduce__(self):
        return (Trap.spring, ())

    @staticmethod
    def spring():
        Trap.sprung = True


HEADER = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (npy(np.array([Trap()], dtype=object)), "not an array of plain numbers"),
        (npy(np.asfortranarray(np.ones((2, 3)))), "not an array of plain numbers"),
        (npy(np.zeros(2, dtype=[("a", "<i4")])), "not an array of plain numbers"),
        (npy(np.zeros(2, dtype="<c16")), "not an array of plain numbers"),
        (npy(np.zeros(2, dtype="<M8[s]")), "not an array of plain numbers"),
        (npy(np.zeros(2, dtype=">i4")), "not an array of plain numbers"),
        (npy(np.array(["ab"])), "not an array of plain numbers"),
        (b"", "not an array of plain numbers"),
        (b"\x93NUMPY\x01\x00\xff\xff", "not an array of plain numbers"),
        (b"\x93NUMPY\x03\x00" + npy(np.zeros(2))[8:], "not an array of plain numbers"),
        (npy_with_header(HEADER % ("|f8", "False", "(1,)"), bytes(8)), "has dtype"),
        (npy_with_header(HEADER % ("<f8", "False", "(2,)"), bytes(8)), "which is not shape"),
        (npy_with_header(HEADER % ("<f8", "False", "(1,)"), bytes(9)), "which is not shape"),
        (npy_with_header(HEADER % ("<f8", "False", "(999999999, 999999999)")), "which is not shape"),
        (npy_with_header(HEADER % ("<f8", "False", "(0, 999999999999, 999999999999)")), "which is not shape"),
        (npy_with_header(HEADER % ("<f8", "False", f"({'1, ' * 40}1)"), bytes(8)), "which is not shape"),
        (npy_with_header(HEADER % ("<f8", "False", "(-1,)"), bytes(8)), "not an array of plain numbers"),
        (npy_with_header(HEADER % ("<f8", "False", "(1, )"), bytes(8)), "not an array of plain numbers"),
        (npy_with_header(HEADER % ("<f8", "False", "(__import__('os'),)"), bytes(8)), "not an array of plain numbers"),
        (npy_with_header(HEADER % ("|b1", "False", "(2,)"), b"\1\2"), "neither 0 nor 1"),
    ],
)  # fmt: skip
def test_members_that_are_no_plain_arrays_are_refused(tmp_path, content, why):
    error = refused(tmp_path, zipped([MODEL, Member("arrays/x.npy", content, method=0)]), why)
    assert error.problems[0].where.endswith("arrays/x.npy")
    assert not Trap.sprung


def test_the_header_that_the_tests_write_is_otherwise_accepted(tmp_path):
    content = npy_with_header(HEADER % ("<f8", "False", "(1, 2)"), np.array([1.0, 2.0]).tobytes())
    _, arrays = read_bytes(tmp_path, zipped([Member("arrays/x.npy", content)]))
    assert arrays["x"].tolist() == [[1.0, 2.0]]
