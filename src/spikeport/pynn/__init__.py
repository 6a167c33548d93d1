"""Networks that were built with PyNN, in this process, as networks of ours."""

from spikeport.pynn.imported import Imported
from spikeport.pynn.read import from_pynn

__all__ = ["Imported", "from_pynn"]
