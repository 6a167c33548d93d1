"""Files from outside: whatever they hold, reading gives a network or an error that says why, within bounds of memory."""

import tracemalloc

import h5py
import numpy as np
import pytest

import spikeport as sp
from tests.lava_dl.files import SDNN, changed, conv, dense, flatten, layer, pool, source, write

MEGABYTE = 2**20


def peak_of(action):
    """Bytes that arrays took at most; h5py's own are not among them."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refused(path, why):
    with pytest.raises(sp.LavaError, match=why):
        sp.read_lava_dl(path)


@pytest.fixture
def path(tmp_path):
    layers = [
        source((2, 4, 4)),
        conv(np.full((3, 2, 2, 2), 4), (3, 3, 3), delay=np.array([0, 1, 2])),
        pool(3, (3, 1, 1)),
        flatten(3),
        dense([[2, 4, 6]] * 4, bias=np.array([1.0, 2, 3, 4])),
        dense([[2, -4, 6, 2]] * 2, neuron={**SDNN, "sigma_output": True}),
    ]
    return write(tmp_path / "network.net", layers)


def test_a_file_cut_anywhere_is_refused(path):
    content = path.read_bytes()
    for length in range(0, len(content), len(content) // 150):
        path.write_bytes(content[:length])
        with pytest.raises(sp.LavaError):
            sp.read_lava_dl(path)


def test_flipped_bytes_give_a_network_or_an_error_that_can_be_shown(path):
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = {"network": 0, "refused": 0}
    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(len(content), size=int(rng.choice([1, 4, 64]))):
            damaged[at] ^= int(rng.choice([0xFF, 1 << int(rng.integers(8))]))
        path.write_bytes(damaged)
        try:
            sp.read_lava_dl(path)
            outcome = "network"
        except sp.LavaError as error:
            outcome = "refused" if str(error).encode() else "silent"
        outcomes[outcome] += 1
    assert min(outcomes.values()) > 20  # both happen: much of a file is left empty


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF", b"\x89HDF\r\n\x1a\n", b"x" * 4096])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "other.net").write_bytes(content)
    refused(tmp_path / "other.net", "HDF5")


def test_missing_files_and_folders_are_file_errors(tmp_path):
    for path in (tmp_path / "missing.net", tmp_path):
        with pytest.raises(sp.FileError):
            sp.read_lava_dl(path)


def test_a_small_file_that_unpacks_to_much_is_refused_unread(path):
    with h5py.File(path, "r+") as file:
        del file["layer/4/weight"]
        shape = (2**13, 2**13 + 1)  # of 4 bytes each: 32 KiB more than can be loaded
        file["layer/4"].create_dataset("weight", shape, "f4", chunks=(2**10, 2**10), compression="gzip")
    assert path.stat().st_size < MEGABYTE
    assert peak_of(lambda: refused(path, "layer/4/weight: of shape .* declares more data")) < 8 * MEGABYTE


def test_small_numbers_that_grow_when_read_are_refused_as_they_are(path):
    with h5py.File(path, "r+") as file:
        del file["layer/4/weight"]
        shape = (4, 2**24 + 1)  # of one byte each, and of eight once they are read
        file["layer/4"].create_dataset("weight", shape, "i1", chunks=(4, 2**20), compression="gzip")
        file["layer/4/weight"][0, :: 2**21] = 2  # what is not written cannot be large
    assert peak_of(lambda: refused(path, "layer/4/weight: holds 67,108,868 numbers, more than")) < 80 * MEGABYTE


def test_pooling_that_would_be_held_for_millions_of_channels_is_refused(tmp_path):
    layers = [source((2**26, 1, 1)), pool(2, (2**26, 1, 1))]
    path = write(tmp_path / "wide.net", layers)
    assert peak_of(lambda: refused(path, "layer/1/weight: takes 268,435,456 weights")) < 8 * MEGABYTE


def test_what_each_layer_may_have_all_of_them_may_not(tmp_path):
    pooled = [pool(1, (2**21, 2, 2)) for _ in range(20)]
    path = write(tmp_path / "deep.net", [source((2**21, 2, 2)), *pooled])
    peak = peak_of(lambda: refused(path, "layer/17/shape: takes 8,388,608 neurons, and 0 more can be read"))
    assert peak < 800 * MEGABYTE  # the layers before are held: 2 bytes a weight


def test_kernels_held_once_for_each_delay_count_as_often(tmp_path):
    kernel = np.full((64, 2**10, 8, 8), 2)
    weights = changed(conv(kernel, (64, 1, 1), delay=np.arange(64) % 63), weight=None)
    path = write(tmp_path / "delays.net", [source((2**10, 8, 8)), weights])
    with h5py.File(path, "r+") as file:
        file["layer/1"].create_dataset("weight", data=kernel.astype(np.int8), compression="gzip")
    assert peak_of(lambda: refused(path, "layer/1/weight: takes 264,241,152 weights")) < 200 * MEGABYTE


def test_neurons_that_no_memory_holds_are_refused(tmp_path):
    path = write(tmp_path / "huge.net", [source((1, 2**13, 2**14)), conv([[[[2]]]] * 2, (2, 2**13, 2**14))])
    assert peak_of(lambda: refused(path, "layer/1/shape: is .* more than")) < MEGABYTE


def test_too_many_layers_are_refused(tmp_path):
    with h5py.File(tmp_path / "many.net", "w") as file:
        for i in range(2001):
            file.create_group(f"layer/{i}")
    refused(tmp_path / "many.net", "its 2,001 layers are not numbered from 0, or more than 2,000")


@pytest.mark.parametrize("name", ["layer/4/a\nb", "layer/4/<script>", "layer/4/neuron/" + "x" * 200])
def test_names_from_outside_are_shown_short_and_as_data(name, path):
    with h5py.File(path, "r+") as file:
        file[name] = 1
    with pytest.raises(sp.LavaError, match="does not know") as caught:
        sp.read_lava_dl(path)
    assert max(map(len, str(caught.value).splitlines())) < 400


def test_a_text_of_a_type_that_is_long_is_refused(path):
    with h5py.File(path, "r+") as file:
        del file["layer/4/type"]
        file["layer/4/type"] = "dense" * 1000
    refused(path, "layer/4/type: is not a text of at most 1000 bytes")


def test_an_average_and_unknown_entries_of_the_file_are_in_the_ledger(tmp_path):
    layers = [source((2,)), dense(np.full((4, 2), 4)), layer("average", (2,), neuron=None)]
    network = sp.read_lava_dl(write(tmp_path / "network.net", layers, notes=1))
    told = [(entry.node, entry.what) for entry in network.ledger]
    assert any(node == "layer1" and "mean over each 2 neurons" in what for node, what in told)
    assert any("'notes' of the file is not read" in what for _, what in told)
