"""The torch backend: operations for calibration, and the exact evaluation of integer networks on CPU and GPU."""

from spikeport.backends.torch.exact import ExactEvaluator, encode
from spikeport.backends.torch.operations import TorchOperations

__all__ = ["ExactEvaluator", "TorchOperations", "encode"]
