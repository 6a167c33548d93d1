"""From a network to a target: what fits, what it takes, and where it goes."""

from spikeport.lower.arrange import arrange
from spikeport.lower.cut import Cut
from spikeport.lower.findings import Findings
from spikeport.lower.legalize import legalize
from spikeport.lower.place import place
from spikeport.lower.placement import Load, Part, Placement
from spikeport.lower.verdict import Bill, Knob, Outcome, Reason, Suggestion, Use, Verdict

__all__ = [
    "Bill",
    "Cut",
    "Findings",
    "Knob",
    "Load",
    "Outcome",
    "Part",
    "Placement",
    "Reason",
    "Suggestion",
    "Use",
    "Verdict",
    "arrange",
    "legalize",
    "place",
]
