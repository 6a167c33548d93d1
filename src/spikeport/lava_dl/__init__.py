"""Networks that lava-dl exported: HDF5 files of layers in the fixed-point numbers of Loihi 2."""

from spikeport.lava_dl.read import read_lava_dl

__all__ = ["read_lava_dl"]
