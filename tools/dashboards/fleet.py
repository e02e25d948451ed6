"""The board Fleet: all nodes at once, for whoever is on call.

It refuses another order of its questions: at three in the morning nobody looks for the first one.
"""

from dashboards.fleet_course import DONE, NEXT, SAFE
from dashboards.fleet_now import NODES, WHO, WHY
from dashboards.model import Board, Mark, Section
from dashboards.queries import ANY_CLUSTER, FLEET_LABELS, JOB, OWN, choices

FLEET = Board(
    uid="node-image-cleaner-fleet",
    title="Node image cleaner / Fleet",
    description="All nodes: who is full, why, what was done, what comes next, is it safe.",
    span="24h",
    refresh="1m",
    variables=(JOB, *choices(OWN, FLEET_LABELS)),
    marks=(
        Mark(
            "DiskPressure",
            f'max by (node) (kube_node_status_condition{{{ANY_CLUSTER}, condition="DiskPressure", status="true"}}) > 0',
            "{{node}} is under DiskPressure",
            "red",
        ),
    ),
    sections=(
        Section("Who is full?", WHO),
        Section("Why?", WHY),
        Section("What was done?", DONE),
        Section("What comes next?", NEXT),
        Section("Is it safe?", SAFE),
        Section("Node by node", NODES),
    ),
)
