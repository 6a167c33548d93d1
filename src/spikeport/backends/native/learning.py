"""Plans of projections that learn in the form of the library."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import numpy as np

from spikeport.backends.dynamics import PlasticPlan, ProjectionPlan
from spikeport.native.plastic import MOST_FACTORS, Learning
from spikeport.primitives import Rule

ROUNDINGS: tuple[str, ...] = get_args(get_type_hints(Rule)["rounding"])


def learning_of(p: ProjectionPlan, plan: PlasticPlan) -> Learning:
    """The numbers of a rule, packed."""
    dtype: Any = plan.weights.dtype
    traces = (*plan.pre, *plan.post, *plan.synapse)
    factor = np.zeros((len(plan.terms), MOST_FACTORS, 2), np.int32)
    constants = np.zeros((len(plan.terms), MOST_FACTORS), dtype)
    for i, term in enumerate(plan.terms):
        for k, read in enumerate(term.factors):
            factor[i, k] = read.of, read.index
            constants[i, k] = read.plus
    return Learning(
        source=p.source,
        target=p.target,
        dendritic=plan.dendritic,
        number=plan.number,
        delay=p.delay,
        post=plan.post_size,
        offsets=p.rows.offsets,
        targets=plan.targets,
        weights=plan.weights,
        traces=(len(plan.pre), len(plan.post), len(plan.synapse)),
        decay=np.array([t.decay for t in traces], dtype),
        increment=np.array([t.increment for t in traces], dtype),
        limit=np.array([t.limit for t in traces], dtype),
        sets=np.array([t.sets for t in traces], np.int32),
        term=np.array([[t.on, t.into, t.every, len(t.factors)] for t in plan.terms], np.int32),
        coefficients=np.array([t.coefficient for t in plan.terms], dtype),
        factor=factor,
        constants=constants,
        bounds=np.array([plan.low, plan.high], dtype),
        thirds=len(plan.rule.third),
        seed=plan.rule.seed,
        shift=plan.shift,
        rounding=ROUNDINGS.index(plan.rule.rounding),
    )
