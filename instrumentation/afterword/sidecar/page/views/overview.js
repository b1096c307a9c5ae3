// The first screen: is work being lost?

import { flow, sum } from "../books.js";
import { charts } from "../chart.js";
import { h, icon, keyed, set } from "../dom.js";
import { clockTime, count, plural, visible } from "../format.js";
import { list, get } from "../load.js";
import { ENDINGS, ageCell, agoCell, endingCell, reasonKey, reasonRow, runCell, numberCell, section, setHealth, setLink, setText, stateCell, textCell, worst } from "../parts.js";
import { changed, to } from "../route.js";
import { table } from "../table.js";
import { taskTable } from "./lists.js";

const REASONS = 4; // shown at first
const MOST_REASONS = 100; // shown at all: the worst come first
const FIRST = 8; // rows of the short lists
const LOOKED_AT = 100; // bad endings that are gathered into groups
const MOST = 1000; // tasks that the API gives in one answer

export function overview() {
  const parts = { verdict: verdict(), reasons: reasons(), books: booksCard(), oldest: oldestRuns(), endings: badEndings(), charts: charts(), tasks: tasks() };
  const last = section("The last minutes", null, parts.charts.node);
  const node = h(
    "div.stack",
    parts.verdict.node,
    h("div.first", parts.reasons.node, parts.books.node),
    h("div.second", parts.oldest.node, parts.endings.node),
    last,
    parts.tasks.node,
  );
  return {
    node,
    title: "Overview",
    load: ({ query: { service } }, signal) => load(service, signal),
    show(data, status, route) {
      const view = narrowed(status, route.query.service);
      parts.verdict.show(view, status);
      parts.reasons.show(view);
      parts.books.show(data.tasks);
      parts.oldest.show(data.runs, view);
      parts.endings.show(data.endings, view, status.sidecar);
      last.hidden = data.series.at.length < 2;
      parts.charts.show(data.series);
      parts.tasks.show(data.tasks, route);
    },
    close: () => parts.charts.close(),
  };
}

async function load(service, signal) {
  const [tasks_, runs, endings, series] = await Promise.all([
    list("/api/tasks", { service, limit: MOST }, signal),
    list("/api/runs", { service, limit: FIRST }, signal),
    list("/api/endings", { service, limit: LOOKED_AT }, signal),
    get("/api/series", { service }, signal),
  ]);
  return { tasks: tasks_, runs, endings, series };
}

function narrowed(status, name) {
  const services = status.services.filter(({ service }) => !name || service === name);
  if (!name) return { name, services, health: status.verdict, sentence: status.sentence, reasons: status.reasons };
  const [service] = services;
  const common = status.reasons.filter((reason) => !reason.service);
  const found = [...common, ...(service?.reasons ?? [])];
  const health = worst([service?.health ?? "blind", ...found.map((reason) => reason.health)]);
  const alone = service ? "No work is lost, stuck or late" : "No service of this name is known";
  const said = found.find((reason) => reason.health === health)?.sentence ?? alone;
  return { name, services, health, sentence: `${said[0].toUpperCase()}${said.slice(1)}.`, reasons: found };
}

function verdict() {
  const sign = icon("sign");
  const word = h("strong");
  const sentence = h("p");
  const others = h("ul.chips");
  const node = h("section.verdict", sign, h("h1", h("span.visually-hidden", "Verdict: "), word), sentence, others);
  return {
    node,
    show(view, status) {
      set(word, visible(view.health));
      node.className = `verdict t-${view.health}`;
      set(sentence, visible(view.sentence));
      keyed(others, status.services.length > 1 ? status.services.slice(0, 12) : [], ({ service }) => service, chip);
    },
  };
}

function chip() {
  const health = h("span");
  const name = h("span.cut");
  const link = h("a.chip", health, name);
  return {
    node: h("li", link),
    show(service) {
      setHealth(health, service.health);
      setText(name, service.service);
      setLink(link, changed({ service: service.service }));
    },
  };
}

function reasons() {
  const rows = h("ul.reasons");
  const amount = h("span.pale.num");
  const more = h("button.more", { type: "button", onclick: unfold });
  const node = section("What is wrong", amount, rows, more);
  let found = [];
  let unfolded = false;

  function unfold() {
    unfolded = !unfolded;
    show();
  }

  function show() {
    const few = found.length <= REASONS + 1; // "1 more" would take the room of that one
    node.hidden = !found.length;
    more.hidden = few;
    more.setAttribute("aria-expanded", unfolded);
    set(amount, few ? "" : plural(found.length, "reason"));
    set(more, unfolded ? "Fewer" : `${count(found.length - REASONS)} more`);
    keyed(rows, found.slice(0, few || unfolded ? MOST_REASONS : REASONS), reasonKey, reasonRow);
  }

  return {
    node,
    show(view) {
      found = view.reasons;
      show();
    },
  };
}

function booksCard() {
  const books = flow();
  const scope = h("span.pale");
  const node = section("Books", scope, books.node);
  return {
    node,
    show({ items, total }) {
      set(scope, total > items.length ? `${count(items.length)} of ${plural(total, "task")}` : `sums over ${plural(total, "task")}`);
      books.show(sum(items));
    },
  };
}

function oldestRuns() {
  const more = h("a");
  const rows = table("Open runs, nearest to their limits first", [stateCell, runCell, ageCell], ({ id }) => id);
  const node = section("Open runs, nearest to their limits", more, rows.node);
  return {
    node,
    show({ items, total }, view) {
      more.hidden = !total;
      set(more, `All ${plural(total, "open run")}`);
      setLink(more, to(["runs"], { service: view.name }));
      rows.show(items, "Nothing waits and nothing runs.");
    },
  };
}

function badEndings() {
  const more = h("a", "All bad endings");
  const totals = ENDINGS.map((ending) => total(ending));
  const rows = table(
    "The newest bad endings",
    [endingCell, numberCell("Runs", (group) => group.runs, (n) => `${count(n)}${n === LOOKED_AT ? "+" : ""}`), groupCell, textCell("Reason", ({ reason }) => reason, "cut"), agoCell("Last", (group) => group.ended)],
    (group) => group.key,
  );
  const node = section("Bad endings of the last hour", more, h("div.totals", ...totals.map((one) => one.node)), rows.node);
  return {
    node,
    show({ items }, view, { history, started }) {
      setLink(more, to(["endings"], { service: view.name }));
      for (const one of totals) one.show(view);
      rows.show(gathered(items).slice(0, FIRST - 2), `No run ended badly since ${clockTime(history.since ?? started)}.`);
    },
  };
}

/** One death takes many runs with it: what ended the same way is one line. */
function gathered(endings) {
  const groups = new Map();
  for (const one of endings) {
    const key = JSON.stringify([one.service, one.kind, one.task, one.ending, one.reason]);
    const group = groups.get(key);
    if (group) group.runs += 1;
    else groups.set(key, { ...one, key, runs: 1 });
  }
  return [...groups.values()];
}

const groupCell = {
  ...runCell,
  fill(td, group) {
    runCell.fill(td, group);
    const { service, kind, task, ending, reason } = group;
    if (group.runs > 1) setLink(td.querySelector("a"), to(["endings"], { service, kind, task, ending, reason }));
  },
};

function total(ending) {
  const value = h("b.num");
  const link = h("a", { class: `total t-${ending}` }, value, h("span", ending));
  return {
    node: link,
    show(view) {
      const n = view.services.reduce((all, service) => all + (service.recent[ending] ?? 0), 0);
      set(value, count(n));
      link.classList.toggle("none", n === 0);
      setLink(link, to(["endings"], { ending, service: view.name }));
    },
  };
}

function tasks() {
  const more = h("a");
  const rows = taskTable();
  const node = section("Tasks, the worst first", more, rows.node);
  return {
    node,
    show({ items, total: all }, route) {
      more.hidden = !all;
      set(more, `All ${plural(all, "task")}`);
      setLink(more, to(["tasks"], { service: route.query.service }));
      rows.show(items.slice(0, 12), "No task is known yet. It appears with its first run.");
    },
  };
}

export function nobody(sidecar) {
  return h(
    "section.card.nobody",
    icon("i-empty"),
    h("h1", "No application keeps a ledger here yet"),
    h("p", "This sidecar looks into ", h("code", visible(sidecar.directory)), ". Start the application as the same user with the same AFTERWORD_DIR, and with one line:"),
    h("pre", h("code", "import afterword\n\nafterword.instrument(app)")),
  );
}
