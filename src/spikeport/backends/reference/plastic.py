"""Learns in numpy: the steps at the top of `spikeport.primitives.plasticity`, one line each, over all synapses at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.dynamics.plan import Plan
from spikeport.backends.dynamics.plastic import Of, On, PlasticPlan, TracePlan
from spikeport.backends.reference.philox import philox
from spikeport.plugin.ranges import DECAY_BITS

PHASES = len(On)


class Plastic:
    """All projections of a network that learn, and what was sent as long ago as they look back."""

    def __init__(self, plan: Plan, batch: int) -> None:
        self.places = [p for p in plan.projections if p.plastic is not None]
        self.each = [Learning(p.plastic, batch) for p in self.places if p.plastic is not None]
        self.depth = 1 + max((p.delay for p in self.places), default=0)
        sizes = [*plan.input_sizes, *(p.size for p in plan.populations)]
        ends = {end for p in self.places for end in (p.source, p.target)}
        self.sent = {end: np.zeros((self.depth, batch, sizes[end]), plan.dtype) for end in ends}
        """By place, shape (step modulo depth, batch, neuron)."""
        self.passing = [np.zeros((self.depth, batch, sizes[p.target]), plan.dtype) for p in self.places]
        """What is on its way along dendrites."""

    def remember(self, place: int, step: int, values: NDArray[Any]) -> None:
        """What an input or a population sends."""
        if place in self.sent:
            self.sent[place][step % self.depth] = values

    def arriving(self, target: int, step: int) -> Iterator[NDArray[Any]]:
        """What each projection brings to a population, shape (batch, neuron)."""
        for p, learning, passing in zip(self.places, self.each, self.passing, strict=True):
            if p.target == target:
                if learning.plan.dendritic:
                    yield passing[step % self.depth]
                else:
                    yield learning.worth(self.sent[p.source][(step - p.delay) % self.depth])

    def learn(self, step: int, third: Mapping[str, NDArray[Any]]) -> None:
        """The end of a step, when all that is sent in it is known."""
        for p, learning, passing in zip(self.places, self.each, self.passing, strict=True):
            now, before = step % self.depth, (step - p.delay) % self.depth
            if learning.plan.dendritic:
                learning.learn(step, self.sent[p.source][now], self.sent[p.target][before], third)
                passing[(step + p.delay) % self.depth] = learning.worth(self.sent[p.source][now])
            else:
                learning.learn(step, self.sent[p.source][before], self.sent[p.target][now], third)

    def weights(self, name: str) -> NDArray[Any]:
        """Those of one projection, by its name in `DynamicNetwork.plastic`, with the batch before their shape."""
        (found,) = (learning for learning in self.each if learning.plan.name == name)
        return found.plan.shaped(found.w.copy())


class Learning:
    """One projection's weights and traces, of a batch of samples, shape (batch, synapse) and (batch, neuron)."""

    def __init__(self, plan: PlasticPlan, batch: int) -> None:
        self.plan, self.batch = plan, batch
        self.dtype = plan.weights.dtype
        self.w = np.array(np.broadcast_to(plan.weights, (batch, len(plan.weights))))
        self.pre = [np.zeros((batch, plan.pre_size), self.dtype) for _ in plan.pre]
        self.post = [np.zeros((batch, plan.post_size), self.dtype) for _ in plan.post]
        self.synapse = [np.zeros(self.w.shape, self.dtype) for _ in plan.synapse]

    def worth(self, sent: NDArray[Any]) -> NDArray[Any]:
        """What so much of each source, shape (batch, pre), brings to each target by the weights as they are."""
        plan = self.plan
        brought = np.zeros((self.batch, plan.post_size), self.dtype)
        for sample in range(self.batch):
            # add.at adds one by one, in the order of sources; silent synapses bring nothing
            sends = np.flatnonzero(sent[sample][plan.sources])
            value = sent[sample][plan.sources[sends]]
            np.add.at(brought[sample], plan.targets[sends], self.w[sample, sends] * value)
        return brought

    def learn(self, step: int, pre: NDArray[Any], post: NDArray[Any], third: Mapping[str, NDArray[Any]]) -> None:
        """One step.

        Args:
            step: its index.
            pre, post: what arrived from each source and was sent by each target, as the rule's delays have it.
            third: by name, broadcastable to (batch, post).
        """
        plan = self.plan
        sides = ((plan.pre, self.pre), (plan.post, self.post), (plan.synapse, self.synapse))
        for plans, traces in sides:
            for i, trace in enumerate(plans):
                traces[i] = decayed(trace, traces[i])
        given = [np.broadcast_to(third[name], (self.batch, plan.post_size)) for name in plan.rule.third]
        self._change(On.POST, step, given, post[:, plan.targets])
        self._change(On.PRE, step, given, pre[:, plan.sources])
        self._change(On.STEP, step, given, None)
        for plans, traces, events in ((plan.pre, self.pre, pre), (plan.post, self.post, post)):
            for i, trace in enumerate(plans):
                raised = trace.increment if trace.sets else traces[i] + events * trace.increment
                traces[i] = limited(trace, np.where(events != 0, raised, traces[i]))

    def _change(self, on: On, step: int, third: list[NDArray[Any]], values: NDArray[Any] | None) -> None:
        """Add what the terms of one kind are worth, where there is an event."""
        plan = self.plan
        sums: dict[int, NDArray[Any]] = {}
        for term in plan.terms:
            if term.on is not on or (step + 1) % term.every != 0:
                continue
            product = np.broadcast_to(np.asarray(term.coefficient, self.dtype), self.w.shape)
            if values is not None:
                product = product * values
            for factor in term.factors:
                match factor.of:
                    case Of.PRE:
                        read = self.pre[factor.index][:, plan.sources]
                    case Of.POST:
                        read = self.post[factor.index][:, plan.targets]
                    case Of.SYNAPSE:
                        read = self.synapse[factor.index]
                    case Of.WEIGHT:
                        read = self.w
                    case Of.THIRD:
                        read = third[factor.index][:, plan.targets]
                product = product * (read + factor.plus)
            sums[term.into] = sums[term.into] + product if term.into in sums else product
        for into, total in sums.items():
            old = self.w if into == 0 else self.synapse[into - 1]
            new = old + self._rounded(total, step, on, into)
            if into == 0:
                new = clipped(new, plan.low, plan.high)
            else:
                new = limited(plan.synapse[into - 1], new)
            new = new if values is None else np.where(values != 0, new, old)
            if into == 0:
                self.w = new
            else:
                self.synapse[into - 1] = new

    def _rounded(self, total: NDArray[Any], step: int, on: On, into: int) -> NDArray[Any]:
        """An integer sum in units of 2^-shift as a whole number."""
        plan, shift = self.plan, self.plan.shift
        if self.dtype.kind == "f" or shift == 0:
            return total
        match plan.rule.rounding:
            case "floor":
                return total >> shift
            case "nearest":
                # half a unit less than a half where the whole number is even: ties go there
                return (total + (1 << (shift - 1)) - 1 + ((total >> shift) & 1)) >> shift
            case "stochastic":
                drawn = philox(plan.rule.seed, np.arange(len(plan.weights)), step, plan.number, on + PHASES * into)
                return (total + (drawn.astype(np.int64) >> (32 - shift))) >> shift


def decayed(trace: TracePlan, x: NDArray[Any]) -> NDArray[Any]:
    """A trace one step later."""
    if x.dtype.kind == "f":
        return x * trace.decay
    return np.sign(x) * (np.abs(x) * trace.decay >> DECAY_BITS)


def clipped(x: NDArray[Any], low: Any, high: Any) -> NDArray[Any]:
    return np.where(x < low, low, np.where(x > high, high, x))


def limited(trace: TracePlan, x: NDArray[Any]) -> NDArray[Any]:
    """A trace within its limit."""
    return clipped(x, -trace.limit, trace.limit)
