"""spikeport: a trained PyTorch model in, a validated spiking network out.

    import spikeport as sp
    snn = sp.convert(model, train_loader)
    report = sp.validate(snn, test_loader)
    sp.to_nir(snn, "model.nir")

Or a network written by hand:

    net = sp.Network("demo")
    src, hid = net.input("events", 10), net.population("hid", 50, sp.LIF(tau=0.02))
    net.connect(src, hid, sp.AllToAll(0.1, delay=0.001))
    net.output("out", hid)
    sp.run(net, {"events": sp.Poisson(50.0)}, duration=0.1).plot()

Importing it needs no torch; `convert` does.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from spikeport.version import __version__

if TYPE_CHECKING:
    from spikeport.backends.opening import open_program as open
    from spikeport.backends.stepping import simulate
    from spikeport.check import check
    from spikeport.compile import compile
    from spikeport.convert import convert, requantized
    from spikeport.errors import (
        ArchiveError,
        BackendError,
        CaptureError,
        DataError,
        FileError,
        GraphError,
        Interrupted,
        LavaError,
        LowerError,
        NativeError,
        NengoError,
        NirError,
        OptionError,
        Problem,
        ProofError,
        PyNNError,
        QuantizeError,
        SpikeportError,
        TargetError,
    )
    from spikeport.lower import Verdict
    from spikeport.model import SpikingModel, load
    from spikeport.network import (
        AllToAll,
        AvgPool2d,
        Conv1d,
        Conv2d,
        Dense,
        DistanceDependent,
        FixedInDegree,
        FixedProbability,
        Module,
        Network,
        Normal,
        OneToOne,
        Sparse,
        SumPool2d,
        Uniform,
    )
    from spikeport.plugin import (  # type: ignore[no-redef]  # mypy takes the module of that name for it
        Program,
        SessionState,
        TargetInfo,
        backend,
        load_program,
        load_state,
        save_state,
        targets,
    )
    from spikeport.portable import (
        discover,
        from_nengo,
        from_nir,
        read_lava_dl,
        read_nirdata,
        to_nir,
        write_nirdata,
    )
    from spikeport.primitives import (
        IF,
        LI,
        LIF,
        PES,
        STDP,
        AdaptiveLIF,
        Approximation,
        CubaLI,
        CubaLIF,
        DynamicNetwork,
        DynamicRecording,
        DynamicsContract,
        ExecutionContract,
        I,
        InterpolatedLIF,
        Izhikevich,
        NirContract,
        Oja,
        Recording,
        RectifiedIF,
        Relay,
        ResonateAndFire,
        RewardSTDP,
        Rule,
        SigmaDelta,
        SpikeEvents,
        SpikeTrain,
        SpikingNetwork,
        SynapticScaling,
        Threshold,
    )
    from spikeport.pynn import from_pynn
    from spikeport.quantize import IntegerNetwork
    from spikeport.report import Report
    from spikeport.runtime import (  # type: ignore[no-redef]  # mypy takes the module of that name for `run`
        AddNeurons,
        AddSynapses,
        Figure,
        Gate,
        Journal,
        Poisson,
        PruneNeurons,
        PruneSynapses,
        Replace,
        Replay,
        Run,
        Session,
        SetParameters,
        SetWeights,
        Snapshot,
        SpikeTimes,
        Swap,
        replay,
        run,
    )
    from spikeport.targets import Target, load_target
    from spikeport.validate import validate  # type: ignore[no-redef]  # mypy takes the module of that name for it

__all__ = [
    "IF",
    "LI",
    "LIF",
    "PES",
    "STDP",
    "AdaptiveLIF",
    "AddNeurons",
    "AddSynapses",
    "AllToAll",
    "Approximation",
    "ArchiveError",
    "AvgPool2d",
    "BackendError",
    "CaptureError",
    "Conv1d",
    "Conv2d",
    "CubaLI",
    "CubaLIF",
    "DataError",
    "Dense",
    "DistanceDependent",
    "DynamicNetwork",
    "DynamicRecording",
    "DynamicsContract",
    "ExecutionContract",
    "Figure",
    "FileError",
    "FixedInDegree",
    "FixedProbability",
    "Gate",
    "GraphError",
    "I",
    "IntegerNetwork",
    "InterpolatedLIF",
    "Interrupted",
    "Izhikevich",
    "Journal",
    "LavaError",
    "LowerError",
    "Module",
    "NativeError",
    "NengoError",
    "Network",
    "NirContract",
    "NirError",
    "Normal",
    "Oja",
    "OneToOne",
    "OptionError",
    "Poisson",
    "Problem",
    "Program",
    "ProofError",
    "PruneNeurons",
    "PruneSynapses",
    "PyNNError",
    "QuantizeError",
    "Recording",
    "RectifiedIF",
    "Relay",
    "Replace",
    "Replay",
    "Report",
    "ResonateAndFire",
    "RewardSTDP",
    "Rule",
    "Run",
    "Session",
    "SessionState",
    "SetParameters",
    "SetWeights",
    "SigmaDelta",
    "Snapshot",
    "Sparse",
    "SpikeEvents",
    "SpikeTimes",
    "SpikeTrain",
    "SpikeportError",
    "SpikingModel",
    "SpikingNetwork",
    "SumPool2d",
    "Swap",
    "SynapticScaling",
    "Target",
    "TargetError",
    "TargetInfo",
    "Threshold",
    "Uniform",
    "Verdict",
    "__version__",
    "backend",
    "check",
    "compile",
    "convert",
    "discover",
    "from_nengo",
    "from_nir",
    "from_pynn",
    "load",
    "load_program",
    "load_state",
    "load_target",
    "open",
    "read_lava_dl",
    "read_nirdata",
    "replay",
    "requantized",
    "run",
    "save_state",
    "simulate",
    "targets",
    "to_nir",
    "validate",
    "write_nirdata",
]

_HOMES = {
    "spikeport.portable": (
        "to_nir",
        "from_nir",
        "from_nengo",
        "discover",
        "read_nirdata",
        "write_nirdata",
        "read_lava_dl",
    ),
    "spikeport.backends.opening": ("open_program as open",),
    "spikeport.backends.stepping": ("simulate",),
    "spikeport.check": ("check",),
    "spikeport.compile": ("compile",),
    "spikeport.convert": (
        "convert",
        "requantized",
    ),
    "spikeport.errors": (
        "ArchiveError",
        "BackendError",
        "CaptureError",
        "DataError",
        "FileError",
        "GraphError",
        "Interrupted",
        "LavaError",
        "LowerError",
        "NativeError",
        "NengoError",
        "NirError",
        "OptionError",
        "Problem",
        "ProofError",
        "PyNNError",
        "QuantizeError",
        "SpikeportError",
        "TargetError",
    ),
    "spikeport.lower": ("Verdict",),
    "spikeport.model": (
        "SpikingModel",
        "load",
    ),
    "spikeport.network": (
        "AllToAll",
        "AvgPool2d",
        "Conv1d",
        "Conv2d",
        "Dense",
        "DistanceDependent",
        "FixedInDegree",
        "FixedProbability",
        "Module",
        "Network",
        "Normal",
        "OneToOne",
        "Sparse",
        "SumPool2d",
        "Uniform",
    ),
    "spikeport.plugin": (
        "Program",
        "SessionState",
        "TargetInfo",
        "backend",
        "load_program",
        "load_state",
        "save_state",
        "targets",
    ),
    "spikeport.primitives": (
        "IF",
        "LI",
        "LIF",
        "PES",
        "STDP",
        "AdaptiveLIF",
        "Approximation",
        "CubaLI",
        "CubaLIF",
        "DynamicNetwork",
        "DynamicRecording",
        "DynamicsContract",
        "ExecutionContract",
        "I",
        "InterpolatedLIF",
        "Izhikevich",
        "NirContract",
        "Oja",
        "Recording",
        "RectifiedIF",
        "Relay",
        "ResonateAndFire",
        "RewardSTDP",
        "Rule",
        "SigmaDelta",
        "SpikeEvents",
        "SpikeTrain",
        "SpikingNetwork",
        "SynapticScaling",
        "Threshold",
    ),
    "spikeport.pynn": ("from_pynn",),
    "spikeport.quantize": ("IntegerNetwork",),
    "spikeport.report": ("Report",),
    "spikeport.runtime": (
        "AddNeurons",
        "AddSynapses",
        "Figure",
        "Gate",
        "Journal",
        "Poisson",
        "PruneNeurons",
        "PruneSynapses",
        "Replace",
        "Replay",
        "Run",
        "Session",
        "SetParameters",
        "SetWeights",
        "Snapshot",
        "SpikeTimes",
        "Swap",
        "replay",
        "run",
    ),
    "spikeport.targets": (
        "Target",
        "load_target",
    ),
    "spikeport.validate": ("validate",),
}
"""Where public names live. A module is imported when one of its names is asked for: importing spikeport takes no time, and no numpy."""


class _Package(ModuleType):
    """spikeport itself: some modules are named as the function that they hold, and importing one must not hide the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


_PLACES = {
    entry.rpartition(" ")[2]: (module, entry.partition(" ")[0]) for module, names in _HOMES.items() for entry in names
}
sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        if name.startswith("_") or find_spec(f"{__name__}.{name}") is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return importlib.import_module(f"{__name__}.{name}")
    module, its_name = _PLACES[name]
    found = globals()[name] = getattr(importlib.import_module(module), its_name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
