"""The scenarios, in the order in which they are run: the silent ones first, the one that leaves nothing last."""

from typing import Final

from demo_app import acts
from demo_app.customers import TASKS
from demo_app.scenario import Expected, Scenario

BEHIND_A_HANGING_MAIL: Final = (
    Expected("AfterwordTaskLate", "update_inventory"),
    Expected("AfterwordTaskLate", "notify_warehouse"),
)

#: Its workers failed and were started again: AfterwordWorkerEnded is over, and that they failed is news for a while.
STARTED_AGAIN: Final = (Expected("AfterwordTaskFailed", "refresh_prices"),)

SCENARIOS: Final = (
    Scenario("busy", "Busy and healthy", "30 requests a second, everything works", acts.busy),
    Scenario("drain", "A restart that waits for its work", "SIGHUP while customers keep coming", acts.drain),
    # Before anything is lost or dropped: what is still news when a sidecar returns would be told again.
    Scenario(
        "sidecar",
        "The sidecar itself is killed",
        "SIGKILL while the shop works; a new one takes over",
        acts.sidecar_killed,
        (Expected("AfterwordSidecarDown"),),
        mend=acts.sidecar_again,
    ),
    Scenario(
        "refused",
        "The mail server refuses",
        "it answers 554 to every message",
        acts.mail_refused,
        (
            Expected("AfterwordTaskFailed", "send_welcome_email"),
            Expected("AfterwordTaskFailed", "send_confirmation_email"),
            Expected("AfterwordTaskDropped", "update_inventory", "sibling_failed"),
            Expected("AfterwordTaskDropped", "notify_warehouse", "sibling_failed"),
        ),
    ),
    Scenario(
        "hangs",
        "The mail server hangs",
        "it takes the message and never answers",
        acts.mail_hangs,
        (Expected("AfterwordTaskOverdue", "send_welcome_email"),),
    ),
    Scenario(
        "slow",
        "The mail server is slow, the thread pool is full",
        "4 s for each message, 240 at once",
        acts.mail_slow,
        (Expected("AfterwordTaskLate", "send_welcome_email"), Expected("AfterwordThreadPoolExhausted")),
    ),
    Scenario(
        "dropped",
        "Handed over and never taken",
        "an HTTPException after add_task; a response with a background of its own",
        acts.never_taken,
        (
            Expected("AfterwordTaskDropped", "push_webhook", "request_failed"),
            Expected("AfterwordTaskDropped", "notify_warehouse", "response_replaced"),
        ),
    ),
    Scenario(
        "unheard",
        "Errors that nobody hears",
        "a task logs its exception and ends well; another was spawned with create_task and nobody waits for it",
        acts.unheard,
        (
            Expected("AfterwordTaskSwallowedError", "ask_for_review"),
            Expected("AfterwordTaskFailed", "track_visit"),
        ),
    ),
    Scenario(
        "stops",
        "A route stops handing over",
        "a feature flag is off: 200 for everybody, and no task",
        acts.route_stops,
        (Expected("AfterwordRouteStoppedScheduling", "add_subscriber"),),
        mend=acts.route_hands_over_again,
    ),
    Scenario(
        "blocked",
        "The event loop is blocked",
        "a coroutine computes for four seconds",
        acts.loop_blocked,
        (Expected("AfterwordEventLoopBlocked", "build_report"),),
    ),
    Scenario(
        "worker",
        "A worker of the lifespan stalls, then ends",
        "the partner it polls hangs, then answers 503",
        acts.worker_stalls_and_ends,
        (
            Expected("AfterwordWorkerStalled", "refresh_prices"),
            Expected("AfterwordWorkerEnded", "refresh_prices"),
        ),
        STARTED_AGAIN,
        mend=acts.new_workers,
    ),
    Scenario(
        "killed",
        "One of two workers is killed",
        "SIGKILL in the middle of its tasks",
        acts.worker_killed,
        (
            *(Expected("AfterwordTaskLost", task, "killed") for task in ("send_welcome_email", *TASKS["/order"])),
            Expected("AfterwordProcessDied"),
        ),
        (*BEHIND_A_HANGING_MAIL, *STARTED_AGAIN),
    ),
    Scenario(
        "deploy",
        "A deploy cuts",
        "the new version is up; the old one gets SIGTERM and a grace that is too short",
        acts.deploy_cuts,
        (
            Expected("AfterwordTaskLost", "send_welcome_email", "shutdown"),
            Expected("AfterwordTaskLost", "send_confirmation_email", "shutdown"),
            Expected("AfterwordTaskDropped", "update_inventory", "shutdown"),
            Expected("AfterwordTaskDropped", "notify_warehouse", "shutdown"),
        ),
        (
            Expected("AfterwordTaskLost", "push_webhook", "shutdown"),
            Expected("AfterwordTaskCancelled", "push_webhook", "shutdown"),
            *BEHIND_A_HANGING_MAIL,
        ),
    ),
    Scenario(
        "gone",
        "Everything is killed and nobody restarts it",
        "SIGKILL for the supervisor and its workers",
        acts.everything_gone,
        (Expected("AfterwordServiceGone"), Expected("AfterwordProcessDied")),
        (Expected("AfterwordProcessCrashLoop"),),
    ),
)
