"""What is left of weights in Loihi's synapse memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeport.backends.loihi import effective_weights, found_sign
from spikeport.errors import DataError, OptionError


@pytest.mark.parametrize(
    ("weights", "options", "left"),
    [
        ([-1, 1], {}, [-2, 0]),
        ([-256, -255, -257, 255, 254, 256], {}, [-256, -256, -256, 254, 254, 254]),
        ([0, 1, 255, 256], {}, [0, 1, 255, 255]),
        ([0, -1, -255, -256], {}, [0, -1, -255, -255]),
        ([-3, 3], {"bits": 1}, [-256, 0]),
        ([127, 128, 255], {"bits": 1}, [0, 128, 128]),
        ([-127, -128, -255], {"bits": 1}, [0, -128, -128]),
        ([-3, 3], {"sign": "excitatory"}, [0, 3]),
        ([-3, 3], {"sign": "inhibitory"}, [-3, 0]),
        ([3, 5], {"sign": "mixed"}, [2, 4]),
        ([0, 0], {}, [0, 0]),
    ],
)
def test_signs_widths_and_ends(weights: list[int], options: dict[str, Any], left: list[int]) -> None:
    assert effective_weights(weights, **options).tolist() == left
    sign = options.get("sign", found_sign(np.array(weights)))
    assert effective_weights(left, **options | {"sign": sign}).tolist() == left


def test_what_was_mixed_can_look_inhibitory_afterwards() -> None:
    assert effective_weights([-255, 1]).tolist() == [-256, 0]
    assert effective_weights([-256, 0]).tolist() == [-255, 0]
    assert effective_weights([-256, 0], sign="mixed").tolist() == [-256, 0]


def test_what_there_is_not_is_refused() -> None:
    assert effective_weights(np.zeros((0, 3))).shape == (0, 3)
    with pytest.raises(DataError, match="weights: are float64"):
        effective_weights([1.0])
    with pytest.raises(OptionError) as error:
        effective_weights([1], bits=9, sign="both")  # type: ignore[arg-type]
    assert "bits: is 9" in str(error.value)
    assert "sign: is 'both'" in str(error.value)
