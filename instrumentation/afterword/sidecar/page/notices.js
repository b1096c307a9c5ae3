// What has to be said about the sidecar's word: old, blind, or refused without a token.

import { link, refusal } from "./live.js";
import { clockTime, count, plural, visible } from "./format.js";
import { h, icon, keyed, set } from "./dom.js";
import { lastWord } from "./clock.js";
import { showLines } from "./parts.js";

const box = document.getElementById("notices");
const sign = document.getElementById("link");
const WORDS = { live: "live", polling: "asking", stale: "silent", lost: "no connection", waiting: "connecting" };

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

/** What keeps the sidecar from seeing everything, in sentences. */
export function troubles(sidecar) {
  const unreadable = total(sidecar.unreadable);
  const unaccounted = total(sidecar.unaccounted);
  return [
    sidecar.problem && `The directory of the ledgers: ${visible(sidecar.problem)}.`,
    unreadable && `${plural(unreadable, "ledger")} cannot be read (${reasons(sidecar.unreadable)}): what they account for is not shown.`,
    sidecar.unknown && `${plural(sidecar.unknown, "ledger")} cannot be opened: the sidecar has to run as the user of the application.`,
    unaccounted && `${plural(unaccounted, "process", "processes")} keep no accounts (${reasons(sidecar.unaccounted)}): what they owe is not shown.`,
    sidecar.fold_errors && `${plural(sidecar.fold_errors, "dead ledger")} could not be added to the totals.`,
    sidecar.history.problem && `The history of bad endings ${visible(sidecar.history.problem)}.`,
  ].filter(Boolean);
}

const total = (amounts) => Object.values(amounts).reduce((all, n) => all + n, 0);

const reasons = (amounts) => Object.entries(amounts).map(([name, n]) => `${visible(name)} ${count(n)}`).join(", ");
