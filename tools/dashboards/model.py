"""The parts of a board as frozen values: what is shown, not how Grafana writes it.

render.py adds the JSON, the identifiers and the positions.
"""

from dataclasses import dataclass, field
from enum import Enum

FULL_WIDTH = 24
"""Columns of Grafana's grid."""


class Kind(Enum):
    """How a panel draws its queries."""

    LINES = "lines"
    STACK = "stack"
    BARS = "bars"
    STAT = "stat"
    NAMES = "names"
    RANKING = "ranking"
    TABLE = "table"

    @property
    def is_instant(self) -> bool:
        """Whether it shows the end of the time range only."""
        return self in (Kind.STAT, Kind.NAMES, Kind.RANKING, Kind.TABLE)


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the names of its series."""

    expr: str
    legend: str
    """May name labels: `{{filesystem}}`. In a table it is the column's title."""
    unit: str | None = None
    """Of a table's column; elsewhere the panel's unit counts."""
    red_below: float | None = None
    """Of a table's column: its figures below are red."""
    endless: str | None = None
    """The word that stands for +Inf; in a table for its column, else for the whole panel."""


@dataclass(frozen=True)
class Shades:
    """When a figure turns red."""

    red_from: float | None = None
    red_below: float | None = None


@dataclass(frozen=True)
class Panel:
    """One panel."""

    kind: Kind
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 8
    height: int = 8
    shades: Shades = Shades()
    ratio: bool = False
    """Whether the axis goes from 0 to 1."""
    step: str | None = None
    """The shortest distance between two points, such as `1d`."""
    if_empty: str | None = None
    """The text of a panel without series."""
    labels: tuple[tuple[str, str], ...] = ()
    """Of a table: labels that become columns, and their titles, in order; `instance` links to the node's board."""
    least_first: str | None = None
    """Of a table: the title of the column that it is first sorted by."""


@dataclass(frozen=True)
class Section:
    """A row of panels under a question that they answer."""

    question: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Choice:
    """A variable that is chosen from a label's values."""

    label: str
    metric: str
    """Of the series that have the label, with a selector if need be."""
    title: str
    all_value: str | None = ".*"
    """What `All` stands for: `.*` matches series without the label too; None: exactly one is chosen."""


@dataclass(frozen=True)
class Options:
    """A variable that is chosen from fixed words; the first one is the default."""

    name: str
    title: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Annotation:
    """Events drawn as vertical lines."""

    name: str
    expr: str
    title: str
    colour: str
    value_is_time: bool = False
    """The value is the time of the event in milliseconds; else a sample above 0 is the event."""
    sections: int | None = None
    """How many sections, from the top, show it; None: all."""


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str
    span: str
    """The default time range: `24h` back from now."""
    refresh: str
    variables: tuple[Choice | Options, ...]
    annotations: tuple[Annotation, ...]
    sections: tuple[Section, ...] = field(default=())
