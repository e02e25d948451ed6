"""How old an image is by each clock, and how recently it was pulled or used.

Implausible times do not count: a build date before Docker existed is no date, a time in the future counts as now, and
no image was pulled long before the agent watched it arrive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cleaner.core.clock_trust import CLOCK_JUMP
from cleaner.core.model import Clock, Image, Memory, Rule

FIRST_PLAUSIBLE = datetime(2013, 3, 20, tzinfo=UTC)
"""Docker's first release: reproducible builds write 0001, 1970 or 1980 instead of a date."""


@dataclass(frozen=True, slots=True)
class Times:
    """What is known of an image's times; none lies after `now`."""

    created_at: datetime | None
    pulled_at: datetime | None
    first_seen_at: datetime
    """Now where the agent has not seen it before."""
    last_used_at: datetime | None

    def aged_since(self, clock: Clock) -> datetime:
        """When the age begins: an unknown build falls back to the pull, an unknown pull to first seen.

        One that was never seen in use is idle since whichever of these is later.
        """
        if clock is Clock.CREATED and self.created_at is not None:
            return self.created_at
        return self.idle_since if clock is Clock.LAST_USED else self.arrived_at

    def relies_on_memory(self, clock: Clock) -> bool:
        """Whether first seen stands in for a time that is not known."""
        if clock is Clock.LAST_USED:
            return all(at is None or at < self.first_seen_at for at in (self.pulled_at, self.last_used_at))
        known = self.pulled_at is not None or (clock is Clock.CREATED and self.created_at is not None)
        return not known

    @property
    def arrived_at(self) -> datetime:
        """Pulled, or first seen where no pull time is known."""
        return self.first_seen_at if self.pulled_at is None else self.pulled_at

    @property
    def idle_since(self) -> datetime:
        """Last used, pulled or first seen, whichever is latest."""
        return max(self.active_at, self.first_seen_at)

    @property
    def active_at(self) -> datetime:
        """Arrived or last used, whichever is later: what grace counts from."""
        return self.arrived_at if self.last_used_at is None else max(self.arrived_at, self.last_used_at)


def times_of(image: Image, memory: Memory, now: datetime) -> Times:
    """The believable times of an image."""
    created_at, pulled_at = _plausible(image.created_at), _believed_pull(image, memory)
    return Times(
        created_at=None if created_at is None or created_at > now else created_at,
        pulled_at=None if pulled_at is None else min(pulled_at, now),
        first_seen_at=min(memory.first_seen_at.get(image.id, now), now),
        last_used_at=_at_most(memory.last_used_at, image.id, now),
    )


def _believed_pull(image: Image, memory: Memory) -> datetime | None:
    """The plausible pull time; None also where it lies long before an arrival that the agent watched.

    The wall clock was behind at such a pull. The runtime keeps that time for ever, while first seen follows each
    correction of the clock. Two inspections lie a minute and a sweep apart: a gap of up to `CLOCK_JUMP` only shows how
    late the agent saw the arrival.
    """
    pulled_at, first_seen_at = _plausible(image.pulled_at), memory.first_seen_at.get(image.id)
    if pulled_at is None or first_seen_at is None or memory.since is None:
        return pulled_at
    watched = first_seen_at > memory.since
    return None if watched and first_seen_at - pulled_at > CLOCK_JUMP else pulled_at


def _plausible(time: datetime | None) -> datetime | None:
    return None if time is None or time < FIRST_PLAUSIBLE else time


def _at_most(times: Mapping[str, datetime], image_id: str, now: datetime) -> datetime | None:
    time = times.get(image_id)
    return None if time is None else min(time, now)


def age(times: Times, rule: Rule, now: datetime) -> timedelta:
    """By the rule's clock; never negative."""
    return now - times.aged_since(rule.age_from)


def is_expired(times: Times, rule: Rule, now: datetime) -> bool:
    """Past its rule's max_age, from max_age itself on."""
    return age(times, rule, now) >= rule.max_age


def is_recent(times: Times, grace: timedelta, now: datetime) -> bool:
    """Arrived or used less than `grace` ago."""
    return now - times.active_at < grace
