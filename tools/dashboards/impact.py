"""The board Impact: the disk space that the agent gained, for those who pay for the disks.

Gains compare shares of the disks, not sums, so that a larger fleet is not counted as a gain.
"""

from dashboards.model import FULL_WIDTH, Annotation, Board, Kind, Options, Panel, Query, Section
from dashboards.queries import FLEET_LABELS, FLEET_SCOPE, JOB, choices, ratio

IMAGES = 'filesystem="images"'
GROUPS = ("environment", "pool", "cluster")


def _per_group(figure: str, operation: str = "sum") -> str:
    """A figure of the image filesystem for each group: node_exporter's, which is older, else the agent's.

    One source serves a whole group. Chosen node by node, a node that has a different name in each would count twice.
    """
    chosen = 'mountpoint="$mountpoint", fstype!~"rootfs|tmpfs|overlay"'
    exported = (
        f"max by (cluster, environment, pool, instance) ({FLEET_SCOPE.other(f'node_filesystem_{figure}', chosen)})"
    )
    own = FLEET_SCOPE.own(f"filesystem_{figure}", IMAGES)
    return f"({operation} by ($group) ({exported}) or {operation} by ($group) ({own}))"


AVAILABLE = _per_group("avail_bytes")
SIZE = _per_group("size_bytes")
SHARE = f"({AVAILABLE} / {SIZE})"
_INSTALLED = FLEET_SCOPE.own("installed_timestamp_seconds")
INSTALLED_AT = f"(min by ($group) (min_over_time({_INSTALLED}[$__range] @ end())))"
"""When the first agent of a group was installed, known over the whole range shown."""
BEFORE = f"avg_over_time(({SHARE} and on ($group) ({INSTALLED_AT} > time()))[$__range:1h])"
AFTER = f"avg_over_time(({SHARE} and on ($group) ({INSTALLED_AT} <= time()))[$__range:1h])"
GAIN = f"{AFTER} / {BEFORE}"
GAINED = f"({AFTER} - {BEFORE}) * {SIZE}"
NO_BEFORE = "needs a time range that starts before the green line"
_BEFORE_AFTER = (
    "averages over the time shown before and after the green line, as a share of the disks, "
    "so that nodes that join or leave change nothing"
)


def _largest_first(expr: str) -> Query:
    """A figure for each group, sorted: without an order, the figures would change places at each refresh."""
    return Query(f"sort_desc({expr})", "{{$group}}")


HEADLINE = (
    Panel(
        Kind.STAT,
        "Gain factor",
        f"Available space since the installation as a multiple of that before: {_BEFORE_AFTER}.",
        "none",
        (_largest_first(GAIN),),
        width=6,
        height=5,
        if_empty=NO_BEFORE,
    ),
    Panel(
        Kind.STAT,
        "Space gained",
        f"Additional available space, on disks of today's size: {_BEFORE_AFTER}.",
        "bytes",
        (_largest_first(GAINED),),
        width=6,
        height=5,
        if_empty=NO_BEFORE,
    ),
    Panel(
        Kind.STAT,
        "Reclaimed",
        "Bytes that evictions freed in the time shown, measured at the filesystem.",
        "bytes",
        (_largest_first(f"sum by ($group) ({FLEET_SCOPE.increase('reclaimed_bytes_total', '$__range')})"),),
        width=6,
        height=5,
    ),
    Panel(
        Kind.STAT,
        "Regret rate",
        "The share of evicted images that a node re-pulled within 7 days. Near 0, the rules evict unused images.",
        "percentunit",
        (
            _largest_first(
                ratio(
                    f"sum by ($group) ({FLEET_SCOPE.increase('repulls_total', '$__range')})",
                    f"sum by ($group) ({FLEET_SCOPE.increase('evictions_total', '$__range')})",
                ),
            ),
        ),
        width=6,
        height=5,
        if_empty="no evictions",
    ),
)

OVER_TIME = (
    Panel(
        Kind.LINES,
        "Available disk space",
        "Bytes available on the filesystem that holds the images, all nodes of "
        "a group together. The green line marks the installation of the agent.",
        "bytes",
        (Query(AVAILABLE, "{{$group}}"),),
        width=FULL_WIDTH,
        height=11,
    ),
    Panel(
        Kind.LINES,
        "Available share",
        "The same as a share of the disks. Nodes that join or leave do not move it.",
        "percentunit",
        (Query(SHARE, "{{$group}}"),),
        width=12,
        height=9,
        ratio=True,
    ),
    Panel(
        Kind.BARS,
        "Reclaimed per day",
        "Bytes that evictions freed in the 24 hours before each bar, measured at the filesystem.",
        "bytes",
        (Query(f"sum by ($group) ({FLEET_SCOPE.increase('reclaimed_bytes_total', '1d')})", "{{$group}}"),),
        width=12,
        height=9,
        step="1d",
    ),
)

DETAILS = (
    Panel(
        Kind.TABLE,
        "Before and after",
        f"The parts of the figures above: {_BEFORE_AFTER}.",
        "percentunit",
        (
            Query(BEFORE, "Available before", "percentunit"),
            Query(AFTER, "Available after", "percentunit"),
            Query(GAIN, "Gain factor", "none"),
            Query(GAINED, "Space gained", "bytes"),
            Query(SIZE, "Disks today", "bytes"),
        ),
        width=FULL_WIDTH,
        height=6,
        if_empty=NO_BEFORE,
        labels=tuple((label, label.capitalize()) for label in GROUPS),
        least_first="Gain factor",
    ),
    Panel(
        Kind.LINES,
        "Nodes, and nodes with an agent",
        "A step in space that coincides with a step here comes from a larger or smaller fleet, not from the agent.",
        "short",
        (
            Query(_per_group("size_bytes", "count"), "{{$group}}: nodes"),
            Query(f"count by ($group) ({FLEET_SCOPE.own('build_info')})", "{{$group}}: with an agent"),
        ),
        width=12,
    ),
    Panel(
        Kind.BARS,
        "Images evicted per day",
        "Images evicted in the 24 hours before each bar: `expired` by a rule, "
        "or earlier under `pressure`, where the disk required it.",
        "short",
        (Query(f"sum by (reason) ({FLEET_SCOPE.increase('evictions_total', '1d')})", "{{reason}}"),),
        width=12,
        step="1d",
    ),
)

IMPACT = Board(
    uid="node-image-cleaner-impact",
    title="Node image cleaner / Impact",
    description="Available disk space before and after the installation of the agent, by environment, pool or cluster.",
    span="30d",
    refresh="",
    variables=(
        Options("group", "Group by", GROUPS),
        JOB,
        *choices('__name__=~"image_cleaner_build_info|node_filesystem_avail_bytes"', FLEET_LABELS),
        Options("mountpoint", "Mountpoint", ("/", "/var", "/var/lib", "/var/lib/containerd")),
    ),
    annotations=(
        Annotation(
            "Agent installed",
            f"min by ($group) (min_over_time({_INSTALLED}[1h])) * 1000",
            "First agent installed",
            "green",
            value_is_time=True,
        ),
    ),
    sections=(
        Section("Was it worth it?", HEADLINE),
        Section("Over time", OVER_TIME),
        Section("How the figures are calculated", DETAILS),
    ),
)
