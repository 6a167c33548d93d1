"""The backend `fpga`: a network as register-transfer code of our own, simulated; nothing here runs on an FPGA."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from spikeport.backends import programs
from spikeport.backends.fpga import converted, hand_made
from spikeport.backends.fpga.beats import MOST_INDEX, MOST_PLACES
from spikeport.backends.fpga.document import read, written
from spikeport.backends.fpga.machine import Machine
from spikeport.backends.fpga.model import Model
from spikeport.backends.fpga.session import Executor, FpgaSession
from spikeport.backends.fpga.simulators import Simulation
from spikeport.errors import BackendError, LowerError, OptionError, Problem
from spikeport.lower import Bill, legalize
from spikeport.lower.verdict import Use
from spikeport.plugin import Backend, BackendSession, Program
from spikeport.primitives import Approximation, DynamicNetwork, SpikingNetwork
from spikeport.targets import Target, find_target

ExecutorName = Literal["icarus", "verilator", "model"]
Weighs = Literal["core", "host"]


@dataclass(frozen=True, slots=True)
class FpgaOptions:
    """What only this backend knows."""

    executor: ExecutorName | None = None
    """What runs the core. None: Icarus Verilog, or Verilator where only that is installed, and otherwise nothing: `open` names the packages.
    "model" is the same memories in numpy, without a clock."""
    weighs_input: Weighs | None = None
    """Who multiplies a static input by its weights. None: the core where the input enters in one step, else the host."""
    largest_input: int = 2**15 - 1
    """Of hand-made networks: absolute value of a spike from outside, for which widths allow."""
    largest_current: int = 2**15 - 1
    """The same of a current."""
    timeout_s: float = 600.0
    """Seconds after which a simulator is ended."""
    throttle: int = 0
    """In so many of 16 cycles, 0 to 15, the testbench gives nothing, and in so many it takes nothing."""


class FpgaBackend(Backend):
    """One core, whatever the network."""

    name: ClassVar[str] = "fpga"
    version: ClassVar[str] = "1"
    options: ClassVar[type[Any]] = FpgaOptions

    @property
    def targets(self) -> tuple[Target, ...]:
        return (find_target(self.name),)

    def compile(
        self, network: SpikingNetwork | DynamicNetwork, target: Target, options: FpgaOptions | None = None
    ) -> Program:
        options = options or FpgaOptions()
        _check(options)
        found = legalize(network, target)
        problems: list[Problem] = list(found.reasons)
        if isinstance(network, DynamicNetwork):  # what would only be close is no network of integers
            problems += [Problem(e.node, e.what, "integers that the core holds") for e in found.losses]
        problems += _addresses(network)
        if problems:
            raise LowerError(problems)
        machine = machine_of(network, options)
        document, arrays = written(machine)
        document |= {
            "executor": options.executor,
            "timeout_s": options.timeout_s,
            "throttle": options.throttle,
            "largest_current": options.largest_current,
        }
        uses = (*found.bill.uses, Use("memory", machine.memory_bits, None, False, "", unit="bit"))
        ledger = network.ledger
        if isinstance(network, SpikingNetwork) and network.input.kind == "static":
            who = "core itself, in the step in which it enters" if machine.inputs else "host"
            ledger = (*ledger, Approximation(network.input.name, f"its static input is weighed by the {who}", 0.0))
        return Program(
            backend=self.name,
            backend_version=self.version,
            target=target.name,
            network=network,
            bill=replace(found.bill, uses=uses) if isinstance(found.bill, Bill) else Bill(uses),
            ledger=ledger,
            document=document,
            arrays=arrays,
        )

    def open(self, program: Program, *, record: Collection[str], potentials: Collection[str]) -> BackendSession:
        if program.backend != self.name or program.backend_version != self.version:
            made = f"{program.backend} {program.backend_version}"
            why = f"was compiled by {made}, and this is {self.name} {self.version}"
            raise BackendError(Problem(program.network.name, why, "compile it again"))
        machine = read(program)
        options = _options_of(program)
        executor = executor_of(machine, options)
        try:
            return FpgaSession(
                program,
                machine,
                executor,
                record=record,
                potentials=potentials,
                largest_current=options.largest_current,
            )
        except BaseException:
            executor.close()
            raise


def machine_of(network: SpikingNetwork | DynamicNetwork, options: FpgaOptions) -> Machine:
    """The network in the memories of the core."""
    if isinstance(network, DynamicNetwork):
        return hand_made.machine_of(
            network, largest_input=options.largest_input, largest_current=options.largest_current
        )
    once = network.contract.presentation == 1 and network.input.kind == "static"
    if options.weighs_input == "core" and not once:
        why = f"its input enters over {network.contract.presentation} steps, or as events, and the core weighs what enters at once"
        raise LowerError(Problem(network.input.name, why, "weighs_input='host', or another code"))
    host = network.on_host() - {network.input.name}
    return converted.machine_of(network, weighs_input=once and not host and options.weighs_input != "host")


def executor_of(machine: Machine, options: FpgaOptions) -> Executor:
    """What runs the core.

    Raises:
        BackendError: it is not installed; names the packages.
    """
    name = options.executor
    if name is None:
        if programs.found("iverilog") and programs.found("vvp"):
            name = "icarus"
        elif programs.found("verilator"):
            name = "verilator"
        else:
            why = "needs a simulator: neither 'iverilog' nor 'verilator' is installed, or on the path"
            hint = "install the package iverilog or verilator, or use executor='model', which runs the memories without"
            raise BackendError(Problem("fpga", why, hint))
    if name == "model":
        return Model(machine)
    extra = [f"+throttle={options.throttle}"] if options.throttle else []
    return Simulation(machine, name, seconds=options.timeout_s, options=extra)


def _options_of(program: Program) -> FpgaOptions:
    document = program.document
    try:
        found = FpgaOptions(
            executor=document["executor"],
            timeout_s=document["timeout_s"],
            throttle=document["throttle"],
            largest_current=document["largest_current"],
        )
        _check(found)
    except (KeyError, OptionError) as error:
        raise BackendError(Problem(program.network.name, f"is damaged: {error}", "compile it again")) from None
    return found


def _check(options: FpgaOptions) -> None:
    problems = []
    for name, choices in (("executor", get_args(ExecutorName)), ("weighs_input", get_args(Weighs))):
        value = getattr(options, name)
        if value is not None and value not in choices:
            problems.append(Problem(name, f"is {value!r}", " or ".join(map(repr, choices))))
    for name, least, most in (("largest_input", 1, 2**15 - 1), ("largest_current", 0, 2**31 - 1), ("throttle", 0, 15)):
        value = getattr(options, name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            problems.append(Problem(name, f"is {value!r}", f"a whole number from {least:,} to {most:,}"))
    seconds = options.timeout_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        problems.append(Problem("timeout_s", f"is {seconds!r}", "a number of seconds"))
    if problems:
        raise OptionError(problems)


def _addresses(network: SpikingNetwork | DynamicNetwork) -> list[Problem]:
    """What beats have no room for."""
    places = [network.input] if isinstance(network, SpikingNetwork) else list(network.inputs)
    sizes = {place.name: _size(place.shape) for place in (*places, *network.populations)}
    problems = [
        Problem(name, f"has {size:,} neurons, and a beat numbers {MOST_INDEX:,}", "split it")
        for name, size in sizes.items()
        if size > MOST_INDEX
    ]
    if len(sizes) > MOST_PLACES:
        why = f"has {len(sizes)} inputs and populations, and a beat numbers {MOST_PLACES}"
        problems.append(Problem(network.name, why, "join populations of a kind"))
    return problems


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


FPGA = FpgaBackend()
