"""From a trained PyTorch model to a validated spiking network: the main job on one page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport import codes
from spikeport.errors import DataError, OptionError, Problem, ProofError
from spikeport.model import SpikingModel
from spikeport.primitives import Approximation, Code, InputKind, SpikingNetwork
from spikeport.quantize import IntegerNetwork, NeuronLayer, QuantizeOptions, encode_input, quantize
from spikeport.report import Report
from spikeport.undisturbed import undisturbed
from spikeport.validate import Outputs, Proof, collect, collect_labelled, make_report, validate
from spikeport.validate.agreement import affordable_samples, step_and_compare
from spikeport.validate.fingerprint import Fingerprint
from spikeport.validate.validate import counts_of, float_operations, outputs_of

if TYPE_CHECKING:
    from torch import nn

STEPPING_WORK = 2e10
"""Synaptic operations that `convert` spends on stepping held-out samples."""
HELD_OUT = 64
"""Most samples kept from calibration to check the result."""
SAMPLES = 4
"""Samples that stay with the model, for its certificate."""


def convert(
    model: nn.Module,
    data: Iterable[Any],
    *,
    levels: int | Mapping[str, int] = 31,
    weight_bits: int = 8,
    input_bits: int = 8,
    state_bits: int = 24,
    code: Code | Literal["auto"] = "signed",
    input: InputKind = "static",
    steps: int | None = None,
    features: Collection[codes.Feature] | None = None,
    max_samples: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> SpikingModel:
    """A spiking network that is provably the same function as an integer network close to `model`.

    Args:
        model: any trained `nn.Module` with one input and one output tensor; never changed.
        data: any iterable of batches `x` or `(x, y)`; labels are not used.
        levels: largest count L of a neuron, for all layers or by name.
        weight_bits: width of weights.
        input_bits: width of an input value; for event input the declared maximum is `2**input_bits - 1`.
        state_bits: width of a membrane potential; proved wide enough.
        code: how counts are carried by spikes; see `spikeport.codes`. "auto" takes the first that `features` suffice for; the
            ledger says why. "rate" is statistical: close, never exact, and stepped whenever the model is called.
        input: "static" for analogue values, "events" for counts of events.
        steps: steps over which the input is presented, the number of time bins of event input. None: one a level of the first
            layers; for static input under "graded", "phased" and "radix", and under "population" always, a single one; under
            "rate" 32.
        features: what the target offers, names of `spikeport.codes.Feature`; None is everything.
        max_samples: most samples to read; an eighth of them, at most 64, is held out to check the result.
        seed: chooses which samples are held out.
        progress: show bars on standard error when it is a terminal.

    Returns:
        A `SpikingModel`; its `report` holds the capture proof, the comparison of spiking and integer network on
        held-out samples, and the agreement with the model.

    Raises:
        CaptureError: unsupported operations, all of them, with file and line.
        QuantizeError: a layer without integer form.
        DataError, OptionError: bad input.
        ProofError: two stages that must agree do not.
    """
    options = _checked(
        code,
        steps,
        features,
        max_samples,
        seed,
        levels=levels,
        weight_bits=weight_bits,
        input_bits=input_bits,
        state_bits=state_bits,
        input=input,
    )
    import torch

    from spikeport.backends.torch import TorchOperations
    from spikeport.capture import FloatModel, capture, prove

    with undisturbed():
        samples = collect(data, max_samples)
        calibration, held_out = _divided(samples, seed)
        float_model = FloatModel(model)
        operations = TorchOperations()
        graph = capture(float_model, torch.tensor(samples[:2]))
        proof = prove(graph, float_model, [samples[:HELD_OUT]], operations=operations)
        exact = TorchOperations(dtype=torch.float64)
        integer = quantize(
            graph, calibration, options, operations=operations, exact_operations=exact, progress=progress
        )
        network = _carried(integer, code, steps, features)
        if network.contract.code in codes.STATISTICAL:
            encoded = encode_input(integer.input, calibration)
            network = codes.rate.calibrated(network, integer, encoded, operations=exact)
        snn = SpikingModel(graph, integer, network, Report.empty(), encode_input(integer.input, held_out[:SAMPLES]))
        outputs = Outputs(float_model.run(held_out), outputs_of(snn, held_out), None)
        count = min(len(held_out), affordable_samples(integer, network, STEPPING_WORK))
        stepped = step_and_compare(
            network, integer, held_out[:count], lambda x: counts_of(snn, x), classes=outputs.classes, progress=progress
        )
        seen = Fingerprint()
        seen.add(held_out, None)
    measured = Proof(proof.relative, proof.samples)
    report = make_report(integer, network, outputs, stepped, measured, data_hash=seen.hexdigest())
    if report.mismatches:
        why = f"{report.mismatches:,} of {report.comparisons:,} counts differ from the integer network"
        raise ProofError(
            Problem(str(report.divergence), why, "this is a bug of spikeport; please report it with the model")
        )
    return snn.with_report(report)


def requantized(
    snn: SpikingModel,
    data: Iterable[Any],
    *,
    test: Iterable[Any] | None = None,
    levels: int | Mapping[str, int] | None = None,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    state_bits: int | None = None,
    code: Code | None = None,
    steps: int | None = None,
    max_samples: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> SpikingModel:
    """The same float graph quantized once more, with other widths: a new integer network, whose distance is measured anew.

    Args:
        snn: as converted or loaded; it keeps its integers.
        data: any iterable of batches `x` or `(x, y)`, to calibrate on.
        test: batches on which the gap is measured; None: an eighth of the samples, at most 64, held out of `data`.
        levels, weight_bits, input_bits, state_bits, code: as for `convert`; None: what the model has.
        steps: of the presentation; None: the default of the code, and of event input what the model has.
        max_samples, seed, progress: as for `convert`.

    Raises:
        QuantizeError: a layer without integer form of these widths.
        DataError, OptionError: bad input.
        ProofError: the spiking network deviates from the new integers, which is a bug of ours.
    """
    before, encoder = snn.integer, snn.integer.input
    kept = {layer.name: max(-layer.low, layer.high) for layer in before.layers if isinstance(layer, NeuronLayer)}
    if isinstance(levels, Mapping):
        levels = {**kept, **levels}
    own_bits = encoder.high.bit_length() + (encoder.kind == "static")
    code = snn.network.contract.code if code is None else code
    if steps is None and encoder.kind == "events":
        steps = snn.network.contract.presentation
    options = _checked(
        code,
        steps,
        None,
        max_samples,
        seed,
        levels=kept if levels is None else levels,
        weight_bits=before.weight_bits if weight_bits is None else weight_bits,
        input_bits=own_bits if input_bits is None else input_bits,
        state_bits=before.state_bits if state_bits is None else state_bits,
        input=encoder.kind,
    )
    operations, exact = float_operations()
    with undisturbed():
        samples, labels = collect_labelled(data, max_samples)
        if samples.shape[1:] != encoder.shape:
            expected = ", ".join(map(str, encoder.shape))
            raise DataError(Problem("data", f"holds samples of {samples.shape[1:]}", f"the model takes ({expected})"))
        for_calibration, held_out = _chosen(len(samples), seed)
        calibration = samples if test is not None else samples[for_calibration]
        integer = quantize(
            snn.graph, calibration, options, operations=operations, exact_operations=exact, progress=progress
        )
        network = _carried(integer, code, steps, None)
        if network.contract.code in codes.STATISTICAL:
            network = codes.rate.calibrated(
                network, integer, encode_input(integer.input, calibration), operations=exact
            )
        first = encode_input(integer.input, samples[held_out][:SAMPLES])
        # what was proved of the graph when it was captured still holds
        old = snn.report
        found = SpikingModel(snn.graph, integer, network, old, first)
        x, y = samples[held_out], None if labels is None else labels[held_out]
        measured = validate(found, [(x, y) if y is not None else x] if test is None else test, progress=progress)
    if measured.mismatches:
        why = f"{measured.mismatches:,} of {measured.comparisons:,} counts differ from the integer network"
        raise ProofError(
            Problem(str(measured.divergence), why, "this is a bug of spikeport; please report it with the model")
        )
    return found.with_report(measured)


def _carried(
    integer: IntegerNetwork, code: str, steps: int | None, features: Collection[codes.Feature] | None
) -> SpikingNetwork:
    """The integers under a code that the target offers everything for.

    Raises:
        OptionError: it does not, or the code refuses the network.
    """
    if code != "auto":
        network = codes.encode(integer, code, steps=steps)
        missing = sorted(codes.needs(network.contract.code, integer) - set(features)) if features is not None else []
        if missing:
            why = f"{code!r} needs {', '.join(missing)}, which `features` does not hold"
            raise OptionError(Problem("code", why, 'use code="auto"'))
        return network
    choice = codes.choose(integer, features, lambda name: codes.encode(integer, name, steps=steps))
    network = codes.encode(integer, choice.code, steps=steps)
    entry = Approximation(network.name, f"code {choice.code!r} chosen: {choice.why}", 0.0)
    return replace(network, ledger=(*network.ledger, entry))


def _checked(code: Any, steps: Any, features: Any, max_samples: Any, seed: Any, **widths: Any) -> QuantizeOptions:
    """The options, or one error with everything that is wrong with them."""
    problems: list[Problem] = []
    options = None
    try:
        options = QuantizeOptions(**widths)
    except OptionError as error:
        problems += error.problems
    if not _whole(max_samples) or max_samples < 1:
        problems.append(Problem("max_samples", f"is {max_samples!r}", "give at least one sample"))
    if not _whole(seed) or seed < 0:
        problems.append(Problem("seed", f"is {seed!r}", "give a whole number from 0 on"))
    known = sorted([*codes.CODES, *codes.STATISTICAL, "auto"])
    if code not in known:
        problems.append(Problem("code", f"{code!r} is not known", f"one of {', '.join(known)}"))
    problems += codes.feature_problems(features)
    if steps is not None and (not _whole(steps) or steps < 1):
        problems.append(Problem("steps", f"is {steps!r}", "give at least one step, or None for one a level"))
    elif steps not in (None, 1) and (code == "population" or (code == "graded" and widths["input"] == "static")):
        why = f"is {steps}, and the {code} code takes this input as whole integers in one step"
        problems.append(Problem("steps", why, "leave it out"))
    if problems or options is None:
        raise OptionError(problems)
    return options


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _divided(samples: NDArray[Any], seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Samples for calibration and samples held out; a single sample serves both."""
    calibration, held_out = _chosen(len(samples), seed)
    return samples[calibration], samples[held_out]


def _chosen(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of both."""
    if count == 1:
        return np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    n = min(HELD_OUT, max(1, count // 8))
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[n:]), np.sort(order[:n])
