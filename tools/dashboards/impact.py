"""The board Impact: what it brought, for whoever pays for the disks.

It refuses to credit the cleaner with a larger fleet: gain and space won compare shares, not sums.
"""

from dashboards.model import FULL_WIDTH, Board, Kind, Mark, Options, Panel, Query, Section
from dashboards.queries import FLEET_LABELS, FLEET_SCOPE, JOB, choices, ratio

IMAGES = 'filesystem="images"'
GROUPS = ("environment", "pool", "cluster")


def _per_group(figure: str, operation: str = "sum") -> str:
    """A figure of the images' filesystem for each group: node_exporter's, which was there before, else our own.

    One source for a whole group: chosen node by node, a node that both call by different names would count twice.
    """
    chosen = 'mountpoint="$mountpoint", fstype!~"rootfs|tmpfs|overlay"'
    theirs = f"max by (cluster, environment, pool, instance) ({FLEET_SCOPE.other(f'node_filesystem_{figure}', chosen)})"
    ours = FLEET_SCOPE.own(f"filesystem_{figure}", IMAGES)
    return f"({operation} by ($group) ({theirs}) or {operation} by ($group) ({ours}))"


AVAILABLE = _per_group("avail_bytes")
SIZE = _per_group("size_bytes")
SHARE = f"({AVAILABLE} / {SIZE})"
_INSTALLED = FLEET_SCOPE.own("installed_timestamp_seconds")
CAME = f"(min by ($group) (min_over_time({_INSTALLED}[$__range] @ end())))"
"""When the first agent of a group came, known all over the range shown."""
BEFORE = f"avg_over_time(({SHARE} and on ($group) ({CAME} > time()))[$__range:1h])"
AFTER = f"avg_over_time(({SHARE} and on ($group) ({CAME} <= time()))[$__range:1h])"
GAIN = f"{AFTER} / {BEFORE}"
WON = f"({AFTER} - {BEFORE}) * {SIZE}"
NO_BEFORE = "needs a time range from before the green line"
_BEFORE_AFTER = (
    "averages over the time shown before and after the green line, as a share of the disks, "
    "so that nodes that came or went change nothing"
)


def _largest_first(expr: str) -> Query:
    """A figure for each group; Prometheus gives them in no order, so that they would change places at each refresh."""
    return Query(f"sort_desc({expr})", "{{$group}}")


HEADLINE = (
    Panel(
        Kind.STAT,
        "Gain, in times",
        f"How many times the space is available since the cleaner came: {_BEFORE_AFTER}.",
        "none",
        (_largest_first(GAIN),),
        width=6,
        height=5,
        if_empty=NO_BEFORE,
    ),
    Panel(
        Kind.STAT,
        "Space won",
        f"More space available than before, on disks of today's size: {_BEFORE_AFTER}.",
        "bytes",
        (_largest_first(WON),),
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
        "Evictions pulled again within 7 days",
        "What it cost: the share of evicted images that a node wanted back. Near 0 the rules take what nobody needs.",
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
        "a group together. Green: the cleaner came.",
        "bytes",
        (Query(AVAILABLE, "{{$group}}"),),
        width=FULL_WIDTH,
        height=11,
    ),
    Panel(
        Kind.LINES,
        "Available share",
        "The same as a share of the disks: nodes that come or go do not move it.",
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
        f"What the figures above are made of: {_BEFORE_AFTER}.",
        "percentunit",
        (
            Query(BEFORE, "Available before", "percentunit"),
            Query(AFTER, "Available after", "percentunit"),
            Query(GAIN, "Gain, in times", "none"),
            Query(WON, "Space won", "bytes"),
            Query(SIZE, "Disks today", "bytes"),
        ),
        width=FULL_WIDTH,
        height=6,
        if_empty=NO_BEFORE,
        labels=tuple((label, label.capitalize()) for label in GROUPS),
        least_first="Gain, in times",
    ),
    Panel(
        Kind.LINES,
        "Nodes, and nodes with an agent",
        "A step in the space that goes with a step here is a larger or smaller fleet, not the cleaner.",
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
        "Images that went in the 24 hours before each bar: expired by a rule, "
        "or earlier because the disk asked for it.",
        "short",
        (Query(f"sum by (reason) ({FLEET_SCOPE.increase('evictions_total', '1d')})", "{{reason}}"),),
        width=12,
        step="1d",
    ),
)

IMPACT = Board(
    uid="node-image-cleaner-impact",
    title="Node image cleaner / Impact",
    description="Available disk space before and after the cleaner came, by environment, pool or cluster.",
    span="30d",
    refresh="",
    variables=(
        Options("group", "Group by", GROUPS),
        JOB,
        *choices('__name__=~"cleaner_build_info|node_filesystem_avail_bytes"', FLEET_LABELS),
        Options("mountpoint", "Mountpoint", ("/", "/var", "/var/lib", "/var/lib/containerd")),
    ),
    marks=(
        Mark(
            "Cleaner came",
            f"min by ($group) (min_over_time({_INSTALLED}[1h])) * 1000",
            "The cleaner came",
            "green",
            value_is_time=True,
        ),
    ),
    sections=(
        Section("Was it worth it?", HEADLINE),
        Section("Over time", OVER_TIME),
        Section("How the figures come about", DETAILS),
    ),
)
