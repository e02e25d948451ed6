"""The board Node over time: what was done, what comes next, and whether it is safe.

The agent's evictions stand beside the kubelet's removals and the re-pulls.
"""

from dashboards.model import Kind, Panel, Query
from dashboards.queries import ANY_JOB, NODE_SCOPE

_LATENCY = "runtime_request_duration_seconds"
_BUCKETS = f"sum by (le) (rate({NODE_SCOPE.own(_LATENCY + '_bucket')}[$__rate_interval]))"

DONE = (
    Panel(
        Kind.LINES,
        "Images evicted",
        "Evicted images by reason, images that the final check spared, and images whose removal failed.",
        "short",
        (
            Query(f"sum by (reason) ({NODE_SCOPE.increase('evictions_total')})", "{{reason}}"),
            Query(f"sum({NODE_SCOPE.increase('evictions_spared_total')})", "spared"),
            Query(f"sum({NODE_SCOPE.increase('eviction_failures_total')})", "failed"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Estimated and reclaimed bytes",
        "Bytes that evictions were estimated to free, and bytes that the filesystem gained. "
        "Far apart: another process writes, or holds layers.",
        "bytes",
        (
            Query(f"sum({NODE_SCOPE.increase('estimated_bytes_total')})", "estimated"),
            Query(f"sum({NODE_SCOPE.increase('reclaimed_bytes_total')})", "reclaimed"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Image removals by source",
        "Images that the agent evicted, that the kubelet reports as removed, and that were "
        "removed externally: by the kubelet, an operator or another tool.",
        "short",
        (
            Query(f"sum({NODE_SCOPE.increase('evictions_total')})", "evicted by the agent"),
            Query(f"sum({NODE_SCOPE.increase('images_removed_externally_total')})", "removed externally"),
            Query(
                "sum by (reason) ("
                + NODE_SCOPE.on_these_nodes(
                    'increase(kubelet_image_garbage_collected_total{cluster=~"$cluster"}[$__rate_interval])'
                )
                + ")",
                "removed by the kubelet: {{reason}}",
            ),
        ),
    ),
    Panel(
        Kind.BARS,
        "Sweeps",
        "Finished sweeps by trigger, and those that failed.",
        "short",
        (
            Query(f"sum by (trigger) ({NODE_SCOPE.increase('sweeps_total')}) > 0", "{{trigger}}"),
            Query(f"sum by (trigger) ({NODE_SCOPE.increase('sweep_failures_total')}) > 0", "{{trigger}}, failed"),
        ),
    ),
    Panel(
        Kind.BARS,
        "Why sweeps ended",
        "`done` and `low_watermark` are good ends; `failures`, `no_progress` and `kubelet_threshold` are not.",
        "short",
        (Query(f"sum by (reason) ({NODE_SCOPE.increase('sweep_ends_total')}) > 0", "{{reason}}"),),
    ),
    Panel(
        Kind.BARS,
        "Duration of sweeps",
        "Average duration of sweeps that did not fail. A nightly sweep waits between "
        "evictions, so it lasts longer than its removals.",
        "s",
        (
            Query(
                f"sum({NODE_SCOPE.increase('sweep_duration_seconds_sum')})"
                f" / (sum({NODE_SCOPE.increase('sweep_duration_seconds_count')}) > 0)",
                "average",
            ),
        ),
    ),
)

NEXT = (
    Panel(
        Kind.LINES,
        "Forecast",
        "At the steady rate of the last minutes: time until the first high watermark, and until "
        "the kubelet acts, with every candidate evicted. Gaps: not filling.",
        "s",
        (
            Query(f"min({NODE_SCOPE.own('time_to_high_watermark_seconds')}) < +Inf", "until a high watermark"),
            Query(f"min({NODE_SCOPE.own('time_to_kubelet_threshold_seconds')}) < +Inf", "until the kubelet acts"),
        ),
        if_empty="not filling",
    ),
    Panel(
        Kind.LINES,
        "Reclaimable",
        "Bytes that evicting all candidates would free, at the next nightly sweep and under "
        "pressure; and bytes that pulls in progress will still write.",
        "bytes",
        (
            Query(f"sum by (trigger) ({NODE_SCOPE.own('reclaimable_bytes')})", "{{trigger}}"),
            Query(f"sum({NODE_SCOPE.own('pulls_projected_bytes')})", "projected for pulls in progress"),
        ),
    ),
    Panel(
        Kind.STAT,
        "Next nightly sweep",
        "Time until this node's next nightly sweep, its splay included.",
        "s",
        (Query(f"min({NODE_SCOPE.own('next_nightly_timestamp_seconds')}) - time()", "next"),),
        width=4,
    ),
    Panel(
        Kind.NAMES,
        "What runs here",
        "The mode in force, the agent's version, and the container runtime as it last answered.",
        "short",
        (
            Query(f"max by (mode) ({NODE_SCOPE.own('config_info')})", "mode {{mode}}"),
            Query(f"max by (version) ({NODE_SCOPE.own('build_info')})", "cleaner {{version}}"),
            Query(f"max by (name, version) ({NODE_SCOPE.own('runtime_info')})", "{{name}} {{version}}"),
        ),
        width=4,
    ),
)

SAFE = (
    Panel(
        Kind.LINES,
        "Re-pulls and regrets",
        "Evicted images that were re-pulled within 7 days; in mode observe, images that "
        "would have been evicted, and those that were used or re-pulled.",
        "short",
        (
            Query(f"sum({NODE_SCOPE.increase('repulls_total')})", "re-pulled"),
            Query(f"sum({NODE_SCOPE.increase('observed_evictions_total')})", "would have been evicted"),
            Query(f"sum({NODE_SCOPE.increase('observed_regrets_total')})", "used or re-pulled since"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Latency of the runtime",
        "Duration of requests to the runtime, removals included: the average, and the limit that 99 % stay below.",
        "s",
        (
            Query(
                f"rate({NODE_SCOPE.own(_LATENCY + '_sum')}[$__rate_interval])"
                f" / (rate({NODE_SCOPE.own(_LATENCY + '_count')}[$__rate_interval]) > 0)",
                "average",
            ),
            Query(
                f"histogram_quantile(0.99, {_BUCKETS})",
                "99 % are below",
            ),
        ),
    ),
    Panel(
        Kind.LINES,
        "Requests to the runtime",
        "Requests per second by method, and those that failed.",
        "reqps",
        (
            Query(
                f"sum by (method) (rate({NODE_SCOPE.own('runtime_requests_total')}[$__rate_interval])) > 0",
                "{{method}}",
            ),
            Query(
                f"sum by (method) (rate({NODE_SCOPE.own('runtime_request_failures_total')}[$__rate_interval])) > 0",
                "{{method}}, failed",
            ),
        ),
    ),
    Panel(
        Kind.LINES,
        "Ledger, reads and kubelet thresholds",
        "1 is yes. Without the ledger, nightly sweeps are suspended. Without container events, final checks "
        "have a time limit; without pulls, none is projected; CRI-O offers neither. Where the kubelet acts "
        "first, the high watermark is too high.",
        "short",
        (
            Query(f"min({NODE_SCOPE.own('ledger_up')})", "ledger is on disk"),
            Query(f"min({NODE_SCOPE.own('container_events_up')})", "container events are followed"),
            Query(f"min({NODE_SCOPE.own('pulls_readable')})", "pulls are readable"),
            Query(f"max({NODE_SCOPE.own('kubelet_collision')})", "kubelet acts first"),
            Query(f"min({NODE_SCOPE.own('kubelet_config_read')})", "kubelet's configuration is read"),
        ),
    ),
    Panel(
        Kind.BARS,
        "Log lines",
        "Lines of the agent's log by level.",
        "short",
        (Query(f"sum by (level) ({NODE_SCOPE.increase('log_messages_total')}) > 0", "{{level}}"),),
    ),
    Panel(
        Kind.LINES,
        "Memory of the agent",
        "Resident memory; the pod's limit is 128 MiB.",
        "bytes",
        (Query(f"max({NODE_SCOPE.other('process_resident_memory_bytes', ANY_JOB)})", "resident"),),
    ),
)
