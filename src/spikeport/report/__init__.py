"""What a validation found: the data, as text, as JSON, and as one self-contained page."""

from spikeport.report.as_json import report_from_json
from spikeport.report.report import Arrow, Divergence, LayerStats, Raster, RegressionError, Report, Verdict

__all__ = [
    "Arrow",
    "Divergence",
    "LayerStats",
    "Raster",
    "RegressionError",
    "Report",
    "Verdict",
    "report_from_json",
]
