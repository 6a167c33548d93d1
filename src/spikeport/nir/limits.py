"""What a file may ask of a reader; a network beyond these limits is not written either."""

MAX_FILE_BYTES = 2**31
MAX_LOADED_BYTES = 2**31
MAX_OBJECTS = 200_000
"""HDF5 groups and datasets."""
MAX_NODES = 20_000
MAX_EDGES = 40_000
MAX_DEPTH = 16
MAX_RANK = 8
MAX_ELEMENTS = 2**27
"""Of one array, and neurons of one population or intermediate shape."""
MAX_NAME = 1_000
MAX_TEXT = 2**26
"""Characters of the contract."""
MAX_STEPS = 2**24
MAX_PRESENTATION = 2**20
MAX_INTEGER = 2**53
"""Larger integers are not exact in the floating point of NIR readers."""
