// Tasks, open runs and bad endings: their tables and views.

import {
  ENDINGS, HEALTH, KINDS, STATES, ageCell, agoCell, choiceOf, endingCell, gaugeIn, healthCell, kindCell, numberCell, processCell,
  routeCell, runCell, serviceCell, stateCell, taskCell, textCell, whyOf,
} from "../parts.js";
import { clockTime, count, visible } from "../format.js";
import { listing } from "../listing.js";
import { table } from "../table.js";

const SORTS = [["", "worst first"], ["name", "by name"], ["running", "most running"], ["waiting", "most waiting"], ["recent", "newest bad ending"]];

const booked = (head, more = {}) => numberCell(head, ({ books }) => books[head.toLowerCase()], count, more);

/** The oldest waiting or running one, whichever is nearer to its limit. */
const oldestCell = {
  head: "Oldest open run",
  class: "age oldest",
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
  taskCell,
  kindCell,
  serviceCell,
  booked("Waiting"),
  booked("Running"),
  oldestCell,
  booked("Succeeded"),
  booked("Swallowed", { alarm: true, title: "Of the succeeded: an error was logged on the way" }),
  booked("Failed", { alarm: true }),
  booked("Cancelled"),
  booked("Dropped", { alarm: true }),
  numberCell("Lost", ({ books }) => books.lost_waiting + books.lost_running, count, { alarm: true }),
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

const endingKey = ({ number }) => String(number);
const reasonCell = textCell("Reason", whyOf, "cut");
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
