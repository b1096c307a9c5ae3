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

export const choiceOf = (name, words) => ({ name, label: name, options: [["", `every ${name}`], ...words.map((word) => [word, word])] });

export function setWord(node, word, words) {
  set(node, visible(word));
  node.className = `word t-${words.includes(word) ? word : "unknown"}`;
}

export const setHealth = (node, health) => setWord(node, health, HEALTH);

export function setText(node, text) {
  const shown = visible(text);
  set(node, shown || "–");
  setTitle(node, shown);
}

/** A dotted name: where it lives is pale, and gives way first. */
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

// Cells of tables.

export const made = (td, make) => (kept(td).made ??= td.appendChild(make()));

export const nameCell = (head, hrefOf) => ({
  head,
  class: "wide",
  fill(td, item) {
    const link = made(td, () => h("a", { "data-row": true }));
    setName(link, item.task);
    setLink(link, hrefOf(item));
  },
});

export const taskCell = nameCell("Task", taskHref);
export const runCell = nameCell("Run of", runHref);

const wordCell = (head, read, words) => ({
  head,
  class: "tight",
  fill: (td, item) => setWord(made(td, () => h("span")), read(item), words),
});

export const healthCell = wordCell("Health", ({ health }) => health, HEALTH);
export const stateCell = wordCell("State", ({ state }) => state, STATES);
export const workCell = wordCell("State", ({ state }) => state, WORKS);
export const endingCell = wordCell("Ending", ({ ending }) => ending, ENDINGS);

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

export const processOf = ({ process, pid }) => `${process.slice(0, 8)} (pid ${pid})`;

export const processCell = textCell("Process", processOf, "cut pale process");

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
  return {
    node,
    show(since, most) {
      setAge(age, since);
      set(limit, since !== null && most ? ` of ${whole(most)}` : "");
      setGauge(gauge, since, most);
    },
  };
}

export function gaugeIn(td) {
  const box = (kept(td).box ??= gaugeBox());
  if (!td.firstChild) td.append(box.node);
  return box;
}

export function reasonRow() {
  const health = h("span");
  const sentence = h("a.sentence", { "data-row": true });
  const alert = h("a.runbook.cut");
  const node = h("li.reason", health, h("p", sentence, " ", alert));
  return {
    node,
    show(reason) {
      const runbook = reason.alert ? runbookHref(reason.alert) : "#/sidecar";
      setHealth(health, reason.health);
      set(sentence, visible(reason.sentence));
      const task = reason.task && taskHref({ ...reason, kind: reason.kind || "any" });
      setLink(sentence, task && task !== location.hash ? task : runbook);
      set(alert, visible(reason.alert));
      alert.hidden = !reason.alert;
      setLink(alert, runbook);
      setTitle(alert, `What to do: the runbook of ${visible(reason.alert)}`);
    },
  };
}

export const reasonKey = (reason) => JSON.stringify([reason.alert, reason.service, reason.task]);

/** Of a bad ending: its reason, and of a lost one what it was at. */
export const whyOf = ({ reason, phase }) => (phase ? `${reason}, while ${phase}` : reason);

export const section = (title, more, ...children) =>
  h("section.card", h("div.card-head", h("h2", title), more), ...children);

/** Pairs of a word and a text or an element; what is empty is left out. */
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

export const showLines = (list, lines) => keyed(list, lines, (line) => line, lineRow);

function lineRow() {
  const node = h("li");
  return { node, show: (line) => set(node, line) };
}
