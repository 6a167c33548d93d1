"""NIR files: any reader of NIR opens those that we write, and the execution contract inside makes the spikes exact."""

from spikeport.nir.declaring import declare
from spikeport.nir.discover import discover
from spikeport.nir.importing import from_nir
from spikeport.nir.nirdata import NirData, read_nirdata
from spikeport.nir.recording import write_nirdata
from spikeport.nir.write import to_nir

__all__ = ["NirData", "declare", "discover", "from_nir", "read_nirdata", "to_nir", "write_nirdata"]
