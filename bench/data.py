"""Public data sets from the files that their authors publish, as numpy arrays and as torch batches.

A reader (`read_...`) turns the bytes of one file into arrays; a loader (`cifar10`, `mnist`, `nmnist`) finds the files of a
data set below the folder that `--data` names, and compares the contents with known checksums.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Part = Literal["train", "test"]

CIFAR_IMAGES = 10_000
"""Images in one file of CIFAR-10."""
CIFAR_RECORD = 1 + 3 * 32 * 32
"""Bytes of one image with its label."""
CIFAR_SHA1 = {
    "data_batch_1": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch": "67eb016db431130d61cd03c7ad570b013799c88c",
}
"""SHA-1 of the official binary batches; the compact layout is compared after it is turned back into them."""
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of the unpacked idx files."""
NMNIST_SHA256 = "08de2d3c2916c996e7e23df407a66d2c79c539c9b679b2691c4d5ccc2e9298be"
"""SHA-256 of the arrays of `nmnist_1100.npz`, one after the other in the order of `NMNIST_ARRAYS`."""
NMNIST_ARRAYS = {
    "label": np.uint8,
    "mnist_number": np.uint32,
    "offset": np.uint32,
    "x": np.uint8,
    "y": np.uint8,
    "p": np.uint8,
    "dt": np.uint16,
}
NMNIST_TRAIN, NMNIST_TEST = 1000, 100
"""Recordings used of each part: the first ones."""
THIRDS = 3
"""Frames made of each recording, of equal duration: one for each movement of the camera."""
SENSOR = (2, 34, 34)
"""Polarity, row, column."""
IDX_UINT8 = 0x08


class DataFileError(ValueError):
    """A file that is missing, damaged, or not what its name says."""


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images with their classes."""

    pixels: NDArray[np.uint8]
    """0 to 255, shape (image, channel, row, column)."""
    labels: NDArray[np.int64]
    """Class numbers, shape (image,)."""

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int) -> Images:
        """The first `n` images."""
        return Images(self.pixels[:n], self.labels[:n])

    def batches(self, size: int, *, mean: Sequence[float], std: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
        """Batches of `(pixel / 255 - mean) / std` as float32, shape (batch, channel, row, column), and int64 labels."""
        import torch

        x = normalized(self.pixels, mean=mean, std=std)
        y = torch.from_numpy(self.labels)
        return list(zip(torch.split(torch.from_numpy(x), size), torch.split(y, size), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """Recordings of an event camera, laid end to end."""

    label: NDArray[np.int64]
    """Class numbers, shape (recording,)."""
    offset: NDArray[np.int64]
    """Recording i holds events offset[i] to offset[i + 1]; shape (recording + 1,)."""
    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    """Column and row, shape (event,)."""
    p: NDArray[np.uint8]
    """Polarity, 1 brighter and 0 darker, shape (event,)."""
    time_us: NDArray[np.int64]
    """Microseconds since the start of the recording, shape (event,)."""

    def __len__(self) -> int:
        return len(self.label)

    def counts(self, recording: int, bins: int) -> NDArray[np.float32]:
        """Events of each polarity and pixel in `bins` equal parts of a recording, shape (time, 2, 34, 34)."""
        events = slice(self.offset[recording], self.offset[recording + 1])
        since = self.time_us[events] - self.time_us[events][0]
        step = np.minimum(since * bins // (since[-1] + 1), bins - 1)
        found = np.zeros((bins, *SENSOR), dtype=np.float32)
        np.add.at(found, (step, self.p[events], self.y[events], self.x[events]), 1)
        return found

    def thirds(self, bins: int) -> EventFrames:
        """Each recording cut into three frames of equal duration, and each frame into `bins` time bins."""
        parts = [self.counts(i, THIRDS * bins).reshape(THIRDS, bins, *SENSOR) for i in range(len(self))]
        return EventFrames(np.concatenate(parts).swapaxes(0, 1), np.repeat(self.label, THIRDS))


@dataclass(frozen=True, slots=True, eq=False)
class EventFrames:
    """Event counts in time bins."""

    bins: NDArray[np.float32]
    """Events of each bin, polarity and pixel, shape (time, frame, 2, 34, 34)."""
    labels: NDArray[np.int64]
    """Class numbers, shape (frame,)."""

    @property
    def summed(self) -> NDArray[np.float32]:
        """Events of each polarity and pixel over the whole frame, shape (frame, 2, 34, 34)."""
        total: NDArray[np.float32] = self.bins.sum(axis=0)
        return total

    def batches(self, size: int) -> list[tuple[Tensor, Tensor]]:
        """Batches of summed frames as float32, shape (batch, 2, 34, 34), and int64 labels."""
        import torch

        x, y = torch.from_numpy(self.summed), torch.from_numpy(self.labels)
        return list(zip(torch.split(x, size), torch.split(y, size), strict=True))


def normalized(pixels: NDArray[np.uint8], *, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """`(pixel / 255 - mean) / std` in float32, mean and standard deviation by channel; shape as `pixels`."""
    value = pixels.astype(np.float32)
    value /= np.float32(255)
    value -= np.asarray(mean, dtype=np.float32).reshape(-1, 1, 1)
    value /= np.asarray(std, dtype=np.float32).reshape(-1, 1, 1)
    return value


# CIFAR-10


def cifar10(folder: Path, part: Part, *, files: int = 5, verify: bool = True) -> Images:
    """CIFAR-10 from `data_batch_1.bin` ... `test_batch.bin` (official) or `data_batch_1.xz` ... (compact).

    Args:
        folder: holds the files, directly or in `cifar10/` or `cifar-10-batches-bin/`.
        part: 10,000 test images, or 10,000 training images a file.
        files: how many of the five training files to read.
        verify: compare with `CIFAR_SHA1`.

    Raises:
        DataFileError: a file is missing, truncated or altered.
    """
    names = ["test_batch"] if part == "test" else [f"data_batch_{i}" for i in range(1, files + 1)]
    parts = []
    for name in names:
        path = find(
            folder, ["cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"], [f"{name}.bin", f"{name}.xz"]
        )
        read = read_cifar_records if path.suffix == ".bin" else read_cifar_compact
        images = read(path)
        if verify:
            _check(path, "SHA-1", hashlib.sha1(cifar_records(images)).hexdigest(), CIFAR_SHA1[name])
        parts.append(images)
    return Images(np.concatenate([i.pixels for i in parts]), np.concatenate([i.labels for i in parts]))


def read_cifar_records(path: Path) -> Images:
    """One official binary file: a label byte and 3 x 32 x 32 bytes of red, green and blue planes for each image."""
    raw = path.read_bytes()
    if not raw or len(raw) % CIFAR_RECORD:
        raise DataFileError(f"{path}: {len(raw):,} bytes are not a whole number of records of {CIFAR_RECORD:,} bytes")
    records = np.frombuffer(raw, np.uint8).reshape(-1, CIFAR_RECORD)
    return _cifar_images(path, records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32))


def read_cifar_compact(path: Path) -> Images:
    """One xz file of label bytes and differences modulo 256, shape (colour, image, row, column).

    Colours are red minus green, green, blue minus green, each differenced down the rows and along the columns; two
    cumulative sums undo it.
    """
    try:
        raw = lzma.decompress(path.read_bytes())
    except (lzma.LZMAError, EOFError) as error:
        raise DataFileError(f"{path}: is not a complete xz file ({error})") from error
    if not raw or len(raw) % CIFAR_RECORD:
        raise DataFileError(f"{path}: unpacks to {len(raw):,} bytes, not a whole number of records of {CIFAR_RECORD:,}")
    n = len(raw) // CIFAR_RECORD
    difference = np.frombuffer(raw, np.uint8, offset=n).reshape(3, n, 32, 32)
    planes = difference.cumsum(axis=2, dtype=np.uint8).cumsum(axis=3, dtype=np.uint8)  # wraps modulo 256, as it must
    planes[0] += planes[1]
    planes[2] += planes[1]
    return _cifar_images(path, np.frombuffer(raw, np.uint8, n), planes.transpose(1, 0, 2, 3))


def cifar_records(images: Images) -> bytes:
    """The official binary records of some images."""
    labels = images.labels.astype(np.uint8)[:, None]
    return np.concatenate([labels, images.pixels.reshape(len(images), -1)], axis=1).tobytes()


def _cifar_images(path: Path, labels: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> Images:
    if labels.max() > 9:
        raise DataFileError(f"{path}: holds label {labels.max()}, CIFAR-10 has 0 to 9; is it another layout?")
    return Images(np.ascontiguousarray(pixels), labels.astype(np.int64))


# MNIST


def mnist(folder: Path, part: Part, *, verify: bool = True) -> Images:
    """MNIST from its idx files, packed with gzip or not.

    Args:
        folder: holds the files, directly or in `mnist/` or `MNIST/raw/`.
        part: 10,000 test images or 60,000 training images.
        verify: compare with `MNIST_MD5`.

    Raises:
        DataFileError: a file is missing, truncated or altered.
    """
    prefix = "t10k" if part == "test" else "train"
    arrays = []
    for name in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
        path = find(folder, ["mnist", "MNIST/raw"], [name, f"{name}.gz"])
        raw = unpacked(path)
        array = read_idx(path, raw)
        if verify:
            _check(path, "MD5 (unpacked)", hashlib.md5(raw).hexdigest(), MNIST_MD5[name])
        arrays.append(array)
    pixels, labels = arrays
    if pixels.ndim != 3 or labels.ndim != 1 or len(pixels) != len(labels):
        raise DataFileError(f"{folder}: images of shape {pixels.shape} and labels of shape {labels.shape} do not fit")
    return Images(pixels[:, None], labels.astype(np.int64))


def read_idx(path: Path, raw: bytes | None = None) -> NDArray[np.uint8]:
    """The array of an idx file of bytes: two zero bytes, type, number of axes, big-endian lengths, values."""
    raw = unpacked(path) if raw is None else raw
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != IDX_UINT8 or not raw[3]:
        raise DataFileError(
            f"{path}: begins with {raw[:4].hex(' ')}, not with the mark of an idx file of bytes (00 00 08)"
        )
    if len(raw) < 4 + 4 * raw[3]:
        raise DataFileError(f"{path}: ends inside its header")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", raw[3], offset=4))
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    if values.size != np.prod(shape, dtype=np.int64):
        raise DataFileError(f"{path}: holds {values.size:,} values, its header says {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def unpacked(path: Path) -> bytes:
    """Contents of a file, unpacked if its name ends in `.gz`."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{path}: is not a complete gzip file ({error})") from error


# N-MNIST


def nmnist(folder: Path, part: Part, *, verify: bool = True) -> Recordings:
    """The first 1,000 training or the first 100 test recordings of N-MNIST.

    Args:
        folder: holds `nmnist_1100.npz`, or the authors' folders `Train/` and `Test/`, directly or in `nmnist/`.
        part: which recordings.
        verify: compare the arrays of the npz file with `NMNIST_SHA256`.

    Raises:
        DataFileError: a file is missing, truncated or altered.
    """
    path = find(folder, ["nmnist", "NMNIST", "N-MNIST"], ["nmnist_1100.npz", part.capitalize()])
    if path.is_dir():
        return read_nmnist_folder(path, NMNIST_TRAIN if part == "train" else NMNIST_TEST)
    chosen = slice(0, NMNIST_TRAIN) if part == "train" else slice(NMNIST_TRAIN, NMNIST_TRAIN + NMNIST_TEST)
    return read_nmnist_npz(path, chosen, sha256=NMNIST_SHA256 if verify else None)


def read_nmnist_npz(path: Path, chosen: slice, *, sha256: str | None = None) -> Recordings:
    """Some recordings of an npz file.

    It holds `label`, `mnist_number` (recording,), `offset` (recording + 1,) and, of each event, `x`, `y`, `p` and `dt`,
    the microseconds since the previous event of its recording.
    """
    try:
        with path.open("rb") as raw, np.load(raw) as file:  # numpy would leave a damaged file open
            arrays = {name: file[name] for name in NMNIST_ARRAYS}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFileError(f"{path}: is not a complete npz file of N-MNIST ({error})") from error
    for name, kind in NMNIST_ARRAYS.items():
        if arrays[name].dtype != kind or arrays[name].ndim != 1:
            raise DataFileError(
                f"{path}: {name} is {arrays[name].dtype} of shape {arrays[name].shape}, not a list of {kind.__name__}"
            )
    label, offset = arrays["label"], arrays["offset"].astype(np.int64)
    events = {arrays[name].size for name in ("x", "y", "p", "dt")}
    if len(arrays["mnist_number"]) != len(label) or len(offset) != len(label) + 1 or events != {int(offset[-1])}:
        raise DataFileError(f"{path}: its arrays do not fit together")
    if offset[0] != 0 or (np.diff(offset) < 1).any():
        raise DataFileError(f"{path}: has recordings without events")
    if sha256 is not None:
        found = hashlib.sha256()
        for array in arrays.values():
            found.update(array.tobytes())
        _check(path, "SHA-256 (of its arrays)", found.hexdigest(), sha256)
    rows = range(len(label))[chosen]
    each = [
        (arrays["x"][s], arrays["y"][s], arrays["p"][s], arrays["dt"][s].astype(np.int64).cumsum())
        for s in (slice(offset[i], offset[i + 1]) for i in rows)
    ]
    return _recordings(path, label[chosen], each)


def read_nmnist_folder(folder: Path, n: int) -> Recordings:
    """The first `n` recordings of a folder of the authors, one file `<class>/<number>.bin` each, in order of number."""
    files = {int(path.stem): path for path in folder.glob("[0-9]/*.bin") if path.stem.isdigit()}
    missing = [number for number in range(1, n + 1) if number not in files]
    if missing:
        raise DataFileError(
            f"{folder}: recording {missing[0]:05d}.bin is missing, and {len(missing) - 1:,} others of the first {n:,}"
        )
    paths = [files[number] for number in range(1, n + 1)]
    labels = np.array([int(path.parent.name) for path in paths], dtype=np.uint8)
    return _recordings(folder, labels, [read_nmnist_events(path) for path in paths])


Events = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]


def read_nmnist_events(path: Path) -> Events:
    """Column, row, polarity and microseconds of each event of one file: 40 bits each.

    Byte 0 is the column, byte 1 the row, the first bit of byte 2 the polarity, and the other 23 bits the time. Row 240
    marks an overflow of the clock by 2**13 microseconds and is no event.
    """
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    if not raw.size or raw.size % 5:
        raise DataFileError(f"{path}: {raw.size:,} bytes are not a whole number of events of 5 bytes")
    x, y, high, middle, low = raw.reshape(-1, 5).T
    time = (high.astype(np.int64) & 127) << 16 | middle.astype(np.int64) << 8 | low
    overflow = y == 240
    time = time + overflow.cumsum() * 2**13
    real = ~overflow
    return x[real], y[real], high[real] >> 7, time[real]


def _recordings(path: Path, labels: NDArray[np.uint8], each: Iterable[Events]) -> Recordings:
    x, y, p, time = (list(parts) for parts in zip(*each, strict=True))
    found = Recordings(
        label=labels.astype(np.int64),
        offset=np.cumsum([0, *map(len, x)], dtype=np.int64),
        x=np.concatenate(x),
        y=np.concatenate(y),
        p=np.concatenate(p),
        time_us=np.concatenate(time),
    )
    if found.x.max() >= SENSOR[2] or found.y.max() >= SENSOR[1] or found.p.max() >= SENSOR[0]:
        raise DataFileError(f"{path}: has events outside of 34 x 34 pixels and two polarities")
    if any((np.diff(part) < 0).any() for part in time):
        raise DataFileError(f"{path}: has events that go back in time")
    return found


# Files


def find(folder: Path, below: Sequence[str], names: Sequence[str]) -> Path:
    """The first of some names in `folder` or in one of the folders `below` it.

    Raises:
        DataFileError: none of them is there.
    """
    for place in (*(folder / name for name in below), folder):
        for name in names:
            if (place / name).exists():
                return place / name
    places = ", ".join((*(f"{name}/" for name in below), "the folder itself"))
    raise DataFileError(f"{folder}: has no {' or '.join(names)} (looked in {places}); see bench/README.md")


def _check(path: Path, kind: str, found: str, expected: str) -> None:
    if found != expected:
        raise DataFileError(f"{path}: its {kind} is {found}, the published contents have {expected}; fetch it again")
