"""A converted network as part of one written by hand: the same integers, step by step, on every simulator that steps it."""

from dataclasses import replace

import numpy as np
import pytest

import spikeport as sp
from spikeport import native
from spikeport.primitives import Threshold
from spikeport.quantize.integer import encode_input

torch = pytest.importorskip("torch", reason="conversion needs torch")
from torch import nn  # noqa: E402

INTEGERS = sp.DynamicsContract(
    dt=1e-3, integrator="accumulate", synapse="delta", layer_latency=1, arithmetic="integer", state_bits=24
)
FLOATS = sp.DynamicsContract(dt=1e-3, integrator="accumulate", synapse="delta", layer_latency=1, compare=">=")


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(12, 9), nn.Linear(9, 4)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


class Skipping(nn.Module):
    """Convolutions, a skip over one layer, a maximum and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.most, self.mean, self.out = nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Linear(3, 4)

    def forward(self, x):
        x = torch.relu(self.one(x))
        y = torch.relu(torch.relu(self.two(x)) + x)
        return self.out(torch.flatten(self.mean(self.most(y)), 1))


def converted(kind, shape, **options):
    torch.manual_seed(3)
    x = torch.randn(32, *shape)
    model = sp.convert(kind().eval(), [x], code="population", **{"levels": 5, **options})
    values = x.numpy()[:12]
    return model, encode_input(model.network.input, values), sp.simulate(model.network, values).readout[-1]


@pytest.mark.parametrize("contract", [INTEGERS, FLOATS], ids=["integers", "floats"])
@pytest.mark.parametrize(("kind", "shape", "depth"), [(Mlp, (12,), 2), (Skipping, (1, 4, 4), 5)])
def test_each_step_gives_the_read_out_of_what_entered_some_layers_before(kind, shape, depth, contract):
    model, integers, readout = converted(kind, shape)
    net = sp.Network("n")
    part = net.add("part", model)
    net.connect(net.input("x", shape), part["input"])
    net.output("y", part["output"])
    built = net.build(contract=contract)
    for on in ("reference", "torch", None):
        values = sp.run(built, {"x": integers}, duration=0.02, on=on)["part/output.v"][:, 0]
        assert np.array_equal(values[depth : depth + 12], readout), on
    assert len(np.unique(readout, axis=0)) == 12


def test_units_are_memoryless_and_have_a_port_of_their_own():
    model, integers, _ = converted(Mlp, (12,))
    net = sp.Network("n")
    part = net.add("part", model)
    net.connect(net.input("x", 12), part["input"])
    name = next(n for n in part.ports if n not in ("input", "output"))
    assert part[name].shape == (9 * 5,)
    net.output("units", part[name])
    built = net.build(contract=INTEGERS)
    assert isinstance(built[f"part/{name}"].neuron, Threshold)
    spikes = (
        sp.run(built, {"x": integers}, duration=0.02)[f"part/{name}.spikes"]
        .train()
        .raster[1:13, 0]
        .reshape(12, 9, 5)
        .sum(axis=2)
    )
    counts = sp.simulate(model.network, _values(model, integers)).counts[name]
    assert np.array_equal(spikes, counts)
    assert counts.max() > 1


def _values(model, integers):
    """Values that are encoded as these integers."""
    encoder = model.network.input
    assert encoder.gain is None
    assert encoder.shift is None
    return integers * encoder.scale


def test_other_codes_and_names_of_ports_are_refused_with_a_way_out():
    model, _, _ = converted(Mlp, (12,))
    with pytest.raises(
        sp.GraphError, match=r"n/part: carries its integers over many steps by signed code\n.*with_code"
    ):
        sp.Network("n").add("part", model.with_code("signed"))
    with pytest.raises(sp.GraphError, match="has no port 'out'"):
        sp.Network("n").add("part", model)["out"]


def test_what_reads_the_read_out_reaches_chips_without_it():
    model, integers, readout = converted(Mlp, (12,), weight_bits=5)
    weights = np.array([[1, -1, 0, 0], [0, 0, 1, 1], [0, 2, 0, 1]])
    net = sp.Network("n")
    part = net.add("part", model)
    net.connect(net.input("x", 12), part["input"])
    line = int(np.median(readout @ weights[0]))
    chosen = net.population("chosen", 3, sp.Threshold(threshold=line))
    net.connect(part["output"], chosen, sp.Dense(weights))
    net.output("y", chosen)
    built = net.build(contract=INTEGERS)
    assert [p.name.rpartition("/")[2] for p in built.populations][-1] == "chosen"
    assert not any(p.name == "part/output" for p in built.populations)
    wanted = (readout @ weights.T > line).astype(int)
    assert 0 < wanted.sum() < wanted.size
    for on in ("reference", "torch", None, "loihi2"):
        spikes = sp.run(built, {"x": integers}, duration=0.02, on=on)["chosen.spikes"]
        assert np.array_equal(spikes.train().raster[2:14, 0], wanted), on


def test_sums_that_the_arithmetic_around_may_not_hold_are_refused_by_name():
    model, _, _ = converted(Mlp, (12,))
    net = sp.Network("n")
    part = net.add("part", model)
    net.connect(net.input("x", 12), part["input"])
    net.output("y", part["output"])
    for changes in ({"state_bits": 8}, {"state_bits": 12}):
        with pytest.raises(sp.GraphError, match=r"part/output: its sums may reach [\d,]+, and integer arithmetic"):
            net.build(contract=replace(INTEGERS, **changes))


def test_units_send_one_spike_where_the_network_around_sends_several():
    model, integers, readout = converted(Mlp, (12,))
    net = sp.Network("n")
    part = net.add("part", model)
    net.connect(net.input("x", 12), part["input"])
    net.output("y", part["output"])
    built = net.build(contract=replace(FLOATS, spikes="multi"))
    assert np.array_equal(sp.run(built, {"x": integers}, duration=0.02)["part/output.v"][2:14, 0], readout)


def test_what_the_conversion_lost_stays_on_record():
    model, _, _ = converted(Mlp, (12,))
    assert model.network.ledger
    net = sp.Network("n")
    net.connect(net.input("x", 12), net.add("part", model)["input"])
    said = {(e.node, e.what) for e in net.build(contract=INTEGERS).ledger}
    assert said == {(f"part/{e.node}", e.what) for e in model.network.ledger}


@pytest.mark.parametrize("on", ["reference", "native", "torch"])
def test_a_gate_stands_at_the_border_of_a_converted_part(on):
    if on == "native" and not native.available():
        pytest.skip("needs the native library")
    model, integers, readout = converted(Mlp, (12,))
    net = sp.Network("n")
    part = net.add("eye", model)
    net.connect(net.input("x", (12,)), part["input"])
    net.connect(part["output"], net.population("sum", 4, sp.I()))
    steps, seconds = len(integers), len(integers) * 1e-3
    with sp.Session(net, contract=INTEGERS, on=on) as session:
        runs = [session.run({"x": integers}, duration=seconds, record=["sum.v"])]
        session.apply(sp.Gate("eye", False))
        runs.append(session.run({"x": integers}, duration=seconds, record=["sum.v"]))
        session.apply(sp.Gate("eye", True))
        runs.append(session.run({"x": integers}, duration=seconds, record=["sum.v"]))
    first, shut, after = (run["sum.v"][:, 0] for run in runs)
    assert (readout[:-1] != 0).any()
    # what the last step before the gate closed sent still arrives, and nothing after it
    assert (shut == shut[0]).all()
    assert len(first) == len(after) == steps
    assert np.array_equal(np.diff(after, axis=0)[1:], np.diff(first, axis=0)[1:])
