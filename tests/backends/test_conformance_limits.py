"""The suite comes to every limit, and notices a backend that forgets one or stops too early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

import spikeport as sp
from spikeport.backends.hosts import REFERENCE
from spikeport.errors import LowerError, Problem
from spikeport.lower import legalize
from spikeport.plugin import Backend, BackendSession, Fact, Program, Target
from spikeport.testing import EXACT, BackendConformance
from spikeport.testing.carrying import UnderTest

CLAIMS: dict[str, Any] = {
    "neurons": frozenset(["IF"]),
    "arithmetic": "integer",
    "compare": ">=",
    "reset": frozenset(["subtract"]),
    "bias_bits": 16,
    "refractory_max": 3,
    "payload_min": -8,
    "payload_max": 15,
    "kernel_max": 3,
    "kernels": (1, 2, 3),
    "strides": (1, 2),
    "pools": (1, 2),
    "placement": "layers",
    "core_weight_words": (2**12, 2**10, 2**12, 2**10, 2**10),
    "core_neuron_words": (2**10, 2**12, 2**10, 2**10, 2**10),
}
"""What no backend that is built in claims."""
ALONE: dict[str, dict[str, Any]] = {
    "weight_bits": {"weight_bits": 4},
    "payload_caps": {"payload_caps": (3, 15)},
    "input_signed": {"input_signed": False, "execution": "frames", "features": frozenset(["payload"])},
    "shared_memory": {"shared_memory": 10**6, "weight_bits": 6},
    "layers_min": {"layers_min": 3},
    "fan_out_layers_max": {"fan_out_layers_max": 2},
    "dt_min": {"dt_min": 1e-4},
}
"""And what would stand in the way of other limits."""
FACTS = {
    "alone": tuple(ALONE),
    "loihi1": ("axons_out_per_core", "bias_bits", "bias_exponent_max", "refractory_max", "weight_exponent_max", "weight_exponent_min"),
    "loihi2": ("bias_bits", "bias_exponent_max", "payload_max", "payload_min"),
    "limited": ("bias_bits", "core_neuron_words", "core_weight_words", "kernels", "payload_min", "pools", "refractory_max", "strides"),
}  # fmt: skip
EACH = [(name, fact) for name, facts in FACTS.items() for fact in facts]


class Limited(type(REFERENCE)):  # type: ignore[misc]
    """The reference with the facts of a chip."""

    name = "limited"

    def __init__(self, claims: dict[str, Any]) -> None:
        facts = {name: Fact(value, "", "made up", "design", True) for name, value in claims.items()}
        self.target = replace(REFERENCE.target, **facts)

    def compile(self, network: Any, target: Target, options: Any) -> Program:
        reasons = legalize(network, target).reasons
        if reasons:
            raise LowerError(reasons)
        return super().compile(network, target, options)


@dataclass
class Mistaken(Backend):
    """A backend that reads one fact as if it were another."""

    inner: Backend
    fact: str
    forgets: bool

    def __post_init__(self) -> None:
        self.name, self.version, self.options = self.inner.name, self.inner.version, self.inner.options  # type: ignore[misc]

    @property
    def targets(self) -> tuple[Target, ...]:
        return self.inner.targets

    def compile(self, network: Any, target: Target, options: Any) -> Program:
        fact = getattr(target, self.fact)
        read = self._forgotten(fact) if self.forgets else replace(fact, value=narrower(self.fact, fact.value))
        return self.inner.compile(network, replace(target, **{self.fact: read}), options)

    def _forgotten(self, fact: Fact[Any]) -> Fact[Any] | None:
        # without a largest exponent a bias has none at all
        return replace(fact, value=fact.value + 8) if self.fact == "bias_exponent_max" else None

    def open(self, program: Program, *, record: Any, potentials: Any) -> BackendSession:
        return self.inner.open(program, record=record, potentials=potentials)


def narrower(fact: str, value: Any) -> Any:
    if fact == "dt_min":
        return 2 * value
    if fact in ("kernels", "strides", "pools"):
        return value[:1]
    if isinstance(value, tuple):
        return tuple(words - 1 for words in value)
    return value + 1 if fact.endswith("_min") else value - 1


def backend_named(name: str, fact: str) -> Backend:
    if name == "alone":
        plain = {name: value for name, value in CLAIMS.items() if name in ("neurons", "arithmetic", "compare", "reset")}
        return Limited(plain | ALONE[fact])
    return Limited(CLAIMS) if name == "limited" else sp.backend(name)


def tried(backend: Backend, fact: str) -> None:
    under_test = UnderTest(backend, backend.targets[0], {}, EXACT)
    BackendConformance().test_limits_at_their_edge_and_one_beyond(under_test, fact)


class Symmetric(Limited):
    """A backend that takes the positive end of weights for the negative one too, or knows no negative end."""

    def __init__(self, forgets: bool) -> None:
        super().__init__({"neurons": CLAIMS["neurons"], "arithmetic": "integer", "weight_bits": 4})
        self.forgets = forgets

    def compile(self, network: Any, target: Target, options: Any) -> Program:
        lowest = min(int(w.min()) for p in network.projections for s in p.synapses for w in [s.weight])
        if self.forgets and lowest < 0:
            return super().compile(network, replace(target, weight_bits=None), options)
        if lowest == -(2**3):
            raise LowerError(Problem(network.populations[0].name, "its weights are not within -7 and 7"))
        return super().compile(network, target, options)


@pytest.mark.parametrize(("forgets", "why"), [(False, "refuses it"), (True, "does not carry it")])
def test_the_negative_end_of_weights_is_tried(forgets: bool, why: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s)a weight of -{9 if forgets else 8} .*{why}"):
        tried(Symmetric(forgets), "weight_bits")


@pytest.mark.parametrize(("name", "fact"), [*EACH, ("loihi2", "input_signed")])
def test_the_suite_comes_to_the_limit(name: str, fact: str) -> None:
    try:
        tried(backend_named(name, fact), fact)
    except pytest.skip.Exception as skipped:
        raise AssertionError(f"{name} claims {fact}, and it was not tried: {skipped}") from None


@pytest.mark.parametrize(("name", "fact"), EACH)
def test_a_limit_that_is_forgotten_is_noticed(name: str, fact: str) -> None:
    with pytest.raises(AssertionError, match="does not carry it"):
        tried(Mistaken(backend_named(name, fact), fact, forgets=True), fact)


@pytest.mark.parametrize(("name", "fact"), [each for each in EACH if each != ("alone", "input_signed")])
def test_a_limit_that_ends_too_early_is_noticed(name: str, fact: str) -> None:
    with pytest.raises(AssertionError, match="the backend refuses it"):
        tried(Mistaken(backend_named(name, fact), fact, forgets=False), fact)
