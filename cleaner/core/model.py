"""What a node holds and what is decided about it, as frozen values.

It must not have behaviour: `core/policy.py`, `core/pressure` and the adapters make these values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cleaner.core.reclaim import Layers, Size
from cleaner.core.references import Pattern
from cleaner.core.regret import Regret, RegretLimit


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
    LAST_USED = "last_used"


class KeepReason(StrEnum):
    """Why an image is kept; the first reason that applies, in this order."""

    UNREADABLE = "unreadable"
    IN_USE = "in_use"
    SANDBOX = "sandbox"
    PINNED = "pinned"
    PROTECTED = "protected"
    UNREMOVABLE = "unremovable"
    REMOVAL_FAILED = "removal_failed"
    UNMATCHED = "unmatched"
    LOCAL = "local"
    RECENT = "recent"
    NEWEST = "newest"
    UNEXPIRED = "unexpired"
    RULE_ON_HOLD = "rule_on_hold"
    REGISTRY_DOWN = "registry_down"
    NO_GAIN = "no_gain"


class EvictReason(StrEnum):
    """Why an image is evicted: it is past its rule's max_age, or only because the disk needs the space."""

    EXPIRED = "expired"
    PRESSURE = "pressure"


class EvictionOutcome(StrEnum):
    """How the eviction of one image ended."""

    EVICTED = "evicted"
    FAILED = "failed"
    SPARED = "spared"
    PLANNED = "planned"


class Fault(StrEnum):
    """What made an eviction fail, or kept its final check from being valid."""

    IMAGE = "image"
    """The runtime rejected the removal or the final check of this image, or left it there: others may succeed."""
    RUNTIME = "runtime"
    """The runtime was unavailable or late, or could not be read: no image is to blame."""


class StopReason(StrEnum):
    """Why a sweep ended where it did."""

    DONE = "done"
    LOW_WATERMARK = "low_watermark"
    NOT_NEEDED = "not_needed"
    STOP_REQUESTED = "stop_requested"
    LIMIT = "limit"
    FAILURES = "failures"
    NO_PROGRESS = "no_progress"
    KUBELET_THRESHOLD = "kubelet_threshold"
    YIELDED_TO_PRESSURE = "yielded_to_pressure"
    WINDOW_CLOSED = "window_closed"


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
    local: bool = False
    """True where the runtime tells where images come from, and nothing shows that a registry has this one."""
    imported: bool = False
    """True where a record of it carries the mark of an import: it is local whatever else is known."""
    stray_records: tuple[str, ...] = ()
    """Names of containerd's records that RemoveImage would leave behind, sorted: CRI lists them under other names."""
    artifact: bool = False
    """True for an OCI artifact that CRI-O lists as an image: RemoveImage by id succeeds and does nothing."""

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
class RemovalFailure:
    """The removals of one image that failed in a row; a new pull or another agent version resets the count."""

    count: int
    """From 1 on."""
    failed_at: datetime
    """The latest of them."""
    pulled_at: datetime | None
    """When the image was pulled, as it was known then."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent has stored about a node."""

    since: datetime | None
    """Since when the agent has watched this node without a gap; None where that is not known."""
    first_seen_at: Mapping[str, datetime] = field(default_factory=dict)
    """By image id, as is the next."""
    last_used_at: Mapping[str, datetime] = field(default_factory=dict)
    installed_at: datetime | None = None
    """The agent's first run on this node; None where that is not known."""
    on_hold_until: Mapping[str, datetime] = field(default_factory=dict)
    """By name of a rule: until when the nightly trigger keeps its images, since too many were re-pulled."""
    regrets: Mapping[str, Regret] = field(default_factory=dict)
    """By name of a rule."""
    imported: frozenset[str] = frozenset()
    """Ids of images on the node that were seen with the mark of an import at some time."""
    removal_failures: Mapping[str, RemovalFailure] = field(default_factory=dict)
    """By image id; images without a failed removal are not in it."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """One consistent reading of the node: what a plan is made from."""

    images: tuple[Image, ...]
    containers: tuple[Container, ...]
    sandbox_images: frozenset[str]
    """Names of the images that pod sandboxes run or will run (the pause image)."""
    memory: Memory
    layers: Layers | None = None
    """What images share; None where the runtime cannot tell."""
    sizes_are_bounds: bool = False
    """Whether `Image.size_bytes` is at least what a removal frees: it is uncompressed, and shared layers count in full,
    where the runtime has no containerd API (CRI-O)."""
    registries_down: frozenset[str] = frozenset()
    """Registries, as references name them, that do not answer; none where none was asked."""

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
    """Whether images that no registry is known to have may be evicted too."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be evicted, and what never."""

    rules: tuple[Rule, ...]
    protect: tuple[Pattern, ...] = ()
    regret: RegretLimit = field(default_factory=RegretLimit)
    grace: timedelta = timedelta(hours=24)
    pressure_grace: timedelta = timedelta(minutes=5)
    pressure_ignores_registries: bool = True
    """Whether a pressure sweep evicts images also while their registry is down."""


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
    """To evict: what it frees once those before it in the plan are evicted. To keep: what it would free alone. None
    where that cannot be known."""
    by_memory: bool = False
    """True where first seen, which stands in for a time that is not known, is what keeps it."""
    detail: str | None = None
    """What the reason alone does not tell: the records that RemoveImage would leave behind, when a removal that
    failed is tried again; None where there is no more to say."""

    @property
    def evict(self) -> bool:
        """Whether the image is to be evicted."""
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
    reclaimable_at_most: Size | None = None
    """Where that is not known: what all candidates together free at most; None if there is no upper bound."""
    next_candidate_in: timedelta | None = None
    """How long after the plan the grace of the first `recent` image ends; None where there is none."""
    not_reached: tuple[Verdict, ...] = ()
    """Candidates beyond the estimated low watermark, or beyond the limit of the sweep."""
    low_watermark_reachable: bool | None = None
    """Whether all candidates together are estimated to reach it; None where not asked, or without estimates."""

    @property
    def most_reclaimable(self) -> Size | None:
        """What all candidates together free, or at most free; None where nothing is known."""
        return self.reclaimable_at_most if self.reclaimable is None else self.reclaimable

    @property
    def candidates(self) -> tuple[Verdict, ...]:
        """All images that may be evicted, in order, whether the sweep needs them or not."""
        return self.evictions + self.not_reached


@dataclass(frozen=True, slots=True)
class RuntimeVersion:
    """CRI Version: who serves the socket."""

    name: str
    version: str


def sorted_references(image: Image) -> list[str]:
    """Tags, then digests, each sorted, whatever order the runtime gave them in."""
    return sorted(image.tags) + sorted(image.digests)
