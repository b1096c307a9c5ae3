// All tasks: found by name, kind and health; sorted as the API sorts.

import { HEALTH, KINDS, agoCell, choiceOf, gaugeIn, healthCell, kindCell, numberCell, serviceCell, taskCell } from "../parts.js";
import { count } from "../format.js";
import { listing } from "../listing.js";
import { table } from "../table.js";

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

const keyOf = ({ service, task, kind }) => JSON.stringify([service, task, kind]);

export const taskTable = () => table("Tasks with their books", COLUMNS, keyOf);

export const tasks = () =>
  listing({
    title: "Tasks",
    path: "/api/tasks",
    asks: ["service", "kind", "health", "sort", "search", "offset"],
    choices: [choiceOf("kind", KINDS), choiceOf("health", HEALTH), { name: "sort", label: "Order", options: SORTS }],
    columns: COLUMNS,
    keyOf,
    words: ["task"],
    nothing: "No task is known yet. It appears with its first run.",
  });
