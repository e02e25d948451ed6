"""Which rows of the ledger an event becomes.

Checks, inventories, dry runs and sweeps that were not needed have no rows: no command shows them.
"""

import os
from datetime import datetime

from cleaner.core.events import (
    Event,
    EvictionEnded,
    EvictionStarted,
    NightlyRunEnded,
    RuleOnHold,
    SweepEnded,
    SweepFailed,
    SweepStarted,
)
from cleaner.core.model import StopReason
from cleaner.ledger.eviction_rows import eviction_begins, eviction_did_not_happen, eviction_ends
from cleaner.ledger.rows import (
    Statement,
    forget_later_nightly_runs,
    micros,
    nightly_run_ends,
    rule_put_on_hold,
    sweep_begins,
    sweep_ends,
    sweep_fails,
)


class EventRows:
    """The rows of one process; it runs one sweep at a time."""

    def __init__(self, *, told: bool) -> None:
        """`told`: whether the outlets of this process report its events."""
        self.sweep: str | None = None
        """Key of the sweep that this process runs now."""
        self._told = told

    def statements_for(self, event: Event) -> list[Statement]:
        """In order; none where the event is not stored."""
        match event:
            case EvictionStarted():
                key = self._key(event.at)
                return [eviction_did_not_happen(key, event), eviction_begins(key, event, told=self._told)]
            case EvictionEnded():
                return [eviction_ends(self._key(event.at), event, told=self._told)]
            case NightlyRunEnded():
                return [forget_later_nightly_runs(event), nightly_run_ends(event)]
            case RuleOnHold():
                return [rule_put_on_hold(event)]
            case SweepStarted() | SweepEnded() | SweepFailed():
                return self._of_sweep(event)
            case _:
                return []

    def _of_sweep(self, event: SweepStarted | SweepEnded | SweepFailed) -> list[Statement]:
        if isinstance(event, SweepStarted):
            self.sweep = None
            if event.dry_run:
                return []
            return [sweep_begins(self._key(event.started_at), event.plan.trigger, event.started_at, told=self._told)]
        begun = self.sweep is not None
        statements = self._end_of(event) if isinstance(event, SweepEnded) else self._failure_of(event, begun=begun)
        self.sweep = None
        return statements

    def _end_of(self, event: SweepEnded) -> list[Statement]:
        report = event.report
        if report.dry_run or report.stop_reason is StopReason.NOT_NEEDED:
            return []
        return [sweep_ends(self._key(report.started_at), report, event.ended_at, told=self._told)]

    def _failure_of(self, event: SweepFailed, *, begun: bool) -> list[Statement]:
        """No row where a daemon's sweep failed before it began: its outlets report it, each minute again."""
        if self._told and not begun:
            return []
        return [sweep_fails(self._key(event.at), event.trigger, event.at, told=self._told)]

    def _key(self, at: datetime) -> str:
        """That of the present sweep, else a new one, which no other process has."""
        self.sweep = self.sweep or f"{micros(at)}-{os.urandom(6).hex()}"
        return self.sweep
