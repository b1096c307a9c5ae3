"""One worker of prometheus_client's multiprocess mode: ``python -m benchmarks.peer_files multiprocess|article``."""

import sys

from prometheus_client import Counter, Gauge, Histogram

from afterword import contract, words
from benchmarks.scrape import TASKS

#: One observation per bucket, so that every bucket is in the file.
_EVERYWHERE = (*contract.BUCKET_BOUNDS, 10_000.0)


def same_counters() -> None:
    """What afterword counts, as far as prometheus_client can: 50 tasks, three labels, its bounds."""
    labels = contract.TASK_LABELS
    counters = [Counter(metric.name, metric.help, labels) for metric in (contract.SCHEDULED, contract.STARTED)]
    finished = Counter(contract.FINISHED.name, contract.FINISHED.help, contract.FINISHED.labels)
    gauges = [Gauge(metric.name, metric.help, labels, multiprocess_mode="livesum")
              for metric in (contract.WAITING_RUNS, contract.RUNNING_RUNS)]  # fmt: skip
    histograms = [Histogram(metric.name, metric.help, labels, buckets=contract.BUCKET_BOUNDS)
                  for metric in (contract.WAIT, contract.RUN)]  # fmt: skip
    for task in range(TASKS):
        values = ("shop", f"shop.tasks.task_{task}", "background")
        for counter in counters:
            counter.labels(*values).inc(3000)
        for outcome in words.OUTCOMES:
            finished.labels(*values, outcome).inc(1000)
        for gauge in gauges:
            gauge.labels(*values).set(3)
        for histogram in histograms:
            for seconds in _EVERYWHERE:
                histogram.labels(*values).observe(seconds)


def the_article() -> None:
    """Fix 7's four metrics for 50 tasks."""
    from benchmarks.fix7 import instrumented

    for task in range(TASKS):
        instrumented(f"shop.tasks.task_{task}")(int)()


if __name__ == "__main__":
    the_article() if sys.argv[1] == "article" else same_counters()
