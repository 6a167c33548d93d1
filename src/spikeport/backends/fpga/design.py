"""The files of a design: the core, a top module with the widths and depths of one network, its memories, a testbench."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from spikeport.backends.fpga.machine import LAYOUT, Machine
from spikeport.backends.fpga.names import mangled, quoted

CORE, TESTBENCH, TOP = "spikeport_core.sv", "testbench.sv", "top.sv"
SOURCES = (CORE, TOP)
"""What is synthesized, besides the memories."""


def top_name(machine: Machine) -> str:
    """Name of the top module."""
    return f"snn_{mangled(machine.name)}"


def design(machine: Machine) -> Mapping[str, str]:
    """Files by name; equal machines give equal text."""
    rtl = files("spikeport.backends.fpga") / "rtl"
    found = {
        CORE: (rtl / CORE).read_text("utf-8"),
        TOP: top(machine),
        TESTBENCH: (rtl / TESTBENCH).read_text("utf-8").replace("spikeport_top", top_name(machine)),
    }
    return found | {f"{name}.mem": machine.memories[name].text() for name in LAYOUT}


def write(machine: Machine, folder: Path) -> None:
    """All files into a folder that is there."""
    for name, text in design(machine).items():
        (folder / name).write_text(text, "utf-8", newline="\n")


def top(machine: Machine) -> str:
    """The module that a person instantiates."""
    lines = [
        f"// {quoted(machine.name)} on the core of spikeport: {sum(machine.populations.values())} neurons,",
        f"// {machine.synapses} synapses. The memories are read from the folder in which tools are started.",
        "",
        f"module {top_name(machine)} (",
        "    input  wire        clk,",
        "    input  wire        resetn,",
        "    input  wire [63:0] s_axis_tdata,",
        "    input  wire        s_axis_tvalid,",
        "    output wire        s_axis_tready,",
        "    output wire [63:0] m_axis_tdata,",
        "    output wire        m_axis_tvalid,",
        "    input  wire        m_axis_tready,",
        "    output wire        m_axis_tlast",
        ");",
        "    // places in beats",
    ]
    for name, place in machine.places.items():
        size = machine.inputs.get(name) or machine.populations.get(name, 0)
        what = "lines" if name in machine.inputs else "neurons"
        lines.append(f"    localparam PLACE_{mangled(name)} = {place};  // {quoted(name)}, {size} {what}")
    lines += ["", "    spikeport_core #("]
    given = [f"        .{key}({value})" for key, value in machine.parameters.items()]
    lines += [",\n".join(given)]
    lines += [
        "    ) core (",
        "        .clk(clk),",
        "        .resetn(resetn),",
        "        .s_axis_tdata(s_axis_tdata),",
        "        .s_axis_tvalid(s_axis_tvalid),",
        "        .s_axis_tready(s_axis_tready),",
        "        .m_axis_tdata(m_axis_tdata),",
        "        .m_axis_tvalid(m_axis_tvalid),",
        "        .m_axis_tready(m_axis_tready),",
        "        .m_axis_tlast(m_axis_tlast)",
        "    );",
        "endmodule",
        "",
    ]
    return "\n".join(lines)
