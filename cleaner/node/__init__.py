"""The machine: its disk, its clocks, its signals and what is remembered on it."""
