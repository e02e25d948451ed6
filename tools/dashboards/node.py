"""The board Node: one node in detail, to find out what happened there.

Its questions come in the same order as those of the board Fleet.
"""

from dashboards.model import Annotation, Board, Choice, Section
from dashboards.node_course import DONE, NEXT, SAFE
from dashboards.node_now import WHO, WHY
from dashboards.queries import JOB, NODE_LABELS, NODE_SCOPE, OWN, choices

NODE = Board(
    uid="node-image-cleaner-node",
    title="Node image cleaner / Node",
    description="One node: whether it is full and why, what was done, what comes next, and whether it is safe.",
    span="24h",
    refresh="1m",
    variables=(
        JOB,
        *choices(OWN, NODE_LABELS[:-1]),
        Choice("instance", 'image_cleaner_build_info{job=~"$job", cluster=~"$cluster"}', "Instance", None),
        Choice("filesystem", 'image_cleaner_filesystem_size_bytes{instance=~"$instance"}', "Filesystem", ".+"),
    ),
    annotations=(
        Annotation(
            "Sweep",
            f"{NODE_SCOPE.own('last_sweep_success_timestamp_seconds')} * 1000",
            "A sweep ended",
            "blue",
            value_is_time=True,
            # In later sections the lines would hide the bars that show what the sweeps did.
            sections=2,
        ),
        Annotation(
            "Sweep failed",
            f"sum by (trigger) ({NODE_SCOPE.increase('sweep_failures_total')}) > 0",
            "A sweep failed ({{trigger}})",
            "red",
        ),
        Annotation(
            "Runtime unavailable", f"(1 - {NODE_SCOPE.own('runtime_up')}) > 0", "The runtime does not answer", "orange"
        ),
        Annotation(
            "Images removed externally",
            f"{NODE_SCOPE.increase('images_removed_externally_total')} > 0",
            "Images were removed externally",
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
