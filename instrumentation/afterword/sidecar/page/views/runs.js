// Open runs, nearest to their limits or oldest first, a page at a time.

import { filters } from "../filters.js";
import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { list } from "../load.js";
import { KINDS, STATES, ageCell, runCell, stateCell, textCell } from "../parts.js";
import { changed } from "../route.js";
import { pager, table } from "../table.js";

const PAGE = 100;

export const runTable = (more = []) =>
  table(
    "Open runs",
    [stateCell, runCell, ageCell, ...more, { ...textCell("Route", (run) => run.route), class: "cut route" }, { ...textCell("Process", (run) => `${run.process} (${run.pid})`), class: "cut pale process" }],
    ({ id }) => id,
  );

export function runs() {
  const choice = filters([
    { name: "state", label: "State", options: [["", "every state"], ...STATES.map((state) => [state, state])] },
    { name: "kind", label: "Kind", options: [["", "every kind"], ...KINDS.map((kind) => [kind, kind])] },
    { name: "sort", label: "Order", options: [["", "nearest to the limit"], ["age", "oldest first"]] },
  ]);
  const kind = { ...textCell("Kind", (run) => run.kind), class: "pale cut kind" };
  const service = { ...textCell("Service", (run) => run.service), class: "pale cut service" };
  const rows = runTable([kind, service]);
  const pages = pager();
  const node = h("section", { class: "card" }, h("div", { class: "card-head" }, h("h1", {}, "Open runs"), choice.node), rows.node, pages.node);
  return {
    node,
    title: "Open runs",
    load: ({ query: { service: of, task, kind: kind_, state, process, sort, offset } }, signal) =>
      list("/api/runs", { service: of, task, kind: kind_, state, process, sort, offset, limit: PAGE }, signal),
    show({ items, total, next }, status, { query }) {
      choice.show(query);
      rows.show(items, query.state ? `No run is ${query.state} now.` : "Nothing waits and nothing runs.");
      const from = Number(query.offset ?? 0);
      pages.show(
        total > items.length ? `${count(from + 1)} to ${count(from + items.length)} of ${plural(total, "open run")}` : plural(total, "open run"),
        from ? changed({ offset: Math.max(0, from - PAGE) || "" }) : null,
        next !== null ? changed({ offset: next }) : null,
      );
    },
  };
}
