"""The board Fleet at present: which nodes are full and why, and every node in a table.

A problem is counted or shown by its worst node, since an average would hide it.
"""

from dashboards.model import FULL_WIDTH, Kind, Panel, Query, Shades
from dashboards.queries import (
    ANY_CLUSTER,
    FLEET_SCOPE,
    LINUX_NODES,
    NOT_FILLING,
    SAME_FILESYSTEM,
    SAME_NODE_NAME,
)

BYTES, INODES = 'resource="bytes"', 'resource="inodes"'
USED = FLEET_SCOPE.used("")
INODES_USED = FLEET_SCOPE.inodes_used("")
NO_STATE = "needs kube-state-metrics"
_COVERED = f"(count({LINUX_NODES} and {SAME_NODE_NAME} {FLEET_SCOPE.own('build_info')}) or vector(0))"


def _limits(resource: str) -> tuple[Query, ...]:
    """The limits of the chosen nodes; where nodes differ, those that are reached first."""
    return (
        Query(f"min({FLEET_SCOPE.own('kubelet_threshold_ratio', resource)})", "Kubelet threshold"),
        Query(f"min({FLEET_SCOPE.own('high_watermark_ratio', resource)})", "High watermark"),
        Query(f"min({FLEET_SCOPE.own('low_watermark_ratio', resource)})", "Low watermark"),
    )


def _spread(used: str) -> tuple[Query, ...]:
    return (
        Query(f"max({used})", "Fullest node"),
        Query(f"quantile(0.9, {used})", "90 % of nodes are below"),
        Query(f"quantile(0.5, {used})", "Half of the nodes are below"),
    )


def _count(title: str, description: str, expr: str, if_empty: str | None = None) -> Panel:
    return Panel(
        Kind.STAT,
        title,
        description,
        "short",
        (Query(expr, title),),
        width=4,
        height=4,
        shades=Shades(red_from=1),
        if_empty=if_empty,
    )


def _reached(used: str, resource: str) -> str:
    """How many filesystems are at or above their own high watermark."""
    return f"sum({used} >= bool {SAME_FILESYSTEM} {FLEET_SCOPE.own('high_watermark_ratio', resource)})"


WHO = (
    _count(
        "At high watermark",
        "Filesystems at or above the high watermark of their node. A working agent keeps this at 0 except for minutes.",
        _reached(USED, BYTES),
    ),
    _count(
        "Inodes at watermark",
        "The same for inodes: a disk without free inodes is full, whatever its bytes say.",
        _reached(INODES_USED, INODES),
    ),
    _count(
        "Reclaim falls short",
        "Nodes that stay above their low watermark even if every candidate is evicted: "
        "data that evictions cannot free fills the disk.",
        f"sum(1 - {FLEET_SCOPE.own('low_watermark_reachable')})",
    ),
    _count(
        "Under DiskPressure",
        "Nodes that the kubelet reports so, with or without an agent: it evicts pods there and admits none.",
        f'sum(kube_node_status_condition{{{ANY_CLUSTER}, condition="DiskPressure", status="true"}})',
        NO_STATE,
    ),
    _count(
        "Without an agent",
        "Linux nodes of the chosen clusters where Prometheus scrapes no agent. "
        "Environment, pool and instance do not narrow this.",
        f"count({LINUX_NODES}) - {_COVERED}",
        NO_STATE,
    ),
    Panel(
        Kind.STAT,
        "Coverage",
        "Share of the chosen clusters' Linux nodes where Prometheus scrapes an agent.",
        "percentunit",
        (Query(f"{_COVERED} / count({LINUX_NODES})", "Coverage"),),
        width=4,
        height=4,
        shades=Shades(red_below=1),
        if_empty=NO_STATE,
    ),
    Panel(
        Kind.LINES,
        "Bytes used",
        "Share used on the filesystems of the chosen nodes, beside the watermarks. "
        "Above its threshold the kubelet removes images by itself.",
        "percentunit",
        (*_spread(USED), *_limits(BYTES)),
        width=12,
        ratio=True,
    ),
    Panel(
        Kind.LINES,
        "Inodes used",
        "The same for inodes; filesystems without a limit have none.",
        "percentunit",
        (*_spread(INODES_USED), *_limits(INODES)),
        width=12,
        ratio=True,
    ),
    Panel(
        Kind.RANKING,
        "Fullest nodes",
        "Share used now, on the ten fullest filesystems.",
        "percentunit",
        (Query(f"topk(10, {USED})", "{{instance}} {{filesystem}}"),),
        ratio=True,
        width=12,
    ),
    Panel(
        Kind.RANKING,
        "Shortest time to kubelet threshold",
        "Time until the kubelet would act, with every candidate evicted: the ten nodes that get there first.",
        "s",
        (Query(f"bottomk(10, {FLEET_SCOPE.own('time_to_kubelet_threshold_seconds')} < +Inf)", "{{instance}}"),),
        if_empty="no node fills steadily",
        width=12,
    ),
)

WHY = (
    Panel(
        Kind.STACK,
        "Space by holder",
        "Bytes that count as used on all chosen nodes together, by holder. Under pressure only `evictable` "
        "can be freed; `non_image` is data that no image eviction can free, `reserved` is free for root only.",
        "bytes",
        (Query(f"sum by (holder) ({FLEET_SCOPE.own('filesystem_held_bytes')})", "{{holder}}"),),
        width=12,
    ),
    Panel(
        Kind.STACK,
        "Images by state",
        "What the nightly sweep would do with the images on the nodes: `evictable`, or the reason to keep them.",
        "short",
        (Query(f"sum by (state) ({FLEET_SCOPE.own('images')}) > 0", "{{state}}"),),
        width=12,
    ),
)

_EACH = "max by (instance)"
_ROOM = f"min by (instance) ({FLEET_SCOPE.own('high_watermark_ratio', BYTES)} - {SAME_FILESYSTEM} group_left () {USED})"
NODES = (
    Panel(
        Kind.TABLE,
        "Nodes",
        "A row for each agent; its name links to the board of that node. Red: no room "
        "left below the high watermark, or the runtime is unavailable.",
        "short",
        (
            Query(f"max by (instance, environment, pool, mode) ({FLEET_SCOPE.own('config_info')})", ""),
            Query(f"{_EACH} ({USED})", "Used", "percentunit"),
            Query(_ROOM, "Room to high watermark", "percentunit", red_below=0),
            Query(f"{_EACH} ({INODES_USED})", "Inodes used", "percentunit"),
            Query(
                f"min by (instance) ({FLEET_SCOPE.own('time_to_kubelet_threshold_seconds')})",
                "Time to threshold",
                "s",
                endless=NOT_FILLING,
            ),
            Query(
                f"""{_EACH} ({FLEET_SCOPE.own("reclaimable_bytes", 'trigger="pressure"')})""", "Reclaimable", "bytes"
            ),
            Query(f"sum by (instance) ({FLEET_SCOPE.increase('evictions_total', '1d')})", "Evicted, 24 h", "short"),
            Query(
                f"sum by (instance) ({FLEET_SCOPE.increase('reclaimed_bytes_total', '1d')})", "Reclaimed, 24 h", "bytes"
            ),
            Query(f"sum by (instance) ({FLEET_SCOPE.increase('repulls_total', '7d')})", "Re-pulled, 7 d", "short"),
            Query(f"time() - {_EACH} ({FLEET_SCOPE.own('last_sweep_timestamp_seconds')})", "Since last sweep", "s"),
            Query(
                f"min by (instance) ({FLEET_SCOPE.own('runtime_up')})", "Runtime answers", "bool_yes_no", red_below=1
            ),
        ),
        width=FULL_WIDTH,
        height=12,
        labels=(("instance", "Node"), ("environment", "Environment"), ("pool", "Pool"), ("mode", "Mode")),
        least_first="Room to high watermark",
    ),
)
