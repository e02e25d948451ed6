"""The JSON of `plan`, `sweep` and `check` as the design lists it, and what of a document is not like that."""

import re
from collections.abc import Callable
from types import UnionType

Shape = type | UnionType | frozenset[str] | dict[str, object] | list[object] | Callable[[object], bool]
"""A type; the words that may stand there; exactly these keys; a list of such; or anything that a test accepts."""


def is_time(value: object) -> bool:
    """RFC 3339, UTC."""
    return isinstance(value, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value))


def is_time_or_null(value: object) -> bool:
    return value is None or is_time(value)


def is_holders_or_null(value: object) -> bool:
    """HOLDER: bytes."""
    return value is None or (isinstance(value, dict) and all(type(count) is int for count in value.values()))


def is_counts(value: object) -> bool:
    """REASON: count."""
    return isinstance(value, dict) and value.keys() <= KEEP_REASONS and all(type(one) is int for one in value.values())


def is_rule_or_null(value: object) -> bool:
    """The counts of a rule; null for findings about other things."""
    return value is None or not deviations(value, RULE)


def is_kept_counts(value: object) -> bool:
    """REASON: count, and how many were not reached, always."""
    if not isinstance(value, dict) or "not_reached" not in value:
        return False
    return value.keys() <= KEEP_REASONS | {"not_reached"} and all(type(count) is int for count in value.values())


KEEP_REASONS = frozenset(
    {
        *("unreadable", "in_use", "sandbox", "pinned", "protected", "referenced", "unmatched", "local"),
        *("recent", "newest", "unexpired", "rule_on_hold", "registry_down", "no_gain"),
    }
)
STOP_REASONS = frozenset(
    {
        "done",
        "low_watermark",
        "not_needed",
        "stop_requested",
        "limit",
        "failures",
        "no_progress",
        "kubelet_threshold",
        "yielded_to_pressure",
        "window_closed",
    },
)
EVICT_REASONS = frozenset({"expired", "pressure"})
NOTICES = {"notices": [str]}
"""Beyond the design's list: readers ignore what they do not know."""

FILESYSTEM: dict[str, object] = {
    "path": str,
    "capacity_bytes": int,
    "available_bytes": int,
    "reserved_bytes": int,
    "used_percent": float,
    "inodes_used_percent": float | None,
    "name": frozenset({"images", "content", "snapshots", "containers"}),
}
PLAN: dict[str, object] = {
    "trigger": frozenset({"nightly", "pressure", "manual"}),
    "filesystem": FILESYSTEM,
    "filesystems": [FILESYSTEM],
    "reclaimable_bytes": int | None,
    "low_watermark_reachable": bool | None,
    "held_bytes": is_holders_or_null,
    "images": [
        {
            "id": str,
            "references": [str],
            "verdict": frozenset({"evict", "keep"}),
            "reason": KEEP_REASONS | EVICT_REASONS,
            "detail": str | None,
            "rule": str | None,
            "created_at": is_time_or_null,
            "pulled_at": is_time_or_null,
            "last_used_at": is_time_or_null,
            "size_bytes": int,
            "estimated_bytes": int | None,
        }
    ],
    **NOTICES,
}
SWEEP: dict[str, object] = {
    "trigger": frozenset({"nightly", "pressure", "manual"}),
    "dry_run": bool,
    "started_at": is_time,
    "duration_seconds": float,
    "filesystem_before": FILESYSTEM,
    "filesystem_after": FILESYSTEM,
    "reclaimed_bytes": int | None,
    "stop_reason": STOP_REASONS,
    "evictions": [
        {
            "id": str,
            "references": [str],
            "reason": EVICT_REASONS,
            "rule": str | None,
            "outcome": frozenset({"evicted", "failed", "spared", "planned"}),
            "error": str | None,
            "fault": str | None,
            "estimated_bytes": int | None,
            "reclaimed_bytes": int | None,
        }
    ],
    "kept": is_kept_counts,
    **NOTICES,
}
RULE: dict[str, object] = {
    "name": str,
    "matched": int,
    "matched_in_part": int,
    "in_use": int,
    "evictable_nightly": int,
    "evictable_pressure": int,
    "estimated_bytes_nightly": int | None,
    "estimated_bytes_pressure": int | None,
    "kept_nightly": is_counts,
    "kept_pressure": is_counts,
}
CHECK: dict[str, object] = {
    "findings": [
        {
            "subject": str,
            "grade": frozenset({"ok", "note", "warning", "error"}),
            "detail": str,
            "rule": is_rule_or_null,
        }
    ],
    "config_hash": str,
    "settings": lambda value: isinstance(value, dict),
}


def deviations(value: object, shape: object, path: str = "document") -> list[str]:
    """Each place where a document is not what its shape says; none where it is."""
    if isinstance(shape, dict):
        return _deviations_of_keys(value, shape, path)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{path} is no list: {value!r}"]
        return [line for number, item in enumerate(value) for line in deviations(item, shape[0], f"{path}[{number}]")]
    return [] if _accepts(shape, value) else [f"{path} is {value!r}"]


def _deviations_of_keys(value: object, shape: dict[str, object], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path} is no object: {value!r}"]
    found = [f"{path} has no {key}" for key in shape.keys() - value.keys()]
    found += [f"{path} has a key too many: {key}" for key in value.keys() - shape.keys()]
    return found + [
        line for key in shape.keys() & value.keys() for line in deviations(value[key], shape[key], f"{path}.{key}")
    ]


def _accepts(shape: object, value: object) -> bool:
    if isinstance(shape, frozenset):
        return value in shape
    if isinstance(shape, type | UnionType):
        # JSON's true is no number, although Python's is.
        return isinstance(value, shape) and (shape is bool or shape == bool | None or not isinstance(value, bool))
    return callable(shape) and bool(shape(value))
