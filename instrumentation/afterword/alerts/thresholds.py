"""The numbers of the alerts, in seconds. The dashboards draw their colours and lines from the same ones.

Deadlines are not here: they are metrics, set per task, so that no rule has to be edited.
"""

from typing import Final

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

#: A restart, a deploy or a reboot of the service takes less than this.
SERVICE_GONE_FOR: Final = 180.0
#: At least two missed scrapes at the usual intervals, and longer than the restart of a sidecar.
SIDECAR_DOWN_FOR: Final = 120.0
#: On a faster clock no less than this: Prometheus itself needs about 5 s to discover its targets after a start.
SIDECAR_DOWN_FLOOR: Final = 10.0
#: A bookkeeper that answers but has not read its ledgers for this long is blind as well.
SCAN_STALE: Final = 60.0
