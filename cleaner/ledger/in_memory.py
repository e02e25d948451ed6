"""A ledger that lives as long as the process: for a node without one, and for nodes that are not there.

It does not outlive the process: where the time of first sight decides about an image, `plan` and `sweep` say so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.events import Event, EvictionEnded
from cleaner.core.history import NightlyRun
from cleaner.core.model import EvictionOutcome, Image, Memory
from cleaner.core.ports import News
from cleaner.ledger.image_facts import ImageFacts, is_failure_of_image


class InMemoryLedger:
    """First seen, last used, import marks and failed removals by image id; what is gone is forgotten."""

    def __init__(self, since: datetime | None = None, error: str | None = None) -> None:
        """Watching `since`, and why nothing is kept on disk."""
        self.error = error
        self.aside = None
        self._since = since
        self._first_seen_at: dict[str, datetime] = {}
        self._last_used_at: dict[str, datetime] = {}
        self._facts = ImageFacts()

    def store_images(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> Memory:
        """Store what is there and in use now; return all that is known."""
        ids = frozenset(image.id for image in images)
        self._first_seen_at = {image_id: self._first_seen_at.get(image_id, now) for image_id in ids}
        used = {image_id: at for image_id, at in self._last_used_at.items() if image_id in ids}
        self._last_used_at = used | dict.fromkeys(ids & in_use, now)
        self._facts.update(images)
        return Memory(
            self._since,
            dict(self._first_seen_at),
            dict(self._last_used_at),
            imported=self._facts.imported,
            removal_failures=self._facts.failures,
        )

    def stored_times(self) -> StoredTimes | None:
        """It begins with nothing."""
        return None

    def shift(self, offset: timedelta) -> None:
        """Move all times."""
        self._first_seen_at = {image_id: at + offset for image_id, at in self._first_seen_at.items()}
        self._last_used_at = {image_id: at + offset for image_id, at in self._last_used_at.items()}
        self._facts.shift(offset, datetime.max.replace(tzinfo=UTC))

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
        """Keep what an eviction says of its image; store nothing else."""
        if isinstance(event, EvictionEnded):
            if event.eviction.outcome is EvictionOutcome.EVICTED:
                self._facts.forget(event.eviction.verdict.image.id)
            elif is_failure_of_image(event):
                self._facts.record_failure(event)
