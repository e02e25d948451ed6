"""What the kubelet does with images by itself, by its own configuration, and whether that gets in our way.

It must not read files; see `node/kubelet_files.py`. Flags on the kubelet's command line override what is here, and
the agent does not see them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from cleaner.core.disk_usage import Resource, Usage
from cleaner.core.kubernetes_values import go_duration_of, percentage_of, quantity_of
from cleaner.core.pressure import KubeletThreshold, Watermarks

Tree = Mapping[object, object]
"""A KubeletConfiguration as plain values."""

KIND = "KubeletConfiguration"
"""`kind` of each of its files."""
CLOSE_PERCENT = 5.0
"""A high watermark less than this below the kubelet's threshold is close to it: one large image is more than that."""
_WHOLE_PERCENT = 100
NEVER_GC = 100
"""`imageGCHighThresholdPercent` of a kubelet that is to collect no images for space."""
LONGEST_TEXT = 40
NAMED_FILES = 5

DEFAULT_HARD = {
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
}
"""`evictionHard` of a kubelet on Linux that does not set it (defaults_linux.go; `imagefs.inodesFree` since 1.30)."""
_RESOURCE = {
    "imagefs.available": Resource.BYTES,
    "imagefs.inodesFree": Resource.INODES,
    "nodefs.available": Resource.BYTES,
    "nodefs.inodesFree": Resource.INODES,
}


@dataclass(frozen=True, slots=True)
class EvictionThreshold:
    """With less than this available the kubelet removes every unused image, then evicts pods."""

    signal: str
    text: str
    """As it is written: `15%` or `10Gi`."""
    percent: float | None
    """Of what there is; None where `amount` says it."""
    amount: float = 0.0
    """Bytes or inodes."""
    soft: bool = False
    """Whether the kubelet waits for a grace period first."""

    @property
    def resource(self) -> Resource:
        """What of the filesystem it is about."""
        return _RESOURCE[self.signal]

    def used_percent(self, capacity: int) -> float:
        """Above this share used it is met (eviction/helpers.go: strictly less available)."""
        percent = 100 * self.amount / capacity if self.percent is None else self.percent
        return max(0.0, 100 - percent)

    def __str__(self) -> str:
        return f"{self.signal}<{self.text}" + (" (soft)" if self.soft else "")


@dataclass(frozen=True, slots=True)
class KubeletAct:
    """From when on the kubelet removes images by itself, and by which of its settings."""

    above_percent: float
    reason: str


def _thresholds(texts: Mapping[str, str], *, soft: bool = False) -> tuple[EvictionThreshold, ...]:
    found = (_threshold(signal, texts[signal], soft=soft) for signal in _RESOURCE if signal in texts)
    return tuple(threshold for threshold in found if threshold is not None)


def _threshold(signal: str, text: str, *, soft: bool) -> EvictionThreshold | None:
    """None for what the kubelet treats as switched off; ValueError for what it does not accept."""
    percent = percentage_of(text)
    if percent is not None:
        if percent > _WHOLE_PERCENT:
            raise ValueError(f"{signal}: {text[:LONGEST_TEXT]!r} is more than the whole")
        return EvictionThreshold(signal, text, percent, soft=soft) if percent not in (0, _WHOLE_PERCENT) else None
    amount = quantity_of(text)
    if amount is None:
        raise ValueError(f"{signal}: {text[:LONGEST_TEXT]!r} is no percentage and no quantity")
    return EvictionThreshold(signal, text, None, amount, soft) if amount else None


@dataclass(frozen=True, slots=True)
class KubeletSettings:
    """When a kubelet removes images; the defaults are those of a kubelet without settings."""

    gc_high_percent: int = 85
    """`imageGCHighThresholdPercent`; the kubelet checks it every five minutes."""
    gc_low_percent: int = 80
    """`imageGCLowThresholdPercent`: down to there it frees, by its own count."""
    thresholds: tuple[EvictionThreshold, ...] = _thresholds(DEFAULT_HARD)
    """Of `evictionHard`, then of `evictionSoft`; the kubelet checks them every ten seconds."""
    maximum_age: timedelta | None = None
    """`imageMaximumGCAge`: the kubelet removes an image that is unused for longer, at any disk usage; None: never."""
    minimum_age: timedelta = timedelta(minutes=2)
    """`imageMinimumGCAge`: it removes no image that it has known for less."""

    def act(self, resource: Resource, capacity: int) -> KubeletAct | None:
        """What comes first when a filesystem of this size, in bytes or inodes, fills; None where nothing does.

        Thresholds of nodefs count too: where the kubelet's own files lie on the same filesystem, they remove images,
        and the agent cannot tell whether they do.
        """
        if capacity <= 0:
            return None
        acts = [KubeletAct(t.used_percent(capacity), str(t)) for t in self.thresholds if t.resource is resource]
        if resource is Resource.BYTES and self.gc_high_percent < NEVER_GC:
            # It rounds what is available down to whole percents, so 85 is anything above 84.
            above = max(0.0, float(self.gc_high_percent - 1))
            acts.insert(0, KubeletAct(above, f"imageGCHighThresholdPercent {self.gc_high_percent}"))
        return min(acts, key=lambda act: act.above_percent, default=None)

    def high_percent(self, usage: Usage, resource: Resource = Resource.BYTES) -> float | None:
        """Above this share used the kubelet removes images by itself; None where it never does."""
        act = self.act(resource, _capacity_of(usage, resource))
        return None if act is None else act.above_percent


@dataclass(frozen=True, slots=True)
class KubeletConfig:
    """What was found out about a kubelet."""

    path: str
    """Its file, or the folder of its drop-ins where it has no file."""
    settings: KubeletSettings = field(default_factory=KubeletSettings)
    reason: str | None = None
    """Why the thresholds are the defaults; None where the files were read."""
    broken: bool = False
    """Whether there is a file, and it could not be read or makes no sense."""
    files: tuple[str, ...] = ()
    """Those that were read, in the order in which they are merged."""
    caveat: str | None = None
    """What was missing although other files were read."""

    @property
    def source(self) -> str:
        """The files that were read, as a sentence names them: not more than a few."""
        named, others = self.files[:NAMED_FILES], len(self.files) - NAMED_FILES
        return (", ".join(named) or self.path) + (f" and {others} more" if others > 0 else "")


@dataclass(frozen=True, slots=True)
class Collision:
    """A high watermark that is not clearly below the kubelet's threshold."""

    resource: Resource
    acts_first: bool
    """Whether the kubelet comes first; else it is only close."""
    text: str


def kubelet_settings_of(config: Tree | None, *drop_ins: Tree) -> KubeletSettings:
    """The thresholds of a configuration, drop-ins merged in their order; ValueError where a value makes no sense.

    `config` is None for a kubelet that has no `--config`. Such a kubelet has no `evictionHard` but that of its
    drop-ins: it fills in the defaults only when it loads a file (loadConfigFile in cmd/kubelet/app/server.go).
    """
    merged: Tree = {} if config is None else {**config, "evictionHard": _hard_of(config)}
    for drop_in in drop_ins:
        merged = _patched(merged, drop_in)
    return KubeletSettings(
        _percent_of(merged, "imageGCHighThresholdPercent", KubeletSettings().gc_high_percent),
        _percent_of(merged, "imageGCLowThresholdPercent", KubeletSettings().gc_low_percent),
        _thresholds(_texts_of(merged, "evictionHard")) + _thresholds(_texts_of(merged, "evictionSoft"), soft=True),
        _age_of(merged, "imageMaximumGCAge"),
        _age_of(merged, "imageMinimumGCAge") or KubeletSettings().minimum_age,
    )


def _patched(base: Tree, drop_in: Tree) -> Tree:
    """A configuration with a drop-in merged into it as a JSON merge patch (mergeKubeletConfigurations there).

    Mappings merge by key, any other value replaces, and null removes: what is removed has its default again, but
    `evictionHard` has none by then.
    """
    merged = dict(base)
    for key, value in drop_in.items():
        before = base.get(key)
        if isinstance(value, Mapping):
            merged[key] = {**(before if isinstance(before, Mapping) else {}), **value}
        else:
            merged[key] = value
    return merged


def _hard_of(config: Tree) -> dict[str, str]:
    """What is not named is off as soon as anything is, unless defaults are merged (1.35); only in the file itself."""
    if config.get("evictionHard") is None:
        return DEFAULT_HARD
    texts = _texts_of(config, "evictionHard")
    return DEFAULT_HARD | texts if config.get("mergeDefaultEvictionSettings") is True else texts


def _texts_of(tree: Tree, key: str) -> dict[str, str]:
    """Of the signals that are about disks."""
    texts = tree.get(key)
    if texts is None:
        return {}
    if not isinstance(texts, Mapping):
        raise ValueError(f"{key}: is no mapping")
    return {signal: str(texts[signal]) for signal in _RESOURCE if texts.get(signal) is not None}


def _percent_of(tree: Tree, key: str, default: int) -> int:
    value = tree.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _WHOLE_PERCENT:
        raise ValueError(f"{key}: is no whole number from 0 to 100")
    return value


def _age_of(tree: Tree, key: str) -> timedelta | None:
    """None where it is not set, or 0: then the kubelet uses its default."""
    value = tree.get(key)
    if value is None:
        return None
    age = go_duration_of(str(value))
    if age is None:
        raise ValueError(f"{key}: is no duration")
    return age or None


def acts_of(kubelet: KubeletSettings, usage: Usage) -> dict[Resource, KubeletAct]:
    """By resource, from when on the kubelet removes images; without those for which it never does."""
    acts = {resource: kubelet.act(resource, _capacity_of(usage, resource)) for resource in Resource}
    return {resource: act for resource, act in acts.items() if act is not None}


def collisions(kubelet: KubeletSettings, watermarks: Watermarks, usage: Usage) -> tuple[Collision, ...]:
    """Where our high watermark is at or above the kubelet's threshold, or less than 5 points below it."""
    found = (
        _collision(resource, act, watermarks.pair_for(usage, resource).high)
        for resource, act in acts_of(kubelet, usage).items()
    )
    return tuple(collision for collision in found if collision is not None)


def _collision(resource: Resource, act: KubeletAct, high: float) -> Collision | None:
    """A collision needs an operator: the agent cannot know whether the watermark or the threshold is wrong."""
    distance = act.above_percent - high
    if distance >= CLOSE_PERCENT:
        return None
    first = distance <= 0
    says = "so the kubelet acts first" if first else f"less than {CLOSE_PERCENT:g} points below that"
    text = (
        f"the kubelet removes images by itself above {act.above_percent:g} % of {resource.value} ({act.reason}), and "
        f"pressure.{resource.value}.high is {high:g}, {says}; lower pressure.{resource.value}, or raise the kubelet's"
    )
    return Collision(resource, first, text)


def _capacity_of(usage: Usage, resource: Resource) -> int:
    return usage.capacity_bytes if resource is Resource.BYTES else usage.inodes


@dataclass(frozen=True, slots=True)
class KubeletRead:
    """What the kubelet does with images by itself: reported once the disk is known, and when it changed."""

    config: KubeletConfig
    acts: Mapping[Resource, KubeletAct]
    """Without the resources for which it never acts."""
    collisions: tuple[Collision, ...]


FULL_PERCENT = 95.0
"""Without a kubelet that acts."""


def threshold_of(read: KubeletRead) -> KubeletThreshold:
    """The shares above which the kubelet acts; `FULL_PERCENT` where it never does."""
    above = {resource: act.above_percent for resource, act in read.acts.items()}
    minimum_age = read.config.settings.minimum_age
    return KubeletThreshold(
        above.get(Resource.BYTES, FULL_PERCENT), above.get(Resource.INODES, FULL_PERCENT), minimum_age
    )


def read_of(config: KubeletConfig, watermarks: Watermarks, usage: Usage) -> KubeletRead:
    """What a configuration means for a filesystem, beside our watermarks."""
    return KubeletRead(config, acts_of(config.settings, usage), collisions(config.settings, watermarks, usage))
