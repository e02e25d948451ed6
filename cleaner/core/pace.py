"""How fast a sweep goes that has time, and what ends it early.

Refuses to wait and to measure: a duration comes out, and who asks does the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cleaner.core.usage import Usage

LONGEST_REST_SECONDS = 30.0
"""After one eviction: so even 200 that each took their whole deadline fit into the default window, and the loop's
heartbeat (/livez) goes on."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a sweep that nobody waits for goes through its candidates."""

    duty: float
    """Share of its time in which it works, above 0 and up to 1; the rest of it belongs to others."""
    ends_at: datetime | None
    """From then on no eviction begins; None where it has no end."""
    sample_seconds: float
    """So often it is noted what is in use."""
    is_pressing: Callable[[Usage], bool]
    """Whether at this usage another sweep has to go first."""

    def rest_seconds(self, worked_seconds: float) -> float:
        """The rest after so much work: four times as long at a duty of a fifth; at most LONGEST_REST_SECONDS."""
        return min(worked_seconds * (1 - self.duty) / self.duty, LONGEST_REST_SECONDS)

    def is_over(self, now: datetime) -> bool:
        """Whether its end has come; at the end itself it has."""
        return self.ends_at is not None and now >= self.ends_at
