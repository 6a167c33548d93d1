"""Projections that learn against a target."""

from __future__ import annotations

from spikeport.lower.findings import Findings, shown
from spikeport.lower.learning_engine import engine_form
from spikeport.primitives import DynamicNetwork

HINT = 'plasticity=None carries the weights as they are; "reference" and "native" learn'


def plasticity(network: DynamicNetwork, found: Findings) -> None:
    """Refuse every rule where nothing steps rules; of a learning engine that is known, with what it lacks of each."""
    offered = found.target.known("plasticity", frozenset())
    if "rule" in offered:
        return
    for name, place in network.plastic.items():
        rule = network.projections[place].plasticity
        assert rule is not None
        if "sum of products" in offered:
            _engine(name, network, place, found)
            continue
        does = (
            f"its learning ({shown(offered)}) is not run from here" if offered else "no learning is known of the target"
        )
        found.refuse("plasticity", name, f"learns by {rule.name}, and {does}", (), HINT)


def _engine(name: str, network: DynamicNetwork, place: int, found: Findings) -> None:
    """One rule, field by field."""
    projection, contract = network.projections[place], network.contract
    rule = projection.plasticity
    assert rule is not None
    form = engine_form(rule, projection, dt=contract.dt, integer=contract.arithmetic == "integer")
    for misfit in form.misfits:
        found.refuse("plasticity", f"{name}: {rule.name}.{misfit.field}", misfit.why, (), misfit.hint)
    title = found.target.title
    if form.misfits:
        names = ", ".join(f"{own} is {register}" for own, register in form.names if own != register)
        found.note(f"{name}: what the learning engine of {title} has of {rule.name}: {names or 'the weight'}; {form}")
    else:
        why = (
            f"learns by {rule.name}, which the learning engine of {title} has, and no simulation here steps it: {form}"
        )
        found.refuse("plasticity", name, why, (), HINT)
    found.note(f"{name}: the learning engine of {title} differs from a Rule: {'; '.join(form.differs)}")
