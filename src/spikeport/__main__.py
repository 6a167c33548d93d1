"""`python -m spikeport` is the command `spikeport`."""

from __future__ import annotations

import sys

from spikeport.cli import main

if __name__ == "__main__":
    sys.exit(main())
