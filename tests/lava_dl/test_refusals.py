"""What cannot be carried: every problem by layer and entry, all of them at once, and nothing beside."""

import h5py
import numpy as np
import pytest

import spikeport as sp
from tests.lava_dl.files import CUBA, SDNN, changed, conv, dense, flatten, layer, pool, source, write

EVEN = np.full((3, 2), 4)
KERNEL = np.full((3, 2, 2, 2), 4)
BIASED = np.array([1.0, 0.0, 0.0])


def recurrent(weight, back, **entries):
    return {**dense(weight, **entries), "type": "dense_rec", "weight_rec": np.asarray(back, dtype=np.float32)}


def delta(weight, **neuron):
    return dense(weight, neuron={**SDNN, **neuron})


def maps(**entries):
    return [source((2, 4, 4)), changed(conv(KERNEL, (3, 3, 3)), **entries)]


def pooling(**entries):
    return [source((2, 4, 4)), changed(pool(2, (2, 2, 2)), **entries)]


def rows(**entries):
    return [source((2,)), changed(dense(EVEN), **entries)]


def neuron(**entries):
    return rows(neuron={**CUBA, **entries})


def refused(tmp_path, layers, *, options=None, **more):
    """Problems by where they stand in the file: lists, for one that is told twice is a mistake."""
    path = write(tmp_path / "network.net", layers, **more)
    with pytest.raises(sp.LavaError) as caught:
        sp.read_lava_dl(path, **(options or {}))
    found = {}
    for problem in caught.value.problems:
        found.setdefault(problem.where, []).append(problem.why)
    return found


@pytest.mark.parametrize(
    ("layers", "where", "why"),
    [
        (rows(type="kwta"), "layer/1/type", "cannot be carried"),
        (rows(shape=None), "layer/1/shape", "is missing"),
        (rows(shape=np.array([3.5])), "layer/1/shape", "whole numbers"),
        (rows(shape=np.array([0])), "layer/1/shape", "can be 1 to"),
        (rows(shape=np.array([2**14, 2**14])), "layer/1/shape", "neurons"),
        (rows(shape=np.array([1, 1, 1, 3])), "layer/1/shape", "a row of 1 to 3 numbers"),
        (rows(shape=np.array([4])), "layer/1/weight", "a row for each of 4 neurons"),
        (rows(weight=None), "layer/1/weight", "is missing"),
        (rows(weight=np.full((3, 2), np.nan)), "layer/1/weight", "is not finite"),
        (rows(weight=np.full((3, 2), 0.5)), "layer/1/weight", "whole numbers"),
        (rows(weight=np.full((3, 2), 256.0)), "layer/1/weight", "can be -256 to 255"),
        (rows(weight=np.full((3, 2), -257.0)), "layer/1/weight", "can be -256 to 255"),
        (rows(weight=np.full((3, 2), 2.0**40)), "layer/1/weight", "whole numbers"),
        (rows(weight=np.full((3, 5), 2)), "layer/1/weight", "5 columns, and 2 neurons"),
        (rows(weight="some"), "layer/1/weight", "not an array of numbers"),
        (
            [source((2,)), recurrent([[129, 1]] * 3, -np.eye(3))],
            "layer/1/weight",
            "odd weights beyond 127",
        ),
        (rows(inFeatures=3), "layer/1/inFeatures", "is not 2"),
        (rows(outFeatures=4), "layer/1/outFeatures", "is not 3"),
        (rows(inFeatures=np.array([2, 2])), "layer/1/inFeatures", "should be one"),
        (rows(delay=np.array([63])), "layer/1/delay", "can be 0 to 62"),
        (rows(delay=np.array([-1])), "layer/1/delay", "can be 0 to 62"),
        (rows(delay=np.array([1, 2, 3, 4])), "layer/1/delay", "has the shape (4,)"),
        (rows(delay=np.zeros(4)), "layer/1/delay", "has the shape (4,)"),
        (rows(bias=np.array([1, 2])), "layer/1/bias", "2 values for 3"),
        (rows(bias=np.array([4096])), "layer/1/bias", "can be -4096 to 4095"),
        (rows(neuron=None, bias=np.array([2])), "layer/1/bias", "neurons that are missing"),
        (rows(other=1), "layer/1/other", "does not know"),
        (rows(**{"weight": None, "weight/real": EVEN, "weight/imag": EVEN}), "layer/1/weight", "is complex"),
        (rows(neuron=3), "layer/1/neuron", "is not a group"),
        (neuron(type="RF"), "layer/1/neuron/type", "resonate-and-fire"),
        (neuron(type="adrf-iz"), "layer/1/neuron/type", "adaptive resonate-and-fire"),
        (neuron(type="ALIF"), "layer/1/neuron/type", "adaptive threshold"),
        (neuron(iDecay=0), "layer/1/neuron/iDecay", "is 0"),
        (neuron(iDecay=4097), "layer/1/neuron/iDecay", "can be 0 to 4096"),
        (neuron(vDecay=np.array([1, 2])), "layer/1/neuron/vDecay", "2 values for 3"),
        (neuron(vThMant=-1), "layer/1/neuron/vThMant", "can be 0 to"),
        (neuron(refDelay=2), "layer/1/neuron/refDelay", "refractory"),
        (neuron(gradedSpike=True), "layer/1/neuron/gradedSpike", "no payloads"),
        (neuron(gradedSpike="yes"), "layer/1/neuron/gradedSpike", "not a truth value"),
        (neuron(wgtExp=1), "layer/1/neuron/wgtExp", "scales the weights"),
        (neuron(weight_exp=2), "layer/1/neuron/weight_exp", "WgtScaleBatchNorm"),
        (neuron(sigma_output=True), "layer/1/neuron/sigma_output", "does not know"),
        ([source((2,)), delta(EVEN, activation="tanh")], "layer/1/neuron/activation", "has no other"),
        ([source((2,)), delta(EVEN, vThMant=2**12 + 1)], "layer/1/neuron/vThMant", "can be 0 to 4096"),
        (
            [source((2,)), dense(EVEN, neuron={**SDNN, "sigma_output": True}, bias=BIASED)],
            "layer/1/neuron/sigma_output",
            "has a bias",
        ),
        (
            [source((2,)), delta(EVEN, sigma_output=True), delta(np.full((1, 3), 2))],
            "layer/1/neuron/sigma_output",
            "a layer follows",
        ),
        ([source((2,)), recurrent(EVEN, np.eye(3)[:, :2])], "layer/1/weight_rec", "2 columns for 3 neurons"),
        ([source((2,)), recurrent(EVEN, 2 * np.eye(3), delay=np.array([0, 1, 0]))], "layer/1/delay", "recurrent"),
        ([source((2,)), recurrent(EVEN, 2 * np.eye(3), delay=np.zeros(7))], "layer/1/delay", "has the shape (7,)"),
        (maps(weight=EVEN.astype(np.float32)), "layer/1/weight", "channel, channel, y, x"),
        (maps(groups=2), "layer/1/weight", "2 groups"),
        (maps(stride=np.array([0, 1])), "layer/1/stride", "can be 1 to"),
        (maps(stride=np.array([1, 1, 1])), "layer/1/stride", "holds 3 numbers"),
        (maps(padding=np.array([1, 1])), "layer/1/shape", "gives (3, 5, 5)"),
        (maps(kernelSize=np.array([2, 3])), "layer/1/kernelSize", "is (2, 3), and the weights have (2, 2)"),
        (maps(kernelSize=np.array([2.5, 2])), "layer/1/kernelSize", "whole numbers"),
        (maps(inChannels=3), "layer/1/inChannels", "is not 2"),
        (maps(outChannels=1), "layer/1/outChannels", "is not 3"),
        (maps(delay=np.zeros(2)), "layer/1/delay", "3 channels"),
        (maps(delay=np.zeros((1, 3, 3))), "layer/1/delay", "3 channels"),
        (
            maps(neuron=3),
            "layer/1/neuron",
            "is not a group",
        ),
        (maps(neuron=None), "layer/1/neuron", "is missing"),
        (pooling(kernelSize=np.array([1, 2])), "layer/1/kernelSize", "is (1, 2), and the weights have (2, 2)"),
        (pooling(stride=np.array([1, 2])), "layer/1/kernelSize", "windows that overlap"),
        (pooling(padding=np.array([1, 0])), "layer/1/kernelSize", "windows that overlap"),
        (pooling(inChannels=2), "layer/1/inChannels", "does not know"),
        (pooling(delay=np.zeros(3)), "layer/1/delay", "2 channels"),
        (pooling(weight=np.ones((2, 1, 2, 2))), "layer/1/weight", "should be (1, 1, y, x)"),
        ([source((2, 3, 3)), flatten(17)], "layer/1/shape", "17 neurons, and 18"),
        ([flatten(18)], "layer/0/type", "nothing comes before"),
        ([source((2, 3, 3)), flatten(18), conv(KERNEL, (3, 2, 2))], "layer/2/type", "needs feature maps"),
        ([source((2,)), source((2,))], "layer/1/type", "not the first layer"),
        ([source((2,)), layer("average", (1,), neuron=None)], "layer/1/type", "no neurons come before"),
        ([*rows(), layer("average", (2,), neuron=None)], "layer/2/shape", "do not divide 3"),
        ([*rows(), layer("average", (3,), neuron=None), dense([[2] * 3])], "layer/2/type", "not the last layer"),
        ([layer("input", (2,), neuron=None, weight=np.array([[2]]))], "layer/0/weight", "neurons that are missing"),
        ([conv(KERNEL, (3, 2, 2))], "layer/0/type", "has no input layer"),
    ],
)
def test_a_problem_is_told_once_where_it_is_and_no_other_is_made_of_it(tmp_path, layers, where, why):
    found = refused(tmp_path, layers)
    assert list(found) == [where]
    assert [why in said for said in found[where]] == [True], found


def test_all_problems_of_all_layers_are_told_at_once(tmp_path):
    layers = [
        source((2, 4, 4)),
        conv(KERNEL, (3, 3, 3), kernelSize=np.array([3, 3]), other=1, neuron={**CUBA, "iDecay": 0}),
        pool(2, (3, 2, 2), neuron={**CUBA, "type": "RF"}),
        flatten(12),
        dense(np.full((2, 12), 300), neuron={**CUBA, "refDelay": 3}, delay=np.array([99])),
    ]
    found = refused(tmp_path, layers, **{"simulation/Ts": -1.0})
    assert set(found) == {
        "layer/1/kernelSize",
        "layer/1/other",
        "layer/1/neuron/iDecay",
        "layer/2/neuron/type",
        "layer/4/weight",
        "layer/4/neuron/refDelay",
        "layer/4/delay",
        "simulation/Ts",
    }


@pytest.mark.parametrize("first", [rows(weight=None), rows(type="kwta"), rows(neuron={**CUBA, "type": "RF"})])
def test_behind_a_refused_layer_the_others_are_measured_against_what_it_declares(tmp_path, first):
    found = refused(tmp_path, [*first, dense(np.full((2, 3), 4)), dense(np.full((2, 9), 4))])
    assert len(found) == 2
    assert found["layer/3/weight"] == ["has 9 columns, and 2 neurons come before it"]


def test_a_refused_first_layer_is_no_missing_input(tmp_path):
    first = conv(KERNEL, (3, 3, 3), neuron={**CUBA, "type": "RF"})
    options = {"input_shape": (2, 4, 4)}
    assert list(refused(tmp_path, [first, pool(3, (3, 1, 1)), flatten(3)], options=options)) == ["layer/0/neuron/type"]


def test_layers_are_numbered_without_gaps(tmp_path):
    path = write(tmp_path / "network.net", rows())
    with h5py.File(path, "r+") as file:
        file.move("layer/1", "layer/2")
    with pytest.raises(sp.LavaError, match="not numbered from 0"):
        sp.read_lava_dl(path)


def test_a_file_without_layers_or_neurons_is_no_network(tmp_path):
    with pytest.raises(sp.LavaError, match="holds no layers"):
        sp.read_lava_dl(write(tmp_path / "none.net", []))
    with pytest.raises(sp.LavaError, match="holds no layer with neurons"):
        sp.read_lava_dl(write(tmp_path / "input.net", [source((2,))]))


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"spike_exp": 8}, "spike_exp"),
        ({"spike_exp": True}, "spike_exp"),
        ({"spike_exp": 1.0}, "spike_exp"),
        ({"input_shape": (0,)}, "input_shape"),
        ({"input_shape": [2]}, "input_shape"),
        ({"input_shape": (1, 2, 3, 4)}, "input_shape"),
    ],
)
def test_options_out_of_range(tmp_path, options, where):
    with pytest.raises(sp.OptionError, match=where):
        sp.read_lava_dl(write(tmp_path / "network.net", rows()), **options)


def test_an_input_shape_that_contradicts_the_file(tmp_path):
    assert list(refused(tmp_path, rows(), options={"input_shape": (3,)})) == ["layer/0/shape"]


def test_biases_that_leave_the_state_at_a_fine_spike_exp(tmp_path):
    layers = [source((2,)), dense(EVEN, neuron=SDNN, bias=np.array([2049.0]))]
    assert "24 bits" in refused(tmp_path, layers, options={"spike_exp": 7})["layer/1/neuron/type"][0]
    layers[1]["bias"] = np.array([2048.0])
    network = sp.read_lava_dl(write(tmp_path / "fits.net", layers), spike_exp=7)
    assert int(network["layer1"].neuron.bias.max()) == 2**24
