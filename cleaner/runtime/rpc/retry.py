"""When a read that nobody served is tried again, and when no longer.

It must not be used for removals: nothing here knows what a call does, so `calls.py` retries reads only.
"""

from collections.abc import Callable

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_exponential,
)

from cleaner.core.errors import StopRequestedError
from cleaner.core.ports import Stop
from cleaner.runtime.rpc.failures import NotServingError

_LIMIT_SECONDS = 10
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2
READ_ATTEMPTS = 9
"""Their pauses add up to 9.1 s, so that the limit holds by count as well as by clock."""


def retrying(stop: Stop) -> Retrying:
    """Retry a call while the runtime does not serve, for about 10 s in all, and not after a stop request.

    A passed deadline is not tried again: it had its time, and a runtime that is late is not helped by more calls.
    """
    limits = stop_any(stop_before_delay(_LIMIT_SECONDS), stop_after_attempt(READ_ATTEMPTS))
    return Retrying(
        retry=retry_if_exception_type(NotServingError),
        wait=wait_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
        stop=lambda state: stop.requested() or limits(state),
        sleep=_pause(stop),
        reraise=True,
    )


def _pause(stop: Stop) -> Callable[[float], None]:
    """A stop during the pause leaves from here: tenacity asks `stop=` only after one more attempt, which may hang."""

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            message = "the runtime does not serve, and was not asked again since a stop was requested"
            raise StopRequestedError(message)

    return pause
