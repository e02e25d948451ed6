"""What the logic needs of the world outside, as Protocols.

The implementations are in `runtime`, `node`, `ledger`, `registries`, `outlets` and `simulation`.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.events import (
    Event,
    EvictionObserved,
    EvictionRegretted,
    ForeignEviction,
    ForeignSweep,
    ImagesRemovedExternally,
)
from cleaner.core.history import NightlyRun
from cleaner.core.kubelet import KubeletConfig
from cleaner.core.model import Container, Image, Memory, RuntimeVersion
from cleaner.core.pressure import Pull
from cleaner.core.read_state import ReadState
from cleaner.core.reclaim import Layers

News = ForeignSweep | ForeignEviction | EvictionObserved | EvictionRegretted | ImagesRemovedExternally
"""What a ledger reports."""


class Runtime(Protocol):
    """A container runtime. Every call may raise RuntimeUnavailableError or RuntimeRejectedError.

    Every read may raise StopRequestedError once a stop is requested.
    """

    @property
    def layers_error(self) -> str | None:
        """Why the last `read_layers` gave none although the runtime could tell; None where it did not fail."""
        ...

    @property
    def pulls_state(self) -> ReadState | None:
        """How the last `read_pulls` went; None before the first one."""
        ...

    @property
    def container_events_state(self) -> ReadState | None:
        """Whether container events are followed now; None before the agent watches them."""
        ...

    def probe_container_events(self) -> ReadState:
        """Whether container events could be followed, as an attempt shows that takes a second or so; never raises."""
        ...

    def disconnect(self) -> None:
        """Close the connection until the next call: an idle one costs wake-ups."""
        ...

    def read_version(self) -> RuntimeVersion:
        """Name and version of the runtime; the cheapest sign of life."""
        ...

    def read_filesystems(self) -> Mapping[Filesystem, str]:
        """Paths on the host: always of the images' filesystem, and of the others where the runtime tells them."""
        ...

    def list_images(self) -> tuple[Image, ...]:
        """All images, by id; one that is gone meanwhile is left out, one whose status failed is not readable."""
        ...

    def list_containers(self) -> tuple[Container, ...]:
        """Containers in every state, as the runtime lists them, whether or not their status can still be read."""
        ...

    def list_sandbox_images(self) -> frozenset[str]:
        """Names of the images of all pod sandboxes, and of the one the runtime would start next."""
        ...

    def read_image(self, image_id: str) -> Image | None:
        """One image as it is now, never from memory (its `created_at` may be); None where it is gone."""
        ...

    def drain_created_containers(self) -> tuple[Container, ...]:
        """Containers made since this was last asked, though they may be gone: for when an image was last used."""
        ...

    def event_position(self) -> int | None:
        """Position in the stream of container events; it grows with each container created or being created.

        None while it is not connected, or where there is none.
        """
        ...

    def created_since(self, position: int) -> tuple[Container, ...] | None:
        """Containers created since then, or being created, without consuming what `drain_created_containers` gives.

        None where the stream broke since then, so that some may be missing.
        """
        ...

    def read_layers(self, images: tuple[Image, ...]) -> Layers | None:
        """What these images, just listed, share; None where the runtime cannot tell."""
        ...

    def read_pulls(self) -> tuple[Pull, ...]:
        """What is being pulled now; () where the runtime cannot tell."""
        ...

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        """Names of records that still point to an image that was removed: they pin its layers; sorted."""
        ...

    def remove_image(self, image_id: str) -> None:
        """Remove an image with all its references; never retried.

        ImageInUseError where the runtime rejects it because a container uses the image.
        RuntimeUnavailableError on a deadline: the caller has to read whether the image is gone.
        """
        ...


class Disk(Protocol):
    """The filesystem that holds the images, and the others. Every call may raise DiskUnreadableError."""

    def read_usage(self) -> Usage:
        """What is used at this moment."""
        ...

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:
        """Usage once nothing more was freed in 50 ms, or after 1 s: XFS frees space after the fact; hurried: 10 ms."""
        ...

    @property
    def path(self) -> str:
        """Where it is measured."""
        ...

    @property
    def unseen(self) -> tuple[str, ...]:
        """Paths of other filesystems that the runtime fills, and that cannot be seen from here."""
        ...

    @property
    def measures_removals(self) -> bool:
        """Whether the filesystem shows what one removal freed within a second."""
        ...


class Kubelet(Protocol):
    """The kubelet's own configuration. Nothing here raises: what is not known has its default, and a reason."""

    def read(self) -> KubeletConfig:
        """As it lies on the node now."""
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


class Ledger(Protocol):
    """What the agent stores about a node. Nothing here raises: in doubt, the `Memory` knows less."""

    @property
    def error(self) -> str | None:
        """Why nothing is kept on disk at this time; None where it is."""
        ...

    @property
    def aside(self) -> str | None:
        """Where the unreadable file lies that was set aside since the ledger was opened; None where none was."""
        ...

    def store_images(self, images: tuple[Image, ...], in_use: frozenset[str], now: datetime) -> Memory:
        """Store what is there, in use, re-pulled or removed externally; return all that is known.

        Evictions that a process left unfinished are settled by whether the image is among these, unless another
        process sweeps at this time.
        """
        ...

    def stored_times(self) -> StoredTimes | None:
        """The times that show whether the wall clock is right: the newest one, and the latest inspection of this boot.

        None where it holds no time.
        """
        ...

    def shift(self, offset: timedelta) -> None:
        """Move the times stored by a wall clock that was behind: no image must look older by the correction."""
        ...

    def last_nightly_run(self) -> NightlyRun | None:
        """The latest nightly run."""
        ...

    def evicted_since(self, occurrence: datetime) -> int | None:
        """How many images nightly sweeps evicted for an occurrence, in this process or before it; None: not known."""
        ...

    def news(self) -> tuple[News, ...]:
        """Events that were not reported to an outlet yet, oldest first; each is returned once."""
        ...

    def sweep_turn(self) -> AbstractContextManager[bool]:
        """A sweep's turn: True while no other process of this node sweeps; False at once where one does."""
        ...


class Registries(Protocol):
    """Whether what is evicted could be pulled again. Nothing here raises: one that cannot be asked is down."""

    def find_down(self, registries: frozenset[str], seconds: float) -> Mapping[str, str]:
        """Those of them that are down with all of their mirrors, and why; takes about `seconds` at most.

        Each is asked once, and not again for minutes.
        """
        ...

    def known_down(self) -> frozenset[str]:
        """Those that were down when they were last asked; it does not ask again."""
        ...


class Outlet(Protocol):
    """Where events are recorded; must not raise for a reason of its own."""

    def record(self, event: Event) -> None:
        """Record one event."""
        ...


@dataclass(frozen=True, slots=True)
class Node:
    """What a sweep works on and with."""

    runtime: Runtime
    disk: Disk
    timer: Timer
    stop: Stop
    ledger: Ledger
    registries: Registries | None = None
    """None: none is asked, and all count as up."""
    kubelet: Kubelet | None = None
    """None where the agent does not read its files."""
