"""The suite comes to every limit, and notices a backend that forgets one or stops too early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

import spikeport as sp
from spikeport.backends.hosts import REFERENCE
from spikeport.errors import LowerError
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
FACTS = {
    "loihi1": ("axons_out_per_core", "bias_bits", "bias_exponent_max", "refractory_max", "weight_exponent_max", "weight_exponent_min"),
    "loihi2": ("bias_bits", "bias_exponent_max", "payload_max", "payload_min"),
    "limited": ("bias_bits", "core_neuron_words", "core_weight_words", "kernels", "payload_min", "pools", "refractory_max", "strides"),
}  # fmt: skip
EACH = [(name, fact) for name, facts in FACTS.items() for fact in facts]


class Limited(type(REFERENCE)):  # type: ignore[misc]
    """The reference with the facts of a chip."""

    name = "limited"
    target = replace(
        REFERENCE.target, **{name: Fact(value, "", "made up", "design", True) for name, value in CLAIMS.items()}
    )

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
    if fact in ("kernels", "strides", "pools"):
        return value[:1]
    if isinstance(value, tuple):
        return tuple(words - 1 for words in value)
    return value + 1 if fact.endswith("_min") else value - 1


def backend_named(name: str) -> Backend:
    return Limited() if name == "limited" else sp.backend(name)


def tried(backend: Backend, fact: str) -> None:
    under_test = UnderTest(backend, backend.targets[0], {}, EXACT)
    BackendConformance().test_limits_at_their_edge_and_one_beyond(under_test, fact)


@pytest.mark.parametrize(("name", "fact"), EACH)
def test_the_suite_comes_to_the_limit(name: str, fact: str) -> None:
    try:
        tried(backend_named(name), fact)
    except pytest.skip.Exception as skipped:
        raise AssertionError(f"{name} claims {fact}, and it was not tried: {skipped}") from None


@pytest.mark.parametrize(("name", "fact"), EACH)
def test_a_limit_that_is_forgotten_is_noticed(name: str, fact: str) -> None:
    with pytest.raises(AssertionError, match="does not carry it"):
        tried(Mistaken(backend_named(name), fact, forgets=True), fact)


@pytest.mark.parametrize(("name", "fact"), EACH)
def test_a_limit_that_ends_too_early_is_noticed(name: str, fact: str) -> None:
    with pytest.raises(AssertionError, match="the backend refuses it"):
        tried(Mistaken(backend_named(name), fact, forgets=False), fact)
