"""The command `doctor`: what is installed, what works, and what to do about the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from spikeport.cli.command import command
from spikeport.cli.console import Console
from spikeport.doctor import Finding, State, diagnose
from spikeport.progress import track

MARKS: Mapping[State, str] = {"ok": "ok     ", "note": "note   ", "missing": "missing", "broken": "BROKEN "}


@command
def doctor_command(console: Console) -> int:
    """Say what is installed, what works, and what to do about the rest.

    Looks at Python, the processor, the native library, torch, every backend (it compiles and runs a small network whose
    answers are known), known conflicts of packages, disk and memory. Nothing is changed. The exit code is 1 if something
    that is installed does not work; what is merely missing is said, and how to install it.

    \b
    Example:
      spikeport doctor
      spikeport doctor --json
    """
    found: list[Finding] = []
    for _what, look in track(diagnose(), "examine"):
        found.extend(look())
    for finding in found:
        console.say(_line(finding))
    counts = Counter(finding.state for finding in found)
    console.say(", ".join(f"{counts[state]} {state}" for state in MARKS if counts[state]))
    console.document({"ok": not counts["broken"], "findings": [asdict(finding) for finding in found]})
    return 1 if counts["broken"] else 0


def _line(finding: Finding) -> str:
    text = f"{MARKS[finding.state]}  {finding.what}: {finding.says}"
    return f"{text}\n           {finding.fix}" if finding.fix else text
