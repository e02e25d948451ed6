"""What a node holds and what is decided about it, as frozen values.

Refuses behaviour: how these values come to be is in `policy`, `pressure` and the adapters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cleaner.core.reclaim import Layers, Size
from cleaner.core.references import Pattern


class Mode(StrEnum):
    """How far the daemon may go; a fleet is rolled out in this order."""

    OBSERVE = "observe"
    PRESSURE = "pressure"
    FULL = "full"


class Trigger(StrEnum):
    """What started a sweep."""

    NIGHTLY = "nightly"
    PRESSURE = "pressure"
    MANUAL = "manual"


class Clock(StrEnum):
    """Which of an image's times a rule counts its age from."""

    CREATED = "created"
    PULLED = "pulled"


class KeepReason(StrEnum):
    """Why an image stays; the first that holds, in this order."""

    UNREADABLE = "unreadable"
    IN_USE = "in_use"
    SANDBOX = "sandbox"
    PINNED = "pinned"
    PROTECTED = "protected"
    UNMATCHED = "unmatched"
    LOCAL = "local"
    RECENT = "recent"
    NEWEST = "newest"
    UNEXPIRED = "unexpired"
    NO_GAIN = "no_gain"


class EvictReason(StrEnum):
    """Why an image goes: past its rule's max_age, or only because the disk needs the space."""

    EXPIRED = "expired"
    PRESSURE = "pressure"


class EvictionOutcome(StrEnum):
    """How the eviction of one image ended."""

    EVICTED = "evicted"
    FAILED = "failed"
    SPARED = "spared"
    PLANNED = "planned"


class StopReason(StrEnum):
    """Why a sweep ended where it did."""

    DONE = "done"
    LOW_MARK = "low_mark"
    NOT_NEEDED = "not_needed"
    STOP_REQUESTED = "stop_requested"
    LIMIT = "limit"
    FAILURES = "failures"
    NO_PROGRESS = "no_progress"


class Resource(StrEnum):
    """What of a filesystem can run out."""

    BYTES = "bytes"
    INODES = "inodes"


@dataclass(frozen=True, slots=True)
class Image:
    """One image as the runtime has it now."""

    id: str
    """As the runtime writes it: `sha256:` and the config digest (containerd), bare hex (CRI-O)."""
    tags: tuple[str, ...] = ()
    """CRI `repo_tags`, sorted."""
    digests: tuple[str, ...] = ()
    """CRI `repo_digests`, sorted; none means that no registry is known to have it."""
    size_bytes: int = 0
    """CRI `size`: compressed under containerd, shared layers counted in full. Never add these up."""
    pinned: bool = False
    created_at: datetime | None = None
    """`created` of the image's config as it is written, however implausible; None where absent."""
    pulled_at: datetime | None = None
    """Newest time of all of containerd's records with its target; None where that API is absent."""
    readable: bool = True
    """False where its status could not be read."""

    @property
    def references(self) -> tuple[str, ...]:
        """Tags, then digests, each sorted."""
        return self.tags + self.digests


@dataclass(frozen=True, slots=True)
class Container:
    """One container, of any state, and every name it may know its images by."""

    id: str
    image_names: frozenset[str]
    """CRI `image_id`, `image_ref`, `image.image`, and `image.image` of its mounts (image volumes)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent remembers of images, by image id."""

    since: datetime
    """Since when it watches this node without a gap in its memory."""
    first_seen_at: Mapping[str, datetime] = field(default_factory=dict)
    last_used_at: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """One consistent look at the node: what a plan is made from."""

    images: tuple[Image, ...]
    containers: tuple[Container, ...]
    sandbox_images: frozenset[str]
    """Names of the images that pod sandboxes run or will run (the pause image)."""
    memory: Memory
    layers: Layers | None = None
    """What images share; None where the runtime cannot tell."""

    @property
    def trusted_layers(self) -> Layers | None:
        """None where no figure may be made from them."""
        return self.layers if self.layers and self.layers.complete else None


@dataclass(frozen=True, slots=True)
class Rule:
    """Which images may be evicted, and from what age on."""

    name: str
    match: tuple[Pattern, ...]
    max_age: timedelta
    age_from: Clock = Clock.CREATED
    keep_newest: int = 0
    """Per repository, over all images on the node; ties are kept together."""
    local: bool = False
    """Whether images that no registry is known to have may go too."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be evicted, and what never."""

    rules: tuple[Rule, ...]
    protect: tuple[Pattern, ...] = ()
    grace: timedelta = timedelta(hours=24)
    pressure_grace: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to happen to one image, and why."""

    image: Image
    reason: EvictReason | KeepReason
    rule: str | None = None
    """Name of the rule that decided; None where no rule was asked."""
    created_at: datetime | None = None
    """The plausible ones of the image's times; None where not known."""
    pulled_at: datetime | None = None
    last_used_at: datetime | None = None
    age: timedelta | None = None
    """By the rule's clock; None where no rule was asked."""
    reclaimable: Size | None = None
    """To evict: what it frees once those before it in the plan are gone. To keep: what it would free alone. None where
    that cannot be known."""
    by_memory: bool = False
    """True where first seen, which stands in for a time that is not known, is what keeps it."""

    @property
    def evict(self) -> bool:
        """Whether the image is to go."""
        return isinstance(self.reason, EvictReason)


@dataclass(frozen=True, slots=True)
class Plan:
    """Every image exactly once: those to evict, in order, and those to keep."""

    trigger: Trigger
    evictions: tuple[Verdict, ...]
    kept: tuple[Verdict, ...]
    """By keep reason, then references, then id."""
    reclaimable: Size | None = None
    """What all evictions together free; None where that cannot be known."""
    not_reached: tuple[Verdict, ...] = ()
    """Candidates that are not needed: those before them are foretold to reach the low mark."""
    low_mark_reachable: bool | None = None
    """Whether all candidates together are foretold to reach it; None where nobody asked or nothing is foretold."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one filesystem holds, as a user who is not root sees it."""

    path: str
    capacity_bytes: int
    available_bytes: int
    inodes: int
    """0 where the filesystem has no limit."""
    inodes_available: int
    free_bytes: int
    """Root's reserve included: while a full disk refills it, a removal shows here and not in `available_bytes`."""

    @property
    def used_percent(self) -> float:
        """The kubelet's figure: 100 x (1 - available / capacity); 0 for an empty filesystem."""
        return _used_percent(self.capacity_bytes, self.available_bytes)

    @property
    def inodes_used_percent(self) -> float | None:
        """Like `used_percent`; None where there is no limit."""
        return _used_percent(self.inodes, self.inodes_available) if self.inodes else None

    def percent(self, resource: Resource) -> float | None:
        """Used share of one resource, in percent; None where it has no limit."""
        return self.used_percent if resource is Resource.BYTES else self.inodes_used_percent


def _used_percent(capacity: int, available: int) -> float:
    return 100 * (capacity - available) / capacity if capacity > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RuntimeVersion:
    """CRI Version: who serves the socket."""

    name: str
    version: str
