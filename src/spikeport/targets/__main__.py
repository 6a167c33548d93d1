"""Write the tables of the catalog into a page: `python -m spikeport.targets docs/targets.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from spikeport.targets.catalog import find_target, target_names
from spikeport.targets.describe import as_markdown

BEGIN = "<!-- from the catalog, by `python -m spikeport.targets docs/targets.md` -->"
END = "<!-- end of what comes from the catalog -->"


def with_tables(page: str) -> str:
    """A page whose part between the two marks is made of the catalog."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = as_markdown([find_target(name) for name in target_names()])
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text("utf-8")), "utf-8")
