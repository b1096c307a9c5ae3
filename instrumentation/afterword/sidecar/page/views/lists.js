// Tasks, open runs and bad endings: their tables, and the views that show all of them.

import {
  ENDINGS, HEALTH, KINDS, STATES, ageCell, agoCell, choiceOf, endingCell, gaugeIn, healthCell, kindCell, numberCell, processCell,
  routeCell, runCell, serviceCell, stateCell, taskCell, textCell,
} from "../parts.js";
import { clockTime, count, visible } from "../format.js";
import { listing } from "../listing.js";
import { table } from "../table.js";

// Tasks.

const SORTS = [["", "worst first"], ["name", "by name"], ["running", "most running"], ["waiting", "most waiting"], ["recent", "newest bad ending"]];

const books = (head, read, more = {}) => numberCell(head, (task) => read(task.books), count, more);

/** The oldest open run of a task against the task's own limit, whichever is nearer to it. */
const oldestCell = {
  head: "Oldest open run",
  class: "age",
  fill(td, task) {
    const { since, limit } = oldest(task);
    gaugeIn(td).show(since, limit);
    td.classList.toggle("none", since === null);
  },
};

function oldest(task) {
  const running = { since: task.oldest_running, limit: task.kind === "worker" ? null : task.deadline };
  const waiting = { since: task.oldest_waiting, limit: task.start_deadline };
  if (waiting.since === null) return running;
  if (running.since === null) return waiting;
  const left = ({ since, limit }) => (limit ? since + limit : Infinity);
  return left(waiting) < left(running) ? waiting : running;
}

const COLUMNS = [
  healthCell,
  taskCell(),
  kindCell,
  serviceCell,
  books("Waiting", (b) => b.waiting),
  books("Running", (b) => b.running),
  oldestCell,
  books("Succeeded", (b) => b.succeeded),
  books("Failed", (b) => b.failed, { alarm: true }),
  books("Cancelled", (b) => b.cancelled),
  books("Dropped", (b) => b.dropped, { alarm: true }),
  books("Lost", (b) => b.lost_waiting + b.lost_running, { alarm: true }),
  agoCell("Last success", (task) => task.last_success, { class: "late" }),
];

const taskKey = ({ service, task, kind }) => JSON.stringify([service, task, kind]);

export const taskTable = () => table("Tasks with their books", COLUMNS, taskKey);

export const tasks = () =>
  listing({
    title: "Tasks",
    path: "/api/tasks",
    asks: ["service", "kind", "health", "sort", "search", "offset"],
    choices: [choiceOf("kind", KINDS), choiceOf("health", HEALTH), { name: "sort", label: "Order", options: SORTS }],
    columns: COLUMNS,
    keyOf: taskKey,
    words: ["task"],
    nothing: "No task is known yet. It appears with its first run.",
  });

// Open runs.

const runKey = ({ id }) => id;

export const runTable = () => table("Open runs", [stateCell, runCell, ageCell, routeCell, processCell], runKey);

export const runs = () =>
  listing({
    title: "Open runs",
    path: "/api/runs",
    asks: ["service", "task", "kind", "state", "process", "sort", "offset"],
    choices: [
      choiceOf("state", STATES),
      choiceOf("kind", KINDS),
      { name: "sort", label: "Order", options: [["", "nearest to the limit"], ["age", "oldest first"]] },
    ],
    columns: [stateCell, runCell, ageCell, kindCell, serviceCell, routeCell, processCell],
    keyOf: runKey,
    words: ["open run"],
    nothing: "Nothing waits and nothing runs.",
  });

// Bad endings.

const endingKey = ({ number }) => String(number);
const reasonCell = textCell("Reason", ({ reason, phase }) => (phase ? `${reason}, while ${phase}` : reason), "cut reason-cell");
const endedCell = agoCell("Ended", ({ ended }) => ended);

export const endingTable = () => table("Bad endings", [endingCell, runCell, reasonCell, routeCell, processCell, endedCell], endingKey);

export const endings = () =>
  listing({
    title: "Bad endings",
    path: "/api/endings",
    asks: ["service", "task", "kind", "ending", "reason", "before"],
    choices: [choiceOf("ending", ENDINGS), choiceOf("kind", KINDS)],
    columns: [endingCell, runCell, reasonCell, serviceCell, routeCell, processCell, endedCell],
    keyOf: endingKey,
    words: ["bad ending"],
    nothing: "No run that is kept ended badly.",
    remark: ({ sidecar }) => keptSentence(sidecar.history),
  });

export function keptSentence(history) {
  if (history.problem) return `The history ${visible(history.problem)}.`;
  const since = history.since === null ? "" : `, since ${clockTime(history.since)}`;
  const missed = history.missed ? `; ${count(history.missed)} more were never kept one by one` : "";
  return `${count(history.kept)} of at most ${count(history.limit)} are kept${since}${missed}.`;
}
