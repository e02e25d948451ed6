"""What `history` prints of images that were removed externally.

The agent cannot say who removed them. It says between which two inspections, and how full the disk was.
"""

from collections.abc import Sequence
from typing import TextIO

from cleaner.core.history import ExternallyRemovedImage
from cleaner.outlets.terminal.history import IMAGE, WHEN, Column, minute_of, name_of, print_table
from cleaner.outlets.terminal.json_documents import JsonDocument
from cleaner.outlets.units import MOST_ROWS, human_percent, one_line, rfc3339, short_id


def removed_externally_document(removed: Sequence[ExternallyRemovedImage]) -> list[JsonDocument]:
    """Every image, the newest first."""
    return [_image(image) for image in removed]


def print_removed_externally(
    removed: Sequence[ExternallyRemovedImage], stream: TextIO, *, all_rows: bool = False
) -> None:
    """A row for each of the newest, and what that means; nothing where there are none."""
    if not removed:
        return
    shown = removed[: None if all_rows else MOST_ROWS]
    count = "1 image was" if len(removed) == 1 else f"{len(removed)} images were"
    stream.write(f"\n{count} removed externally, between two inspections:\n\n")
    print_table(_COLUMNS, shown, stream)
    if len(shown) < len(removed):
        stream.write(f"The newest {len(shown)} of {len(removed)} are shown; --all shows every one.\n")


def _image(image: ExternallyRemovedImage) -> JsonDocument:
    return {
        "id": image.image_id,
        "references": list(image.references),
        "last_seen_at": rfc3339(image.last_seen_at),
        "gone_at": rfc3339(image.gone_at),
        "first_seen_at": rfc3339(image.first_seen_at),
        "last_used_at": rfc3339(image.last_used_at),
        "used_percent": image.used_percent,
        "replaced_by": image.replaced_by,
        "returned_at": rfc3339(image.returned_at),
    }


def _which(image: ExternallyRemovedImage) -> str:
    moved = f": its tags moved to {short_id(image.replaced_by)}" if image.replaced_by else ""
    return one_line(f"{name_of(image)}{moved}")


_COLUMNS: tuple[Column[ExternallyRemovedImage], ...] = (
    (WHEN, lambda image: minute_of(image.gone_at)),
    ("last there (utc)", lambda image: minute_of(image.last_seen_at)),
    ("used>", lambda image: human_percent(image.used_percent)),
    ("back (utc)", lambda image: minute_of(image.returned_at) if image.returned_at else ""),
    (IMAGE, _which),
)
"""`used`: the highest usage measured since it was last there."""
