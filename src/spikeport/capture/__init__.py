"""torch model -> `Graph`, with proof. The only stage that looks inside a torch program."""

from spikeport.capture.translate import capture
from spikeport.capture.float_model import FloatModel
from spikeport.capture.proof import CAPTURE_TOLERANCE, CaptureProof, prove

__all__ = ["CAPTURE_TOLERANCE", "CaptureProof", "FloatModel", "capture", "prove"]
