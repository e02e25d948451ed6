"""Every call of a runtime with its answer and its times, so that a test can prove what was known before a removal.

It does not judge by the product's own rules: an image is in use if a container's names include its id
or one of its names.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import CleanerError
from cleaner.core.model import Container, Image, RuntimeVersion
from cleaner.core.ports import Runtime
from cleaner.core.pressure.pulls import Pull
from cleaner.core.read_state import ReadState
from cleaner.core.reclaim import Layers

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Call:
    """One call that is over; times are monotonic seconds."""

    method: str
    subject: str
    """The image that it was about; empty for lists."""
    began: float
    ended: float
    answer: object = None
    error: CleanerError | None = None


@dataclass
class RecordedRuntime:
    """A runtime in front of another, which records each call, and lets things happen just before it."""

    inner: Runtime
    calls: list[Call] = field(default_factory=list)
    before: dict[str, Callable[[str], None]] = field(default_factory=dict)
    """By method: what happens on the node just before a call; it is given the call's subject."""

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

    def read_pulls(self) -> tuple[Pull, ...]:
        return self._recorded("read_pulls", self.inner.read_pulls)

    def read_layers(self, images: tuple[Image, ...]) -> Layers | None:
        return self._recorded("read_layers", lambda: self.inner.read_layers(images))

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        return self._recorded("list_leftovers", lambda: self.inner.list_leftovers(image), image.id)

    def disconnect(self) -> None:
        self._recorded("disconnect", self.inner.disconnect)

    def read_version(self) -> RuntimeVersion:
        return self._recorded("read_version", self.inner.read_version)

    def read_filesystems(self) -> Mapping[Filesystem, str]:
        return self._recorded("read_filesystems", self.inner.read_filesystems)

    def list_images(self) -> tuple[Image, ...]:
        return self._recorded("list_images", self.inner.list_images)

    def list_containers(self) -> tuple[Container, ...]:
        return self._recorded("list_containers", self.inner.list_containers)

    def drain_created_containers(self) -> tuple[Container, ...]:
        return self._recorded("drain_created_containers", self.inner.drain_created_containers)

    def event_position(self) -> int | None:
        return self.inner.event_position()

    def created_since(self, position: int) -> tuple[Container, ...] | None:
        return self.inner.created_since(position)

    def list_sandbox_images(self) -> frozenset[str]:
        return self._recorded("list_sandbox_images", self.inner.list_sandbox_images)

    def read_image(self, image_id: str) -> Image | None:
        return self._recorded("read_image", lambda: self.inner.read_image(image_id), image_id)

    def remove_image(self, image_id: str) -> None:
        return self._recorded("remove_image", lambda: self.inner.remove_image(image_id), image_id)

    def _recorded(self, method: str, call: Callable[[], Answer], subject: str = "") -> Answer:
        if hook := self.before.get(method):
            hook(subject)
        began = time.monotonic()
        try:
            answer = call()
        except CleanerError as error:
            self.calls.append(Call(method, subject, began, time.monotonic(), error=error))
            raise
        self.calls.append(Call(method, subject, began, time.monotonic(), answer))
        return answer


@dataclass(frozen=True)
class FinalCheck:
    """The three calls before a decision on one image, and what they answered."""

    image: Image | None
    sandbox_images: frozenset[str]
    containers: tuple[Container, ...]
    containers_began: float
    ended: float

    def need(self) -> str | None:
        """What needs the image by this check; None where nothing does."""
        if self.image is None:
            return "it is gone"
        names = {self.image.id, *self.image.references}
        users = [container.id for container in self.containers if names & container.image_names]
        if users:
            return f"container {users[0]}"
        if names & self.sandbox_images:
            return "sandboxes"
        return "pinned" if self.image.pinned or not self.image.readable else None


@dataclass(frozen=True)
class Decision:
    """The outcome of one final check."""

    planned: Image
    """As the sweep's list had it."""
    final_check: FinalCheck
    removal: Call | None
    """The very next call, where that was RemoveImage."""
    used: frozenset[str] = frozenset()
    """Image names of all containers that final checks have shown since the list."""

    def reason_to_stay(self) -> str | None:
        """By the final checks alone: a need now or since the list, or a change; None if it may be evicted."""
        if need := self.final_check.need():
            return need
        now = self.final_check.image
        assert now is not None
        if self.used & {now.id, *now.references}:
            return "used since the list"
        if now.references != self.planned.references:
            return "other references"
        return "another pull" if now.pulled_at != self.planned.pulled_at else None


def decisions(calls: Sequence[Call]) -> Iterator[Decision]:
    """All of them; AssertionError where an image was removed without a final check right before."""
    planned: dict[str, Image] = {}
    used: set[str] = set()
    for index, call in enumerate(calls):
        if call.method == "list_images" and isinstance(call.answer, tuple):
            planned = {image.id: image for image in call.answer}
            used = set()
        elif call.method == "remove_image":
            assert final_check_of(calls[max(0, index - 3) : index]) is not None, "a removal without a final check"
        elif (final_check := final_check_of(calls[max(0, index - 2) : index + 1])) is not None:
            next_call = calls[index + 1] if index + 1 < len(calls) else None
            removal = next_call if next_call is not None and next_call.method == "remove_image" else None
            subject = calls[index - 2].subject
            assert removal is None or removal.subject == subject, "another image was checked than removed"
            used |= {name for container in final_check.containers for name in container.image_names}
            yield Decision(planned[subject], final_check, removal, frozenset(used))


def final_check_of(calls: Sequence[Call]) -> FinalCheck | None:
    """The final check that the last three calls are, if they are one and all were answered."""
    if [call.method for call in calls[-3:]] != ["read_image", "list_sandbox_images", "list_containers"]:
        return None
    image, sandboxes, containers = calls[-3:]
    if image.error or sandboxes.error or containers.error:
        return None
    assert image.answer is None or isinstance(image.answer, Image)
    assert isinstance(sandboxes.answer, frozenset)
    assert isinstance(containers.answer, tuple)
    return FinalCheck(image.answer, sandboxes.answer, containers.answer, containers.began, containers.ended)
