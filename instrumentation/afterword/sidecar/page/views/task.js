// One task: its books, its limits and habit, its runs.

import { agoNode } from "../clock.js";
import { charts } from "../chart.js";
import { flow } from "../books.js";
import { h, keyed, set } from "../dom.js";
import { count, duration, visible } from "../format.js";
import { get, list, Problem } from "../load.js";
import { reasonKey, reasonRow, section, setHealth, setName, showFacts } from "../parts.js";
import { to } from "../route.js";
import { endingTable, runTable } from "./lists.js";

const FIRST = 20;

export function task() {
  const health = h("span");
  const name = h("span");
  const where = h("p.pale");
  const reasons = h("ul.reasons");
  const books = flow();
  const limits = h("dl.facts");
  const causes = h("dl.facts");
  const plots = charts();
  const runs = runTable();
  const endings = endingTable();
  const allRuns = h("a");
  const allEndings = h("a");
  const causesCard = section("Why", null, causes);
  const node = h(
    "div.stack",
    h("header.head", h("h1", health, name), where, reasons),
    section("Books", null, books.node),
    h("div.halves", section("Limits and habit", null, limits), causesCard),
    section("The last minutes", null, plots.node),
    section("Open runs", allRuns, runs.node),
    section("Bad endings", allEndings, endings.node),
  );
  return {
    node,
    title: "Task",
    under: "tasks",
    load,
    show(data, status) {
      const { found } = data;
      setHealth(health, found.health);
      setName(name, found.task);
      set(where, [found.service, found.kind, found.importance.replace("_", " "), found.owner && `owned by ${found.owner}`].filter(Boolean).map(visible).join(" · "));
      keyed(reasons, status.reasons.filter((reason) => reason.service === found.service && reason.task === found.task), reasonKey, reasonRow);
      books.show(found.books);
      showFacts(limits, limitFacts(found));
      showCauses(causes, found.books);
      causesCard.hidden = !causes.firstChild;
      plots.node.parentNode.hidden = data.series.at.length < 2;
      plots.show(data.series);
      more(allRuns, "runs", data.runs.total, found);
      runs.show(data.runs.items, "Nothing waits and nothing runs.");
      more(allEndings, "endings", data.endings.total, found);
      endings.show(data.endings.items, "No run of this task that is kept ended badly.");
    },
    close: () => plots.close(),
  };
}

async function load({ parts: [service, kind, name] }, signal) {
  const of = { service, task: name, kind: kind === "any" ? "" : kind };
  const [tasks, runs, endings, series] = await Promise.all([
    list("/api/tasks", { ...of, limit: 1 }, signal),
    list("/api/runs", { ...of, limit: FIRST }, signal),
    list("/api/endings", { ...of, limit: FIRST }, signal),
    get("/api/series", of, signal),
  ]);
  const [found] = tasks.items;
  if (!found) throw new Problem(404, `No task ${visible(name ?? "")} of ${visible(service ?? "")} is known. It appears with its first run.`);
  return { found, runs, endings, series };
}

function more(link, view, total, { service, task: name, kind }) {
  link.hidden = total <= FIRST;
  set(link, `All ${count(total)}`);
  link.setAttribute("href", to([view], { service, task: name, kind }));
}

const maybe = (value, format) => (value === null ? null : format(value));

function limitFacts(found) {
  const worker = found.kind === "worker";
  return [
    ["Deadline", worker ? null : duration(found.deadline)],
    ["Start deadline", worker ? null : duration(found.start_deadline)],
    ["Must succeed every", maybe(found.every, duration)],
    ["Usually within", maybe(found.usual, duration)],
    ["Runs for, on average", maybe(found.mean_run, duration)],
    ["Waits for, on average", maybe(found.mean_wait, duration)],
    ["Last success", maybe(found.last_success, agoNode)],
    ["Last bad ending", maybe(found.last_bad, agoNode)],
  ];
}

function showCauses(list, books) {
  const groups = [["failed", books.errors], ["lost", books.lost_by_reason], ["dropped", books.dropped_by_reason], ["cancelled", books.cancelled_by_reason]];
  const causes = groups.flatMap(([ending, found]) =>
    Object.entries(found).sort((a, b) => b[1] - a[1]).map(([cause, n]) => ({ ending, cause, n })),
  );
  keyed(list, causes, ({ ending, cause }) => `${ending} ${cause}`, causeRow);
}

function causeRow({ ending, cause }) {
  const amount = h("dd");
  const word = h("span", { class: `word t-${ending}` }, ending);
  return { node: h("div", h("dt", word, " ", visible(cause)), amount), show: ({ n }) => set(amount, count(n)) };
}
