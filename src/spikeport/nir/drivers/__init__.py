"""How simulators read and run a NIR file: one script each, run by a Python that has the simulator; see `answering`.

A driver says with `PACKAGES` what has to be installed, with `DT` the seconds of a step that it is probed with, with `STEP` where that number goes, and

    run(path, x, dt)    gives what leaves the graph of a file in each step, (time, ...), for what enters it, float32 (time, ...)

by the simulator's own importer, unchanged. What it needs is imported inside, so that the file can be looked at anywhere.
"""
