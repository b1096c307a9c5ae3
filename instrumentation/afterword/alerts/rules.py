"""The alerts of afterword, in groups by subject."""

from afterword.alerts import endings, open_runs, processes, routes, telemetry, thresholds, workers
from afterword.alerts.site import Site


def groups(site: Site) -> list[dict[str, object]]:
    """The rule groups, ready to be written."""
    subjects = {
        "afterword-endings": endings.alerts(site),
        "afterword-open-runs": open_runs.alerts(site),
        "afterword-routes": routes.alerts(site),
        "afterword-workers": workers.alerts(site),
        "afterword-runtime": processes.while_alive(site),
        "afterword-processes": processes.when_dead(site),
        "afterword-telemetry": telemetry.alerts(site),
    }
    interval = site.clock.duration(thresholds.GROUP_INTERVAL, floor=1.0)
    return [
        {"name": name, "interval": interval, "rules": [alert.fields() for alert in alerts]}
        for name, alerts in subjects.items()
    ]
