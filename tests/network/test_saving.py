"""Networks by hand saved as they were written: what is read builds the same flat network, bit for bit."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import spikeport as sp
from spikeport.errors import ArchiveError, FileError
from spikeport.network.saving import DOCUMENT, TYPES
from spikeport.storage import archive, codec


def same(one: sp.DynamicNetwork, other: sp.DynamicNetwork) -> bool:
    """Whether two flat networks say the same, arrays by type, shape and bytes."""

    def content(network):
        structure, arrays = codec.encode(network)
        held = {name: f"{a.dtype} {a.shape} {a.tobytes().hex()}" for name, a in arrays.items()}

        def filled(value):
            if isinstance(value, dict):
                return held[value["array"]] if value.keys() == {"array"} else {k: filled(v) for k, v in value.items()}
            return [filled(v) for v in value] if isinstance(value, list) else value

        return filled(structure)

    return content(one) == content(other)


def again(net: sp.Network, path) -> sp.Network:
    return sp.Network.load(net.save(path))


def hierarchy() -> sp.Network:
    cell = sp.Module("cell")
    body = cell.population(
        "body", 3, sp.AdaptiveLIF(tau=0.02, tau_adapt=np.inf, increment=0.1), ext={"loihi2": {"cores": (1,)}}
    )
    cell.connect(
        cell.input("in", 4), body, sp.FixedProbability(0.5, weight=sp.Normal(0.5, 0.1), delay=sp.Uniform(0.001, 0.003))
    )
    cell.connect(body, body, sp.OneToOne(-0.25), delay=0.002, bias=0.125)
    cell.output("out", body)
    area = sp.Module("area")
    entry, parts = area.input("in", 4), [area.add(f"cell{i}", cell) for i in range(3)]
    total = area.population("total", 3, sp.LIF(tau=0.01))
    for part in parts:
        area.connect(entry, part["in"])
        area.connect(part["out"], total, sp.AllToAll(2), plasticity=sp.STDP(w_max=4.0), ext={"tuned": {"slot": 3}})
    area.output("out", total)
    area.probe(parts[0]["out"], "w")
    net = sp.Network("whole", seed=7)
    x = net.input("x", (1, 2, 2))
    for name in ("v1", "v2"):
        net.connect(x, net.add(name, area)["in"], (sp.SumPool2d(1), sp.Dense(np.eye(4))))
    picture = net.population("picture", (3, 2, 2), sp.CubaLIF(tau_syn=0.01, tau_mem=0.02))
    net.connect(x, picture, sp.FixedInDegree(2, weight=1, seed=3))
    net.connect(picture, picture, sp.DistanceDependent(sp.Normal(0.0, 0.3), speed=100.0, periodic=True))
    net.connect(picture, picture, sp.Sparse([0, 1], [2, 3], np.array([1, -2], np.int8), delay=[0.001, 0.004]))
    net.probe(picture, "i")
    net.output("y", picture)
    return net


def test_a_hierarchy_that_is_read_builds_the_same_network(tmp_path) -> None:
    net = hierarchy()
    read = again(net, tmp_path / "net.spn")
    assert same(read.build(), net.build())
    assert same(read.build(dt=5e-4), net.build(dt=5e-4))  # recipes are recipes still
    assert list(sp.network.probed(read)) == list(sp.network.probed(net))
    assert read.save(tmp_path / "again.spn").read_bytes() == (tmp_path / "net.spn").read_bytes()


def test_modules_are_shared_and_sealed_as_they_were(tmp_path) -> None:
    read = again(hierarchy(), tmp_path / "net.spn")
    area = read.parts["v1"].module
    assert area is read.parts["v2"].module
    assert area.parts["cell0"].module is area.parts["cell2"].module
    with pytest.raises(sp.GraphError, match="is sealed"):
        area.population("more", 1, sp.IF())
    read.population("more", 1, sp.IF())  # the network itself is open


def test_every_recipe_comes_back(tmp_path) -> None:
    whole = np.arange(8).reshape(4, 2)
    for i, (recipe, source, target) in enumerate(
        [
            (sp.Dense(whole), 2, 4),
            (sp.AllToAll(3), 2, 4),
            (sp.AllToAll(sp.Uniform(0, 1), seed=1), 2, 4),
            (sp.OneToOne(2), 4, 4),
            (sp.Conv1d(np.ones((1, 2, 3)), padding="same"), (2, 5), (1, 5)),
            (sp.Conv2d(np.ones((4, 1, 3, 3)), stride=(2, 1), padding=1, groups=2), (2, 6, 6), (4, 3, 6)),
            (sp.SumPool2d((2, 3), weight=0.5), (2, 6, 6), (2, 3, 2)),
            (sp.AvgPool2d(2), (2, 6, 6), (2, 3, 3)),
            (sp.FixedInDegree(2, multapses=False), 5, 3),
            (sp.FixedProbability(0.3, sp.Normal(0, 1, low=-1.0)), 20, 10),
            (sp.primitives.Pad(((0, 0), (1, 1))), (2, 4), (2, 6)),
            (sp.primitives.Sparse.from_pairs([0, 1], [1, 0], np.array([1.5, 2.5]), pre=2, post=2), 2, 2),
            (None, 3, 3),
        ]
    ):
        net = sp.Network("one")
        net.connect(net.input("x", source), net.population("y", target, sp.IF()), recipe)
        assert same(again(net, tmp_path / f"{i}.spn").build(), net.build()), recipe


def test_finished_and_converted_parts_come_back(tmp_path) -> None:
    pytest.importorskip("torch")
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)).eval()
    snn = sp.convert(model, [torch.rand(16, 4)], levels=3, code="population", progress=False)
    net = sp.Network("mixed")
    eye, done = net.add("eye", snn), net.add("done", hierarchy().build(), silent=("x",))
    net.connect(net.input("pixels", 4), eye["input"])
    votes = net.population("votes", 2, sp.Threshold(threshold=0.5))
    net.connect(eye["output"], votes)
    net.output("y", votes)
    net.output("z", done["y"])
    assert same(again(net, tmp_path / "mixed.spn").build(), net.build())


def test_a_function_is_refused_by_the_path_of_its_connection(tmp_path) -> None:
    net = sp.Network("n")
    x = net.population("x", 5, sp.IF())
    net.connect(x, x, sp.DistanceDependent(lambda d: np.exp(-d)))
    net.connect(x, x, sp.AllToAll(np.float32(0.5)))
    with pytest.raises(FileError) as caught:
        net.save(tmp_path / "n.spn")
    said = [str(p) for p in caught.value.problems]
    assert len(said) == 2
    assert all("n/x -> x" in text for text in said)
    assert not (tmp_path / "n.spn").exists()


def altered(path, change) -> None:
    """A file whose document says something else, sealed again."""
    documents, arrays = archive.read_archive(path)
    content = json.loads(documents[DOCUMENT])
    change(content)
    archive.write_archive(path, {DOCUMENT: json.dumps(content).encode()}, arrays)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format="spikeport.hierarchy/9"), "is not of the format"),
        (lambda c: c.update(more=1), "has other entries"),
        (lambda c: c.update(modules=[]), "is no list of modules|use the arrays"),
        (lambda c: c["modules"].pop(), "does not (end with a network|use the arrays)"),
        (lambda c: c["modules"][0]["SavedModule"].update(seed=1.5), "seed"),
        (lambda c: c["modules"][0]["SavedModule"]["places"][0]["ModulePopulation"].update(shape=[-3]), "shape"),
        (lambda c: c["modules"][1]["SavedModule"]["places"][1]["SavedPart"].update(module=1), "is not before it"),
        (lambda c: c["modules"][1]["SavedModule"]["places"][1]["SavedPart"].update(module=-1), "is not before it"),
        (lambda c: c["modules"][0]["SavedModule"]["links"][0]["SavedLink"].update(delay={"infinity": 1}), ""),
        (
            lambda c: c["modules"][0]["SavedModule"]["links"][0]["SavedLink"]["target"]["SavedPort"].update(name="q"),
            "not well formed",
        ),
        (lambda c: c["modules"][0]["SavedModule"]["probes"].append({"os": {}}), "is not a type that a file can hold"),
    ],
)
def test_what_was_altered_is_refused_and_never_an_error_of_ours(tmp_path, change, said: str) -> None:
    path = hierarchy().save(tmp_path / "net.spn")
    altered(path, change)
    if not said:  # well formed, and refused when it is built
        with pytest.raises(sp.GraphError):
            sp.Network.load(path).build()
        return
    with pytest.raises(ArchiveError, match=said):
        sp.Network.load(path)


def test_parts_of_parts_that_nobody_could_build_are_refused_at_once(tmp_path) -> None:
    net = sp.Network("n")
    net.add("a", sp.Module("leaf"))
    path = net.save(tmp_path / "net.spn")

    def doubled(content) -> None:
        leaf = content["modules"][0]
        module = json.loads(json.dumps(leaf))
        many = [leaf]
        for i in range(60):
            part = [{"SavedPart": {"name": n, "module": i, "silent": []}} for n in "ab"]
            many.append({"SavedModule": {**module["SavedModule"], "places": part}})
        content["modules"] = [*many, content["modules"][1]]

    altered(path, doubled)
    with pytest.raises(ArchiveError, match="with all its parts"):
        sp.Network.load(path)


def test_other_files_are_told_apart_and_nothing_is_unpickled(tmp_path) -> None:
    net = sp.Network("n")
    net.population("x", 2, sp.IF())
    program = sp.compile(net, "reference").save(tmp_path / "n.spp")
    with pytest.raises(ArchiveError, match=r"a program: `load_program` reads it"):
        sp.Network.load(program)
    (tmp_path / "p").write_bytes(pickle.dumps(3))
    with pytest.raises(ArchiveError):
        sp.Network.load(tmp_path / "p")
    with pytest.raises(ArchiveError):
        sp.load(net.save(tmp_path / "n.spn"))


def test_every_recipe_and_place_has_a_name_in_files() -> None:
    from typing import get_args

    from spikeport.network import Recipe

    assert set(get_args(Recipe)) <= set(TYPES.values())
    assert not TYPES.keys() & codec.TYPES.keys()
