"""The final check of an image right before its removal, and how long it stays valid.

Reading a node takes time. A runtime may need four seconds to list its containers, and a container that was created
three seconds ago is not in that list. So a check is valid only as long as nothing can have changed unseen:

- Where the agent follows the runtime's container events, from before the check began until the removal: until an event
  concerns the image, and for 30 s at most.
- Without such a stream: for twice as long as the calls of the check took, at least 1 s and at most 10 s.

Example: the check begins at 0.0 s, a container of the image is created at 0.3 s, the list without it arrives at 4.0 s.
The event arrived at 0.3 s, so the check is not valid, and the next one finds the container. After three checks that
were not valid the image is spared.
"""

from dataclasses import dataclass, replace

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.image_users import ids_in_use, image_users, reason_to_spare
from cleaner.core.model import Fault, Image
from cleaner.core.ports import Node

MOST_CHECKS = 3
LONGEST_WATCHED_SECONDS = 30.0
SHORTEST_UNWATCHED_SECONDS = 1.0
LONGEST_UNWATCHED_SECONDS = 10.0
OUTDATED = f"the runtime changed or was slow during each of {MOST_CHECKS} final checks"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the final check found; nothing but `usage` where the image may be removed at once."""

    usage: Usage | None = None
    """Right before the removal."""
    reason_to_spare: str | None = None
    error: str | None = None
    """Why the check failed, since the runtime rejected the question for this image."""
    fault: Fault | None = None
    """What keeps the image, where it is neither its users nor a change of it."""


class ImageRejectedError(RuntimeRejectedError):
    """The runtime does not tell the state of one image: others may be fine."""


class FinalChecks:
    """The final checks of one sweep."""

    def __init__(self, node: Node) -> None:
        self.used: frozenset[str] = frozenset()
        """Identity keys of all that was seen in use since the plan."""
        self._node = node

    def check(self, image: Image) -> CheckResult:
        """Check a planned image until a check is still valid at its end, three times at most.

        The caller removes the image at once. CleanerError where the runtime or the disk cannot be read.
        """
        try:
            return self._check(image)
        except ImageRejectedError as error:
            return CheckResult(error=str(error), fault=Fault.IMAGE)

    def _check(self, image: Image) -> CheckResult:
        for _ in range(MOST_CHECKS):
            runtime, timer = self._node.runtime, self._node.timer
            position, began = runtime.event_position(), timer.monotonic()
            against = self._read_reason_to_spare(image, watched=position is not None)
            if against is not None:
                return CheckResult(reason_to_spare=against)
            took = timer.monotonic() - began
            usage = self._node.disk.read_usage()
            if position is None:
                longest = min(max(2 * took, SHORTEST_UNWATCHED_SECONDS), LONGEST_UNWATCHED_SECONDS)
            elif self._is_concerned(image, position, began):
                continue
            else:
                longest = LONGEST_WATCHED_SECONDS
            if timer.monotonic() - began <= longest:
                return CheckResult(usage)
        return CheckResult(reason_to_spare=OUTDATED, fault=Fault.RUNTIME)

    def _is_concerned(self, image: Image, position: int, began: float) -> bool:
        """Whether a container of the image was created since; in doubt, where the stream broke, one was.

        Finding the images of new containers takes calls too. What was created during these is asked for again, until
        nothing was, or the check is too old.
        """
        runtime, timer = self._node.runtime, self._node.timer
        asked_at, now = None, runtime.event_position()
        while now is not None and now != asked_at and timer.monotonic() - began <= LONGEST_WATCHED_SECONDS:
            asked_at = now
            created = runtime.created_since(position)
            if created is None:
                return True
            users = image_users(created, ())
            self.used |= users.in_use
            if ids_in_use((image,), users):
                return True
            now = runtime.event_position()
        return now is None

    def _read_reason_to_spare(self, image: Image, *, watched: bool) -> str | None:
        """Read the image, sandboxes and containers; last comes what may change unseen.

        Where container events are followed that is the image, which may be pulled again or pinned. Elsewhere it is the
        containers, which change fastest.
        """
        runtime = self._node.runtime
        present = None if watched else self._read_image(image)
        sandbox_images = runtime.list_sandbox_images()
        users = image_users(runtime.list_containers(), sandbox_images)
        self.used |= users.in_use
        present = self._read_image(image) if watched else present
        return reason_to_spare(image, present, replace(users, used=self.used))

    def _read_image(self, image: Image) -> Image | None:
        try:
            return self._node.runtime.read_image(image.id)
        except RuntimeRejectedError as error:
            raise ImageRejectedError(str(error)) from error
