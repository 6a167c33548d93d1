"""Whether a chip can carry a model or network: answered from data, with no software of the vendor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport import codes
from spikeport.errors import CaptureError, OptionError, Problem, QuantizeError
from spikeport.graph import Graph
from spikeport.lower import Reason, Suggestion, Verdict, legalize
from spikeport.lower.counted import least_bill
from spikeport.lower.examine import Bounds, Carried, carry, verdict_of
from spikeport.lower.suggest import worded
from spikeport.model import SpikingModel
from spikeport.network import Network as HandMade
from spikeport.network import as_built
from spikeport.plugin import backend, extension_problems, installed, target_named
from spikeport.primitives import Code, DynamicNetwork, InputKind, SpikingNetwork
from spikeport.quantize import NeuronLayer, QuantizeOptions
from spikeport.targets import Target
from spikeport.trial import MOST_WEIGHTS, Setting, hosted, quantized, weight_count
from spikeport.undisturbed import undisturbed

if TYPE_CHECKING:
    from torch import nn

FEW = 2
"""Samples on which a changed model is quantized: what fits depends on widths and levels, not on how good it is."""
NOISE = 16
"""Samples of noise that widths are found on, where there is nothing better."""
MOST_NOISE = 2**28
"""Values of noise that are drawn: a GiB of them."""
SAMPLES = 64
"""Most samples of an example that are looked at."""
EVENTS = 0.3
"""Mean number of events of noise in one place."""
COUNTED = (
    "counted in the model's graph: its {weights:,} weights were not quantized, as no code and no width would make it fit; "
    "whether a part fits beside a host (allow_host=True) was not tried"
)
UNTRAINED = "widths were found on {}: other data or training moves thresholds and biases, so a limit that is nearly reached may be passed"


def check(
    model: nn.Module | SpikingModel | SpikingNetwork | DynamicNetwork | HandMade,
    target: str | Path | Target,
    *,
    example: Any = None,
    code: Code | Literal["auto"] = "auto",
    allow_host: bool = False,
    suggest: bool = True,
    levels: int | Mapping[str, int] | None = None,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    state_bits: int | None = None,
    input: InputKind | None = None,
    progress: bool = True,
) -> Verdict:
    """Whether a target can carry a network, why not, what it takes, and what would make it fit.

    Args:
        model: a converted model, whose integers are tried under every code; a network, which has its code; one written by hand; or
            an `nn.Module`, trained or not, which is converted on the example.
        target: a name of the catalog, of an installed backend ("backend" or "backend:target"), or of the `.toml` file that describes a chip; or a
            `Target`.
        example: for an `nn.Module`: a batch of inputs, or the shape of one, for which noise is drawn.
        code: try this one alone.
        allow_host: leave layers before and behind the chip to the host, where the rest does not fit otherwise.
        suggest: look for the nearest change that makes it fit, by quantizing again with other widths, levels, pooling or channels.
        levels, weight_bits, input_bits, state_bits, input: of the conversion of an `nn.Module`, as for `spikeport.convert`; what is
            converted has its own.
        progress: show a bar on standard error while changes are tried.

    Returns:
        A `Verdict`, to be printed. An operation that cannot be converted at all is one of its reasons.

    Raises:
        OptionError: an unknown target or code, an `nn.Module` without an example, or what is asked of another kind of model.
    """
    chip = target_named(target)
    model = as_built(model)
    tried = _codes(code)
    widths = {
        "levels": levels,
        "weight_bits": weight_bits,
        "input_bits": input_bits,
        "state_bits": state_bits,
        "input": input,
    }
    asked: dict[str, Any] = {name: value for name, value in widths.items() if value is not None}
    _refuse_what_is_ignored(model, asked, example, code, allow_host)
    if isinstance(model, DynamicNetwork):
        verdict = verdict_of(Carried(None, model, legalize(model, chip)), chip)
        return _with_settings(verdict, model, target if isinstance(target, str) else chip.name, chip)
    if isinstance(model, SpikingNetwork):
        carried = Carried(model.contract.code, model, legalize(model, chip))
        notes = () if carried.fits else ("other codes and widths need the integers: check the converted model",)
        return _concluded(carried, chip, allow_host, None, notes)
    notes = ()
    if isinstance(model, SpikingModel):
        setting = _setting(model, chip, tried, progress)
        integer = model.integer
    else:
        options = QuantizeOptions(**asked)
        samples, what = _samples(example, options)
        try:
            graph = _captured(model, samples)
            weights = weight_count(graph)
            if weights > MOST_WEIGHTS and not allow_host:
                least = least_bill(graph, chip, type(model).__name__, events=input == "events")
                if least.reasons:
                    return verdict_of(Carried(None, None, least), chip, notes=(COUNTED.format(weights=weights),))
            integer = quantized(graph, samples, options)
        except (CaptureError, QuantizeError) as error:
            reasons = tuple(Reason(p.where, p.why, p.hint) for p in error.problems)
            return Verdict(type(model).__name__, chip.name, "impossible", None, reasons)
        setting = Setting(graph, samples[:FEW], options, chip, tried, progress)
        notes = (UNTRAINED.format(what),)
    carried = carry(integer, chip, only=tried, encode=setting.encode(integer), bounds=Bounds())
    return _concluded(carried, chip, allow_host, setting if suggest else None, notes)


def _concluded(
    carried: Carried, chip: Target, allow_host: bool, setting: Setting | None, notes: tuple[str, ...]
) -> Verdict:
    """The verdict; where the network does not fit with a part on the host if that is allowed, and with what would make it fit."""
    if carried.fits:
        return verdict_of(carried, chip, notes=notes)
    cut = hosted(carried, chip)
    if allow_host and cut.fits:
        return verdict_of(cut, chip, notes=notes)
    found, why = ([], "") if setting is None else setting.suggestions(carried, cut)
    if cut.fits:
        found.append(Suggestion({"allow_host": True}, worded({"allow_host": True})))
    if setting is not None and not found:
        notes = (*notes, f"no change that was tried makes it fit; what is left: {why}")
    return verdict_of(carried, chip, notes=notes, suggestions=found)


def _with_settings(verdict: Verdict, network: DynamicNetwork, name: str, chip: Target) -> Verdict:
    """The verdict with what is wrong with settings for single backends: the one of this name may not be installed."""
    name = name.partition(":")[0]
    if name not in installed():
        name = chip.name
    of = backend(name) if name in installed() else None
    reasons = [Reason(p.where, p.why, p.hint) for p in extension_problems(network, name, of)]
    if not reasons:
        return verdict
    return replace(verdict, outcome="impossible", reasons=(*verdict.reasons, *reasons))


def _refuse_what_is_ignored(model: Any, asked: Mapping[str, Any], example: Any, code: str, allow_host: bool) -> None:
    """Refuse what would be taken for an answer to another question."""
    if not isinstance(model, SpikingModel | SpikingNetwork | DynamicNetwork):
        return
    hint = "convert the model with it, and check that" if isinstance(model, SpikingModel) else "check the model"
    problems = [Problem(name, "is of the conversion, and this is converted already", hint) for name in asked]
    if example is not None:
        problems.append(Problem("example", "is for models that are not converted yet", "leave it out"))
    if isinstance(model, SpikingNetwork) and code not in ("auto", model.contract.code):
        problems.append(Problem("code", f"is {model.contract.code!r} in this network", "check the model under another"))
    if isinstance(model, DynamicNetwork):
        problems += [
            Problem(what, "is for converted networks", "leave it out")
            for what, given in (("code", code != "auto"), ("allow_host", allow_host))
            if given
        ]
    if problems:
        raise OptionError(problems)


def _codes(code: str) -> Collection[Code]:
    known = sorted([*codes.CODES, *codes.STATISTICAL, "auto"])
    if code not in known:
        raise OptionError(Problem("code", f"{code!r} is not known", f"one of {', '.join(known)}"))
    return tuple(codes.NEEDS) if code == "auto" else (code,)  # type: ignore[return-value] # a key of CODES


def _samples(example: Any, options: QuantizeOptions) -> tuple[NDArray[Any], str]:
    """Data to find widths on, and what it is."""
    if example is None:
        hint = "give a batch of inputs, or the shape of one: example=(1, 28, 28)"
        raise OptionError(Problem("example", "is missing, and a model does not say what its input looks like", hint))
    if isinstance(example, tuple | list) and any(hasattr(part, "shape") and np.ndim(part) for part in example):
        why = "is a list of batches"
        raise OptionError(
            Problem("example", why, "give one batch of inputs, or the shape of an input: example=(1, 28, 28)")
        )
    if isinstance(example, tuple | list) and example and all(_is_count(n) for n in example):
        rng = np.random.default_rng(0)
        shape = (NOISE, *map(int, example))
        if prod(shape) > MOST_NOISE:
            why = f"is the shape of {prod(shape[1:]):,} values, more than noise is drawn for, {MOST_NOISE // NOISE:,}"
            raise OptionError(Problem("example", why, "give a batch of inputs"))
        if options.input == "events":
            return rng.poisson(EVENTS, shape).clip(max=2**options.input_bits - 1).astype(np.float32), "noise"
        return rng.standard_normal(shape).astype(np.float32), "noise"
    array = np.asarray(example.detach().cpu() if hasattr(example, "detach") else example, dtype=np.float32)
    if array.ndim < 2 or not len(array):
        why = f"has shape {array.shape}"
        raise OptionError(Problem("example", why, "a batch of inputs, or the shape of one as a tuple"))
    count = min(len(array), SAMPLES)
    return array[:count], f"{count} samples"


def _is_count(n: object) -> bool:
    return isinstance(n, int | np.integer) and not isinstance(n, bool) and int(n) > 0


def _captured(model: Any, samples: NDArray[Any]) -> Graph:
    """The graph of a module."""
    if find_spec("torch") is None:
        why = f"is a {type(model).__name__}; torch, which could read it, is not installed"
        raise OptionError(Problem("model", why, "pip install spikeport[torch]"))
    import torch

    from spikeport.capture import FloatModel, capture

    if not isinstance(model, torch.nn.Module):
        why = f"is a {type(model).__name__}"
        raise OptionError(Problem("model", why, "an nn.Module, a converted model, or a network"))
    with undisturbed():
        # only looked at, and let go of: a large model is not copied for it
        return capture(FloatModel(model, shared=True), torch.tensor(samples[:2]))


def _setting(model: SpikingModel, chip: Target, tried: Collection[Code], progress: bool) -> Setting:
    """How a converted model was made, as far as it still knows, for making it again with a change."""
    integer, encoder = model.integer, model.integer.input
    highest = max((layer.high for layer in integer.layers if isinstance(layer, NeuronLayer)), default=31)
    options = QuantizeOptions(
        levels=highest,
        weight_bits=integer.weight_bits,
        input_bits=max(2, encoder.high.bit_length() + (encoder.kind == "static")),
        state_bits=integer.state_bits,
        input=encoder.kind,
    )
    if model.samples is None:
        samples, _ = _samples(encoder.shape, options)
    else:
        value = model.samples * encoder.scale
        value = value if encoder.shift is None else value - encoder.shift
        samples = (value if encoder.gain is None else value / encoder.gain).astype(np.float32)
    steps = model.network.contract.presentation if encoder.kind == "events" else None
    return Setting(model.graph, samples[:FEW], options, chip, tried, progress, steps)
