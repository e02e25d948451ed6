"""Reports when container events or pulls in progress can no longer be read, and when they can again.

It must not ask the runtime anything: the client knows how its own reads went.
"""

from collections.abc import Callable

from cleaner.core.events import Event
from cleaner.core.ports import Runtime, Timer
from cleaner.core.read_state import LastingState, OptionalRead, ReadChanged


class ReadWatch:
    """Reports each change once, when it has lasted."""

    def __init__(self, timer: Timer, emit: Callable[[Event], None]) -> None:
        """Nothing is reported yet."""
        self._timer = timer
        self._emit = emit
        self._states = dict.fromkeys(OptionalRead, LastingState())

    def check(self, runtime: Runtime | None) -> None:
        """Compare the states of this round with those that were reported.

        None where the runtime is unavailable, which is reported already: that nothing can be read says nothing new.
        """
        if runtime is None:
            self._states = {read: lasting.interrupted() for read, lasting in self._states.items()}
            return
        states = {
            OptionalRead.CONTAINER_EVENTS: runtime.container_events_state,
            OptionalRead.PULLS: runtime.pulls_state,
        }
        now = self._timer.monotonic()
        for read, state in states.items():
            before = self._states[read]
            after = self._states[read] = before.after(state, now)
            if after.reported is not None and after.reported is not before.reported:
                self._emit(ReadChanged(read, after.reported))
