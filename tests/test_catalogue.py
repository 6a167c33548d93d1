"""Every model of the catalogue, all the way: converted, stepped and called; or refused and left as it was."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import spikeport as sp  # noqa: E402
from spikeport import codes, native  # noqa: E402
from spikeport.backends import reference  # noqa: E402
from spikeport.backends.torch import simulate  # noqa: E402
from spikeport.quantize import QuantizeOptions, quantize  # noqa: E402
from spikeport.report import Report  # noqa: E402
from tests.networks import REFUSED, SUPPORTED, build  # noqa: E402
from tests.recordings import assert_equal_recordings  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models as small as these are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def converted(name: str) -> tuple[sp.SpikingModel, torch.Tensor]:
    """The model at 31 levels, and its 40 inputs; tracing takes most of the time and is done once."""
    model, x = build(name)
    return sp.convert(model, [x], progress=False), x


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_supported_model_converts_without_mismatch(name: str) -> None:
    snn, _ = converted(name)
    assert snn.report.mismatches == 0
    compared = {layer.name: layer.comparisons for layer in snn.report.layers}
    outside = snn.network.on_host()
    for layer in snn.integer.layers:
        expected = 0 if layer.name in outside else snn.report.stepped_samples * int(np.prod(layer.shape))
        assert compared[layer.name] == expected, layer.name
    assert snn.report.comparisons == sum(compared.values()) > 0
    assert snn.report.capture_difference < 1e-5
    assert snn.integer.neurons > 0


@pytest.mark.parametrize("name", SUPPORTED)
def test_calling_gives_what_the_last_step_reads_out(name: str) -> None:
    snn, x = converted(name)
    stepped = snn.simulate(x, record=())
    readout = snn.readout(x)
    assert np.array_equal(stepped.readout[-1], readout.numpy())
    assert np.array_equal(stepped.readout[-1], snn.readout(x.numpy()))
    assert stepped.n_steps <= snn.network.contract.max_steps
    assert (stepped.quiet_after > 0).all()
    if not snn.integer.host_tail:
        assert np.array_equal(stepped.output.astype(np.float32), snn(x).numpy())


@pytest.mark.parametrize("name", SUPPORTED)
def test_seven_levels_under_the_graded_code_agree_too(name: str) -> None:
    """The integers are made anew from the graph that `convert` captured, and carried by the other code."""
    snn, x = converted(name)
    integer = quantize(snn.graph, x.numpy(), QuantizeOptions(levels=7))
    assert max(layer.high for layer in integer.layers if hasattr(layer, "high")) == 7
    signed = sp.SpikingModel(snn.graph, integer, codes.encode(integer, "signed"), Report.empty())
    graded = signed.with_code("graded")
    assert graded.network.contract.code == "graded"
    stepped = graded.simulate(x, record=())
    assert np.array_equal(stepped.readout[-1], graded.readout(x).numpy())
    assert np.array_equal(stepped.readout[-1], signed.readout(x.numpy()))
    report = sp.validate(graded, [x], stepped=5, tolerance=100, progress=False)
    assert report.mismatches == 0
    assert report.comparisons > 0
    assert report.code == "graded"
    assert report.ok, report.misses


@pytest.mark.parametrize("code", ["phased", "population", "radix"])
@pytest.mark.parametrize("name", SUPPORTED)
def test_the_codes_of_one_sign_carry_the_same_integers(name: str, code: str) -> None:
    snn, x = converted(name)
    report = sp.validate(snn.with_code(code), [x[:6]], tolerance=100, progress=False)
    assert report.mismatches == 0
    assert report.comparisons == 6 * sum(layer.neurons for layer in report.layers if layer.comparisons)
    assert report.ok, report.misses


def test_a_maximum_over_a_function_that_turns_is_read_from_the_sum_of_its_parts() -> None:
    """Not from each part: the larger difference may have the smaller of either. Codes of one sign refuse it by name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(2, 3, 3, padding=1),
            torch.nn.GELU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(48, 4),
        ).eval()
        x = torch.randn(40, 2, 8, 8)
    snn = sp.convert(model, [x], progress=False)
    assert [layer.name for layer in snn.integer.layers] == ["1", "1 (falling)", "1 (joined)", "2", "output"]
    for code in ("signed", "graded", "staircase"):
        report = sp.validate(snn.with_code(code), [x[:6]], tolerance=100, progress=False)
        assert (report.mismatches, report.comparisons) == (0, 6 * sum(layer.neurons for layer in report.layers))
    for code in ("phased", "population", "radix"):
        with pytest.raises(sp.OptionError, match="2: takes the maximum over counts of both signs"):
            snn.with_code(code)
    with torch.no_grad():
        expected = model(x)
    assert ((snn(x) - expected).square().mean() / expected.square().mean()).sqrt() < 0.05


@pytest.mark.parametrize("name", SUPPORTED)
def test_tensors_are_stepped_as_arrays_are(name: str) -> None:
    """The other backends' recordings under every code are the reference's; convolutions computed in the way of each device."""
    snn, x = converted(name)
    for index, code in enumerate(sorted(codes.CODES)):
        spiking = codes.encode(snn.integer, code)
        found = simulate(spiking, x[:3], record=None, explicit=index % 2 == 0)
        expected = reference.simulate(spiking, x[:3], record=None)
        assert_equal_recordings(found, expected)
        if native.available():
            from spikeport.backends.native import simulate as simulate_native

            assert_equal_recordings(simulate_native(spiking, x[:3], record=None), expected)


@pytest.mark.parametrize("name", SUPPORTED)
def test_the_spiking_model_is_close_to_the_model(name: str) -> None:
    """A sanity check that would notice wrong weights; what is asked of trained models is measured under `bench`."""
    snn, x = converted(name)
    with torch.no_grad():
        expected = build(name)[0](x)
    close = 0.15  # of the output's size: random weights, 31 levels, 35 calibration samples
    assert ((snn(x) - expected).square().mean() / expected.square().mean()).sqrt() < close


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_model_says_where_and_stays_as_it_was(name: str) -> None:
    factory, shape, place = REFUSED[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = factory()
        x = torch.randn(8, *shape)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(sp.CaptureError) as caught:
        sp.convert(model, [x], progress=False)
    assert place.lower() in str(caught.value).lower()
    assert all(problem.where and problem.why and problem.hint for problem in caught.value.problems)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
