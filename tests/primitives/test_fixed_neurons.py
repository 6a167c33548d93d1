"""What fixed-point neurons, their projections and their contracts refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeport.errors import GraphError, OptionError
from spikeport.primitives import (
    IF,
    Dense,
    DynamicNetwork,
    DynamicPopulation,
    DynamicsContract,
    FixedCubaLIF,
    FixedResonateAndFire,
    FixedSigmaDelta,
    GradedThreshold,
    Projection,
    SpikeInput,
)
from spikeport.primitives.fixed_neurons import RANGES

LOIHI2, LOIHI1 = DynamicsContract.loihi("loihi2"), DynamicsContract.loihi("loihi1")
LEAST: dict[type, dict[str, Any]] = {
    FixedCubaLIF: {"du": 0, "dv": 0, "threshold": 64},
    FixedSigmaDelta: {"threshold": 1},
    FixedResonateAndFire: {"cos": 4000, "sin": 100, "threshold": 10},
    GradedThreshold: {"threshold": 1},
}


def network(*neurons: Any, contract: DynamicsContract = LOIHI2, **projection: Any) -> DynamicNetwork:
    populations = tuple(DynamicPopulation(f"p{i}", (2,), neuron) for i, neuron in enumerate(neurons))
    joined = Projection("in", "p0", (Dense(np.ones((2, 3), np.int64)),), **projection)
    return DynamicNetwork("net", (SpikeInput("in", (3,)),), populations, (joined,), contract)


@pytest.mark.parametrize("kind", LEAST)
def test_every_parameter_holds_its_ends_and_refuses_one_beyond(kind: Any) -> None:
    for name, (low, high) in RANGES[kind].items():
        for value in (low, high):
            DynamicPopulation("n", (2,), kind(**LEAST[kind] | {name: [value, low]}))
        for value in (low - 1, high + 1):
            with pytest.raises(GraphError, match=rf"n\.{name}: runs from .*, and can be {low:,} to {high:,}"):
                DynamicPopulation("n", (2,), kind(**LEAST[kind] | {name: [low, value]}))


def test_wrong_parameters_are_refused_by_name_all_at_once() -> None:
    with pytest.raises(GraphError) as error:
        DynamicPopulation("n", (2,), FixedCubaLIF(du=-1, dv=0.5, threshold=[1, 2, 3], refractory=0))
    for part in ("n.du: runs from -1", "n.dv: is of type float64", "n.threshold: has shape (3,)", "n.refractory: runs"):
        assert part in str(error.value)
    with pytest.raises(GraphError, match=r"n\.activation: is 'tanh'.*\n.*'relu' or 'unit'"):
        DynamicPopulation("n", (2,), FixedSigmaDelta(threshold=1, activation="tanh"))  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"n\.kind: is 'IZ'"):
        DynamicPopulation("n", (2,), FixedResonateAndFire(cos=1, sin=1, threshold=1, kind="IZ"))  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"n\.relu: is 1"):
        DynamicPopulation("n", (2,), GradedThreshold(threshold=1, relu=1))  # type: ignore[arg-type]


def test_a_contract_of_a_chip_settles_everything_else() -> None:
    assert (LOIHI2.arithmetic, LOIHI2.layer_latency, LOIHI2.compare, LOIHI2.state_bits) == ("integer", 1, ">", 24)
    assert LOIHI1.chip
    assert LOIHI2.chip
    assert not DynamicsContract(dt=1.0, integrator="accumulate").chip
    with pytest.raises(OptionError) as error:
        DynamicsContract(dt=1e-3, integrator="loihi2", compare=">=", reset="subtract", overflow="wrap")
    for name in ("compare", "reset", "layer_latency", "arithmetic", "state_bits", "overflow"):
        assert f"contract.{name}: is" in str(error.value)
    assert "contract.synapse" not in str(error.value)
    with pytest.raises(OptionError, match="'loihi3'"):
        DynamicsContract.loihi("loihi3")  # type: ignore[arg-type]


def test_neurons_that_a_contract_does_not_have_are_refused_all_at_once() -> None:
    sigma, cuba = FixedSigmaDelta(threshold=1), FixedCubaLIF(du=0, dv=0, threshold=64, refractory=2, v_min=0)
    with pytest.raises(GraphError) as error:
        network(IF(), sigma, cuba, contract=LOIHI1)
    assert "p0: IF is no neuron of loihi1" in str(error.value)
    assert "p1: FixedSigmaDelta is no neuron of loihi1" in str(error.value)
    assert "p2" not in str(error.value)
    with pytest.raises(GraphError) as error:
        network(IF(), sigma, cuba)
    assert "p1" not in str(error.value)
    for part in ("p0: IF is no neuron of loihi2", "p2.refractory: has no meaning", "p2.v_min: has no meaning"):
        assert part in str(error.value)
    with pytest.raises(GraphError, match="p0: FixedSigmaDelta has no meaning under this contract"):
        network(sigma, contract=DynamicsContract(dt=1e-3, integrator="accumulate", arithmetic="integer"))


def test_exponents_and_ports_are_refused_where_nothing_has_them() -> None:
    sigma = FixedSigmaDelta(threshold=1)
    for wrong in (17, -17, 1.5, True):
        with pytest.raises(GraphError, match=f"its exponent is {wrong!r}"):
            network(sigma, exponent=wrong)
    with pytest.raises(GraphError, match="its port is 'real'"):
        network(sigma, port="real")
    with pytest.raises(GraphError, match="which FixedResonateAndFire alone has"):
        network(sigma, port="imag")
    network(FixedResonateAndFire(cos=1, sin=1, threshold=1), port="imag", exponent=-16)
    with pytest.raises(GraphError, match="loihi2 has no bias in synapses"):
        network(sigma, bias=np.ones(2))
    with pytest.raises(GraphError, match="its exponent has no meaning under this contract"):
        network(IF(), contract=DynamicsContract(dt=1e-3, integrator="accumulate"), exponent=1)
