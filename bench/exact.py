"""One pass over the integers of a CIFAR ResNet-18 (0.556 GMAC), against the forward pass of its float model."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import common
import networks
import spikeport as sp
import timing
from common import Finding
from spikeport import native
from spikeport.backends.native import ExactEvaluator
from spikeport.backends.torch import ExactEvaluator as TorchEvaluator
from spikeport.native import peak

MOST = 0.5
"""Time of exact evaluation over that of the float model that we accept."""
CALIBRATION = 16
"""Random images that the conversion reads: the weights are random too, only speed is asked."""
SIDES = ("float", "exact")


def images(count: int, seed: int) -> Tensor:
    """Images as a normalized data set has them."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def fastest(model: nn.Module, x: Tensor, times: int = 5) -> tuple[Callable[[], object], str]:
    """The float model in the memory layout that is faster on this machine."""
    choices = []
    for layout in (torch.contiguous_format, torch.channels_last):
        laid, data = model.to(memory_format=layout), x.to(memory_format=layout)
        took = min(timing.repeated(lambda net=laid, data=data: net(data), times=times))
        choices.append((took, str(layout).removeprefix("torch.")))
    _, name = min(choices)
    layout = getattr(torch, name)
    laid, data = model.to(memory_format=layout), x.to(memory_format=layout)
    return lambda: laid(data), name


def measure(options: argparse.Namespace) -> Finding:
    """Both in turns, in one process; then the peak memory of each in a process of its own."""
    model = networks.random_resnet18()
    x = images(options.batch, 1)
    snn, seconds = common.timed_conversion(model, [images(CALIBRATION, 0)], levels=options.levels)
    common.say(f"converted in {seconds:.0f} s")
    evaluator, array = ExactEvaluator(snn.integer, options.threads), x.numpy()
    with torch.no_grad():
        run_float, layout = fastest(model, x)
        pairs = timing.interleaved(lambda _: run_float(), lambda _: evaluator(array), list(range(options.rounds)))
    expected = TorchEvaluator(snn.integer)(x).numpy()
    wrong = int((evaluator(array) != expected).sum())
    limit = peak.products_per_second(threads=options.threads, duration=0.5)
    with tempfile.TemporaryDirectory() as folder:
        path = snn.save(Path(folder) / "model.spk")
        memory = {side: peak_of(side, path, options) for side in SIDES}
    products = sum(step.work for step in evaluator._plan.steps) * options.batch
    (float_seconds, exact_seconds), low, high = pairs.medians, min(pairs.ratios), max(pairs.ratios)
    rate = products / exact_seconds
    misses = [f"ratio {pairs.ratio:.2f} is above {options.at_most:.2f}"] if pairs.ratio > options.at_most else []
    misses += [f"{wrong:,} outputs differ from those of the evaluator in torch"] if wrong else []
    misses += ["it needs more memory than the float model"] if memory["exact"] >= memory["float"] else []
    megabytes = {side: bytes_ / 2**20 for side, bytes_ in memory.items()}
    size = f"{products / options.batch / 1e9:.3f} GMAC"
    lines = (
        f"network: ResNet-18 for CIFAR-10, {size} a sample, random weights, {options.levels} levels",
        f"work: batches of {options.batch}, {options.threads} threads, {options.rounds} rounds in turns",
        f"float model: median {float_seconds * 1e3:.1f} ms ({layout}, the faster of two)",
        f"exact evaluation: median {exact_seconds * 1e3:.1f} ms, kernels for {native.level()}",
        f"ratio: {pairs.ratio:.3f}, median (lowest {low:.3f}, highest {high:.3f}; at most {options.at_most:.2f})",
        f"equal: {expected.size - wrong:,} of {expected.size:,} outputs are those of the evaluator in torch",
        f"limit: {rate / 1e9:.0f} GMAC/s of {limit / 1e9:.0f}, which the instruction reaches in registers",
        f"peak memory of the call: {megabytes['exact']:.0f} MiB, of the float model's forward pass {megabytes['float']:.0f} MiB",
    )
    values = {
        "levels": options.levels,
        "batch": options.batch,
        "rounds": options.rounds,
        "float_layout": layout,
        "instruction_set": native.level(),
        "float_seconds": pairs.first,
        "exact_seconds": pairs.second,
        "ratio": pairs.ratio,
        "ratio_lowest": low,
        "ratio_highest": high,
        "at_most": options.at_most,
        "outputs": expected.size,
        "outputs_that_differ": wrong,
        "products_per_second": rate,
        "products_per_second_limit": limit,
        "peak_bytes": memory,
    }
    return Finding(lines, values, tuple(misses))


def peak_of(side: str, path: Path, options: argparse.Namespace) -> int:
    """Bytes that one call of a side needs at most, in a fresh process."""
    command = [sys.executable, __file__, "--peak-of", side, str(path)]
    command += ["--batch", str(options.batch), "--threads", str(options.threads)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(found.stdout))


def peak_here(side: str, path: Path, options: argparse.Namespace) -> int:
    """The same in this process: how far its memory grows above what was resident before the call."""
    x = images(options.batch, 1)
    torch.set_num_threads(options.threads)
    if side == "exact":
        evaluator, array = ExactEvaluator(sp.load(path).integer, options.threads), x.numpy()
        return _growth(lambda: evaluator(array[:1]), lambda: evaluator(array))
    model = networks.random_resnet18()
    with torch.no_grad():
        return min(
            _growth(lambda net=net, data=data: net(data[:1]), lambda net=net, data=data: net(data))
            for layout in (torch.contiguous_format, torch.channels_last)
            for net, data in [(model.to(memory_format=layout), x.to(memory_format=layout))]
        )


def _growth(first: Callable[[], object], work: Callable[[], object]) -> int:
    """Largest growth of resident memory during `work`, after `first` has loaded what every call needs."""
    first()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # what was freed goes back to the system, or the call would use it unseen
        trim(ctypes.c_size_t(0))
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before
    except OSError:  # a system without it: a mark that an earlier peak may hide
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work()
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def _status(field: str) -> int:
    found = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--levels", type=common.positive, default=31, help="largest count of a neuron")
    parser.add_argument("--batch", type=common.positive, default=64, help="images in one call")
    parser.add_argument("--rounds", type=common.positive, default=30, help="times that both are run, in turns")
    parser.add_argument("--threads", type=common.positive, default=2, help="threads that each may use")
    parser.add_argument("--at-most", type=float, default=MOST, metavar="RATIO", help="largest acceptable ratio")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--peak-of", nargs=2, metavar=("SIDE", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        side, path = options.peak_of
        print(json.dumps(peak_here(side, Path(path), options)))
        return 0
    if not native.available():
        print(f"native library: {native.why_missing()}", file=sys.stderr)
        return common.UNUSABLE
    return common.run(measure, options)


if __name__ == "__main__":
    sys.exit(main())
