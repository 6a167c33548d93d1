"""How long until `import spikeport` and `spikeport --help` are done, and what does that cost beside Python itself?

Medians of processes started in turns; nothing of this may load torch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

JOBS = {
    "python -c pass": (["-c", "pass"], None),
    "import spikeport": (["-c", "import spikeport"], 0.2),
    "import spikeport; spikeport.Network": (["-c", "import spikeport; spikeport.Network"], None),
    "spikeport --help": (["-m", "spikeport", "--help"], 0.3),
    "spikeport convert --help": (["-m", "spikeport", "convert", "--help"], None),
}
"""Arguments of Python, and the seconds that are allowed."""
LOADED = "import sys, spikeport; sys.exit('torch' in sys.modules)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=21, help="Processes of each job.")
    times = parser.parse_args().times
    python = [sys.executable, "-X", "utf8"]
    found: dict[str, list[float]] = {name: [] for name in JOBS}
    for _ in range(times + 1):
        for name, (words, _limit) in JOBS.items():
            start = time.perf_counter()
            subprocess.run([*python, *words], check=True, stdout=subprocess.DEVNULL, env=os.environ)
            found[name].append(time.perf_counter() - start)
    plain = median(found["python -c pass"][1:])
    ok = subprocess.run([*python, "-c", LOADED], check=False).returncode == 0
    print(f"{'':38} {'median':>8} {'beside python -c pass':>22} {'allowed':>8}")
    for name, (_words, limit) in JOBS.items():
        seconds = median(found[name][1:])  # the first of each fills the caches of files
        allowed = "" if limit is None else f"{limit:.1f} s"
        print(f"{name:38} {seconds:6.3f} s {seconds / plain:20.1f} x {allowed:>8}")
        ok &= limit is None or seconds < limit
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
