"""The whole road of a project: convert, validate, save, export, certify, and run on each backend beside the reference."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.config.options import ProjectOptions
from spikeport.errors import BackendError, DataError, LowerError, NativeError, NirError, OptionError, Problem
from spikeport.primitives import DynamicNetwork, Recording, SpikingNetwork
from spikeport.project.folder import SUMMARY
from spikeport.validate import parts

if TYPE_CHECKING:
    from spikeport.model import SpikingModel

UNUSABLE = (BackendError, LowerError, NativeError)
"""What a backend raises that is not there, does not work, or cannot carry the network: the others are run all the same."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sources:
    """How what a configuration names is found."""

    model: Callable[[str, str | None], Any]
    """A module by reference and weights."""
    data: Callable[[str], Iterable[Any]]
    """Batches by file or reference."""
    value: Callable[[str], Any]
    """Whatever `package.module:name` names."""
    contract: Callable[[str], Any]
    """The contract in a JSON file."""


def take(options: ProjectOptions, folder: Path, sources: Sources, say: Say) -> dict[str, Any]:
    """All that the kind of a project needs, its files into `folder`; returns the summary, which is one of them.

    Raises:
        OptionError: settings that this kind needs, and that are missing.
        SpikeportError: what the stages refuse.
    """
    _require(options)
    match options.kind:
        case "convert":
            found = _convert(options, folder, sources, say)
        case "hand-made":
            found = _hand_made(options, folder, sources, say)
        case "nir":
            found = _nir(options, folder, sources, say)
    found = {"kind": options.kind, **found}
    (folder / SUMMARY).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def _require(options: ProjectOptions) -> None:
    needed = {"convert": ("model", "data"), "hand-made": ("model",), "nir": ("model", "data")}[options.kind]
    hints = {
        "model": 'model = "package.module:name"' if options.kind != "nir" else 'model = "network.nir"',
        "data": 'data = "package.module:name", or an .npz file',
    }
    problems = [
        Problem(name, f"is not set, and a project of kind {options.kind!r} needs it", hints[name])
        for name in needed
        if not getattr(options, name)
    ]
    if options.run.samples < 1:
        problems.append(Problem("run.samples", f"is {options.run.samples}", "at least 1: nothing would be compared"))
    if not options.runs:
        problems.append(Problem("runs", "is empty", 'the name of a folder: runs = "runs"'))
    if problems:
        raise OptionError(problems)


def _convert(options: ProjectOptions, folder: Path, sources: Sources, say: Say) -> dict[str, Any]:
    from spikeport import certify
    from spikeport.convert import convert
    from spikeport.validate import validate

    say("converting")
    snn = convert(sources.model(options.model, options.weights), sources.data(options.data), **asdict(options.convert))
    say("validating")
    report = validate(snn, sources.data(options.test or options.data), **asdict(options.validate))
    report.to_html(folder / "report.html")
    report.to_json(folder / "report.json")
    snn.save(folder / "model.spk")
    certify.write(snn.certificate, folder / "model.cert.json")
    ledger = _nir_written(snn.network, folder)
    on = {name: _on_target(options, snn, name, folder, sources, say) for name in options.on}
    return {
        "ok": report.ok and all(found["ok"] for found in on.values()),
        "report_ok": report.ok,
        "model_accuracy": report.ann_accuracy,
        "spiking_accuracy": report.snn_accuracy,
        "samples": report.samples,
        "misses": list(report.misses),
        "neurons": snn.network.neurons,
        "nir_ledger": ledger,
        "on": on,
    }


def _on_target(
    options: ProjectOptions, snn: SpikingModel, name: str, folder: Path, sources: Sources, say: Say
) -> dict[str, Any]:
    """A conversion on one backend: compiled, run, and every count and read-out compared with the reference."""
    from spikeport.backends.opening import open_program
    from spikeport.compile import compile

    say(f"compiling for {name}")
    test = options.test or options.data
    try:
        program = compile(
            snn, name, data=sources.data(options.data), test=sources.data(test), **options.targets.get(name, {})
        )
    except UNUSABLE as error:
        return {"ok": False, "refused": list(map(str, error.problems))}
    program.save(folder / f"{name.replace(':', '-')}.spp")
    whole = program.network if program.whole is None else program.whole
    say(f"running on {name}")
    try:
        with open_program(program) as session:
            found = _compared(whole, session, parts(sources.data(test), options.run.samples))
    except UNUSABLE as error:
        return {"ok": False, "refused": list(map(str, error.problems))}
    return {
        **found,
        "code": whole.contract.code if isinstance(whole, SpikingNetwork) else None,
        "requantized": program.report is not None,
    }


def _nir(options: ProjectOptions, folder: Path, sources: Sources, say: Say) -> dict[str, Any]:
    from spikeport.nir import from_nir, to_nir

    given = options.nir
    contract = None if given.contract is None else sources.contract(given.contract)
    say("reading")
    network = from_nir(options.model, contract=contract, like=given.like, dt=given.dt, repair=given.repair)
    to_nir(network, folder / "model.nir")
    on = {}
    for name in options.on or ("native",):
        say(f"running on {name}")
        on[name] = _network_on(options, network, name, _samples(options, network, sources))
    return {
        "ok": all(found["ok"] for found in on.values()),
        "neurons": network.neurons,
        "ledger": list(map(str, network.ledger)),
        "on": on,
    }


def _network_on(options: ProjectOptions, network: Any, name: str, given: Iterable[Any]) -> dict[str, Any]:
    from spikeport.backends.opening import open_program
    from spikeport.compile import compile

    try:
        with open_program(compile(network, name, **options.targets.get(name, {}))) as session:
            return _compared(network, session, given)
    except UNUSABLE as error:
        return {"ok": False, "refused": list(map(str, error.problems))}


def _samples(options: ProjectOptions, network: Any, sources: Sources) -> Iterable[Any]:
    """Parts as the network takes them: with time first, where it has dynamics."""
    for x, y in parts(sources.data(options.data), options.run.samples):
        if isinstance(network, DynamicNetwork):
            if x.ndim < 3:
                raise DataError(Problem("data", f"holds samples of shape {x.shape[1:]}", "(time, *input) a sample"))
            yield np.swapaxes(x, 0, 1), y
        else:
            yield x, y


def _nir_written(network: SpikingNetwork | DynamicNetwork, folder: Path) -> list[str]:
    """What plain NIR cannot say; or why there is no file: what NIR has no node for is no failure of a run."""
    from spikeport.nir import to_nir

    try:
        return list(map(str, to_nir(network, folder / "model.nir")))
    except NirError as error:
        return [f"not written: {problem}" for problem in error.problems]


def _hand_made(options: ProjectOptions, folder: Path, sources: Sources, say: Say) -> dict[str, Any]:
    from spikeport.network import Network
    from spikeport.runtime import run

    network = sources.value(options.model)
    network = network() if callable(network) else network
    if not isinstance(network, Network | DynamicNetwork):
        why = f"is a {type(network).__name__}, no Network"
        raise OptionError(Problem(options.model, why, "name a spikeport.Network, or a function that returns one"))
    given = sources.value(options.data) if options.data else {}
    inputs = given() if callable(given) else given
    if not isinstance(inputs, Mapping):
        raise OptionError(
            Problem(
                options.data,
                f"is a {type(inputs).__name__}",
                "a mapping of inputs by name, or a function that returns one",
            )
        )
    made = network.build(dt=options.run.dt) if isinstance(network, Network) else network
    say("running on reference")
    record = options.run.record
    more: dict[str, Any] = {"duration": options.run.duration, "record": None if record is None else list(record)}
    if isinstance(network, Network):
        more["dt"] = options.run.dt
    start = time.perf_counter()
    first = run(network, dict(inputs), on="reference", **more)
    on: dict[str, Any] = {"reference": {"ok": True, "seconds": time.perf_counter() - start, "differing": []}}
    for name in options.on:
        if name == "reference":
            continue
        say(f"running on {name}")
        start = time.perf_counter()
        try:
            found = run(network, dict(inputs), on=name, **more)
        except UNUSABLE as error:
            on[name] = {"ok": False, "refused": list(map(str, error.problems))}
            continue
        seconds = time.perf_counter() - start
        wrong = [p for p in first.counts if not np.array_equal(first.counts[p], found.counts[p])]
        wrong += [n for n in first.names if n.endswith(".spikes") and _rows(first[n]) != _rows(found[n])]
        on[name] = {"ok": not wrong, "seconds": seconds, "differing": wrong}
    if first.names:
        first.plot().save(folder / "run.svg")
        first.to_nirdata(folder / "run.nird")
    ledger = _nir_written(made, folder)
    rates = {path: float(first.rates(path).mean()) for path in first.counts}
    return {
        "ok": all(found["ok"] for found in on.values()),
        "neurons": made.neurons,
        "rates_hz": rates,
        "nir_ledger": ledger,
        "on": on,
    }


def _rows(events: Any) -> list[tuple[int, ...]]:
    return sorted(zip(events.samples.tolist(), events.steps.tolist(), events.neurons.tolist(), strict=True))


def _compared(network: SpikingNetwork | DynamicNetwork, session: Any, given: Iterable[Any]) -> dict[str, Any]:
    """How a backend does beside the reference: samples that differ in any count or read-out, accuracy, spikes, time."""
    from spikeport.backends.stepping import simulate

    samples = differing = spikes = right = labelled = 0
    seconds = 0.0
    for x, y in given:
        start = time.perf_counter()
        found = session.run(x, record=() if isinstance(network, SpikingNetwork) else None)
        seconds += time.perf_counter() - start
        expected: Any = (
            simulate(network, x, on="reference")
            if isinstance(network, SpikingNetwork)
            else simulate(network, x, record=(), on="reference")
        )
        n = len(x) if isinstance(network, SpikingNetwork) else x.shape[1]
        wrong = np.zeros(n, dtype=np.bool_)
        for name, counts in expected.counts.items():
            wrong |= (counts != found.counts[name]).reshape(n, -1).any(axis=1)
            spikes += int(np.abs(counts).sum())
        if isinstance(expected, Recording):
            wrong |= (expected.output != found.output).reshape(n, -1).any(axis=1)
            if y is not None and y.ndim == 1 and found.output.ndim == 2:
                right, labelled = right + int((found.output.argmax(axis=1) == y).sum()), labelled + n
        samples, differing = samples + n, differing + int(wrong.sum())
    made: dict[str, Any] = {
        "ok": samples > 0 and not differing,
        "samples": samples,
        "differing": differing,
        "spikes": spikes,
        "seconds": seconds,
    }
    return made | ({"accuracy": 100 * right / labelled} if labelled else {})
