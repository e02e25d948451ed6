"""Images whose removal failed: how long each is kept before the next try.

One image that can never be removed must not end every sweep. It is kept for a minute, then for twice as long after each
further failure, for a day at most. Example: an image whose removal failed at 03:00 and again at 03:02 is tried again
from 03:04 on. Failures of the runtime are no failures of an image, see `Fault`.
"""

from datetime import datetime, timedelta

from cleaner.core.clock_trust import CLOCK_JUMP
from cleaner.core.model import Image, RemovalFailure

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=1)
_MOST_DOUBLINGS = 11
"""A minute doubled so often is more than a day."""


def retry_at(failure: RemovalFailure) -> datetime:
    """From when on the removal may be tried again."""
    doublings = min(failure.count - 1, _MOST_DOUBLINGS)
    return failure.failed_at + min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def is_pulled_since(failure: RemovalFailure, pulled_at: datetime | None) -> bool:
    """Whether the image was pulled again since its removal failed; an unknown time shows nothing.

    Nor does an earlier one: a removal that failed half-way may have taken the newest record of the image.
    """
    return failure.pulled_at is not None and pulled_at is not None and pulled_at > failure.pulled_at


def kept_until(image: Image, failure: RemovalFailure | None, now: datetime) -> datetime | None:
    """Until when an image is kept since its removal failed; None where it is not, as after a new pull.

    A failure of the future was stored by a clock that was ahead, and does not count.
    """
    if failure is None or is_pulled_since(failure, image.pulled_at) or failure.failed_at - now > CLOCK_JUMP:
        return None
    until = retry_at(failure)
    return until if now < until else None
