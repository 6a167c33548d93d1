"""Files of our own: arrays and JSON in one archive, and a closed list of types that can come out of it."""
