"""The public API, pinned: a change here is a change that users notice, and needs a fragment in `changes/`."""

import inspect

import pytest

import spikeport

NAMES = [
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

SIGNATURES = {
    "backend": "(name: 'str', *, points: 'Iterable[metadata.EntryPoint] | None' = None) -> 'Backend'",
    "convert": "(model: 'nn.Module', data: 'Iterable[Any]', *, levels: 'int | Mapping[str, int]' = 31, "
    "weight_bits: 'int' = 8, input_bits: 'int' = 8, state_bits: 'int' = 24, code: \"Code | Literal['auto']\" = 'signed', "
    "input: 'InputKind' = 'static', steps: 'int | None' = None, features: 'Collection[codes.Feature] | None' = None, max_samples: 'int' = 512, seed: 'int' = 0, "
    "progress: 'bool' = True) -> 'SpikingModel'",
    "validate": "(snn: 'SpikingModel', data: 'Iterable[Any]', *, model: 'Any' = None, "
    "tolerance: 'float | None' = None, stepped: 'int | None' = None, progress: 'bool' = True) -> 'Report'",
    "simulate": "(network: 'SpikingNetwork | DynamicNetwork', x: 'Any' = None, *, "
    "record: 'Collection[str] | None' = (), max_steps: 'int | None' = None, "
    "currents: 'Mapping[str, Any] | None' = None, modulation: 'Mapping[str, Any] | None' = None, "
    "record_weights: 'Collection[str]' = (), weights_every: 'int | None' = None, on: 'str | None' = None) "
    "-> 'Recording | DynamicRecording'",
    "Session": "(network: 'Network | DynamicNetwork', *, dt: 'float | None' = None, contract: 'DynamicsContract | None' = None, "
    "batch: 'int' = 1, on: 'str | None' = None) -> 'None'",
    "replay": "(journal: 'Journal', *, on: 'str | None' = None) -> 'Replay'",
    "load": "(path: 'str | Path') -> 'SpikingModel'",
    "load_state": "(path: 'str | Path', network: 'DynamicNetwork | None' = None) -> 'SessionState'",
    "save_state": "(state: 'SessionState', path: 'str | Path', network: 'DynamicNetwork') -> 'Path'",
    "load_target": "(path: 'str | Path') -> 'Target'",
    "targets": "() -> 'TargetList'",
    "to_nir": "(model: 'SpikingModel | SpikingNetwork | DynamicNetwork | Network', path: 'str | Path', *, dialect: 'str | None' = None, "
    "strict: 'bool' = False) -> 'Ledger'",
    "discover": "(graph: 'str | Path | NIRGraph', recording: 'Any', *, dt: 'float | Sequence[float] | None' = None, "
    "given: 'Mapping[str, Any] | None' = None, limit: 'float' = 300.0, repair: 'bool' = False) -> 'Discovery'",
    "from_nir": "(path: 'str | Path', *, contract: 'NirContract | DynamicsContract | None' = None, like: 'str | None' = None, "
    "dt: 'float | None' = None, repair: 'bool' = False) -> 'SpikingNetwork | DynamicNetwork'",
    "from_pynn": "(*parts: 'Any', like: 'Like | None' = None, dt: 'float | None' = None, conductances_at: 'float | None' = None, "
    "seed: 'int' = 0) -> 'Imported'",
    "read_nirdata": "(path: 'str | Path') -> 'NirData'",
    "write_nirdata": "(recording: 'DynamicRecording | NirData | NIRGraphData', path: 'str | Path', *, "
    "dt: 'float | None' = None) -> 'Path'",
    "read_lava_dl": "(path: 'str | Path', *, input_shape: 'tuple[int, ...] | None' = None, spike_exp: 'int' = 6) -> 'DynamicNetwork'",
}

MEMBERS = {
    "SpikingModel": [
        "as_module",
        "certificate",
        "graph",
        "integer",
        "ledger",
        "network",
        "readout",
        "report",
        "samples",
        "save",
        "simulate",
        "summary",
        "with_code",
        "with_report",
    ],
    "SpikeTrain": ["counts", "dt", "events", "raster"],
    "Recording": [
        "counts",
        "n_spikes",
        "n_steps",
        "output",
        "potentials",
        "quiet_after",
        "readout",
        "spikes",
    ],
    "Problem": ["hint", "where", "why"],
}


def test_the_public_names_are_these_sorted() -> None:
    assert spikeport.__all__ == NAMES
    assert sorted(set(NAMES)) == sorted(NAMES)  # the linter keeps the order


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_exists_and_says_what_it_is(name: str) -> None:
    value = getattr(spikeport, name)
    if name != "__version__":
        assert inspect.getdoc(value)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_these(name: str) -> None:
    assert str(inspect.signature(getattr(spikeport, name))) == SIGNATURES[name]


@pytest.mark.parametrize("name", MEMBERS)
def test_members_are_these(name: str) -> None:
    cls = getattr(spikeport, name)
    public = {m for m in dir(cls) if not m.startswith("_")} | {m for m in cls.__dataclass_fields__ if m[0] != "_"}
    assert sorted(public) == MEMBERS[name]


def test_every_error_is_a_spikeport_error_and_what_python_calls_such_an_error() -> None:
    bases = {
        "DataError": ValueError,
        "OptionError": ValueError,
        "GraphError": ValueError,
        "NirError": ValueError,
        "TargetError": ValueError,
        "FileError": OSError,
        "ArchiveError": spikeport.FileError,
    }
    for name in NAMES:
        if name.endswith("Error"):
            cls = getattr(spikeport, name)
            assert issubclass(cls, spikeport.SpikeportError)
            assert issubclass(cls, bases.get(name, Exception))
            problems = (spikeport.Problem("conv1", "is odd", "make it even"), spikeport.Problem("conv2", "too"))
            assert str(cls(problems)) == "conv1: is odd\n  hint: make it even\nconv2: too"
            assert cls(problems[0]).problems == problems[:1]
