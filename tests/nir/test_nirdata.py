"""NIRData: what `nir` writes is read as it is, what we write is read by `nir`, and whatever else a file holds is refused by name."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import spikeport as sp
from spikeport.errors import DataError, FileError, OptionError
from spikeport.nir.nirdata import Events, Gridded, NirData, data_of
from spikeport.primitives import DynamicRecording, SpikeEvents

IDX = np.array([[0, 2, -1], [1, -1, -1]])
TIME = np.array([[0.0, 3e-3, inf], [1.5e-3, inf, inf]])
VALUE = np.array([[2.5, -1, 0], [0.25, 0, 0]])


def theirs() -> nir.NIRGraphData:
    """Everything that NIRData has."""
    observed = {
        "v": nir.TimeGriddedData(np.arange(12, dtype=np.float32).reshape(1, 4, 3), 1e-3),
        "hit": nir.TimeGriddedData(np.eye(4, 3, dtype=bool)[None], 1e-3),
    }
    return nir.NIRGraphData(
        {
            "a": nir.NIRNodeData({"spikes": nir.EventData(IDX, TIME, 3, 4e-3)}),
            "b": nir.NIRNodeData({"payload": nir.ValuedEventData(IDX, TIME, 3, 4e-3, VALUE)}),
            "c": nir.NIRNodeData(observed),
        }
    )


def assert_same(ours: Any, other: Any) -> None:
    if isinstance(ours, Gridded):
        assert type(other) is nir.TimeGriddedData
        pairs = [(ours.data, other.data), (ours.dt, other.dt)]
    else:
        assert type(other) is (nir.EventData if ours.values is None else nir.ValuedEventData)
        pairs = [(ours.neurons, other.idx), (ours.times, other.time), (ours.n_neurons, other.n_neurons)]
        pairs += [(ours.t_max, other.t_max)] + ([] if ours.values is None else [(ours.values, other.value)])
    for a, b in pairs:
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.array_equal(a, b)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    nir.write_data(str(tmp_path / "a.nird"), theirs())
    return tmp_path / "a.nird"


def test_all_that_nir_writes_is_read_and_written_back(path: Path, tmp_path: Path) -> None:
    found = sp.read_nirdata(path)
    back = nir.read_data(str(sp.write_nirdata(found, tmp_path / "b.nird")))
    for name, node in theirs().nodes.items():
        assert set(found.nodes[name]) == set(node.observables)
        for what, seen in node.observables.items():
            assert_same(found.nodes[name][what], seen)
            assert_same(found.nodes[name][what], back.nodes[name].observables[what])
    again = sp.read_nirdata(sp.write_nirdata(theirs(), tmp_path / "c.nird"))
    assert np.array_equal(again.nodes["a"]["spikes"].neurons, IDX)  # type: ignore[union-attr]


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 0.1, 3e-3])
@pytest.mark.parametrize("graded", [False, True])
def test_a_recording_comes_back_as_it_was(tmp_path: Path, dt: float, graded: bool) -> None:
    rng = np.random.default_rng(0)
    raster = rng.integers(0, 2, (57, 3, 4))
    raster[:, 1] = 0
    raster[-1, 0] = 1
    samples, steps, neurons = np.nonzero(raster.transpose(1, 0, 2))
    values = rng.integers(2, 9, len(steps)) if graded else None
    events = SpikeEvents(samples, steps, neurons, (2, 2), 57, 3, dt, values)
    recording = DynamicRecording(57, {}, {"lif": events}, {"lif": rng.normal(size=(57, 3, 2, 2))})
    back = sp.read_nirdata(sp.write_nirdata(recording, tmp_path / "x.nird")).recording()
    found = back.spikes["lif"]
    assert (back.n_steps, found.n_steps, found.batch, found.shape, found.dt) == (57, 57, 3, (4,), dt)
    for name in ("samples", "steps", "neurons"):
        assert np.array_equal(getattr(found, name), getattr(events, name))
    assert (found.values is None) == (values is None)
    assert values is None or np.array_equal(found.values, values)
    assert np.array_equal(back.potentials["lif"], recording.potentials["lif"].reshape(57, 3, 4))
    assert np.array_equal(back.counts["lif"], events.counts.reshape(3, 4))


@pytest.mark.parametrize("dt", [1e-4, 3e-4, 1e-3, 0.1])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_time_at_the_beginning_of_a_step_is_in_it(dt: float, kind: Any) -> None:
    steps = np.arange(2000)
    at_start = Events(np.zeros((1, 2000), int), (steps * dt).astype(kind)[None], 1, 2000 * dt)
    assert np.array_equal(at_start.by_step(dt)[1], steps)
    between = Events(np.zeros((1, 2000), int), ((steps + 0.5) * dt).astype(kind)[None], 1, 2000 * dt)
    assert np.array_equal(between.by_step(dt)[1], steps)


def test_events_of_one_neuron_in_one_step_add_up() -> None:
    twice = Events(np.array([[1, 1, 0]]), np.array([[0.0, 0.5, 1.0]]), 2, 2.0)
    assert twice.on_grid(1.0).data.tolist() == [[[0, 2], [1, 0]]]
    recording = NirData({"n": {"spikes": twice}}).recording(1.0)
    assert recording.spikes["n"].train().raster[:, 0].tolist() == [[0, 2], [1, 0]]
    halves = Events(np.array([[0, 0]]), np.array([[0.0, 0.5]]), 1, 1.0, np.array([[0.25, 0.5]], np.float32))
    assert halves.on_grid(1.0).data.tolist() == [[[0.75]]]
    small = Events(np.array([[0, 0]]), np.array([[0.0, 0.5]]), 1, 1.0, np.array([[100, 100]], np.int8))
    assert small.on_grid(1.0).data.tolist() == [[[200]]]


def test_steps_that_have_begun_count_and_no_event_is_after_the_last() -> None:
    assert [Events(IDX, TIME, 3, t_max).n_steps(1e-3) for t_max in (4e-3, 4.5e-3, 0.0)] == [4, 5, 0]
    with pytest.raises(DataError, match=r"3 steps of 0\.001 s end there"):
        Events(IDX, TIME, 3, 3e-3).by_step(1e-3)  # t_max is the time of the last event
    with pytest.raises(DataError, match="too many steps"):
        Events(IDX, TIME, 3, 1e300).n_steps(1e-3)
    with pytest.raises(DataError, match="more than"):
        Events(IDX, TIME, 2**40, 4e-3).on_grid(1e-3)


def test_what_a_recording_does_not_say_is_asked_for(path: Path, tmp_path: Path) -> None:
    found = sp.read_nirdata(path)
    events = NirData({"a": found.nodes["a"]})
    assert events.recording(1e-3).n_steps == 4
    with pytest.raises(DataError, match="dt: is said nowhere"):
        events.recording()
    with pytest.raises(DataError, match=r"has \[1, 2\] samples"):
        found.recording()
    two = NirData({"c": found.nodes["c"], "d": {"v": Gridded(np.ones((1, 2, 1)), 2e-3)}})
    with pytest.raises(DataError, match=r"time steps of 0\.001, 0\.002 s"):
        two.recording()
    with pytest.raises(DataError, match=r"is 0\.002 s, and the recording has steps of 0\.001 s"):
        NirData({"c": found.nodes["c"]}).recording(2e-3)
    with pytest.raises(DataError, match="n: has u and v, which are of one kind"):
        NirData({"n": dict.fromkeys("uv", Gridded(np.ones((1, 2, 1)), 1e-3))}).recording()
    with pytest.raises(DataError, match=r"has \[2, 4\] steps"):
        NirData({"c": found.nodes["c"], "d": {"v": Gridded(np.ones((1, 2, 1)), 1e-3)}}).recording()
    potentials = DynamicRecording(2, {}, {}, {"n": np.ones((2, 1, 1))})
    with pytest.raises(DataError, match="dt: is said nowhere"):
        sp.write_nirdata(potentials, tmp_path / "p.nird")
    assert sp.read_nirdata(sp.write_nirdata(potentials, tmp_path / "p.nird", dt=0.5)).dt == 0.5
    with pytest.raises(OptionError, match="has its own"):
        sp.write_nirdata(found, tmp_path / "p.nird", dt=0.5)
    with pytest.raises(DataError, match="is a list"):
        sp.write_nirdata([], tmp_path / "p.nird")  # type: ignore[arg-type]


def test_nodes_of_nested_graphs_are_named_by_where_they_are() -> None:
    inner = nir.NIRGraphData({"lif": nir.NIRNodeData({"spikes": nir.EventData(IDX, TIME, 3, 4e-3)})})
    assert list(data_of(nir.NIRGraphData({"sub": inner})).nodes) == ["sub.lif"]
    outer = nir.NIRGraphData({"sub": inner, "sub.lif": nir.NIRNodeData({})})
    with pytest.raises(DataError, match=r"sub\.lif: is the name of two nodes"):
        data_of(outer)


def attribute(name: str, value: Any) -> Any:
    def change(group: Any) -> None:
        group.attrs[name] = value

    return change


def dataset(name: str, value: Any) -> Any:
    def change(group: Any) -> None:
        group.pop(name, None)
        group[name] = value

    return change


def without(name: str) -> Any:
    def change(group: Any) -> None:
        group.pop(name, None)
        group.attrs.pop(name, None)

    return change


def larger_than_the_file(group: Any) -> None:
    del group["time"]
    group.create_dataset("time", (1, 2**40), "f8", chunks=(1, 1024), compression="gzip")


def in_another_file(group: Any) -> None:
    del group["time"]
    group["time"] = h5py.ExternalLink("other.h5", "/time")


A, B, C = "nodes/a/observables/spikes", "nodes/b/observables/payload", "nodes/c/observables/v"


@pytest.mark.parametrize(
    ("where", "change", "why"),
    [
        ("/", attribute("__type__", "Other"), "holds no NIRData"),
        ("/", without("__type__"), "holds no NIRData"),
        ("/", without("nodes"), "has no nodes"),
        ("/", dataset("more", 1), "entries that NIRData does not: more"),
        ("nodes", dataset("more", 1), "is none of the nodes"),
        ("nodes", attribute("more", 1), "has no nodes"),
        ("nodes/a", attribute("__type__", "X"), "a: is of type 'X'"),
        ("nodes/a", attribute("more", 1), "entries that NIRData does not: more"),
        (A, attribute("__type__", "X"), r"a\.spikes: is of type 'X'"),
        (A, without("t_max"), "other entries than a EventData: t_max"),
        (A, dataset("value", VALUE), "other entries than a EventData: value"),
        (A, attribute("t_max", "x"), r"t_max: is no number"),
        (A, attribute("t_max", nan), r"t_max: is nan"),
        (A, attribute("t_max", -1.0), r"t_max: is -1"),
        (A, attribute("n_neurons", 2), r"idx: is not of neurons 0 to 1"),
        (A, attribute("n_neurons", 2.5), r"n_neurons: is 2\.5"),
        (A, attribute("n_neurons", 2**60), "integers beyond"),
        (A, attribute("t_max", 2.9e-3), r"time: is not within 0 and t_max"),
        (A, dataset("idx", IDX - 1), r"idx: is not of neurons"),
        (A, dataset("idx", IDX.astype(float)), r"idx: is not of neurons"),
        (A, dataset("time", -TIME), r"time: is not within"),
        (A, dataset("time", np.full((2, 3), nan)), r"time: is not within"),
        (A, dataset("time", TIME[:, :2]), "has the shapes"),
        (A, dataset("idx", "text"), r"idx: is no number"),
        (A, larger_than_the_file, "declares more data than can be in this file"),
        (A, in_another_file, "is a link to another place or file"),
        (A, dataset("time", np.void(b"\x80\x04K\x01.")), "which is no number and no text"),
        (A, attribute("t_max", np.void(b"\x80\x04K\x01.")), "which is no number and no text"),
        (B, dataset("value", np.full((2, 3), inf)), r"value: is not finite"),
        (B, dataset("value", np.full((2, 3), 2**60)), "integers beyond"),
        (C, attribute("dt", 0.0), r"dt: is 0"),
        (C, dataset("data", np.ones((4, 3))), "3 axes are meant"),
        (C, dataset("data", np.full((1, 4, 3), nan)), r"data: is not finite"),
        (A, attribute("dt", np.zeros(3)), "has the shape"),
        (A, attribute("dt", 1j), "no number and no text"),
        (A, attribute("dt", h5py.Empty("f8")), "has the shape None"),
        (A, attribute("dt", "x" * 2000), "not a text of at most"),
        ("/", lambda group: [attribute(str(i), i)(group) for i in range(9)], "more than 8 attributes"),
    ],
)  # fmt: skip
def test_what_is_no_nirdata_is_refused_by_name(where: str, change: Any, why: str, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        change(file[where])
    with pytest.raises(DataError, match=why):
        sp.read_nirdata(path)


def test_padding_may_hold_anything_and_events_may_be_at_the_very_end(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        dataset("time", np.where(IDX < 0, nan, TIME))(file[A])
        attribute("t_max", 3e-3)(file[A])
    found = sp.read_nirdata(path).nodes["a"]["spikes"]
    assert isinstance(found, Events)
    assert found.t_max == 3e-3


def test_other_files_are_named_so(tmp_path: Path) -> None:
    (tmp_path / "a.nird").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="so not a NIRData file"):
        sp.read_nirdata(tmp_path / "a.nird")
    with pytest.raises(FileError, match="No such file"):
        sp.read_nirdata(tmp_path / "none.nird")


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in range(0, len(content) - 1, len(content) // 25):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            sp.read_nirdata(path)


# -- as what a search for contracts is given ---------------------------------------------------------------------------------

X = np.array([[1.0], [1.5], [1.5], [1], [0], [2], [1.5]])
FIRED = np.array([0, 1, 0, 1, 0, 1, 1])
"""Above 2, which is subtracted in the step of the spike."""
GIVEN = {"if_gain": "step", "synapse": "current"}


def counter() -> nir.NIRGraph:
    """Two Outputs, of which the second, a value, need not be recorded."""
    one = np.ones(1)
    nodes = {
        "i": nir.Input({"input": np.array([1])}),
        "n": nir.IF(r=one, v_threshold=2 * one, v_reset=0 * one),
        "s": nir.Scale(scale=3 * one),
        "o": nir.Output({"output": np.array([1])}),
        "p": nir.Output({"output": np.array([1])}),
    }
    return nir.NIRGraph(nodes, [("i", "n"), ("n", "o"), ("i", "s"), ("s", "p")], type_check=False)


def fed(node: str = "i") -> dict[str, Any]:
    return {node: {"current": Gridded(X[None], 1e-3)}}


def fired(node: str) -> dict[str, Any]:
    steps = np.flatnonzero(FIRED)
    return {node: {"spikes": Events(np.zeros((1, 4), int), (steps[None] + 0.5) * 1e-3, 1, 7e-3)}}


@pytest.mark.parametrize("node", ["o", "n"])
def test_a_search_takes_what_inputs_gave_and_what_any_node_did(node: str, tmp_path: Path) -> None:
    data = NirData({**fed(), **fired(node)})
    expected = sp.discover(counter(), {"input": X, "expected.o": FIRED[:, None]}, dt=1e-3, given=GIVEN)
    file = sp.write_nirdata(data, tmp_path / "x.nird")
    for given in (data, file, str(file), nir.read_data(str(file)), (NirData(fed()), NirData(fired(node)))):
        found = sp.discover(counter(), given, given=GIVEN)
        assert found.contract is not None
        assert (found.n_values, found.found) == (7, expected.found)
        assert "reset subtract" in str(found)


def test_a_search_compares_values_of_nodes_that_do_not_fire(tmp_path: Path) -> None:
    right = NirData({**fed(), **fired("n"), "s": {"v": Gridded(3 * X[None], 1e-3)}})
    assert sp.discover(counter(), right, given=GIVEN).contract is not None
    wrong = NirData({**fed(), **fired("n"), "s": {"v": Gridded(3 * X[None] + (X == 0), 1e-3)}})
    found = sp.discover(counter(), wrong, given=GIVEN)
    assert found.closest is not None
    first = found.closest.deviation
    assert (first.output, first.step, first.ours, first.theirs) == ("s (recorded)", 4, 0, 1)


def test_of_spikes_and_potentials_those_count_that_the_node_sends() -> None:
    both = {"o": {**fired("o")["o"], "v": Gridded(X[None] * 0 + 99, 1e-3)}}
    assert sp.discover(counter(), NirData({**fed(), **both}), given=GIVEN).contract is not None
    only = NirData({**fed(), "p": {"spikes": Gridded(X[None] > 9, 1e-3), "v": Gridded(3 * X[None], 1e-3)}})
    assert sp.discover(counter(), only, given=GIVEN).contract is not None


def test_what_a_search_cannot_use_is_refused_by_name(tmp_path: Path) -> None:
    events = NirData({"i": fired("i")["i"], **fired("o")})
    with pytest.raises(DataError, match="dt: is said nowhere"):
        sp.discover(counter(), events)
    with pytest.raises(DataError, match="dt: is said nowhere"):
        sp.discover(counter(), events, dt=(1e-3, 1e-4))
    assert sp.discover(counter(), events, dt=(1e-3,), given=GIVEN).n_values == 7
    several = NirData({**fed(), "o": {"spikes": Gridded(np.zeros((2, 7, 1), bool), 1e-3)}})
    with pytest.raises(DataError, match="o: has 2 samples"):
        sp.discover(counter(), several)
    with pytest.raises(DataError, match="i: does not hold one observable: current, more"):
        sp.discover(counter(), NirData({"i": dict.fromkeys(("current", "more"), fed()["i"]["current"]), **fired("o")}))
    with pytest.raises(DataError, match=r"recording\.expected: is for 'x'"):
        sp.discover(counter(), NirData({**fed(), **fired("x")}))
    with pytest.raises(DataError, match=r"recording\.input: is for nothing"):
        sp.discover(counter(), NirData(fired("o")), dt=1e-3)


def test_of_several_outputs_some_may_be_recorded() -> None:
    assert sp.discover(counter(), {"input": X, "expected.p": 3 * X}, dt=1e-3, given=GIVEN).contract is not None
    found = sp.discover(counter(), {"input": X, "expected.p": 2 * X}, dt=1e-3, given=GIVEN)
    assert found.closest is not None
    assert found.closest.cells == np.count_nonzero(X)
