"""The suite notices: each backend is broken in three ways or more, and the tests that catch it are named.

A mutant is the code of the backend with a part of a function replaced, or what its kernel is given where the code is compiled. The
reference is its own oracle, so that its mutants are caught by answers that were worked out by hand.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

import spikeport as sp
from spikeport import native
from spikeport.backends.dynamics import plan
from spikeport.backends.loihi import session as loihi_session
from spikeport.backends.loihi import state as loihi_state
from spikeport.backends.loihi import twin
from spikeport.backends.native import dynamics as native_dynamics
from spikeport.backends.native import layers as native_layers
from spikeport.backends.native import state as native_state
from spikeport.backends.reference import dynamics, second, stepper
from spikeport.backends.reference import state as reference_state
from spikeport.testing import EXACT, BackendConformance, worked_out
from spikeport.testing.carrying import UnderTest
from spikeport.testing.cases import claimed_codes
from tests.backends.without_microcode import cuba_lif, loihi2_without_microcode

EXAMPLE = Path(__file__).parents[2] / "plugins" / "spikeport-example" / "src"
CODES = "test_codes_at_their_boundaries"
NEURONS = "test_neurons_at_their_boundaries"
ARRIVAL = "test_a_spike_arrives_when_its_delay_is_over"
LEFT = "test_what_is_left_after_a_spike"
BESIDES = "test_what_simulators_step_besides"
RANDOM = "test_random_hand_made_networks"
OWN = "loihi2 without microcode"
RESET, COMPARE, DELAY = "another reset", "> for >=, or >= for >", "a dropped delay"


@dataclass(frozen=True)
class Change:
    """A part of a function replaced, wherever the function is known by its name."""

    owner: Any
    """Module, or class."""
    function: str
    old: str
    new: str
    also: tuple[ModuleType, ...] = ()

    def apply(self, patch: pytest.MonkeyPatch) -> None:
        original = getattr(self.owner, self.function)
        source = dedent(inspect.getsource(original))
        assert self.old in source, f"{self.function} has changed: {self.old!r} is not in it any more"
        found: dict[str, Any] = {}
        future = "from __future__ import annotations\n"
        exec(compile(future + source.replace(self.old, self.new), "mutant", "exec"), original.__globals__, found)
        for place in (self.owner, *self.also):
            patch.setattr(place, self.function, found[self.function])


@dataclass(frozen=True)
class Mutant:
    backend: str
    what: str
    changes: Callable[[], Iterator[Change]]
    caught_by: frozenset[str]
    prepare: Callable[[pytest.MonkeyPatch], None] = field(default=lambda patch: None)

    def __str__(self) -> str:
        return f"{self.backend}: {self.what}"


def backend_named(name: str) -> Any:
    if name == "example":
        if str(EXAMPLE) not in sys.path:
            sys.path.append(str(EXAMPLE))
        from spikeport_example import BACKEND

        return BACKEND
    if name == "native" and not native.available():
        pytest.skip("the native library is not built")
    if name == "torch":
        pytest.importorskip("torch")
    return sp.backend("loihi2" if name == OWN else name)


def caught(name: str) -> frozenset[str]:
    """The tests of the suite that fail."""
    backend = backend_named(name)
    target = loihi2_without_microcode() if name == OWN else backend.targets[0]
    suite, under_test = BackendConformance(), UnderTest(backend, target, cuba_lif if name == OWN else {}, EXACT)
    suite.examples = 5
    runs = [(CODES, (code,)) for code in sorted(claimed_codes(target))]
    runs += [(NEURONS, (kind,)) for kind in sorted(target.known("neurons", ()))]
    runs += [(BESIDES, (what,)) for what in worked_out.CASES]
    runs += [(ARRIVAL, (3,)), (LEFT, ()), (RANDOM, ())]
    return frozenset(test for test, arguments in runs if fails(getattr(suite, test), under_test, *arguments))


def fails(test: Callable[..., None], *arguments: Any) -> bool:
    try:
        test(*arguments)
    except pytest.skip.Exception:
        return False
    except AssertionError:
        return True
    return False


def reference_reset() -> Iterator[Change]:
    yield Change(stepper, "_update", "state.v -= spikes * threshold", "state.v = np.where(spikes != 0, 0, state.v)")
    yield Change(dynamics, "_reset", "v - spikes.astype(v.dtype) * p.threshold", "v * 0")


def reference_compare() -> Iterator[Change]:
    yield Change(stepper, "_update", "state.v >= threshold", "state.v > threshold")
    yield Change(second, "is_beyond", "v >= threshold", "v > threshold", (dynamics,))


def reference_delay() -> Iterator[Change]:
    yield Change(dynamics.DynamicStepper, "_send", "projection.delay", "(projection.delay > 0)")


def native_reset() -> Iterator[Change]:
    yield Change(native_dynamics, "_flags", 'contract.reset == "subtract"', "False")


def native_compare() -> Iterator[Change]:
    yield Change(native_dynamics, "_flags", 'contract.compare == ">="', "False")
    old = "threshold=_rows(neuron.threshold, shape)"
    yield Change(native_layers, "layer_of", old, f"{old[:-1]}) + 1", (import_module("spikeport.backends.native.plan"),))


def native_delay() -> Iterator[Change]:
    yield Change(native_dynamics, "_open", "delay=p.delay", "delay=min(p.delay, 1)")


def changing(owner: Any, function: str, old: str, new: str) -> Callable[[], Iterator[Change]]:
    def changes() -> Iterator[Change]:
        yield Change(owner, function, old, new)

    return changes


def changing_torch(function: str, old: str, new: str) -> Callable[[], Iterator[Change]]:
    def changes() -> Iterator[Change]:
        from spikeport.backends.torch import neurons

        yield Change(neurons.Neurons, function, old, new)

    return changes


def by_operations_of_torch(patch: pytest.MonkeyPatch) -> None:
    """Not by the compiled scan."""
    from spikeport.backends.torch import fused, session, stepwise

    for module in (session, stepwise):
        patch.setattr(module, "fastest", lambda device, threads: fused.by_torch)


def torch_reset() -> Iterator[Change]:
    from spikeport.backends.torch import fused, scan

    yield Change(scan, "scan", "v.addcmul_(spikes, threshold, value=-1)", "v.mul_(spikes == 0)", (fused,))
    yield Change(scan, "_fire", "v.addcmul_(spikes, price, value=-1)", "v.mul_(spikes == 0)")


def torch_compare() -> Iterator[Change]:
    from spikeport.backends.torch import fused, scan

    yield Change(scan, "scan", "v >= threshold", "v > threshold", (fused,))
    yield Change(scan, "_fire", "v >= price", "v > price")


def torch_delay() -> Iterator[Change]:
    from spikeport.backends.torch import layers, scan

    yield Change(scan, "rule_of", "low, high, fires_at, subtract", "low, high, fires_at - 1, subtract", (layers,))
    yield Change(scan, "on_clock", "start <= step < stop", "True", (layers,))


def by_numpy(patch: pytest.MonkeyPatch) -> None:
    """The chip on the numpy twin of its compiled stepper."""
    original = loihi_session.open_engine
    patch.setattr(loihi_session, "open_engine", lambda placed, batch: original(placed, batch, on="numpy"))


def loihi_reset() -> Iterator[Change]:
    yield Change(twin, "_fixed", "np.where(fires, 0, v)", 'np.where(fires, v - p["threshold"], v)')
    yield Change(twin.Twin, "_converted", "state.v = state.v - sent * threshold", "state.v = state.v * (sent == 0)")


def loihi_compare() -> Iterator[Change]:
    yield Change(twin, "_fixed", 'v > p["threshold"]', 'v >= p["threshold"]')
    yield Change(twin.Twin, "_converted", "state.v >= threshold", "state.v > threshold")


def loihi_delay() -> Iterator[Change]:
    yield Change(twin.Twin, "_deliver", "link.link.delay", "0 * link.link.delay")


def own_shift() -> Iterator[Change]:
    yield Change(twin, "_fixed", "_wrap(a, 31) * 64", "_wrap(a, 31) * 32")


def example_change(function: str, old: str, new: str) -> Callable[[], Iterator[Change]]:
    def changes() -> Iterator[Change]:
        backend_named("example")
        from spikeport_example.session import Session

        yield Change(Session, function, old, new)

    return changes


def example_reset() -> Iterator[Change]:
    yield from example_change("_plain", "v - fires * threshold", "v * (1 - fires)")()
    yield from example_change("_counting", "v -= fires * threshold", "v *= fires == 0")()


def example_compare() -> Iterator[Change]:
    yield from example_change("_plain", "v >= threshold", "v > threshold")()
    yield from example_change("_counting", "v >= threshold", "v > threshold")()


ONE, UNBOUND, SPIKES, NETWORKS = "one spike for several", "no lowest potential", "spikes for potentials", "one contract"
OWN_CONTRACT = Change(plan, "_population", "network.contract_of(population.name)", "network.contract")
BESIDE_CHIPS = [
    Mutant("reference", ONE, changing(dynamics, "update", 'contract.spikes == "multi"', "False"), frozenset([BESIDES])),
    Mutant("reference", UNBOUND, changing(dynamics, "update", "p.v_min is not None", "False"), frozenset([BESIDES])),
    Mutant(
        "reference",
        SPIKES,
        changing(
            dynamics.DynamicStepper, "step", "sent.astype(self.plan.dtype)", "(sent != 0).astype(self.plan.dtype)"
        ),
        frozenset([BESIDES]),
    ),
    Mutant("reference", NETWORKS, lambda: iter([OWN_CONTRACT]), frozenset([BESIDES])),
    Mutant(
        "native",
        ONE,
        changing(native_dynamics, "_flags", 'population.fires and contract.spikes == "multi"', "False"),
        frozenset([NEURONS, BESIDES]),
    ),
    Mutant(
        "native",
        UNBOUND,
        changing(native_dynamics, "_flags", "population.v_min is not None", "False"),
        frozenset([NEURONS, BESIDES]),
    ),
    Mutant(
        "native",
        SPIKES,
        changing(native_dynamics, "_flags", "not population.fires", "False"),
        frozenset([NEURONS, BESIDES]),
    ),
    Mutant(
        "native",
        NETWORKS,
        changing(
            native_dynamics, "_open", "_neurons(population)", "_neurons(replace(population, contract=plan.contract))"
        ),
        frozenset([BESIDES]),
        lambda patch: patch.setattr(native_dynamics, "replace", replace, raising=False),
    ),
    Mutant(
        "torch",
        ONE,
        changing_torch("__init__", 'plan.fires and plan.contract.spikes == "multi"', "False"),
        frozenset([NEURONS, BESIDES]),
    ),
    Mutant(
        "torch",
        UNBOUND,
        changing_torch("step", "torch.maximum(self.v, self.v_min)", "self.v"),
        frozenset([NEURONS, BESIDES]),
    ),
    Mutant(
        "torch",
        SPIKES,
        changing_torch("step", "return self.v\n", "return (self.v != 0).to(self.v.dtype)\n"),
        frozenset([NEURONS, BESIDES]),
    ),
    Mutant("torch", NETWORKS, lambda: iter([OWN_CONTRACT]), frozenset([BESIDES])),
]
"""Of what simulators step and chips do not."""
MUTANTS = [
    Mutant("reference", RESET, reference_reset, frozenset([CODES, LEFT, BESIDES])),
    Mutant("reference", COMPARE, reference_compare, frozenset([CODES, ARRIVAL, LEFT, BESIDES])),
    Mutant("reference", DELAY, reference_delay, frozenset([ARRIVAL])),
    Mutant("native", RESET, native_reset, frozenset([NEURONS, LEFT, RANDOM, BESIDES])),
    Mutant("native", COMPARE, native_compare, frozenset([CODES, NEURONS, ARRIVAL, LEFT, RANDOM, BESIDES])),
    Mutant("native", DELAY, native_delay, frozenset([ARRIVAL, RANDOM])),
    Mutant("torch", RESET, torch_reset, frozenset([CODES]), by_operations_of_torch),
    Mutant("torch", COMPARE, torch_compare, frozenset([CODES]), by_operations_of_torch),
    Mutant("torch", "a clock that is a step early", torch_delay, frozenset([CODES]), by_operations_of_torch),
    Mutant("loihi1", RESET, loihi_reset, frozenset([NEURONS, LEFT, RANDOM]), by_numpy),
    Mutant("loihi1", COMPARE, loihi_compare, frozenset([CODES, NEURONS, ARRIVAL, LEFT, RANDOM]), by_numpy),
    Mutant("loihi1", DELAY, loihi_delay, frozenset([CODES, ARRIVAL, RANDOM]), by_numpy),
    Mutant("loihi2", RESET, loihi_reset, frozenset([CODES, NEURONS, LEFT, RANDOM]), by_numpy),
    Mutant("loihi2", COMPARE, loihi_compare, frozenset([CODES, NEURONS, ARRIVAL, LEFT, RANDOM]), by_numpy),
    Mutant("loihi2", DELAY, loihi_delay, frozenset([CODES, ARRIVAL, RANDOM]), by_numpy),
    Mutant(OWN, "sums that are not shifted by 6", own_shift, frozenset([CODES]), by_numpy),
    Mutant(OWN, COMPARE, loihi_compare, frozenset([CODES]), by_numpy),
    Mutant(OWN, DELAY, loihi_delay, frozenset([CODES]), by_numpy),
    Mutant("example", RESET, example_reset, frozenset([CODES, NEURONS, LEFT, RANDOM])),
    Mutant("example", COMPARE, example_compare, frozenset([CODES, NEURONS, ARRIVAL, LEFT, RANDOM])),
    Mutant("example", DELAY, example_change("step", "self.past[delay]", "self.past[0]"), frozenset([ARRIVAL, RANDOM])),
]


@pytest.mark.parametrize("mutant", [*MUTANTS, *BESIDE_CHIPS], ids=str)
def test_a_mutant_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    backend_named(mutant.backend)  # or skip
    mutant.prepare(monkeypatch)
    for change in mutant.changes():
        change.apply(monkeypatch)
    assert caught(mutant.backend) == mutant.caught_by


def torch_state() -> Iterator[Change]:
    from spikeport.backends.torch import neurons

    yield Change(neurons.Neurons, "hold", "torch.tensor(state.refractory, device=device)", "self.deaf")


STATES: list[tuple[str, str, Callable[[], Iterator[Change]]]] = [
    (
        "reference",
        "what is on its way",
        changing(reference_state, "_put_neurons", "put(held.ring, state.step, given.arriving)", "pass"),
    ),
    (
        "reference",
        "what was sent",
        changing(
            reference_state, "_put_learned", "put(ring, state.step - 1, state.sent[names[end]], backwards=True)", "pass"
        ),
    ),
    ("native", "the step", changing(native_state, "put_state", "handle.go_to(state.step)", "handle.go_to(0)")),
    (
        "native",
        "weights",
        changing(native_state, "put_state", "handle.write_synapses(index", "(lambda *a: None)(index"),
    ),
    ("torch", "deaf neurons", torch_state),
    ("loihi1", "deaf neurons", changing(loihi_state, "held_of", "given.refractory if", "0 * given.refractory if")),
    ("loihi2", "activations", changing(loihi_state, "state_of", "activation=held.third", "activation=held.v")),
]
"""What a state lacks, or a session does not take over from it."""


@pytest.mark.parametrize(("name", "what", "changes"), STATES, ids=lambda part: part if isinstance(part, str) else "")
def test_states_that_lack_something_are_caught(
    name: str, what: str, changes: Callable[[], Iterator[Change]], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_named(name)
    users = (native_dynamics, loihi_session)
    for change in changes():
        original = getattr(change.owner, change.function)
        also = tuple(user for user in users if getattr(user, change.function, None) is original)
        replace(change, also=also).apply(monkeypatch)
    under_test = UnderTest(backend, backend.targets[0], {}, EXACT)
    assert fails(BackendConformance().test_a_restored_session_goes_on_as_it_did, under_test)


@pytest.mark.parametrize("mutant", MUTANTS[1::3], ids=lambda mutant: mutant.backend)
def test_what_is_not_broken_passes(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    backend_named(mutant.backend)
    mutant.prepare(monkeypatch)
    assert caught(mutant.backend) == frozenset()
