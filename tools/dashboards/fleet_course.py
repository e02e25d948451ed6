"""The board Fleet over time: what was done, what comes next, and whether it is safe.

The agent's evictions stand beside the kubelet's removals and the re-pulls.
"""

from dashboards.model import Kind, Panel, Query
from dashboards.queries import ANY_CLUSTER, FLEET_SCOPE, ratio

DONE = (
    Panel(
        Kind.BARS,
        "Images evicted",
        "Evicted images: `expired` by a rule, or `pressure` where only the disk required it.",
        "short",
        (Query(f"sum by (reason) ({FLEET_SCOPE.increase('evictions_total')})", "{{reason}}"),),
    ),
    Panel(
        Kind.LINES,
        "Bytes reclaimed",
        "Bytes that evictions were measured to free, beside the estimate. Far less than "
        "estimated: another process writes, or holds layers.",
        "bytes",
        (
            Query(f"sum by (reason) ({FLEET_SCOPE.increase('reclaimed_bytes_total')})", "reclaimed, {{reason}}"),
            Query(f"sum by (reason) ({FLEET_SCOPE.increase('estimated_bytes_total')})", "estimated, {{reason}}"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Image removals by source",
        "Images that the agent evicted, that the kubelet reports as removed, and that were "
        "removed externally. Removals by the kubelet mean that the agent acted too late.",
        "short",
        (
            Query(f"sum({FLEET_SCOPE.increase('evictions_total')})", "evicted by the agent"),
            Query(f"sum({FLEET_SCOPE.increase('images_removed_externally_total')})", "removed externally"),
            Query(
                "sum by (reason) ("
                + FLEET_SCOPE.on_these_nodes(
                    f"increase(kubelet_image_garbage_collected_total{{{ANY_CLUSTER}}}[$__rate_interval])"
                )
                + ")",
                "removed by the kubelet: {{reason}}",
            ),
        ),
    ),
    Panel(
        Kind.BARS,
        "Sweeps",
        "Finished sweeps by trigger; dry runs count too.",
        "short",
        (Query(f"sum by (trigger) ({FLEET_SCOPE.increase('sweeps_total')})", "{{trigger}}"),),
        width=6,
    ),
    Panel(
        Kind.BARS,
        "Why sweeps ended",
        "`done` and `low_watermark` are good ends; `failures`, `no_progress` and `kubelet_threshold` are not.",
        "short",
        (Query(f"sum by (reason) ({FLEET_SCOPE.increase('sweep_ends_total')}) > 0", "{{reason}}"),),
        width=6,
    ),
    Panel(
        Kind.LINES,
        "Failures",
        "Sweeps that failed, and evictions that failed. The log of the node says why.",
        "short",
        (
            Query(f"sum by (trigger) ({FLEET_SCOPE.increase('sweep_failures_total')})", "sweeps: {{trigger}}"),
            Query(f"sum({FLEET_SCOPE.increase('eviction_failures_total')})", "evictions"),
        ),
        width=6,
    ),
    Panel(
        Kind.BARS,
        "Spared",
        "Images that the final check before a removal spared: a pod started to use them in between.",
        "short",
        (Query(f"sum({FLEET_SCOPE.increase('evictions_spared_total')})", "spared"),),
        width=6,
    ),
)

NEXT = (
    Panel(
        Kind.LINES,
        "First node to fill up",
        "The shortest times of all chosen nodes: until a high watermark is reached, and "
        "until the kubelet acts, with every candidate evicted.",
        "s",
        (
            Query(f"min({FLEET_SCOPE.own('time_to_high_watermark_seconds')}) < +Inf", "until a high watermark"),
            Query(f"min({FLEET_SCOPE.own('time_to_kubelet_threshold_seconds')}) < +Inf", "until the kubelet acts"),
        ),
        if_empty="no node fills steadily",
    ),
    Panel(
        Kind.LINES,
        "Reclaimable",
        "Bytes that evicting all candidates would free, at the next nightly sweep and under "
        "pressure; and bytes that pulls in progress will still write.",
        "bytes",
        (
            Query(f"sum by (trigger) ({FLEET_SCOPE.own('reclaimable_bytes')})", "{{trigger}}"),
            Query(f"sum({FLEET_SCOPE.own('pulls_projected_bytes')})", "projected for pulls in progress"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Observe mode",
        "Nodes in mode observe: images that would have been evicted in the 24 hours before, and those that were used "
        "or re-pulled. Many regrets: the ages in the rules are too short.",
        "short",
        (
            Query(f"sum({FLEET_SCOPE.increase('observed_evictions_total', '1d')})", "would have been evicted"),
            Query(f"sum({FLEET_SCOPE.increase('observed_regrets_total', '1d')})", "used or re-pulled since"),
        ),
    ),
    Panel(
        Kind.STAT,
        "Next nightly sweep",
        "Time until the first of the chosen nodes starts its nightly sweep.",
        "s",
        (Query(f"min({FLEET_SCOPE.own('next_nightly_timestamp_seconds')}) - time()", "first node"),),
        width=4,
        height=6,
    ),
    Panel(
        Kind.LINES,
        "Modes",
        "Nodes by mode: `observe` evicts nothing, `pressure` only where the disk fills, `full` also at night.",
        "short",
        (Query(f"count by (mode) ({FLEET_SCOPE.own('config_info')})", "{{mode}}"),),
        width=10,
        height=6,
    ),
    Panel(
        Kind.LINES,
        "Versions",
        "Nodes by the version of the agent and by the container runtime.",
        "short",
        (
            Query(f"count by (version) ({FLEET_SCOPE.own('build_info')})", "cleaner {{version}}"),
            Query(f"count by (name, version) ({FLEET_SCOPE.own('runtime_info')})", "{{name}} {{version}}"),
        ),
        width=10,
        height=6,
    ),
)

SAFE = (
    Panel(
        Kind.LINES,
        "Regret rate",
        "Share of the last 7 days' evictions that a node re-pulled within 7 days.",
        "percentunit",
        (
            Query(
                ratio(
                    f"sum({FLEET_SCOPE.increase('repulls_total', '7d')})",
                    f"sum({FLEET_SCOPE.increase('evictions_total', '7d')})",
                ),
                "regret rate",
            ),
        ),
        width=6,
        if_empty="no evictions",
    ),
    Panel(
        Kind.BARS,
        "Bytes re-pulled",
        "The cost of those pulls: the sizes of the images as the runtime reports them, compressed under containerd.",
        "bytes",
        (Query(f"sum({FLEET_SCOPE.increase('repulled_bytes_total')})", "re-pulled"),),
        width=6,
    ),
    Panel(
        Kind.LINES,
        "Containers that wait for their image",
        "Containers that cannot start because their image cannot be pulled, anywhere in the "
        "chosen clusters. If this rises after evictions, look here first.",
        "short",
        (
            Query(
                "sum by (reason) (kube_pod_container_status_waiting_reason"
                f'{{{ANY_CLUSTER}, reason=~"ErrImagePull|ImagePullBackOff|ErrImageNeverPull"}})',
                "{{reason}}",
            ),
        ),
        width=6,
        if_empty="none",
    ),
    Panel(
        Kind.LINES,
        "Agent problems",
        "Agents whose runtime does not answer, or not every read; whose ledger is not on disk (nightly sweeps "
        "are suspended); or whose high watermark is not below the kubelet's threshold.",
        "short",
        (
            Query(f"sum(1 - {FLEET_SCOPE.own('runtime_up')})", "runtime does not answer"),
            Query(f"sum(1 - {FLEET_SCOPE.own('ledger_up')})", "ledger is not on disk"),
            Query(f"sum(1 - {FLEET_SCOPE.own('container_events_up')})", "container events are not followed"),
            Query(f"sum(1 - {FLEET_SCOPE.own('pulls_readable')})", "pulls are not readable"),
            Query(f"sum({FLEET_SCOPE.own('kubelet_collision')})", "kubelet acts first"),
            Query(f"sum(1 - {FLEET_SCOPE.own('kubelet_config_read')})", "kubelet thresholds are assumed"),
        ),
        width=6,
    ),
    Panel(
        Kind.BARS,
        "Logged warnings and errors",
        "Warnings and errors in the agents' logs.",
        "short",
        (
            Query(
                f"""sum by (level) ({FLEET_SCOPE.increase("log_messages_total", matchers='level=~"warning|error"')})""",
                "{{level}}",
            ),
        ),
        width=12,
        height=6,
    ),
    Panel(
        Kind.LINES,
        "Failed requests to the runtime",
        "Share of all requests of the chosen agents to their container runtimes.",
        "percentunit",
        (
            Query(
                ratio(
                    f"sum(rate({FLEET_SCOPE.own('runtime_request_failures_total')}[$__rate_interval]))",
                    f"sum(rate({FLEET_SCOPE.own('runtime_requests_total')}[$__rate_interval]))",
                ),
                "failed",
            ),
        ),
        width=12,
        height=6,
    ),
)
