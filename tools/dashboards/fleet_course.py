"""The board Fleet over time: what was done, what comes next, and whether it is safe.

It refuses to show our own deeds alone: what the kubelet did, and what was wanted again, stands beside them.
"""

from dashboards.model import Kind, Panel, Query
from dashboards.queries import ANY_CLUSTER, FLEET_SCOPE, ratio

DONE = (
    Panel(
        Kind.BARS,
        "Images evicted",
        "Images that are gone: `expired` by a rule, or `pressure` where only the disk asked for it.",
        "short",
        (Query(f"sum by (reason) ({FLEET_SCOPE.increase('evictions_total')})", "{{reason}}"),),
    ),
    Panel(
        Kind.LINES,
        "Bytes reclaimed",
        "What these evictions freed, measured, beside what was foretold. Far less than "
        "foretold: somebody else writes, or holds layers.",
        "bytes",
        (
            Query(f"sum by (reason) ({FLEET_SCOPE.increase('reclaimed_bytes_total')})", "measured, {{reason}}"),
            Query(f"sum by (reason) ({FLEET_SCOPE.increase('estimated_bytes_total')})", "foretold, {{reason}}"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Ours beside the kubelet's",
        "Images that we evicted, that the kubelet says it removed, and that vanished "
        "without us. The kubelet's mean that we came too late.",
        "short",
        (
            Query(f"sum({FLEET_SCOPE.increase('evictions_total')})", "evicted by the cleaner"),
            Query(f"sum({FLEET_SCOPE.increase('images_vanished_total')})", "vanished without us"),
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
        "Sweeps that are over, by what asked for them; dry runs count too.",
        "short",
        (Query(f"sum by (trigger) ({FLEET_SCOPE.increase('sweeps_total')})", "{{trigger}}"),),
        width=6,
    ),
    Panel(
        Kind.BARS,
        "Why sweeps ended",
        "`done` and `low_mark` are good ends; `failures`, `no_progress` and `kubelet_mark` are not.",
        "short",
        (Query(f"sum by (because) ({FLEET_SCOPE.increase('sweep_stops_total')}) > 0", "{{because}}"),),
        width=6,
    ),
    Panel(
        Kind.LINES,
        "Failures",
        "Sweeps that could not go on, and evictions that failed. The log of the node says why.",
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
        "Images that the last look before a removal saved: a pod came for them in between.",
        "short",
        (Query(f"sum({FLEET_SCOPE.increase('evictions_spared_total')})", "spared"),),
        width=6,
    ),
)

NEXT = (
    Panel(
        Kind.LINES,
        "First to be full",
        "The shortest times of all chosen nodes: until a high mark is reached, and "
        "until the kubelet acts with everything evictable gone.",
        "s",
        (
            Query(f"min({FLEET_SCOPE.own('time_to_high_watermark_seconds')}) < +Inf", "until a high mark"),
            Query(f"min({FLEET_SCOPE.own('runway_seconds')}) < +Inf", "until the kubelet acts"),
        ),
        if_empty="no node fills steadily",
    ),
    Panel(
        Kind.LINES,
        "Reclaimable",
        "What all candidates would free: at the next nightly sweep, and under "
        "pressure. Pulls in progress take the rest.",
        "bytes",
        (
            Query(f"sum by (trigger) ({FLEET_SCOPE.own('reclaimable_bytes')})", "{{trigger}}"),
            Query(f"sum({FLEET_SCOPE.own('pulls_expected_bytes')})", "pulls in progress will take"),
        ),
    ),
    Panel(
        Kind.LINES,
        "Observed only",
        "Nodes in mode observe: images that would have gone in the 24 hours before, and those that were wanted again. "
        "Many regrets: the rules are too short.",
        "short",
        (
            Query(f"sum({FLEET_SCOPE.increase('observed_evictions_total', '1d')})", "would have gone"),
            Query(f"sum({FLEET_SCOPE.increase('observed_regrets_total', '1d')})", "would have been regretted"),
        ),
    ),
    Panel(
        Kind.STAT,
        "Next nightly sweep",
        "Until the first of the chosen nodes begins its nightly sweep.",
        "s",
        (Query(f"min({FLEET_SCOPE.own('next_nightly_timestamp_seconds')}) - time()", "first node"),),
        width=4,
        height=6,
    ),
    Panel(
        Kind.LINES,
        "Modes",
        "Nodes by mode: `observe` evicts nothing, `pressure` only where the disk fills, `full` at night too.",
        "short",
        (Query(f"count by (mode) ({FLEET_SCOPE.own('config_info')})", "{{mode}}"),),
        width=10,
        height=6,
    ),
    Panel(
        Kind.LINES,
        "Versions",
        "Nodes by the build that runs and by their container runtime.",
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
        "Evictions pulled again",
        "Share of the last 7 days' evictions that a node pulled again within 7 days.",
        "percentunit",
        (
            Query(
                ratio(
                    f"sum({FLEET_SCOPE.increase('repulls_total', '7d')})",
                    f"sum({FLEET_SCOPE.increase('evictions_total', '7d')})",
                ),
                "pulled again",
            ),
        ),
        width=6,
        if_empty="no evictions",
    ),
    Panel(
        Kind.BARS,
        "Bytes pulled again",
        "What those pulls cost: the images' sizes as the runtime says, compressed under containerd.",
        "bytes",
        (Query(f"sum({FLEET_SCOPE.increase('repulled_bytes_total')})", "pulled again"),),
        width=6,
    ),
    Panel(
        Kind.LINES,
        "Containers that wait for their image",
        "Containers that cannot start because their image cannot be pulled, anywhere in the "
        "chosen clusters. Rising after evictions: look here first.",
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
        "What is wrong with agents",
        "Agents whose runtime does not answer, whose ledger is not on disk (nightly sweeps "
        "hold), or whose marks come too late for the kubelet's.",
        "short",
        (
            Query(f"sum(1 - {FLEET_SCOPE.own('runtime_up')})", "runtime does not answer"),
            Query(f"sum(1 - {FLEET_SCOPE.own('ledger_up')})", "ledger is not on disk"),
            Query(f"sum({FLEET_SCOPE.own('kubelet_collision')})", "kubelet acts before us"),
            Query(f"sum(1 - {FLEET_SCOPE.own('kubelet_config_read')})", "kubelet's marks are assumed"),
        ),
        width=6,
    ),
    Panel(
        Kind.BARS,
        "Log lines that warn",
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
        "Requests to the runtime that fail",
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
