"""The boards by the names of their files.

It refuses a board that belongs to no file: the tests take the list from here.
"""

from dashboards.fleet import FLEET
from dashboards.impact import IMPACT
from dashboards.model import Board
from dashboards.node import NODE

BOARDS: dict[str, Board] = {"impact": IMPACT, "fleet": FLEET, "node": NODE}
