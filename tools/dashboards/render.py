"""Turns a board into the JSON that Grafana takes.

It refuses everything that changes by itself: the same board is the same text, so a test can compare.
"""

import json
from typing import Any

from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.model import Board, Choice, Mark, Options, Section
from dashboards.panels import SOURCE, build_panel

TAG = "node-image-cleaner"
"""Joins the boards: each links to all that have it."""
_STRAY = ("auto", "auto_min", "auto_count", "placement")
"""What the library writes unasked: fields of interval variables, and the menu that would hide links and annotations."""


def render(board: Board) -> str:
    """The board as JSON, with keys in order."""
    builder = (
        make.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(f"now-{board.span}", "now")
        .refresh(board.refresh)
        .timezone("browser")
        .link(_links())
        .with_variable(_source())
    )
    for variable in board.variables:
        builder = builder.with_variable(_choice(variable) if isinstance(variable, Choice) else _options(variable))
    for mark in board.marks:
        builder = builder.annotation(_annotation(mark, _panel_ids(board.sections[: mark.sections])))
    for section in board.sections:
        builder = builder.with_row(make.Row(section.question))
        for panel in section.panels:
            builder = builder.with_panel(build_panel(panel))
    return _finish(json.loads(JSONEncoder().encode(builder.build())))


def _finish(board: dict[str, Any]) -> str:
    """Number the panels, which the library leaves to Grafana, and drop what it writes without being asked."""
    for number, panel in enumerate(board["panels"], 1):
        panel["id"] = number
        panel.get("options", {}).pop("footer", None)  # of a table: by now each column has its own
    for part in (*board["templating"]["list"], *board["annotations"]["list"], *board["links"]):
        for name in _STRAY:
            part.pop(name, None)
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _links() -> make.DashboardLink:
    """To the other boards, with what is chosen here."""
    link = (
        make.DashboardLink("Node image cleaner").icon("dashboard").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    )
    return link.as_dropdown(False).include_vars(True).keep_time(True)  # noqa: FBT003 - the library's interface


def _source() -> make.DatasourceVariable:
    return make.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _choice(choice: Choice) -> make.QueryVariable:
    """A variable that is read anew with each time range, since labels come and go with the nodes."""
    query = f"label_values({choice.metric}, {choice.label})"
    variable = (
        make.QueryVariable(choice.label)
        .label(choice.title)
        .datasource(SOURCE)
        .query({"qryType": 1, "query": query, "refId": f"variable-{choice.label}"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if choice.all_value is None:
        return variable
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    return variable.multi(True).include_all(True).all_value(choice.all_value).current(everything)  # noqa: FBT003


def _options(options: Options) -> make.CustomVariable:
    words = [models.VariableOption(selected=word == options.words[0], text=word, value=word) for word in options.words]
    variable = make.CustomVariable(options.name).label(options.title).values(",".join(options.words))
    return variable.options(words).current(words[0]).allow_custom_value(True)  # noqa: FBT003


def _panel_ids(sections: tuple[Section, ...]) -> list[int]:
    """The numbers that the panels of the first sections get; a row has one too."""
    return list(range(1, 1 + sum(1 + len(section.panels) for section in sections)))


def _annotation(mark: Mark, panels: list[int]) -> make.AnnotationQuery:
    built = make.AnnotationQuery().name(mark.name).datasource(SOURCE).enable(True).icon_color(mark.colour)  # noqa: FBT003
    if mark.sections is not None:
        built = built.filter(make.AnnotationPanelFilter().exclude(False).ids(panels))  # noqa: FBT003
    return built.expr(mark.expr).title_format(mark.title).use_value_for_time(mark.value_is_time)
