// The sidecar's time, and what shows it: the browser's own clock may be wrong.

import { ago, fullTime, whole } from "./format.js";
import { h, kept, set } from "./dom.js";

let offset = 0;
let heard = 0; // the sidecar's time of its last word; 0: none yet

export const now = () => Date.now() / 1000 + offset;

export const lastWord = () => heard;

/** Small differences are the network's and would make ages jump. */
export function hear(at) {
  const difference = at - Date.now() / 1000;
  if (Math.abs(difference - offset) > 0.5) offset = difference;
  heard = now();
}

/** The age of an open run must not grow on without a word. */
const known = () => Math.min(now(), heard + 10);

export function agoNode(at) {
  const node = h("time");
  setAgo(node, at);
  return node;
}

export const setAgo = (node, at) => setTicking(node, at, "ago");

export const setAge = (node, since) => setTicking(node, since, "age");

function setTicking(node, at, what) {
  if (kept(node).at !== at) {
    kept(node).at = at;
    node.title = at === null ? "" : fullTime(at);
    node.dataset.tick = what;
  }
  tickOne(node);
}

function tickOne(node) {
  const { at } = kept(node);
  if (at === null) set(node, "–");
  else set(node, node.dataset.tick === "ago" ? ago(at, now()) : whole(known() - at));
}

/** The limit stands at two thirds, so that what is beyond it shows. */
export function setGauge(node, since, limit) {
  const span = since === null || !limit ? null : { since, limit };
  kept(node).span = span;
  node.toggleAttribute("data-gauge", Boolean(span));
  fillGauge(node);
}

function fillGauge(node) {
  const { span } = kept(node);
  const part = span ? Math.max(0, known() - span.since) / span.limit : 0;
  node.style.setProperty("--part", `${Math.min(part, 1.5) / 0.015}%`);
  node.classList.toggle("beyond", part > 1);
}

export function tick() {
  document.querySelectorAll("[data-tick]").forEach(tickOne);
  document.querySelectorAll("[data-gauge]").forEach(fillGauge);
}
