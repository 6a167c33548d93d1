"""Running networks: what enters, what is recorded, and how it looks."""

from spikeport.runtime.figures import Figure
from spikeport.runtime.inputs import Poisson, SpikeTimes
from spikeport.runtime.run import Run, run

__all__ = ["Figure", "Poisson", "Run", "SpikeTimes", "run"]
