"""What every panel is made of: queries, colours, legends. Sets what the SDK leaves at values that mislead."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders import dashboard as d
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as m
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from afterword import contract
from afterword.dashboards import queries

SOURCE: Final = c.DataSourceRef(type_val="prometheus", uid="${datasource}")
#: Whole numbers with thousands separated: 28,786 and never 29 K.
COUNT: Final = "locale"
SECONDS: Final = "s"
PER_SECOND: Final = "ops"
REQUESTS_PER_SECOND: Final = "reqps"
SHARE: Final = "percentunit"

#: What a panel of bars says about itself.
EACH_BAR: Final = "Each bar is the number since the bar before; the legend has the total of the time range."
NO_DATA: Final = "no data"
#: The severity of the alert behind a number; darker than lines, because white text stands on them.
CRITICAL, WARNING = "semi-dark-red", "dark-orange"
GREY: Final = "#6e7177"
MIN_STEP: Final = "15s"


#: From this value on, this colour; the first value is None.
Steps: TypeAlias = Sequence[tuple[float | None, str]]


@dataclass(frozen=True, slots=True)
class Query:
    """One query; ``name`` is its legend, and the name its colour is chosen by."""

    expr: str
    name: str = ""
    color: str = ""
    #: Drawn as a dashed line without area.
    dashed: bool = False
    #: With the traces of single runs as points, where the data source has exemplars.
    exemplars: bool = False


def traced(expr: str, name: str, color: str) -> Query:
    """Bad endings of one kind, 0 where there are none though runs are known, with those that were traced as points."""
    return Query(queries.or_zero(expr, contract.SCHEDULED), name, color, exemplars=True)


def states(states: Sequence[tuple[str, str]]) -> m.ValueMap:
    """Numbers from 0 on to words and colours."""
    return m.ValueMap(
        options={
            str(n): m.ValueMappingResult(text=text, color=color, index=n) for n, (text, color) in enumerate(states)
        }
    )


def target(query: Query, ref: str, *, instant: bool = False, table_: bool = False) -> prometheus.Dataquery:
    """A query of the chosen data source."""
    target = prometheus.Dataquery().expr(query.expr).ref_id(ref).datasource(SOURCE)
    if query.name:
        target = target.legend_format(query.name)
    if query.exemplars:
        target = target.exemplar(True)
    target = target.instant() if instant else target.range()
    return target.format(PromQueryFormat.TABLE) if table_ else target


def ref(n: int) -> str:
    """The letter of the query at this position."""
    return chr(ord("A") + n)


def thresholds(steps: Steps) -> d.ThresholdsConfig:
    """Colours from a value on."""
    return (
        d.ThresholdsConfig()
        .mode(m.ThresholdsMode.ABSOLUTE)
        .steps([m.Threshold(value=value, color=color) for value, color in steps])
    )


def color(mode: m.FieldColorModeId) -> d.FieldColor:
    """How a panel chooses its colours."""
    return d.FieldColor().mode(mode)


def tooltip() -> VizTooltipOptions:
    """All values at the pointer, the largest first."""
    return VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING)


def listed(calcs: list[str]) -> VizLegendOptions:
    """A legend in one line under the panel: nothing to scroll for a handful of names."""
    return _legend(c.LegendDisplayMode.LIST, c.LegendPlacement.BOTTOM, calcs)


def beside(calcs: list[str]) -> VizLegendOptions:
    """A table to the right: every name and number is visible."""
    return _legend(c.LegendDisplayMode.TABLE, c.LegendPlacement.RIGHT, calcs)


def ranked() -> VizLegendOptions:
    """A table under the panel, the largest total first: for as many names as there are."""
    table = _legend(c.LegendDisplayMode.TABLE, c.LegendPlacement.BOTTOM, ["sum"])
    return table.sort_by("Total").sort_desc(True)


def _legend(mode: c.LegendDisplayMode, placement: c.LegendPlacement, calcs: list[str]) -> VizLegendOptions:
    return VizLegendOptions().show_legend(True).display_mode(mode).placement(placement).calcs(calcs)
