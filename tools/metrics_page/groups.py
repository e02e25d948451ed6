"""Which question each metric answers, and what its figures count.

It refuses a metric that it does not place: `page` says which one, and nothing is written.
"""

from collections.abc import Mapping

GROUPS: Mapping[str, tuple[str, ...]] = {
    "runs": (
        "cleaner_build_info",
        "cleaner_config_info",
        "cleaner_runtime_info",
        "cleaner_installed_timestamp_seconds",
    ),
    "full": (
        "cleaner_filesystem_size_bytes",
        "cleaner_filesystem_avail_bytes",
        "cleaner_filesystem_files",
        "cleaner_filesystem_files_free",
        "cleaner_high_watermark_ratio",
        "cleaner_low_watermark_ratio",
    ),
    "why": (
        "cleaner_filesystem_held_bytes",
        "cleaner_images",
        "cleaner_reclaimable_bytes",
        "cleaner_low_watermark_reachable",
    ),
    "done": (
        "cleaner_sweeps_total",
        "cleaner_sweep_stops_total",
        "cleaner_sweep_duration_seconds",
        "cleaner_evictions_total",
        "cleaner_reclaimed_bytes_total",
        "cleaner_estimated_bytes_total",
    ),
    "next": (
        "cleaner_time_to_high_watermark_seconds",
        "cleaner_runway_seconds",
        "cleaner_pulls_expected_bytes",
        "cleaner_next_nightly_timestamp_seconds",
        "cleaner_kubelet_watermark_ratio",
        "cleaner_kubelet_collision",
        "cleaner_kubelet_config_read",
    ),
    "safe": (
        "cleaner_evictions_spared_total",
        "cleaner_eviction_failures_total",
        "cleaner_repulls_total",
        "cleaner_repulled_bytes_total",
        "cleaner_observed_evictions_total",
        "cleaner_observed_regrets_total",
        "cleaner_images_vanished_total",
    ),
    "works": (
        "cleaner_runtime_up",
        "cleaner_ledger_up",
        "cleaner_last_sweep_timestamp_seconds",
        "cleaner_last_sweep_success_timestamp_seconds",
        "cleaner_sweep_failures_total",
        "cleaner_runtime_requests_total",
        "cleaner_runtime_request_failures_total",
        "cleaner_runtime_request_duration_seconds",
        "cleaner_log_messages_total",
    ),
    "costs": (
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "process_open_fds",
        "process_max_fds",
    ),
}
"""By the table of template.md."""

_SUFFIXES = {
    "_timestamp_seconds": "seconds since 1970",
    "_time_seconds": "seconds since 1970",
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_ratio": "share, 0 to 1",
    "_info": "always 1",
    "_fds": "files",
    "_up": "1 or 0",
}
_COUNTED = {
    "cleaner_filesystem_files": "inodes",
    "cleaner_filesystem_files_free": "inodes",
    "cleaner_images": "images",
    "cleaner_low_watermark_reachable": "1 or 0",
    "cleaner_kubelet_collision": "1 or 0",
    "cleaner_kubelet_config_read": "1 or 0",
    "cleaner_sweeps": "sweeps",
    "cleaner_sweep_failures": "sweeps",
    "cleaner_sweep_stops": "sweeps",
    "cleaner_evictions": "images",
    "cleaner_evictions_spared": "images",
    "cleaner_eviction_failures": "evictions",
    "cleaner_repulls": "images",
    "cleaner_observed_evictions": "images",
    "cleaner_observed_regrets": "images",
    "cleaner_images_vanished": "images",
    "cleaner_runtime_requests": "requests",
    "cleaner_runtime_request_failures": "requests",
    "cleaner_log_messages": "lines",
}
"""Units that no name says."""


def unit_of(name: str) -> str:
    """What a metric's figures are; KeyError where neither its name nor the list says."""
    bare = name.removesuffix("_total")
    return next((unit for suffix, unit in _SUFFIXES.items() if bare.endswith(suffix)), "") or _COUNTED[bare]
