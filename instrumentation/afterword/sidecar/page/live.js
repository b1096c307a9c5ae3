// The line to the sidecar: status as it changes, and whether its word is still fresh.

import { hear, lastWord, now } from "./clock.js";
import { get, misread } from "./load.js";

const SILENCE = 10; // seconds without an event until what is shown counts as old
const LOST = 3; // the same, when the connection is known to be gone

let source = null;
let broken = false;
let polled = false;
let retry = 1;
let onStatus = () => {};

export let status = null;
export let refusal = null;

export function follow(callback) {
  onStatus = callback;
  listen();
  setInterval(watch, 1000);
}

/** "polling": it answers, but sends no events; "stale": it is silent; "waiting": no word yet. */
export function link() {
  if (!lastWord()) return broken || refusal ? "lost" : "waiting";
  const silence = now() - lastWord();
  if (silence > SILENCE) return broken ? "lost" : "stale";
  if (broken && silence > LOST && !polled) return "lost";
  return polled ? "polling" : "live";
}

function listen() {
  source?.close();
  source = new EventSource("/api/events");
  source.addEventListener("open", () => (broken = false));
  source.addEventListener("error", () => (broken = true));
  source.addEventListener("status", (event) => {
    broken = polled = false;
    retry = 1;
    take(event.data);
  });
}

function take(text) {
  try {
    accept(JSON.parse(text));
  } catch {
    // Not a status: the silence will tell.
  }
}

function accept(found) {
  if (!Array.isArray(found?.reasons) || !Array.isArray(found.services) || !found.sidecar) return false;
  status = found;
  refusal = null;
  hear(found.at);
  onStatus(found);
  return true;
}

let next = 0;

/** Asks while no events come: some proxies hold them back, and only an answer tells why. */
function watch() {
  const silent = lastWord() && now() - lastWord() < (broken ? LOST : polled ? 4 : SILENCE);
  if (silent || document.hidden || Date.now() < next) return;
  next = Date.now() + retry * 1000;
  retry = Math.min(retry * 2, 30);
  poll();
}

async function poll() {
  if (source?.readyState === EventSource.CLOSED) listen();
  try {
    if (!accept(await get("/api/status"))) throw misread();
    polled = true;
    retry = 4;
  } catch (problem) {
    refusal = problem;
    onStatus(null);
  }
}
