"""Five trained networks on ten chips: which can carry which, everything in the way, and whether each suggested change fits when it is applied."""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import common
import data
import networks
import spikeport as sp
from common import Finding
from networks import NETWORKS
from spikeport.targets import find_target, target_names

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

VENDORS = ("akida", "hxtorch", "lava", "nengo_loihi", "samna", "sinabs", "spinnaker2", "spynnaker", "xylosim")
"""Packages of the vendors; that they are not here is printed, as a verdict needs none of them."""
NAMES = ("digits", *NETWORKS)
SAMPLES = 128
"""Training samples that conversions and applied changes are calibrated on."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained network and samples of what it was trained on."""

    name: str
    model: nn.Module
    samples: list[Tensor]
    kind: Any

    def convert(self, model: nn.Module, **widths: Any) -> sp.SpikingModel:
        return sp.convert(model, self.samples, input=self.kind, max_samples=SAMPLES, progress=False, **widths)


def subjects(options: argparse.Namespace) -> list[Subject]:
    """The five networks; the one for digits is trained here, in seconds."""
    found = []
    for name in options.networks:
        if name == "digits":
            import digits

            torch.manual_seed(0)
            train, _ = digits.loaders()
            model = digits.network()
            digits.train(model, train, epochs=4)
            found.append(Subject(name, model, [x for x, _ in train], "static"))
            continue
        network, model = common.load(options, name)
        if network.data == "nmnist":
            frames = data.nmnist(options.data, "train").thirds(1)
            found.append(Subject(name, model, [torch.from_numpy(frames.summed[:SAMPLES])], "events"))
        else:
            images = common.images(options, network, "train").first(SAMPLES)
            found.append(
                Subject(name, model, [x for x, _ in images.batches(64, mean=network.mean, std=network.std)], "static")
            )
    return found


def thinned(model: nn.Module, factor: float) -> nn.Module:
    """The model with so many times the channels in all layers but the first input and the last output, untrained."""
    thin = copy.deepcopy(model)
    weighted = [m for m in thin.modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    def fewer(n: int) -> int:
        return max(1, round(n * factor))

    before = (0, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, module in [(n, m) for n, m in thin.named_modules() if n]:
            new: nn.Module
            match module:
                case nn.Conv2d():
                    first = module is weighted[0]
                    new = nn.Conv2d(
                        module.in_channels if first else fewer(module.in_channels),
                        fewer(module.out_channels),
                        module.kernel_size,
                        module.stride,
                        module.padding,
                        bias=module.bias is not None,
                    )
                    before = module.out_channels, new.out_channels
                case nn.Linear():
                    old, now = before if before[0] else (module.in_features, module.in_features)
                    out = module.out_features if module is weighted[-1] else fewer(module.out_features)
                    new = nn.Linear(module.in_features // old * now, out, bias=module.bias is not None)
                    before = module.out_features, out
                case nn.BatchNorm2d():
                    new = nn.BatchNorm2d(fewer(module.num_features))
                case networks.Block():
                    conv = module.conv2
                    module.extra = (fewer(conv.out_channels) - fewer(module.conv1.in_channels)) // 2
                    continue
                case _:
                    continue
            thin.set_submodule(name, new)
    return thin.eval()


POOLS = {"average": (nn.MaxPool2d, nn.AvgPool2d), "max": (nn.AvgPool2d, nn.MaxPool2d)}
"""What is replaced, and by what."""


def pooled(model: nn.Module, kind: str) -> nn.Module:
    """The model with one kind of pooling in place of the other."""
    changed = copy.deepcopy(model)
    old, new = POOLS[kind]
    for name, module in [(n, m) for n, m in changed.named_modules() if isinstance(m, old)]:
        changed.set_submodule(name, new(module.kernel_size, module.stride, module.padding))
    return changed.eval()


def applied(subject: Subject, target: str, changes: Mapping[str, Any]) -> sp.Verdict:
    """The verdict on the network after a change that was really made: converted again, on training data."""
    rest = dict(changes)
    pooling = rest.pop("pooling", None)
    model = subject.model if pooling is None else pooled(subject.model, pooling)
    width, host = rest.pop("width", None), rest.pop("allow_host", False)
    model = model if width is None else thinned(model, width)
    return sp.check(subject.convert(model, **rest), target, allow_host=host, suggest=False)


def cell(verdict: sp.Verdict) -> str:
    """A verdict in few words."""
    code = f" ({verdict.code})" if verdict.code and verdict.fits else ""
    count = len(verdict.reasons)
    return f"{verdict.outcome}{code}" if verdict.fits else f"impossible, {count} reason{'s' if count > 1 else ''}"


def table(rows: list[tuple[str, ...]], markdown: bool) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return [lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def measure(options: argparse.Namespace) -> Finding:
    """Check every network against every target; apply what is suggested."""
    here = [name for name in VENDORS if find_spec(name)]
    targets = options.targets or target_names()
    verdicts: dict[tuple[str, str], sp.Verdict] = {}
    lines, misses, applications = [], [], []
    seconds: list[float] = []
    for subject in subjects(options):
        snn = subject.convert(subject.model)
        for target in targets:
            start = time.perf_counter()
            verdict = verdicts[subject.name, target] = sp.check(snn, target, progress=False)
            seconds.append(time.perf_counter() - start)
            common.say(f"{subject.name}, {target}: {cell(verdict)} in {seconds[-1]:.1f} s")
            if not verdict.fits and not verdict.reasons:
                misses.append(f"{subject.name} on {target} is impossible without a reason")
            for suggestion in verdict.suggestions if options.apply else ():
                again = applied(subject, target, suggestion.changes)
                common.say(f"  {suggestion.text}: {cell(again)}")
                applications.append(f"{subject.name} on {target}: {suggestion.text}: then {cell(again)}")
                if not again.fits:
                    misses.append(f"{subject.name} on {target}: {suggestion.text} does not fit: {again.reasons[0]}")
    names = list(dict.fromkeys(name for name, _ in verdicts))
    rows = [("target", *names)]
    rows += [(target, *(cell(verdicts[name, target]) for name in names)) for target in targets]
    lines.append(f"packages of vendors that are installed: {', '.join(here) or 'none'}")
    lines.append(
        f"a verdict took {np.median(seconds):.2f} s (median), {max(seconds):.1f} s at most, suggestions included"
    )
    lines += ["", *table(rows, options.markdown)]
    for (name, target), verdict in verdicts.items():
        if not verdict.fits or options.all:
            lines += ["", f"--- {name} on {find_target(target).title}", str(verdict)]
    if options.apply:
        lines += ["", f"changes applied: {len(applications)}", *applications]
    values = {f"{name} on {target}": verdict.values() for (name, target), verdict in verdicts.items()}
    return Finding(tuple(lines), {"verdicts": values, "applied": applications}, tuple(misses))


def main() -> int:
    parser = common.parser(__doc__ or "", names=(NAMES[1],))
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=NAMES, help="networks to check")
    parser.add_argument("--targets", nargs="+", metavar="NAME", help="chips; all of the catalog by default")
    parser.add_argument("--apply", action="store_true", help="apply every suggested change, and check again")
    parser.add_argument("--markdown", action="store_true", help="print the matrix as Markdown")
    parser.add_argument("--all", action="store_true", help="print the verdicts of networks that fit, too")
    return common.run(measure, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
