"""The `.spk` container: JSON documents and arrays in one zip file, named and hashed by a manifest.

    arrays/<name>.npy   one array each, in the form `numpy.save` gives a C-ordered little-endian array
    <name>.json         documents
    manifest.json       format, and size and SHA-256 of every other member; stands last
    comment             SHA-256 of all bytes of the file before it, in hexadecimal

DEFLATE can say one content in many ways, and pads its last byte with bits that mean nothing; so hashes of contents do not see every
changed bit of a file, and the hash at its end does. Files from before there was one have no comment.

A reader believes nothing: the end record, the number of members, their names, places, methods and declared sizes are
checked before the first byte is decompressed, and no member may decompress to more or less than it declared. Nothing is
unpickled, and nothing is ever written below a name that a file gives.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import ArchiveError, FileError, Problem
from spikeport.files import replacing

FORMAT = "spikeport.archive/1"
MANIFEST = "manifest.json"

MAX_MEMBERS = 60_000  # below the 65,535 beyond which a zip file needs its 64-bit records, which we do not read
MAX_FILE_BYTES = 2**31 - 1  # the same, for offsets
MAX_DOCUMENT_BYTES = 64 * 2**20  # a parsed document takes some ten times its size in memory
MAX_ARRAY_BYTES = 2**30  # 128 million int64 weights in one layer
MAX_TOTAL_BYTES = 4 * 2**30  # what a machine that runs the model can hold
MAX_RATIO = 200  # DEFLATE reaches 1032 on constant bytes; the writer stores what shrinks that much
MAX_NAME = 96  # longest member name
MAX_AXES = 32  # numpy 1 has no more
MAX_PROBLEMS = 20  # a damaged file may have thousands; a reader needs some

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}\.json|arrays/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.npy")
_DTYPES = {
    np.dtype(code).str: np.dtype(code)
    for code in ("?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
}
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_HEADER = re.compile(rb"\{'descr': '([<|][bifu][1248])', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n")
_NPY_SHAPE = re.compile(rb"|[0-9]{1,12},|[0-9]{1,12}(, [0-9]{1,12})+")
_END = struct.Struct("<4s4H2LH")
_SEAL = 64  # hexadecimal digits of the hash at the end
_END_64_LOCATOR = 20  # bytes of the record that would stand before the end record
_DIRECTORY_ENTRY = 46  # fixed bytes of a member's entry in the central directory
_UNIX = 3  # the system whose file modes the attributes are
_ATTRIBUTES = (stat.S_IFREG | 0o644) << 16
_LEVEL = 1  # small integers in int64 shrink fivefold; level 6 gains a tenth and takes six times as long
_DAMAGED = "the file is damaged or was altered; save it again"


def write_archive(path: Path, documents: Mapping[str, bytes], arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write one `.spk` file, whole or not at all; equal content gives equal bytes.

    Args:
        path: where to; an older file is replaced when the new one is complete.
        documents: JSON text by name, for example `model.json`.
        arrays: numbers or booleans by name; it becomes `arrays/<name>.npy`.

    Raises:
        FileError: the folder is missing, not writable or full, or the content is none that a `.spk` file holds.
    """
    members: dict[str, bytes | NDArray[Any]] = {**documents, **{f"arrays/{name}.npy": a for name, a in arrays.items()}}
    problems = list(_unwritable(path, members))
    if problems:
        raise FileError(problems)
    entries: dict[str, dict[str, object]] = {}
    try:
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=False) as archive:
            for name in sorted(members):
                content = members[name]
                data = content if isinstance(content, bytes) else _npy(content)
                entries[name] = {"sha256": sha256(data).hexdigest(), "size": len(data)}
                _add(archive, name, data)
            manifest = json.dumps({"format": FORMAT, "members": entries}, indent=1, sort_keys=True)
            _add(archive, MANIFEST, manifest.encode("ascii"))
            archive.comment = b"0" * _SEAL
            archive.close()
            _seal(temporary)
    except zipfile.LargeZipFile as error:
        raise FileError(Problem(str(path), f"would be larger than {MAX_FILE_BYTES} bytes")) from error
    return Path(path)


def read_archive(path: Path) -> tuple[dict[str, bytes], dict[str, NDArray[Any]]]:
    """Documents by member name, and read-only arrays by the name they were written under.

    Raises:
        FileError: the file does not exist, is not a regular file, or cannot be read.
        ArchiveError: it is truncated, altered, too large, or not a `.spk` file.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FileError(Problem(str(path), "is not a regular file", "give the path of a `.spk` file"))
        with open(path, "rb") as file:
            return _read(path, file)
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(
            Problem(str(path), f"cannot be read: {reason}", "check the path and its permissions")
        ) from error


def _unwritable(path: Path, members: Mapping[str, bytes | NDArray[Any]]) -> Iterable[Problem]:
    """What the reader would refuse."""
    if len(members) + 1 > MAX_MEMBERS:
        yield Problem(str(path), f"would hold {len(members)} members; {MAX_MEMBERS - 1} is the most")
    total = 0
    for name, content in members.items():
        where = f"{path}: {name}"
        size = len(content) if isinstance(content, bytes) else content.nbytes + 1024
        total += size
        if not _NAME.fullmatch(name) or name == MANIFEST:
            yield Problem(where, "is not a name for a member")
        if not isinstance(content, bytes) and content.dtype.newbyteorder("<").str not in _DTYPES:
            yield Problem(where, f"has dtype {content.dtype}", f"one of {', '.join(map(str, _DTYPES.values()))}")
        if size > _limit(name):
            yield Problem(where, f"is larger than {_limit(name)} bytes")
    if total > MAX_TOTAL_BYTES:
        yield Problem(str(path), f"would hold more than {MAX_TOTAL_BYTES} bytes")


def _npy(array: NDArray[Any]) -> bytes:
    plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, plain, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = _UNIX
    info.external_attr = _ATTRIBUTES
    small = len(zlib.compress(data, _LEVEL))
    deflates = small < len(data) < MAX_RATIO // 2 * small
    archive.writestr(info, data, zipfile.ZIP_DEFLATED if deflates else zipfile.ZIP_STORED, _LEVEL)


def _seal(path: Path) -> None:
    """Put the hash of everything before the comment into the comment."""
    with open(path, "r+b") as file:
        found = _hash(file, os.fstat(file.fileno()).st_size - _SEAL)
        file.seek(-_SEAL, os.SEEK_END)
        file.write(found)


def _hash(file: BinaryIO, length: int) -> bytes:
    """SHA-256 of the first bytes of a file, in hexadecimal."""
    file.seek(0)
    digest = sha256()
    while length > 0 and (part := file.read(min(length, 2**20))):
        digest.update(part)
        length -= len(part)
    return digest.hexdigest().encode("ascii")


def _limit(name: str) -> int:
    return MAX_ARRAY_BYTES if name.startswith("arrays/") else MAX_DOCUMENT_BYTES


def _read(path: Path, file: BinaryIO) -> tuple[dict[str, bytes], dict[str, NDArray[Any]]]:
    members = _directory(path, file)
    manifest = _manifest(path, _content(path, file, members.pop(MANIFEST)))
    problems = [
        Problem(f"{path}: {name}", "is in the manifest, not in the file", _DAMAGED)
        for name in manifest.keys() - members.keys()
    ]
    problems += [
        Problem(f"{path}: {name}", "is not in the manifest", _DAMAGED) for name in members.keys() - manifest.keys()
    ]
    problems += [
        Problem(f"{path}: {name}", f"has {members[name].file_size} bytes, not {size}", _DAMAGED)
        for name, (size, _) in manifest.items()
        if name in members and members[name].file_size != size
    ]
    if problems:
        raise ArchiveError(sorted(problems, key=str)[:MAX_PROBLEMS])
    documents: dict[str, bytes] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name, info in members.items():
        data = _content(path, file, info)
        if sha256(data).hexdigest() != manifest[name][1]:
            raise ArchiveError(Problem(f"{path}: {name}", "does not have the hash that the manifest gives", _DAMAGED))
        if name.startswith("arrays/"):
            arrays[name.removeprefix("arrays/").removesuffix(".npy")] = _array(f"{path}: {name}", data)
        else:
            documents[name] = data
    return documents, arrays


def _directory(path: Path, file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """Members by name, in the order they stand in; the whole list is checked before any of them is read."""
    size = os.fstat(file.fileno()).st_size
    if not _END.size <= size <= MAX_FILE_BYTES:
        raise ArchiveError(Problem(str(path), f"has {size} bytes, which no `.spk` file has", _DAMAGED))
    seal = _sealed(path, file, size)
    size -= len(seal)
    tail = min(size, _END.size + _END_64_LOCATOR)
    file.seek(size - tail)
    end = file.read(tail)
    if len(end) != tail:
        raise ArchiveError(Problem(str(path), "is truncated", _DAMAGED))
    signature, disk, first_disk, here, count, length, start, comment = _END.unpack(end[-_END.size :])
    if signature != b"PK\x05\x06" or disk or first_disk or here != count or comment != len(seal):
        raise ArchiveError(Problem(str(path), "is truncated, or is not a `.spk` file", _DAMAGED))
    if count > MAX_MEMBERS or length > count * (_DIRECTORY_ENTRY + MAX_NAME):
        raise ArchiveError(
            Problem(str(path), f"declares {count} members in {length} bytes", f"at most {MAX_MEMBERS} members")
        )
    if start + length + _END.size != size or end.startswith(b"PK\x06\x07"):
        raise ArchiveError(Problem(str(path), "has bytes that belong to no member", _DAMAGED))
    try:
        infos = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, LookupError) as error:
        raise ArchiveError(Problem(str(path), f"has a damaged list of members: {error}", _DAMAGED)) from error
    members = {info.filename: info for info in infos}
    problems = [problem for info in infos for problem in _member_problems(path, info)]
    names = [info.orig_filename for info in infos]
    problems += [
        Problem(f"{path}: {_shown(n)}", "is a name used twice", _DAMAGED) for n, k in Counter(names).items() if k > 1
    ]
    if len(infos) != count or MANIFEST not in members:
        problems.append(Problem(f"{path}: {MANIFEST}", "is missing", "the file is no `.spk` file, or is damaged"))
    if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
        problems.append(Problem(str(path), f"declares more than {MAX_TOTAL_BYTES} bytes"))
    if problems:
        raise ArchiveError(problems[:MAX_PROBLEMS])
    _check_places(path, infos, start)
    return members


def _sealed(path: Path, file: BinaryIO, size: int) -> bytes:
    """The hash at the end of the file, which must be right; empty for a file from before there was one."""
    file.seek(max(0, size - _END.size - _SEAL))
    end = file.read(_END.size + _SEAL)
    if not end.startswith(b"PK\x05\x06") or len(end) != _END.size + _SEAL:
        return b""
    if _hash(file, size - _SEAL) != end[_END.size :]:
        raise ArchiveError(Problem(str(path), "does not have the hash that stands at its end", _DAMAGED))
    return end[_END.size :]


def _member_problems(path: Path, info: zipfile.ZipInfo) -> Iterable[Problem]:
    name = info.orig_filename
    where = f"{path}: {_shown(name)}"
    if not _NAME.fullmatch(name) or info.filename != name:
        yield Problem(where, "is not a name for a member")
    stored = info.compress_type == zipfile.ZIP_STORED
    if not stored and info.compress_type != zipfile.ZIP_DEFLATED:
        yield Problem(
            where, f"is compressed by method {info.compress_type}", "only stored and deflated members are read"
        )
    if info.flag_bits:
        yield Problem(where, "is encrypted or of an unusual form", "only plain members are read")
    origin = (
        info.create_system,
        info.create_version,
        info.reserved,
        info.volume,
        info.internal_attr,
        info.external_attr,
    )
    if origin != (_UNIX, zipfile.DEFAULT_VERSION, 0, 0, 0, _ATTRIBUTES) or info.extra or info.comment:
        yield Problem(where, "is not a plain file", "no links, folders or extra fields")
    if info.file_size > _limit(name):
        yield Problem(where, f"declares {info.file_size} bytes; {_limit(name)} is the most")
    if info.file_size > MAX_RATIO * max(info.compress_size, 1):
        yield Problem(
            where, f"declares {info.file_size} bytes in {info.compress_size}; the ratio is {MAX_RATIO} at most"
        )
    if info.compress_size > info.file_size or (stored and info.compress_size < info.file_size):
        yield Problem(where, f"declares {info.file_size} bytes in {info.compress_size}", _DAMAGED)


def _shown(name: str) -> str:
    """A name from a file, safe to print."""
    return ascii(name)[1:-1][:200]


def _check_places(path: Path, infos: Iterable[zipfile.ZipInfo], end: int) -> None:
    """Members stand one after the other from the first byte on: no overlap, no gap."""
    place = 0
    for info in infos:
        if info.header_offset != place:
            raise ArchiveError(
                Problem(f"{path}: {info.filename}", f"begins at byte {info.header_offset}, not {place}", _DAMAGED)
            )
        place += len(info.FileHeader(zip64=False)) + info.compress_size
    if place != end:
        raise ArchiveError(Problem(str(path), "has bytes that belong to no member", _DAMAGED))


def _content(path: Path, file: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    """Bytes of one member; never more than one byte beyond its declared size is decompressed."""
    header = info.FileHeader(zip64=False)
    file.seek(info.header_offset)
    if file.read(len(header)) != header:
        raise ArchiveError(
            Problem(f"{path}: {info.filename}", "has a header that differs from the list of members", _DAMAGED)
        )
    data = file.read(info.compress_size)
    complete = len(data) == info.compress_size
    if info.compress_type == zipfile.ZIP_DEFLATED:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = stream.decompress(data, info.file_size + 1)
        except zlib.error as error:
            raise ArchiveError(
                Problem(f"{path}: {info.filename}", f"cannot be decompressed: {error}", _DAMAGED)
            ) from error
        complete = complete and stream.eof and not stream.unused_data
    if not complete or len(data) != info.file_size:
        raise ArchiveError(
            Problem(f"{path}: {info.filename}", f"does not hold the {info.file_size} bytes it declares", _DAMAGED)
        )
    if zlib.crc32(data) != info.CRC:
        raise ArchiveError(Problem(f"{path}: {info.filename}", "has a wrong checksum", _DAMAGED))
    return data


def _manifest(path: Path, data: bytes) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 by member name."""
    where = f"{path}: {MANIFEST}"
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ArchiveError(Problem(where, "is not JSON", _DAMAGED)) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArchiveError(Problem(where, f"is not of the format {FORMAT}", "use the spikeport that wrote it"))
    members = document.get("members")
    if document.keys() != {"format", "members"} or not isinstance(members, dict):
        raise ArchiveError(Problem(where, "does not list members", _DAMAGED))
    result = {}
    for name, entry in members.items():
        match entry:
            case {"size": int(size), "sha256": str(digest)} if len(entry) == 2 and not isinstance(size, bool):
                result[name] = (size, digest)
            case _:
                raise ArchiveError(Problem(f"{where}: {_shown(name)}", "has no size and hash", _DAMAGED))
    return result


def _array(where: str, data: bytes) -> NDArray[Any]:
    """The array of a `.npy` member; only the one header that `numpy.save` writes for a C-ordered array is accepted."""
    length = int.from_bytes(data[8:10], "little")
    start = len(_NPY_MAGIC) + 2 + length
    found = _NPY_HEADER.fullmatch(data[10:start]) if data.startswith(_NPY_MAGIC) and len(data) >= start else None
    if found is None or not _NPY_SHAPE.fullmatch(found[2]):
        raise ArchiveError(Problem(where, "is not an array of plain numbers", "no pickled objects, no Fortran order"))
    code = found[1].decode("ascii")
    if code not in _DTYPES:
        raise ArchiveError(Problem(where, f"has dtype {code}", f"one of {', '.join(map(str, _DTYPES.values()))}"))
    shape = tuple(int(part) for part in found[2].split(b",") if part)
    dtype = _DTYPES[code]
    fits = len(shape) <= MAX_AXES and prod(size or 1 for size in shape) <= MAX_ARRAY_BYTES
    if not fits or prod(shape) * dtype.itemsize != len(data) - start:
        raise ArchiveError(
            Problem(where, f"has {len(data) - start} bytes, which is not shape {shape} of {dtype}", _DAMAGED)
        )
    if code == "|b1" and data[start:].strip(b"\0\1"):
        raise ArchiveError(Problem(where, "holds booleans that are neither 0 nor 1", _DAMAGED))
    array: NDArray[Any] = np.empty(shape, dtype.newbyteorder("="))
    array[...] = np.frombuffer(data, dtype, offset=start).reshape(shape)
    array.setflags(write=False)
    return array
