"""Settings for one backend: they survive every way a network takes, mean something there, and are refused by name elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spikeport as sp
from spikeport.backends.loihi import LoihiPopulation, LoihiProjection
from spikeport.errors import ArchiveError, GraphError, LowerError
from spikeport.primitives import FixedCubaLIF, extended, extensions, without_extensions
from spikeport.storage import codec

TUNED = """
from dataclasses import dataclass
from spikeport.errors import OptionError, Problem
from spikeport.plugin import Backend, Program, Target, settings_of
@dataclass(frozen=True, slots=True)
class Cell:
    clock: int = 1
    mode: str = "slow"
    def __post_init__(self):
        if self.clock < 1:
            raise OptionError(Problem("clock", f"is {self.clock}", "from 1 on"))
class Tuned(Backend):
    name, version = "tuned", "1"
    population_settings = Cell
    targets = (Target(name="one", title="One", vendor=""),)
    def compile(self, network, target, options):
        cells = {p.name: settings_of(p, self, Cell) or Cell() for p in network.populations}
        return Program(self.name, self.version, "one", network, document={n: c.clock for n, c in cells.items()})
    def open(self, program, *, record, potentials): raise NotImplementedError
BACKEND = Tuned()
"""


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend of others in a distribution of its own, with settings of its own."""
    folder = tmp_path / "site"
    (folder / "tuned_chip-1.5.dist-info").mkdir(parents=True)
    (folder / "tuned_chip.py").write_text(TUNED)
    info = folder / "tuned_chip-1.5.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tuned-chip\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[spikeport.backends]\ntuned = tuned_chip:BACKEND\n")
    monkeypatch.syspath_prepend(folder)


def plain(population=None, projection=None):
    """A module of two populations in a network."""
    part = sp.Module("part")
    cells = part.population("cells", 3, sp.IF(), ext=population)
    part.connect(part.input("in", 2), cells, sp.Dense(np.ones((3, 2))), ext=projection)
    part.output("out", cells)
    net = sp.Network("n")
    added = net.add("a", part)
    net.connect(net.input("x", 2), added["in"])
    net.output("y", added["out"])
    return net


def chip(weights, ext=None, where=None, bias=0):
    """One population of a Loihi behind an input."""
    net = sp.Network("chip")
    cells = net.population("cells", len(weights), FixedCubaLIF(du=4095, dv=0, threshold=640, bias=bias), ext=where)
    net.connect(net.input("x", len(weights[0])), cells, sp.Dense(np.array(weights)), ext=ext)
    net.output("y", cells)
    return net.build(contract=sp.DynamicsContract.loihi("loihi2"))


SOME = {"loihi2": {"cores": (3, 5)}, "tuned": {"clock": 2, "mode": "fast"}}


def test_settings_survive_building_files_and_nir(tmp_path: Path) -> None:
    built = plain(SOME, {"tuned": {"slots": [1, 2], "gain": 0.5, "on": True}}).build()
    assert [p.name for p in extended(built)] == ["a/cells", "x -> a/cells"]
    expected = [extensions(SOME), extensions({"tuned": {"slots": (1, 2), "gain": 0.5, "on": True}})]
    assert [p.ext for p in extended(built)] == expected
    structure, arrays = codec.encode(built)
    assert [p.ext for p in extended(codec.decode(structure, arrays))] == expected
    path = tmp_path / "n.nir"
    said = sp.to_nir(built, path)
    assert [e.node for e in said if "loihi2 and tuned" in e.what and e.is_remark] == ["a.cells"]
    assert [p.ext for p in extended(sp.from_nir(path))] == expected
    with pytest.raises(sp.NirError, match="settings for loihi2 and tuned are left out, which snntorch"):
        sp.to_nir(built, tmp_path / "other.nir", dialect="snntorch", strict=True)


def test_settings_of_one_of_several_projections_come_back_to_it(tmp_path: Path) -> None:
    net = sp.Network("n")
    x, y = net.input("x", 2), net.population("y", 2, sp.IF())
    for i in range(3):
        ext = {"tuned": {"slot": i}} if i == 1 else None
        net.connect(x, y, sp.Dense(np.full((2, 2), 1.0 + i)), delay=0.001 * (3 - i), ext=ext)
    sp.to_nir(net, tmp_path / "n.nir")
    (only,) = extended(sp.from_nir(tmp_path / "n.nir"))
    assert only.weighted.weight.tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert only.delay == 1


def test_files_without_settings_are_as_they_were_before_there_were_any() -> None:
    structure, _ = codec.encode(plain().build())
    assert "ext" not in str(structure)
    structure, arrays = codec.encode(plain({"tuned": {"clock": 2}}).build())
    content = structure["DynamicNetwork"]["populations"][0]["DynamicPopulation"]
    content["ext"][0]["Extension"]["settings"] = [["clock", [[1]]]]
    with pytest.raises(ArchiveError, match="ext"):
        codec.decode(structure, arrays)


def test_a_connection_with_settings_is_not_merged_through_a_port() -> None:
    part = sp.Module("part")
    cells = part.population("cells", 2, sp.IF())
    part.connect(part.input("in", 2), cells, sp.Dense(np.eye(2)), ext={"tuned": {"slot": 1}})
    net = sp.Network("n")
    net.connect(net.input("x", 2), net.add("a", part)["in"], sp.Dense(2 * np.eye(2)), ext={"tuned": {"slot": 2}})
    built = net.build()
    assert {p.name: p.ext[0].by_name["slot"] for p in built.projections} == {"x -> a/in": 2, "a/in -> a/cells": 1}


@pytest.mark.parametrize("on", ["reference", "native", "torch"])
def test_other_backends_refuse_settings_by_name_and_say_the_way_out(on: str) -> None:
    built = plain({"loihi2": {"cores": (3,)}}).build()
    for attempt in (lambda: sp.compile(built, on), lambda: sp.simulate(built, np.zeros((2, 1, 2)), on=on)):
        with pytest.raises(
            sp.SpikeportError, match=rf"a/cells.*'loihi2' \(cores\), which '{on}' does not know"
        ) as caught:
            attempt()
        assert "without_extensions" in str(caught.value)
    assert sp.compile(without_extensions(built), on).network.name == "n"
    assert extended(without_extensions(built, "tuned"))
    assert not extended(without_extensions(built, "loihi2"))


def test_a_namespace_that_nobody_has_is_refused_with_the_nearest_name() -> None:
    built = plain({"loihi3": {"cores": (3,)}}).build()
    with pytest.raises(LowerError, match=r"(?s)'loihi3', which is no backend.*did you mean 'loihi[12]'"):
        sp.compile(built, "reference")
    verdict = sp.check(built, "xylo")
    assert not verdict.fits
    assert any("'loihi3'" in r.why for r in verdict.reasons)


def test_check_judges_settings_as_compile_does() -> None:
    right, wrong = (chip([[2, 4]], where={"loihi2": {"cores": cores}}) for cores in ((1,), (1, 1)))
    assert sp.check(right, "loihi2").fits
    assert [r.where for r in sp.check(wrong, "loihi2").reasons] == ["cells: loihi2.cores"]
    assert any("'loihi2' (cores)" in r.why for r in sp.check(right, "loihi1").reasons)


def test_bits_of_weights_are_the_choice_of_the_network_and_change_its_spikes() -> None:
    weights, x = [[6, 10], [20, -30]], np.ones((6, 1, 2), np.int64)
    whole, cut = chip(weights), chip(weights, LoihiProjection_of(num_weight_bits=5))
    program = sp.compile(cut, "loihi2")
    # of both signs one bit goes to the sign: with 5 bits, multiples of 16 are left
    assert program.network.projections[0].synapses[0].weight.tolist() == [[0, 0], [16, -32]]
    assert [(e.node, e.error) for e in program.ledger] == [("x -> cells", 10.0)]
    with sp.open(program) as session:
        found = session.run(x, record=["cells"]).counts["cells"]
    assert found.tolist() != sp.simulate(whole, x, on="loihi2").counts["cells"].tolist()
    own = sp.simulate(without_extensions(program.network), x, on="reference").counts["cells"]
    assert found.tolist() == own.tolist()


def LoihiProjection_of(**settings):
    return {"loihi2": LoihiProjection(**settings)}


def test_a_sign_mode_leaves_weights_of_its_sign() -> None:
    program = sp.compile(chip([[6, 7], [20, -30]], LoihiProjection_of(sign_mode="excitatory")), "loihi2")
    assert program.network.projections[0].synapses[0].weight.tolist() == [[6, 7], [20, 0]]
    assert [e.error for e in program.ledger] == [30.0]
    held = sp.compile(chip([[6, 7]], LoihiProjection_of(num_weight_bits=8)), "loihi2")
    assert not held.ledger  # nothing was cut


def test_cores_are_those_that_a_population_names_and_nobody_elses() -> None:
    net = sp.Network("two")
    x = net.input("x", 1)
    for name, where in (("a", None), ("b", {"loihi2": LoihiPopulation(cores=(0, 7))}), ("c", None)):
        net.connect(x, net.population(name, 5, FixedCubaLIF(du=0, dv=0, threshold=64), ext=where), sp.Dense([[2]] * 5))
    program = sp.compile(net.build(contract=sp.DynamicsContract.loihi("loihi2")), "loihi2")
    assert program.document["parts"] == [["a", 0, 5, 1], ["b", 0, 2, 0], ["b", 2, 5, 7], ["c", 0, 5, 1]]
    assert program.bill["cores"].used == 3


@pytest.mark.parametrize(
    ("where", "ext", "said"),
    [
        ({"cores": (500,)}, None, "is put on core 500"),
        ({"cores": (0, 1, 2)}, None, "names 3 cores for 2 neurons"),
        ({"cores": (-1,)}, None, "cells: loihi2.cores: are"),
        ({"cores": 3}, None, "cells: loihi2.cores: is 3"),
        ({"core": 3}, None, "did you mean 'cores'"),
        (None, {"num_weight_bits": 9}, "loihi2.num_weight_bits: is 9"),
        (None, {"num_weight_bits": True}, "loihi2.num_weight_bits: is True"),
        (None, {"sign_mode": "both"}, "loihi2.sign_mode: is 'both'"),
        (None, {"num_weight_bit": 4}, "did you mean 'num_weight_bits'"),
    ],
)
def test_what_loihi_does_not_have_is_refused_by_place_and_name(where, ext, said: str) -> None:
    given = [None if settings is None else {"loihi2": settings} for settings in (ext, where)]
    with pytest.raises(LowerError) as caught:
        sp.compile(chip([[2, 4], [2, 4]], *given), "loihi2")
    assert said in str(caught.value)


def test_a_backend_of_others_registers_its_own(tuned: None, tmp_path: Path) -> None:
    program = sp.compile(plain({"tuned": {"clock": 3}}), "tuned")
    assert dict(program.document) == {"a/cells": 3}
    again = sp.load_program(program.save(tmp_path / "n.spp"))
    assert [p.ext for p in extended(again.network)] == [extensions({"tuned": {"clock": 3}})]
    for settings, said in (
        ({"clock": 0}, "tuned.clock: is 0"),
        ({"clocks": 2}, "did you mean 'clock'"),
        ({"mode": 2}, "tuned.mode: is 2"),
    ):
        with pytest.raises(LowerError, match=said):
            sp.compile(plain({"tuned": settings}), "tuned")
    with pytest.raises(LowerError, match="has no settings of projections"):
        sp.compile(plain(projection={"tuned": {"clock": 3}}), "tuned")


@pytest.mark.parametrize(
    "given",
    [
        {"": {}},
        {"a b": {}},
        {"tuned": 3},
        {"tuned": {"x": None}},
        {"tuned": {"x": float("nan")}},
        {"tuned": {"x": ((1,),)}},
        {"tuned": {"x": (1, "a")}},
        {"tuned": {"x": 2**63}},
        {"tuned": {"two words": 1}},
        {3: {}},
        [1],
    ],
)
def test_settings_that_are_no_plain_data_are_refused_where_they_are_written(given) -> None:
    with pytest.raises(GraphError, match="cells"):
        plain(given)
