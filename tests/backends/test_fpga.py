"""The core in its memories: rows, widths, names, beats; and the register-transfer code on simulators, where they are installed."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest

from spikeport.backends import programs, reference
from spikeport.backends.fpga import FPGA, FpgaOptions, design
from spikeport.backends.fpga.backend import machine_of
from spikeport.backends.fpga.beats import beat, fields, parsed, text
from spikeport.backends.fpga.document import read
from spikeport.backends.fpga.machine import Machine
from spikeport.backends.fpga.memory import Field, Memory
from spikeport.backends.fpga.names import mangled
from spikeport.backends.fpga.rows import expanded, rows_of, windows_of
from spikeport.backends.fpga.simulators import Simulation
from spikeport.codes import encode
from spikeport.errors import BackendError, DataError, LowerError, OptionError
from spikeport.graph import apply
from spikeport.plugin import unrolled
from spikeport.plugin.inputs import spiking, with_membrane
from spikeport.primitives import (
    IF,
    Conv,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    GradedThreshold,
    MaxPool,
    OneToOne,
    Projection,
    Reshape,
    Shape,
    Sparse,
    SpikeInput,
    SpikingNetwork,
    SumPool,
    Threshold,
    Upsample,
)
from spikeport.testing import networks
from spikeport.testing.compare import difference
from tests.integer_networks import random_input, random_network

SIMULATORS = [
    pytest.param("icarus", marks=pytest.mark.skipif(which("iverilog") is None, reason="iverilog is not installed")),
    pytest.param(
        "verilator",
        marks=[
            pytest.mark.skipif(which("verilator") is None, reason="verilator is not installed"),
            pytest.mark.skipif(
                "SPIKEPORT_SLOW" not in os.environ,
                reason="builds for half a minute: set SPIKEPORT_SLOW, or see bench/fpga.py",
            ),
        ],
    ),
]
ICARUS = pytest.mark.skipif(which("iverilog") is None, reason="iverilog is not installed")
RNG = np.random.default_rng(0)


def run(network: SpikingNetwork | DynamicNetwork, x: Any, options: FpgaOptions, **arguments: Any) -> Any:
    program = FPGA.compile(network, FPGA.targets[0], options)
    with FPGA.open(program, record=spiking(network), potentials=with_membrane(network)) as session:
        return session.run(x, **arguments)


def small(name: str = "net", weight: int = 3, threshold: int = 5, **contract: Any) -> DynamicNetwork:
    """Two units, one after the other."""
    given: dict[str, Any] = {
        "dt": 1e-3,
        "integrator": "accumulate",
        "compare": ">=",
        "reset": "subtract",
        "arithmetic": "integer",
    }
    cells = [DynamicPopulation(n, (2,), IF(threshold=threshold)) for n in ("a", "b")]
    links = [
        Projection("in", "a", (OneToOne(np.array([weight, 1])),)),
        Projection("a", "b", (OneToOne(np.array([2])),), 1),
    ]
    return DynamicNetwork(
        name, (SpikeInput("in", (2,)),), tuple(cells), tuple(links), DynamicsContract(**(given | contract))
    )


def loihi(neuron: Any, integrator: Any) -> DynamicNetwork:
    """One unit of a chip."""
    cells = DynamicPopulation("cells", (1,), neuron)
    return DynamicNetwork("loihi", (SpikeInput("in", (1,)),), (cells,), (), DynamicsContract.loihi(integrator))


# memories

CHAINS: dict[str, tuple[tuple[Any, ...], Shape, Shape]] = {
    "dense": ((Dense(RNG.integers(-9, 9, (5, 6))),), (6,), (5,)),
    "a border and a stride": (
        (Conv(RNG.integers(-9, 9, (3, 2, 3, 3)), (2, 2), ((1, 1), (1, 1)), (1, 1)),),
        (2, 5, 6),
        (3, 3, 3),
    ),
    "groups and dilation": (
        (Conv(RNG.integers(-9, 9, (4, 1, 2, 2)), (1, 1), ((0, 0), (0, 0)), (2, 2), 2),),
        (2, 5, 5),
        (4, 3, 3),
    ),
    "pooled before": ((SumPool((2, 2), (2, 2), ((0, 0), (0, 0))), Reshape((8,)), Dense(RNG.integers(-9, 9, (3, 8)))), (2, 4, 4), (3,)),
    "pooled after": (
        (Conv(RNG.integers(-9, 9, (2, 1, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1)), SumPool((2, 2), (2, 2), ((0, 0), (0, 0)))),
        (1, 4, 4),
        (2, 2, 2),
    ),
    "one weight": ((OneToOne(np.array(-3)),), (2, 3), (2, 3)),
    "a weight a channel": ((OneToOne(RNG.integers(-9, 9, (2, 1))),), (2, 3), (2, 3)),
    "no weight": ((Upsample((2,)),), (3,), (6,)),
    "nothing": ((), (4,), (4,)),
    "twice the same": ((Sparse([0, 3, 3, 5], [1, 0, 1, 1, 1], [2, 3, 4, -1, 1], post=2),), (3,), (2,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_rows_are_the_synapses_of_every_operator(name: str) -> None:
    chain, source, target = CHAINS[name]
    expected = unrolled(chain, source)
    for scale in (None, np.arange(1, 1 + int(np.prod(target)))):
        found = np.zeros_like(expected)
        for neuron, (targets, weights) in enumerate(expanded(rows_of(chain, source, target, scale))):
            assert len(np.unique(targets)) == len(targets), "the core adds to each target once a row"
            found[targets, neuron] = weights
        assert (found == (expected if scale is None else expected * scale[:, None])).all()


def test_a_convolution_holds_each_weight_once_and_a_pattern_for_each_border() -> None:
    conv = Conv(RNG.integers(-9, 9, (4, 2, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
    rows = rows_of((conv,), (2, 7, 7), (4, 7, 7))
    assert len(rows.weights) == conv.weight.size
    assert (
        len(rows.patterns) == 4
    )  # corners, edges of either direction, and the middle; channels and opposite borders share them
    dense = rows_of((Dense(RNG.integers(-9, 9, (20, 30))),), (30,), (20,))
    assert (len(dense.weights), len(dense.patterns)) == (600, 1)


def test_windows_leave_padding_out() -> None:
    pool = MaxPool((3, 2), (2, 2), ((1, 1), (0, 0)), (1, 1))
    x = RNG.integers(-50, -10, (1, 2, 5, 4))
    found = [x.ravel()[targets].max() for targets, _ in expanded(windows_of(pool, (2, 5, 4)))]
    assert found == apply(pool, [x]).ravel().tolist()


def test_words_are_packed_lowest_field_first_in_two_s_complement() -> None:
    memory = Memory(
        "m", (Field("a", 4, np.array([-1, 7])), Field("none", 0, np.array([0, 0])), Field("b", 5, np.array([1, -16])))
    )
    assert memory.text() == "01f\n107\n"
    wide = Memory("m", (Field("a", 40, np.array([-1])), Field("b", 40, np.array([5]))))
    assert wide.text() == "000005ffffffffff\n".rjust(21, "0")
    with pytest.raises(ValueError, match=r"8 to 8 do not fit 3 bits"):
        Field("c", 3, np.array([8]))
    with pytest.raises(ValueError, match=r"with a sign"):
        Field("c", 4, np.array([-1, 8]))


def test_beats_come_back() -> None:
    beats = np.concatenate([beat(1, 255, 2**20 - 1, -(2**31)), beat(15, 0, 0, 2**31 - 1)])
    again = parsed(text(beats))
    assert (again == beats).all()
    found = fields(again)
    assert [found.kind.tolist(), found.place.tolist(), found.index.tolist(), found.value.tolist()] == [
        [1, 15], [255, 0], [2**20 - 1, 0], [-(2**31), 2**31 - 1],
    ]  # fmt: skip


def test_names_become_identifiers_that_differ() -> None:
    names = [
        "module",
        "a b",
        "a_x20_b",
        'quo"te',
        "new\nline",
        "*/ endmodule",
        "ünï",
        "",
        "a__b",
        "a_b",
        "x" * 500,
        "x" * 501,
    ]
    found = [mangled(name) for name in names]
    assert len(set(found)) == len(names)
    assert all(f"p_{name}".isidentifier() and name.isascii() and len(name) < 150 for name in found)


def test_equal_networks_give_equal_files_and_names_never_leave_their_line() -> None:
    evil = '"; endmodule // \n`include "/etc/passwd" \\ module é'
    first, again = (machine_of(small(evil), FpgaOptions()) for _ in range(2))
    assert design.design(first) == design.design(again)
    for line in design.top(first).splitlines():
        assert line.isascii()
        assert "passwd" not in line.partition("//")[0].replace(design.top_name(first), "")
    plain = design.design(machine_of(small("net"), FpgaOptions()))
    others = {k for k, v in design.design(first).items() if v != plain[k]}
    assert others == {design.TOP, design.TESTBENCH}


# widths


def wide(machine: Machine, **widths: int) -> Machine:
    """The same with other widths; its memories stay."""
    return replace(machine, parameters=machine.parameters | widths)


def test_what_arrives_has_the_bits_that_bounds_prove_and_not_one_more() -> None:
    options = FpgaOptions(executor="model", largest_input=7, largest_current=0)
    for weight, bits in ((9, 7), (-9, 7), (64 // 7, 7), (10, 8)):  # 9 * 7 = 63, 10 * 7 = 70
        assert machine_of(small(weight=weight), options).parameters["AW"] == bits
    program = FPGA.compile(small(weight=9), FPGA.targets[0], options)
    with FPGA.open(program, record=["a"], potentials=[]) as session:
        session._executor = type(session._executor)(wide(read(program), AW=6))  # type: ignore[attr-defined]
        session.step({"in": np.array([[3, 0]])})
        with pytest.raises(BackendError, match=r"leaves 6 bits"):
            session.step({"in": np.array([[7, 0]])})


@ICARUS
def test_the_testbench_sees_a_number_that_leaves_its_width() -> None:
    options = FpgaOptions(largest_input=7, largest_current=0)
    network = small(weight=9)
    machine = machine_of(network, options)
    program = FPGA.compile(network, FPGA.targets[0], options)
    with FPGA.open(program, record=["a"], potentials=[]) as session:
        session.step({"in": np.array([[7, 0]])})
        session._executor.close()  # type: ignore[attr-defined]
        session._executor = Simulation(wide(machine, AW=6), "icarus", seconds=60)  # type: ignore[attr-defined]
        session.reset()
        with pytest.raises(BackendError, match=r"BEYOND what arrives at 0: 63 in 6 bits"):
            session.step({"in": np.array([[7, 0]])})


# what it computes


@pytest.mark.parametrize("executor", SIMULATORS)
@pytest.mark.parametrize("throttle", [0, 11])
def test_simulators_give_every_spike_and_potential_of_the_reference(executor: Any, throttle: int) -> None:
    """Both signs, saturation and a maximum, in samples that share a core; and streams that wait for each other."""
    integer = random_network(5, kind="static", layers=5)
    network, x = encode(integer, "graded"), random_input(integer, 2, 7)
    found = run(network, x, FpgaOptions(executor=executor, throttle=throttle))
    assert difference(network, found, reference.simulate(network, x, record=None)) is None


@ICARUS
@pytest.mark.parametrize("code", ["signed", "staircase", "population", "radix", "phased"])
def test_every_code_on_a_simulator(code: Any) -> None:
    for made in (networks.both_signs, networks.curved):
        known = made("events")
        network = encode(known.integer, code)
        found = run(network, known.x, FpgaOptions(executor="icarus"))
        assert difference(network, found, reference.simulate(network, known.x, record=None)) is None
        assert found.readout[-1].tolist() == known.readout


@ICARUS
@pytest.mark.parametrize(
    "contract",
    [
        {"compare": ">", "reset": "to_value", "state_bits": 5, "overflow": "wrap"},
        {"compare": ">=", "reset": "subtract", "state_bits": 5, "layer_latency": 1},
    ],
)
def test_hand_made_integers_at_the_ends_of_their_state_on_a_simulator(contract: dict[str, Any]) -> None:
    given: dict[str, Any] = {"dt": 1e-3, "integrator": "accumulate", "arithmetic": "integer"} | contract
    v_reset = np.array([0, -1, 2, 0]) if contract["reset"] == "to_value" else 0
    cells = IF(
        threshold=np.array([5, 15, 3, 4]), v_reset=v_reset, bias=np.array([0, 1, -1, 0]),
        r=np.array([1, 2, 1, 3]), refractory=np.array([0, 0, 0.002, 0.001]), initial=np.array([4, -16, 15, 0]),
    )  # fmt: skip
    populations = (
        DynamicPopulation("cells", (4,), cells),
        DynamicPopulation("gates", (2,), Threshold(threshold=np.array([1, -2]))),
    )
    links = (
        Projection("in", "cells", (Dense(np.array([[9, 1, 0], [0, -9, 9], [4, 4, 4], [1, 0, -3]])),)),
        Projection("cells", "gates", (Dense(np.array([[1, 1, -1, 0], [-2, 0, 1, -1]])),), 2, np.array([0, 1])),
        Projection("gates", "cells", (Dense(RNG.integers(-3, 4, (4, 2))),), 1),
        Projection("cells", "cells", (Dense(RNG.integers(-2, 3, (4, 4))),), 3),
    )
    network = DynamicNetwork("ends", (SpikeInput("in", (3,)),), populations, links, DynamicsContract(**given))
    x, currents = {"in": RNG.integers(-2, 3, (30, 3, 3))}, {"cells": RNG.integers(-5, 6, (30, 3, 4))}
    expected = reference.simulate_dynamics(network, x, currents=currents, potentials=["cells", "gates"])
    executors: tuple[Any, ...] = ("icarus", "model")
    for executor in executors:
        found = run(network, x, FpgaOptions(executor=executor), currents=currents)
        assert difference(network, found, expected) is None


@pytest.mark.parametrize("executor", ["model", *SIMULATORS[:1]])
@pytest.mark.parametrize("weight", [2**6 - 1, 715_827_883])
def test_leaky_units_are_those_of_loihi_where_sums_round_wrap_and_clip(executor: Any, weight: int) -> None:
    """Larger weights wrap at 32 bits, at each port before it is shifted; a current of 25 bits is brought back into 24."""
    cells = FixedCubaLIF(
        du=np.array([4095, 0, 2048, 100]), dv=np.array([0, 4096, 300, 0]), bias=np.array([0, -8, 5, 2**22]),
        threshold=np.array([64, 2**17, 2**23, 0]), initial=np.array([0, -1, 2**23 - 1, 1 - 2**23]),
    )  # fmt: skip
    one = OneToOne(np.array([weight, -weight, 3, -weight]))
    links = [Projection("in", "cells", (one,), exponent=e) for e in (0, 7, -3, -1)]
    links.append(Projection("cells", "cells", (Dense(RNG.integers(-60, 60, (4, 4))),), 2, exponent=-2))
    population, contract = DynamicPopulation("cells", (4,), cells), DynamicsContract.loihi("loihi2")
    network = DynamicNetwork("leaky", (SpikeInput("in", (4,)),), (population,), tuple(links), contract)
    x = {"in": RNG.integers(-7, 8, (40, 2, 4))}
    expected = reference.simulate_dynamics(network, x, potentials=["cells"])
    program = FPGA.compile(network, FPGA.targets[0], FpgaOptions(executor=executor, largest_input=7))
    assert program.document["core"]["WRAPS"] == int(weight > 2**20)
    found = run(network, x, FpgaOptions(executor=executor, largest_input=7))
    assert difference(network, found, expected) is None
    assert np.ptp(expected.currents["cells"]) > 2**23 or weight < 2**20


def test_the_core_weighs_a_static_input_itself_or_the_host_does() -> None:
    integer = networks.boundaries("static").integer
    network = encode(integer, "graded")
    sizes = []
    for who in ("core", "host"):
        program = FPGA.compile(network, FPGA.targets[0], FpgaOptions(executor="model", weighs_input=who))  # type: ignore[arg-type]
        sizes.append(program.bill["memory"].used)
        assert f"its static input is weighed by the {who}" in program.ledger[-1].what
    assert sizes[0] > sizes[1]
    with pytest.raises(LowerError, match=r"weighs_input='host'"):
        FPGA.compile(encode(integer, "signed", steps=3), FPGA.targets[0], FpgaOptions(weighs_input="core"))


# what is refused


def test_what_the_core_does_not_step_is_refused_by_name() -> None:
    for network, said in (
        (small(reset_when="next_step"), r"net: resets next step, and the core in the step of the spike"),
        (small(spikes="multi"), r"several spikes a step"),
        (small(state_bits=33), r"net: .*33"),
        (loihi(GradedThreshold(threshold=1), "loihi2"), r"cells: is GradedThreshold"),
        (loihi(FixedCubaLIF(du=0, dv=0, threshold=1), "loihi1"), r"loihi: follows the equations of loihi1"),
    ):
        with pytest.raises(LowerError, match=said):
            FPGA.compile(network, FPGA.targets[0], FpgaOptions())


def test_addresses_end_where_beats_have_no_room() -> None:
    def of(size: int, n: int) -> DynamicNetwork:
        cells = [DynamicPopulation(f"c{i}", (size if i == 0 else 1,), Threshold(threshold=1)) for i in range(n)]
        return DynamicNetwork("n", (SpikeInput("in", (1,)),), tuple(cells), (), small().contract)

    program = FPGA.compile(of(1, 255), FPGA.targets[0], FpgaOptions(executor="model"))
    assert len(read(program).places) == 256
    with pytest.raises(LowerError, match=r"n: has 257 inputs and populations, and a beat numbers 256"):
        FPGA.compile(of(1, 256), FPGA.targets[0], FpgaOptions())
    with pytest.raises(LowerError, match=r"c0: has 1,048,577 neurons, and a beat numbers 1,048,576"):
        FPGA.compile(of(2**20 + 1, 2), FPGA.targets[0], FpgaOptions())


def test_input_for_which_widths_have_no_room_is_refused() -> None:
    program = FPGA.compile(small(), FPGA.targets[0], FpgaOptions(executor="model", largest_input=3, largest_current=2))
    with FPGA.open(program, record=["a"], potentials=[]) as session:
        session.step({"in": np.array([[-3, 3]])}, {"a": np.array([[2, -2]])})
        with pytest.raises(DataError, match=r"in: has values beyond 3.*\n.*larger largest_input"):
            session.step({"in": np.array([[4, 0]])})
        with pytest.raises(DataError, match=r"a: has values beyond 2.*\n.*larger largest_current"):
            session.step({}, {"a": np.array([[-3, 0]])})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("executor", "vcs"),
        ("weighs_input", "me"),
        ("largest_input", 2**15),
        ("largest_current", -1),
        ("timeout_s", 0),
        ("throttle", 16),
    ],
)
def test_options_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name):
        FPGA.compile(small(), FPGA.targets[0], FpgaOptions(**{name: value}))


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("rows.target", lambda a: a + 3),
        ("rows.pattern", lambda a: a + 9),
        ("places.count", lambda a: a * 2),
        ("classes.class", lambda a: a + 5),
        ("projections.row", lambda a: a + 40),
        ("weights.weight", lambda a: a[:1]),
        ("parameters.table", lambda a: a - 1),
    ],
)
def test_a_damaged_program_is_refused(what: str, change: Any) -> None:
    program = FPGA.compile(small(), FPGA.targets[0], FpgaOptions(executor="model"))
    damaged = replace(program, arrays={**program.arrays, what: change(program.arrays[what].astype(np.int64))})
    with pytest.raises(BackendError, match=r"net: does not belong to its network"):
        FPGA.open(damaged, record=[], potentials=[])


# programs of others


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def opened(monkeypatch: pytest.MonkeyPatch, folder: Path, **options: Any) -> Any:
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin" if any(folder.iterdir()) else str(folder))
    program = FPGA.compile(small(), FPGA.targets[0], FpgaOptions(**options))
    return FPGA.open(program, record=["a"], potentials=[])


@pytest.mark.parametrize(
    ("executor", "packages"),
    [(None, "the package iverilog or verilator"), ("icarus", "iverilog"), ("verilator", "verilator")],
)
def test_a_missing_simulator_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, executor: Any, packages: str
) -> None:
    with pytest.raises(
        BackendError, match=rf"installed, or (not )?on the path\n.*install {packages}.*executor='model'"
    ):
        opened(monkeypatch, tmp_path, executor=executor)


def test_a_compiler_that_fails_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path, "iverilog", "echo 'line 7: no such thing' >&2; exit 3")
    fake(tmp_path, "vvp", "exit 0")
    with pytest.raises(BackendError, match=r"(?s)iverilog ended with status 3; it said:\nline 7: no such thing"):
        opened(monkeypatch, tmp_path, executor="icarus")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'about to go'; kill -SEGV $$", r"(?s)vvp was ended by SIGSEGV; it said:\nabout to go"),
        ("echo FAIL; exit 0", r"(?s)did not come to its end; it said:\nFAIL"),
        ("echo PASS: nothing; echo zz > response.mem", r"its answer cannot be read"),
        (
            "echo PASS: nothing; echo 0000000000000000 > response.mem",
            r"0 steps came out of the core, and 1 were asked for",
        ),
    ],
)
def test_a_simulator_that_dies_or_talks_nonsense_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    fake(tmp_path, "iverilog", "exit 0")
    fake(tmp_path, "vvp", script)
    with opened(monkeypatch, tmp_path, executor="icarus") as session, pytest.raises(BackendError, match=said):
        session.step()


def test_a_simulator_that_hangs_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake(tmp_path, "iverilog", "exit 0")
    fake(tmp_path, "vvp", f"echo working; sleep 600 & echo $! > {tmp_path}/child; trap '' TERM; wait; sleep 600")
    said = r"(?s)took longer than 0.5 s and was ended; it said:\nworking"
    with (
        opened(monkeypatch, tmp_path, executor="icarus", timeout_s=0.5) as session,
        pytest.raises(BackendError, match=said),
    ):
        session.step()
    child = int((tmp_path / "child").read_text())
    assert _gone(child)


def test_an_interrupt_ends_the_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path, "iverilog", "exit 0")
    fake(tmp_path, "vvp", f"sleep 600 & echo $! > {tmp_path}/child; sleep 0.3; kill -INT {os.getpid()}; wait")
    with opened(monkeypatch, tmp_path, executor="icarus") as session, pytest.raises(KeyboardInterrupt):
        session.step()
    assert _gone(int((tmp_path / "child").read_text()))


def _gone(process: int) -> bool:
    """Whether a process is no more, or waits to be buried, within a moment."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_output_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "MOST_OUTPUT", 10_000)
    with pytest.raises(BackendError, match=r"said more than 10,000 bytes and was ended") as caught:
        programs.run(["/bin/sh", "-c", "yes"], tmp_path, seconds=30, what="yes")
    assert len(str(caught.value)) < 3000


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "iverilog", "exit 1")
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    with pytest.raises(BackendError):
        opened(monkeypatch, tmp_path, executor="icarus")
    assert not list(room.iterdir())
