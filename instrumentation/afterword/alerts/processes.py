"""Alerts on processes: their event loop, their threads, how they stop and how they die."""

from afterword import contract, words
from afterword.alerts import promql, texts, thresholds
from afterword.alerts.promql import SERVICE_KEY, Counter, by
from afterword.alerts.rule import Alert
from afterword.alerts.site import Site
from afterword.alerts.texts import AGE, COUNT, WHOLE

_SERVICE = "service {{ $labels.service }}"
_DEATHS = {"cause": f"{words.EXIT_KILLED}|{words.EXIT_FAILED}"}


def while_alive(site: Site) -> tuple[Alert, ...]:
    """What keeps a living process from working."""
    return _loop_blocked(site), _pool_exhausted(site), _shutdown_hangs(site)


def when_dead(site: Site) -> tuple[Alert, ...]:
    """Processes that are gone."""
    return _gone(site), _died(site), _crash_loop(site)


def _loop_blocked(site: Site) -> Alert:
    key = (*SERVICE_KEY, "task")
    limit = site.clock.seconds(site.threshold("AfterwordEventLoopBlocked"), floor=thresholds.LOOP_BLOCKED_FLOOR)
    window = site.clock.duration(thresholds.LOOP_BLOCKED_WINDOW)
    return site.alert(
        "AfterwordEventLoopBlocked",
        f"{by('max', key, f'max_over_time({contract.LOOP_BLOCKED.sample}[{window}])')} > {limit}",
        key=key,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="An event loop is blocked: its process answers nothing and runs nothing.",
        description=(
            f"An event loop of {_SERVICE} did not turn for {AGE}. On it is "
            "{{ if $labels.task }}{{ $labels.task }}"
            "{{ else }}code that is none of our tasks (a request handler, for instance){{ end }}. "
            "Everything else of that process waits."
        ),
    )


def _pool_exhausted(site: Site) -> Alert:
    waiting, busy, limit, processes = (
        by("sum", SERVICE_KEY, metric.sample)
        for metric in (contract.POOL_WAITING, contract.POOL_BUSY, contract.POOL_LIMIT, contract.PROCESSES)
    )
    taken, threads = (
        texts.asked(f"sum({texts.of_alert(metric, SERVICE_KEY)})", WHOLE, SERVICE_KEY)
        for metric in (contract.POOL_BUSY, contract.POOL_LIMIT)
    )
    return site.alert(
        "AfterwordThreadPoolExhausted",
        # The pools of a service are added up; one of them is full when as many threads are taken as one may have.
        f"{waiting} > {site.limit('AfterwordThreadPoolExhausted')}\nand {busy} >= ({limit} > 0) / {processes}",
        key=SERVICE_KEY,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Every thread of a pool is taken, and more work waits for one.",
        description=(
            f"{COUNT} calls wait for a thread in {_SERVICE}: {taken} of its {threads} threads are taken. "
            "Tasks and endpoints written with def wait behind them."
        ),
    )


def _shutdown_hangs(site: Site) -> Alert:
    limit = site.clock.seconds(site.threshold("AfterwordShutdownHangs"))
    open_runs = f"sum by (task) ({texts.of_alert(contract.RUNNING_RUNS, SERVICE_KEY)}) > 0"
    return site.alert(
        "AfterwordShutdownHangs",
        f"{by('max', SERVICE_KEY, promql.age(contract.STOPPING.sample))} > {limit}",
        key=SERVICE_KEY,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="A process was asked to stop and does not end.",
        description=(
            f"A process of {_SERVICE} was asked to stop {AGE} ago and is still there; "
            "whoever runs out of patience with it will kill it."
            + texts.listed("Running in that service", open_runs, "task", SERVICE_KEY)
        ),
    )


def _gone(site: Site) -> Alert:
    return site.alert(
        "AfterwordServiceGone",
        f"{by('sum', SERVICE_KEY, contract.PROCESSES.sample)} < {site.limit('AfterwordServiceGone')}",
        key=SERVICE_KEY,
        summary="A service that was seen before has no living process.",
        description=(
            "{{ $labels.service }} has "
            f"{COUNT} living processes in job {{{{ $labels.job }}}}, "
            f"for {site.lasting('AfterwordServiceGone')} or longer. "
            "What it still owed when it ended is in the books as lost."
        ),
    )


def _died(site: Site) -> Alert:
    key = (*SERVICE_KEY, "cause")
    return site.alert(
        "AfterwordProcessDied",
        site.more("AfterwordProcessDied", site.happened(Counter(contract.PROCESS_EXITS, match=_DEATHS), key)),
        key=key,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="A process did not end in order.",
        description=f"{COUNT} died in the last {site.window}: processes of {_SERVICE} that "
        + texts.cases(
            "cause",
            {words.EXIT_KILLED: "were killed from outside (out of memory, a supervisor's limit) or crashed"},
            "ended with an error of their own",
        )
        + " (cause: {{ $labels.cause }}).",
    )


def _crash_loop(site: Site) -> Alert:
    deaths = Counter(contract.PROCESS_EXITS, match=_DEATHS)
    times = by("sum", SERVICE_KEY, f"changes({deaths.total}[{site.window}])")
    return site.alert(
        "AfterwordProcessCrashLoop",
        f"{site.happened(deaths, SERVICE_KEY)} >= {site.limit('AfterwordProcessCrashLoop')}\n"
        f"and {times} >= {thresholds.CRASH_LOOP_TIMES}",
        key=SERVICE_KEY,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Processes of a service die again and again.",
        description=(
            f"{COUNT} died in the last {site.window}: processes of {_SERVICE}, at different times. "
            "What each of them owed is in the books as lost."
        ),
    )
