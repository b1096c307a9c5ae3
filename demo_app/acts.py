"""What happens in each scenario. All of it is done to the shop from outside: its code knows of none."""

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from afterword import contract
from demo_app.configs import TIME_SCALE
from demo_app.customers import Visits
from demo_app.outside import HOOKS, MAIL, NEWSLETTER, PRICES, REVIEWS, STATISTICS, WAREHOUSE
from demo_app.processes import wait_until
from demo_app.scenario import CANCELLED, CUT, FAILED, Happened
from demo_app.stack import WORKERS, Stack

_BUSY_SECONDS: Final = 12.0
#: Requests while there is no sidecar.
_UNWATCHED: Final = 25
#: Subscribers once the newsletter is on again.
_SUBSCRIBERS: Final = 4
#: Seconds of the shorter window in which a route is compared with its past, and a little more.
_A_WINDOW: Final = 180 / TIME_SCALE + 1


def busy(stack: Stack) -> Happened:
    """Nothing is wrong."""
    happened = Happened(Visits())
    with stack.shop.keep_coming(per_second=30) as happened.visits:
        time.sleep(_BUSY_SECONDS)  # this is the claim itself: so long nothing may fire
    happened.all_ended(happened.visits.routes)
    return happened


def drain(stack: Stack) -> Happened:
    """A rolling restart: uvicorn brings up each new worker before it retires an old one."""
    happened = Happened(Visits())
    with stack.shop.keep_coming(per_second=10) as happened.visits:
        wait_until(lambda: len(happened.visits.workers) == WORKERS, 10, "both workers answer")
        stack.app.signal(signal.SIGHUP)
        wait_until(lambda: len(happened.visits.workers) >= 2 * WORKERS, 30, "all workers are new")
    stack.wait_for_processes(WORKERS)
    happened.all_ended(happened.visits.routes)
    return happened


def mail_refused(stack: Stack) -> Happened:
    """The mail server answers 554 to every message."""
    stack.world.switch(MAIL, "refuse")
    happened = Happened(Visits())
    stack.shop.visit("/register", times=5, visits=happened.visits)
    stack.shop.visit("/order", times=4, visits=happened.visits)
    behind = dict.fromkeys(("update_inventory", "notify_warehouse"), "dropped sibling_failed")
    mails = dict.fromkeys(("send_welcome_email", "send_confirmation_email"), FAILED)
    happened.all_ended(happened.visits.routes, behind | mails)
    return happened


def mail_hangs(stack: Stack) -> Happened:
    """The mail server takes the message and does not answer."""
    stack.world.switch(MAIL, "hang")
    happened = Happened(Visits())
    stack.shop.visit("/register", times=6, visits=happened.visits)
    happened.all_ended(happened.visits.routes)  # the server comes back: all of them succeed, very late
    return happened


def mail_slow(stack: Stack) -> Happened:
    """Every message takes four seconds: 40 threads are all taken, the rest has to wait for one."""
    stack.world.switch(MAIL, "slow", seconds=4)
    happened = Happened(Visits())
    stack.shop.visit("/register", times=240, visits=happened.visits)
    happened.all_ended(happened.visits.routes)
    return happened


def order_cut_short(stack: Stack) -> None:
    """Orders whose last task hangs at a partner's, and then their worker is killed: two tasks done, one lost."""
    stack.world.all_well()
    stack.world.switch(WAREHOUSE, "hang")
    visits = stack.shop.visit("/order", times=4)
    wait_until(lambda: stack.books().of("notify_warehouse")["running"] == 4, 15, "the last tasks are on")
    time.sleep(1)  # until the spans of the others have been sent
    for pid in visits.workers:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: stack.books().of("notify_warehouse")["running"] == 0, 10, "their worker's death is booked")


def never_taken(stack: Stack) -> Happened:
    """Two ways FastAPI forgets what was handed over: an HTTPException, and a background of the response's own."""
    happened = Happened(Visits())
    stack.shop.visit("/refund", times=3, visits=happened.visits)
    stack.shop.visit("/express", times=4, visits=happened.visits)
    happened.ended("push_webhook", 3, "dropped request_failed")
    happened.ended("notify_warehouse", 4, "dropped response_replaced")
    happened.ended("send_confirmation_email", 4)
    return happened


def unheard(stack: Stack) -> Happened:
    """Two partners answer 503: one task logs that and ends well, the other one nobody waits for."""
    stack.world.switch(REVIEWS, "refuse")
    stack.world.switch(STATISTICS, "refuse")
    happened = Happened(Visits())
    stack.shop.visit("/delivered", times=3, visits=happened.visits)
    stack.shop.visit("/view", times=4, visits=happened.visits)
    happened.ended("ask_for_review", 3)
    happened.booked["ask_for_review"]["swallowed"] = 3
    happened.ended("track_visit", 4, FAILED)
    return happened


def route_stops(stack: Stack) -> Happened:
    """Somebody switches the newsletter off: the route goes on answering 200, and nothing is handed over any more."""
    happened = Happened(Visits())
    stack.shop.visit("/subscribe", times=16, visits=happened.visits)
    before = happened.visits.routes["/subscribe"]
    wait_until(lambda: _succeeded(stack, "add_subscriber"), 10, "subscribers are added")
    time.sleep(_A_WINDOW)  # what the route did before is its past only once it lies before the window
    stack.world.switch(NEWSLETTER, "refuse")
    happened.at = time.time()
    stack.shop.visit("/subscribe", times=24, visits=happened.visits)
    happened.ended("add_subscriber", before + _SUBSCRIBERS)
    return happened


def route_hands_over_again(stack: Stack) -> None:
    """The flag is on again."""
    stack.shop.visit("/subscribe", times=_SUBSCRIBERS)


def loop_blocked(stack: Stack) -> Happened:
    """A coroutine computes for four seconds: its worker answers nobody meanwhile."""
    happened = Happened(Visits())
    happened.visits.note("/report", stack.shop.post("/report", pages=40))
    happened.all_ended(happened.visits.routes)
    return happened


def worker_stalls_and_ends(stack: Stack) -> Happened:
    """The partner with the prices takes the question and does not answer; then it answers 503."""
    happened = Happened(Visits())
    stack.world.switch(PRICES, "hang")
    wait_until(lambda: _fires(stack, "AfterwordWorkerStalled"), 20, "AfterwordWorkerStalled fires")
    stack.world.switch(PRICES, "refuse")
    return happened


def new_workers(stack: Stack) -> None:
    """The workers that ended come back with a restart."""
    stack.app.signal(signal.SIGHUP)
    wait_until(lambda: not stack.prometheus.query(f"{contract.WORKERS_ENDED.sample} > 0"), 30, "all workers work")
    stack.wait_for_processes(WORKERS)


def worker_killed(stack: Stack) -> Happened:
    """SIGKILL for one of two workers in the middle of its work, as the kernel does when memory runs out."""
    stack.world.switch(MAIL, "hang")
    happened = Happened(Visits())
    visits = happened.visits
    _put_under_way(stack, visits, ("/register", "/order"), lambda: {_busiest(visits)})
    victim = _busiest(visits)
    happened.at = time.time()
    stack.app.kill_worker(victim)
    stack.world.all_well()
    wait_until(lambda: stack.shop.who_answers() not in visits.workers, 30, "a new worker answers")
    stack.wait_for_processes(WORKERS)
    lost = happened.visits.at({victim})
    happened.all_ended(happened.visits.routes - lost)
    happened.all_ended(lost, _lost("killed", behind="lost killed waiting"))
    return happened


def deploy_cuts(stack: Stack) -> Happened:
    """The new version is up, the old one gets SIGTERM and its grace; its work does not end in time.

    uvicorn cancels what is left and dies of its own SIGTERM right after. Whether a cancelled httpx call got to its
    end before that is a race: then it is ``cancelled``, otherwise ``lost``.
    """
    old, stack.app = stack.app, stack.start_app()
    stack.world.switch(MAIL, "hang")
    stack.world.switch(HOOKS, "hang")
    happened = Happened(Visits())
    visits = happened.visits
    _put_under_way(stack, visits, ("/register", "/order", "/webhook"), lambda: _workers_of(old.pid, visits))
    cut = happened.visits.at(_workers_of(old.pid, happened.visits))
    happened.at = time.time()
    old.stop(patience=10)
    stack.wait_for_processes(WORKERS)
    stack.world.all_well()
    happened.all_ended(happened.visits.routes - cut)
    happened.all_ended(cut, _lost("shutdown", behind="dropped shutdown") | {"push_webhook": CUT})
    happened.same["push_webhook"] = (CANCELLED, CUT)
    return happened


def sidecar_killed(stack: Stack) -> Happened:
    """The bookkeeper itself is killed, while customers keep coming: the shop goes on writing."""
    happened = Happened(Visits())
    with stack.shop.keep_coming(per_second=10) as happened.visits:
        happened.at = time.time()
        stack.sidecar.kill()
        wait_until(lambda: happened.visits.routes.total() >= _UNWATCHED, 20, f"{_UNWATCHED} customers")
    happened.all_ended(happened.visits.routes)
    return happened


def sidecar_again(stack: Stack) -> None:
    """A new sidecar finds what was written meanwhile, and what the old one had carried."""
    stack.restart_sidecar()
    stack.wait_for_processes(WORKERS)


def everything_gone(stack: Stack) -> Happened:
    """Supervisor and workers are killed, and nobody starts them again."""
    happened = Happened(Visits())
    stack.app.kill()
    return happened


def _put_under_way(stack: Stack, visits: Visits, routes: tuple[str, ...], someone: Callable[[], set[int]]) -> None:
    """Requests until ``someone`` got some for every route; all they cause is held by the outside world then."""
    for times in (12, 2, 2, 2, 2, 2):
        stack.shop.visit(*routes, times=times, visits=visits)
        if set(visits.at(someone())) == set(routes):
            break
    mails = visits.routes["/register"] + visits.routes["/order"]
    wait_until(lambda: stack.world.held(MAIL) == mails, 10, f"{mails} mails are under way")
    wait_until(lambda: stack.world.held(HOOKS) == visits.routes["/webhook"], 10, "the webhooks are under way")


def _lost(reason: str, behind: str) -> dict[str, str]:
    running = dict.fromkeys(("send_welcome_email", "send_confirmation_email"), f"lost {reason} running")
    return running | dict.fromkeys(("update_inventory", "notify_warehouse"), behind)


def _succeeded(stack: Stack, task: str) -> bool:
    page = stack.books().of(task)
    return page["scheduled"] > 0 and page["succeeded"] == page["scheduled"]


def _fires(stack: Stack, alert: str) -> bool:
    return any(firing["labels"]["alertname"] == alert for firing in stack.prometheus.firing())


def _busiest(visits: Visits) -> int:
    return max(visits.workers, key=lambda pid: visits.workers[pid].total())


def _workers_of(group: int, visits: Visits) -> set[int]:
    return {worker for worker in visits.workers if _group(worker) == group}


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
