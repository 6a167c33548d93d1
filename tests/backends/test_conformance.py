"""All backends that are built in pass the suite that others run."""

from __future__ import annotations

import pytest

from spikeport import native
from spikeport.targets import Target
from spikeport.testing import BackendConformance
from spikeport.testing.carrying import Options
from tests.backends.without_microcode import cuba_lif, loihi2_without_microcode


class TestReference(BackendConformance):
    @pytest.fixture
    def backend(self) -> str:
        return "reference"


@pytest.mark.skipif(not native.available(), reason="the native library is not built")
class TestNative(BackendConformance):
    @pytest.fixture
    def backend(self) -> str:
        return "native"


class TestTorch(BackendConformance):
    @pytest.fixture
    def backend(self) -> str:
        pytest.importorskip("torch")
        return "torch"


class TestLoihi1(BackendConformance):
    @pytest.fixture
    def backend(self) -> str:
        return "loihi1"


class TestLoihi2(BackendConformance):
    @pytest.fixture
    def backend(self) -> str:
        return "loihi2"


class TestLoihi2OnItsOwnNeurons(BackendConformance):
    """Converted networks on CUBA-LIF units alone, as Lava has them: no microcode, so that the population code is left."""

    @pytest.fixture
    def backend(self) -> str:
        return "loihi2"

    @pytest.fixture
    def options(self) -> Options:
        return cuba_lif

    @pytest.fixture
    def target(self) -> Target:
        return loihi2_without_microcode()
