"""Reports how long the steps of `make test` took, and the slowest tests. Durations never fail a run."""
