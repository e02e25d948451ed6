"""The loop: check, sweep when due, pause; until told to stop.

Refuses to decide: when a sweep is due is `core.triggers`, what goes is `core.policy`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from cleaner.core.errors import CleanerError, DiskUnreadableError, EnvironmentUnusableError
from cleaner.core.events import (
    Checked,
    ClockJumped,
    ClockTrusted,
    DaemonStarted,
    DaemonStopped,
    DiskUnread,
    Event,
    ImagesCounted,
    LoopBroke,
    ObservationFailed,
    RuntimeDown,
    RuntimeUp,
    SpaceCounted,
    SweepEnded,
    SweepFailed,
)
from cleaner.core.foresight import holders_of, reason_unknown
from cleaner.core.model import Mode, Observation, Plan, Resource, RuntimeVersion, Trigger, Usage
from cleaner.core.policy import plan
from cleaner.core.ports import Outlet, Stop, Timer
from cleaner.core.pressure import above_low
from cleaner.core.triggers import Moment, Triggers
from cleaner.core.window import ClockSense
from cleaner.sweep import Node, Sweep, SweepRequest, SweepSettings, look

COUNT_EVERY_SECONDS = 60.0
SPACE_EVERY_SECONDS = 600.0
"""For what changes without an image or a container: leases, other namespaces."""


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """What holds for the daemon's life."""

    triggers: Triggers
    """As they are at the start."""
    sweep: SweepSettings
    check_every: timedelta
    startup_delay: timedelta
    evictions_per_night: int


class Daemon:
    """Watches one node until it is told to stop."""

    def __init__(
        self,
        connect: Callable[[], Node],
        settings: DaemonSettings,
        timer: Timer,
        stop: Stop,
        outlets: Iterable[Outlet],
    ) -> None:
        """`connect` gives the node once its runtime answers.

        It raises RuntimeUnavailableError while the runtime is away, EnvironmentUnusableError for what will not pass
        by itself.
        """
        self._connect = connect
        self._settings = settings
        self._triggers = settings.triggers
        self._timer = timer
        self._stop = stop
        self._outlets = tuple(outlets)
        self._node: Node | None = None
        self._runtime_down: bool = False
        self._version: RuntimeVersion | None = None
        self._sense = ClockSense(self._timer.now(), self._timer.monotonic())
        self._first_sweep_at = self._timer.monotonic() + settings.startup_delay.total_seconds()
        self._count_at = 0.0
        self._fingerprint = 0
        self._policy = settings.sweep.policy
        self._contents = 0
        self._space_at = 0.0

    def run(self) -> None:
        """Loop until a stop is requested; EnvironmentUnusableError where nothing but a person can help."""
        self._emit(DaemonStarted(self._triggers.next_nightly(self._timer.now())))
        while not self._stop.requested():
            try:
                self._check()
            except EnvironmentUnusableError:
                raise
            except Exception as error:  # noqa: BLE001 the one broad except: nothing unforeseen ends the watch
                self._put_off_sweeps()
                self._emit(LoopBroke(error))
            self._stop.wait(self._settings.check_every.total_seconds())
        self._emit(DaemonStopped())

    def _check(self) -> None:
        """One round: look at the clock, the runtime and the disk, then do what is due."""
        self._look_at_clock()
        node = self._answering_node()
        usage = self._read_usage()
        self._emit(Checked(usage, self._triggers.next_nightly(self._timer.now())))
        if node is None or usage is None:
            return
        self._triggers = self._triggers.relaxed(usage)
        trigger = self._due(usage)
        if trigger is not None:
            self._sweep(node, trigger)
        elif self._timer.monotonic() >= self._count_at:
            self._count_images(node, usage)

    def _look_at_clock(self) -> None:
        was_sane = self._sense.sane
        self._sense = self._sense.look(self._timer.now(), self._timer.monotonic())
        if was_sane and not self._sense.sane:
            self._emit(ClockJumped(self._sense.offset.total_seconds()))
        elif self._sense.sane and not was_sane:
            self._emit(ClockTrusted())

    def _answering_node(self) -> Node | None:
        """The node if its runtime answers; says so once per change."""
        try:
            self._node = self._node or self._connect()
            version = self._node.runtime.read_version()
        except EnvironmentUnusableError:
            raise
        except CleanerError as error:
            self._runtime_gone(error)
            return None
        if version != self._version:
            self._emit(RuntimeUp(version, self._node.disk.path))
        self._version, self._runtime_down = version, False
        return self._node

    def _runtime_gone(self, error: CleanerError) -> None:
        if not self._runtime_down:
            self._emit(RuntimeDown(error))
        self._version, self._runtime_down = None, True

    def _read_usage(self) -> Usage | None:
        """None while the disk is not known yet or cannot be read."""
        try:
            return self._node.disk.read_usage() if self._node else None
        except DiskUnreadableError as error:
            self._emit(DiskUnread(error))
            return None

    def _due(self, usage: Usage) -> Trigger | None:
        if self._timer.monotonic() < self._first_sweep_at:
            return None
        return self._triggers.due(self._moment(usage))

    def _moment(self, usage: Usage) -> Moment:
        now, monotonic = self._timer.now(), self._timer.monotonic()
        return Moment(now, monotonic, usage, self._fingerprint, self._sense.sane)

    def _sweep(self, node: Node, trigger: Trigger) -> None:
        """Sweep, and let its end decide on the next one; a failure is handled here."""
        settings = self._settings
        request = SweepRequest(
            trigger,
            dry_run=settings.triggers.mode is Mode.OBSERVE,
            limit=settings.evictions_per_night if trigger is Trigger.NIGHTLY else None,
        )
        try:
            for event in Sweep(node, settings.sweep, request).events():
                self._emit(event)
                if isinstance(event, SweepEnded):
                    usage = event.report.filesystem_after
                    self._count_images(node, usage)
                    self._triggers = self._triggers.after(event.report, self._moment(usage))
        except CleanerError as error:
            self._put_off_sweeps()
            self._emit(SweepFailed(trigger, error, self._triggers.retry_seconds))

    def _put_off_sweeps(self) -> None:
        check_seconds = self._settings.check_every.total_seconds()
        self._triggers = self._triggers.after_failure(self._timer.monotonic(), check_seconds)

    def _count_images(self, node: Node, usage: Usage) -> None:
        """What the nightly plan says now, for the metrics; and what a changed node is told by."""
        self._count_at = self._timer.monotonic() + COUNT_EVERY_SECONDS
        try:
            observation = look(node)
            self._emit(ImagesCounted(plan(observation, self._policy, Trigger.NIGHTLY, self._timer.now())))
            contents = contents_of(observation)
            if self._is_space_stale(contents, usage):
                self._contents = contents
                self._count_space(node, observation, usage)
        except CleanerError as error:
            self._emit(ObservationFailed(error))

    def _is_space_stale(self, contents: int, usage: Usage) -> bool:
        """An unchanged node's layers are not read again, save now and then, and under pressure."""
        pressing = above_low(usage, self._settings.sweep.marks, frozenset(Resource))
        return contents != self._contents or bool(pressing) or self._timer.monotonic() >= self._space_at

    def _count_space(self, node: Node, observation: Observation, usage: Usage) -> None:
        self._space_at = self._timer.monotonic() + SPACE_EVERY_SECONDS
        observation = replace(observation, layers=node.runtime.read_layers(observation.images))
        now = self._timer.now()
        nightly, pressure = (plan(observation, self._policy, t, now) for t in (Trigger.NIGHTLY, Trigger.PRESSURE))
        self._fingerprint = fingerprint(self._contents, pressure)
        because = reason_unknown(observation.layers, node.runtime.layers_refusal)
        self._emit(SpaceCounted(nightly, pressure, holders_of(observation, pressure, usage), because))

    def _emit(self, event: Event) -> None:
        for outlet in self._outlets:
            outlet.record(event)


def fingerprint(contents: int, pressure: Plan) -> int:
    """Changes when a pressure sweep could do better than the last one.

    Of what is there and the candidates: an image whose grace ends is a new one.
    """
    return hash((contents, frozenset(verdict.image.id for verdict in pressure.evictions)))


def contents_of(observation: Observation) -> int:
    """Changes when images or containers do."""
    return hash((observation.images, frozenset(container.id for container in observation.containers)))
