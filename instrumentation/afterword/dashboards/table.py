"""A table with one row per label set, worst first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as m

from afterword.dashboards import parts
from afterword.dashboards.parts import Query, Steps


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a query, or with ``label`` a label of the rows."""

    title: str
    expr: str = ""
    label: str = ""
    width: int = 0
    unit: str = "none"
    decimals: int | None = None
    #: The cell is coloured from these steps on.
    steps: Steps = ()
    mapping: m.ValueMapping | None = None
    link: str = ""
    #: Numbers stand to the right.
    numeric: bool = True
    description: str = ""


def rows(title: str, description: str, columns: Sequence[Column], *, sort: str) -> Any:
    """A table with one row per label set, worst first."""
    queried = [column for column in columns if column.expr]
    renamed = {f"Value #{parts.ref(n)}": column.title for n, column in enumerate(queried)}
    if len(queried) == 1:
        renamed["Value"] = queried[0].title  # Grafana numbers the values only where there are several
    renamed |= {column.label: column.title for column in columns if column.label}
    source = {title: name for name, title in renamed.items()}
    order = {source[column.title]: n for n, column in enumerate(columns)}
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(parts.SOURCE)
        .no_value("")
        .show_header(True)
        .cell_height(c.TableCellHeight.SM)
        .thresholds(parts.thresholds([(None, "text")]))
        .sort_by([TableSortByFieldState().display_name(sort).desc(True)])
        .with_transformation(m.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            m.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": renamed},
            )
        )
    )
    for n, column in enumerate(queried):
        panel = panel.with_target(parts.target(Query(column.expr), parts.ref(n), instant=True, table_=True))
    for column in columns:
        panel = panel.override_by_name(column.title, _cell(column))
    return panel


def _cell(column: Column) -> list[m.DynamicConfigValue]:
    values: dict[str, Any] = {"unit": column.unit, "description": column.description}
    if column.decimals is not None:
        values["decimals"] = column.decimals
    if column.width:
        values["custom.width"] = column.width
    if not column.numeric:
        values["custom.align"] = "left"
    if column.mapping is not None:
        values["mappings"] = [column.mapping]
    if column.steps:
        values["thresholds"] = {"mode": "absolute", "steps": [{"value": v, "color": k} for v, k in column.steps]}
        values["color"] = {"mode": "thresholds"}
    if column.steps or column.mapping is not None:
        values["custom.cellOptions"] = {"type": "color-text"}
    if column.link:
        values["links"] = [{"title": "This task", "url": column.link}]
    return [m.DynamicConfigValue(id_val=key, value=value) for key, value in values.items() if value != ""]
