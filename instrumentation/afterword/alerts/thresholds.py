"""The numbers of the alerts, in seconds. The dashboards draw their colours and lines from the same ones.

Deadlines are not here: they are metrics, set per task, so that no rule has to be edited.
"""

from typing import Final, NamedTuple

#: How often the rules are evaluated.
GROUP_INTERVAL: Final = 15.0

#: "In the last ..." of the alerts on things that happen once: lost, failed, dropped.
EVENT_WINDOW: Final = 900.0
#: How far before the window the last known total may lie: a scrape gap up to this long hides no event.
EVENT_LOOKBACK: Final = 3600.0
#: A loss stays visible this long after the window, also when the sidecar dies with its machine.
LOST_KEEP_FIRING: Final = 900.0
#: Failed and dropped runs do not flap when a scrape is missed.
EVENT_KEEP_FIRING: Final = 300.0

#: One slow scrape is not an overdue run: the state must hold this long beyond the deadline.
STATE_FOR: Final = 60.0
#: Overdue and late do not flap when one run ends and the next one passes its deadline.
STATE_KEEP_FIRING: Final = 60.0

#: Slow is this many times what is usual, and never less than this: nobody waits for a background task's second.
SLOW_TIMES: Final = 10.0
SLOW_LEAST: Final = 60.0
SLOW_FOR: Final = 30.0

#: A backlog that was never shorter than this all the time, and is longer by a factor than a while before, grows: fast,
#: or steadily and still.
BACKLOG_LEAST: Final = 10
BACKLOG_TIMES: Final = 1.2
BACKLOG_STILL: Final = 1.02
BACKLOG_WINDOW: Final = 300.0
BACKLOG_RECENT: Final = 600.0
BACKLOG_EARLIER: Final = 3600.0
BACKLOG_FOR: Final = 300.0

#: A route is compared with its own past: so far back, in windows for busy and for quiet routes.
ROUTE_PAST: Final = 86400.0
ROUTE_WINDOWS: Final = (180.0, 1800.0)
ROUTE_FOR: Final = 30.0
#: What a route did fewer times than this, or in a smaller share of its responses, is no habit.
ROUTE_HABIT_TIMES: Final = 5
ROUTE_HABIT_SHARE: Final = 0.3
#: So many responses without the task at least, and so many that chance has less than one in a million.
ROUTE_SILENT_RESPONSES: Final = 8
ROUTE_CHANCE: Final = 1e-6

#: Work that has to succeed every hour has missed its schedule when it has not succeeded for two.
MISSED_INTERVALS: Final = 2

#: A process that stops may fail its workers on the way out; it is gone sooner than this.
WORKER_ENDED_FOR: Final = 30.0

#: A loop that has not turned for this long answers no health check either.
LOOP_BLOCKED: Final = 10.0
#: On a faster clock no less than this: the machine itself can be that busy.
LOOP_BLOCKED_FLOOR: Final = 1.5
#: A scrape may see a block that no evaluation does.
LOOP_BLOCKED_WINDOW: Final = 60.0
#: A burst fills the pool for less than this.
POOL_EXHAUSTED_FOR: Final = 120.0

#: A restart, a deploy or a reboot of the service takes less than this.
SERVICE_GONE_FOR: Final = 180.0
#: Stopping takes as long as the longest run; no supervisor waits this long by default.
SHUTDOWN_HANGS: Final = 120.0
#: So many deaths in the window, at so many different times, are a loop: one kill of all workers is none.
CRASH_LOOP_DEATHS: Final = 3
CRASH_LOOP_TIMES: Final = 2

#: At least two missed scrapes at the usual intervals, and longer than the restart of a sidecar.
SIDECAR_DOWN_FOR: Final = 120.0
#: On a faster clock no less than this: Prometheus itself needs about 5 s to discover its targets after a start.
SIDECAR_DOWN_FLOOR: Final = 10.0
#: A bookkeeper that answers but has not read its ledgers for this long is blind as well.
SCAN_STALE: Final = 60.0
#: A ledger that cannot be opened for a moment, or a directory that is being made, is nothing yet.
DEGRADED_FOR: Final = 120.0


class Burn(NamedTuple):
    """The error budget is spent this many times too fast, in the long window and still in the short one (seconds)."""

    long: float
    short: float
    times: float


#: Multi-window burn rates of the SRE workbook, for a budget of 30 days: 2 % of it in an hour, 5 % in six; 10 % in a
#: day or in three.
BURN_FAST: Final = (Burn(3600, 300, 14.4), Burn(21600, 1800, 6))
BURN_SLOW: Final = (Burn(86400, 7200, 3), Burn(259200, 21600, 1))
BURN_FAST_FOR: Final = 120.0
BURN_SLOW_FOR: Final = 3600.0
#: A share of fewer runs than this is chance, and AfterwordTaskFailed, TaskLost and TaskDropped tell of each.
BURN_LEAST: Final = 20
#: The share of what was scheduled that has to be done.
OBJECTIVE: Final = 0.99
#: What the burn rates are made of is counted in windows of this length, and recorded this often.
BUDGET_WINDOW: Final = 300.0
BUDGET_INTERVAL: Final = 60.0
