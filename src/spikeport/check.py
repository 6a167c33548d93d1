"""Whether a chip can carry a model or network: answered from data, with no software of the vendor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport import codes
from spikeport.errors import CaptureError, OptionError, Problem, QuantizeError
from spikeport.graph import Graph, Operations
from spikeport.lower import Reason, Verdict, legalize
from spikeport.lower.examine import Bounds, Carried, carry, verdict_of
from spikeport.model import SpikingModel
from spikeport.primitives import Code, DynamicNetwork, InputKind, SpikingNetwork
from spikeport.quantize import IntegerNetwork, QuantizeOptions, quantize
from spikeport.targets import Target, find_target
from spikeport.undisturbed import undisturbed

if TYPE_CHECKING:
    from torch import nn

NOISE = 16
"""Samples of noise that widths are found on, where there is nothing better."""
SAMPLES = 64
"""Most samples of an example that are looked at."""
EVENTS = 0.3
"""Mean number of events of noise in one place."""
UNTRAINED = "widths were found on {}: other data or training moves thresholds and biases, so a limit that is nearly reached may be passed"


def check(
    model: nn.Module | SpikingModel | SpikingNetwork | DynamicNetwork,
    target: str | Target,
    *,
    example: Any = None,
    code: Code | Literal["auto"] = "auto",
    levels: int | Mapping[str, int] = 31,
    weight_bits: int = 8,
    input_bits: int = 8,
    state_bits: int = 24,
    input: InputKind = "static",
) -> Verdict:
    """Whether a target can carry a network, why not, what it takes, and what would make it fit.

    Args:
        model: a converted model, whose integers are tried under every code; a network, which has its code; one written by hand; or
            an `nn.Module`, trained or not, which is converted on the example.
        target: a name of the catalog, or a `Target` of your own.
        example: for an `nn.Module`: a batch of inputs, or the shape of one, for which noise is drawn.
        code: try this one alone.
        levels, weight_bits, input_bits, state_bits, input: of the conversion of an `nn.Module`, as for `spikeport.convert`.

    Returns:
        A `Verdict`, to be printed. An operation that cannot be converted at all is one of its reasons.

    Raises:
        OptionError: an unknown target or code, or an `nn.Module` without an example.
    """
    chip = find_target(target) if isinstance(target, str) else target
    tried = _codes(code)
    if isinstance(model, SpikingNetwork | DynamicNetwork):
        own = model.contract.code if isinstance(model, SpikingNetwork) else None
        return verdict_of(Carried(own, model, legalize(model, chip)), chip)
    notes: tuple[str, ...] = ()
    if isinstance(model, SpikingModel):
        integer = model.integer
    else:
        options = QuantizeOptions(
            levels=levels, weight_bits=weight_bits, input_bits=input_bits, state_bits=state_bits, input=input
        )
        samples, what = _samples(example, options)
        try:
            integer = _converted(model, samples, options)
        except (CaptureError, QuantizeError) as error:
            reasons = tuple(Reason(p.where, p.why, p.hint) for p in error.problems)
            return Verdict(type(model).__name__, chip.name, "impossible", None, reasons)
        notes = (UNTRAINED.format(what),)
    found = carry(integer, chip, only=tried, bounds=Bounds())
    return verdict_of(found, chip, notes=notes)


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
    if isinstance(example, tuple | list) and example and all(isinstance(n, int) and n > 0 for n in example):
        rng = np.random.default_rng(0)
        shape = (NOISE, *example)
        if options.input == "events":
            return rng.poisson(EVENTS, shape).clip(max=2**options.input_bits - 1).astype(np.float32), "noise"
        return rng.standard_normal(shape).astype(np.float32), "noise"
    array = np.asarray(example.detach().cpu() if hasattr(example, "detach") else example, dtype=np.float32)
    if array.ndim < 2 or not len(array):
        why = f"has shape {array.shape}"
        raise OptionError(Problem("example", why, "a batch of inputs, or the shape of one as a tuple"))
    count = min(len(array), SAMPLES)
    return array[:count], f"{count} samples"


def _converted(model: Any, samples: NDArray[Any], options: QuantizeOptions) -> IntegerNetwork:
    """The integer network of a module."""
    if find_spec("torch") is None:
        why = f"is a {type(model).__name__}; torch, which could read it, is not installed"
        raise OptionError(Problem("model", why, "pip install spikeport[torch]"))
    import torch

    from spikeport.capture import FloatModel, capture

    if not isinstance(model, torch.nn.Module):
        why = f"is a {type(model).__name__}"
        raise OptionError(Problem("model", why, "an nn.Module, a converted model, or a network"))
    with undisturbed():
        graph = capture(FloatModel(model), torch.tensor(samples[:2]))
        return _quantized(graph, samples, options)


def _quantized(graph: Graph, samples: NDArray[Any], options: QuantizeOptions) -> IntegerNetwork:
    operations, exact = _operations()
    return quantize(graph, samples, options, operations=operations, exact_operations=exact)


def _operations() -> tuple[Operations | None, Operations | None]:
    """What evaluates: torch where it is installed, which is faster, or numpy."""
    if find_spec("torch") is None:
        return None, None
    import torch

    from spikeport.backends.torch import TorchOperations

    return TorchOperations(), TorchOperations(dtype=torch.float64)
