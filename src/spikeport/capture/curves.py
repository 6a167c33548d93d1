"""The curved activations, each as one node of a `Graph`; registered beside the other operators."""

from __future__ import annotations

from spikeport.capture.operators import HANDLERS, handles
from spikeport.capture.translation import Call, Traced, Translation, Unsupported
from spikeport.graph import Activation, Curve

SELU = (1.6732632423543772, 1.0507009873554805, 1.0)
"""alpha, scale and input scale of torch's selu."""


@handles("hardsigmoid", "hardswish", "log_sigmoid", "mish", "sigmoid", "silu", "tanh")
def _plain(t: Translation, call: Call) -> Traced:
    curve: Curve = call.operator  # type: ignore[assignment] # the operators have the curves' names
    return _added(t, call, Activation(curve))


@handles("gelu")
def _gelu(t: Translation, call: Call) -> Traced:
    return _added(t, call, Activation("gelu_tanh" if call.get("approximate", "none") == "tanh" else "gelu"))


@handles("elu")
def _elu(t: Translation, call: Call) -> Traced:
    return _added(t, call, Activation("elu", tuple(float(call[k]) for k in ("alpha", "scale", "input_scale"))))


@handles("selu")
def _selu(t: Translation, call: Call) -> Traced:
    return _added(t, call, Activation("elu", SELU))


@handles("celu")
def _celu(t: Translation, call: Call) -> Traced:
    alpha = float(call["alpha"])
    return _added(t, call, Activation("elu", (alpha, 1.0, 1 / alpha)))


@handles("leaky_relu")
def _leaky_relu(t: Translation, call: Call) -> Traced:
    return _added(t, call, Activation("leaky_relu", (float(call["negative_slope"]),)))


@handles("softplus")
def _softplus(t: Translation, call: Call) -> Traced:
    return _added(t, call, Activation("softplus", (float(call["beta"]), float(call["threshold"]))))


def _added(t: Translation, call: Call, op: Activation) -> Traced:
    why = op.problem()
    if why is not None:
        raise Unsupported(why, "train with a positive parameter, or with ReLU")
    return t.add(call, op, call.traced("self"))


__all__ = ["HANDLERS"]
