"""The decisions, as values in and values out: no I/O, clock, logging, network or randomness."""
