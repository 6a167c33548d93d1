"""torch model -> `Graph`, with proof. The only stage that looks inside a torch program."""

from spikeport.capture.float_model import FloatModel
from spikeport.capture.proof import CAPTURE_TOLERANCE, CaptureProof, compare, prove
from spikeport.capture.translate import capture

__all__ = ["CAPTURE_TOLERANCE", "CaptureProof", "FloatModel", "capture", "compare", "prove"]
