"""A node that is not there: runtime and disk behind the same ports, for the demo and for tests."""
