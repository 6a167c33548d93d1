"""All backends that are built in pass the suite that others run."""

from __future__ import annotations

import pytest

from spikeport import native
from spikeport.testing import BackendConformance


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
