"""Whoever uses the shop: sends requests, remembers the answers, and so knows what the shop has to get done."""

import argparse
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

#: What each address hands over to be done after its response.
TASKS: Final = {
    "/register": ("send_welcome_email",),
    "/order": ("send_confirmation_email", "update_inventory", "notify_warehouse"),
    "/login": ("update_last_login",),
    "/webhook": ("push_webhook",),
    "/refund": ("push_webhook",),
    "/express": ("notify_warehouse", "send_confirmation_email"),
    "/delivered": ("ask_for_review",),
    "/view": ("track_visit",),
    "/subscribe": ("add_subscriber",),
    "/report": ("build_report",),
}
_QUESTIONS: Final[dict[str, dict[str, str | int]]] = {
    "/register": {"email": "someone@example.com"},
    "/order": {"order_id": "17"},
    "/login": {},
    "/webhook": {"what": "price"},
    "/refund": {"amount": 250},
    "/express": {"order_id": "18"},
    "/delivered": {"order_id": "17"},
    "/view": {"page": "start"},
    "/subscribe": {"email": "someone@example.com"},
    "/report": {"pages": 1},
}
_USUAL_MIX: Final = ("/register", "/register", "/order", "/login", "/webhook", "/delivered", "/view", "/subscribe")
_AT_ONCE: Final = 8


@dataclass
class Visits:
    """Requests that were answered: by status, and per worker by address; and those that were not."""

    statuses: Counter[int] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    workers: dict[int, Counter[str]] = field(default_factory=dict)
    unanswered: int = 0

    def note(self, route: str, response: httpx.Response) -> None:
        """Count one answer."""
        self.statuses[response.status_code] += 1
        self.routes[route] += 1
        worker = response.json().get("served_by")
        if worker is not None:
            self.workers.setdefault(worker, Counter())[route] += 1

    def at(self, workers: set[int]) -> Counter[str]:
        """The answers of these workers by address."""
        chosen: Counter[str] = Counter()
        for worker in workers & set(self.workers):
            chosen.update(self.workers[worker])
        return chosen


class Customers:
    """A crowd with one address book. Every request takes a new connection, so that all workers get some."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url,
            timeout=10,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def post(self, route: str, **params: Any) -> httpx.Response:
        """One request, answered."""
        return self._client.post(route, params={**_QUESTIONS.get(route, {}), **params})

    def who_answers(self) -> int:
        """The process id of the worker that happens to take a request."""
        return int(self._client.get("/health").json()["served_by"])

    def visit(self, *routes: str, times: int = 1, visits: Visits | None = None) -> Visits:
        """``times`` requests to each of ``routes``, several at once."""
        visits = visits or Visits()
        with ThreadPoolExecutor(_AT_ONCE) as crowd:
            for _ in crowd.map(lambda route: self._visit(route, visits), list(routes) * times):
                pass
        return visits

    @contextmanager
    def keep_coming(self, per_second: float) -> Iterator[Visits]:
        """A steady stream over the usual mix of addresses until the block ends."""
        visits, closing = Visits(), threading.Event()
        stream = threading.Thread(target=self._stream, args=(per_second, visits, closing), daemon=True)
        stream.start()
        try:
            yield visits
        finally:
            closing.set()
            stream.join()

    def _stream(self, per_second: float, visits: Visits, closing: threading.Event) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as crowd:
            due = time.monotonic()
            while not closing.wait(max(due - time.monotonic(), 0)):
                due += 1 / per_second
                crowd.submit(self._visit, random.choice(_USUAL_MIX), visits)

    def _visit(self, route: str, visits: Visits) -> None:
        try:
            response = self.post(route)
        except httpx.TransportError:
            with self._lock:
                visits.unanswered += 1
            return
        with self._lock:
            visits.note(route, response)


def main() -> None:
    """Visit a shop until stopped."""
    parser = argparse.ArgumentParser(prog="python -m demo_app.customers", description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--per-second", type=float, default=5.0)
    chosen = parser.parse_args()
    with Customers(chosen.url).keep_coming(chosen.per_second):
        threading.Event().wait()


if __name__ == "__main__":
    main()
