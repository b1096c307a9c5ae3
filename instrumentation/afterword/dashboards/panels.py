"""The kinds of panel that the dashboards use."""

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import heatmap as h
from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    ScaleDistributionConfig,
    StackingConfig,
    VizLegendOptions,
)
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as m
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from afterword.dashboards import parts
from afterword.dashboards.parts import Query

_GOOD: Final = "semi-dark-green"


def verdict(
    title: str, description: str, expr: str, *, bad: str, good: str = _GOOD, zero: str = "none", unit: str = parts.COUNT
) -> Any:
    """A number that says by its colour and word whether it is good; grey when nothing is known.

    ``good`` is the colour of 0, which is written as ``zero``; from 1 on the colour is ``bad``.
    """
    unknown = m.ValueMappingResult(text=parts.NO_DATA, color=parts.GREY, index=1)
    mappings: list[m.ValueMapping] = [
        m.ValueMap(options={"0": m.ValueMappingResult(text=zero, index=0)}),
        m.SpecialValueMap(m.DashboardSpecialValueMapOptions(match=m.SpecialValueMatch.NULL_AND_NAN, result=unknown)),
    ]
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(parts.SOURCE)
        .unit(unit)
        .decimals(0)
        .no_value(parts.NO_DATA)
        .mappings(mappings)
        .thresholds(parts.thresholds([(None, good), (1, bad)]))
        .color_scheme(parts.color(m.FieldColorModeId.THRESHOLDS))
        .graph_mode(c.BigValueGraphMode.NONE)
        .color_mode(c.BigValueColorMode.BACKGROUND_SOLID)
        .text_mode(c.BigValueTextMode.VALUE)
        .justify_mode(c.BigValueJustifyMode.CENTER)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
        .with_target(parts.target(Query(expr), "A", instant=True))
    )


def rates(title: str, description: str, queries: Sequence[Query], *, unit: str = parts.PER_SECOND) -> Any:
    """Runs, or something else, per second."""
    panel = _series(title, description, unit, queries).line_width(2).fill_opacity(0).min(0)
    return panel.legend(parts.beside(["lastNotNull", "max"]))


def levels(title: str, description: str, queries: Sequence[Query], *, unit: str = parts.COUNT) -> Any:
    """How many there are, for how long, or which share: lines from 0 that do not add up."""
    panel = _series(title, description, unit, queries).line_width(2).fill_opacity(0).min(0)
    panel = panel.max(1) if unit == parts.SHARE else panel.decimals(0).axis_soft_max(2)
    return panel.legend(parts.beside(["lastNotNull", "max"]))


def times(title: str, description: str, queries: Sequence[Query]) -> Any:
    """Durations, from milliseconds to hours on one axis."""
    panel = _series(title, description, parts.SECONDS, queries).line_width(2).fill_opacity(0)
    scale = ScaleDistributionConfig().type(c.ScaleDistribution.LOG).log(10)
    return panel.scale_distribution(scale).legend(parts.listed(["lastNotNull"]))


def stack(title: str, description: str, queries: Sequence[Query]) -> Any:
    """Counts stacked to a whole."""
    # No line: it would draw a red edge on top of everything for a cause that is 0.
    panel = _counts(title, description, queries).line_width(0).fill_opacity(80)
    return panel.legend(parts.beside(["lastNotNull", "max"]))


def bars(title: str, description: str, queries: Sequence[Query], *, legend: VizLegendOptions | None = None) -> Any:
    """Events: one bar per step, and their total in the legend."""
    panel = _counts(title, description, queries).max_data_points(120)
    return panel.draw_style(c.GraphDrawStyle.BARS).line_width(0).fill_opacity(100).legend(legend or parts.ranked())


def lanes(title: str, description: str, query: Query, states: Sequence[tuple[str, str]]) -> Any:
    """One lane per series, coloured and named by its state."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(parts.SOURCE)
        .unit("none")
        .interval(parts.MIN_STEP)
        .max_data_points(240)
        .mappings([parts.states(states)])
        .thresholds(parts.thresholds([(None, parts.GREY)]))
        .color_scheme(parts.color(m.FieldColorModeId.THRESHOLDS))
        .show_value(c.VisibilityMode.NEVER)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(85)
        .merge_values(True)
        .align_value(c.TimelineValueAlignment.LEFT)
        .per_page(20)
        .no_value(parts.NO_DATA)
        .legend(parts.listed([]))
        .tooltip(parts.tooltip())
        .with_target(parts.target(query, "A"))
    )


def heatmap(title: str, description: str, expr: str) -> Any:
    """How runs spread over the buckets of a histogram, in seconds; ``expr`` is by ``le``, per step."""
    target = parts.target(Query(expr, "{{le}}", exemplars=True), "A").format(PromQueryFormat.HEATMAP)
    return (
        h.Panel()
        .title(title)
        .description(description)
        .datasource(parts.SOURCE)
        .unit(parts.COUNT)
        .interval(parts.MIN_STEP)
        .max_data_points(120)
        .calculate(False)
        .color(h.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
        .y_axis(h.YAxisConfig().unit(parts.SECONDS))
        .cell_gap(1)
        .filter_values(h.FilterValueRange().le(1e-9))
        .tooltip(h.HeatmapTooltip().mode(c.TooltipDisplayMode.SINGLE).y_histogram(True))
        .no_value(parts.NO_DATA)
        .show_legend()
        .with_target(target)
    )


def _series(title: str, description: str, unit: str, queries: Sequence[Query]) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(parts.SOURCE)
        .unit(unit)
        .interval(parts.MIN_STEP)
        .no_value(parts.NO_DATA)
        .show_points(c.VisibilityMode.AUTO)
        .point_size(4)
        .span_nulls(False)
        .tooltip(parts.tooltip())
        .thresholds(parts.thresholds([(None, "green")]))
        .thresholds_style(GraphThresholdsStyleConfig().mode(c.GraphThresholdsStyleMode.OFF))
        .color_scheme(parts.color(m.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    for n, query in enumerate(queries):
        panel = panel.with_target(parts.target(query, parts.ref(n)))
        if properties := _look(query):
            panel = panel.override_by_name(query.name, properties)
    return panel


def _counts(title: str, description: str, queries: Sequence[Query]) -> timeseries.Panel:
    stacking = StackingConfig().mode(c.StackingMode.NORMAL).group("A")
    # A soft maximum, so that one run does not fill the panel and the axis has whole numbers.
    return _series(title, description, parts.COUNT, queries).decimals(0).min(0).axis_soft_max(5).stacking(stacking)


def _look(query: Query) -> list[m.DynamicConfigValue]:
    found = []
    if query.color:
        found.append(m.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": query.color}))
    if query.dashed:
        found += [
            m.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]}),
            m.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
            m.DynamicConfigValue(id_val="custom.stacking", value={"mode": "none", "group": "A"}),
        ]
    return found
