"""The board Node over time: what was done, what comes next, and whether it is safe.

It refuses to show our own deeds alone: what the kubelet did, and what was wanted again, stands beside them.
"""

from dashboards.model import Kind, Panel, Query
from dashboards.queries import ANY_JOB, NODE_SCOPE

_LATENCY = "runtime_request_duration_seconds"
_BUCKETS = f"sum by (le) (rate({NODE_SCOPE.own(_LATENCY + '_bucket')}[$__rate_interval]))"

DONE = (
    Panel(
        Kind.LINES,
        "Images evicted",
        "Images that are gone, by reason; those that the last look spared; those where the removal failed.",
        "short",
        (
            Query(f"sum by (reason) ({NODE_SCOPE.increase('evictions_total')})", "{{reason}}"),
            Query(f"sum({NODE_SCOPE.increase('evictions_spared_total')})", "spared"),
            Query(f"sum({NODE_SCOPE.increase('eviction_failures_total')})", "failed"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Foretold beside measured",
        "Bytes that evictions were foretold to free, and what the filesystem gained. "
        "Far apart: somebody else writes, or holds layers.",
        "bytes",
        (
            Query(f"sum({NODE_SCOPE.increase('estimated_bytes_total')})", "foretold"),
            Query(f"sum({NODE_SCOPE.increase('reclaimed_bytes_total')})", "measured"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Ours beside the kubelet's",
        "Images that we evicted, that the kubelet says it removed, and that vanished "
        "without us: the kubelet, a person, another tool.",
        "short",
        (
            Query(f"sum({NODE_SCOPE.increase('evictions_total')})", "evicted by the cleaner"),
            Query(f"sum({NODE_SCOPE.increase('images_vanished_total')})", "vanished without us"),
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
        "Sweeps that are over, by what asked for them, and those that could not go on.",
        "short",
        (
            Query(f"sum by (trigger) ({NODE_SCOPE.increase('sweeps_total')}) > 0", "{{trigger}}"),
            Query(f"sum by (trigger) ({NODE_SCOPE.increase('sweep_failures_total')}) > 0", "{{trigger}}, failed"),
        ),
    ),
    Panel(
        Kind.BARS,
        "Why sweeps ended",
        "`done` and `low_mark` are good ends; `failures`, `no_progress` and `kubelet_mark` are not.",
        "short",
        (Query(f"sum by (because) ({NODE_SCOPE.increase('sweep_stops_total')}) > 0", "{{because}}"),),
    ),
    Panel(
        Kind.BARS,
        "Duration of sweeps",
        "How long sweeps that did not fail took on average. A night rests between "
        "evictions, so it takes longer than its removals.",
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
        "At the steady rate of the last minutes: until the first high mark, and until the "
        "kubelet acts with everything evictable gone. Gaps: not filling.",
        "s",
        (
            Query(f"min({NODE_SCOPE.own('time_to_high_watermark_seconds')}) < +Inf", "until a high mark"),
            Query(f"min({NODE_SCOPE.own('runway_seconds')}) < +Inf", "until the kubelet acts"),
        ),
        if_empty="not filling",
    ),
    Panel(
        Kind.LINES,
        "Reclaimable",
        "What all candidates would free: at the next nightly sweep, and under "
        "pressure; and what pulls in progress will take.",
        "bytes",
        (
            Query(f"sum by (trigger) ({NODE_SCOPE.own('reclaimable_bytes')})", "{{trigger}}"),
            Query(f"sum({NODE_SCOPE.own('pulls_expected_bytes')})", "pulls in progress will take"),
        ),
    ),
    Panel(
        Kind.STAT,
        "Next nightly sweep",
        "Until this node's next nightly sweep, its splay included.",
        "s",
        (Query(f"min({NODE_SCOPE.own('next_nightly_timestamp_seconds')}) - time()", "next"),),
        width=4,
    ),
    Panel(
        Kind.NAMES,
        "What runs here",
        "The mode in force, the agent's build, and the container runtime as it was when it last answered.",
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
        "Wanted again",
        "Evicted images that were pulled again within 7 days; in mode observe, "
        "images that would have gone and were wanted.",
        "short",
        (
            Query(f"sum({NODE_SCOPE.increase('repulls_total')})", "pulled again"),
            Query(f"sum({NODE_SCOPE.increase('observed_evictions_total')})", "would have gone"),
            Query(f"sum({NODE_SCOPE.increase('observed_regrets_total')})", "would have been regretted"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Latency of the runtime",
        "Duration of requests to the runtime, removals included: the average, and what 99 % of them stay below.",
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
        "Requests in a second by method, and those that failed.",
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
        "Ledger and the kubelet's marks",
        "1 is yes. Without the ledger the nightly sweep holds; where the kubelet "
        "acts before us, the high mark is too high.",
        "short",
        (
            Query(f"min({NODE_SCOPE.own('ledger_up')})", "ledger is on disk"),
            Query(f"max({NODE_SCOPE.own('kubelet_collision')})", "kubelet acts before us"),
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
