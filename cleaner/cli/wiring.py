"""The parts, built from a configuration and an environment: what `cli`'s commands work with.

It must not run anything: a command does.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cleaner import DISTRIBUTION, Environ
from cleaner.config import DEFAULT_KUBELET_CONFIG, IMAGE_VARIABLE, RUNTIME_VARIABLE, Config
from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.errors import DiskUnreadableError, EnvironmentUnusableError, RuntimeRejectedError, StopRequestedError
from cleaner.core.model import Policy, Trigger
from cleaner.core.nightly import calendar_of
from cleaner.core.ports import Disk, Node, Registries, Stop, Timer
from cleaner.core.triggers import Triggers
from cleaner.daemon import DaemonSettings, TrustedClock
from cleaner.ledger import InMemoryLedger, SqliteLedger
from cleaner.node import KubeletFiles, SystemTimer, open_disk, pause
from cleaner.outlets.metrics import Metrics
from cleaner.runtime import (
    CriRuntime,
    Endpoint,
    ObserveCall,
    ServiceMissingError,
    diagnose_endpoint,
    parse_endpoint,
    require_listener,
)
from cleaner.sweep import SweepSettings

if TYPE_CHECKING:
    # Imported here at run time, structlog would load rich before `cleaner.outlets` prevents that.
    from structlog.typing import FilteringBoundLogger

    from cleaner.outlets.alertmanager import Alertmanager, AlertmanagerApi


_CONFIRMATION_SECONDS = 1.0
"""Between two answers without CRI, after which the runtime is not only starting."""


class PlacedDisk(Disk, Protocol):
    """A disk that knows which filesystem each further snapshotter fills."""

    @property
    def snapshotters(self) -> Mapping[str, Filesystem | None]:
        """By name; None: one that is not measured."""
        ...


class OpenDisk(Protocol):
    """Opens the filesystems at some paths, as `cleaner.node.open_disk` does."""

    def __call__(
        self,
        paths: Mapping[Filesystem, str],
        snapshotters: Mapping[str, str],
        *,
        in_pod: bool,
        named_by: str | None,
        pause: Callable[[float], None],
    ) -> PlacedDisk:
        """EnvironmentUnusableError says what is wrong with the filesystem of the images."""
        ...


@dataclass(frozen=True, slots=True)
class Machine:
    """The clocks and the disks that a command reads."""

    timer: Timer
    open_disk: OpenDisk


THIS_MACHINE = Machine(SystemTimer(), open_disk)


class LateUsage:
    """The disk for the scrape, once the daemon knows which one it is."""

    def __init__(self, node: Node | None = None) -> None:
        self.node = node

    def read(self) -> Usage | None:
        """Usage as of now; None while it is not known."""
        if self.node is None:
            return None
        try:
            return self.node.disk.read_usage()
        except DiskUnreadableError:
            return None


def metrics_of(config: Config, environ: Environ, read_usage: Callable[[], Usage | None]) -> Metrics:
    """Metrics that say which build and which configuration run."""
    metrics = Metrics(read_usage=read_usage)
    metrics.record_build(version(DISTRIBUTION), environ.get("CLEANER_REVISION") or "unknown")
    metrics.record_config(config.mode.value, config.hash, config.watermarks)
    return metrics


def in_turn(*observers: ObserveCall) -> ObserveCall:
    """Report each call to several observers."""

    def observe_call(method: str, seconds: float, answered: bool) -> None:  # noqa: FBT001 - ObserveCall's shape
        for each in observers:
            each(method, seconds, answered)

    return observe_call


def node_name_of(environ: Environ) -> str:
    """As the cluster calls this node; where nobody says, as it calls itself."""
    return environ.get("NODE_NAME") or socket.gethostname()


def triggers_of(config: Config, environ: Environ) -> Triggers:
    """When this node sweeps: its name decides on the splay."""
    calendar = calendar_of(config.nightly, node_name_of(environ))
    return Triggers(config.mode, config.watermarks, calendar, config.policy.grace)


def sweep_settings_of(config: Config) -> SweepSettings:
    """What holds for every sweep."""
    return SweepSettings(config.policy, config.watermarks, config.failures_per_sweep)


def daemon_settings_of(config: Config, environ: Environ) -> DaemonSettings:
    """What holds for the daemon."""
    return DaemonSettings(
        triggers=triggers_of(config, environ),
        sweep=sweep_settings_of(config),
        check_every=config.check_every,
        horizon=config.horizon,
        sample_every=config.state.sample_every,
        startup_delay=config.startup_delay,
        evictions_per_night=config.nightly.evictions_per_night,
    )


def endpoints_of(config: Config) -> tuple[Endpoint, Endpoint]:
    """Where containers and where images are asked for; ConfigError names the key."""
    runtime = parse_endpoint(config.runtime.endpoint, f"runtime.endpoint (or {RUNTIME_VARIABLE})")
    images = config.runtime.image_endpoint
    return runtime, parse_endpoint(images, f"runtime.image_endpoint (or {IMAGE_VARIABLE})") if images else runtime


def runtime_of(config: Config, stop: Stop, observe_call: ObserveCall = lambda *_: None) -> CriRuntime:
    """The client, connected to nothing yet."""
    runtime, images = endpoints_of(config)
    return CriRuntime(runtime, stop, image_endpoint=images, observe_call=observe_call)


def node_of(  # noqa: PLR0913 - the last one is for tests
    config: Config,
    environ: Environ,
    runtime: CriRuntime,
    stop: Stop,
    ledger: SqliteLedger | InMemoryLedger,
    *,
    machine: Machine = THIS_MACHINE,
) -> Node:
    """The node, once its runtime answers; EnvironmentUnusableError for a permanent problem."""
    for endpoint in endpoints_of(config):
        diagnose_endpoint(endpoint)
    paths = _read_paths(config, runtime, stop)
    roots = runtime.snapshotters.read_roots(paths[Filesystem.IMAGES])
    if config.filesystem_path:
        paths = {**paths, Filesystem.IMAGES: config.filesystem_path}
    named_by = "filesystem.path" if config.filesystem_path else None
    in_pod = "KUBERNETES_SERVICE_HOST" in environ
    disk = machine.open_disk(paths, roots, in_pod=in_pod, named_by=named_by, pause=pause)
    runtime.snapshotters.place(disk.snapshotters)
    timer = TrustedClock(machine.timer, ledger.stored_times())
    return Node(runtime, disk, timer, stop, ledger, registry_health_of(config, stop), kubelet_of(config))


def daemons_node_of(config: Config, environ: Environ, runtime: CriRuntime, stop: Stop, ledger: SqliteLedger) -> Node:
    """The node as above, with its runtime locked; EnvironmentUnusableError also where another daemon has that lock."""
    node = node_of(config, environ, runtime, stop, ledger)
    # The directory as the runtime names it, since `filesystem.path` may lead two agents to it by different paths.
    ledger.hold_runtime_for_life(Path(runtime.read_filesystems()[Filesystem.IMAGES]))
    return node


def _read_paths(config: Config, runtime: CriRuntime, stop: Stop) -> Mapping[Filesystem, str]:
    """Where the runtime keeps what fills the node; EnvironmentUnusableError where nothing serves CRI, asked twice."""
    try:
        return _ask_for_paths(config, runtime)
    except ServiceMissingError as error:
        if stop.wait(_CONFIRMATION_SECONDS):
            raise StopRequestedError(str(error)) from error
    try:
        return _ask_for_paths(config, runtime)
    except ServiceMissingError as error:
        raise EnvironmentUnusableError(str(error)) from error


def _ask_for_paths(config: Config, runtime: CriRuntime) -> Mapping[Filesystem, str]:
    """The first calls; where one is rejected, the error names the runtime's socket."""
    try:
        return _ask_runtime(config, runtime)
    except ServiceMissingError:
        raise
    except RuntimeRejectedError as error:
        raise RuntimeRejectedError(f"the runtime at {endpoints_of(config)[0]} rejects a call: {error}") from error


def _ask_runtime(config: Config, runtime: CriRuntime) -> Mapping[Filesystem, str]:
    runtime.read_version()  # never retried: it is known at once that a runtime is unavailable
    asked, images = endpoints_of(config)
    if images != asked:
        require_listener(images)  # its first call would be tried again for 10 s
    return runtime.read_filesystems()


def registry_health_of(config: Config, stop: Stop) -> Registries | None:
    """Who asks registries; None unless they are to be asked, since that takes 6 MiB."""
    if not config.registries.check:
        return None
    from cleaner.registries import ProbeRound, RegistryHealth, RegistryProbe  # noqa: PLC0415

    probe = RegistryProbe(frozenset(config.registries.plain_http), config.registries.ca_file)
    mirrors = {str(registry): places for registry, places in config.registries.also.items()}
    return RegistryHealth(mirrors, ProbeRound(probe, stop), SystemTimer().monotonic)


def kubelet_of(config: Config) -> KubeletFiles | None:
    """Where the kubelet's configuration is; None where the agent is not to read it."""
    file, folder = config.kubelet.config, config.kubelet.config_dir
    if file is None and folder is None:
        return None
    return KubeletFiles(file, folder, may_lack_config=file == DEFAULT_KUBELET_CONFIG)


def with_grace(policy: Policy, trigger: Trigger, grace: timedelta | None) -> Policy:
    """The policy with another grace for one trigger, where one is given."""
    if grace is None:
        return policy
    return replace(policy, pressure_grace=grace) if trigger is Trigger.PRESSURE else replace(policy, grace=grace)


def alertmanagers_of(
    config: Config, environ: Environ, timer: Timer, logger: "FilteringBoundLogger"
) -> "tuple[Alertmanager, ...]":
    """The outlet that sends alerts, its threads asleep; none where the file names no Alertmanager."""
    if config.alertmanager is None:
        return ()
    from cleaner.outlets.alertmanager import Alertmanager, Alerts, Delivery  # noqa: PLC0415 (as below)

    keys = config.alertmanager
    labels = {"node": node_name_of(environ)} | keys.labels
    delivery = Delivery(labels, keys.repeat_every, keys.timeout)
    alerts = Alerts(timer, config.watermarks, keys.runtime_down_for)
    return (Alertmanager(alerts, alertmanager_apis_of(config), delivery, timer, logger),)


def alertmanager_apis_of(config: Config) -> "tuple[AlertmanagerApi, ...]":
    """Each Alertmanager that the file names, connected to nothing."""
    if config.alertmanager is None:
        return ()
    from cleaner.outlets.alertmanager import Access, AlertmanagerApi  # noqa: PLC0415 (requests: 5 MiB that few need)

    keys = config.alertmanager
    access = Access(
        timeout_seconds=keys.timeout.total_seconds(),
        ca_file=keys.tls.ca_file,
        cert_file=keys.tls.cert_file,
        key_file=keys.tls.key_file,
        username=keys.basic.username if keys.basic else None,
        password_file=keys.basic.password_file if keys.basic else None,
        bearer_token_file=keys.bearer_token_file,
    )
    return tuple(AlertmanagerApi(url, access) for url in keys.url)
