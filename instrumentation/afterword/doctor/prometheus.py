"""Prometheus: whether it scrapes the sidecar, in time, and has somebody to tell."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from afterword import contract
from afterword.doctor.finding import Finding, counted, listed, note, ok, problem, warning
from afterword.doctor.scene import Scene
from afterword.doctor.versions import release
from afterword.doctor.web import NoAnswerError

#: The rules keep to what this one knows (tests/test_alerts.py).
OLDEST: Final = "2.42"
_OK: Final = 200
_SCRAPE: Final = 'scrape_configs: [{job_name: afterword, scrape_interval: 15s, static_configs: [{targets: ["%s:%d"]}]}]'


def answers(scene: Scene) -> Iterator[Finding]:
    """Prometheus answers, and is new enough for the rules: 2.42."""
    site, silent = scene.prometheus, scene.prometheus_silent
    if silent is not None:
        if scene.prometheus_url is None:
            yield note(
                f"no Prometheus at {site.url}: what it scrapes was not looked at", "afterword doctor --prometheus URL"
            )
        else:
            yield problem(
                f"no Prometheus answers at {site.url}: {silent}", "is the address right, and reached from here?"
            )
        return
    build = ask(scene, "/api/v1/status/buildinfo")
    version = str(build.get("version", "")) if isinstance(build, dict) else ""
    if not version:
        answer = site.get("/api/v1/status/buildinfo")
        yield problem(
            f"{site.url} answers, but not as Prometheus does (status {answer.status})",
            "--prometheus URL of the Prometheus that scrapes the sidecar, with user:password@ if it wants one",
        )
    elif release(version) < release(OLDEST):
        yield problem(
            f"Prometheus {version} is older than {OLDEST}, which the rules need", f"upgrade it to {OLDEST} or newer"
        )
    else:
        yield ok(f"Prometheus {version} at {site.url}")


def targets(scene: Scene) -> Iterator[Finding]:
    """It scrapes the sidecar, successfully, often enough, and under a job that the rules watch."""
    if not is_prometheus(scene):
        return
    found, job = ask(scene, "/api/v1/targets", state="active"), _job(scene)
    active = found.get("activeTargets", []) if isinstance(found, dict) else []
    ours = [one for one in active if _matches(job, one["labels"].get("job", "")) or _is_of(scene, one)]
    if not ours:
        yield problem(
            f"none of its {counted(len(active), 'target')} is a sidecar (job=~{job!r})",
            _SCRAPE % (scene.sidecar.host, scene.sidecar.port),
        )
    for one in ours:
        yield from _target(scene, one, job)


def series(scene: Scene) -> Iterator[Finding]:
    """It has the series of the sidecar."""
    if not is_prometheus(scene):
        return
    name = contract.SIDECAR_SCAN.sample
    found = ask(scene, "/api/v1/query", query=f"count by (job) ({name})")
    results = found.get("result", []) if isinstance(found, dict) else []
    if not results:
        yield problem(
            f"it has no {name}: nothing of afterword arrives",
            "see the targets, above; a new one is scraped within its interval",
        )
        return
    told = listed(
        [f"{counted(int(float(one['value'][1])), 'sidecar')} as job {one['metric'].get('job')}" for one in results]
    )
    yield ok(f"it has the series of {told}")


def exemplars(scene: Scene) -> Iterator[Finding]:
    """It keeps exemplars, which lead from a number to a trace."""
    if not is_prometheus(scene):
        return
    flags = ask(scene, "/api/v1/status/flags")
    features = str(flags.get("enable-feature", "")) if isinstance(flags, dict) else ""
    if "exemplar-storage" in features:
        yield ok("it keeps exemplars")
    else:
        yield note("it keeps no exemplars: dashboards show no traces", "prometheus --enable-feature=exemplar-storage")


def alertmanagers(scene: Scene) -> Iterator[Finding]:
    """An Alertmanager is told of its alerts."""
    if not is_prometheus(scene):
        return
    found = ask(scene, "/api/v1/alertmanagers")
    active = [str(one.get("url")) for one in found.get("activeAlertmanagers", [])] if isinstance(found, dict) else []
    if active:
        yield ok(f"alerts go to {listed(active)}")
    else:
        yield warning(
            "no Alertmanager is connected: nobody is told of an alert",
            "alerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]} in prometheus.yml; "
            "afterword alerts --format alertmanager prints a configuration for it",
        )


def firing(scene: Scene) -> Iterator[Finding]:
    """The alerts of afterword that fire now."""
    if not is_prometheus(scene):
        return
    found = ask(scene, "/api/v1/alerts")
    alerts = found.get("alerts", []) if isinstance(found, dict) else []
    ours = [one for one in alerts if one["state"] == "firing" and one["labels"]["alertname"].startswith("Afterword")]
    for one in ours:
        about = ", ".join(one["labels"][key] for key in ("service", "task", "instance") if one["labels"].get(key))
        yield note(
            f"{one['labels']['alertname']} fires{f' ({about})' if about else ''} since {one['activeAt'][:19]}: "
            f"{one['annotations'].get('description', '')}",
            one["annotations"].get("runbook_url", ""),
        )
    if not ours:
        yield ok("no alert of afterword fires")


def ask(scene: Scene, path: str, **query: str) -> Any:
    """``data`` of an answer of its API; None where there is none."""
    try:
        answer = scene.prometheus.get(path, **query)
    except NoAnswerError:
        return None
    told = answer.json()
    return told.get("data") if answer.status == _OK and isinstance(told, dict) else None


def is_prometheus(scene: Scene) -> bool:
    """Whether there is one to ask; `answers` says why not."""
    return scene.prometheus_silent is None and _has_build(scene)


def longest_interval(time_scale: float) -> float:
    """The scrape interval in seconds beyond which rules miss what they are about: two in the shortest window."""
    from afterword.alerts import thresholds

    return max(thresholds.SIDECAR_DOWN_FOR / time_scale, thresholds.SIDECAR_DOWN_FLOOR) / 2


def _target(scene: Scene, one: dict[str, Any], job: str) -> Iterator[Finding]:
    from afterword.alerts.clock import seconds_of

    name, url = one["labels"].get("job", ""), one.get("scrapeUrl", "")
    if not _matches(job, name):
        yield problem(
            f"{url} is scraped as job {name!r}, which the rules do not watch (job=~{job!r})",
            f"name the job afterword, or generate the rules with --job {name!r}",
        )
    if one.get("health") == "up":
        yield ok(f"{url} is up (job {name})")
    elif one.get("health") == "unknown":
        yield note(f"{url} was not scraped yet (job {name})", "wait for one interval")
    else:
        yield problem(
            f"{url} is {one.get('health')} (job {name}): {one.get('lastError')}",
            "start the sidecar, or correct the target; from Prometheus's host: curl " + url,
        )
    interval = seconds_of(str(one.get("scrapeInterval", ""))) or 0.0
    limit = longest_interval(scene.settings.time_scale)
    if interval > limit:
        yield warning(
            f"{url} is scraped every {interval:g} s; the rules need it every {limit:g} s",
            f"scrape_interval: {min(15, limit):g}s",
        )


def _matches(job: str, name: str) -> bool:
    """Whether the rules watch a job; what only RE2 understands is compared as it stands."""
    try:
        return re.fullmatch(job, name) is not None
    except re.error:
        return job == name


def _is_of(scene: Scene, one: dict[str, Any]) -> bool:
    """A target that leads to our sidecar under whatever name of its job."""
    return bool(re.match(rf"https?://{re.escape(scene.sidecar.host)}:{scene.sidecar.port}/", one.get("scrapeUrl", "")))


def _job(scene: Scene) -> str:
    """The scrape jobs that the rules of this configuration watch."""
    from afterword.doctor.rules import config_of

    return config_of(scene).job


@lru_cache(maxsize=4)
def _is_one(site: Any) -> bool:
    try:
        told = site.get("/api/v1/status/buildinfo").json()
    except NoAnswerError:
        return False
    return isinstance(told, dict) and isinstance(told.get("data"), dict) and bool(told["data"].get("version"))


def _has_build(scene: Scene) -> bool:
    return _is_one(scene.prometheus)
