"""From a network to a target: what fits, what it takes, and where it goes."""

from spikeport.lower.verdict import Bill, Outcome, Suggestion, Use, Verdict

__all__ = ["Bill", "Outcome", "Suggestion", "Use", "Verdict"]
