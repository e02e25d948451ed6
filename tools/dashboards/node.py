"""The board Node: one node in full, for whoever asks what happened there.

It refuses another order of its questions than the board Fleet's.
"""

from dashboards.model import Board, Choice, Mark, Section
from dashboards.node_course import DONE, NEXT, SAFE
from dashboards.node_now import WHO, WHY
from dashboards.queries import JOB, NODE_LABELS, NODE_SCOPE, OWN, choices

NODE = Board(
    uid="node-image-cleaner-node",
    title="Node image cleaner / Node",
    description="One node: who is full, why, what was done, what comes next, is it safe.",
    span="24h",
    refresh="1m",
    variables=(
        JOB,
        *choices(OWN, NODE_LABELS[:-1]),
        Choice("instance", 'cleaner_build_info{job=~"$job", cluster=~"$cluster"}', "Instance", None),
        Choice("filesystem", 'cleaner_filesystem_size_bytes{instance=~"$instance"}', "Filesystem", ".+"),
    ),
    marks=(
        Mark(
            "Sweep",
            f"{NODE_SCOPE.own('last_sweep_success_timestamp_seconds')} * 1000",
            "A sweep ended",
            "blue",
            value_is_time=True,
            # Below, its lines would hide the very bars that are as high as what it did.
            sections=2,
        ),
        Mark(
            "Sweep failed",
            f"sum by (trigger) ({NODE_SCOPE.increase('sweep_failures_total')}) > 0",
            "A sweep failed ({{trigger}})",
            "red",
        ),
        Mark("Runtime away", f"(1 - {NODE_SCOPE.own('runtime_up')}) > 0", "The runtime does not answer", "orange"),
        Mark(
            "Images vanished",
            f"{NODE_SCOPE.increase('images_vanished_total')} > 0",
            "Images vanished without us",
            "purple",
        ),
    ),
    sections=(
        Section("Is it full?", WHO),
        Section("Why?", WHY),
        Section("What was done?", DONE),
        Section("What comes next?", NEXT),
        Section("Is it safe?", SAFE),
    ),
)
