"""The alerts of afterword, by subject."""

from dataclasses import dataclass

from afterword import contract, words
from afterword.alerts import links, promql, thresholds
from afterword.alerts.clock import Clock
from afterword.alerts.promql import TASK_KEY
from afterword.alerts.rule import Alert, Severity

_TASK = "{{ $labels.task }} ({{ $labels.kind }}) in service {{ $labels.service }}"
_COUNT = '{{ printf "%.0f" $value }}'
_AGE = "{{ humanizeDuration $value }}"


@dataclass(frozen=True, slots=True)
class Site:
    """What differs between one installation and the next."""

    clock: Clock
    job: str
    runbooks: str = links.RUNBOOKS
    grafana: str = ""

    def alert(
        self,
        name: str,
        severity: Severity,
        expr: str,
        *,
        key: tuple[str, ...],
        for_: float,
        floor: float = 0.001,
        summary: str,
        description: str,
        keep: float | None = None,
    ) -> Alert:
        """An alert on this site's clock, with its links; ``key`` are the labels of ``expr``."""
        chosen = [label for label in ("job", "service", "task") if label in key]
        return Alert(
            name=name,
            expr=expr,
            for_=self.clock.duration(for_, floor=floor) if for_ else "0s",
            keep_firing_for=None if keep is None else self.clock.duration(keep),
            severity=severity,
            summary=summary,
            description=description,
            runbook=links.runbook(self.runbooks, name),
            dashboard=links.overview(self.grafana, chosen),
        )


def groups(site: Site) -> list[dict[str, object]]:
    """The rule groups, ready to be written."""
    subjects = {
        "afterword-tasks": (_lost(site), _overdue(site), _late(site), _failed(site), _dropped(site)),
        "afterword-services": (_service_gone(site), _sidecar_down(site)),
    }
    interval = site.clock.duration(thresholds.GROUP_INTERVAL, floor=1.0)
    return [
        {"name": name, "interval": interval, "rules": [alert.fields() for alert in alerts]}
        for name, alerts in subjects.items()
    ]


def _lost(site: Site) -> Alert:
    key = (*TASK_KEY, "reason", "phase")
    return site.alert(
        "AfterwordTaskLost",
        "critical",
        _happened(site, contract.LOST, key),
        key=key,
        for_=0,
        keep=thresholds.LOST_KEEP_FIRING,
        summary="Background work was lost: its process ended before it did.",
        description=(
            f"{_COUNT} lost in {_window(site)}: runs of {_TASK} that were {{{{ $labels.phase }}}} when their process "
            "ended (reason: {{ $labels.reason }}). "
            f'{{{{ if eq $labels.phase "{words.WAITING}" }}}}None of their code ran.'
            "{{ else }}How far each of them got is not known.{{ end }}"
        ),
    )


def _overdue(site: Site) -> Alert:
    return site.alert(
        "AfterwordTaskOverdue",
        "warning",
        _beyond(contract.OLDEST_RUNNING, contract.DEADLINE),
        key=TASK_KEY,
        for_=thresholds.STATE_FOR,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Background work has been running longer than its deadline.",
        description=(
            f"{_now(contract.OVERDUE)} overdue now: runs of {_TASK}. The oldest has been running for {_AGE}; "
            f"its deadline is {_limit(contract.DEADLINE)}."
        ),
    )


def _late(site: Site) -> Alert:
    return site.alert(
        "AfterwordTaskLate",
        "warning",
        _beyond(contract.OLDEST_WAITING, contract.START_DEADLINE),
        key=TASK_KEY,
        for_=thresholds.STATE_FOR,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Background work has been waiting too long to start.",
        description=(
            f"{_now(contract.LATE)} late now: runs of {_TASK} that have not started. The oldest has been waiting "
            f"for {_AGE}; its start deadline is {_limit(contract.START_DEADLINE)}."
        ),
    )


def _failed(site: Site) -> Alert:
    clock = site.clock
    errors = _of_alert(contract.ERRORS)
    # The classes whose count moved, without numbers: these series carry no birth.
    recent = f"count by (exception) ({errors} unless ({errors} == {errors} offset {_span(clock)}))"
    return site.alert(
        "AfterwordTaskFailed",
        "warning",
        _happened(site, contract.FINISHED, TASK_KEY, outcome=words.FAILED),
        key=TASK_KEY,
        for_=0,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Background work failed after its response had been sent.",
        description=(
            f"{_COUNT} failed in {_window(site)}: runs of {_TASK}."
            f"{{{{ with {_query(recent)} }}}} Exceptions:"
            '{{ range sortByLabel "exception" . }} {{ label "exception" . }}{{ end }}.{{ end }}'
        ),
    )


def _dropped(site: Site) -> Alert:
    key = (*TASK_KEY, "reason")
    return site.alert(
        "AfterwordTaskDropped",
        "warning",
        _happened(site, contract.DROPPED, key),
        key=key,
        for_=0,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Background work was handed over and will never start.",
        description=(
            f"{_COUNT} dropped in {_window(site)}: runs of {_TASK} that were handed over and will never start "
            "(reason: {{ $labels.reason }})."
        ),
    )


def _service_gone(site: Site) -> Alert:
    key = ("job", "service")
    return site.alert(
        "AfterwordServiceGone",
        "critical",
        f"{promql.by('sum', key, promql.select(contract.PROCESSES.sample))} == 0",
        key=key,
        for_=thresholds.SERVICE_GONE_FOR,
        summary="A service that was seen before has no living process.",
        description=(
            "{{ $labels.service }} has "
            f"{_COUNT} living processes in job {{{{ $labels.job }}}}, "
            f"for {site.clock.duration(thresholds.SERVICE_GONE_FOR)} or longer. "
            "What it still owed when it ended is in the books as lost."
        ),
    )


def _sidecar_down(site: Site) -> Alert:
    key = ("job", "instance")
    up = promql.select(promql.UP, match={"job": site.job})
    matcher = promql.quote(site.job).replace("{{", '{{ "{{" }}')
    lasted = site.clock.duration(thresholds.SIDECAR_DOWN_FOR, floor=thresholds.SIDECAR_DOWN_FLOOR)
    return site.alert(
        "AfterwordSidecarDown",
        "critical",
        f"{promql.by('min', key, up)} == 0\nor absent({up})",
        key=("job",),
        for_=thresholds.SIDECAR_DOWN_FOR,
        floor=thresholds.SIDECAR_DOWN_FLOOR,
        summary="Nothing is known about background work: the sidecar cannot be scraped.",
        description=(
            "{{ if $labels.instance }}{{ $labels.instance }} of job {{ $labels.job }} has not answered for "
            f"{lasted} or longer (up is {_COUNT}). "
            "The other alerts of afterword cannot fire for what it watches."
            f"{{{{ else }}}}Prometheus has 0 targets with job=~{matcher}: either no sidecar is scraped, "
            "or under another job name (see --job).{{ end }}"
        ),
    )


def _happened(site: Site, metric: contract.Metric, key: tuple[str, ...], **equal: str) -> str:
    counter = promql.Counter(metric, equal)
    grown = promql.events(
        counter,
        window=_span(site.clock),
        seconds=site.clock.seconds(thresholds.EVENT_WINDOW),
        lookback=site.clock.duration(thresholds.EVENT_LOOKBACK),
    )
    body = "\n".join(f"    {line}" for line in grown.splitlines())
    return f"sum by ({', '.join(key)}) (\n  (\n{body}\n  ) > 0\n)"


def _beyond(oldest: contract.Metric, deadline: contract.Metric) -> str:
    age = promql.by("max", TASK_KEY, promql.age(promql.select(oldest.sample)))
    return f"{age}\n> {promql.by('max', TASK_KEY, promql.select(deadline.sample))}"


def _span(clock: Clock) -> str:
    return clock.duration(thresholds.EVENT_WINDOW)


def _window(site: Site) -> str:
    return f"the last {_span(site.clock)}"


def _of_alert(metric: contract.Metric) -> str:
    """A selector for the task that fired; its values are filled in by ``_query``."""
    return metric.sample + "{" + ",".join(f"{label}=%[{n}]q" for n, label in enumerate(TASK_KEY, 1)) + "}"


def _query(expr: str) -> str:
    values = " ".join(f"$labels.{label}" for label in TASK_KEY)
    return f"query (printf `{expr}` {values})"


def _now(gauge: contract.Metric) -> str:
    """How many of the task that fired: the state's own gauge, not the age that fired."""
    query = _query(f"sum({_of_alert(gauge)})")
    return f'{{{{ with {query} }}}}{{{{ . | first | value | printf "%.0f" }}}}{{{{ end }}}}'


def _limit(deadline: contract.Metric) -> str:
    query = _query(f"max({_of_alert(deadline)})")
    return f"{{{{ with {query} }}}}{{{{ . | first | value | humanizeDuration }}}}{{{{ end }}}}"
