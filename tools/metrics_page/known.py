"""The daemon's registry on a node of which everything is known, so that each series is there to be read.

Its figures mean nothing: only names and labels are read from it.
"""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from cleaner.cli.wiring import metrics_of
from cleaner.config.settings import default_config
from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.events import Checked, Event, ForeignSweep, LedgerUp, RuntimeUp, SpaceInventoried
from cleaner.core.history import PastSweep
from cleaner.core.kubelet import KubeletConfig, KubeletRead, KubeletSettings, acts_of
from cleaner.core.model import Plan, RuntimeVersion, StopReason, Trigger
from cleaner.core.pressure.forecast import Forecast
from cleaner.core.read_state import AVAILABLE, OptionalRead, ReadChanged
from cleaner.core.reclaim import NOTHING, Holder

AT = datetime(2026, 1, 1, tzinfo=UTC)
ONE_FILESYSTEM = Usage("/", 100, 50, 100, 50, 50)
"""Where images, content store and containers lie together, as on most nodes."""
EACH_ITS_OWN = Usage(
    "/",
    100,
    50,
    100,
    50,
    50,
    others=(
        Usage("/content", 100, 50, 100, 50, 50, Filesystem.CONTENT),
        Usage("/snapshots", 100, 50, 100, 50, 50, Filesystem.SNAPSHOTS),
        Usage("/containers", 100, 50, 100, 50, 50, Filesystem.CONTAINERS),
    ),
)


def known_registry(usage: Usage = EACH_ITS_OWN) -> CollectorRegistry:
    """What the daemon exposes once it has seen all there is to see."""
    metrics = metrics_of(default_config({}), {}, lambda: usage)
    for event in _everything(usage):
        metrics.record(event)
    return metrics.registry


def _everything(usage: Usage) -> tuple[Event, ...]:
    """An event for each value that has no sample until it is known."""
    nightly, pressure = (Plan(trigger, (), (), reclaimable=NOTHING) for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE))
    kubelet = KubeletSettings()
    return (
        RuntimeUp(RuntimeVersion("containerd", "2.0.0"), usage.path),
        ReadChanged(OptionalRead.CONTAINER_EVENTS, AVAILABLE),
        ReadChanged(OptionalRead.PULLS, AVAILABLE),
        LedgerUp(AT, None),
        Checked(usage, AT, Forecast(usage)),
        SpaceInventoried(nightly, pressure, dict.fromkeys(Holder, 0), low_watermark_reachable=True),
        KubeletRead(KubeletConfig("/var/lib/kubelet/config.yaml"), acts_of(kubelet, usage), ()),
        ForeignSweep(PastSweep(Trigger.MANUAL, AT, 1.0, StopReason.DONE)),
    )
