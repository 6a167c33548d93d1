"""NIR files: any reader of NIR opens them, and our execution contract inside makes the spikes exact."""

from spikeport.nir.read import from_nir
from spikeport.nir.write import to_nir

__all__ = ["from_nir", "to_nir"]
