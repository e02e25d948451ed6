"""What `history` prints of images that were removed externally."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleaner.cli.image_filter import IdPrefix, ImageFilter, matching
from cleaner.core.history import ExternallyRemovedImage
from cleaner.core.references import parse_pattern
from cleaner.outlets.terminal.removed_externally import print_removed_externally, removed_externally_document
from cleaner.outlets.units import MOST_ROWS
from support.golden import assert_golden

GOLDEN = Path(__file__).parents[1] / "golden"
AT = datetime(2026, 6, 15, 2, 11, 30, tzinfo=UTC)
APP = "registry.gitlab.com/golem-ai/app"


def make_removed(number: int) -> ExternallyRemovedImage:
    return ExternallyRemovedImage(
        f"sha256:{number:064x}",
        (f"{APP}{number}:1.0", f"{APP}{number}@sha256:{number:064x}"),
        last_seen_at=AT - timedelta(hours=number, minutes=1),
        gone_at=AT - timedelta(hours=number),
        first_seen_at=AT - timedelta(days=30),
        last_used_at=AT - timedelta(days=2),
        used_percent=86.04,
    )


RETURNED = replace(make_removed(2), returned_at=AT)
MOVED = replace(make_removed(3), replaced_by=f"sha256:{9:064x}")
NAMELESS = replace(make_removed(4), references=(), used_percent=None, last_used_at=None)
ALL = (make_removed(1), RETURNED, MOVED, NAMELESS)


def printed(images: tuple[ExternallyRemovedImage, ...], *, all_rows: bool = False) -> str:
    stream = io.StringIO()
    print_removed_externally(images, stream, all_rows=all_rows)
    return stream.getvalue()


def test_the_table_is_the_golden_one() -> None:
    """When it was missed and when it was last there, how full the disk was, whether it was re-pulled, and its names."""
    assert_golden(GOLDEN / "history-removed-externally.txt", printed(ALL))


def test_nothing_is_said_of_nothing() -> None:
    """Where nothing was removed externally, history is what it was."""
    assert printed(()) == ""


def test_one_image_is_one() -> None:
    """The line before the table counts."""
    assert printed((RETURNED,)).startswith("\n1 image was removed externally, between two inspections:\n\n")


@pytest.mark.parametrize(
    ("count", "all_rows", "rows"), [(MOST_ROWS, False, 50), (MOST_ROWS + 1, False, 50), (MOST_ROWS + 1, True, 51)]
)
def test_a_long_table_shows_the_newest(count: int, rows: int, *, all_rows: bool) -> None:
    """Fifty rows, and how many there are; all of them on request."""
    text = printed(tuple(map(make_removed, range(1, count + 1))), all_rows=all_rows)
    assert text.count(APP) == rows
    assert ("The newest 50 of 51 are shown; --all shows every one." in text) == (rows < count)


def test_the_document_has_every_field() -> None:
    """Null where it is not known; it can be written as JSON."""
    _, returned, moved, nameless = json.loads(json.dumps(removed_externally_document(ALL)))
    assert returned == {
        "id": RETURNED.image_id,
        "references": list(RETURNED.references),
        "last_seen_at": "2026-06-15T00:10:30Z",
        "gone_at": "2026-06-15T00:11:30Z",
        "first_seen_at": "2026-05-16T02:11:30Z",
        "last_used_at": "2026-06-13T02:11:30Z",
        "used_percent": 86.04,
        "replaced_by": None,
        "returned_at": "2026-06-15T02:11:30Z",
    }
    assert moved["replaced_by"] == MOVED.replaced_by
    assert (nameless["used_percent"], nameless["last_used_at"], nameless["references"]) == (None, None, [])


@pytest.mark.parametrize(
    ("asked", "found"),
    [(None, ALL), (parse_pattern(f"{APP}2"), (RETURNED,)), (IdPrefix("0" * 63 + "4"), (NAMELESS,))],
)
def test_one_image_is_asked_for_as_among_evictions(
    asked: ImageFilter | None, found: tuple[ExternallyRemovedImage, ...]
) -> None:
    """By a pattern for its references, or by its id."""
    assert matching(ALL, asked) == found
