"""Fakes of the ports: a clock that tests move, a stop that tests request, a runtime that fails when told to."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.errors import CleanerError
from cleaner.core.events import Event, RuleOnHold
from cleaner.core.history import NightlyRun
from cleaner.core.model import Container, Image, Memory, RuntimeVersion
from cleaner.core.ports import Disk, News, Runtime
from cleaner.core.pressure.pulls import Pull
from cleaner.core.read_state import ReadState
from cleaner.core.reclaim import Layers
from cleaner.core.regret import Regret
from cleaner.ledger.in_memory import InMemoryLedger

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
WATCHED_SINCE = NOON - timedelta(days=100)
LAST_NIGHTLY_RUN = NightlyRun(NOON - timedelta(hours=12), NOON - timedelta(hours=12))
E = TypeVar("E", bound=Event)


@dataclass
class FakeTimer:
    """Both clocks, moved by hand."""

    wall: datetime = NOON
    seconds: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def move(self, **delta: float) -> None:
        moved = timedelta(**delta)
        self.wall += moved
        self.seconds += moved.total_seconds()


@dataclass
class FakeStop:
    """Waiting moves the timer; a stop comes after so many waits, or by hand."""

    timer: FakeTimer
    waits_left: int = 10**9
    stopped: bool = False
    between: Callable[[], None] = field(default=lambda: None)
    waits: list[float] = field(default_factory=list)
    """Seconds of each."""

    def requested(self) -> bool:
        return self.stopped

    def wait(self, seconds: float) -> bool:
        if self.stopped:
            return True
        self.waits.append(seconds)
        self.timer.move(seconds=seconds)
        self.between()
        self.waits_left -= 1
        self.stopped = self.stopped or self.waits_left <= 0
        return self.stopped


@dataclass
class Recorder:
    """An outlet that keeps what it was given."""

    events: list[Event] = field(default_factory=list)

    def record(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


Failures = dict[str, list[CleanerError | None]]


@dataclass
class ScriptedRuntime:
    """A runtime in front of another: fails calls as scripted, records them, and lets things happen between them."""

    inner: Runtime
    failures: Failures = field(default_factory=dict)
    """By method: what the next calls raise, None for a call that goes through."""
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    """By method: what happens on the node just before a call."""
    after: dict[str, Callable[[], None]] = field(default_factory=dict)
    """By method: what happens on the node just after a call."""
    calls: list[str] = field(default_factory=list)
    silent_removals: int = 0
    """So many removals are answered with success, and do nothing."""
    blind: bool = False
    """Whether it cannot tell what images share."""
    layers: list[Layers | None] = field(default_factory=list)
    """What images share by the next readings; then what the other runtime says."""
    images: list[Image | None] = field(default_factory=list)
    """What the next readings of one image find; None for what the other runtime says."""
    leftovers: list[tuple[str, ...]] = field(default_factory=list)
    """What the next removals leave of their images; then what the other runtime says."""
    made: list[tuple[Container, ...]] = field(default_factory=list)
    """What was made before the next questions for it; then what the other runtime says."""
    pulls: list[tuple[Pull, ...]] = field(default_factory=list)
    """What is being pulled by the next readings; then what the other runtime says."""

    @property
    def layers_error(self) -> str | None:
        return self.inner.layers_error

    @property
    def pulls_state(self) -> ReadState | None:
        return self.inner.pulls_state

    @property
    def container_events_state(self) -> ReadState | None:
        return self.inner.container_events_state

    def probe_container_events(self) -> ReadState:
        return self.inner.probe_container_events()

    def disconnect(self) -> None:
        self._enter("disconnect")
        self.inner.disconnect()

    def read_version(self) -> RuntimeVersion:
        self._enter("read_version")
        return self.inner.read_version()

    def read_filesystems(self) -> Mapping[Filesystem, str]:
        self._enter("read_filesystems")
        return self.inner.read_filesystems()

    def list_images(self) -> tuple[Image, ...]:
        self._enter("list_images")
        return self.inner.list_images()

    def list_containers(self) -> tuple[Container, ...]:
        self._enter("list_containers")
        found = self.inner.list_containers()
        self.after.get("list_containers", lambda: None)()
        return found

    def drain_created_containers(self) -> tuple[Container, ...]:
        self._enter("drain_created_containers")
        return self.made.pop(0) if self.made else self.inner.drain_created_containers()

    def event_position(self) -> int | None:
        self._enter("event_position")
        return self.inner.event_position()

    def created_since(self, position: int) -> tuple[Container, ...] | None:
        self._enter("created_since")
        found = self.inner.created_since(position)
        self.after.get("created_since", lambda: None)()
        return found

    def list_sandbox_images(self) -> frozenset[str]:
        self._enter("list_sandbox_images")
        return self.inner.list_sandbox_images()

    def read_image(self, image_id: str) -> Image | None:
        self._enter("read_image")
        if self.images and (image := self.images.pop(0)):
            return image
        return self.inner.read_image(image_id)

    def read_layers(self, images: tuple[Image, ...]) -> Layers | None:
        self._enter("read_layers")
        if self.layers:
            return self.layers.pop(0)
        return None if self.blind else self.inner.read_layers(images)

    def read_pulls(self) -> tuple[Pull, ...]:
        self._enter("read_pulls")
        return self.pulls.pop(0) if self.pulls else self.inner.read_pulls()

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        self._enter("list_leftovers")
        return self.leftovers.pop(0) if self.leftovers else self.inner.list_leftovers(image)

    def remove_image(self, image_id: str) -> None:
        self._enter("remove_image")
        if self.silent_removals:
            self.silent_removals -= 1
            return
        self.inner.remove_image(image_id)
        self.after.get("remove_image", lambda: None)()

    def _enter(self, method: str) -> None:
        self.calls.append(method)
        self.before.get(method, lambda: None)()
        script = self.failures.get(method, [])
        if script and (error := script.pop(0)):
            raise error


@dataclass
class ScriptedDisk:
    """A disk in front of another: fails as scripted, may be stuck, counts its readings."""

    inner: Disk
    failures: list[CleanerError | None] = field(default_factory=list)
    stuck: Usage | None = None
    """What each reading says, whatever happens."""
    readings: int = 0
    hurried: list[bool] = field(default_factory=list)
    """Of each settled reading."""

    @property
    def path(self) -> str:
        return self.inner.path

    @property
    def unseen(self) -> tuple[str, ...]:
        return self.inner.unseen

    @property
    def measures_removals(self) -> bool:
        return self.inner.measures_removals

    def read_usage(self) -> Usage:
        self.readings += 1
        if self.failures and (error := self.failures.pop(0)):
            raise error
        return self.stuck or self.inner.read_usage()

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:
        self.hurried.append(hurried)
        return self.read_usage()


class ScriptedLedger(InMemoryLedger):
    """A ledger that says what a test scripts, and records what it was told.

    It has watched the node before the test: an image was first seen when it was pulled.
    """

    def __init__(self, since: datetime | None = WATCHED_SINCE) -> None:
        super().__init__(since)
        self.since: datetime | None = since
        self.before: StoredTimes | None = None
        """What was stored before the start."""
        self.nightly_run: NightlyRun | None = LAST_NIGHTLY_RUN
        self.evicted: int | None = 0
        self.news_to_come: list[News] = []
        self.busy = 0
        """How many turns another process has first."""
        self.regrets: dict[str, Regret] = {}
        self.shifts: list[timedelta] = []
        self.told: list[Event] = []

    def store_images(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> Memory:
        on_hold = {event.rule: event.until for event in self.told if isinstance(event, RuleOnHold)}
        memory = super().store_images(images, in_use, now)
        pulled = {image.id: image.pulled_at for image in images if image.pulled_at}
        self._first_seen_at = {i: min(at, pulled.get(i, at)) for i, at in memory.first_seen_at.items()}
        since = self.since if self.error is None else None
        memory = replace(memory, first_seen_at=dict(self._first_seen_at), since=since, installed_at=since)
        return replace(memory, regrets=self.regrets, on_hold_until=on_hold)

    def stored_times(self) -> StoredTimes | None:
        return self.before

    def shift(self, offset: timedelta) -> None:
        super().shift(offset)
        self.shifts.append(offset)

    def last_nightly_run(self) -> NightlyRun | None:
        return self.nightly_run

    def evicted_since(self, _occurrence: datetime) -> int | None:
        return self.evicted

    def news(self) -> tuple[News, ...]:
        told, self.news_to_come = tuple(self.news_to_come), []
        return told

    @contextmanager
    def sweep_turn(self) -> Iterator[bool]:
        self.busy -= 1
        yield self.busy < 0

    def record(self, event: Event) -> None:
        super().record(event)
        self.told.append(event)


@dataclass
class ScriptedRegistries:
    """Registries that are down as a test says, and what was asked of them."""

    broken: dict[str, str] = field(default_factory=dict)
    """Registry: why it is down."""
    asked: list[tuple[frozenset[str], float]] = field(default_factory=list)
    known: frozenset[str] = frozenset()

    def find_down(self, registries: frozenset[str], seconds: float) -> dict[str, str]:
        self.asked.append((registries, seconds))
        found = {registry: reason for registry, reason in self.broken.items() if registry in registries}
        self.known = (self.known - registries) | found.keys()
        return found

    def known_down(self) -> frozenset[str]:
        return self.known
