"""What this process has seen of the images since it started.

Refuses to outlive the process: where first seen decides, `plan` and `sweep` say so.
"""

from datetime import datetime

from cleaner.core.model import Image, Memory


class ProcessRecollection:
    """First seen and last used by image id; what is gone is forgotten."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._first_seen_at: dict[str, datetime] = {}
        self._last_used_at: dict[str, datetime] = {}

    def remember(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> Memory:
        """Note what is there and in use now; give all that is known."""
        self._since = self._since or now
        ids = frozenset(image.id for image in images)
        self._first_seen_at = {image_id: self._first_seen_at.get(image_id, now) for image_id in ids}
        used = {image_id: at for image_id, at in self._last_used_at.items() if image_id in ids}
        self._last_used_at = used | dict.fromkeys(ids & in_use, now)
        return Memory(self._since, dict(self._first_seen_at), dict(self._last_used_at))
