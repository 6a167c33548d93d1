"""Which modules of src can be collected for their doctests."""

from importlib.util import find_spec

NEEDS_TORCH = ("capture", "backends/torch")

collect_ignore = [] if find_spec("torch") else [f"src/spikeport/{room}" for room in NEEDS_TORCH]
if not find_spec("triton"):
    collect_ignore.append("src/spikeport/backends/torch/on_gpu.py")
