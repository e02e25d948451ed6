"""Builds one panel with Grafana's own library.

No threshold repeats a setting: watermarks are series, and colours change only at 0 and 1.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import common as make_common
from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.model import Kind, Panel, Query

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
NODE_BOARD = "/d/node-image-cleaner-node?${__url_time_range}&${datasource:queryparam}&var-instance=${__value.raw}"
_LIMITS = {"/^Kubelet threshold/": "red", "/^High watermark/": "orange", "/^Low watermark/": "green"}
"""Series that are limits, by their legends: dashed, each in its own colour."""
_ENDLESS = 1e18
"""Larger than any real number of seconds or bytes of a node."""

_BAR_PIXELS = 28
"""The greatest height of a bar, even of a single one."""

Builder: TypeAlias = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel


def build_panel(panel: Panel) -> Builder:
    """Build a panel of its kind, with its queries in order from A."""
    builders: dict[Kind, Callable[[Panel], Builder]] = {
        Kind.RANKING: _ranking,
        Kind.TABLE: _table,
        Kind.STAT: _stat,
        Kind.NAMES: _stat,
    }
    builder: Builder = builders.get(panel.kind, _graph)(panel)
    builder.title(panel.title).description(panel.description).datasource(SOURCE)
    builder.unit(panel.unit).height(panel.height).span(panel.width)
    builder.thresholds(_thresholds(panel))
    if panel.kind is Kind.STAT:
        builder.mappings([_endless(query.endless) for query in panel.queries if query.endless])
    if panel.if_empty is not None:
        builder.no_value(panel.if_empty)
    if panel.ratio:
        builder.min(0).max(1)
    if panel.step is not None:
        builder.interval(panel.step)
    for number, query in enumerate(panel.queries):
        builder.with_target(_target(panel, query, chr(ord("A") + number)))
    return builder


def _target(panel: Panel, query: Query, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref_id).datasource(SOURCE)
    if panel.kind is Kind.TABLE:
        target = target.format(PromQueryFormat.TABLE)
    return target.instant() if panel.kind.is_instant else target.range()


def _thresholds(panel: Panel) -> make.ThresholdsConfig:
    shades = panel.shades
    # A figure has no background: Grafana's `text` would be a light box that draws the eye like a red one.
    calm = "transparent" if panel.kind is Kind.STAT else "text"
    steps = [dashboard.Threshold(value=None, color=calm if shades.red_below is None else "red")]
    if shades.red_below is not None:
        steps.append(dashboard.Threshold(value=shades.red_below, color=calm))
    if shades.red_from is not None:
        steps.append(dashboard.Threshold(value=shades.red_from, color="red"))
    return make.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _endless(word: str) -> dashboard.ValueMapping:
    """Map +Inf to a word, as a range: Grafana has no other way."""
    options = dashboard.DashboardRangeMapOptions(_ENDLESS, None, dashboard.ValueMappingResult(text=word))
    return dashboard.RangeMap(options)


def _graph(panel: Panel) -> timeseries.Panel:
    """Lines, a stack of areas, or a stack of bars."""
    legend = make_common.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)  # noqa: FBT003
    tooltip = make_common.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    builder = (
        timeseries.Panel()
        .legend(legend.display_mode(common.LegendDisplayMode.LIST).calcs([]))
        .tooltip(tooltip)
        .color_scheme(make.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
        .show_points(common.VisibilityMode.AUTO if panel.kind is Kind.LINES else common.VisibilityMode.NEVER)
        .axis_soft_min(0)
    )
    if panel.kind is Kind.LINES:
        for pattern, colour in _LIMITS.items():
            builder = builder.override_by_regexp(pattern, _limit(colour))
        return builder.fill_opacity(0).line_width(2)
    builder = builder.stacking(make_common.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if panel.kind is Kind.BARS:
        return builder.draw_style(common.GraphDrawStyle.BARS).fill_opacity(70).line_width(1)
    return builder.fill_opacity(40).line_width(1)


def _limit(colour: str) -> list[dashboard.DynamicConfigValue]:
    dashes = common.LineStyle(fill="dash", dash=[10, 10])
    return [
        dashboard.DynamicConfigValue("color", dashboard.FieldColor(dashboard.FieldColorModeId.FIXED, colour)),
        dashboard.DynamicConfigValue("custom.lineStyle", dashes),
        dashboard.DynamicConfigValue("custom.lineWidth", 1),
    ]


def _stat(panel: Panel) -> stat.Panel:
    """A figure, or the names of the series."""
    names = panel.kind is Kind.NAMES
    shaded = panel.shades.red_below is not None or panel.shades.red_from is not None
    return (
        stat.Panel()
        .reduce_options(_last())
        .orientation(common.VizOrientation.HORIZONTAL)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.BACKGROUND if shaded else common.BigValueColorMode.NONE)
        .text_mode(common.BigValueTextMode.NAME if names else common.BigValueTextMode.AUTO)
    )


def _last() -> make_common.ReduceDataOptions:
    return make_common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")  # noqa: FBT003


def _ranking(panel: Panel) -> bargauge.Panel:
    """Horizontal bars: shares from green to red, anything else in one colour."""
    scheme = dashboard.FieldColorModeId.CONTINUOUS_GR_YL_RD if panel.ratio else dashboard.FieldColorModeId.FIXED
    colour = make.FieldColor().mode(scheme)
    return (
        bargauge.Panel()
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .reduce_options(_last())
        .color_scheme(colour if panel.ratio else colour.fixed_color("blue"))
        .sizing(common.BarGaugeSizing.MANUAL)
        .max_viz_height(_BAR_PIXELS)
        .min(0)
    )


def _table(panel: Panel) -> table.Panel:
    """One row for each set of labels: the frames of the queries are merged, and each query names its column."""
    shown = [f"Value #{chr(ord('A') + number)}" for number in range(len(panel.queries))]
    titles = {name: query.legend for name, query in zip(shown, panel.queries, strict=True) if query.legend}
    hidden = {"Time": True} | {name: True for name in shown if name not in titles}
    order = [*(label for label, _ in panel.labels), *shown]
    organized: dict[str, Any] = {
        "excludeByName": hidden,
        "indexByName": {name: number for number, name in enumerate(order)},
        "renameByName": dict(panel.labels) | titles,
    }
    builder = (
        table.Panel()
        .with_transformation(dashboard.DataTransformerConfig("merge", options={}))
        .with_transformation(dashboard.DataTransformerConfig("organize", options=organized))
    )
    for query in panel.queries:
        if query.legend:
            builder = builder.override_by_name(query.legend, _column(query))
    if panel.least_first is not None:
        builder = builder.sort_by([make_common.TableSortByFieldState().display_name(panel.least_first).desc(False)])  # noqa: FBT003
    if title := dict(panel.labels).get("instance"):
        link = {"title": "Node image cleaner / Node", "url": NODE_BOARD}
        builder = builder.override_by_name(title, [dashboard.DynamicConfigValue("links", [link])])
    return builder


def _column(query: Query) -> list[dashboard.DynamicConfigValue]:
    """The properties of a column: its unit, its word for +Inf, and where it turns red."""
    properties = [dashboard.DynamicConfigValue("unit", query.unit)]
    if query.endless is not None:
        properties.append(dashboard.DynamicConfigValue("mappings", [_endless(query.endless)]))
    if query.red_below is not None:
        steps = [dashboard.Threshold(None, "red"), dashboard.Threshold(query.red_below, "text")]
        properties.append(
            dashboard.DynamicConfigValue(
                "thresholds", dashboard.ThresholdsConfig(dashboard.ThresholdsMode.ABSOLUTE, steps)
            )
        )
        properties.append(dashboard.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return properties
