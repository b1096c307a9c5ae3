"""Alerts on afterword itself: when it sees nothing, and when it does not see everything."""

from typing import Final

from afterword import contract
from afterword.alerts import promql, texts, thresholds
from afterword.alerts.promql import SERVICE_KEY, Counter, by, select
from afterword.alerts.rule import Alert
from afterword.alerts.site import Site
from afterword.alerts.texts import COUNT

_TARGET_KEY: Final = ("job", "instance")
#: What each value of the label ``problem`` means.
_PROBLEMS: Final = {
    "overflow": f"a bound was hit {COUNT} times in the last %s in service {{{{ $labels.service }}}} "
    "({{ $labels.reason }}): totals stay right, detail is missing",
    "internal_errors": f"afterword met {COUNT} errors of its own in the last %s in service {{{{ $labels.service }}}}: "
    "what they touched may not be booked",
    "unreadable": f"{COUNT} files in the directory of {{{{ $labels.instance }}}} are left aside "
    "({{ $labels.reason }}): what they hold is not counted",
    "unknown": f"{COUNT} ledgers in the directory of {{{{ $labels.instance }}}} cannot be opened: "
    "whether their processes live is not known",
    "unaccounted": f"{COUNT} processes beside {{{{ $labels.instance }}}} run without a ledger "
    "({{ $labels.reason }}): nothing of what they owe is counted",
    "directory": "the directory of {{ $labels.instance }} cannot be used (afterword_sidecar_directory_usable is "
    f"{COUNT}): new processes run without a ledger",
}
_SCAN: Final = (
    "{{ $labels.instance }} last read its ledgers {{ humanizeDuration $value }} before it was asked: "
    "its numbers are that old"
)


def alerts(site: Site) -> tuple[Alert, ...]:
    """Blind, and short-sighted."""
    return _down(site), _degraded(site)


def _down(site: Site) -> Alert:
    up = select(promql.UP, match={"job": site.config.job})
    matcher = promql.quote(site.config.job).replace("{{", '{{ "{{" }}')
    lasted = site.lasting("AfterwordSidecarDown", floor=thresholds.SIDECAR_DOWN_FLOOR)
    return site.alert(
        "AfterwordSidecarDown",
        f"{by('min', _TARGET_KEY, up)} == 0\nor absent({up})",
        key=("job",),
        floor=thresholds.SIDECAR_DOWN_FLOOR,
        summary="Nothing is known about background work: the sidecar cannot be scraped.",
        description=(
            "{{ if $labels.instance }}{{ $labels.instance }} of job {{ $labels.job }} has not answered for "
            f"{lasted} or longer (up is {COUNT}). "
            "The other alerts of afterword cannot fire for what it watches."
            f"{{{{ else }}}}Prometheus has 0 targets with job=~{matcher}: either no sidecar is scraped, "
            "or under another job name (see --job).{{ end }}"
        ),
    )


def _degraded(site: Site) -> Alert:
    bound = (*SERVICE_KEY, "bound")
    stale = site.clock.seconds(thresholds.SCAN_STALE)
    problems = {
        "overflow": _as_reason("bound", site.happened(Counter(contract.OVERFLOW), bound)),
        "internal_errors": site.happened(Counter(contract.INTERNAL_ERRORS), SERVICE_KEY),
        "unreadable": f"{by('sum', (*_TARGET_KEY, 'reason'), contract.SIDECAR_UNREADABLE.sample)} > 0",
        "unknown": f"{by('sum', _TARGET_KEY, contract.SIDECAR_UNKNOWN.sample)} > 0",
        "unaccounted": f"{by('sum', (*_TARGET_KEY, 'reason'), contract.SIDECAR_UNACCOUNTED.sample)} > 0",
        "directory": f"{by('min', _TARGET_KEY, contract.SIDECAR_DIRECTORY.sample)} == 0",
        "scan": f"{by('max', _TARGET_KEY, promql.age(contract.SIDECAR_SCAN.sample))} > {stale}",
    }
    sentences = {problem: text.replace("%s", site.window) for problem, text in _PROBLEMS.items()}
    return site.alert(
        "AfterwordLedgerDegraded",
        "\nor ".join(_labelled(problem, expr) for problem, expr in problems.items()),
        key=("job",),
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Not all background work is accounted for.",
        description=f"In job {{{{ $labels.job }}}} {texts.cases('problem', sentences, _SCAN)}.",
    )


def _labelled(problem: str, expr: str) -> str:
    return f'label_replace(\n{promql.indent(expr)},\n  "problem", "{problem}", "", ""\n)'


def _as_reason(label: str, expr: str) -> str:
    """``label`` under the name that the other problems use."""
    key = ", ".join((*SERVICE_KEY, "reason"))
    named = f'label_replace(\n{promql.indent(expr)},\n  "reason", "$1", "{label}", "(.*)"\n)'
    return f"sum by ({key}) (\n{promql.indent(named)}\n)"
