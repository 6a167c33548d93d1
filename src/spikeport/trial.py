"""Changed models, tried: quantized with other widths and levels, rewritten, or cut between host and chip."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import zip_longest
from typing import Any

from numpy.typing import NDArray

from spikeport import codes
from spikeport.backends.hosted import cuts, on_chip
from spikeport.errors import GraphError, OptionError, QuantizeError
from spikeport.graph import Graph, Operations, parameters
from spikeport.lower import Knob, Suggestion, legalize
from spikeport.lower.changes import averaged, has_maxima, has_sums, maximized, narrowed
from spikeport.lower.converted import built_in
from spikeport.lower.examine import Carried, Encode, carry
from spikeport.lower.findings import Findings
from spikeport.lower.suggest import TRIALS, Changes, Move, search, worded
from spikeport.primitives import Accumulator, Code, MaxUnit, SpikingNetwork
from spikeport.progress import track
from spikeport.quantize import IntegerNetwork, QuantizeOptions, quantize
from spikeport.targets import Fact, Target

LEVELS = (15, 7, 3, 1)
WIDTHS = (0.5, 0.25, 0.125, 0.0625)
MOST_WEIGHTS = 2**25
"""Of a model that is quantized again and again: more would take minutes, and memory."""
NARROW = (6, 4, 3)
"""Bits of weights that are tried beyond the width of a target: they make sums smaller."""
POOLINGS = {"average": averaged, "max": maximized}
"""Graphs of models with one kind of pooling alone."""
MARGIN = ("state_bits", "arrival_bits", "threshold_bits", "bias_bits")
"""Widths of which one bit is kept free: calibration on other data moves bounds."""
AT_BORDERS = frozenset(["inputs_max", "outputs_max", "hidden_max", "input_bits", "input_signed"])
"""Facts that a cut may settle although it leaves the layer on the chip."""


def weight_count(graph: Graph) -> int:
    """Parameters of a graph."""
    return sum(array.size for node in graph.nodes for array in parameters(node.op).values())


def quantized(graph: Graph, samples: NDArray[Any], options: QuantizeOptions, *, refined: bool = True) -> IntegerNetwork:
    """Integers of a graph, by torch where it is installed, which is faster."""
    operations: tuple[Operations | None, Operations | None] = None, None
    if find_spec("torch") is not None:
        import torch

        from spikeport.backends.torch import TorchOperations

        operations = TorchOperations(), TorchOperations(dtype=torch.float64)
    return quantize(graph, samples, options, operations=operations[0], exact_operations=operations[1], refined=refined)


def hosted(carried: Carried, chip: Target) -> Carried:
    """The largest part that fits the chip, the host keeping what is before and behind it; or the part with the fewest reasons."""
    network = carried.network
    if not isinstance(network, SpikingNetwork):
        return carried
    inside = {reason.where for reason in carried.found.reasons if reason.fact not in AT_BORDERS}
    best = carried
    for cut in cuts(network):
        spiking = any(not isinstance(network[name].neuron, Accumulator | MaxUnit) for name in cut.on_chip)
        if inside & set(cut.on_chip) or not spiking:
            continue
        found = legalize(on_chip(network, cut), chip)
        if not found.reasons or best is carried or len(found.reasons) < len(best.found.reasons):
            best = Carried(carried.code, network, found, cut)
        if best.fits:
            break
    return best


@dataclass(frozen=True, eq=False)
class Setting:
    """How a model is made, and for what."""

    graph: Graph
    samples: NDArray[Any]
    options: QuantizeOptions
    chip: Target
    tried: Collection[Code]
    progress: bool
    steps: int | None = None
    """Time bins of event input."""

    def encode(self, integer: IntegerNetwork) -> Encode:
        """Carries integers by a code, over the steps of the model where the code has any."""
        return lambda code: codes.encode(integer, code, steps=None if code == "population" else self.steps)

    def suggestions(self, carried: Carried, cut: Carried) -> tuple[list[Suggestion], str]:
        """Changes after which it fits, alone or with a part on the host; or what is in the way of all that was tried."""
        tight = tightened(self.chip)
        known: dict[str, Carried | None] = {}
        bar = iter(track(range(2 * TRIALS), "try changes", enabled=self.progress))

        def attempt(changes: Changes) -> Carried | None:
            key = repr(sorted(changes.items()))
            if key not in known:
                next(bar, None)
                known[key] = self._changed(changes, tight)
            return known[key]

        def attempt_hosted(changes: Changes) -> Carried | None:
            changed = attempt(changes)
            return changed if changed is None or changed.fits else hosted(changed, tight)

        def attempt_last(changes: Changes) -> Carried | None:
            rest: Changes = {knob: value for knob, value in changes.items() if knob != "allow_host"}
            return attempt_hosted(rest) if len(rest) < len(changes) else attempt(rest)

        moves = self._moves(carried)
        far = self._far(carried)
        try:
            if far:
                return [], far
            alone = search(carried, moves, attempt)
            if alone.changes is not None:
                return [Suggestion(_named(alone.changes), worded(alone.changes))], ""
            if cut is carried:  # nothing is left to a host before the rest is narrow enough
                together = search(carried, [*moves, ("allow_host", True)], attempt_last)
            elif not cut.fits:
                together = search(cut, moves, attempt_hosted)
            else:
                together = alone
            if together.changes is not None:
                changes: Mapping[Knob, Any] = {**together.changes, "allow_host": True}
                return [Suggestion(_named(changes), worded(changes))], ""
        finally:
            bar.close()  # type: ignore[attr-defined]
        return [], alone.why

    def _far(self, carried: Carried) -> str:
        """What would be too much even with the fewest levels and channels that are tried; empty where nothing is."""
        network = carried.network
        weights = weight_count(self.graph)
        if weights > MOST_WEIGHTS:
            return f"{weights:,} weights are more than are quantized again to try changes, {MOST_WEIGHTS:,}"
        banks = isinstance(network, SpikingNetwork) and network.contract.code == "population"
        highest = self.options.levels if isinstance(self.options.levels, int) else max(self.options.levels.values())
        thinnest = (highest if banks else 1) / min(WIDTHS)
        for use in carried.found.bill.uses:
            shrinks = thinnest if use.resource in ("neurons", "cores") else thinnest**2
            if use.over and use.limit is not None and use.used > use.limit * shrinks:
                beyond = f"more than 1 level and {min(WIDTHS):g} times the channels make up for"
                return f"takes {use.used:,} {use.resource}, and {self.chip.title} has {use.limit:,}: {beyond}"
        return ""

    def _moves(self, carried: Carried) -> list[Move]:
        """Changes that are tried, the nearest first: of the conversion to the chip's widths, of the model's shape, of both further."""
        chip, options = self.chip, self.options
        moves: list[Move] = []
        taken, width = chip.limit("input_bits"), chip.limit("weight_bits")
        if taken is not None and 2 <= taken < options.input_bits:
            moves.append(("input_bits", taken))
        if width is not None and 2 <= width < options.weight_bits:
            moves.append(("weight_bits", width))
        held = self._held(carried)
        if held is not None and 8 <= held < options.state_bits:
            moves.append(("state_bits", held))
        offered = chip.limit("synapses")
        if offered is not None and "max pooling" in offered and not offered & {"sum pooling", "sparse"}:
            moves += [("pooling", "max")] if has_sums(self.graph) else []
        elif has_maxima(self.graph):
            moves.append(("pooling", "average"))
        further: list[list[Move]] = [
            [("levels", n) for n in self._levels(carried)],
            [("weight_bits", n) for n in NARROW if n < min(options.weight_bits, width or options.weight_bits)],
            # trains of a rate code swing beyond the sums of the integers
            [
                ("state_bits", n)
                for n in range((held or 0) - 1, (held or 0) - 3, -1)
                if carried.code == "rate" and n >= 8
            ],
            [("width", n) for n in WIDTHS],
        ]
        return [*moves, *(move for row in zip_longest(*further) for move in row if move is not None)]

    def _levels(self, carried: Carried) -> list[int]:
        options, caps = self.options, self.chip.limit("payload_caps")
        highest = options.levels if isinstance(options.levels, int) else max(options.levels.values(), default=31)
        if carried.code == "rate":  # its weights are those of the integers where levels divide steps
            steps = self.steps or codes.rate.STEPS
            return [n for n in (steps, steps // 2, steps // 4, steps // 8) if n and steps % n == 0 and n != highest]
        return [n for n in LEVELS if n < highest and (caps is None or n in caps)]

    def _held(self, carried: Carried) -> int | None:
        """Bits of a membrane that leave one to spare, in the units of the weights."""
        chip, own = self.chip, carried.code is not None and built_in(carried.code, self.chip)
        fraction = chip.known("fraction_bits", 0) if own else 0
        widths = [chip.limit(name) for name in ("state_bits", "arrival_bits") if chip.limit(name) is not None]
        found = [width - fraction for width in widths]
        if own and chip.limit("threshold_bits") is not None:
            found.append(chip.limit("threshold_bits") + 1)
        return min(found) - 1 if found else None

    def _changed(self, changes: Changes, chip: Target) -> Carried | None:
        """The model after changes, against a target; None where it cannot be made."""
        try:
            graph = POOLINGS[changes["pooling"]](self.graph) if "pooling" in changes else self.graph
            if "width" in changes:
                graph = narrowed(graph, changes["width"])
            widths = {name: changes[name] for name in _WIDTHS if name in changes}
            integer = quantized(graph, self.samples, replace(self.options, **widths), refined=False)
            return carry(integer, chip, only=self.tried, encode=self.encode(integer))
        except QuantizeError as error:  # too narrow for these levels and weights
            found = Findings(chip)
            for problem in error.problems:
                found.refuse("state_bits", problem.where, problem.why, ("levels", "weight_bits", "input_bits", "width"))
            return Carried(None, None, found)
        except (OptionError, GraphError, ValueError):
            return None


_WIDTHS: tuple[Knob, ...] = ("levels", "weight_bits", "input_bits", "state_bits")


def _named(changes: Changes) -> dict[str, Any]:
    return {str(knob): value for knob, value in changes.items()}


def tightened(chip: Target) -> Target:
    """The target with one bit less wherever data moves what is needed."""
    facts: dict[str, Fact[int]] = {}
    for name in MARGIN:
        fact: Fact[int] | None = getattr(chip, name)
        if fact is not None:
            facts[name] = replace(fact, value=fact.value - 1)
    return replace(chip, **facts)  # type: ignore[arg-type]
