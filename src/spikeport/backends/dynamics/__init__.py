"""What the steppers of hand-made networks share: the numbers of each population and synapses by source."""

from spikeport.backends.dynamics.fixed import FixedPlan, FixedPopulation, FixedProjection, apply_chain, make_fixed_plan
from spikeport.backends.dynamics.plan import Kind, Plan, PopulationPlan, ProjectionPlan, make_plan
from spikeport.backends.dynamics.plastic import PlasticPlan
from spikeport.backends.dynamics.rows import Rows, rows
from spikeport.backends.dynamics.second import SecondPlan
from spikeport.backends.dynamics.shared import Shared

__all__ = [
    "FixedPlan",
    "FixedPopulation",
    "FixedProjection",
    "Kind",
    "Plan",
    "PlasticPlan",
    "PopulationPlan",
    "ProjectionPlan",
    "Rows",
    "SecondPlan",
    "Shared",
    "apply_chain",
    "make_fixed_plan",
    "make_plan",
    "rows",
]
