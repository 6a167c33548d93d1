"""What a certificate says in words: for each code the lemma of each kind of population. The proofs are in `spikeport.codes`."""

from __future__ import annotations

from collections.abc import Mapping

_MAX = "sends the changes of the maximum of the counts in its window, which sum to the maximum of the final counts"
_SUM = "adds up what arrives: V = U when all sources have sent"
_GRADED = (
    "when its step comes, all input of the layer has arrived, so V = U and the payload is clip(floor(U / th), low, high); "
    "what is left in V is discarded"
)
_SIGNED = (
    "V + th S = U is invariant; when quiet no rule applies, so S = clip(floor(U / th), low, high), whatever the order"
)
_PHASED = (
    "V starts R below U, with R above every sum, so nothing fires before the phase; in the phase all input has arrived and R is lifted, "
    "so V = U - th n, and it fires once more exactly if U >= th (n + 1), in each of its L steps: n = clip(floor(U / th), 0, L); then R is back"
)
_POPULATION = (
    "all input arrives in one step; unit k of L stands at U - k th + Theta and fires if that reaches Theta, which is if k <= floor(U / th): "
    "n = clip(floor(U / th), 0, L) units do; Theta is above every sum, so no unit fires twice"
)
_RADIX = (
    "all input has arrived before the phase, so V = U - th n for the digits n so far, and the digit of w is set exactly if "
    "U >= th (n + w): successive approximation of clip(floor(U / th), 0, L), exact since L = 2**K - 1"
)
_RADIX_MAX = (
    "all its sources are in phase; cutting off low digits keeps the order, so the change of the maximum of the prefixes is a digit "
    "of the maximum"
)
_SPLIT = (
    "; a layer with counts in [-M, L] is two populations of the positive part n+, with L, and the negative part n-, with M, of its counts "
    "n = n+ - n-: -floor(U / th) = floor((th - 1 - U) / th) for integers, so the second is the rule for th - 1 - U, "
    "which is what it gets when all weights and biases are negated and th - 1 - offset is its offset (on a staircase U < c is "
    "-U >= 1 - c); whoever reads n reads both"
)
_CLIMBS = (
    "S goes up where U has reached c[S + 1] and down where U is below c[S], so when quiet U has reached just the thresholds up to S of its "
    "table, which never falls: S = low + (number of k with U >= c[k]), whatever the order"
)
_TABLES = {
    "graded": "when its step comes, all input of the layer has arrived, so V = U and the payload is low + (number of k with U >= c[k])",
    "phased": "all input has arrived before the phase, in step k of which it fires if U >= c[k]; the table never falls, so these are the "
    "first steps, and n = (number of k with U >= c[k])",
    "population": "all input arrives in one step; unit k stands at U - c[k] + Theta and fires if that reaches Theta, which is if U >= c[k]; "
    "Theta is above every sum, so no unit fires twice",
    "radix": "all input has arrived before the phase, and the digit of w is set exactly if U >= c[n + w]: bisection of a table that "
    "never falls, so n = (number of k with U >= c[k])",
}


def _of(code: str, neurons: str, maximum: str = _MAX) -> Mapping[str, str]:
    parts = dict.fromkeys(("positive part", "negative part"), f"{neurons}{_SPLIT}")
    return {
        "neurons": neurons,
        "staircase": _TABLES[code],
        "max": maximum,
        "read-out": _SUM,
        **(parts if code != "graded" else {}),
    }


def _any_order(neurons: str) -> Mapping[str, str]:
    quiet = "adds up what arrives: V = U when all sources are quiet"
    return {"neurons": neurons, "staircase": _CLIMBS, "max": _MAX, "read-out": quiet}


LEMMAS: Mapping[str, Mapping[str, str]] = {
    "graded": _of("graded", _GRADED),
    "phased": _of("phased", _PHASED),
    "population": _of("population", _POPULATION),
    "radix": _of("radix", _RADIX, _RADIX_MAX),
    "signed": _any_order(_SIGNED),
    "staircase": _any_order(f"with c[k] = k th, {_CLIMBS}"),
}
"""By code, then by kind of population. A code that is not here is not exact."""
