"""Whether the runtime gives what a sweep can do without: container events, and pulls in progress.

A state is reported once, when it has lasted. A containerd that is restarted ends the stream of container events for a
second or two, and a busy disk lets one read of pulls come too late: neither is worth a line in a log.

A worked example: events are followed, and reported so. At 100 s the stream ends, at 105 s it is there again: nothing
is reported. At 200 s it ends for good: that is reported at 230 s. A runtime that offers no such service is known at
once, and is not a fault.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

LASTS_SECONDS = 30.0
"""How long a change has to last. The agent waits 10 s at most before it begins a stream again."""


class Availability(StrEnum):
    """Whether something can be read."""

    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"
    NOT_OFFERED = "not_offered"
    """This runtime has no such service, as CRI-O has none: no fault, and permanent."""


@dataclass(frozen=True, slots=True)
class ReadState:
    """Whether something can be read, and why not."""

    availability: Availability
    reason: str | None = None
    """None where it is available."""

    @property
    def unavailable(self) -> bool:
        """Whether it should be there and is not."""
        return self.availability is Availability.UNAVAILABLE


class OptionalRead(StrEnum):
    """What is read."""

    CONTAINER_EVENTS = "container_events"
    PULLS = "pulls"


@dataclass(frozen=True, slots=True)
class ReadChanged:
    """An event: whether something can be read has changed, and has stayed so for a while."""

    read: OptionalRead
    state: ReadState


AVAILABLE = ReadState(Availability.AVAILABLE)


def unavailable(reason: str) -> ReadState:
    """The state of what should be there."""
    return ReadState(Availability.UNAVAILABLE, reason)


def not_offered(reason: str) -> ReadState:
    """The state of what this runtime lacks."""
    return ReadState(Availability.NOT_OFFERED, reason)


@dataclass(frozen=True, slots=True)
class LastingState:
    """The state that was reported last, and another one that may pass."""

    reported: ReadState | None = None
    """None before the first report."""
    _other: ReadState | None = None
    _since_seconds: float = 0.0
    """Monotonic."""

    def after(self, state: ReadState | None, now_seconds: float) -> Self:
        """The same after a reading; None is a reading that tells nothing.

        What is wrong has to last from the start too: nothing is connected in the first round.
        """
        if state is None or (self.reported and state.availability is self.reported.availability):
            return self.interrupted()
        if self.reported is None and not state.unavailable:
            return replace(self, reported=state, _other=None)
        if self._other is None or self._other.availability is not state.availability:
            return replace(self, _other=state, _since_seconds=now_seconds)
        if now_seconds - self._since_seconds < LASTS_SECONDS:
            return self
        return replace(self, reported=state, _other=None)

    def interrupted(self) -> Self:
        """The same where nothing can be read for another reason: a change has to last anew."""
        return replace(self, _other=None)
