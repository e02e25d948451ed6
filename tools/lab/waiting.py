"""Waits for a condition with a deadline, so that no test waits for a time.

It does not fail in silence: the error names what did not come true.
"""

import time
from collections.abc import Callable

from lab.errors import LabError

DEADLINE_SECONDS = 300.0
"""The longest wait. An idle machine needs a second or two, so load alone does not reach it."""
_POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return once a condition holds; LabError says what did not within the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise LabError(f"after {seconds:g} s still not: {what}")
        time.sleep(_POLL_SECONDS)
