"""Curved activations: what each one computes, and where it turns.

All of them rise, or fall from zero to one lowest point and rise from there on: the first become one staircase, the second the
difference of two (`spikeport.quantize.staircases`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

Curve = Literal[
    "clamp",
    "elu",
    "gelu",
    "gelu_tanh",
    "hardsigmoid",
    "hardswish",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]


@dataclass(frozen=True, slots=True)
class Activation:
    """`y = curve(x, *parameters)`, elementwise.

    clamp(low, high), elu(alpha, scale, input_scale), leaky_relu(slope) and softplus(beta, threshold) have parameters, as in torch;
    selu and celu are elu.
    """

    curve: Curve
    parameters: tuple[float, ...] = ()

    def __call__(self, x: Floats) -> Floats:
        """The function, in the precision of its argument.

        >>> Activation("hardswish")(np.array([-4.0, 0.0, 4.0])).tolist()
        [-0.0, 0.0, 4.0]
        """
        return np.asarray(FUNCTIONS[self.curve](x, *self.parameters), dtype=x.dtype)

    @property
    def turn(self) -> float | None:
        """Where it stops falling and begins to rise; None if it rises everywhere."""
        return _lowest_point(self.curve) if self.curve in FALLING else None

    @property
    def starts_at_zero(self) -> bool:
        """Whether silence stays silence."""
        return float(self(np.zeros(1))[0]) == 0

    @property
    def is_never_negative(self) -> bool:
        return self.curve in ("hardsigmoid", "sigmoid", "softplus") or (
            self.curve == "clamp" and self.parameters[0] >= 0
        )

    def problem(self) -> str | None:
        """Why the parameters make no curve that is known here; None if they do."""
        if self.curve not in get_args(Curve):
            return f"`{self.curve}` is no known curve"
        if len(self.parameters) != {"clamp": 2, "elu": 3, "leaky_relu": 1, "softplus": 2}.get(self.curve, 0):
            return f"{self.curve} has {len(self.parameters)} parameters"
        if not all(map(math.isfinite, self.parameters)):
            return f"its parameters {self.parameters} are not finite"
        if self.curve == "clamp" and not self.parameters[0] < self.parameters[1]:
            return f"clamps to {self.parameters}"
        if self.curve == "elu" and not min(self.parameters) > 0:
            return f"elu with parameters {self.parameters} does not rise everywhere"
        if self.curve == "leaky_relu" and not self.parameters[0] > 0:
            return f"leaky relu with slope {self.parameters[0]} does not rise everywhere"
        if self.curve == "softplus" and not (self.parameters[0] > 0 and self.parameters[1] >= LEAST_THRESHOLD):
            return f"softplus with parameters {self.parameters} does not rise everywhere"
        return None


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))  # no exponential that overflows


def _softplus(x: Floats, beta: float = 1.0, threshold: float = math.inf) -> Floats:
    scaled = beta * x
    smooth = (np.maximum(scaled, 0) + np.log1p(np.exp(-np.abs(scaled)))) / beta
    return np.where(scaled > threshold, x, smooth)


def _gelu(x: Floats) -> Floats:
    erf: Any = np.frompyfunc(math.erf, 1, 1)
    return 0.5 * x * (1 + np.asarray(erf(x * math.sqrt(0.5)), dtype=x.dtype))


def _gelu_tanh(x: Floats) -> Floats:
    with np.errstate(over="ignore"):  # far out the cube is infinite, and its hyperbolic tangent one
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
    return 0.5 * x * (1 + np.tanh(inner))


def _elu(x: Floats, alpha: float, scale: float, input_scale: float) -> Floats:
    return scale * np.where(x > 0, x, alpha * np.expm1(input_scale * np.minimum(x, 0)))


FUNCTIONS: Mapping[Curve, Callable[..., Floats]] = {
    "clamp": lambda x, low, high: np.clip(x, low, high),
    "elu": _elu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "log_sigmoid": lambda x: -_softplus(-x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": _softplus,
    "tanh": np.tanh,
}
LEAST_THRESHOLD = 15.0
"""Where torch's softplus becomes the identity it steps down by 3e-7 / beta at this threshold, and by more at lower ones."""
FALLING = frozenset(("gelu", "gelu_tanh", "hardswish", "mish", "silu"))
"""Curves that fall from 0 to one lowest point, left of 0, and rise from there on."""


@cache
def _lowest_point(curve: Curve) -> float:
    """By ternary search; the curve falls before and rises after it."""
    low, high = -4.0, 0.0
    for _ in range(60):
        third = (high - low) / 3
        left, right = FUNCTIONS[curve](np.array([low + third, high - third]))
        low, high = (low, high - third) if left < right else (low + third, high)
    return (low + high) / 2
