"""Fakes of the ports: a clock that tests move, a stop that tests request, a runtime that fails when told to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cleaner.core.errors import CleanerError
from cleaner.core.events import Event
from cleaner.core.model import Container, Image, RuntimeVersion, Usage
from cleaner.core.ports import Disk, Runtime
from cleaner.core.reclaim import Layers

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
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

    def requested(self) -> bool:
        return self.stopped

    def wait(self, seconds: float) -> bool:
        if self.stopped:
            return True
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
    """A runtime in front of another: fails calls as scripted, notes them, and lets things happen between them."""

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
    """What the next looks find that images share; then what the other runtime says."""
    leftovers: list[tuple[str, ...]] = field(default_factory=list)
    """What the next removals leave of their images; then what the other runtime says."""

    @property
    def layers_refusal(self) -> str | None:
        return self.inner.layers_refusal

    def read_version(self) -> RuntimeVersion:
        self._enter("read_version")
        return self.inner.read_version()

    def read_image_filesystem(self) -> str:
        self._enter("read_image_filesystem")
        return self.inner.read_image_filesystem()

    def list_images(self) -> tuple[Image, ...]:
        self._enter("list_images")
        return self.inner.list_images()

    def list_containers(self) -> tuple[Container, ...]:
        self._enter("list_containers")
        return self.inner.list_containers()

    def list_sandbox_images(self) -> frozenset[str]:
        self._enter("list_sandbox_images")
        return self.inner.list_sandbox_images()

    def read_image(self, image_id: str) -> Image | None:
        self._enter("read_image")
        return self.inner.read_image(image_id)

    def read_layers(self, images: tuple[Image, ...]) -> Layers | None:
        self._enter("read_layers")
        if self.layers:
            return self.layers.pop(0)
        return None if self.blind else self.inner.read_layers(images)

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

    @property
    def path(self) -> str:
        return self.inner.path

    @property
    def measures_removals(self) -> bool:
        return self.inner.measures_removals

    def read_usage(self) -> Usage:
        self.readings += 1
        if self.failures and (error := self.failures.pop(0)):
            raise error
        return self.stuck or self.inner.read_usage()

    def read_settled_usage(self) -> Usage:
        return self.read_usage()
