"""Which paths a file system can hold, in bytes, and how a path is shown."""

import pytest

from cleaner.core.paths import impossible_in, impossible_in_database, shown, visible

NAME = "n" * 255


def path_of(size_bytes: int) -> str:
    """A path of short parts."""
    return ("/" + "p" * 49) * (size_bytes // 50) + "/" * (size_bytes % 50)


@pytest.mark.parametrize(
    "path", ["/", "/a", f"/{NAME}", f"/{NAME}/a", "/" + "é" * 127 + "n", path_of(4095), "/\ud800", "/a\nb"]
)
def test_a_path_that_fits(path: str) -> None:
    """255 bytes of one part and 4,095 of all fit; how many characters they are does not count."""
    assert impossible_in(path) is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/a\0b", "NUL character"),
        (f"/{NAME}n", "255 bytes that a name can have"),
        (f"/a/{NAME}n/b", "255 bytes that a name can have"),
        ("/" + "é" * 128, "255 bytes that a name can have"),
        (path_of(4096), "4095 bytes that a path can have"),
        ("/é" * 1366, "4095 bytes that a path can have"),
    ],
)
def test_a_path_that_fits_nowhere(path: str, says: str) -> None:
    """The limit is named; it counts bytes."""
    assert says in (impossible_in(path) or "")
    assert impossible_in_database(path) == impossible_in(path)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (path_of(500), None),
        (path_of(501), "500 bytes that a SQLite file's path can have"),
        ("/é" * 167, "500 bytes that a SQLite file's path can have"),
        ("/a/" + "n" * 220, None),
        ("/a/" + "n" * 221, "file name of more than 220 bytes"),
        ("/" + "é" * 111 + "/b", None),
        ("/a/" + "é" * 111, "file name of more than 220 bytes"),
    ],
)
def test_a_path_of_a_database(path: str, says: str | None) -> None:
    """SQLite holds less, and the ledger's suffixes need room."""
    found = impossible_in_database(path)
    assert found is None if says is None else says in (found or "")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/var/lib/x y", "/var/lib/x y"),
        ("/é", "/é"),
        ("/a\n\x1b[31m\0", "/a\\n\\x1b[31m\\x00"),
        ("/\udc80", "/\\udc80"),
        ("/" + "a" * 119, "/" + "a" * 119),
        ("/begin" + "a" * 115 + "/end", "/begin" + "a" * 71 + "..." + "a" * 36 + "/end"),
    ],
)
def test_a_path_on_one_line(path: str, text: str) -> None:
    """What a terminal would act on is an escape, and a long path keeps its begin and end."""
    assert shown(path) == text
    assert len(shown(path)) <= 120
    assert text == visible(path) or len(path) > 120
