"""A project: its whole road in one command, and a folder for what came of each run."""

from spikeport.project.folder import RunFolder, changes, listed, run_folder
from spikeport.project.road import take

__all__ = ["RunFolder", "changes", "listed", "run_folder", "take"]
