"""Which paths Linux can hold, and how a path from outside is shown in a message.

It must not ask a file system; see the adapter that uses the path.
"""

LONGEST_NAME_BYTES = 255
"""NAME_MAX: of each part between two slashes. Some file systems hold less."""
LONGEST_PATH_BYTES = 4095
"""PATH_MAX without its terminating zero."""
LONGEST_DATABASE_BYTES = 500
"""Of a SQLite file's whole path: SQLite 3 gives up at 512 with the suffix of a journal (504 worked, 505 did not)."""
LONGEST_DATABASE_NAME_BYTES = 220
"""Of a SQLite file's name: the ledger's longest suffix, `.broken-20261201T000000Z-2-wal`, has to fit behind it."""
LONGEST_SHOWN = 120
_SHOWN_END = 40


def impossible_in(path: str) -> str | None:
    """Why no file system can hold a path, in words that continue it; None where one can."""
    if "\0" in path:
        return "has a NUL character in it"
    encoded = encode(path)
    if len(encoded) > LONGEST_PATH_BYTES:
        return f"is longer than the {LONGEST_PATH_BYTES} bytes that a path can have"
    if any(len(name) > LONGEST_NAME_BYTES for name in encoded.split(b"/")):
        return f"has a part that is longer than the {LONGEST_NAME_BYTES} bytes that a name can have"
    return None


def impossible_in_database(path: str) -> str | None:
    """The same for the file of a SQLite database, whose path and name have to be shorter."""
    if impossible := impossible_in(path):
        return impossible
    encoded = encode(path)
    if len(encoded) > LONGEST_DATABASE_BYTES:
        return f"is longer than the {LONGEST_DATABASE_BYTES} bytes that a SQLite file's path can have"
    if len(encoded.rpartition(b"/")[2]) > LONGEST_DATABASE_NAME_BYTES:
        return f"has a file name of more than {LONGEST_DATABASE_NAME_BYTES} bytes, which leaves no room for suffixes"
    return None


def shown(path: str) -> str:
    """A path on one line of readable length: its begin and its end."""
    line = visible(path)
    if len(line) <= LONGEST_SHOWN:
        return line
    return f"{line[: LONGEST_SHOWN - _SHOWN_END - 3]}...{line[-_SHOWN_END:]}"


def visible(path: str) -> str:
    """A path on one line, with what a terminal would act on as an escape."""
    if path.isprintable():
        return path
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in path
    )


def encode(path: str) -> bytes:
    """As the kernel gets it; a lone surrogate, which it never gets, counts too."""
    return path.encode("utf-8", "surrogatepass")
