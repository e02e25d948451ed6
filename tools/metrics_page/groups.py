"""Which question each metric answers, and what its figures count.

Every metric needs a place here: `page` names one that has none, and writes nothing.
"""

from collections.abc import Mapping

GROUPS: Mapping[str, tuple[str, ...]] = {
    "runs": (
        "image_cleaner_build_info",
        "image_cleaner_config_info",
        "image_cleaner_runtime_info",
        "image_cleaner_installed_timestamp_seconds",
    ),
    "full": (
        "image_cleaner_filesystem_size_bytes",
        "image_cleaner_filesystem_avail_bytes",
        "image_cleaner_filesystem_files",
        "image_cleaner_filesystem_files_free",
        "image_cleaner_high_watermark_ratio",
        "image_cleaner_low_watermark_ratio",
    ),
    "why": (
        "image_cleaner_filesystem_held_bytes",
        "image_cleaner_images",
        "image_cleaner_reclaimable_bytes",
        "image_cleaner_low_watermark_reachable",
    ),
    "done": (
        "image_cleaner_sweeps_total",
        "image_cleaner_sweep_ends_total",
        "image_cleaner_sweep_duration_seconds",
        "image_cleaner_evictions_total",
        "image_cleaner_reclaimed_bytes_total",
        "image_cleaner_estimated_bytes_total",
    ),
    "next": (
        "image_cleaner_time_to_high_watermark_seconds",
        "image_cleaner_time_to_kubelet_threshold_seconds",
        "image_cleaner_pulls_projected_bytes",
        "image_cleaner_next_nightly_timestamp_seconds",
        "image_cleaner_kubelet_threshold_ratio",
        "image_cleaner_kubelet_collision",
        "image_cleaner_kubelet_config_read",
    ),
    "safe": (
        "image_cleaner_evictions_spared_total",
        "image_cleaner_eviction_failures_total",
        "image_cleaner_repulls_total",
        "image_cleaner_repulled_bytes_total",
        "image_cleaner_observed_evictions_total",
        "image_cleaner_observed_regrets_total",
        "image_cleaner_images_removed_externally_total",
    ),
    "works": (
        "image_cleaner_runtime_up",
        "image_cleaner_container_events_up",
        "image_cleaner_pulls_readable",
        "image_cleaner_ledger_up",
        "image_cleaner_last_sweep_timestamp_seconds",
        "image_cleaner_last_sweep_success_timestamp_seconds",
        "image_cleaner_sweep_failures_total",
        "image_cleaner_runtime_requests_total",
        "image_cleaner_runtime_request_failures_total",
        "image_cleaner_runtime_request_duration_seconds",
        "image_cleaner_log_messages_total",
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
    "image_cleaner_filesystem_files": "inodes",
    "image_cleaner_filesystem_files_free": "inodes",
    "image_cleaner_images": "images",
    "image_cleaner_low_watermark_reachable": "1 or 0",
    "image_cleaner_pulls_readable": "1 or 0",
    "image_cleaner_kubelet_collision": "1 or 0",
    "image_cleaner_kubelet_config_read": "1 or 0",
    "image_cleaner_sweeps": "sweeps",
    "image_cleaner_sweep_failures": "sweeps",
    "image_cleaner_sweep_ends": "sweeps",
    "image_cleaner_evictions": "images",
    "image_cleaner_evictions_spared": "images",
    "image_cleaner_eviction_failures": "evictions",
    "image_cleaner_repulls": "images",
    "image_cleaner_observed_evictions": "images",
    "image_cleaner_observed_regrets": "images",
    "image_cleaner_images_removed_externally": "images",
    "image_cleaner_runtime_requests": "requests",
    "image_cleaner_runtime_request_failures": "requests",
    "image_cleaner_log_messages": "lines",
}
"""Units that no name says."""


def unit_of(name: str) -> str:
    """What a metric's figures are; KeyError where neither its name nor the list says."""
    bare = name.removesuffix("_total")
    return next((unit for suffix, unit in _SUFFIXES.items() if bare.endswith(suffix)), "") or _COUNTED[bare]
