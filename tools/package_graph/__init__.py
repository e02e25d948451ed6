"""The imports between the packages of `cleaner/`, as a graph."""
