"""Files and objects of other tools, in and out: thin fronts of rooms whose packages load when they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import nengo
    from nir import NIRGraph, NIRGraphData

    from spikeport.model import SpikingModel
    from spikeport.nengo.model import NengoModel
    from spikeport.network import Network
    from spikeport.nir.discovery import Discovery
    from spikeport.nir.nirdata import NirData
    from spikeport.primitives import (
        DynamicNetwork,
        DynamicRecording,
        DynamicsContract,
        Ledger,
        NirContract,
        SpikingNetwork,
    )


def to_nir(
    model: SpikingModel | SpikingNetwork | DynamicNetwork | Network,
    path: str | Path,
    *,
    dialect: str | None = None,
    strict: bool = False,
) -> Ledger:
    """Write a NIR file that any reader of NIR opens, with our execution contract as metadata.

    In population code (`code="population"`) the file means the same in other simulators: one step of any of them, from the encoded
    input to the read-out, gives our integers. Other codes are exact in spikeport alone, and approximate elsewhere.

    A `DynamicNetwork`, or a `Network` as it is built by default, is written as the graph that is closest to it, and read back as it was, potentials bit for bit.

    Args:
        dialect: the tool that will run it: "norse", "sinabs", "snntorch", "spikingjelly", or "spyx", which runs networks with dynamics alone. Its
            unmodified importer gives the declared spikes; None: a network in population code is for any tool whose IF adds its input
            to the potential in each step.
        strict: refuse what is lost; remarks (`entry.is_remark`) lose nothing.

    Returns:
        What plain NIR cannot say, or the tool does otherwise: entries for the ledger.

    Raises:
        NirError: operations without a form in NIR, or that the tool would read otherwise, all of them by name.
        OptionError: a dialect that is not known.
        FileError: the file cannot be written.
    """
    from spikeport import nir  # h5py and nir load only when they are used
    from spikeport.model import SpikingModel
    from spikeport.network import as_built

    network = model.network if isinstance(model, SpikingModel) else as_built(model)
    return nir.to_nir(network, path, dialect=dialect, strict=strict)


def from_nir(
    path: str | Path,
    *,
    contract: NirContract | DynamicsContract | None = None,
    like: str | None = None,
    dt: float | None = None,
    repair: bool = False,
) -> SpikingNetwork | DynamicNetwork:
    """Read a NIR file. One that `to_nir` wrote from a converted network is that network again, spike for spike.

    Any other file becomes a `DynamicNetwork`. NIR says neither the time step nor how neurons integrate, fire and reset: the file's
    execution contract does, or whoever reads it. Every parameter of every node is used, or ignored as the contract says and entered
    in the ledger, or refused.

    Args:
        contract: what the file means; a `DynamicsContract` where its numbers are as NIR has them, times in seconds.
        like: the tool whose reading of files is meant, "snntorch" for example.
        dt: duration of a step in seconds, in place of that of `contract` or `like`.
        repair: mend defects of files in the wild that have one plain remedy: a missing Input or Output, parameters that are one value for
            a layer or a channel, axes of batch and time in the shape of an Output, edges that name nodes inside of nested graphs. Each repair
            is an entry of the `ledger`, and is named as the way out of the error where a file is refused without.

    Raises:
        NirError: no contract, one that does not fit the graph, or what cannot be carried; all of it by node.
        FileError: the file cannot be read.
        OptionError: options that contradict each other.
    """
    from spikeport import nir

    return nir.from_nir(path, contract=contract, like=like, dt=dt, repair=repair)


def from_nengo(network: nengo.Network | nengo.Simulator, *, dt: float | None = None, plain: bool = False) -> NengoModel:
    """Read a network of Nengo 4, with the decoders that Nengo solved, into a network that any backend steps: the same spikes in the same steps.

    `model.run(seconds)[probe]` is what `sim.data[probe]` is. `model.network` is the `DynamicNetwork`: ensembles by their labels, each with a relay
    for what is decoded into it, a leaky integrator for each synapse, and its `ledger`, which says what is not as in Nengo.

    A `Simulator` is read as it was built, and calls nothing. A `Network` is built by Nengo first, which calls the functions of its connections to
    solve decoders. Functions of nodes are called where a run or `model.inputs` samples them for whoever asked, and at no other time.

    Args:
        dt: of a `Network`, seconds of a step; default: 1 ms, as in Nengo.
        plain: neurons that chips and files know, `LIF` with a refractory period of whole steps, in place of `InterpolatedLIF`, which is Nengo's LIF
            spike for spike; the ledger says what it costs.

    Raises:
        NengoError: what cannot be carried, all of it by path.
        OptionError: something else than a network, or Nengo is not installed.
    """
    from spikeport import nengo as rooms

    return rooms.from_nengo(network, dt=dt, plain=plain)


def discover(
    graph: str | Path | NIRGraph,
    recording: Any,
    *,
    dt: float | Sequence[float] | None = None,
    given: Mapping[str, Any] | None = None,
    limit: float = 300.0,
    repair: bool = False,
) -> Discovery:
    """Find out what a NIR file means, from one recording of what a simulator was given and what came out.

    Each contract that can make a difference for this graph is run, the usual ones first; those that give every recorded value
    exactly are returned, in classes that the recording does not tell apart. Spikes are compared exactly, potentials within 1e-6 of
    the largest, as simulators round them.

    Args:
        graph: a file, or a `nir.NIRGraph`.
        recording: an npz with `input` and `expected`, each (time, *shape), or a mapping of such arrays; of several Inputs or Outputs
            `input.NAME` and `expected.NAME`, where any node may be a NAME of what is expected. Or NIRData, a file or an object: what its
            Inputs gave went in, and everything else is expected; or two of these, of what went in and what came out.
        dt: duration of a step in seconds, or several to try; default: the recording's.
        given: answers that are known and need no search, by question: {"compare": ">"}.
        limit: seconds after which the search ends with what it has; `complete` is False then.
        repair: mend defects of the graph first, as `from_nir` does.

    Raises:
        NirError: a file that is none, or a graph that has no meaning under any contract.
        DataError: a recording that does not fit.
        FileError: a file cannot be read.
        OptionError: an option out of range.
    """
    from spikeport import nir

    return nir.discover(graph, recording, dt=dt, given=given, limit=limit, repair=repair)


def read_nirdata(path: str | Path) -> NirData:
    """Read a recording from a NIRData file, events and grids of time, within the same bounds as NIR files.

    Returns:
        What was observed, by node and name: `nodes["lif"]["spikes"]`. Its `recording(dt)` is the same as a simulation gives it.

    Raises:
        DataError: a file that is none, is damaged or unreasonable, or holds what NIRData does not have; all of it by name.
        FileError: the file cannot be read.
    """
    from spikeport import nir

    return nir.read_nirdata(path)


def write_nirdata(
    recording: DynamicRecording | NirData | NIRGraphData, path: str | Path, *, dt: float | None = None
) -> Path:
    """Write a recording as NIRData, which `nir.read_data` reads; a file that is there is replaced once the new one is whole.

    NIRData has one axis of neurons, so they are flat, in C order. Spikes are events in the middle of their step, with payloads as values;
    potentials are on a grid of time.

    Args:
        recording: what `simulate` recorded of a network with dynamics, or what `read_nirdata` gave.
        dt: duration of a step in seconds, where potentials alone were recorded, which do not know it.

    Raises:
        DataError: it holds nothing, a name that HDF5 would take apart, or no duration of a step.
        FileError: it cannot be written.
    """
    from spikeport import nir

    return nir.write_nirdata(recording, path, dt=dt)


def read_lava_dl(path: str | Path, *, input_shape: tuple[int, ...] | None = None, spike_exp: int = 6) -> DynamicNetwork:
    """Read a network that lava-dl exported (`net.export_hdf5("network.net")`): the spikes are those of Lava's fixed-point simulation.

    What the file leaves open, and where lava-dl's training and Lava differ, stands in the `ledger` of the network. Its input, `input`,
    and its populations, `layer0`, `layer1` and so on by the numbers of the file, have shapes (neuron,) or (channel, y, x).

    Args:
        input_shape: of a file that has no input layer and begins with a convolution, (channel, y, x).
        spike_exp: bits after the binary point of what sigma-delta neurons send, 0 to 7; the file does not say.

    Raises:
        LavaError: layers or neurons that cannot be carried, all of them by name; or a damaged file.
        FileError: the file cannot be read.
        OptionError: an option out of range, or one that contradicts the file.
    """
    from spikeport import lava_dl  # h5py loads only when it is used

    return lava_dl.read_lava_dl(path, input_shape=input_shape, spike_exp=spike_exp)
