"""The suite of spikeport on example8; what runs follows from the target."""

import pytest

from spikeport.testing import BackendConformance
from spikeport_example import BACKEND


class TestExample(BackendConformance):
    @pytest.fixture
    def backend(self):
        return BACKEND
