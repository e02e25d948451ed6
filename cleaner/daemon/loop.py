"""The loop: check, sweep when due, pause; until a stop is requested.

It must not decide when a sweep is due, nor what it evicts; see `core/triggers.py` and `core/policy.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError, DiskUnreadableError, EnvironmentUnusableError, StopRequestedError
from cleaner.core.events import (
    Checked,
    ClockJumped,
    ClockTrusted,
    DaemonStarted,
    DaemonStopped,
    DiskUnread,
    Event,
    LoopFailed,
    NightlyRunEnded,
    NightlySuspended,
    RuntimeDown,
    RuntimeUp,
    SweepEnded,
    SweepFailed,
    SweepWaits,
)
from cleaner.core.model import Mode, RuntimeVersion, StopReason, Trigger
from cleaner.core.ports import Node, Outlet
from cleaner.core.pressure import Forecast, Targets
from cleaner.core.report import SweepReport
from cleaner.core.triggers import NodeState, Triggers
from cleaner.daemon.forecaster import NodeForecaster
from cleaner.daemon.inventory import Inventory
from cleaner.daemon.read_watch import ReadWatch
from cleaner.daemon.settings import DaemonSettings, Host
from cleaner.daemon.trusted_clock import TrustedClock
from cleaner.sweep import Pace, Sweep, SweepRequest

LONGEST_TURN_WAIT_SECONDS = 300.0
"""For the turn of a pressure sweep."""


class Daemon:
    """Watches one node until a stop is requested."""

    def __init__(
        self,
        connect: Callable[[], Node],
        settings: DaemonSettings,
        host: Host,
        outlets: Iterable[Outlet],
    ) -> None:
        """`connect` gives the node of this host once its runtime answers.

        It raises RuntimeUnavailableError while the runtime is unavailable, EnvironmentUnusableError for a permanent
        failure.
        """
        self._connect = connect
        self._settings = settings
        self._timer = TrustedClock(host.timer, host.ledger.stored_times())
        self._ledger = host.ledger
        self._triggers = replace(settings.triggers, nightly_run=host.ledger.last_nightly_run())
        self._stop = host.stop
        self._outlets = tuple(outlets)
        sample_seconds = settings.sample_every.total_seconds()
        self._node: Node | None = None
        self._version: RuntimeVersion | None = None
        self._clock_sane = True
        self._waiting_since: float | None = None
        self._forecaster = NodeForecaster(settings.sweep.watermarks, settings.horizon, self._timer, self._emit)
        threshold_at = self._forecaster.kubelet_threshold_at
        self._inventory = Inventory(
            settings.sweep, sample_seconds, self._timer, host.ledger, self._emit, kubelet_threshold_at=threshold_at
        )
        self._read_watch = ReadWatch(self._timer, self._emit)
        self._pause_seconds = 0.0
        self._hurries = False
        """Whether the next round is to come at once."""
        self._first_sweep_at = self._timer.monotonic() + settings.startup_delay.total_seconds()

    def run(self) -> None:
        """Loop until a stop is requested; EnvironmentUnusableError where only an operator can help."""
        self._emit(DaemonStarted(self._triggers.next_nightly(self._timer.now())))
        while not self._stop.requested():
            try:
                self._check()
            except EnvironmentUnusableError:
                raise
            except StopRequestedError:
                pass  # the loop ends by itself
            except Exception as error:  # noqa: BLE001 - no unexpected error ends the loop
                self._put_off_sweeps()
                self._emit(LoopFailed(error))
            self._pause()
        self._emit(DaemonStopped())

    def _pause(self) -> None:
        """Wait for the next round, without a connection; not where pressure continues, or has ended a nightly sweep."""
        if self._hurries:
            self._hurries = False
            return
        if self._node is not None:
            self._node.runtime.disconnect()
        self._stop.wait(self._pause_seconds)

    def _check(self) -> None:
        """One round: check the clock, the runtime and the disk, then do what is due."""
        self._pause_seconds = self._settings.check_every.total_seconds()
        self._check_clock()
        node = self._answering_node()
        usage = self._read_usage()
        forecast = self._forecast_usage(node, usage) if node and usage else None
        self._read_watch.check(node.runtime if node else None)
        self._emit(Checked(usage, self._triggers.next_nightly(self._timer.now()), forecast))
        if node is None or usage is None or forecast is None:
            return
        self._triggers = self._triggers.with_usage(forecast.projected)
        moment = self._moment(forecast.projected, usage, forecast.early)
        trigger = self._due(moment)
        swept = trigger is not None and self._sweep_in_turn(node, trigger, moment)
        if not swept and self._inventory.due:
            self._inventory.take_inventory(node, usage)

    def _check_clock(self) -> None:
        if correction := self._timer.accept_correction():
            self._ledger.shift(correction)
            self._triggers = self._triggers.shifted(correction)
            self._inventory.shift(correction)
        now, was_sane = self._timer.now(), self._clock_sane
        self._clock_sane = self._timer.sense.sane
        if was_sane and not self._clock_sane:
            self._emit(ClockJumped(self._timer.sense.deviation.total_seconds()))
        elif self._clock_sane and not was_sane:
            self._emit(ClockTrusted())
        if self._clock_sane:
            self._end_nightly_run(self._triggers.corrected(now))

    def _answering_node(self) -> Node | None:
        """The node if its runtime answers."""
        try:
            self._node = self._node or replace(self._connect(), timer=self._timer)
            version = self._node.runtime.read_version()
        except (EnvironmentUnusableError, StopRequestedError):
            raise
        except CleanerError as error:
            self._emit(RuntimeDown(error))
            self._version = None
            return None
        if version != self._version:
            self._emit(RuntimeUp(version, self._node.disk.path, self._node.disk.unseen))
        self._version = version
        return self._node

    def _read_usage(self) -> Usage | None:
        """None while the disk is not known yet or cannot be read."""
        try:
            return self._node.disk.read_usage() if self._node else None
        except DiskUnreadableError as error:
            self._emit(DiskUnread(error))
            return None

    def _forecast_usage(self, node: Node, usage: Usage) -> Forecast:
        """The forecast, and with it when to check again."""
        forecast = self._forecaster.forecast(node, usage, self._inventory.evictable, self._inventory.fingerprint)
        self._pause_seconds = self._forecaster.seconds_to_next_check(usage, self._settings.check_every)
        return forecast

    def _due(self, moment: NodeState) -> Trigger | None:
        if moment.monotonic < self._first_sweep_at:
            return None
        if self._inventory.taken and self._triggers.suspended_for_memory(moment):
            self._emit(NightlySuspended(self._inventory.watched_since))
        return self._triggers.due(moment)

    def _moment(self, usage: Usage, measured: Usage, early: Targets | None = None) -> NodeState:
        return NodeState(
            now=self._timer.now(),
            monotonic=self._timer.monotonic(),
            usage=usage,
            fingerprint=self._inventory.fingerprint,
            clock_sane=self._timer.sense.sane,
            watched_since=self._inventory.watched_since,
            early=early or {},
            kubelet=self._forecaster.kubelet_threshold_at(measured),
            measured=measured,
        )

    def _sweep_in_turn(self, node: Node, trigger: Trigger, moment: NodeState) -> bool:
        with self._ledger.sweep_turn() as ours:
            request = self._request(trigger, moment)
            if request is None:
                return False
            if ours or self._has_waited(trigger):
                self._waiting_since = None
                self._sweep(node, request)
                return True
            self._emit(SweepWaits(trigger))
            return False

    def _has_waited(self, trigger: Trigger) -> bool:
        """Pressure waits only for a while for another sweep, which may hang: each removal has its own final check."""
        now = self._timer.monotonic()
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        return trigger is Trigger.PRESSURE and now - self._waiting_since >= LONGEST_TURN_WAIT_SECONDS

    def _request(self, trigger: Trigger, moment: NodeState) -> SweepRequest | None:
        """The limit of a nightly run counts over restarts; None where what is used of it is unknown, or it is over."""
        settings = self._settings
        dry_run = settings.triggers.mode is Mode.OBSERVE
        request = SweepRequest(trigger, dry_run=dry_run, kubelet=moment.kubelet)
        if trigger is not Trigger.NIGHTLY:
            return replace(request, early=self._triggers.targets_below_high(moment))
        occurrence = self._triggers.occurrence_due(moment)
        evicted = self._ledger.evicted_since(occurrence) if occurrence else None
        if occurrence is None or evicted is None:
            return None
        limit = max(0, settings.evictions_per_night - evicted)
        return replace(request, limit=limit, pace=self._pace(occurrence, moment))

    def _pace(self, occurrence: datetime, moment: NodeState) -> Pace:
        """Gentle, within its window, and yielding to pressure: the loop does not check the disk while a sweep runs."""
        calendar = self._triggers.calendar
        sample_seconds = self._settings.sample_every.total_seconds()
        ends_at = calendar.end_of(occurrence, moment.now)
        return Pace(calendar.nightly.duty_cycle, ends_at, sample_seconds, self._is_pressing)

    def _is_pressing(self, usage: Usage) -> bool:
        """Whether a pressure sweep would be due now: not so where the last one could do no better."""
        projected = self._project(self._node, usage) if self._node else usage
        self._triggers = self._triggers.with_usage(projected)
        return self._triggers.due(self._moment(projected, usage)) is Trigger.PRESSURE

    def _sweep(self, node: Node, request: SweepRequest) -> None:
        """Sweep, and let its end decide on the next one; a failure is handled here."""
        sweep = Sweep(node, self._settings.sweep, request)
        try:
            for event in sweep.events():
                self._emit(event)
                if isinstance(event, SweepEnded):
                    self._end(node, event.report, sweep.given_up)
        except StopRequestedError:
            raise
        except CleanerError as error:
            self._put_off_sweeps()
            self._emit(SweepFailed(request.trigger, error, self._triggers.retry_seconds, self._timer.now()))

    def _end(self, node: Node, report: SweepReport, given_up: frozenset[str]) -> None:
        usage = report.filesystem_after
        self._forecaster.add_sweep(report)
        self._pause_seconds = self._forecaster.seconds_to_next_check(usage, self._settings.check_every)
        self._hurries = report.stop_reason is StopReason.YIELDED_TO_PRESSURE or self._triggers.continues_at_once(
            report, usage
        )
        if not self._hurries:
            self._inventory.take_inventory(node, usage)
        if given_up:
            self._forecaster.give_up(given_up, self._inventory.fingerprint)
        self._end_nightly_run(self._triggers.after(report, self._moment(self._project(node, usage), usage)))

    def _project(self, node: Node, usage: Usage) -> Usage:
        """The usage as if the pulls of this moment were done."""
        return self._forecaster.project(node, usage, self._inventory.evictable, self._inventory.fingerprint)

    def _end_nightly_run(self, triggers: Triggers) -> None:
        """Keep what holds now; a nightly run that is over is reported."""
        if triggers.nightly_run is not None and triggers.nightly_run != self._triggers.nightly_run:
            self._emit(NightlyRunEnded(triggers.nightly_run))
        self._triggers = triggers

    def _put_off_sweeps(self) -> None:
        check_seconds = self._settings.check_every.total_seconds()
        self._triggers = self._triggers.after_failure(self._timer.monotonic(), check_seconds)

    def _emit(self, event: Event) -> None:
        for outlet in self._outlets:
            outlet.record(event)
