"""How tools mean their files: a contract by name for `like=`, and what a tool reads over without a word.

Read from the importers of these releases, and held against runs of them: `bench/nir_matrix.py`. All of them compute in float32,
in an order of their own; with dyadic numbers that changes nothing.

    snntorch 1.0.0 (import_nir.py, Leaky, Synaptic)
        step fixed at 1e-4 s; forward Euler, compare >, reset to 0 in the same step: v_reset is ignored; state begins at 0.
        Nothing scales the input: r dt / tau, and w_in dt / tau_syn, divide the threshold instead; of a layer it takes the first, so one value
        has to serve all neurons. CubaLIF takes the new current. Its decay 1 - dt / tau is clipped to 0 and 1.
        It refuses v_leak, different thresholds in a layer, r other than tau_mem / dt of CubaLIF; an IF becomes a leaky neuron.
        SumPool2d is nirtorch's, without padding.
    norse 1.1.0 (import_nir.py, LIFBoxCell, LIBoxCell, IAFCell)
        dt is an argument, 1e-3 s by default; forward Euler, compare >, v begins at v_leak, reset to 0 in the same step: v_reset is ignored.
        r of LIF and IF is ignored, IF adds its input in each step; CubaLIF uses r and w_in, takes the new current, and leaks its current
        to v_leak as well. What comes back through a loop is registered behind the weights. SumPool2d drops its padding, other kinds are left out.
        Nodes run depth first in the order of the edges, and what the last one gives is returned, whichever it is.
    spikingjelly 2.0.0 (nir_exchange/from_nir.py, IFNode, LIFNode, CUBALIFNode)
        dt is an argument, 1e-4 s by default; forward Euler, compare >=, reset to v_reset in the same step; v begins at v_reset.
        It refuses what its neurons are not: values that differ within a layer, v_leak other than v_reset, r of LIF other than 1 and
        tau / dt, of IF other than 1 / dt, groups. SumPool2d is nirtorch's, without padding.
    sinabs 3.1.3 (nir.py, IAFSqueeze, LIFSqueeze, ExpLeakSqueeze; with nir 1.0.8, which its own pin does not allow)
        tau counts steps; decay exp(-1 / tau), nothing scales the input: r is ignored; floor(v / threshold) spikes from v >= threshold
        on, as many thresholds are subtracted: v_reset is ignored. An IF has a lower clip at -threshold, a LIF has none.
        Kinds that it does not know are left out without a word: CubaLIF, Linear, AvgPool2d. Loops are not carried from step to step.
    spyx 1.0.0 (nir.py, nn.py)
        dt is an argument, 1 by default; decay 1 - dt / tau clipped to 0 and 1, nothing scales the input: r is ignored; compare > with
        the potential of the step before, so that a layer takes a step, and the threshold is subtracted as the next input is added.
        Channels are last where it flattens. Only the first edge from each node is followed; groups, dilation and recurrent biases are ignored.
    rockpool 3.1.0 has no contract: of each layer it guesses another step, min(tau_mem / (1 + r)), which a network cannot have.
        Its importer fails at any LIF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikeport.errors import NirError, OptionError, Problem
from spikeport.nir.graph import NirGraph, NirNode
from spikeport.nir.shapes import pooling_window
from spikeport.primitives import DynamicsContract
from spikeport.primitives.nir_contract import NirContract

Rule = Callable[[str, NirNode, NirGraph, float], str | None]
"""Why a tool gives a node no meaning that a contract can have; `None` where it does."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A tool: how it steps, which kinds it knows, and where it changes the network without a word."""

    contract: NirContract
    kinds: frozenset[str]
    rules: tuple[Rule, ...] = ()


ENDS = frozenset({"Input", "Output"})


def _differs(node: NirNode, name: str, value: float) -> bool:
    return name in node.parameters and bool((np.asarray(node[name], dtype=np.float64) != value).any())


def _padded_sum(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    return "its padding is dropped" if node.kind == "SumPool2d" and _differs(node, "padding", 0) else None


def _rounded_sum(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    """torch's LPPool2d is a mean times the size of the window: of 5 x 5, 15 / 25 * 25 is not 15 in float32."""
    if node.kind != "SumPool2d":
        return None
    area = np.float32(np.prod(pooling_window(node).kernel))
    counts = np.arange(area + 1, dtype=np.float32)
    off = counts[counts / area * area != counts]
    return f"its sum is a mean times {area:g}, and {off[0]:g} spikes add up to another number" if off.size else None


def _spyx_padding(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    return "its padding is read as SAME" if node.kind == "SumPool2d" and _differs(node, "padding", 0) else None


def _several_gains(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    if node.kind == "LIF":
        gains = node["r"] * dt / node["tau"]
    elif node.kind == "CubaLIF" and "w_in" in node.parameters:
        gains = node["w_in"] * dt / node["tau_syn"]
    else:
        return None
    if np.allclose(gains, 1.0):
        return None  # it takes them for 1
    return "its neurons have different gains, and the first one's is taken for all" if np.ptp(gains) > 0 else None


def _clipped_decay(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    short = [p for p in ("tau", "tau_mem", "tau_syn") if p in node.parameters and (node[p] < dt).any()]
    return f"{short[0]} is shorter than a step, and its decay is clipped to 0" if short else None


def _leaking_current(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    leaks = node.kind == "CubaLIF" and _differs(node, "v_leak", 0)
    return "its current leaks to v_leak as well" if leaks else None


def _other_step(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    return "its step is 1e-4 s" if node.kind in ("LIF", "CubaLIF") and dt != 1e-4 else None


def _leak(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    return "v_leak is dropped" if _differs(node, "v_leak", 0) else None


def _branch(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    return "of several edges from it the first alone is followed" if len(graph.targets(name)) > 1 else None


def _named(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    unknown = node.kind == "Input" and name != "input"
    return (
        "it is not called input, and without one the network is left out and what enters is returned"
        if unknown
        else None
    )


def _grouped(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    dropped = [p for p in ("groups", "dilation") if _differs(node, p, 1)]
    return f"{dropped[0]} is dropped" if dropped else None


def _executed_late(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    """nirtorch's old executor goes depth first from the Input, each node before those behind it, and returns the last one's values."""
    trace: list[str] = []
    stack = list(graph.of_kind("Input"))[:1]
    while stack:
        at = stack.pop()
        if at not in trace:
            trace.append(at)
            stack += [target for target in reversed(graph.targets(at)) if target not in trace]
    if node.kind == "Output" and trace[-1:] != [name]:
        return f"it returns what {trace[-1] if trace else 'no node'} gives, which its executor comes to last"
    if name not in trace:
        return "its executor does not come to it"
    later = [s for s in graph.sources(name) if s in trace and trace.index(s) > trace.index(name)]
    late = next((s for s in later if s not in _behind(graph, name)), None)
    return None if late is None else f"it is run before {late}, whose values then are a step late"


def _behind(graph: NirGraph, name: str) -> set[str]:
    """All nodes that a node leads to."""
    found: set[str] = set()
    stack = [name]
    while stack:
        new = set(graph.targets(stack.pop())) - found
        found |= new
        stack += new
    return found


def _loop(name: str, node: NirNode, graph: NirGraph, dt: float) -> str | None:
    return (
        "it is in a loop, and all steps of a layer are run before the next layer"
        if name in _behind(graph, name)
        else None
    )


_SPIKES_AS_LATE = DynamicsContract(
    dt=1.0,
    integrator="forward_euler",
    synapse="delta",
    reset="subtract",
    reset_when="after_next_update",
    layer_latency=1,
    bias_register="weighted",
    arithmetic="float32",
)
_EULER = DynamicsContract(dt=1e-4, integrator="forward_euler")

_TOOLS: Mapping[str, Preset] = {
    "snntorch": Preset(
        NirContract(dynamics=replace(_EULER, arithmetic="float32"), ignores=("LIF.v_reset", "CubaLIF.v_reset")),
        ENDS | {"Affine", "Linear", "Conv2d", "AvgPool2d", "SumPool2d", "Flatten", "LIF", "CubaLIF"},
        (_other_step, _several_gains, _clipped_decay, _padded_sum, _rounded_sum),
    ),
    "norse": Preset(
        NirContract(
            dynamics=replace(_EULER, dt=1e-3, arithmetic="float32", initial="v_leak", bias_register="weighted"),
            if_gain="step",
            ignores=("LIF.r", "LIF.v_reset", "IF.r", "IF.v_reset", "CubaLIF.v_reset"),
        ),
        ENDS | {"Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "IF", "LIF", "CubaLIF"},
        (_padded_sum, _rounded_sum, _leaking_current, _executed_late),
    ),
    "spikingjelly": Preset(
        NirContract(
            dynamics=replace(_EULER, arithmetic="float32", compare=">=", initial="v_reset", bias_register="weighted")
        ),
        ENDS | {"Affine", "Linear", "Conv1d", "Conv2d", "AvgPool2d", "SumPool2d", "Flatten", "IF", "LIF", "CubaLIF"},
        (_padded_sum, _rounded_sum),
    ),
    "sinabs": Preset(
        NirContract(
            dynamics=DynamicsContract(
                dt=1e-3,
                integrator="exponential",
                synapse="delta",
                compare=">=",
                spikes="multi",
                reset="subtract",
                arithmetic="float32",
            ),
            time_unit="step",
            ignores=("LIF.r", "LIF.v_reset", "IF.r", "IF.v_reset"),
        ),
        ENDS | {"Affine", "Conv2d", "SumPool2d", "Flatten", "IF", "LIF"},
        (_padded_sum, _rounded_sum, _leak, _loop, _executed_late),
    ),
    "spyx": Preset(
        NirContract(
            dynamics=_SPIKES_AS_LATE,
            ignores=("LIF.r", "LIF.v_leak", "LIF.v_reset", "IF.r", "IF.v_reset"),
            flatten="channels last",
        ),
        ENDS | {"Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "IF", "LIF"},
        (_named, _branch, _grouped, _spyx_padding, _clipped_decay),
    ),
}
PRESETS: Mapping[str, NirContract] = {name: tool.contract for name, tool in _TOOLS.items()}


def preset(name: str, dt: float | None = None) -> NirContract:
    """The contract of a tool, with another duration of a step if one is given.

    Raises:
        OptionError: a tool that is not known.
    """
    found = PRESETS.get(name)
    if found is None:
        raise OptionError(Problem("like", f"is {name!r}", f"one of {', '.join(map(repr, PRESETS))}"))
    return found if dt is None else replace(found, dynamics=replace(found.dynamics, dt=dt))


def meant(name: str, graph: NirGraph, dt: float | None = None) -> NirContract:
    """What a tool means by a graph without nested ones: its contract, with the lower clip that sinabs gives to IF alone.

    Raises:
        NirError: nodes that the tool leaves out or changes, so that what it runs is not what the file says.
    """
    made = preset(name, dt)
    tool = _TOOLS[name]
    problems = list(_problems(name, tool, graph, made.dynamics.dt))
    if problems:
        raise NirError(problems)
    if name == "sinabs":
        made = replace(made, nodes={node: {"v_min": "-threshold"} for node in graph.of_kind("IF")})
    return made


def _problems(name: str, tool: Preset, graph: NirGraph, dt: float) -> Iterator[Problem]:
    hint = f"give contract= for what the file says; {name} itself does not run that"
    for at, node in graph.nodes.items():
        if node.kind not in tool.kinds:
            yield Problem(at, f"{name} has no {node.kind}", hint)
            continue
        yield from (Problem(at, f"{name}: {why}", hint) for rule in tool.rules if (why := rule(at, node, graph, dt)))
