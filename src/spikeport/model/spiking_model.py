"""One converted model with everything known about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikeport import certify, codes, native
from spikeport.backends import stepping
from spikeport.backends.native import ExactEvaluator as NativeEvaluator
from spikeport.errors import ArchiveError, DataError, OptionError, Problem
from spikeport.graph import Graph, apply
from spikeport.model.summary import summary
from spikeport.plugin.presenting import as_array
from spikeport.primitives import Approximation, Code, Ledger, Recording, SpikingNetwork, frozen
from spikeport.quantize import IntegerNetwork, Layer, encode_input, evaluate, input_problems
from spikeport.report import Report, report_from_json
from spikeport.storage import archive, codec

if TYPE_CHECKING:
    import torch

FORMAT = "spikeport.model/1"
STEPPED_NEURONS = 2_000_000
"""Neurons times samples of a rate code stepped at once."""


@dataclass(frozen=True, eq=False)
class SpikingModel:
    """A spiking network, the integers it carries, the float graph they came from, and the report on all three.

    Calling it gives what the spiking network computes, on the model's own scale: a tensor for a tensor, an array for an
    array, of shape (batch, *output).
    """

    graph: Graph
    """The model as captured, before conversion."""
    integer: IntegerNetwork
    """The integer network that the spikes carry."""
    network: SpikingNetwork
    """Populations and connections under the chosen code."""
    report: Report
    """What was proved and measured, on the last `validate` or at conversion."""
    samples: NDArray[np.int64] | None = None
    """A few inputs as integers, shape (sample, *input), whose counts the certificate records."""
    _evaluators: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.samples is not None:
            object.__setattr__(self, "samples", frozen(self.samples))

    def __call__(self, x: Any) -> Any:
        """Outputs for a batch, exactly those of the spiking network at rest; a rate code has no rest, and is stepped.

        Args:
            x: tensor or array of shape (batch, *input); event input may also be (time, batch, *input).

        Raises:
            DataError: a wrong shape, values that are not finite, counts that are no counts.
        """
        if self.network.contract.code in codes.STATISTICAL:
            return self._stepped(x)
        if isinstance(x, np.ndarray):
            return self._on_model_scale(self.readout(x) * self.integer.readout.scale).astype(np.float32)
        import torch

        from spikeport.backends.torch import TorchOperations

        total = self.readout(x)
        value = total.to(torch.float64) * self.integer.readout.scale
        operations = TorchOperations(device=total.device, dtype=torch.float64)
        for op in self.integer.host_tail:
            value = operations.apply(op, [value])
        return value.to(x.dtype if x.is_floating_point() else torch.float32).to(x.device)

    def readout(self, x: Any, *, visit: Callable[[Layer, Any], None] | None = None) -> Any:
        """Read-out of the integer network, of the same kind as `x`; `visit` sees the counts of every layer, of a large batch part by part.

        On a processor by the native kernels, with as many threads as torch uses for a tensor; without them by torch, or
        for an array by numpy. All give the same integers.
        """
        encoder = self.integer.input
        if not hasattr(x, "shape"):
            why = f"is a {type(x).__name__}, not a tensor or array"
            raise DataError(Problem("input", why, "pass torch.tensor(x) or np.asarray(x)"))
        if len(x.shape) == len(encoder.shape) + 2 and encoder.kind == "events":
            x = self._summed(x)
        if isinstance(x, np.ndarray):
            if not native.available():
                return evaluate(self.integer, x, visit=visit)
            return self._native(x, visit)
        import torch

        from spikeport.backends.torch import ExactEvaluator

        device = str(x.device)
        if x.device.type == "cpu" and native.available():

            def visit_tensor(layer: Layer, count: NDArray[np.int64]) -> None:
                assert visit is not None
                visit(layer, torch.from_numpy(count))

            array = (x.detach() if x.dtype in (torch.float32, torch.float64) else _widened(x)).numpy()
            total = self._native(array, visit_tensor if visit else None, threads=torch.get_num_threads())
            return torch.from_numpy(total)
        if device not in self._evaluators:
            self._evaluators[device] = ExactEvaluator(self.integer, device=device)
        return self._evaluators[device](x, visit=visit)

    def _native(self, x: NDArray[Any], visit: Callable[[Layer, Any], None] | None, threads: int | None = None) -> Any:
        if "native" not in self._evaluators:
            self._evaluators["native"] = NativeEvaluator(self.integer)
        return self._evaluators["native"](x, visit, threads=threads)

    def _summed(self, x: Any) -> Any:
        """Time bins as the frame that they sum to; the same bins are refused as by `simulate`."""
        bins = as_array(x)
        steps = self.network.contract.presentation
        if len(bins) > steps:
            hint = f"convert with steps={len(bins)}, or sum the events into {steps} bins"
            raise DataError(Problem("input", f"has {len(bins)} time bins, the network presents {steps}", hint))
        problems = input_problems(self.integer.input, bins.reshape(-1, *bins.shape[2:]))
        if problems:
            raise DataError(problems)
        return x.sum(0) if isinstance(x, np.ndarray) else x.float().sum(0)

    def _stepped(self, x: Any) -> Any:
        """Outputs of the last step; sample by sample part, so that memory does not grow with the batch."""
        array = as_array(x)
        bins = array.ndim == len(self.integer.input.shape) + 2
        size = max(1, STEPPED_NEURONS // self.network.neurons)
        count = array.shape[1] if bins else len(array)
        slices = [slice(i, i + size) for i in range(0, count, size)] or [slice(0, 0)]
        parts = [stepping.simulate(self.network, array[:, s] if bins else array[s]).output for s in slices]
        value = self._on_model_scale(np.concatenate(parts))
        if isinstance(x, np.ndarray):
            return value.astype(np.float32)
        import torch

        return torch.from_numpy(value).to(x.dtype if x.is_floating_point() else torch.float32).to(x.device)

    def _on_model_scale(self, value: NDArray[Any]) -> NDArray[Any]:
        for op in self.integer.host_tail:
            value = apply(op, [value])
        return value

    def simulate(
        self,
        x: Any,
        *,
        record: Collection[str] | None = None,
        max_steps: int | None = None,
        on: str | None = None,
    ) -> Recording:
        """Step a batch until it is quiet.

        Args:
            x: as for a call.
            record: populations whose spike trains and potentials are kept; None keeps all of them.
            max_steps: stop earlier than the proved bound.
            on: "native", "reference" or "torch", as for `spikeport.simulate`; the recording is the same on all of them.
        """
        return stepping.simulate(self.network, x, record=record, max_steps=max_steps, on=on)

    def with_code(self, code: Code, *, steps: int | None = None, data: Any = None) -> SpikingModel:
        """The same integers carried by another code; the report then waits for `validate`.

        Args:
            code: its name.
            steps: of the presentation.
            data: a batch of inputs on which a rate code fits thresholds and biases; the few samples that the model keeps without it.

        Raises:
            OptionError: a code that does not carry the network, or `data` for one that fits nothing.
        """
        if data is not None and code not in codes.STATISTICAL:
            raise OptionError(Problem("data", f"is given, and the {code} code fits nothing to it", "leave it out"))
        network = codes.encode(self.integer, code, steps=steps)
        if code in codes.STATISTICAL:
            encoded = self.samples if data is None else encode_input(self.integer.input, as_array(data))
            if encoded is None:
                what = "thresholds and biases are not fitted: the model keeps no samples, and no data was given"
                network = replace(network, ledger=(*network.ledger, Approximation(network.output, what, 0.0)))
            else:
                network = codes.rate.calibrated(network, self.integer, encoded)
        return SpikingModel(
            self.graph,
            self.integer,
            network,
            self.report.without_stepping(code, network.contract.max_steps),
            self.samples,
        )

    def __repr__(self) -> str:
        layers, code = len(self.integer.layers), self.network.contract.code
        return f"SpikingModel({layers} layers, {self.integer.neurons:,} neurons, code {code!r})"

    def as_module(self) -> torch.nn.Module:
        """A `torch.nn.Module` that computes what calling this model computes; it has no parameters and no gradient."""
        from spikeport.backends.torch.module import SpikingModule

        return SpikingModule(self)

    @cached_property
    def ledger(self) -> Ledger:
        """What was lost on the way, where, and how much."""
        return self.network.ledger

    @cached_property
    def certificate(self) -> dict[str, Any]:
        """All that is proved and was measured, as JSON values; `spikeport check-certificate` proves it again.

        Raises:
            OptionError: a code that is not exact.
        """
        counts: dict[str, NDArray[np.int64]] = {}
        readout = None
        if self.samples is not None:
            plain = replace(self.integer.input, scale=np.ones(()), gain=None, shift=None)  # they are encoded already
            integer = replace(self.integer, input=plain)
            readout = evaluate(integer, self.samples, visit=lambda layer, count: counts.update({layer.name: count}))
        carried = codes.carried(self.integer, self.network.contract.code)
        return certify.certificate(
            self.graph, self.integer, carried, self.network, self.report, self.samples, readout, counts
        )

    def summary(self) -> str:
        """Layers, levels, synapses, latency and spikes as a table."""
        return summary(self.integer, self.network, self.report)

    def save(self, path: str | Path) -> Path:
        """Write everything to one `.spk` file, whole or not at all.

        Raises:
            FileError: the folder does not exist, is not writable, or is full.
        """
        contract = self.network.contract
        fitted = codes.rate.parameters_of(self.network) if contract.code in codes.STATISTICAL else {}
        rates = tuple((name, *arrays) for name, arrays in fitted.items())
        structure, arrays = codec.encode(((self.graph, self.integer), self.samples, rates))
        assert isinstance(structure, list)
        content, samples, rates_structure = structure
        document = {
            "format": FORMAT,
            "content": content,
            **({} if samples is None else {"samples": samples}),
            **({"rates": rates_structure} if rates else {}),
            "code": contract.code,
            "presentation": contract.presentation,
        }
        documents = {
            "model.json": json.dumps(document, allow_nan=False).encode(),
            "report.json": self.report.as_json().encode(),
        }
        return archive.write_archive(Path(path), documents, arrays)

    def with_report(self, report: Report) -> SpikingModel:
        """The same model with a newer report."""
        return replace(self, report=report)


def _widened(x: torch.Tensor) -> torch.Tensor:
    """A tensor of a type that numpy lacks, in float64; the others as they are."""
    return x.detach().double() if x.is_floating_point() else x.detach()


def load(path: str | Path) -> SpikingModel:
    """Read a `.spk` file; nothing in it is executed, and every size is bounded before it is believed.

    Raises:
        FileError: the file does not exist.
        ArchiveError: the file is truncated, altered, too large, or not a `.spk` file.
    """
    documents, arrays = archive.read_archive(Path(path))
    model = _document(path, documents, "model.json")
    if not isinstance(model, dict) or model.get("format") != FORMAT:
        raise ArchiveError(
            Problem(f"{path}: model.json", f"is not of the format {FORMAT}", "use the spikeport that wrote it")
        )
    try:
        content, samples, rates = _decoded(model["content"], model.get("samples"), model.get("rates", []), arrays)
        match content:
            case (Graph() as graph, IntegerNetwork() as integer) if graph.input.shape == integer.input.shape:
                network = _network(integer, model["code"], model["presentation"], rates)
            case _:
                raise ValueError("a graph and its integers are expected")
        report = report_from_json(documents["report.json"].decode())
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveError(Problem(str(path), f"holds a model that is not well formed: {error}")) from error
    return SpikingModel(graph, integer, network, report, samples)


def _decoded(
    content: object, samples: object, rates: object, arrays: Mapping[str, NDArray[Any]]
) -> tuple[object, NDArray[np.int64] | None, tuple[Any, ...]]:
    """Graph and integers, the samples if the file holds any, and the parameters of a rate code."""
    match codec.decode([content, samples, rates], arrays):
        case ((_, IntegerNetwork() as integer) as pair, np.ndarray() as x, tuple(fitted)):
            fits = x.dtype == np.int64 and x.shape[1:] == integer.input.shape and len(x) > 0
            if not fits or x.min() < integer.input.low or x.max() > integer.input.high:
                raise ValueError("its samples are no inputs of the network")
            return pair, x, fitted
        case (pair, None, tuple(fitted)):
            return pair, None, fitted
    raise ValueError("its samples are not an array")


def _network(integer: IntegerNetwork, code: object, presentation: object, rates: tuple[Any, ...]) -> SpikingNetwork:
    """The integers under the code that the file names."""
    if not isinstance(code, str) or type(presentation) is not int:
        raise ValueError(f"the code is {code!r} over {presentation!r} steps")
    network = codes.encode(integer, code, steps=presentation)
    if not rates:
        return network
    if code not in codes.STATISTICAL:
        raise ValueError(f"the {code} code has no rates")
    fitted = {}
    for entry in rates:
        match entry:
            case (str(name), np.ndarray() as threshold, np.ndarray() as initial, np.ndarray() as bias):
                fitted[name] = (threshold, initial, bias)
            case _:
                raise ValueError("its rates are no parameters of populations")
    return codes.rate.tuned(network, fitted)


def _document(path: str | Path, documents: Mapping[str, bytes], name: str) -> object:
    try:
        return json.loads(documents[name])
    except (KeyError, ValueError, RecursionError) as error:
        raise ArchiveError(Problem(f"{path}: {name}", "is missing or is not JSON")) from error
