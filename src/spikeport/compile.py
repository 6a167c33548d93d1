"""From a model or network to a program of one target: the code that it offers, widths that it has, and all that is in the way.

Nothing is rounded here. A target of narrower weights, levels or state is compiled for by quantizing once more with its widths, which gives
new integers and a newly measured gap: the report on them stays with the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from spikeport import codes
from spikeport.backends.hosted import check_border, check_cut, cuts, on_chip
from spikeport.check import check
from spikeport.convert import requantized
from spikeport.errors import BackendError, LowerError, OptionError, Problem, SpikeportError
from spikeport.lower import Cut, Verdict
from spikeport.lower.text import bill_lines
from spikeport.model import SpikingModel
from spikeport.network import Network as HandMade
from spikeport.network import as_built
from spikeport.plugin import PLUGIN_VERSION, Backend, Program, find, installed
from spikeport.plugin.extending import refuse_extensions
from spikeport.plugin.learning import learning_problems
from spikeport.plugin.registry import blamed, nearest
from spikeport.primitives import Approximation, Code, DynamicNetwork, SpikingNetwork
from spikeport.quantize import IntegerNetwork, NeuronLayer
from spikeport.targets import Target

Network = SpikingNetwork | DynamicNetwork
Pass = Callable[[SpikingNetwork], SpikingNetwork]
Encode = Callable[[IntegerNetwork], SpikingNetwork]
Where = Cut | Literal["anywhere"] | None
"""Where a network is cut; None leaves nothing to the host."""
WIDTHS = ("levels", "weight_bits", "input_bits", "state_bits")


def compile(
    network: SpikingModel | Network | HandMade,
    target: str,
    *,
    data: Iterable[Any] | None = None,
    test: Iterable[Any] | None = None,
    code: Code | Literal["auto"] | Encode = "auto",
    levels: int | Mapping[str, int] | None = None,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    state_bits: int | None = None,
    steps: int | None = None,
    allow_host: bool | Cut = False,
    transform: Pass | None = None,
    options: Any = None,
    progress: bool = True,
    **more: Any,
) -> Program:
    """A program for a target: what `sp.open` runs and `Program.save` keeps.

    Everything about a target can be made one's own: its options hold what only its backend knows, a placement among them; `code` may be
    a function that encodes the integers; `transform` is a pass over the network before it is compiled.

    >>> import numpy as np, spikeport as sp
    >>> from spikeport.primitives import *
    >>> cell = DynamicPopulation("cell", (1,), LIF(tau=0.02, threshold=1.0, bias=1.2))
    >>> network = DynamicNetwork("one", (), (cell,), (), DynamicsContract(dt=1e-3, integrator="exponential"))
    >>> with sp.open(sp.compile(network, "reference")) as session:
    ...     session.run(max_steps=100).counts["cell"].tolist()
    [[2]]

    Args:
        network: a converted model, which has the integers that other codes and widths need; or a network as it is.
        target: "backend", which means its first target, or "backend:target".
        data: batches `x` or `(x, y)` to calibrate on, where the model has to be quantized again.
        test: batches to measure the new gap on; None: samples held out of `data`.
        code: how counts are carried; "auto" takes the first that the target offers everything for and that fits; a function gives
            the network of the integers.
        levels, weight_bits, input_bits, state_bits: other widths than the model's: it is quantized again. So it is, with the target's
            widths, where nothing fits otherwise and `data` is given.
        steps: of the presentation.
        allow_host: leave to the host what the chip cannot carry, before and behind it; or where to cut.
        transform: a pass over the converted network, before it is compiled.
        options: of the backend, an instance of its dataclass; its fields may also be given by keyword.

    Raises:
        LowerError: everything that the target cannot carry, by node; what it would take, and what may help, in its notes.
        OptionError: an unknown target or option, with the nearest name.
        BackendError: the backend cannot be loaded.
        QuantizeError, DataError: widths or data that do not do.
    """
    network = as_built(network)
    _refuse_what_is_no_network(network, allow_host)
    found, chip = find(target)
    chosen = options_of(found, options, more)
    job = _Job(found, chip, chosen, transform)
    widths = {"levels": levels, "weight_bits": weight_bits, "input_bits": input_bits, "state_bits": state_bits}
    asked = {name: value for name, value in widths.items() if value is not None}
    if not isinstance(network, SpikingModel):
        _refuse_for_networks({**asked, "steps": steps, "data": data, "test": test}, code, network)
        if isinstance(network, DynamicNetwork):
            if transform is not None or allow_host:
                what = "transform" if transform is not None else "allow_host"
                raise OptionError(Problem(what, "is for converted networks", "change the network, or leave it out"))
            try:
                refuse_extensions(network, found, learning_problems(network, chip, found.name))
                return job.finished(job.made(network))
            except LowerError as error:
                raise explained(error, check(network, chip)) from error
        return _compiled(job, network, allow_host)
    again = False
    if asked:
        network, again = _again(network, data, test, asked, code, steps, progress), True
    cut = allow_host if isinstance(allow_host, Cut) else None
    try:
        return job.finished(job.carried(network, code, steps, cut), network if again else None)
    except LowerError as error:
        refusal = error
    verdict = check(network, chip, code=code if isinstance(code, str) else "auto", progress=progress)
    changes = [] if asked else _changes(verdict, network, chip)
    if changes and data is None:
        refusal.add_note(_would(changes[0], chip))
    for change in changes if data is not None else ():
        other = _again(network, data, test, change, code, steps, progress)
        try:
            return job.finished(job.carried(other, change.get("code", code), steps, cut), other)
        except LowerError as error:
            refusal, network, again = error, other, True
    if allow_host is True:  # the least that can be done: everything else was tried without
        try:
            return job.finished(job.carried(network, code, steps, "anywhere"), network if again else None)
        except LowerError as error:
            refusal = error
    raise explained(refusal, verdict) from refusal


def _compiled(job: _Job, network: SpikingNetwork, allow_host: bool | Cut) -> Program:
    """A network as it is."""
    try:
        return job.finished(job.compiled(network, allow_host if isinstance(allow_host, Cut) else None))
    except LowerError as error:
        refusal = error
    if allow_host is True:
        try:
            return job.finished(job.compiled(network, "anywhere"))
        except LowerError as error:
            refusal = error
    raise explained(refusal, check(network, job.chip)) from refusal


def explained(refusal: LowerError, verdict: Verdict) -> LowerError:
    """What a backend refused, with everything that the facts of its target say besides."""
    said = {(problem.where, problem.why) for problem in refusal.problems}
    error = LowerError([*refusal.problems, *(r for r in verdict.reasons if (r.where, r.why) not in said)])
    for note in getattr(refusal, "__notes__", ()):
        error.add_note(note)
    if verdict.bill.uses:
        error.add_note("what it takes:\n" + "\n".join(f"  {line}" for line in bill_lines(verdict.bill)))
    if verdict.suggestions:
        error.add_note("what would make it fit:\n" + "\n".join(f"  {s.text}" for s in verdict.suggestions))
    return error


def options_of(found: Backend, options: Any, more: Mapping[str, Any]) -> Any:
    """The options of a backend: an instance of its dataclass, and fields of it by name.

    Raises:
        OptionError: options of another kind, or names that it does not have, with the nearest one.
    """
    kind = found.options
    known = [field.name for field in fields(kind) if field.init]
    problems = [
        Problem(name, f"is no option of backend {found.name!r}, nor of compile", nearest(name, known or _OWN))
        for name in more
        if name not in known
    ]
    if options is not None and not isinstance(options, kind):
        why = f"are a {type(options).__name__}, and backend {found.name!r} takes {kind.__name__}"
        problems.append(Problem("options", why, f"{kind.__module__}.{kind.__name__}"))
    if problems:
        raise OptionError(problems)
    try:
        return kind(**more) if options is None else replace(options, **more)
    except SpikeportError:
        raise
    except (TypeError, ValueError) as error:
        raise OptionError(Problem("options", f"of backend {found.name!r}: {error}")) from error


_OWN = ("data", "test", "code", *WIDTHS, "steps", "allow_host", "transform", "options", "progress")


@dataclass(frozen=True)
class _Job:
    """One target, and how it is compiled for."""

    backend: Backend
    chip: Target
    options: Any
    transform: Pass | None

    def carried(self, model: SpikingModel, code: str | Encode, steps: int | None, cut: Where) -> Program:
        """The integers under the first code that fits."""
        integer = model.integer
        if callable(code):
            return self.compiled(_network_of("code", code(integer)), cut)
        known = sorted([*codes.CODES, *codes.STATISTICAL, "auto"])
        if code not in known:
            raise OptionError(Problem("code", f"{code!r} is not known", nearest(str(code), known)))
        offered = self.chip.limit("features")
        bins = model.network.contract.presentation if integer.input.kind == "events" else None
        tried: dict[str, tuple[Problem, ...]] = {}
        lacking = set()
        for name in codes.NEEDS if code == "auto" else (code,):
            missing = [] if offered is None else sorted(codes.needs(name, integer) - offered)  # type: ignore[arg-type]
            if missing:
                why = f"the {name} code needs {', '.join(missing)}, which {self.chip.title} does not offer"
                lacking.add(name)
                tried[name] = (Problem(model.network.name, why, 'code="auto"' if code != "auto" else ""),)
                continue
            try:
                network = self._encoded(model, name, steps, bins)
            except OptionError as error:  # the code does not carry these integers
                tried[name] = error.problems
                continue
            try:
                program = self.compiled(network, cut)
            except LowerError as error:
                tried[name] = error.problems
                continue
            passed = "; ".join(f"not {n}: {p[0].where} {p[0].why}" for n, p in tried.items())
            if code == "auto":
                what = f"code {name!r} chosen: {codes.STRENGTH[name]}{'; ' if passed else ''}{passed}"  # type: ignore[index]
                program = replace(program, ledger=(*program.ledger, Approximation(model.network.name, what, 0.0)))
            return program
        first = min(tried, key=lambda name: (name in lacking, len(tried[name])))
        refusal = LowerError(tried[first])
        others = [f"{name}: {p[0].where} {p[0].why}" for name, p in tried.items() if name != first]
        if others:
            refusal.add_note(f"the nearest code is {first!r}; other codes:\n  " + "\n  ".join(others))
        raise refusal

    def _encoded(self, model: SpikingModel, code: str, steps: int | None, bins: int | None) -> SpikingNetwork:
        """The network over the steps that were asked for; else over the time bins of the model, which the population code sums."""
        own = model.network.contract
        if steps is None and code != "population":
            steps = bins
        if code == own.code and (steps is None or (type(steps) is int and steps == own.presentation)):
            return model.network
        return model.with_code(code, steps=steps).network  # type: ignore[arg-type]

    def compiled(self, network: SpikingNetwork, cut: Where) -> Program:
        """One network, with a part on the host where that is asked for."""
        network = network if self.transform is None else _network_of("transform", self.transform(network))
        if isinstance(cut, Cut):
            return self._cut(network, cut)
        if cut is None:
            return self.made(network)
        refused: list[LowerError] = []
        for where in cuts(network):
            try:
                return self._cut(network, where)
            except LowerError as error:
                refused.append(error)
        if not refused:
            why = "cannot be cut: no two borders are crossed by the spikes of one population each"
            raise LowerError(Problem(network.name, why, "make the model a chain somewhere"))
        refusal = min(refused, key=lambda error: len(error.problems))
        refusal.add_note(f"the nearest of {len(refused)} ways to leave a part to the host")
        raise refusal

    def made(self, network: Network) -> Program:
        """What the backend gives for a network, if it is a program of its own that can be opened again.

        Raises:
            BackendError: it is not.
        """
        found = self.backend
        with blamed(found.name, "compiling"):
            program: Any = found.compile(network, self.chip, self.options)  # of others: believed once it was looked at
        if not isinstance(program, Program):
            problems = [Problem(found.name, f"compiles to {program!r}, which is no Program", _report(found))]
        else:
            problems = [
                Problem(found.name, f"compiles to a program of {what} {given!r}, and is {own!r}", _report(found))
                for what, given, own in (
                    ("backend", program.backend, found.name),
                    ("version", program.backend_version, found.version),
                    ("plug-in contract", program.plugin_version, PLUGIN_VERSION),
                    ("target", program.target, self.chip.name),
                )
                if given != own
            ]
            if {p.name: p.shape for p in program.network.populations} != {p.name: p.shape for p in network.populations}:
                why = f"compiles {network.name} to a program of another network, {program.network.name}"
                problems.append(Problem(found.name, why, _report(found)))
        if problems:
            raise BackendError(problems)
        return program

    def _cut(self, network: SpikingNetwork, cut: Cut) -> Program:
        check_cut(network, cut)
        problem = check_border(self.backend, cut)
        if problem is not None:
            raise LowerError(problem)
        program = self.made(on_chip(network, cut))
        kept = ", ".join([*cut.before, *cut.after])
        entry = Approximation(network.name, f"the host keeps {kept}", 0.0)
        return replace(program, whole=network, cut=cut, ledger=(*program.ledger, entry))

    def finished(self, program: Program, again: SpikingModel | None = None) -> Program:
        """With the name of who brings the backend, and the report on integers that were made for the target."""
        claims = installed().get(self.backend.name, ())
        report = None if again is None else again.report.as_json()
        return replace(program, distribution=claims[0].distribution if claims else "", report=report)


def _refuse_what_is_no_network(network: object, allow_host: object) -> None:
    problems = []
    if not isinstance(network, SpikingModel | SpikingNetwork | DynamicNetwork):
        hint = "give what `convert` returns, or a network"
        problems.append(Problem("network", f"is a {type(network).__name__}", hint))
    if not isinstance(allow_host, bool | Cut):
        problems.append(Problem("allow_host", f"is {allow_host!r}", "True, False, or a Cut"))
    if problems:
        raise OptionError(problems)


def _network_of(what: str, made: object) -> SpikingNetwork:
    """What a function of the user's returned."""
    if not isinstance(made, SpikingNetwork):
        raise OptionError(Problem(what, f"returns a {type(made).__name__}", "a function that returns a SpikingNetwork"))
    return made


def _report(found: Backend) -> str:
    claims = installed().get(found.name, ())
    return f"report it to {claims[0].distribution if claims else 'its author'}"


def _again(
    model: SpikingModel,
    data: Iterable[Any] | None,
    test: Iterable[Any] | None,
    widths: Mapping[str, Any],
    code: str | Encode,
    steps: int | None,
    progress: bool,
) -> SpikingModel:
    """The model with other widths."""
    widths = {name: value for name, value in widths.items() if name in WIDTHS}
    if data is None:
        what = ", ".join(widths)
        why = f"is missing: other {what} mean quantizing again, on samples of what the model will see"
        raise OptionError(Problem("data", why, "give batches, as to `convert`"))
    kept = None if callable(code) or code == "auto" else code
    # the code that is measured with need not be the one that is chosen: all exact ones carry the same integers
    return requantized(model, data, test=test, code=kept, steps=steps if kept else None, progress=progress, **widths)  # type: ignore[arg-type]


def _changes(verdict: Verdict, model: SpikingModel, chip: Target) -> list[dict[str, Any]]:
    """Widths to quantize again with: those that `check` found to fit, or those of the target that are below the model's."""
    mine = {*WIDTHS, "code"}
    found = [dict(s.changes) for s in verdict.suggestions if s.changes.keys() <= mine and s.changes.keys() & {*WIDTHS}]
    narrower: dict[str, Any] = {}
    for name in ("weight_bits", "state_bits"):
        limit, own = chip.limit(name), getattr(model.integer, name)
        if limit is not None and limit < own:
            narrower[name] = limit
    payload = chip.limit("payload_max")
    layers = [layer for layer in model.integer.layers if isinstance(layer, NeuronLayer)]
    highest = max((max(-layer.low, layer.high) for layer in layers), default=0)
    if payload is not None and 1 <= payload < highest:
        narrower["levels"] = payload
    return found or ([narrower] if narrower else [])


def _would(widths: Mapping[str, Any], chip: Target) -> str:
    changes = ", ".join(f"{name}={value}" for name, value in widths.items())
    return f"{chip.title} is narrower than the model: give `data`, and it is quantized again with {changes}"


def _refuse_for_networks(given: Mapping[str, Any], code: str | Encode, network: Network) -> None:
    """What needs the integers, which a network does not carry."""
    problems = [
        Problem(name, "needs the integers and the graph of a converted model", "give the SpikingModel")
        for name, value in given.items()
        if value is not None
    ]
    own = network.contract.code if isinstance(network, SpikingNetwork) else None
    if code not in ("auto", own):
        problems.append(Problem("code", "is that of the network already", "give the SpikingModel to have another"))
    if problems:
        raise OptionError(problems)
