"""Which images a person asks `history` for: a pattern, or the beginning of an id.

It must not read the ledger: its history comes in as values.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from cleaner.core.history import ExternallyRemovedImage, PastEviction
from cleaner.core.references import Pattern, names_of, parse_reference


@dataclass(frozen=True, slots=True)
class IdPrefix:
    """The beginning of an image id."""

    digits: str
    """Hexadecimal, in small letters, without `sha256:`."""

    def matches(self, image_id: str) -> bool:
        """Whether an id begins so, with or without its algorithm."""
        return image_id.rpartition(":")[2].startswith(self.digits)


ImageFilter = Pattern | IdPrefix
Gone = TypeVar("Gone", PastEviction, ExternallyRemovedImage)
"""What the ledger has stored of an image that was evicted or removed externally."""


def matching(gone: Iterable[Gone], image: ImageFilter | None) -> tuple[Gone, ...]:
    """Those of one image, in their order; None asks for all.

    A pattern sees the names that a rule would see: one with a tag does not cover an image that had only a digest.
    """
    return tuple(each for each in gone if image is None or _is_of(each, image))


def _is_of(gone: PastEviction | ExternallyRemovedImage, image: ImageFilter) -> bool:
    if isinstance(image, IdPrefix):
        return image.matches(gone.image_id)
    if image.matches_no_reference:
        return not gone.references
    names = names_of(gone.references)
    if names is None:  # one that makes no sense must not hide another
        if image.text in gone.references:
            return True
        names = names_of(tuple(text for text in gone.references if parse_reference(text))) or ()
    return any(image.matches(name) for name in names)
