"""Every change of what a file of ours holds is refused; other changes of its bytes mean the same network."""

import h5py
import numpy as np
import pytest

from spikeport.errors import NirError
from spikeport.nir import content, from_nir, to_nir
from spikeport.nir.contract import digest
from spikeport.nir.storage import read_tree
from spikeport.primitives import SpikingNetwork
from tests.nir.networks import residual


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Network, and bytes of its file."""
    path = tmp_path_factory.mktemp("nir") / "network.nir"
    network = residual(np.random.default_rng(0))
    to_nir(network, path)
    return network, path.read_bytes()


@pytest.fixture
def path(written, tmp_path):
    (tmp_path / "network.nir").write_bytes(written[1])
    return tmp_path / "network.nir"


def edited(path, edit):
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def rewrite(name, value):
    def edit(file):
        del file[name]
        file[name] = value

    return edit


def spaced(file):
    rewrite("node/metadata/spikeport", file["node/metadata/spikeport"].asstr()[()] + " ")(file)


def wider(file):
    name = next(f"node/nodes/{n}/weight" for n in file["node/nodes"] if "weight" in file[f"node/nodes/{n}"])
    rewrite(name, file[name][()].astype("f8" if file[name].dtype == "f4" else "f4"))(file)


@pytest.mark.parametrize(
    "edit",
    [
        spaced,
        wider,
        lambda file: file["node/nodes/input"].create_group("metadata").create_dataset("note", data="x"),
        lambda file: file["node/metadata"].create_dataset("note", data=1.0),
        lambda file: file.create_dataset("note", data=1.0),
        lambda file: file.create_group("node/metadata/note"),
        rewrite(f"node/metadata/{content.KEY}", "0" * 64),
        lambda file: file.move(f"node/metadata/{content.KEY}", "node/metadata/spikeport_contenu"),
        lambda file: file.pop(f"node/metadata/{content.KEY}"),
    ],
    ids=["contract's text", "width", "note of a node", "note", "root", "empty group", "hash", "its name", "no hash"],
)
def test_what_has_no_part_in_the_network_is_held_too(edit, path):
    from_nir(path)
    with pytest.raises(NirError, match="another hash"):
        from_nir(edited(path, edit))


def test_the_version_of_nir_that_wrote_a_file_is_not_its_content(path):
    from_nir(edited(path, rewrite("version", "9.9.9")))


def test_a_file_as_it_is_written_has_the_hash_of_what_is_read(path):
    tree = read_tree(path)
    assert content.is_sealed(tree)
    assert tree["node"]["metadata"][content.KEY] == content.digest(tree)


def test_names_and_texts_do_not_run_into_each_other():
    def tree(**items):
        return {"node": {"metadata": {}, **items}}

    trees = [
        tree(ab="c"),
        tree(a="bc"),
        tree(a={"b": "c"}),
        tree(a=[["b", "c"]]),
        tree(a=[["bc", ""]]),
        tree(a=np.zeros(2, "f4")),
        tree(a=np.zeros(1, "f8")),
        tree(a=np.zeros((1, 2), "f4")),
        tree(a=np.zeros((), "f8")),
        tree(a=np.zeros(2, "i4")),
        tree(a=-np.zeros(2, "f4")),
    ]
    assert len({content.digest(t) for t in trees}) == len(trees)


def test_flipped_bits_and_cuts_are_refused_or_mean_the_same(written, path):
    network, original = written
    rng = np.random.default_rng(1)
    used = np.flatnonzero(np.frombuffer(original, np.uint8))
    seen = read_tree(path)
    outcomes = set()
    for index in range(150):
        data = bytearray(original)
        if index % 5 == 0:
            data = data[: rng.integers(len(data))]
        else:
            data[rng.choice(used)] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            after = from_nir(path)
        except NirError:
            outcomes.add("refused")
            continue
        outcomes.add("same")
        assert isinstance(after, SpikingNetwork)
        assert digest(after) == digest(network)
        assert content.digest(read_tree(path)) == content.digest(seen)
    assert outcomes == {"refused", "same"}
