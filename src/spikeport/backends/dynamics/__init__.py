"""What the steppers of hand-made networks share: the numbers of each population, synapses by source, and what goes in."""

from spikeport.backends.dynamics.inputs import Drive, drive
from spikeport.backends.dynamics.plan import Kind, Plan, PopulationPlan, ProjectionPlan, make_plan
from spikeport.backends.dynamics.rows import Rows, rows

__all__ = ["Drive", "Kind", "Plan", "PopulationPlan", "ProjectionPlan", "Rows", "drive", "make_plan", "rows"]
