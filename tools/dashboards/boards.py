"""The boards by the names of their files; the tests use this list too."""

from dashboards.fleet import FLEET
from dashboards.impact import IMPACT
from dashboards.model import Board
from dashboards.node import NODE

BOARDS: dict[str, Board] = {"impact": IMPACT, "fleet": FLEET, "node": NODE}
