"""The board Fleet: all nodes at once, for the engineer on call.

Its sections answer questions in the order in which an incident raises them.
"""

from dashboards.fleet_course import DONE, NEXT, SAFE
from dashboards.fleet_now import NODES, WHO, WHY
from dashboards.model import Annotation, Board, Section
from dashboards.queries import ANY_CLUSTER, FLEET_LABELS, JOB, OWN, choices

FLEET = Board(
    uid="node-image-cleaner-fleet",
    title="Node image cleaner / Fleet",
    description="All nodes: which are full and why, what was done, what comes next, and whether it is safe.",
    span="24h",
    refresh="1m",
    variables=(JOB, *choices(OWN, FLEET_LABELS)),
    annotations=(
        Annotation(
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
