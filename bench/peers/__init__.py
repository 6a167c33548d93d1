"""Other people's simulators beside ours: environments of their own, a worker in each, and cases that all of them run."""
