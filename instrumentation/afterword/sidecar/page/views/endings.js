// The runs that ended badly, newest first, as far as they are kept one by one.

import { filters } from "../filters.js";
import { h, set } from "../dom.js";
import { count, plural, visible } from "../format.js";
import { list } from "../load.js";
import { ENDINGS, KINDS, agoCell, endingCell, runCell, textCell } from "../parts.js";
import { changed } from "../route.js";
import { pager, table } from "../table.js";
import { clockTime } from "../format.js";

const PAGE = 100;

const whyOf = (ending) => (ending.phase ? `${ending.reason}, while ${ending.phase}` : ending.reason);

export const endingTable = (more = []) =>
  table(
    "Bad endings",
    [endingCell, runCell, { ...textCell("Reason", whyOf), class: "cut reason-cell" }, ...more, { ...textCell("Route", (ending) => ending.route), class: "cut route" }, { ...textCell("Process", (ending) => `${ending.process} (${ending.pid})`), class: "cut pale process" }, agoCell("Ended", (ending) => ending.ended)],
    ({ number }) => String(number),
  );

export function endings() {
  const choice = filters([
    { name: "ending", label: "Ending", options: [["", "every bad ending"], ...ENDINGS.map((ending) => [ending, ending])] },
    { name: "kind", label: "Kind", options: [["", "every kind"], ...KINDS.map((kind) => [kind, kind])] },
  ]);
  const kept = h("p", { class: "pale" });
  const service = { ...textCell("Service", (ending) => ending.service), class: "pale cut service" };
  const rows = endingTable([service]);
  const pages = pager();
  const node = h("section", { class: "card" }, h("div", { class: "card-head" }, h("h1", {}, "Bad endings"), choice.node), kept, rows.node, pages.node);
  return {
    node,
    title: "Bad endings",
    load: ({ query: { service: of, task, kind, ending, reason, before } }, signal) =>
      list("/api/endings", { service: of, task, kind, ending, reason, before, limit: PAGE }, signal),
    show({ items, total, next }, status, { query }) {
      choice.show(query);
      set(kept, keptSentence(status.sidecar.history));
      rows.show(items, query.ending ? `No run that is kept was ${query.ending}.` : "No run that is kept ended badly.");
      pages.show(plural(total, "bad ending"), query.before ? changed({ before: "" }) : null, next !== null ? changed({ before: next }) : null);
      pages.node.children[1].textContent = "Newest";
      pages.node.children[2].textContent = "Older";
    },
  };
}

export function keptSentence(history) {
  if (history.problem) return `The history ${visible(history.problem)}.`;
  const since = history.since === null ? "" : `, since ${clockTime(history.since)}`;
  const missed = history.missed ? `; ${count(history.missed)} more were never kept one by one` : "";
  return `${count(history.kept)} of at most ${count(history.limit)} are kept${since}${missed}.`;
}
