"""Turns a board into JSON for Grafana.

The same board always gives the same text, so that a test can compare it with the committed file.
"""

import json
from typing import Any

from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.model import Annotation, Board, Choice, Options, Section
from dashboards.panels import SOURCE, build_panel

TAG = "node-image-cleaner"
"""The tag that joins the boards: each board links to all boards that have it."""
_STRAY = ("auto", "auto_min", "auto_count", "placement")
"""Fields that the library adds: those of interval variables, and the menu that would hide links and annotations."""


def render(board: Board) -> str:
    """Return the board as JSON, with sorted keys."""
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
    for annotation in board.annotations:
        panels = _panel_ids(board.sections[: annotation.sections])
        builder = builder.annotation(_annotation(annotation, panels))
    for section in board.sections:
        builder = builder.with_row(make.Row(section.question))
        for panel in section.panels:
            builder = builder.with_panel(build_panel(panel))
    return _finish(json.loads(JSONEncoder().encode(builder.build())))


def _finish(board: dict[str, Any]) -> str:
    """Number the panels, which the library leaves to Grafana, and drop the fields that it adds by itself."""
    for number, panel in enumerate(board["panels"], 1):
        panel["id"] = number
        panel.get("options", {}).pop("footer", None)  # of a table: newer Grafana has it in each column
    for part in (*board["templating"]["list"], *board["annotations"]["list"], *board["links"]):
        for name in _STRAY:
            part.pop(name, None)
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _links() -> make.DashboardLink:
    """Link to the other boards, with the same variables and time range."""
    link = (
        make.DashboardLink("Node image cleaner").icon("dashboard").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    )
    return link.as_dropdown(False).include_vars(True).keep_time(True)  # noqa: FBT003 - the library's interface


def _source() -> make.DatasourceVariable:
    return make.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _choice(choice: Choice) -> make.QueryVariable:
    """A variable that is reloaded with each time range, since labels change with the nodes."""
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
    """The numbers of the panels in the first sections; a row has a number too."""
    return list(range(1, 1 + sum(1 + len(section.panels) for section in sections)))


def _annotation(annotation: Annotation, panels: list[int]) -> make.AnnotationQuery:
    built = make.AnnotationQuery().name(annotation.name).datasource(SOURCE)
    built = built.enable(True).icon_color(annotation.colour)  # noqa: FBT003
    if annotation.sections is not None:
        built = built.filter(make.AnnotationPanelFilter().exclude(False).ids(panels))  # noqa: FBT003
    built = built.expr(annotation.expr).title_format(annotation.title)
    return built.use_value_for_time(annotation.value_is_time)
