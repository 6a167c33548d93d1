"""For those who write backends: the conformance suite, and small networks with known answers. Needs pytest and Hypothesis."""

try:
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"spikeport.testing needs {error.name}: pip install 'spikeport[testing]'", name=error.name
    ) from error

from spikeport.testing.compare import EXACT, Tolerance, difference
from spikeport.testing.conformance import BackendConformance

__all__ = ["EXACT", "BackendConformance", "Tolerance", "difference"]
