"""The torch backend: operations for calibration, exact evaluation in one pass, and stepping, on CPU and GPU."""

from spikeport.backends.torch.dynamics import simulate_dynamics
from spikeport.backends.torch.exact import ExactEvaluator, encode
from spikeport.backends.torch.operations import TorchOperations
from spikeport.backends.torch.stepwise import Chunks, simulate

__all__ = ["Chunks", "ExactEvaluator", "TorchOperations", "encode", "simulate", "simulate_dynamics"]
