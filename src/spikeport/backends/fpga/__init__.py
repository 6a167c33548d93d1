"""Register-transfer code of our own: networks as memories of one event-driven integer core, simulated and synthesized."""

from spikeport.backends.fpga.backend import FPGA, FpgaOptions

__all__ = ["FPGA", "FpgaOptions"]
