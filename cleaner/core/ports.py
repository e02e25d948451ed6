"""What the logic needs of the world outside, as Protocols.

Refuses implementations: those are in `runtime`, `node`, `outlets` and `simulation`.
"""

from datetime import datetime
from typing import Protocol

from cleaner.core.events import Event
from cleaner.core.model import Container, Image, Memory, RuntimeVersion, Usage
from cleaner.core.reclaim import Layers


class Runtime(Protocol):
    """A container runtime. Every call may raise RuntimeUnavailableError or RuntimeRejectedError."""

    @property
    def layers_refusal(self) -> str | None:
        """Why the last `read_layers` gave none although the runtime could tell; None where it did not fail."""
        ...

    def read_version(self) -> RuntimeVersion:
        """Name and version of the runtime; the cheapest sign of life."""
        ...

    def read_image_filesystem(self) -> str:
        """Path of the filesystem that holds the images (CRI ImageFsInfo), on the host."""
        ...

    def list_images(self) -> tuple[Image, ...]:
        """All images, by id; one that vanished meanwhile is left out, one whose status failed is not readable."""
        ...

    def list_containers(self) -> tuple[Container, ...]:
        """Containers in every state; one that vanished meanwhile is left out."""
        ...

    def list_sandbox_images(self) -> frozenset[str]:
        """Names of the images of all pod sandboxes, and of the one the runtime would start next."""
        ...

    def read_image(self, image_id: str) -> Image | None:
        """One image as it is now, never from memory (its `created_at` may be); None where it is gone."""
        ...

    def read_layers(self, images: tuple[Image, ...]) -> Layers | None:
        """What these images, just listed, share; None where the runtime cannot tell."""
        ...

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        """Names of records that still point to an image that was removed: they pin its layers; sorted."""
        ...

    def remove_image(self, image_id: str) -> None:
        """Remove an image with all its references; never retried.

        ImageInUseError where the runtime refuses because a container uses it.
        RuntimeUnavailableError on a deadline: whether it is gone has to be asked.
        """
        ...


class Disk(Protocol):
    """The filesystem that holds the images. Every call may raise DiskUnreadableError."""

    def read_usage(self) -> Usage:
        """What is used at this moment."""
        ...

    def read_settled_usage(self) -> Usage:
        """Usage once two readings 50 ms apart agree, or after 1 s: XFS frees space after the fact."""
        ...

    @property
    def path(self) -> str:
        """Where it is looked at."""
        ...

    @property
    def measures_removals(self) -> bool:
        """Whether the filesystem shows what one removal freed within a second."""
        ...


class Timer(Protocol):
    """Both clocks of the machine."""

    def now(self) -> datetime:
        """Wall clock, aware, UTC: for ages and windows."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump and go on during suspend: for durations and deadlines."""
        ...


class Stop(Protocol):
    """Whether and until when to wait: waiting and being stopped are one call."""

    def requested(self) -> bool:
        """Whether the program was asked to end."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait, at most `seconds`; True at once when a stop is requested, before or meanwhile."""
        ...


class Recollection(Protocol):
    """What the agent remembers of images between looks."""

    def remember(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> Memory:
        """Note what is there and which image ids are in use now; forget what is gone; give all that is known."""
        ...


class Outlet(Protocol):
    """Where events go; must not raise for a reason of its own."""

    def record(self, event: Event) -> None:
        """Take one event."""
        ...
