"""Reads the path of the ledger, which SQLite bounds more than a file system does."""

from cleaner.config.values import absolute_path
from cleaner.core.paths import impossible_in_database


def database_path(value: object) -> str:
    """The path of a file in which SQLite can keep a database; ValueError as the parsers of `values.py` raise it."""
    path = absolute_path(value)
    if not path.rpartition("/")[2].strip("."):
        raise ValueError("names no file; write the path of one, such as /var/lib/cleaner/ledger.db")
    if impossible := impossible_in_database(path):
        raise ValueError(f"{impossible}; write a shorter path")
    return path
