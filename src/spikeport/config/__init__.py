"""Where files, environment and flags become the options of the stages. The library itself reads none of them."""

from spikeport.config.gather import Configuration, Setting, configuration, project_file
from spikeport.config.options import ConvertOptions, NirOptions, ProjectOptions, RunOptions, ValidateOptions
from spikeport.config.schema import schema

__all__ = [
    "Configuration",
    "ConvertOptions",
    "NirOptions",
    "ProjectOptions",
    "RunOptions",
    "Setting",
    "ValidateOptions",
    "configuration",
    "project_file",
    "schema",
]
