"""Waits for a condition with a deadline, so that no test waits for a time.

It refuses to wait in silence: the error names what did not come true.
"""

import time
from collections.abc import Callable

from lab.errors import LabError

_POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Return once a condition holds; LabError says what did not within the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise LabError(f"after {seconds:g} s still not: {what}")
        time.sleep(_POLL_SECONDS)
