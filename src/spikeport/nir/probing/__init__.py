"""Find out how an installed simulator means NIR files, by running it on a few of them."""

from spikeport.nir.probing.conduct import probe
from spikeport.nir.probing.probed import Probed

__all__ = ["Probed", "probe"]
