"""Layers of a file as populations and projections: their numbers, and spikes counted by hand."""

import numpy as np

import spikeport as sp
from tests.lava_dl.files import CUBA, dense, source, write

PLAIN = {**CUBA, "iDecay": 4096, "vDecay": 0}
"""No memory in the current, and none is lost in the potential."""


def read(tmp_path, *layers, options=None, **more):
    return sp.read_lava_dl(write(tmp_path / "network.net", layers, **more), **(options or {}))


def spikes(network, x, name):
    """Payloads of shape (time, neuron)."""
    found = sp.simulate(network, np.asarray(x)[:, None], record=None).spikes[name].train().raster[:, 0]
    return found.reshape(len(found), -1)


def test_registers_hold_the_device_parameters(tmp_path):
    network = read(tmp_path, source((2,)), dense([[2, -4]], bias=np.array([-3.0])))
    neuron = network["layer1"].neuron
    assert (int(neuron.du), int(neuron.dv), int(neuron.threshold)) == (1023, 128, 80 << 6)
    assert neuron.bias.tolist() == [-3 << 6]
    assert network.contract == sp.DynamicsContract.loihi("loihi2")


def test_a_spike_passes_a_layer_in_a_step_and_fires_above_the_threshold_alone(tmp_path):
    neuron = {**PLAIN, "vThMant": 10}
    network = read(tmp_path, source((1,)), dense([[10]], neuron=neuron), dense([[12]], neuron=neuron))
    # 10 is the threshold, and twice 10 is above it
    assert spikes(network, [[1], [1], [0], [0], [0]], "layer1").ravel().tolist() == [0, 0, 1, 0, 0]
    assert spikes(network, [[1], [1], [0], [0], [0]], "layer2").ravel().tolist() == [0, 0, 0, 1, 0]


def test_the_ledger_says_by_how_many_steps_biases_come_before_what_enters(tmp_path):
    eager = {**PLAIN, "vThMant": 1}
    layers = [dense([[2]], neuron=eager), dense([[2]], neuron=eager), dense([[2]], neuron=eager, bias=np.array([2.0]))]
    network = read(tmp_path, source((1,)), *layers)
    told = [(entry.node, entry.error, entry.unit) for entry in network.ledger if "biases act" in entry.what]
    assert told == [("layer3", 3.0, "steps")]
    # and so it is: what enters in step 0 is there in step 1, 2, 3; the bias in step 0
    assert spikes(network, [[1], [0], [0], [0]], "layer2").ravel().tolist() == [0, 0, 1, 0]
    assert spikes(network, [[1], [0], [0], [0]], "layer3").ravel().tolist() == [1, 1, 1, 1]


def test_delays_of_what_arrives_leave_biases_as_they_are_and_the_ledger_says_so(tmp_path):
    network = read(tmp_path, source((1,)), dense([[2]], bias=np.array([2.0]), delay=np.array([5])))
    told = [(entry.error, entry.unit) for entry in network.ledger if "biases are not late" in entry.what]
    assert told == [(5.0, "steps")]
