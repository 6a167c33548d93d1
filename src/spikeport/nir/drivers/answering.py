"""The process that runs a simulator: `answering.py DRIVER.py` answers questions, one JSON object a line, until its input ends.

It is run by a Python that has the simulator and need not have spikeport. It answers on what was its standard output; whatever libraries
print goes to standard error, so that it cannot be taken for an answer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def loaded(path: Path) -> Any:
    """The driver, which may import what lies beside it under the name `drivers`."""
    package = importlib.util.spec_from_loader("drivers", loader=None, is_package=True)
    assert package is not None
    package.submodule_search_locations = [str(Path(__file__).parent)]
    sys.modules["drivers"] = importlib.util.module_from_spec(package)
    spec = importlib.util.spec_from_file_location("driver", path)
    assert spec is not None
    assert spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    return driver


def described(driver: Any) -> dict[str, Any]:
    """Versions of what the driver needs, and which of it is missing."""
    found: dict[str, str] = {}
    missing = []
    for name in driver.PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            missing.append(name)
    return {"versions": found, "missing": missing, "dt": driver.DT, "step": driver.STEP}


def ran(driver: Any, graph: str, given: str, into: str, dt: float) -> dict[str, Any]:
    """Run a file; input and output are arrays of their own."""
    import numpy as np

    with np.load(given, allow_pickle=False) as arrays:
        x = arrays["input"]
    y = np.asarray(driver.run(graph, x, dt))
    if y.dtype.kind not in "biuf":
        raise TypeError(f"it gave {y.dtype} for numbers")
    np.savez(into, output=y)
    return {"shape": list(y.shape)}


def main(driver: Path) -> None:
    # this folder would stand before installed packages that have the names of its files
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        tool = None
        for line in sys.stdin:
            question = json.loads(line)
            try:
                tool = tool or loaded(driver)
                asked = question.pop("ask")
                answer = described(tool) if asked == "describe" else ran(tool, **question)
            except Exception as error:
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
