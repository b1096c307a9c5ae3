// All tasks: found by name, kind and health; sorted as the API sorts.

import { filters } from "../filters.js";
import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { list } from "../load.js";
import { HEALTH, KINDS, agoCell, gaugeIn, healthCell, numberCell, taskCell, textCell } from "../parts.js";
import { changed } from "../route.js";
import { pager, table } from "../table.js";

const PAGE = 100;
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

export const taskTable = () =>
  table(
    "Tasks with their books",
    [
      healthCell,
      taskCell(),
      { ...textCell("Kind", (task) => task.kind), class: "pale cut kind" },
      { ...textCell("Service", (task) => task.service), class: "pale cut service" },
      books("Waiting", (b) => b.waiting),
      books("Running", (b) => b.running),
      oldestCell,
      books("Succeeded", (b) => b.succeeded),
      books("Failed", (b) => b.failed, { alarm: true }),
      books("Cancelled", (b) => b.cancelled),
      books("Dropped", (b) => b.dropped, { alarm: true }),
      books("Lost", (b) => b.lost_waiting + b.lost_running, { alarm: true }),
      agoCell("Last success", (task) => task.last_success, { class: "late" }),
    ],
    ({ service, task, kind }) => JSON.stringify([service, task, kind]),
  );

export function tasks() {
  const choice = filters([
    { name: "kind", label: "Kind", options: [["", "every kind"], ...KINDS.map((kind) => [kind, kind])] },
    { name: "health", label: "Health", options: [["", "every health"], ...HEALTH.map((health) => [health, health])] },
    { name: "sort", label: "Order", options: SORTS },
  ]);
  const rows = taskTable();
  const pages = pager();
  const node = h("section", { class: "card" }, h("div", { class: "card-head" }, h("h1", {}, "Tasks"), choice.node), rows.node, pages.node);
  return {
    node,
    title: "Tasks",
    load: ({ query: { service, kind, health, sort, q, offset } }, signal) =>
      list("/api/tasks", { service, kind, health, sort, search: q, offset, limit: PAGE }, signal),
    show({ items, total, next }, status, { query }) {
      choice.show(query);
      const filtered = query.q || query.kind || query.health || query.service;
      rows.show(items, filtered ? "No task is like this." : "No task is known yet. It appears with its first run.");
      const from = Number(query.offset ?? 0);
      pages.show(
        total > items.length ? `${count(from + 1)} to ${count(from + items.length)} of ${plural(total, "task")}` : plural(total, "task"),
        from ? changed({ offset: Math.max(0, from - PAGE) || "" }) : null,
        next !== null ? changed({ offset: next }) : null,
      );
    },
  };
}
