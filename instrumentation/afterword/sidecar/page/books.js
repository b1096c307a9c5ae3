// The books as a flow: what was handed over, what is open, how the rest ended.

import { h, set } from "./dom.js";
import { count } from "./format.js";

const STEPS = ["scheduled", "waiting", "running", "succeeded", "failed", "cancelled", "dropped", "lost"];
const SUMMED = [...STEPS.slice(0, -1), "started", "lost_waiting", "lost_running", "swallowed", "overdue", "late"];

export function sum(tasks) {
  const total = Object.fromEntries(SUMMED.map((name) => [name, 0]));
  for (const { books } of tasks) for (const name of SUMMED) total[name] += books[name];
  total.balanced = tasks.every(({ books }) => books.balanced);
  return total;
}

export function flow() {
  const figures = Object.fromEntries(STEPS.map((step) => [step, figure(step)]));
  const bar = h("div.whole", { "aria-hidden": "true" });
  const pieces = Object.fromEntries(STEPS.slice(1).map((step) => [step, bar.appendChild(h("span", { class: `t-${step}` }))]));
  const equation = h("p.equation.num");
  const groups = [
    h("div.flow-group", figures.scheduled.node),
    h("div.flow-group", figures.waiting.node, figures.running.node),
    h("div.flow-group.ended", ...STEPS.slice(3).map((step) => figures[step].node)),
  ];
  const node = h("div.flow", h("div.flow-steps", ...groups), bar, equation);
  return { node, show: (books) => showFlow(books, figures, pieces, equation) };
}

function figure(step) {
  const value = h("dd.num");
  const note = h("dd.note.num");
  const node = h("dl.figure", h("dt", h("i", { class: `swatch t-${step}` }), step), value, note);
  return { node, value, note };
}

function showFlow(books, figures, pieces, equation) {
  const values = { ...books, lost: books.lost_waiting + books.lost_running };
  for (const step of STEPS) {
    const { node, value, note } = figures[step];
    set(value, count(values[step]));
    set(note, noteOn(step, values));
    node.classList.toggle("none", !values[step]);
  }
  for (const [step, piece] of Object.entries(pieces)) {
    piece.style.flexGrow = values[step];
    piece.hidden = !values[step];
  }
  set(equation, equationOf(books));
  equation.classList.toggle("alarm", !books.balanced);
}

function noteOn(step, books) {
  if (step === "waiting" && books.late) return `${count(books.late)} late`;
  if (step === "running" && books.overdue) return `${count(books.overdue)} overdue`;
  if (step === "succeeded" && books.swallowed) return `${count(books.swallowed)} swallowed`;
  if (step === "lost" && books.lost_waiting) return `${count(books.lost_waiting)} waiting`;
  return "";
}

const LAW = [
  ["scheduled", ["waiting", "started", "dropped", "lost_waiting"]],
  ["started", ["running", "succeeded", "failed", "cancelled", "lost_running"]],
];

function equationOf(books) {
  const term = (name) => `${name.replace("_", " ")} ${count(books[name])}`;
  return LAW.map(([whole, parts]) => `${term(whole)} = ${parts.map(term).join(" + ")}`).join("\n");
}
