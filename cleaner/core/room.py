"""Room for the images that are being pulled: what they will still take counts as used already.

Refuses to make room for what cannot fit: then nothing goes for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cleaner.core.pulls import Pull
from cleaner.core.reclaim import Size
from cleaner.core.usage import Filesystem, Part, Resource, Usage


def with_pulls(usage: Usage, pulls: Sequence[Pull]) -> Usage:
    """The usage as if these pulls were done."""
    return usage.less(_expected(usage, pulls))


def fit(usage: Usage, pulls: Sequence[Pull], reclaimable: Size | None) -> bool:
    """Whether they have room once everything evictable is gone.

    Where what that frees is not known: on an empty disk.
    """
    by_filesystem, apart = {each.filesystem: each for each in usage.all}, usage.content_apart

    def room(filesystem: Filesystem) -> int:
        if reclaimable is None:
            return by_filesystem[filesystem].capacity_bytes
        freed = reclaimable.of(Part(filesystem, Resource.BYTES), content_apart=apart)
        return by_filesystem[filesystem].available_bytes + freed

    return all(room(filesystem) >= size for filesystem, size in _expected(usage, pulls).items())


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Pulls that a sweep found no room for: they count no more until the node changes, or they fit after all."""

    digests: frozenset[str] = frozenset()
    fingerprint: int = 0
    """Of the images, containers and candidates of then."""

    def without(
        self, pulls: Sequence[Pull], usage: Usage, evictable: Size | None, fingerprint: int
    ) -> tuple[Pull, ...]:
        """The others; all where the node has changed, or something else has left the disk."""
        if fingerprint != self.fingerprint or fit(usage, pulls, evictable):
            return tuple(pulls)
        return tuple(pull for pull in pulls if pull.digest not in self.digests)


def _expected(usage: Usage, pulls: Sequence[Pull]) -> Mapping[Filesystem, int]:
    content = sum(pull.content_bytes for pull in pulls)
    snapshots = sum(pull.snapshot_bytes for pull in pulls)
    if usage.content_apart:
        return {Filesystem.IMAGES: snapshots, Filesystem.CONTENT: content}
    return {Filesystem.IMAGES: snapshots + content}
