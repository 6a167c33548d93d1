"""The vocabulary: values whose arrays nobody can change, and what they say about themselves."""

from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from spikeport.primitives import (
    Accumulator,
    Approximation,
    Connection,
    Conv,
    Dense,
    ExecutionContract,
    GradedIF,
    InputEncoder,
    MaxPool,
    MaxUnit,
    OneToOne,
    Population,
    Recording,
    Reshape,
    SignedIF,
    SpikeTrain,
    SpikingNetwork,
    SumPool,
    frozen,
)


def array(*shape: int) -> np.ndarray:
    return np.arange(1, 1 + int(np.prod(shape))).reshape(shape)


def values() -> list[object]:
    """One of each class that holds arrays, made of arrays that their maker could still change."""
    return [
        Dense(array(2, 3)),
        Conv(array(2, 1, 3), (1,), ((0, 0),), (1,)),
        OneToOne(array(3)),
        SignedIF(array(3), array(3), array(3), 0, 5),
        GradedIF(array(3), array(3), array(3), 0, 5, 1),
        Accumulator(array(3), 0.5),
        InputEncoder("input", (3,), "static", array(3), -1, 1, gain=array(3), shift=array(3)),
        SpikeTrain(array(2, 1, 3), 1e-3),
        Recording(2, array(1), array(2, 1, 3), array(1, 3), {}, {}),
    ]


@pytest.mark.parametrize("value", values(), ids=lambda v: type(v).__name__)
def test_arrays_are_read_only_and_values_cannot_be_reassigned(value: object) -> None:
    held = {f.name: getattr(value, f.name) for f in fields(value) if isinstance(getattr(value, f.name), np.ndarray)}
    assert held
    for name, content in held.items():
        with pytest.raises(ValueError, match="read-only"):
            content[...] = 0
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, content)
        base = content
        while base is not None:
            assert not base.flags.writeable  # no way around through a base
            base = base.base


def test_a_value_keeps_what_it_was_made_of() -> None:
    weight = array(2, 3)
    dense, view = Dense(weight), Dense(weight[:, ::2])
    weight[:] = 0
    assert dense.weight.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert view.weight.tolist() == [[1, 3], [4, 6]]
    assert weight.flags.writeable  # the maker's own array is left alone


def test_what_is_read_only_already_is_shared() -> None:
    dense = Dense(array(2, 3))
    assert replace(dense).weight is dense.weight
    assert frozen(dense.weight) is dense.weight


def test_a_read_only_view_of_a_writable_array_is_copied() -> None:
    own = array(4)
    view = own[:2]
    view.setflags(write=False)
    held = frozen(view)
    own[0] = 99
    assert held.tolist() == [1, 2]


@given(arrays(np.int64, array_shapes(max_dims=4, max_side=4)))
def test_frozen_arrays_are_equal_contiguous_and_own_their_data(content: np.ndarray) -> None:
    held = frozen(content.T)
    assert np.array_equal(held, content.T)
    assert held.flags.c_contiguous
    assert held.base is None
    assert not held.flags.writeable


def test_optional_arrays_may_be_missing_and_numbers_become_arrays() -> None:
    encoder = InputEncoder("input", (3,), "events", 1.0, 0, 7)  # type: ignore[arg-type]
    assert encoder.gain is None
    assert encoder.scale.shape == ()


RASTERS = arrays(np.int64, st.tuples(*[st.integers(1, 4)] * 4), elements=st.integers(-2, 2))


@given(RASTERS)
def test_counts_and_events_of_a_train_tell_the_same(raster: np.ndarray) -> None:
    train = SpikeTrain(raster, dt=1e-3)
    assert np.array_equal(train.counts, raster.sum(axis=0))
    assert train.counts.dtype == np.int64
    for sample in range(raster.shape[1]):
        steps, neurons, payloads = train.events(sample)
        assert (np.diff(steps) >= 0).all()
        assert (payloads != 0).all()
        again = np.zeros((len(raster), raster[0, 0].size), np.int64)
        again[steps, neurons] = payloads
        assert np.array_equal(again.reshape(raster[:, sample].shape), raster[:, sample])


def test_counts_of_small_integers_do_not_wrap() -> None:
    assert SpikeTrain(np.full((300, 1, 1), 127, np.int8), dt=1e-3).counts.tolist() == [[300 * 127]]


def test_events_of_a_sample_are_those_of_that_sample() -> None:
    raster = np.zeros((2, 2, 3), np.int64)
    raster[1, 1, 2] = -4
    train = SpikeTrain(raster, dt=1e-3)
    assert [a.tolist() for a in train.events()] == [[], [], []]
    assert [a.tolist() for a in train.events(1)] == [[1], [2], [-4]]


POOL = MaxPool((2,), (2,), ((0, 0),), (1,))


def network(kind: str) -> SpikingNetwork:
    """input -> first maximum -> second maximum -> neurons -> third maximum -> output."""

    def unit(name: str, shape: tuple[int, ...]) -> Population:
        return Population(name, shape, MaxUnit(POOL))

    spiking = SignedIF(array(1), array(1), array(1), 0, 5)
    return SpikingNetwork(
        name="net",
        input=InputEncoder("input", (1, 16), kind, np.ones(()), 0, 7),  # type: ignore[arg-type]
        populations=(
            unit("first", (1, 8)),
            unit("second", (1, 4)),
            Population("neurons", (1, 4), spiking),
            unit("third", (1, 2)),
            unit("both", (1, 2)),
            Population("output", (2,), Accumulator(np.zeros(2), 1.0)),
        ),
        connections=(
            Connection("input", "first", ()),
            Connection("first", "second", ()),
            Connection("second", "neurons", (OneToOne(array(1)),)),
            Connection("neurons", "third", ()),
            Connection("second", "both", ()),
            Connection("neurons", "both", ()),
            Connection("third", "output", (Reshape((2,)),)),
        ),
        output="output",
        contract=ExecutionContract("signed", 3, 9, 24),
    )


def test_maxima_over_a_static_input_are_the_hosts_work_and_no_others() -> None:
    assert network("static").on_host() == {"input", "first", "second"}
    assert network("events").on_host() == frozenset()


def test_a_network_finds_populations_by_name_and_counts_neurons() -> None:
    net = network("static")
    assert net["neurons"] is net.populations[2]
    assert [c.source for c in net.incoming("both")] == ["second", "neurons"]
    assert net.incoming("input") == ()
    assert net.neurons == 8 + 4 + 4 + 2 + 2 + 2


def test_a_connection_knows_its_weights_and_its_name() -> None:
    dense = Dense(array(2, 3))
    assert Connection("a", "b", (Reshape((3,)), dense)).weighted is dense
    assert Connection("a", "b", (SumPool((2,), (2,), ((0, 0),)),)).weighted is None
    assert Connection("a", "b", ()).name == "a -> b"


def test_an_entry_of_the_ledger_reads_as_a_line() -> None:
    assert str(Approximation("fc1", "weights rounded", 0.25, "of a count")) == "fc1: weights rounded (0.25 of a count)"
    assert str(Approximation("fc1", "weights rounded", 0.25)) == "fc1: weights rounded (0.25)"
    assert str(Approximation("fc1", "runs on the host", 0.0)) == "fc1: runs on the host"
