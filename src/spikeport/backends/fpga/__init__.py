"""Register-transfer code of our own: networks as memories of one event-driven integer core, simulated and synthesized."""

from spikeport.backends.fpga.backend import FPGA, FpgaOptions
from spikeport.backends.fpga.export import export
from spikeport.backends.fpga.synthesis import Synthesis, synthesize

__all__ = ["FPGA", "FpgaOptions", "Synthesis", "export", "synthesize"]
