"""The board Node at present: whether the node is full, and what holds the space.

It shows one node at a time: each line is one of its filesystems.
"""

from dashboards.model import Kind, Panel, Query, Shades
from dashboards.queries import NODE_SCOPE, NOT_FILLING, SAME_FILESYSTEM

CHOSEN = 'filesystem=~"$filesystem"'
USED = NODE_SCOPE.used(CHOSEN)
INODES_USED = NODE_SCOPE.inodes_used(CHOSEN)


def _limits(resource: str) -> tuple[Query, ...]:
    chosen = f'{CHOSEN}, resource="{resource}"'
    return (
        Query(NODE_SCOPE.own("kubelet_threshold_ratio", chosen), "Kubelet threshold, {{filesystem}}"),
        Query(NODE_SCOPE.own("high_watermark_ratio", chosen), "High watermark, {{filesystem}}"),
        Query(NODE_SCOPE.own("low_watermark_ratio", chosen), "Low watermark, {{filesystem}}"),
    )


def _room(used: str, resource: str) -> str:
    """The distance to the nearest high watermark; 0 or less where it is reached."""
    high = NODE_SCOPE.own("high_watermark_ratio", f'{CHOSEN}, resource="{resource}"')
    return f"min({high} - {SAME_FILESYSTEM} group_left () {used})"


def _stat(title: str, description: str, unit: str, expr: str, shades: Shades = Shades()) -> Panel:  # noqa: B008
    query = Query(expr, title, endless=NOT_FILLING)
    return Panel(Kind.STAT, title, description, unit, (query,), width=4, height=4, shades=shades)


WHO = (
    _stat(
        "Fullest filesystem",
        "Share used of the fullest chosen filesystem, as the kubelet counts it.",
        "percentunit",
        f"max({USED})",
    ),
    _stat(
        "Room to watermark",
        "Share of the disk that is left until images are evicted under pressure. Red: the high watermark is reached.",
        "percentunit",
        _room(USED, "bytes"),
        Shades(red_below=0),
    ),
    _stat(
        "Inodes to watermark",
        "The same for inodes. Red: the high watermark is reached.",
        "percentunit",
        _room(INODES_USED, "inodes"),
        Shades(red_below=0),
    ),
    _stat(
        "Time to threshold",
        "Time until the kubelet would act at the present rate, with every candidate evicted.",
        "s",
        f"min({NODE_SCOPE.own('time_to_kubelet_threshold_seconds')})",
    ),
    _stat(
        "Reclaim suffices",
        "Whether evicting every candidate under pressure would reach the low watermarks. No: data that "
        "evictions cannot free fills the disk.",
        "bool_yes_no",
        f"min({NODE_SCOPE.own('low_watermark_reachable')})",
        Shades(red_below=1),
    ),
    _stat(
        "Runtime answers",
        "Whether the container runtime answers the agent. No: no image can be evicted.",
        "bool_yes_no",
        f"min({NODE_SCOPE.own('runtime_up')})",
        Shades(red_below=1),
    ),
    Panel(
        Kind.LINES,
        "Bytes used",
        "Share used, beside the watermarks and the kubelet's threshold. From the high watermark on, images are "
        "evicted down to the low watermark; above its threshold the kubelet acts too.",
        "percentunit",
        (Query(USED, "Used, {{filesystem}}"), *_limits("bytes")),
        width=12,
        height=9,
        ratio=True,
    ),
    Panel(
        Kind.LINES,
        "Inodes used",
        "The same for inodes; a filesystem without a limit has none.",
        "percentunit",
        (Query(INODES_USED, "Used, {{filesystem}}"), *_limits("inodes")),
        width=12,
        height=9,
        ratio=True,
    ),
)

WHY = (
    Panel(
        Kind.STACK,
        "Space by holder",
        "Bytes that count as used on the image filesystem, by holder. Under pressure only `evictable` "
        "can be freed; `non_image` is data that no image eviction can free, `reserved` is free for root only.",
        "bytes",
        (Query(f"sum by (holder) ({NODE_SCOPE.own('filesystem_held_bytes')})", "{{holder}}"),),
        width=12,
    ),
    Panel(
        Kind.STACK,
        "Images by state",
        "What the nightly sweep would do with the images on the node: `evictable`, or the reason to keep them.",
        "short",
        (Query(f"sum by (state) ({NODE_SCOPE.own('images')}) > 0", "{{state}}"),),
        width=12,
    ),
)
