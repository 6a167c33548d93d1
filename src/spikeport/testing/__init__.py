"""For those who write backends: the conformance suite."""
