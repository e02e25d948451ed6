"""Ends a demonstration once there is something to show.

It must not wait for ever: it ends too where no sweep comes within `MOST_ROUNDS`.
"""

from cleaner.core.events import Event, SweepEnded
from cleaner.core.report import SweepReport

MOST_ROUNDS = 30


class UntilSwept:
    """An outlet that keeps the first report, and the stop request that follows it."""

    def __init__(self) -> None:
        self._report: SweepReport | None = None
        self._rounds = 0

    def record(self, event: Event) -> None:
        """Keep the report of the sweep."""
        if isinstance(event, SweepEnded):
            self._report = self._report or event.report

    @property
    def report(self) -> SweepReport:
        """The first report; LookupError where no sweep came."""
        if self._report is None:
            raise LookupError(f"no sweep within {MOST_ROUNDS} rounds")
        return self._report

    def requested(self) -> bool:
        """Once there is a report, or no more rounds."""
        return self._report is not None or self._rounds >= MOST_ROUNDS

    def wait(self, _seconds: float) -> bool:
        """Wait for nothing: in a simulation nothing else is at work."""
        self._rounds += 1
        return self.requested()
