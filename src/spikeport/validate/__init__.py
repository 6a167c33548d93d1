"""Every arrow of the road, measured or proved."""

from spikeport.validate.batches import batches, collect, collect_labelled, parts
from spikeport.validate.findings import Outputs, Proof, make_report
from spikeport.validate.validate import validate

__all__ = ["Outputs", "Proof", "batches", "collect", "collect_labelled", "make_report", "parts", "validate"]
