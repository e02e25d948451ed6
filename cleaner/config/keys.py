"""The shape of the configuration file: each key with its default and the parser of its value.

A key that is neither here nor in `alerting.py` is an error. It must not relate keys to each other, see `problems.py`.
"""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from types import GenericAlias
from typing import Any, get_args, get_origin
from zoneinfo import ZoneInfo

import attrs
from attrs import field, frozen
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from cleaner.config import values as value_of
from cleaner.config.alerting import AlertmanagerKeys
from cleaner.config.database_paths import database_path
from cleaner.config.schedule import cron
from cleaner.config.values import PARSE, Listen, Parser
from cleaner.config.values import by as _by
from cleaner.config.zones import utc, zone
from cleaner.core.model import Clock, Mode
from cleaner.core.references import Pattern
from cleaner.core.regret import REGRET_WINDOW

Hook = Callable[[Any, Any], Any]
"""What cattrs calls with a value and the type that is wanted."""

_SECOND = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=2)
"""Between two checks: /livez calls a loop dead that is silent for five minutes."""
_LONGEST_HORIZON = timedelta(hours=1)
"""The rise of a few minutes says nothing of more."""
_LONGEST_SAMPLE = timedelta(minutes=1)
"""Between two lists of running containers: clocks are never older than a minute."""
DEFAULT_KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
"""Where kubeadm and many images put it."""
_CONVERTER = Converter(detailed_validation=True, forbid_extra_keys=True)


class RegistryName(str):
    """A registry as references name it: `registry.example.com`, `localhost:5000`."""

    __slots__ = ()


class LogLevel(StrEnum):
    """The least important messages that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How messages look; `auto` is json unless a terminal reads them."""

    JSON = "json"
    CONSOLE = "console"
    AUTO = "auto"


def _patterns(value: object) -> tuple[Pattern, ...]:
    return _CONVERTER.structure(value, tuple[Pattern, ...])


def _some_patterns(value: object) -> tuple[Pattern, ...]:
    if value is None or value == []:
        raise ValueError("matches nothing; write at least one pattern, or remove the rule")
    return _patterns(value)


def _mirrors(value: object) -> dict[RegistryName, tuple[RegistryName, ...]]:
    if not isinstance(value, dict | None):
        raise ValueError(f"{value_of.kind_of(value)}; write REGISTRY: [MIRROR, ...] for each registry that has mirrors")
    return _CONVERTER.structure(value or {}, dict[RegistryName, tuple[RegistryName, ...]])


@frozen
class RuntimeKeys:
    """Section `runtime`."""

    endpoint: str = field(default="unix:///run/containerd/containerd.sock", metadata=_by(value_of.endpoint))
    image_endpoint: str | None = field(default=None, metadata=_by(value_of.optional(value_of.endpoint)))


@frozen
class RuleKeys:
    """One item of `policy.rules`."""

    name: str = field(metadata=_by(value_of.text, "name: company"))
    match: tuple[Pattern, ...] = field(metadata=_by(_some_patterns, 'match: ["registry.example.com/team/**"]'))
    max_age: timedelta = field(metadata=_by(value_of.duration(), "max_age: 30d"))
    age_from: Clock = field(default=Clock.CREATED, metadata=_by(value_of.choice(Clock)))
    keep_newest: int = field(default=0, metadata=_by(value_of.integer(0)))
    local: bool = field(default=False, metadata=_by(value_of.flag))


@frozen
class RegretKeys:
    """Section `policy.regret`."""

    limit: float = field(default=0.05, metadata=_by(value_of.share))
    hold: timedelta = field(default=timedelta(hours=72), metadata=_by(value_of.duration()))


@frozen
class PolicyKeys:
    """Section `policy`."""

    grace: timedelta = field(default=timedelta(hours=24), metadata=_by(value_of.duration()))
    protect: tuple[Pattern, ...] = ()
    regret: RegretKeys = RegretKeys()
    rules: tuple[RuleKeys, ...] = ()


@frozen
class NightlyKeys:
    """Section `nightly`."""

    schedule: str = field(default="0 0 * * *", metadata=_by(cron))
    timezone: ZoneInfo = field(default=utc(), metadata=_by(zone))
    window: timedelta = field(default=timedelta(hours=4), metadata=_by(value_of.duration(_SECOND)))
    splay: timedelta = field(default=timedelta(hours=1), metadata=_by(value_of.duration()))
    overdue: timedelta = field(default=timedelta(hours=48), metadata=_by(value_of.duration(_SECOND)))
    evictions_per_night: int = field(default=200, metadata=_by(value_of.integer(1)))
    duty_cycle: float = field(default=0.2, metadata=_by(value_of.some_share))


@frozen
class BytesKeys:
    """Section `pressure.bytes`."""

    high: float = field(default=75.0, metadata=_by(value_of.percent))
    low: float = field(default=65.0, metadata=_by(value_of.percent))
    high_available: int | None = field(default=None, metadata=_by(value_of.optional(value_of.size)))
    low_available: int | None = field(default=None, metadata=_by(value_of.optional(value_of.size)))


@frozen
class InodesKeys:
    """Section `pressure.inodes`."""

    high: float = field(default=80.0, metadata=_by(value_of.percent))
    low: float = field(default=75.0, metadata=_by(value_of.percent))


@frozen
class PressureKeys:
    """Section `pressure`."""

    check_every: timedelta = field(
        default=timedelta(seconds=5), metadata=_by(value_of.duration(_SECOND, _LONGEST_PAUSE))
    )
    bytes: BytesKeys = BytesKeys()
    inodes: InodesKeys = InodesKeys()
    grace: timedelta = field(default=timedelta(minutes=5), metadata=_by(value_of.duration()))
    horizon: timedelta = field(default=timedelta(minutes=10), metadata=_by(value_of.duration(maximum=_LONGEST_HORIZON)))
    ignore_registries: bool = field(default=True, metadata=_by(value_of.flag))


@frozen
class RegistriesKeys:
    """Section `registries`."""

    check: bool = field(default=False, metadata=_by(value_of.flag))
    plain_http: tuple[RegistryName, ...] = ()
    also: dict[RegistryName, tuple[RegistryName, ...]] = field(factory=dict, metadata=_by(_mirrors))
    ca_file: str | None = field(default=None, metadata=_by(value_of.optional(value_of.absolute_path)))


@frozen
class LimitsKeys:
    """Section `limits`."""

    failures_per_sweep: int = field(default=5, metadata=_by(value_of.integer(1)))


@frozen
class FilesystemKeys:
    """Section `filesystem`."""

    path: str | None = field(default=None, metadata=_by(value_of.optional(value_of.absolute_path)))


@frozen
class KubeletKeys:
    """Section `kubelet`."""

    config: str | None = field(default=DEFAULT_KUBELET_CONFIG, metadata=_by(value_of.optional(value_of.absolute_path)))
    config_dir: str | None = field(default=None, metadata=_by(value_of.optional(value_of.absolute_path)))


@frozen
class StateKeys:
    """Section `state`."""

    path: str = field(default="/var/lib/cleaner/ledger.db", metadata=_by(database_path))
    sample_every: timedelta = field(
        default=timedelta(minutes=1), metadata=_by(value_of.duration(_SECOND, _LONGEST_SAMPLE))
    )
    keep: timedelta = field(default=timedelta(days=90), metadata=_by(value_of.duration(REGRET_WINDOW)))


@frozen
class WebKeys:
    """Section `web`."""

    listen: Listen = field(default=Listen("", 10099), metadata=_by(value_of.listen))


@frozen
class LogKeys:
    """Section `log`."""

    level: LogLevel = field(default=LogLevel.INFO, metadata=_by(value_of.choice(LogLevel)))
    format: LogFormat = field(default=LogFormat.AUTO, metadata=_by(value_of.choice(LogFormat)))


@frozen
class FileKeys:
    """The whole file."""

    mode: Mode = field(default=Mode.FULL, metadata=_by(value_of.choice(Mode)))
    runtime: RuntimeKeys = RuntimeKeys()
    policy: PolicyKeys = PolicyKeys()
    nightly: NightlyKeys = NightlyKeys()
    pressure: PressureKeys = PressureKeys()
    registries: RegistriesKeys = RegistriesKeys()
    limits: LimitsKeys = LimitsKeys()
    filesystem: FilesystemKeys = FilesystemKeys()
    kubelet: KubeletKeys = KubeletKeys()
    state: StateKeys = StateKeys()
    web: WebKeys = WebKeys()
    startup_delay: timedelta = field(default=timedelta(seconds=30), metadata=_by(value_of.duration()))
    log: LogKeys = LogKeys()
    alertmanager: AlertmanagerKeys | None = None


def read_keys(tree: object) -> FileKeys:
    """The file's tree as values; a cattrs group holds every error, each with notes on where it is."""
    return _CONVERTER.structure(tree, FileKeys)


def _section_hook(section: type) -> Hook:
    known = attrs.fields(section)
    overrides: dict[str, Any] = {
        key.name: override(struct_hook=_ignoring_type(key.metadata[PARSE])) for key in known if PARSE in key.metadata
    }
    structure: Hook = make_dict_structure_fn(section, _CONVERTER, _cattrs_use_linecache=False, **overrides)
    may_be_empty = all(key.default is not attrs.NOTHING for key in known)

    def hook(value: object, kind: object) -> object:
        if value is None and may_be_empty:
            return section()
        if not isinstance(value, dict):
            raise ValueError(f"{value_of.kind_of(value)}; write keys with values")
        return structure(value, kind)

    return hook


def _is_tuple(kind: object) -> bool:
    origin: object = get_origin(kind)
    return origin is tuple


def _list_hook(kind: object) -> Hook:
    items = GenericAlias(list, get_args(kind)[:1])
    structure = _CONVERTER.get_structure_hook(items)

    def hook(value: object, _: object) -> object:
        if not isinstance(value, list | None):
            raise ValueError(f"{value_of.kind_of(value)}; write a list, in brackets or as lines that begin with a dash")
        return tuple(structure(value or [], items))

    return hook


def _ignoring_type(parse: Parser[object]) -> Hook:
    return lambda value, _: parse(value)


_CONVERTER.register_structure_hook_factory(attrs.has, _section_hook)
_CONVERTER.register_structure_hook_factory(_is_tuple, _list_hook)
_CONVERTER.register_structure_hook(RegistryName, lambda value, _: RegistryName(value_of.registry(value)))
_CONVERTER.register_structure_hook(Pattern, _ignoring_type(value_of.pattern))
