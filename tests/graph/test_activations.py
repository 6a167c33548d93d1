"""Curved activations: what they compute, where they turn, and which parameters are none."""

import numpy as np
import pytest

from spikeport.errors import GraphError
from spikeport.graph import Activation, Input, Node, build
from spikeport.graph.activations import FALLING, FUNCTIONS

CURVES = [
    *(Activation(c) for c in FUNCTIONS if c not in ("clamp", "elu", "leaky_relu", "softplus")),
    Activation("clamp", (-0.5, 2.0)),
    Activation("clamp", (0.25, 1.0)),
    Activation("elu", (0.5, 1.25, 2.0)),
    Activation("leaky_relu", (0.1,)),
    Activation("softplus", (2.0, 20.0)),
]
X = np.concatenate([np.linspace(-9, 9, 3001), [-1e6, -800.0, -40.0, 0.0, 40.0, 800.0, 1e6]])


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_numpy_and_torch_compute_the_same_curve(curve: Activation) -> None:
    torch = pytest.importorskip("torch")
    from spikeport.backends.torch import TorchOperations

    operations = TorchOperations(dtype=torch.float64)
    expected = operations.store(operations.apply(curve, [operations.load(X)]))
    np.testing.assert_allclose(curve(X), expected, rtol=1e-12, atol=1e-12)
    assert curve(X.astype(np.float32)).dtype == np.float32
    assert curve.problem() is None


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_a_curve_rises_but_for_the_way_down_to_its_turn(curve: Activation) -> None:
    y = curve(np.sort(X))
    rounding = 3e-9  # softplus steps down by 2e-9 where torch replaces it by the identity
    if curve.turn is None:
        assert (np.diff(y) >= -rounding).all()
    else:
        assert curve.curve in FALLING
        left = np.sort(X) < curve.turn
        assert (np.diff(y[left]) <= rounding).all()
        assert (np.diff(y[~left]) >= -rounding).all()
        assert y.min() >= float(curve(np.array([curve.turn]))[0])
        assert abs(y[0]) < rounding


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_what_a_curve_says_of_itself_is_so(curve: Activation) -> None:
    assert curve.starts_at_zero == (curve(np.zeros(1))[0] == 0)
    assert curve.is_never_negative == bool((curve(X) >= 0).all())


@pytest.mark.parametrize(
    "curve",
    [
        Activation("clamp", (1.0, 1.0)),
        Activation("clamp", (0.0,)),
        Activation("elu", (-1.0, 1.0, 1.0)),
        Activation("leaky_relu", (-0.1,)),
        Activation("leaky_relu", (float("nan"),)),
        Activation("softplus", (0.0, 20.0)),
        Activation("softplus", (2.0, 1.5)),
        Activation("gelu", (1.0,)),
        Activation("relu"),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_parameters_that_make_no_curve_are_refused(curve: Activation) -> None:
    with pytest.raises(GraphError, match=r"^a: "):
        build([Node("x", Input((2,)), (), (2,)), Node("a", curve, ("x",), (2,))], "a")
