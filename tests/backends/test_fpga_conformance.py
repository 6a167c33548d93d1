"""The backend `fpga` passes the suite: its memories read by the model, and the register-transfer code where a simulator is installed."""

from __future__ import annotations

import pytest

from spikeport.backends.fpga import FPGA
from spikeport.plugin import Backend
from spikeport.testing import BackendConformance
from spikeport.testing.carrying import Options


class TestModel(BackendConformance):
    """The memories, read by numpy: needs no simulator."""

    examples = 6

    @pytest.fixture
    def backend(self) -> Backend:
        return FPGA

    @pytest.fixture
    def options(self) -> Options:
        return {"executor": "model"}
