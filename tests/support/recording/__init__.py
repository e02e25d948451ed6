"""Recordings of what real containerds do: their events in order, and what their lists say.

To record anew (root): `make recordings`. An end-to-end test shows that the files are what containerds still do.
"""

from support.recording.scenario import RecordedBench, path_of, read, record, write

__all__ = ["RecordedBench", "path_of", "read", "record", "write"]
