"""The board Node as things stand: is it full, and who holds the space.

It refuses several nodes at once: lines are the filesystems of one.
"""

from dashboards.model import Kind, Panel, Query, Shades
from dashboards.queries import NODE_SCOPE, NOT_FILLING, SAME_FILESYSTEM

CHOSEN = 'filesystem=~"$filesystem"'
USED = NODE_SCOPE.used(CHOSEN)
INODES_USED = NODE_SCOPE.inodes_used(CHOSEN)


def _marks(resource: str) -> tuple[Query, ...]:
    chosen = f'{CHOSEN}, resource="{resource}"'
    return (
        Query(NODE_SCOPE.own("kubelet_watermark_ratio", chosen), "Kubelet's mark, {{filesystem}}"),
        Query(NODE_SCOPE.own("high_watermark_ratio", chosen), "High mark, {{filesystem}}"),
        Query(NODE_SCOPE.own("low_watermark_ratio", chosen), "Low mark, {{filesystem}}"),
    )


def _room(used: str, resource: str) -> str:
    """How far the nearest high mark is; 0 and below: it is reached."""
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
        "Room to high mark",
        "Share of the disk that is left until images are evicted under pressure. Red: the mark is reached.",
        "percentunit",
        _room(USED, "bytes"),
        Shades(red_below=0),
    ),
    _stat(
        "Inodes to high mark",
        "The same of inodes. Red: the mark is reached.",
        "percentunit",
        _room(INODES_USED, "inodes"),
        Shades(red_below=0),
    ),
    _stat(
        "Runway",
        "Until the kubelet would act by itself, with everything evictable gone, at the present rate.",
        "s",
        f"min({NODE_SCOPE.own('runway_seconds')})",
    ),
    _stat(
        "Low mark in reach",
        "Whether evicting every candidate under pressure would reach the low marks. No: something else fills the disk.",
        "bool_yes_no",
        f"min({NODE_SCOPE.own('low_watermark_reachable')})",
        Shades(red_below=1),
    ),
    _stat(
        "Runtime answers",
        "Whether the container runtime answers the agent. No: nothing can be evicted.",
        "bool_yes_no",
        f"min({NODE_SCOPE.own('runtime_up')})",
        Shades(red_below=1),
    ),
    Panel(
        Kind.LINES,
        "Bytes used",
        "Share used, beside our marks and the kubelet's. From the high mark on images go "
        "until the low mark; above the kubelet's it acts too.",
        "percentunit",
        (Query(USED, "Used, {{filesystem}}"), *_marks("bytes")),
        width=12,
        height=9,
        ratio=True,
    ),
    Panel(
        Kind.LINES,
        "Inodes used",
        "As bytes, for inodes; a filesystem without a limit has none.",
        "percentunit",
        (Query(INODES_USED, "Used, {{filesystem}}"), *_marks("inodes")),
        width=12,
        height=9,
        ratio=True,
    ),
)

WHY = (
    Panel(
        Kind.STACK,
        "Who holds the space",
        "What is used on the images' filesystem, by its holder. Only `evictable` can "
        "go under pressure; `other` is no image at all.",
        "bytes",
        (Query(f"sum by (holder) ({NODE_SCOPE.own('filesystem_held_bytes')})", "{{holder}}"),),
        width=12,
    ),
    Panel(
        Kind.STACK,
        "Images by state",
        "What the nightly sweep would do with the images that are there: `evictable`, or the reason to keep.",
        "short",
        (Query(f"sum by (state) ({NODE_SCOPE.own('images')}) > 0", "{{state}}"),),
        width=12,
    ),
)
