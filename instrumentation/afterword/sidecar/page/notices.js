// What has to be said about the word itself: that it is old, that the sidecar is blind, that a token is needed.

import { link, refusal } from "./live.js";
import { clockTime } from "./format.js";
import { h, icon, keyed, set } from "./dom.js";
import { lastWord } from "./clock.js";
import { showLines } from "./parts.js";
import { troubles } from "./troubles.js";

const box = document.getElementById("notices");
const sign = document.getElementById("link");
const WORDS = { live: "live", polling: "asking", stale: "silent", lost: "no connection", waiting: "connecting" };

/** Called every second, and with each word. */
export function showNotices(status, problem) {
  const state = link();
  set(sign, WORDS[state]);
  sign.className = `link l-${state}`;
  document.body.classList.toggle("old", Boolean(status) && (state === "lost" || state === "stale"));
  keyed(box, notices(status, state, problem), ({ key }) => key, notice);
}

function notices(status, state, problem) {
  const said = ofConnection(status, state, problem);
  const missing = status ? troubles(status.sidecar) : [];
  return [
    ...(said ? [{ key: "word", lines: [], ...said }] : []),
    ...(missing.length ? [{ key: "sight", level: "blind", text: "The sidecar does not see everything.", lines: missing }] : []),
  ];
}

function ofConnection(status, state, problem) {
  if ([problem, refusal].some((one) => one?.status === 401))
    return { level: "bad", text: "This sidecar asks for its token. Reload the page, and give the value of AFTERWORD_TOKEN as the password, with any user name." };
  if (status && (state === "lost" || state === "stale"))
    return { level: "blind", text: `No word from the sidecar since ${clockTime(lastWord())}: what is shown is old.` };
  if (!status && state === "lost") return { level: "blind", text: `${refusal?.message ?? "The sidecar does not answer."} Trying again.` };
  if (problem && problem.status !== 404) return { level: "blind", text: `${problem.message} Trying again; what is shown may be old.` };
  if (state === "polling") return { level: "degraded", text: "No events arrive here, perhaps because of a proxy or of too many open pages: this one asks every few seconds." };
  return null;
}

function notice() {
  const text = h("p");
  const lines = h("ul");
  const node = h("div", icon(""), h("div", text, lines));
  return {
    node,
    show(item) {
      node.className = `notice t-${item.level}`;
      set(text, item.text);
      showLines(lines, item.lines);
    },
  };
}
