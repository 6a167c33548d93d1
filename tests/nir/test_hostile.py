"""Files from outside: whatever they hold, reading gives a network or an error that says why."""

import json
import os
import time
from copy import deepcopy

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.errors import FileError, NirError
from spikeport.nir import from_nir, limits, to_nir
from spikeport.primitives import SpikingNetwork
from tests.nir.networks import residual

CONTRACT = "node/metadata/spikeport"


@pytest.fixture
def path(tmp_path):
    to_nir(residual(np.random.default_rng(0)), tmp_path / "network.nir")
    return tmp_path / "network.nir"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Bytes of a good file."""
    path = tmp_path_factory.mktemp("nir") / "network.nir"
    to_nir(residual(np.random.default_rng(0)), path)
    return path.read_bytes()


def replaced(file, name, **options):
    del file[name]
    return file.create_dataset(name, **options)


def test_a_missing_file_is_a_file_error(tmp_path):
    with pytest.raises(FileError, match="No such file"):
        from_nir(tmp_path / "missing.nir")


def test_a_folder_is_a_file_error(tmp_path):
    with pytest.raises(FileError, match="not a regular file"):
        from_nir(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_a_file_error_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.nir")
    with pytest.raises(FileError, match="not a regular file"):
        from_nir(tmp_path / "pipe.nir")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF", b"x" * 4096])
def test_a_file_that_is_not_hdf5_is_named_so(content, tmp_path):
    (tmp_path / "other.nir").write_bytes(content)
    with pytest.raises(NirError, match="not an HDF5 file"):
        from_nir(tmp_path / "other.nir")


def test_an_hdf5_file_without_a_graph_is_named_so(tmp_path):
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(NirError, match="no NIR graph"):
        from_nir(tmp_path / "other.nir")


def test_a_file_cut_anywhere_is_refused(content, tmp_path):
    path = tmp_path / "cut.nir"
    for length in range(0, len(content) - 1, len(content) // 60):
        path.write_bytes(content[:length])
        with pytest.raises(NirError):
            from_nir(path)


def test_a_file_larger_than_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "large.nir"
    with open(path, "wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n")
        file.truncate(limits.MAX_FILE_BYTES + 1)  # sparse: takes no space
    with pytest.raises(NirError, match="more than"):
        from_nir(path)


@pytest.mark.parametrize("link", [h5py.SoftLink("/node/nodes"), h5py.ExternalLink("elsewhere.h5", "/")])
def test_links_to_elsewhere_are_refused(link, path):
    with h5py.File(path, "r+") as file:
        file["node/metadata/more"] = link
    with pytest.raises(NirError, match="link to another place"):
        from_nir(path)


def test_a_cycle_of_hard_links_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["node/metadata/more"] = file["node"]
    with pytest.raises(NirError, match="linked from two places"):
        from_nir(path)


def test_a_dataset_in_another_file_is_refused(path):
    secret = path.parent / "secret"
    secret.write_bytes(bytes(64))
    with h5py.File(path, "r+") as file:
        file["node/metadata"].create_dataset("more", (8,), "f8", external=[(str(secret), 0, 64)])
    with pytest.raises(NirError, match="stored in another file"):
        from_nir(path)


def test_a_virtual_dataset_is_refused(path):
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "data", (8,))
    with h5py.File(path, "r+") as file:
        file["node/metadata"].create_virtual_dataset("more", layout)
    with pytest.raises(NirError, match="stored in another file"):
        from_nir(path)


def test_a_committed_type_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["node/metadata/more"] = np.dtype("f8")
    with pytest.raises(NirError, match="neither a group nor a dataset"):
        from_nir(path)


@pytest.mark.parametrize(
    "dtype",
    [
        h5py.ref_dtype,
        h5py.vlen_dtype(np.int32),
        np.dtype([("a", "i4")]),
        np.dtype("V8"),
        np.dtype("c16"),
        np.dtype("(3,)f4"),
    ],
    ids=str,
)
def test_types_that_are_no_numbers_are_refused(dtype, path):
    with h5py.File(path, "r+") as file:
        file["node/metadata"].create_dataset("more", (2,), dtype)
    with pytest.raises(NirError, match="no number and no text"):
        from_nir(path)


def test_other_filters_are_refused(path):
    with h5py.File(path, "r+") as file:
        file["node/metadata"].create_dataset("more", data=np.zeros(100), compression="lzf")
    with pytest.raises(NirError, match="filter"):
        from_nir(path)


@pytest.mark.parametrize("shape", [(2**40,), (2**31, 2**31), (2**28,)])
def test_more_data_than_a_file_can_hold_is_refused_unread(shape, path):
    with h5py.File(path, "r+") as file:
        file["node/metadata"].create_dataset("more", shape, "f8", chunks=(1024,) * len(shape), compression="gzip")
    with pytest.raises(NirError, match="declares more data"):
        from_nir(path)


def test_a_dataset_without_data_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["node/metadata"]["more"] = h5py.Empty("f8")
    with pytest.raises(NirError, match="has the shape None"):
        from_nir(path)


def test_groups_nested_deeply_are_refused(path):
    with h5py.File(path, "r+") as file:
        file.create_group("node/metadata/" + "/".join("g" * 200))
    with pytest.raises(NirError, match="deep"):
        from_nir(path)


def test_too_many_edges_are_refused(path):
    with h5py.File(path, "r+") as file:
        replaced(file, "node/edges", shape=(limits.MAX_EDGES + 1, 2), dtype=h5py.string_dtype())
    with pytest.raises(NirError, match="table of strings"):
        from_nir(path)


def test_long_names_are_refused(path):
    with h5py.File(path, "r+") as file:
        file["node/nodes"].create_group("x" * (limits.MAX_NAME + 1))
    with pytest.raises(NirError, match="too long"):
        from_nir(path)


def test_text_that_is_not_utf8_is_refused(path):
    with h5py.File(path, "r+") as file:
        replaced(file, CONTRACT, data=b"\xff\xfe", dtype=h5py.string_dtype())
    with pytest.raises(NirError):
        from_nir(path)


def with_contract(path, text):
    with h5py.File(path, "r+") as file:
        replaced(file, CONTRACT, data=text, dtype=h5py.string_dtype())
    return path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not well-formed JSON"),
        ("{", "not well-formed JSON"),
        ("[" * 100_000, "nested too deeply|not well-formed"),
        ('{"format": NaN}', "holds NaN"),
        ('{"format": 1, "format": 2}', "gives a name twice"),
        ('{"format": ' + "9" * 10_000 + "}", "not well-formed JSON"),
        ("null", "has the format 'None'"),
        ('{"format": "spikeport.nir/1"}', "lacks `populations`"),
    ],
    ids=["empty", "open", "deep", "nan", "twice", "digits", "null", "bare"],
)
def test_a_text_that_is_no_contract_is_refused(text, why, path):
    with pytest.raises(NirError, match=why):
        from_nir(with_contract(path, text))


def leaves(value, at=()):
    yield at
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from leaves(item, (*at, key))


VALUES = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1,
        2,
        7,
        2**31,
        2**62,
        10**30,
        -0.5,
        1e308,
        "",
        "x",
        "input",
        "out",
        "\ud800",
        "a/../b",
        [],
        {},
        [[]],
    ]
)


@settings(max_examples=150)
@given(data=st.data())
def test_no_changed_contract_does_harm(data, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("nir") / "network.nir"
    path.write_bytes(content)
    with h5py.File(path, "r") as file:
        document = json.loads(file[CONTRACT][()])
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.sampled_from(list(leaves(document))[1:]))
        parent = document
        for key in at[:-1]:
            parent = parent[key]
        change = data.draw(st.sampled_from(["replace", "remove", "repeat"]))
        if change == "replace":
            parent[at[-1]] = deepcopy(data.draw(VALUES))  # the next change may be inside of it
        elif change == "remove":
            del parent[at[-1]]
        elif isinstance(parent, list):
            parent.append(parent[at[-1]])
    with_contract(path, json.dumps(document))
    started = time.monotonic()
    try:
        result = from_nir(path)
    except NirError as error:
        result = error
    assert isinstance(result, SpikingNetwork) or str(result).encode()  # an error that can be shown
    assert time.monotonic() - started < 20  # seconds; a good file takes a hundredth of one


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("connections", 1, "synapses", 1, "width"), [[2, 2], [0, 10**6], [0, 100]]),
        (("connections", 1, "synapses", 1, "width"), [[2**26, 2], [0, 0], [0, 0]]),
        (("connections", 0, "synapses", 0, "padding"), [[10**8, 10**8], [1, 1]]),
        (("connections", 2, "synapses", 0, "kernel"), [2**27, 2**27]),
        (("connections", 2, "synapses", 1, "shape"), [2**27]),
        (("connections", 0, "synapses", 0, "weight", "shape"), [2**27, 2**27, 3, 3]),
        (("connections", 0, "synapses", 0, "weight", "step"), [0, 0]),
        (("connections", 0, "synapses", 0, "weight", "first"), [2**27, 0]),
        (("connections", 0, "synapses", 0, "groups"), 3),
        (("connections", 0, "synapses", 0, "stride"), [0, 1]),
        (("connections", 0, "synapses", 0, "dilation"), [0, 1]),
        (("connections", 1, "synapses", 0, "step"), [0, 1, 1]),
        (("connections", 0, "nodes"), ["input"]),
        (("connections", 0, "nodes"), []),
        (("populations", 0, "shape"), [2**27]),
        (("populations", 0, "shape"), [2**27, 2**27, 2**27]),
        (("populations", 0, "shape"), []),
        (("populations", 0, "node"), "output"),
        (("populations", 0, "name"), "out"),
        (("input", "shape"), [2**27]),
        (("contract", "presentation"), 2**40),
        (("contract", "max_steps"), 0),
        (("output"), "block.0/neuron"),
    ],
    ids=str,
)
def test_shapes_and_references_that_cannot_be_are_refused(at, value, path):
    with h5py.File(path, "r") as file:
        document = json.loads(file[CONTRACT][()])
    at = (at,) if isinstance(at, str) else at
    parent = document
    for key in at[:-1]:
        parent = parent[key]
    assert parent[at[-1]] != value
    parent[at[-1]] = value
    with pytest.raises(NirError) as caught:
        from_nir(with_contract(path, json.dumps(document)))
    assert "other numbers" not in str(caught.value)  # refused for what it is, before the hash is asked


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**60, 0.5])
@pytest.mark.parametrize("array", ["initial", "bias"])
def test_numbers_that_are_no_integers_are_refused(array, value, path):
    with h5py.File(path, "r+") as file:
        arrays = file["node/metadata/spikeport_arrays"]
        name = next(name for name in arrays if name.startswith(array))
        replaced(arrays, name, data=np.full(arrays[name].shape, value))
    with pytest.raises(NirError, match="integers"):
        from_nir(path)


@pytest.mark.parametrize(
    ("value", "why"), [(np.nan, "finite"), (-np.inf, "finite"), (0.0, "positive"), (0.5, "other numbers")]
)
def test_a_scale_that_is_none_is_refused(value, why, path):
    with h5py.File(path, "r+") as file:
        arrays = file["node/metadata/spikeport_arrays"]
        name = next(name for name in arrays if name.startswith("scale"))
        replaced(arrays, name, data=np.full(arrays[name].shape, value))
    with pytest.raises(NirError, match=why):
        from_nir(path)
