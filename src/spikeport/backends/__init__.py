"""What executes networks: `reference` (numpy, step by step) and `torch` (exact evaluation in one pass)."""
