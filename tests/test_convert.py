"""`convert` and what it returns: options, forms of data, determinism, and a process that is left as it was."""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple, fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import spikeport as sp  # noqa: E402
from spikeport.quantize import CountLayer, IntegerNetwork  # noqa: E402
from spikeport.validate import collect  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models as small as these are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(factory: Callable[[], Any], seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def model_of(factory: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    return seeded(factory, seed).eval()


def small() -> nn.Module:
    return model_of(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)))


X = seeded(lambda: torch.randn(40, 6))
EVENTS = seeded(lambda: torch.randint(0, 5, (40, 6)).float())


def convert(model: nn.Module | None = None, data: Any = None, **options: Any) -> sp.SpikingModel:
    return sp.convert(model or small(), [X] if data is None else data, progress=False, **options)


@cache
def plain() -> sp.SpikingModel:
    return convert()


@cache
def events() -> sp.SpikingModel:
    return convert(data=[EVENTS], input="events", steps=4, input_bits=4)


def flat(value: Any) -> list[Any]:
    """Everything in a tree of dataclasses and tuples, arrays as bytes."""
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, value.tobytes()]
    if is_dataclass(value):
        return [type(value).__name__, *(flat(getattr(value, f.name)) for f in fields(value) if f.init)]
    if isinstance(value, tuple):
        return [flat(v) for v in value]
    return [value]


def same(a: sp.SpikingModel, b: sp.SpikingModel) -> bool:
    return flat(a.integer) == flat(b.integer) and flat(a.network) == flat(b.network)


# Options


def tops(integer: IntegerNetwork) -> dict[str, int]:
    return {layer.name: layer.high for layer in integer.layers if isinstance(layer, CountLayer)}


def test_levels_are_31_unless_given_for_all_layers_or_by_name() -> None:
    assert tops(plain().integer) == {"1": 31, "3": 31}
    assert tops(convert(levels=9).integer) == {"1": 9, "3": 9}
    assert tops(convert(levels={"3": 5}).integer) == {"1": 31, "3": 5}


def test_levels_for_a_layer_that_does_not_exist_are_refused_with_the_names_that_do() -> None:
    with pytest.raises(sp.OptionError) as caught:
        convert(levels={"1": 7, "4": 7, "conv9": 7})
    assert [p.where for p in caught.value.problems] == ["4", "conv9"]
    assert all("1, 3" in p.hint for p in caught.value.problems)


def test_widths_reach_the_network() -> None:
    snn = convert(weight_bits=4, input_bits=6, state_bits=16)
    assert (snn.integer.input.low, snn.integer.input.high) == (-31, 31)
    assert snn.network.contract.state_bits == 16
    weights = [c.weighted.weight for c in snn.integer.connections if c.weighted is not None]
    assert len(weights) == 3
    assert max(np.abs(w).max() for w in weights) == 7
    assert all(layer.state_bits <= 16 for layer in snn.report.layers)


WRONG = {
    "levels": 0,
    "weight_bits": 17,
    "input_bits": 1,
    "state_bits": 49,
    "input": "analogue",
}


def test_widths_out_of_range_are_listed_all_at_once_before_anything_is_read() -> None:
    def untouched() -> Iterator[Tensor]:
        raise AssertionError("the data was read")
        yield X

    with pytest.raises(sp.OptionError) as caught:
        convert(data=untouched(), **WRONG)
    assert {p.where for p in caught.value.problems} == set(WRONG)
    assert all(p.why and p.hint for p in caught.value.problems)


def test_all_options_out_of_range_are_listed_at_once() -> None:
    wrong = {**WRONG, "max_samples": 0, "seed": -1, "code": "morse", "steps": 0}
    with pytest.raises(sp.OptionError) as caught:
        convert(**wrong)
    assert {p.where for p in caught.value.problems} == set(wrong)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("levels", 4096),
        ("levels", 7.0),
        ("levels", True),
        ("weight_bits", 1),
        ("weight_bits", "8"),
        ("input_bits", 17),
        ("state_bits", 7),
        ("state_bits", None),
        ("input", "event"),
        ("max_samples", 0),
        ("max_samples", 2.5),
        ("seed", -1),
        ("seed", "0"),
        ("code", "morse"),
        ("steps", 0),
        ("steps", -3),
    ],
)
def test_an_option_out_of_range_is_named_with_a_hint(option: str, value: object) -> None:
    with pytest.raises(sp.OptionError) as caught:
        convert(**{option: value})
    (problem,) = caught.value.problems
    assert problem.where == option
    assert str(value) in problem.why
    assert problem.hint


@pytest.mark.parametrize("steps", ["3", 2.5])
def test_steps_that_are_no_whole_number_are_refused(steps: object) -> None:
    with pytest.raises(sp.OptionError, match="steps"):
        convert(steps=steps)


def test_several_steps_make_no_sense_for_static_input_of_the_graded_code() -> None:
    with pytest.raises(sp.OptionError, match=r"steps: is 3.*\n  hint: leave it out"):
        convert(code="graded", steps=3)
    with pytest.raises(sp.OptionError, match="steps: is 3"):
        plain().with_code("graded", steps=3)


def test_steps_are_those_over_which_the_input_is_presented() -> None:
    assert plain().network.contract.presentation == 31
    snn = convert(steps=3)
    assert snn.network.contract.presentation == 3
    assert same(snn, plain().with_code("signed", steps=3))


# The same again


def test_the_same_seed_gives_the_same_network_whatever_the_state_of_the_process() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        again = convert()
    assert same(again, plain())
    assert again.report.as_json() == plain().report.as_json()


def test_the_seed_chooses_what_is_held_out() -> None:
    assert any(not same(convert(seed=seed), plain()) for seed in (1, 2))


def test_an_eighth_of_the_samples_is_held_out() -> None:
    assert plain().report.samples == 5
    many = np.random.default_rng(0).normal(size=(700, 6)).astype(np.float32)
    for n, limit, expected in ((1, 512, 1), (4, 512, 1), (700, 512, 64), (700, 700, 64), (700, 80, 10)):
        calibration, held_out = sys.modules["spikeport.convert"]._divided(collect([many[:n]], limit), 0)
        assert len(held_out) == expected
        rows = {row.tobytes() for row in held_out} & {row.tobytes() for row in calibration}
        assert len(calibration) + len(held_out) == min(n, limit) + (n == 1)
        assert len(rows) == (n == 1)  # a single sample serves both


def test_a_single_sample_is_enough() -> None:
    assert convert(data=[X[:1]]).report.samples == 1


# Forms of data


FORMS: dict[str, Callable[[], Any]] = {
    "batches x": lambda: [X[:16], X[16:]],
    "batches (x, y)": lambda: [(X[:16], torch.zeros(16)), (X[16:], torch.zeros(24))],
    "batches [x, y] of arrays": lambda: [[X.numpy(), np.zeros(40, np.int64)]],
    "one tensor": lambda: X,
    "one array": lambda: X.numpy(),
    "arrays": lambda: [X[:5].numpy(), X[5:].numpy()],
    "float64 arrays": lambda: [X.double().numpy()],
    "a loader": lambda: DataLoader(TensorDataset(X, torch.zeros(40)), batch_size=7),
    "a generator": lambda: (X[i : i + 9] for i in range(0, 40, 9)),
    "an empty batch between": lambda: [X[:8], X[:0], X[8:]],
    "a tensor with gradients": lambda: X.clone().requires_grad_(),
    "a tuple of batches": lambda: (X[:20], X[20:]),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_the_same_data_are_the_same_samples(form: str) -> None:
    assert np.array_equal(collect(FORMS[form](), 512), X.numpy())
    assert np.array_equal(collect(FORMS[form](), 21), X[:21].numpy())


@pytest.mark.parametrize("form", ["batches (x, y)", "one array", "float64 arrays", "a loader", "a generator"])
def test_all_forms_of_the_same_data_give_the_same_network(form: str) -> None:
    assert same(convert(data=FORMS[form]()), plain())


@cache
def of_counts() -> sp.SpikingModel:
    return convert(data=[EVENTS])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bfloat16])
def test_data_of_any_real_type_is_converted_by_its_value(dtype: torch.dtype) -> None:
    assert same(convert(data=[EVENTS.to(dtype)]), of_counts())


def test_images_of_truth_values_are_data_too() -> None:
    snn = convert(data=[EVENTS > 2])
    assert snn.report.mismatches == 0
    assert torch.equal(snn(EVENTS > 2), snn((EVENTS > 2).float()))


@pytest.mark.parametrize(("size", "limit", "batches"), [(10, 25, 3), (10, 30, 3), (40, 1, 1)])
def test_no_more_is_read_than_is_needed(size: int, limit: int, batches: int) -> None:
    given = 0

    def counted() -> Iterator[Tensor]:
        nonlocal given
        while given < 9:
            given += 1
            yield X[:size]
        raise AssertionError("all of the stream was read")

    convert(data=counted(), max_samples=limit)
    assert given == batches


# Calling


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_a_tensor_gives_a_tensor_of_its_type(dtype: torch.dtype) -> None:
    output = plain()(X.to(dtype))
    assert isinstance(output, Tensor)
    assert (output.dtype, output.shape) == (dtype, (40, 3))
    assert not output.requires_grad


def test_whole_numbers_give_float32_as_the_model_would() -> None:
    assert plain()(EVENTS.to(torch.int64)).dtype == torch.float32


def test_an_array_gives_a_float32_array_of_the_same_values() -> None:
    output = plain()(X.numpy())
    assert isinstance(output, np.ndarray)
    assert (output.dtype, output.shape) == (np.float32, (40, 3))
    assert np.array_equal(output, plain()(X).numpy())


def test_outputs_are_the_readout_on_the_models_scale_and_near_the_model() -> None:
    snn = plain()
    value = snn.readout(X).double() * snn.integer.readout.scale
    assert torch.equal(snn(X), value.float())
    with torch.no_grad():
        assert (snn(X) - small()(X)).abs().max() < 0.1  # outputs are of size 1


def test_samples_do_not_depend_on_their_batch_and_none_is_fine() -> None:
    snn = plain()
    assert torch.equal(snn(X), torch.cat([snn(x[None]) for x in X]))
    assert snn(X[:0]).shape == snn(X[:0].numpy()).shape == (0, 3)


@pytest.mark.parametrize("bad", [X[0], X[:, :5], X.to(torch.complex64), X * torch.nan, X / 0])
def test_calls_with_what_is_no_input_are_refused_alike_for_tensors_and_arrays(bad: Tensor) -> None:
    messages = []
    for x in (bad, bad.numpy()):
        with pytest.raises(sp.DataError, match=r"^input: ") as caught:
            plain()(x)
        messages.append(str(caught.value).replace("torch.", ""))
    assert messages[0] == messages[1]


def test_a_call_with_a_list_is_refused() -> None:
    with pytest.raises(sp.DataError, match="input: "):
        plain()([[0.0] * 6])


def test_as_module_stands_inside_a_sequential() -> None:
    snn = plain()
    module = nn.Sequential(nn.Flatten(), snn.as_module(), nn.Softmax(dim=1))
    assert list(module.parameters()) == []
    output = module.train()(X.reshape(40, 2, 3))
    assert torch.equal(output, snn(X).softmax(1))
    assert not output.requires_grad


def test_with_code_keeps_the_integers_and_forgets_what_was_stepped() -> None:
    snn = plain()
    graded = snn.with_code("graded")
    assert graded.integer is snn.integer
    assert graded.graph is snn.graph
    assert graded.network.contract.code == graded.report.code == "graded"
    assert graded.report.drain_bound == graded.network.contract.max_steps < snn.network.contract.max_steps
    assert (graded.report.comparisons, graded.report.stepped_samples, graded.report.curve) == (0, 0, ())
    assert not graded.report.ok
    assert graded.report.agreement == snn.report.agreement
    assert torch.equal(graded(X), snn(X))
    assert np.array_equal(graded.simulate(X).readout[-1], snn.simulate(X).readout[-1])
    assert same(convert(code="graded"), graded)
    with pytest.raises(sp.OptionError, match="graded, phased, population, radix, rate, signed"):
        snn.with_code("morse")
    assert snn.report.code == "signed"


def test_the_summary_names_every_layer_and_the_bound() -> None:
    text = plain().summary()
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["1", "3", "output"]
    assert "0..31" in lines[2]
    assert lines[4].split()[3] == "-"
    assert "9 spiking neurons, 62 synapses, 8-bit weights" in text  # 6 x 5 + 5 x 4 + 4 x 3
    assert f"quiet after at most {31 + 62} steps, measured median" in text
    assert "measured" not in plain().with_code("graded").summary()


def test_the_ledger_says_what_was_lost() -> None:
    snn = plain()
    assert snn.ledger == snn.network.ledger
    rounded = next(entry for entry in snn.ledger if "rounded to 8 bits" in entry.what)
    assert rounded.error == pytest.approx(float(snn.integer.input.scale.max()) / 2)


# Stepping


def test_simulate_records_everything_unless_told_otherwise() -> None:
    snn = plain()
    found = snn.simulate(X[:4])
    assert set(found.spikes) == set(found.potentials) == {"1", "3", "output"}
    assert found.spikes["3"].raster.shape == (found.n_steps, 4, 4)
    assert found.potentials["1"].shape == (found.n_steps, 4, 5)
    counts: dict[str, Any] = {}
    snn.readout(X[:4], visit=lambda layer, value: counts.update({layer.name: value.numpy()}))
    for name in ("1", "3"):
        assert np.array_equal(found.spikes[name].counts, counts[name])
        assert np.array_equal(found.counts[name], counts[name])
        raster = found.spikes[name].raster
        assert np.array_equal(found.n_spikes[name], np.count_nonzero(raster, axis=(0, 2)))
    assert np.array_equal(found.potentials["output"], found.readout)
    assert not found.spikes["output"].raster.any()
    assert set(snn.simulate(X[:4], record=["3"]).spikes) == {"3"}
    assert not snn.simulate(X[:4], record=[]).spikes
    assert snn.simulate(X[:4], max_steps=2).n_steps == 2
    with pytest.raises(sp.OptionError, match="nobody: is not a population"):
        snn.simulate(X[:4], record=["nobody"])


@pytest.mark.parametrize("max_steps", [0, -1])
def test_fewer_than_one_step_is_refused(max_steps: int) -> None:
    with pytest.raises(sp.OptionError, match="max_steps"):
        plain().simulate(X[:2], max_steps=max_steps)


def test_a_batch_of_nothing_is_stepped_like_it_is_called() -> None:
    assert plain().simulate(X[:0]).readout[-1].shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_any_real_type_are_stepped(dtype: torch.dtype) -> None:
    x = X[:3].to(dtype)
    assert np.array_equal(plain().simulate(x, record=()).readout[-1], plain().readout(x).numpy())
    assert np.array_equal(sp.simulate(plain().network, x).readout[-1], plain().readout(x).numpy())


# Events


def test_event_bins_give_what_their_sum_gives() -> None:
    snn = events()
    assert (snn.integer.input.kind, snn.integer.input.low, snn.integer.input.high) == ("events", 0, 15)
    bins = torch.zeros(4, 40, 6)
    rng = np.random.default_rng(0)
    for sample, place in np.ndindex(40, 6):
        for when in rng.integers(0, 4, size=int(EVENTS[sample, place])):
            bins[when, sample, place] += 1
    assert torch.equal(bins.sum(0), EVENTS)
    expected = snn(EVENTS)
    for raw in (bins, bins.to(torch.uint8), bins.flip(0)):
        assert torch.equal(snn(raw).float(), expected)
        assert np.array_equal(snn(raw.numpy()), expected.numpy())
        assert np.array_equal(snn.simulate(raw).readout[-1], snn.readout(EVENTS).numpy())
    assert np.array_equal(snn.simulate(EVENTS).readout[-1], snn.readout(EVENTS).numpy())
    assert snn.report.mismatches == 0


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (EVENTS.clamp(0, 1), "look binarised"),
        ((EVENTS + 1).clamp(0, 3), "look clipped at 3"),
        (EVENTS - 1, "whole numbers from 0 on"),
        (EVENTS / 2, "whole numbers from 0 on"),
        (EVENTS * 4, "holds 16 events in one place"),
    ],
)
def test_frames_that_are_no_raw_counts_are_refused(data: Tensor, what: str) -> None:
    with pytest.raises(sp.DataError, match=what) as caught:
        convert(data=[data], input="events", input_bits=4)
    assert all(p.where == "input" and p.hint for p in caught.value.problems)


@pytest.mark.parametrize("bins", [[0.5, 0.5], [3.0, -1.0]], ids=["halves", "negative"])
def test_bins_that_are_no_counts_are_refused_by_a_call_too(bins: list[float]) -> None:
    x = torch.tensor(bins)[:, None, None].expand(2, 3, 6)
    with pytest.raises(sp.DataError):
        events().simulate(x)
    with pytest.raises(sp.DataError):
        events()(x)


# Outputs


def test_one_output_is_regression() -> None:
    model = model_of(lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1)))
    snn = convert(model)
    assert snn.report.agreement is None
    assert snn.report.regression is not None
    assert snn(X).shape == (40, 1)
    with torch.no_grad():
        held = (snn(X) - model(X)).abs().max()
    assert held < 0.1  # outputs are of size 1
    report = sp.validate(snn, [X], model=model, progress=False)
    assert report.regression is not None
    assert report.regression.largest == pytest.approx(float(held), abs=1e-6)


@pytest.mark.parametrize("log", [False, True])
def test_a_softmax_at_the_end_is_computed_on_the_host(log: bool) -> None:
    tail = nn.LogSoftmax(dim=1) if log else nn.Softmax(dim=1)
    model = model_of(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), tail))
    snn = convert(model)
    output = snn(X)
    total = output.exp().sum(1) if log else output.sum(1)
    assert torch.allclose(total, torch.ones(40), atol=1e-6)
    with torch.no_grad():
        assert (output - model(X)).abs().max() < 0.1
    assert np.allclose(snn(X.numpy()), output.numpy(), atol=1e-6)
    logits = snn.readout(X) * snn.integer.readout.scale
    assert torch.allclose(output, logits.log_softmax(1).float() if log else logits.softmax(1).float(), atol=1e-6)
    assert any("softmax after the read-out runs on the host" in entry.what for entry in snn.ledger)


# Nothing of the user's is disturbed


def fingerprint(model: nn.Module) -> dict[str, Any]:
    return {
        "bytes": {k: (v.dtype, bytes(v.flatten().view(torch.uint8).tolist())) for k, v in model.state_dict().items()},
        "objects": [id(p) for p in model.parameters()],
        "grad flags": [p.requires_grad for p in model.parameters()],
        "gradients": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": [
            [list(d) for key, d in vars(module).items() if "hooks" in key and d is not None]
            for module in model.modules()
        ],
        "attributes": {name: sorted(vars(module)) for name, module in model.named_modules()},
    }


def process() -> dict[str, Any]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - a user's state, which must survive
    return {
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": (legacy["state"]["key"].tolist(), legacy["state"]["pos"], legacy["has_gauss"]),
        "python": random.getstate(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "autocast": torch.is_autocast_enabled("cpu"),
        "precision": torch.get_float32_matmul_precision(),
        "errors": np.geterr(),
        "printing": np.get_printoptions(),
        "recursion": sys.getrecursionlimit(),
    }


def user_model() -> nn.Module:
    """In training mode, partly frozen, with gradients, a frozen batch norm and a hook."""

    def make() -> nn.Module:
        layers = (nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
        model = nn.Sequential(*layers).to(torch.float32)
        model(X).sum().backward()
        return model

    model = seeded(make)
    model.train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[4].register_forward_hook(lambda module, inputs, output: None)
    model[2].register_full_backward_hook(lambda module, inputs, output: None)
    return model


@pytest.fixture
def unusual_process() -> Iterator[None]:
    """Settings that are not the defaults, so that a reset to the defaults would show."""
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_default_dtype(before[0])
        torch.set_num_threads(before[1])
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("job", ["convert", "validate"])
def test_nothing_of_the_users_is_disturbed(job: str, unusual_process: None) -> None:
    model = user_model()
    loader = DataLoader(TensorDataset(X), batch_size=16, shuffle=True)  # draws from torch's global generator
    snn = convert(user_model()) if job == "validate" else None
    own, around = fingerprint(model), process()
    if snn is None:
        sp.convert(model, loader, progress=False)
    else:
        sp.validate(snn, loader, model=model, stepped=2, progress=False)
    assert fingerprint(model) == own
    after = process()
    assert {key: value for key, value in after.items() if value != around[key]} == {}


def test_nothing_is_disturbed_by_a_failure() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5))
    own, around = fingerprint(model), process()
    with pytest.raises(sp.CaptureError):
        convert(model)
    with pytest.raises(sp.DataError):
        convert(model, [X, X * torch.nan])
    assert fingerprint(model) == own
    assert process() == around


def test_a_double_precision_model_stays_double() -> None:
    model = small().double()
    own = fingerprint(model)
    snn = convert(model)
    assert fingerprint(model) == own
    assert same(snn, plain())


# Cross-layer equalization changes nothing


def test_rescaling_a_hidden_channel_leaves_every_integer_as_it_is() -> None:
    """Powers of two are exact in floating point, so the two models are one function to the last bit."""
    model, other = small(), small()
    with torch.no_grad():
        for layer, following, channel, factor in ((0, 2, 1, 8.0), (0, 2, 3, 0.25), (2, 4, 0, 2.0**-6)):
            other[layer].weight[channel] *= factor
            other[layer].bias[channel] *= factor
            other[following].weight[:, channel] /= factor
        assert torch.equal(model(X), other(X))
    one, two = convert(model).integer, convert(other).integer
    for a, b in zip(one.layers, two.layers, strict=True):
        for name in ("threshold", "bias", "offset"):
            assert np.array_equal(getattr(a, name, 0), getattr(b, name, 0)), (a.name, name)
    for a, b in zip(one.connections, two.connections, strict=True):
        assert np.array_equal(a.weighted.weight, b.weighted.weight), a.name
    scale, rescaled = one["1"].scale, two["1"].scale
    assert (rescaled / scale).tolist() == [1, 8, 1, 0.25, 1]
    assert astuple(one.layers[-1])[3:] == astuple(two.layers[-1])[3:]


def test_rescaling_a_channel_of_a_convolution_does_not_either() -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)
        )

    x = seeded(lambda: torch.randn(20, 1, 6, 6))
    model, other = model_of(make), model_of(make)
    with torch.no_grad():
        other[0].weight[2] *= 16
        other[0].bias[2] *= 16
        other[2].weight[:, 2] /= 16
    one, two = convert(model, [x]).integer, convert(other, [x]).integer
    assert (two["1"].scale / one["1"].scale).ravel().tolist() == [1, 1, 16]
    for a, b in zip(one.connections, two.connections, strict=True):
        assert np.array_equal(a.weighted.weight, b.weighted.weight), a.name
    for a, b in zip(one.layers, two.layers, strict=True):
        assert np.array_equal(a.bias, b.bias), a.name
