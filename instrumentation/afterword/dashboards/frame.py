"""What all dashboards have around their rows: variables, links to each other, what happened as annotations."""

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as d
from grafana_foundation_sdk.models import dashboard as m

from afterword import contract, words
from afterword.alerts.promql import select
from afterword.dashboards import parts, queries
from afterword.dashboards.layout import Row, assemble

TAG: Final = "afterword"
#: The SDK hides links and annotations in a menu unless this key is absent.
_SHOWN: Any = None


def framed(title: str, uid: str, description: str, layout: Sequence[Row]) -> m.Dashboard:
    """A whole dashboard in the classic format, with the rows of ``layout``.

    Args:
        title: Behind "Afterword / ".
        uid: Stable for ever: alerts, bookmarks and other dashboards point at it.
        description: One sentence.
        layout: Its rows of panels.
    """
    builder = (
        d.Dashboard(f"Afterword / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(m.DashboardCursorSync.CROSSHAIR)
        .link(_others())
    )
    for annotation in _annotations():
        builder = builder.annotation(annotation)
    for variable in _variables():
        builder = builder.with_variable(variable)
    built = assemble(builder, layout)
    built.editable = False
    return built


def _variables() -> list[Any]:
    return [
        d.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _variable("job", "Job", contract.SIDECAR_SCAN.sample),
        _variable("instance", "Machine", select(contract.SIDECAR_SCAN.sample, match={"job": "$job"})).all_value(".+"),
        _variable("service", "Service", select(contract.PROCESSES.sample, match=queries.JOB)).all_value(".+"),
        _variable("task", "Task", select(contract.SCHEDULED.sample, match=queries.SERVICES)).all_value(".+"),
    ]


def _variable(name: str, label: str, series: str) -> d.QueryVariable:
    return (
        d.QueryVariable(name)
        .label(label)
        .datasource(parts.SOURCE)
        .query({"query": f"label_values({series}, {name})", "refId": "variable"})
        .refresh(m.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(m.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(m.VariableOption(text="All", value="$__all"))
    )


def _others() -> d.DashboardLink:
    link = d.DashboardLink("Afterword").type(m.DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
    return link.include_vars(True).keep_time(True).placement(_SHOWN)


def _annotations() -> list[d.AnnotationQuery]:
    """What happened to processes and work, as lines through every graph."""
    ended = queries.per_step_unborn
    killed = f"sum by (service) ({ended(contract.PROCESS_EXITS, '1m', cause=words.EXIT_KILLED)})"
    restarted = f"sum by (service) ({ended(contract.PROCESS_EXITS, '1m', cause=words.EXIT_CLEAN)})"
    lost = f"sum by (service, task) ({queries.without_workers(contract.LOST, ended(contract.LOST, '1m'))})"
    return [
        _annotation("Process killed", killed, "red", "{{service}}"),
        _annotation("Restart or deploy", restarted, "blue", "{{service}}: a process ended in order"),
        _annotation("Work lost", lost, "dark-red", "{{service}} / {{task}}"),
    ]


def _annotation(name: str, expr: str, color: str, text: str) -> d.AnnotationQuery:
    return (
        d.AnnotationQuery()
        .name(name)
        .datasource(parts.SOURCE)
        .enable(True)
        .icon_color(color)
        .expr(expr)
        .title_format(name)
        .text_format(text)
        .placement(_SHOWN)
    )
