"""Recordings as objects of Neo."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from spikeport.errors import OptionError, Problem
from spikeport.primitives import DynamicRecording

if TYPE_CHECKING:
    import neo


def block_of(recording: DynamicRecording, names: Collection[str], dt: float, name: str) -> neo.Block:
    """A block with a segment a sample.

    Raises:
        OptionError: Neo is not installed.
    """
    try:
        import neo
        import quantities as pq
    except ImportError as error:
        raise OptionError(Problem("to_neo", "needs Neo", "pip install 'spikeport[neo]'")) from error
    block = neo.Block(name=name)
    end = recording.n_steps * dt
    counts = next(iter(recording.counts.values()), None)
    for sample in range(1 if counts is None else len(counts)):
        segment = neo.Segment(name=f"sample {sample}")
        for entry in names:
            path, _, what = entry.rpartition(".")
            if what == "spikes":
                events = recording.spikes[path]
                mine = events.samples == sample
                steps, neurons = events.steps[mine], events.neurons[mine]
                for neuron in range(int(recording.counts[path][sample].size)):
                    times = (steps[neurons == neuron] + 1) * dt
                    train = neo.SpikeTrain(times, units=pq.s, t_stop=end * pq.s, name=f"{path}[{neuron}]")
                    segment.spiketrains.append(train)
                continue
            values = (recording.potentials if what == "v" else recording.currents)[path][:, sample]
            signal = neo.AnalogSignal(
                values.reshape(len(values), -1),
                units=pq.dimensionless,
                sampling_period=dt * pq.s,
                t_start=dt * pq.s,
                name=entry,
            )
            segment.analogsignals.append(signal)
        block.segments.append(segment)
    return block
