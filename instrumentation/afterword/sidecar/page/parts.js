// The small things that every view shows the same way.

import { h, kept, keyed, set, setTitle } from "./dom.js";
import { nameParts, visible, whole } from "./format.js";
import { runbookHref, runHref, taskHref } from "./route.js";
import { setAge, setAgo, setGauge } from "./clock.js";

export const HEALTH = ["ok", "degraded", "bad", "blind"];
export const ENDINGS = ["lost", "dropped", "failed", "cancelled", "swallowed"];
export const KINDS = ["background", "response", "asyncio", "thread", "worker"];
export const STATES = ["waiting", "running", "late", "overdue"];
const WORKS = ["running", "stopping"];

export const worst = (healths) => HEALTH[Math.max(0, ...healths.map((health) => HEALTH.indexOf(health)))];

/** A filter by one of these words; nothing chosen is every one of them. */
export const choiceOf = (name, words) => ({ name, label: name, options: [["", `every ${name}`], ...words.map((word) => [word, word])] });

const known = (word, words) => (words.includes(word) ? word : "unknown");

/** A word with its sign: never told by colour alone. */
export function setWord(node, word, words) {
  set(node, visible(word));
  node.className = `word t-${known(word, words)}`;
}

export const setHealth = (node, health) => setWord(node, health, HEALTH);

/** The user's own text: cut where there is no room, whole in the title. */
export function setText(node, text) {
  const shown = visible(text);
  set(node, shown || "–");
  setTitle(node, shown);
}

/** A dotted name: where it lives is pale and gives way first, what it is stays. */
export function setName(node, name) {
  if (kept(node).name === name) return;
  kept(node).name = name;
  const [home, own] = nameParts(visible(name)).map((part) => h("bdi", part));
  node.classList.add("name");
  node.replaceChildren(home, own);
  setTitle(node, visible(name));
}

export function setLink(node, href) {
  if (node.getAttribute("href") !== href) node.setAttribute("href", href);
}

// Cells of tables: each is {head, fill(td, item)} and more.

/** What a cell is made of, made once. */
export const made = (td, make) => (kept(td).made ??= td.appendChild(make()));

export const taskCell = (primary = true) => ({
  head: "Task",
  class: "wide",
  fill(td, item) {
    const link = made(td, () => h("a", { "data-row": primary }));
    setName(link, item.task);
    setLink(link, taskHref(item));
  },
});

/** The task's name as the way into a run. */
export const runCell = {
  head: "Run of",
  class: "wide",
  fill(td, item) {
    const link = made(td, () => h("a", { "data-row": true }));
    setName(link, item.task);
    setLink(link, runHref(item));
  },
};

const wordCell = (head, read, words) => ({
  head,
  class: "tight",
  fill: (td, item) => setWord(made(td, () => h("span")), read(item), words),
});

export const healthCell = wordCell("Health", ({ health }) => health, HEALTH);
export const stateCell = wordCell("State", ({ state }) => state, STATES);
export const workCell = wordCell("State", ({ state }) => state, WORKS);
export const endingCell = wordCell("Ending", ({ ending }) => ending, ENDINGS);

/** A text; where there is none, a card on a narrow screen leaves it out. */
export const textCell = (head, read, more = "") => ({
  head,
  class: more,
  fill(td, item) {
    const text = read(item);
    setText(td, text);
    td.classList.toggle("none", !text);
  },
});

export const serviceCell = textCell("Service", ({ service }) => service, "pale cut service");
export const kindCell = textCell("Kind", ({ kind }) => kind, "pale cut kind");
export const routeCell = textCell("Route", ({ route }) => route, "cut route");

/** A process by the beginning of its id: the whole of it is on the run's own page. */
export const processOf = ({ process, pid }) => `${process.slice(0, 8)} (pid ${pid})`;

export const processCell = textCell("Process", processOf, "cut pale process");

/** A number; nothing is pale, so that what is there stands out. */
export const numberCell = (head, read, format, more = {}) => ({
  head,
  ...more,
  class: `number ${more.class ?? ""}`,
  fill(td, item) {
    const value = read(item);
    set(td, value === null ? "–" : format(value));
    td.classList.toggle("none", !value);
    td.classList.toggle("alarm", Boolean(more.alarm && value));
  },
});

export const agoCell = (head, read, more = {}) => ({
  head,
  ...more,
  class: `number ${more.class ?? ""}`,
  fill(td, item) {
    setAgo(made(td, () => h("time")), read(item));
    td.classList.toggle("none", read(item) === null);
  },
});

export const since = (run) => run.started ?? run.scheduled;

/** How old a run is, against what it may take. */
export const ageCell = {
  head: "Age and limit",
  class: "age",
  fill: (td, run) => gaugeIn(td).show(since(run), run.limit),
};

export function gaugeBox() {
  const age = h("span.num");
  const limit = h("span.pale.num");
  const gauge = h("div.gauge", { "aria-hidden": "true" });
  const node = h("div.gauge-box", h("div", age, limit), gauge);
  return { node, show: (since, most) => showGauge(age, limit, gauge, since, most) };
}

function showGauge(age, limit, gauge, since, most) {
  setAge(age, since);
  set(limit, since !== null && most ? ` of ${whole(most)}` : "");
  setGauge(gauge, since, most);
}

/** The same as a cell, made once. */
export function gaugeIn(td) {
  kept(td).box ??= gaugeBox();
  if (!td.firstChild) td.append(kept(td).box.node);
  return kept(td).box;
}

/** What is wrong, one under the other: the sentence leads to the task, the alert's name to its runbook. */
export function reasonRow() {
  const health = h("span");
  const sentence = h("a.sentence", { "data-row": true });
  const alert = h("a.runbook");
  const node = h("li.reason", health, h("p", sentence, " ", alert));
  return { node, show: (reason) => showReason(reason, health, sentence, alert) };
}

function showReason(reason, health, sentence, alert) {
  setHealth(health, reason.health);
  set(sentence, visible(reason.sentence));
  // A reason names no kind: the search finds the task of whatever kind it is.
  setLink(sentence, reason.task ? taskHref({ ...reason, kind: reason.kind || "any" }) : runbookHref(reason.alert));
  set(alert, visible(reason.alert));
  setLink(alert, runbookHref(reason.alert));
  setTitle(alert, `What to do: the runbook of ${visible(reason.alert)}`);
}

export const reasonKey = (reason) => JSON.stringify([reason.alert, reason.service, reason.task]);

export const section = (title, more, ...children) =>
  h("section.card", h("div.card-head", h("h2", title), more), ...children);

/** Plain facts as pairs: [word, value] where a value is text or an element; what is empty is left out. */
export function showFacts(list, pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  keyed(list, shown, ([word]) => word, factRow);
}

function factRow([word]) {
  const value = h("dd");
  return {
    node: h("div", h("dt", word), value),
    show([, now]) {
      // An equal one stays: somebody may be copying it.
      if (typeof now === "string") set(value, now);
      else if (!value.firstChild?.isEqualNode(now)) value.replaceChildren(now);
    },
  };
}

/** Lines of text, one list item each. */
export const showLines = (list, lines) => keyed(list, lines, (line) => line, lineRow);

function lineRow() {
  const node = h("li");
  return { node, show: (line) => set(node, line) };
}
