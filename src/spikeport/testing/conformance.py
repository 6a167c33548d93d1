"""The suite that whoever brings a backend runs against it: a class to subclass, with one fixture.

    from spikeport.testing import BackendConformance

    class TestMyChip(BackendConformance):
        @pytest.fixture
        def backend(self):
            return MyChip()

What is run follows from the target. Each kind of neuron, code and operator that it claims is compared with the reference, at the
boundaries first; those that it does not claim have to be refused, by the name of a node. Enforced limits are tried at their edge
and one beyond. The suite lowers large limits before it tries them, so `compile` has to read limits from the target that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spikeport.codes import STATISTICAL
from spikeport.compile import options_of
from spikeport.errors import BackendError, OptionError, SpikeportError
from spikeport.plugin import PLUGIN_VERSION, Backend, BackendSession, Program
from spikeport.plugin.inputs import arrival_shape, fed_populations
from spikeport.primitives import Code, SpikingNetwork
from spikeport.targets import FACTS, NeuronModel, SynapseKind, Target
from spikeport.testing import cases, doors, limits, resuming, structures, worked_out
from spikeport.testing.carrying import Options, Run, UnderTest, reference_of, sample
from spikeport.testing.compare import EXACT, Tolerance, difference


class BackendConformance:
    """Tests of one backend on one of its targets."""

    examples = 20
    """Random networks of each kind."""

    @pytest.fixture
    def backend(self) -> Backend | str:
        """The backend, or the name under which it is installed."""
        raise NotImplementedError("give the fixture `backend`: an instance of Backend, or the name of an installed one")

    @pytest.fixture
    def target(self, backend: Backend | str) -> Target:
        """The target; by default the first one of the backend."""
        return doors.loaded(backend).targets[0]

    @pytest.fixture
    def options(self) -> Options:
        """Options of the backend for every compilation; or a function of the network, at the top of its module, that gives them."""
        return {}

    @pytest.fixture
    def tolerance(self) -> Tolerance:
        """How far from the reference, and why; integers need none."""
        return EXACT

    @pytest.fixture
    def under_test(self, backend: Backend | str, target: Target, options: Options, tolerance: Tolerance) -> UnderTest:
        return UnderTest(doors.loaded(backend), target, options, tolerance)

    # what it is

    def test_it_says_what_it_is(self, under_test: UnderTest) -> None:
        backend = under_test.backend
        assert isinstance(backend, Backend)
        assert backend.name, "`name` is the entry point's"
        assert backend.version, "`version` is compared when a program is opened"
        assert backend.plugin_version == PLUGIN_VERSION, f"written for version {backend.plugin_version} of the contract"
        assert is_dataclass(backend.options), "`options` is a frozen dataclass"
        names = [target.name for target in backend.targets]
        assert names, "it has a target"
        assert len(set(names)) == len(names), f"targets have names of their own: {names}"

    def test_what_is_claimed_is_run(self, under_test: UnderTest) -> None:
        """Nothing that the target claims is left out: at least one network of each kind is one that its facts carry."""
        ran, missing = claims_run(under_test)
        print(  # noqa: T201  (pytest -rP shows it)
            "\n".join(f"{what}: {', '.join(names) or 'nothing'}" for what, names in ran.items())
        )
        assert not missing, "claimed, and no network of the suite fits the other facts of the target: " + "; ".join(
            missing
        )

    # what it computes

    @pytest.mark.parametrize("code", cases.CODES)
    def test_codes_at_their_boundaries(self, under_test: UnderTest, code: Code) -> None:
        tried: list[bool] = []
        for run, known in cases.codes(code, under_test.target):
            tried.append(under_test.check(run))
            expected = reference_of(run)
            if code not in STATISTICAL:
                assert expected.readout[-1].tolist() == known.readout, run.about  # type: ignore[union-attr]
        _say(tried, f"the {code} code")

    @pytest.mark.parametrize("kind", cases.NEURONS)
    def test_neurons_at_their_boundaries(self, under_test: UnderTest, kind: NeuronModel) -> None:
        _say([under_test.check(run) for run in cases.neurons(kind, under_test.target)], f"{kind} neurons")

    @pytest.mark.parametrize("kind", cases.SYNAPSES)
    def test_synapses(self, under_test: UnderTest, kind: SynapseKind) -> None:
        _say([under_test.check(run) for run in cases.synapses(kind, under_test.target)], f"{kind} synapses")

    @pytest.mark.parametrize("kind", cases.STRUCTURES)
    def test_delays_loops_and_skips(self, under_test: UnderTest, kind: str) -> None:
        _say([under_test.check(run) for run in cases.structure(kind, under_test.target)], f"a {kind}")

    @pytest.mark.parametrize("delay", [0, 1, 3])
    def test_a_spike_arrives_when_its_delay_is_over(self, under_test: UnderTest, delay: int) -> None:
        tried = [self._arrives(under_test, unit, delay) for unit in structures.plains(under_test.target)]
        _say([one for one in tried if one], f"a delay of {delay} steps in networks of integers")

    def _arrives(self, under_test: UnderTest, unit: structures.Plain, delay: int) -> bool:
        """Whether there is such a delay; if there is, the steps in which the spike of step 0 arrives are known."""
        simulation = structures.chain(unit, under_test.target, delay=delay)
        if under_test.refused(simulation.network):
            return False
        with under_test.open(under_test.compile(simulation.network)) as session:
            found = session.run(simulation.x, max_steps=simulation.n_steps)
        first, last = structures.arrivals(unit, delay)
        for name, step in (("first", first), ("last", last)):
            fired = np.flatnonzero(found.spikes[name].train().raster[:, 0, 0])  # type: ignore[union-attr]
            assert fired[:1].tolist() == [step], (
                f"{name} fires first in step {fired[:1].tolist()}, and should in {step}"
            )
        return True

    def test_what_is_left_after_a_spike(self, under_test: UnderTest) -> None:
        tried = []
        for unit in structures.plains(under_test.target):
            simulation = structures.filling(unit, under_test.target)
            if under_test.refused(simulation.network):
                continue
            with under_test.open(under_test.compile(simulation.network)) as session:
                found = session.run(simulation.x, max_steps=simulation.n_steps)
            fired = np.flatnonzero(found.spikes["cells"].train().raster[:, 0, 0]).tolist()  # type: ignore[union-attr]
            expected = structures.filled(unit)
            assert fired == expected, f"cells gain 2 in every step and fire at 3: in {fired}, and should in {expected}"
            tried.append(True)
        _say(tried, "hand-made networks of integers")

    @pytest.mark.parametrize("what", worked_out.CASES)
    def test_what_simulators_step_besides(self, under_test: UnderTest, what: str) -> None:
        for known in worked_out.worked_out(what):
            if under_test.check(known.run):
                told = known.differs(reference_of(known.run))  # type: ignore[arg-type]  # a hand-made network's
                assert not told, f"{known.run.about}: {told}"

    @pytest.mark.parametrize("fact", limits.FACTS)
    def test_limits_at_their_edge_and_one_beyond(self, under_test: UnderTest, fact: str) -> None:
        if under_test.target.limit(fact) is None:
            pytest.skip(f"not claimed: {FACTS[fact].metadata['meaning']}")
        edges = limits.edges(fact, under_test)
        if not edges:
            pytest.skip(f"not run: no network of the suite comes to {fact} of this target")
        for edge in edges:
            places = edge.on.refused(edge.at.network)
            if places:
                pytest.skip(f"not run: another limit comes before {fact}, at {', '.join(places)}")
            assert edge.on.check(edge.at), f"{edge.at.about}: is not exact"
            beyond = edge.on_beyond.refused(edge.beyond.network)
            if beyond:
                edge.on_beyond.refuses(edge.beyond, beyond)
            else:  # for example a weight that two synapses hold
                edge.on_beyond.check(edge.beyond)

    def test_random_converted_networks(self, under_test: UnderTest) -> None:
        tried: list[bool] = []

        def law(seed: int) -> None:
            tried.extend(under_test.check(run) for run in cases.random_converted(seed, under_test.target))

        self._for_many(law)
        _say(tried, "converted networks")

    def test_random_hand_made_networks(self, under_test: UnderTest) -> None:
        tried: list[bool] = []

        def law(seed: int) -> None:
            tried.extend(under_test.check(run) for run in cases.random_hand_made(seed, under_test.target))

        self._for_many(law)
        _say(tried, "hand-made networks of integers")

    # how it behaves

    def test_equal_networks_give_equal_bytes(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            first, again = under_test.compile(run.network), under_test.compile(run.network)
            assert doors.bytes_of(first) == doors.bytes_of(again), f"{run.about}: compiled twice, two programs"

    def test_another_process_gives_the_same_bytes(self, under_test: UnderTest) -> None:
        here = doors.digests(_some(under_test), under_test)
        there = doors.elsewhere(digests_of, under_test)
        assert there == here, "another process compiles other bytes: something depends on hashing, time or place"

    def test_a_saved_program_runs_as_it_did(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            program = under_test.compile(run.network)
            loaded = doors.loaded_again(program)
            assert doors.bytes_of(loaded) == doors.bytes_of(program), f"{run.about}: changed by saving and loading"
            under_test.equals_reference(loaded, run)

    def test_reset_restores_the_first_response(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            with under_test.open(under_test.compile(run.network)) as session:
                first = session.run(run.x, **run.arguments)
                session.reset(3)
                session.step()
                again = session.run(run.x, **run.arguments)
            told = difference(run.network, again, first)
            assert told is None, f"{run.about}, run again: {told}"

    def test_a_restored_session_goes_on_as_it_did(self, under_test: UnderTest) -> None:
        """Of backends that give snapshots; nobody has to."""
        tried = [resuming.check(under_test, run) for run in resuming.runs(under_test)]
        if not any(tried):
            pytest.skip("gives no snapshots of hand-made networks")

    def test_one_step_a_hundred_times_equals_a_hundred_at_once(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            program = under_test.compile(run.network)
            with under_test.open(program) as session:
                whole = session.run(run.x, **run.arguments)
            for pieces in (1, 3):
                with doors.InPieces(under_test.open(program), pieces) as stepped:
                    told = difference(run.network, stepped.run(run.x, **run.arguments), whole)
                assert told is None, f"{run.about}, {pieces} steps at a time: {told}"
            self._at_once(under_test, program)

    def _at_once(self, under_test: UnderTest, program: Program) -> None:
        """A hundred steps by `advance`, and the same by `step`."""
        spikes, currents = doors.random_input(program.network, 100, 2)
        with under_test.open(program) as session:
            session.reset(2)
            at_once = session.advance(100, spikes, currents)
            session.reset(2)
            for t in range(100):
                now = [{name: values[t] for name, values in given.items()} for given in (spikes, currents)]
                one = session.step(*now)
                for kind in doors.KINDS:
                    for name, values in getattr(one, kind).items():
                        assert np.array_equal(values, getattr(at_once, kind)[name][t]), f"{name}: {kind} of step {t}"

    def test_samples_of_a_batch_do_not_touch_each_other(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            with under_test.open(under_test.compile(run.network)) as session:
                batch = session.run(run.x, **run.arguments)
                for index in range(2):
                    alone = session.run(sample(run, index).x, **run.arguments)
                    for name, counts in alone.counts.items():
                        told = f"{run.about}: {name}, sample {index} counts other spikes alone than in a batch"
                        assert np.array_equal(counts[0], batch.counts[name][index]), told

    def test_a_closed_session_is_refused(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            session = under_test.open(under_test.compile(run.network))
            session.step()
            session.close()
            session.close()
            for what, use in _uses(session, run).items():
                try:
                    use()
                except BackendError:
                    continue
                raise AssertionError(f"{run.about}: {what} after close went through")

    def test_input_that_does_not_fit_is_refused(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            with under_test.open(under_test.compile(run.network)) as session:
                session.reset(2)
                with pytest.raises(SpikeportError, match="nothing of this name"):
                    session.step({"nothing of this name": np.zeros((2, 1), np.int64)})
                name = doors.source_of(run.network)
                if name is not None:
                    with pytest.raises(SpikeportError, match=name):
                        session.step({name: np.zeros((5, 1, 1, 1, 1), np.int64)})

    def test_input_beyond_what_was_declared_is_refused(self, under_test: UnderTest) -> None:
        for network in (run.network for run in _some(under_test)):
            if not isinstance(network, SpikingNetwork):
                continue  # networks written by hand declare nothing
            high, encoder = network.input.high, network.input
            with under_test.open(under_test.compile(network)) as session:
                if encoder.kind == "events":
                    for before, value in ((0, 1 + high), (0, -1), (1, high)):
                        session.reset(1)
                        session.step({encoder.name: np.full((1, *encoder.shape), before)})
                        with pytest.raises(SpikeportError, match=encoder.name):
                            session.step({encoder.name: np.full((1, *encoder.shape), value)})
                for name in sorted(fed_populations(network)):
                    for value in (2**40, -(2**40)):  # beyond all that 8-bit inputs and weights amount to
                        session.reset(1)
                        with pytest.raises(SpikeportError, match=name):
                            session.step({}, {name: np.full((1, *arrival_shape(network, name)), value)})

    def test_names_that_are_not_there_are_refused(self, under_test: UnderTest) -> None:
        for run in _some(under_test):
            program = under_test.compile(run.network)
            for what in ({"record": ["nowhere"], "potentials": []}, {"record": [], "potentials": ["nowhere"]}):
                with pytest.raises(OptionError, match="nowhere"):
                    under_test.backend.open(program, **what).close()

    @pytest.mark.parametrize("what", ["backend", "backend_version", "target", "plugin_version"])
    def test_a_program_of_others_is_refused(self, under_test: UnderTest, what: str) -> None:
        run = _some(under_test)[0]
        program = under_test.compile(run.network)
        assert doors.opener_of(under_test.backend, program) is under_test.backend
        other: Any = {what: 0 if what == "plugin_version" else "another"}
        with pytest.raises(BackendError, match=r"another|\b0\b"):
            doors.opener_of(under_test.backend, replace(program, **other))

    def test_options_that_do_not_exist_are_refused(self, under_test: UnderTest) -> None:
        known = [field.name for field in fields(under_test.backend.options)]
        wrong = f"{known[0]}s" if known else "no_such_option"
        with pytest.raises(OptionError, match=wrong) as caught:
            options_of(under_test.backend, None, {wrong: 1})
        if known:
            assert known[0] in str(caught.value).replace(wrong, ""), "the error names the option that comes nearest"

    def _for_many(self, law: Callable[[int], None]) -> None:
        """Random seeds, the same in every run; a smaller failing one is not sought, since seeds have no order."""
        drawn = settings(
            max_examples=self.examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        drawn(given(st.integers(0, 2**32 - 1))(law))()


def digests_of(under_test: UnderTest) -> dict[str, str]:
    """Of the programs of the networks that the target carries; called in another process."""
    return doors.digests(_some(under_test), under_test)


def claims_run(under_test: UnderTest) -> tuple[dict[str, list[str]], list[str]]:
    """What is compared with the reference, by kind, and what is claimed without a network of the suite that fits."""
    target = under_test.target

    def fits(runs: Any) -> bool:
        return any(not under_test.refused(r.network) and not under_test.approximated(r.network) for r in runs)

    kinds: dict[str, tuple[Any, Any]] = {
        "codes": (sorted(cases.claimed_codes(target)), lambda c: (run for run, _ in cases.codes(c, target))),
        "neurons": (sorted(target.known("neurons", ())), lambda k: cases.neurons(k, target)),
        "synapses": (sorted(target.known("synapses", ())), lambda k: cases.synapses(k, target)),
    }
    ran, missing = {}, []
    for what, (claimed, runs) in kinds.items():
        ran[what] = [name for name in claimed if fits(runs(name))]
        missing += [f"{what}: {name}" for name in claimed if name not in ran[what]]
    enforced = [fact for fact in limits.FACTS if target.limit(fact) is not None]
    ran["limits"] = [fact for fact in enforced if limits.edges(fact, under_test)]
    return ran, missing


def _say(tried: Sequence[bool], what: str) -> None:
    """Skip where there was nothing to carry, and nothing to refuse either."""
    if not tried:
        pytest.skip(f"not claimed: {what}")


def _some(under_test: UnderTest) -> list[Run]:
    runs = cases.some(under_test)
    assert runs, "the target carries no network of the suite, neither a converted one nor one written by hand"
    return runs


def _uses(session: BackendSession, run: Run) -> Mapping[str, Any]:
    return {
        "step": session.step,
        "reset": session.reset,
        "advance": lambda: session.advance(2),
        "run": lambda: session.run(run.x, **run.arguments),
    }
