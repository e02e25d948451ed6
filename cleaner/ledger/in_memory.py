"""A ledger that lives as long as the process: for a node without one, and for nodes that are not there.

It does not outlive the process: where the time of first sight decides about an image, `plan` and `sweep` say so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.events import Event
from cleaner.core.history import NightlyRun
from cleaner.core.model import Image, Memory
from cleaner.core.ports import News


class InMemoryLedger:
    """First seen and last used by image id; what is gone is forgotten."""

    def __init__(self, since: datetime | None = None, error: str | None = None) -> None:
        """Watching `since`, and why nothing is kept on disk."""
        self.error = error
        self.aside = None
        self._since = since
        self._first_seen_at: dict[str, datetime] = {}
        self._last_used_at: dict[str, datetime] = {}

    def store_images(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> Memory:
        """Store what is there and in use now; return all that is known."""
        ids = frozenset(image.id for image in images)
        self._first_seen_at = {image_id: self._first_seen_at.get(image_id, now) for image_id in ids}
        used = {image_id: at for image_id, at in self._last_used_at.items() if image_id in ids}
        self._last_used_at = used | dict.fromkeys(ids & in_use, now)
        return Memory(self._since, dict(self._first_seen_at), dict(self._last_used_at))

    def stored_times(self) -> StoredTimes | None:
        """It begins with nothing."""
        return None

    def shift(self, offset: timedelta) -> None:
        """Move all times."""
        self._first_seen_at = {image_id: at + offset for image_id, at in self._first_seen_at.items()}
        self._last_used_at = {image_id: at + offset for image_id, at in self._last_used_at.items()}

    def last_nightly_run(self) -> NightlyRun | None:
        """None: the daemon itself keeps the last nightly run."""
        return None

    def evicted_since(self, _occurrence: datetime) -> int | None:
        """Always 0: evictions are not stored."""
        return 0

    def news(self) -> tuple[News, ...]:
        """None: nobody else writes here."""
        return ()

    @contextmanager
    def sweep_turn(self) -> Iterator[bool]:
        """Always."""
        yield True

    def close(self) -> None:
        """Nothing is open."""

    def record(self, event: Event) -> None:
        """Store nothing."""
