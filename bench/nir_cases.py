"""Do NIR files with known answers give these answers, on every backend, and is their meaning found from the answers alone?"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

import nir
import numpy as np

import common
import spikeport as sp
from common import Finding
from spikeport.nir.discover import differing, fitted
from spikeport.nir.graph import NirGraph
from spikeport.nir.network import network_of
from spikeport.nir.parse import graph_from_object, read_graph
from spikeport.nir.recorded import NirRecording, recording_of
from spikeport.primitives import DynamicsContract, NirContract

BACKENDS = ("reference", "native", "torch")
LATE = ("lava_cpu_fixed", "lava_cpu_float", "lava_loihi_fixed", "spyx")
"""Platforms of the paper whose layers take a step."""
EXACT = ("exact", "nengo", "norse", "snntorch", "spinnaker2")
PAPER_DT = 1e-4
LONGEST = 60.0
"""Seconds that a search may take."""


@dataclass(frozen=True, slots=True)
class Case:
    """A file, a recording, and what the recording was made under."""

    name: str
    graph: NirGraph
    recording: NirRecording
    contract: NirContract


@dataclass(slots=True)
class Row:
    """What came of a case."""

    case: str
    cells: int
    deviating: dict[str, int | str] = field(default_factory=dict)
    declared_found: bool = False
    contracts: int = 0
    classes: int = 0
    tried: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        each = ", ".join(f"{name} {count}" for name, count in self.deviating.items())
        found = "declared contract found" if self.declared_found else "DECLARED CONTRACT NOT FOUND"
        among = f"among {self.contracts} in {self.classes} classes of {self.tried:,} tried, {self.seconds:.0f} s"
        return f"{self.case}: of {self.cells:,} cells deviate: {each}; {found} {among}"


def contract_of(semantics: dict[str, Any]) -> NirContract:
    """The contract that a case's text says.

    Raises:
        ValueError: words that are not known here.
    """
    dynamics: dict[str, Any] = {"dt": semantics["dt"], "integrator": semantics["integrator"]}
    meaning: dict[str, Any] = {}
    resets = {
        "to_v_reset_same_step": {"reset": "to_value"},
        "multi-spike floor(v/th), subtract th*n": {"reset": "subtract", "spikes": "multi"},
    }
    for name, value in semantics.items():
        match name, value:
            case "dt" | "integrator", _:
                continue
            case "reset", str() if value in resets:
                dynamics |= resets[value]
            case "compare", "strictly_greater":
                dynamics["compare"] = ">"
            case "initial_v", 0.0:
                dynamics["initial"] = "zero"
            case "layer_delay_steps", 0 | 1:
                dynamics["layer_latency"] = value
            case "cuba_order", "syn_first_then_mem_uses_new_current":
                dynamics["current_order"] = "new"
            case "if_update", "v+=r*x (dt-free, r=1)":
                meaning["if_gain"] = "step"
            case "v_clip", "v>=-th after reset":
                meaning["v_min"] = "-threshold"
            case "recurrent_delay", str() if "w_rec" in value:
                dynamics["bias_register"] = "weighted"
            case "recurrent_delay", str() if "spike output" in value:
                dynamics["bias_register"] = "spikes"
            case _:
                raise ValueError(f"{name}: {value!r} is not known")
    return NirContract(dynamics=DynamicsContract(**dynamics), **meaning)


def cases(folder: Path) -> Iterator[Case]:
    """Those of each folder, and of the paper's."""
    for path in sorted(folder.glob("*/case.json")):
        contract = contract_of(json.loads(path.read_text())["semantics"])
        recording = recording_of(path.with_name("case.npz"))
        yield Case(path.parent.name, read_graph(path.with_name("graph.nir")), recording, contract)
    paper = folder / "paper_lif"
    for platform in (*EXACT, *LATE):
        trace = paper / f"lif_{platform}.csv"
        if trace.is_file():
            columns = np.loadtxt(trace, delimiter=",")
            recording = NirRecording({"": columns[:, :1]}, {"": columns[:, 2:]}, PAPER_DT)
            late: Literal[0, 1] = 1 if platform in LATE else 0
            dynamics = DynamicsContract(dt=PAPER_DT, integrator="forward_euler", layer_latency=late)
            yield Case(
                f"paper_lif/{platform}", read_graph(paper / "lif_norse.nir"), recording, NirContract(dynamics=dynamics)
            )


def large() -> Case:
    """A CNN of 32,378 leaky neurons on events of 2 x 34 x 34, recorded from ourselves: what a search over large layers takes."""
    rng, one = np.random.default_rng(0), DynamicsContract(dt=PAPER_DT, integrator="forward_euler")

    def conv(pre: int, post: int, edge: int, stride: int) -> nir.NIRNode:
        weight = rng.normal(0.3, 1 / pre**0.5, (post, pre, 3, 3))
        return nir.Conv2d((edge, edge), weight, stride, 1, 1, 1, np.zeros(post))

    def leaky(*shape: int) -> nir.NIRNode:
        full = np.ones(shape)
        return nir.LIF(tau=4 * PAPER_DT * full, r=full, v_leak=0 * full, v_threshold=full, v_reset=0 * full)

    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(input_type={"input": np.array([2, 34, 34])}),
        "conv1": conv(2, 16, 34, 1),
        "lif1": leaky(16, 34, 34),
        "conv2": conv(16, 16, 34, 2),
        "lif2": leaky(16, 17, 17),
        "conv3": conv(16, 32, 17, 1),
        "lif3": leaky(32, 17, 17),
        "pool": nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "flat": nir.Flatten(input_type={"input": np.array([32, 8, 8])}, start_dim=0, end_dim=-1),
        "linear": nir.Linear(weight=rng.normal(0.1, 0.3, (10, 32 * 8 * 8))),
        "lif4": leaky(10),
        "output": nir.Output(output_type={"output": np.array([10])}),
    }
    graph = graph_from_object(nir.NIRGraph(nodes, [*pairwise(nodes)], type_check=False))
    contract = NirContract(dynamics=one)
    network = network_of(graph, contract)
    x = (rng.random((60, 2, 34, 34)) < 0.05).astype(np.float64)
    source = network.outputs[0].source
    found = sp.simulate(network, x[:, None], record=[source])
    return Case(
        "a CNN of 32,378 neurons",
        graph,
        recording_of({"input": x, "expected": found.spikes[source].train().raster[:, 0]}),
        contract,
    )


def deviating(case: Case, backend: str) -> int | str:
    """Cells that are not the recorded ones under the declared contract, or why there are none to count."""
    network = network_of(case.graph, case.contract)
    inputs, expected = fitted(network, case.recording)
    (output,) = network.outputs
    try:
        found = sp.simulate(network, inputs, record=[output.source], on=backend)
    except sp.SpikeportError as error:
        return f"not carried ({error.problems[0]})"
    ours = found.spikes[output.source].train().raster[:, 0].reshape(case.recording.n_steps, -1)
    return int(differing(ours, expected[output.name]).sum())


def measured(case: Case, limit: float) -> Row:
    """One case."""
    row = Row(case.name, sum(a.size for a in case.recording.expected.values()))
    row.deviating = {backend: deviating(case, backend) for backend in BACKENDS}
    begin = time.monotonic()
    discovery = sp.discover(case.graph, case.recording, dt=case.contract.dynamics.dt, limit=limit)
    row.seconds = time.monotonic() - begin
    row.declared_found = discovery.allows(case.contract)
    row.contracts = sum(found.size for found in discovery.found)
    row.classes, row.tried = len(discovery.found), discovery.tried
    return row


def measure(options: argparse.Namespace) -> Finding:
    rows, misses = [], []
    for case in chain(cases(options.cases), [large()]):
        row = measured(case, options.limit)
        rows.append(row)
        common.say(str(row))
        misses += [f"{row.case}: {row.deviating[b]} cells deviate on {b}" for b in BACKENDS if row.deviating[b] != 0]
        if row.seconds > LONGEST:
            misses.append(f"{row.case}: the search takes {row.seconds:.0f} s")
        if not row.declared_found:
            misses.append(f"{row.case}: its contract was not found")
    if len(rows) < 2:
        misses.append(f"no cases in {options.cases}")
    found = sum(row.declared_found for row in rows)
    lines = (*map(str, rows), f"{found} of {len(rows)} declared contracts found")
    return Finding(lines, {"cases": [{f: getattr(row, f) for f in Row.__slots__} for row in rows]}, tuple(misses))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True, metavar="DIR", help="a folder for each case")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that the search of a case may take")
    parser.add_argument("--threads", type=common.positive, default=2, help="threads that ours may use")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
