"""Which containers were created since a position in the stream of events, and from which images.

containerd makes a container in two steps: it prepares a snapshot on top of the image's, under the container's id, and
then stores the container. Between them the container is in no list, and the image can be removed under it: for 0.5 ms
on a quiet node, for seconds where a busy disk syncs or where files of an image volume are copied. So a preparation
counts as a container until its container is created, its snapshot is removed (creating it failed), or the kubelet has
given up on it. Such a container has no image by name; the snapshot below it tells which images it can be. One that was
created has both: a tag may name another image a moment later.

A worked example: a final check takes position 7 and lists containers. Meanwhile event 8 tells that container `b` was
created from `app:1`. A container `c` has been prepared, and is not created yet. Since 7 there are `b` and `c`.

It must not hide a container: if the stream was interrupted since the position, the answer is None.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

PREPARED_FOR = timedelta(minutes=2)
"""How long a preparation counts: by default a kubelet waits 2 min for CreateContainer (`runtimeRequestTimeout`)."""
_MOST_KEPT = 1000
"""Containers created during the 30 s that a final check may take; more are an interrupted stream."""
_MOST_PREPARED = 100


@dataclass(frozen=True, slots=True)
class ParentSnapshot:
    """The snapshot that a container's own is on top of."""

    name: str
    snapshotter: str
    """Empty where it is not told (containerd 1.6)."""


@dataclass(frozen=True, slots=True)
class Creations:
    """What was created since a position, and what is being created."""

    image_by_container: Mapping[str, str]
    """The name of each created container's image."""
    parent_by_container: Mapping[str, ParentSnapshot]
    """Of all that are being created, and of those created ones that are known to have one."""


@dataclass(frozen=True, slots=True)
class _Created:
    position: int
    container_id: str
    image: str
    parent: ParentSnapshot | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    parent: ParentSnapshot
    at_seconds: float
    """Monotonic."""


class CreationLog:
    """The latest events in order; not for more than one thread at a time."""

    position: int
    """Grows with each container that is created or being created, and with all that interrupts the stream."""

    def __init__(self) -> None:
        """Start with no history."""
        self.position = 0
        self._whole_from = 0
        self._created: deque[_Created] = deque()
        self._prepared: dict[str, _Prepared] = {}

    def begin(self) -> None:
        """Another stream begins: what came between it and the last one is not known."""
        self._created.clear()
        self._prepared.clear()
        self.interrupt()

    def interrupt(self) -> None:
        """Something came that may have been a container, and tells too little of it."""
        self.position += 1
        self._whole_from = self.position

    def store_prepared(self, container_id: str, parent: ParentSnapshot, now_seconds: float) -> None:
        """A container of this id is about to be created."""
        self.position += 1
        self._prepared[container_id] = _Prepared(parent, now_seconds)
        if len(self._prepared) > _MOST_PREPARED:
            del self._prepared[next(iter(self._prepared))]
            self.interrupt()

    def store_created(self, container_id: str, image: str) -> None:
        """A container was created."""
        self.position += 1
        prepared = self._prepared.pop(container_id, None)
        self._created.append(_Created(self.position, container_id, image, prepared.parent if prepared else None))
        if len(self._created) > _MOST_KEPT:
            self._whole_from = max(self._whole_from, self._created.popleft().position)

    def store_removed(self, container_id: str) -> None:
        """The snapshot of this id is removed: no container comes of it any more."""
        self._prepared.pop(container_id, None)

    def since(self, position: int, now_seconds: float) -> Creations | None:
        """What came after a position; None where something may be missing."""
        if not self._whole_from <= position <= self.position:
            return None
        self._forget_given_up(now_seconds)
        created = [one for one in self._created if one.position > position]
        images = {one.container_id: one.image for one in created}
        if any(images[one.container_id] != one.image for one in created):
            # One id twice within seconds, from two images. Too rare to model: answer unknown.
            return None
        parents = {one.container_id: one.parent for one in created if one.parent is not None}
        return Creations(images, parents | {known: prepared.parent for known, prepared in self._prepared.items()})

    def _forget_given_up(self, now_seconds: float) -> None:
        limit = now_seconds - PREPARED_FOR.total_seconds()
        self._prepared = {known: one for known, one in self._prepared.items() if one.at_seconds >= limit}
