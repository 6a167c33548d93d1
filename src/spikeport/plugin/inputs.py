"""What is given to one step of a session, checked: the same refusals by every backend on this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError, OptionError, Problem
from spikeport.graph import output_shape
from spikeport.plugin.driving import LARGEST_CURRENT, LARGEST_INPUT, LARGEST_PAYLOAD
from spikeport.plugin.presenting import require_names
from spikeport.primitives import (
    SECOND_STATES,
    Accumulator,
    DynamicNetwork,
    FixedNeuron,
    GradedThreshold,
    MaxUnit,
    Shape,
    SpikingNetwork,
)

Network = SpikingNetwork | DynamicNetwork
LARGEST_WHOLE = 2**53
"""Largest absolute value of anything that enters integer arithmetic: floating point counts no further."""


def populations(network: Network) -> list[str]:
    """Populations that a backend steps, in order: those that the host does not compute before the first spike."""
    host = network.on_host() if isinstance(network, SpikingNetwork) else frozenset()
    return [p.name for p in network.populations if p.name not in host]


def spiking(network: Network) -> list[str]:
    """Those that may spike."""
    if isinstance(network, SpikingNetwork):
        return [name for name in populations(network) if not isinstance(network[name].neuron, Accumulator)]
    return [p.name for p in network.populations if hasattr(p.neuron, "threshold")]


def with_membrane(network: Network) -> list[str]:
    """Those that have a membrane potential to show: all but maxima."""
    return [name for name in populations(network) if not isinstance(network[name].neuron, MaxUnit)]


def second_state(network: DynamicNetwork, name: str) -> str:
    """What the second state of a population is called where it is recorded: i, a current, w, or u; empty where there is none."""
    neuron = network[name].neuron
    if isinstance(neuron, FixedNeuron):
        return "" if isinstance(neuron, GradedThreshold) else "i"
    return SECOND_STATES.get(type(neuron), "")


def with_second(network: DynamicNetwork, names: Collection[str]) -> list[str]:
    """Those of some populations that have a second state, in the network's order."""
    return [p.name for p in network.populations if p.name in names and second_state(network, p.name)]


def checked_names(network: Network, record: Collection[str], potentials: Collection[str]) -> None:
    """Refuse to record what there is not.

    Raises:
        OptionError: names that are not in the network, or that have no spikes or potentials.
    """
    require_names(record, "record")
    require_names(potentials, "potentials")
    known = populations(network)
    problems = [Problem(n, "is not a population of this network") for n in sorted({*record, *potentials} - set(known))]
    may = set(known) if isinstance(network, SpikingNetwork) else set(spiking(network))
    problems += [Problem(n, "never spikes", "record its potential") for n in sorted(set(record) & set(known) - may)]
    shown = set(with_membrane(network))
    problems += [
        Problem(n, "keeps counts, and no membrane potential", "record its spikes")
        for n in sorted(set(potentials) & set(known) - shown)
    ]
    if problems:
        raise OptionError(problems)


def fed_populations(network: Network) -> frozenset[str]:
    """Populations that take currents: of a converted network those that a static input feeds."""
    if isinstance(network, DynamicNetwork):
        return frozenset() if network.contract.chip else frozenset(network.by_name)
    host = network.on_host()
    return frozenset(c.target for c in network.connections if c.source in host and c.target not in host)


def arrival_shape(network: Network, name: str) -> Shape:
    """Shape of what arrives at a population: its own, but for a maximum, which takes what its windows lie over."""
    population = network[name]
    if isinstance(network, DynamicNetwork) or not isinstance(population.neuron, MaxUnit):
        return population.shape
    first = network.incoming(name)[0]
    shape = network.input.shape if first.source == network.input.name else network[first.source].shape
    for synapse in first.synapses:
        shape = output_shape(synapse, [shape])
    return shape


def checked_step(
    network: Network,
    batch: int,
    spikes: Mapping[str, Any],
    currents: Mapping[str, Any],
    *,
    steps: int | None = None,
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """What enters in a step, or in several with time as the first axis, as arrays of the right shape; they may be those given: read only.

    Raises:
        DataError: names, shapes and values that do not fit, all of them.
    """
    if steps is not None:
        checked_count(steps)
    problems: list[Problem] = []
    if isinstance(network, SpikingNetwork):
        places: dict[str, Shape] = {network.input.name: network.input.shape} if network.input.kind == "events" else {}
        whole, largest_spike = True, LARGEST_WHOLE
    else:
        places = {place.name: place.shape for place in network.inputs}
        whole = network.contract.chip or network.contract.arithmetic == "integer"
        largest_spike = LARGEST_PAYLOAD if network.contract.chip else LARGEST_INPUT
    takes = {name: arrival_shape(network, name) for name in fed_populations(network)}
    found: tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]] = ({}, {})
    largest_current = LARGEST_WHOLE if isinstance(network, SpikingNetwork) else LARGEST_CURRENT
    for given, known, into, what, largest in (
        (spikes, places, found[0], "spike input", largest_spike),
        (currents, takes, found[1], "population that takes currents", largest_current),
    ):
        for name, values in given.items():
            if name not in known:
                hint = f"there are {', '.join(sorted(known))}" if known else "there is none"
                problems.append(Problem(name, f"is no {what} of this network", hint))
                continue
            array = np.asarray(values)
            shape = (*(() if steps is None else (steps,)), batch, *known[name])
            if array.shape != shape:
                problems.append(Problem(name, f"has shape {array.shape}", f"give {shape}"))
            elif array.dtype.kind not in "iufb" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
                problems.append(Problem(name, "is not finite numbers"))
            elif whole and array.dtype.kind == "f" and (array != np.rint(array)).any():
                problems.append(Problem(name, "has values that are not whole numbers, and the arithmetic is integer"))
            elif whole and array.size and (array.max() > largest or array.min() < -largest):
                problems.append(Problem(name, f"has values beyond {largest:,}, and the arithmetic is integer"))
            else:
                into[name] = array.astype(np.int64, order="C", copy=False) if whole else array
    if problems:
        raise DataError(problems)
    return found


def checked_count(n_steps: int) -> None:
    """Refuse what is no number of steps.

    Raises:
        OptionError: it is less than one.
    """
    if isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer) or n_steps < 1:
        raise OptionError(Problem("n_steps", f"is {n_steps!r}", "at least one step"))


def checked_batch(batch: int) -> int:
    """A number of samples.

    Raises:
        OptionError: it is none.
    """
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 0:
        raise OptionError(Problem("batch", f"is {batch!r}", "a whole number of samples"))
    return int(batch)
