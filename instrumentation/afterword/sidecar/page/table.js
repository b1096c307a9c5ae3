// A table whose rows stay the same elements while their numbers change.

import { h, keyed, set } from "./dom.js";

/** A column is `{head, class, fill(td, item)}`; `keyOf(item)` names its row. */
export function table(label, columns, keyOf) {
  const heads = columns.map((column) => h("th", { scope: "col", class: column.class, title: column.title, role: "columnheader" }, column.head));
  const body = h("tbody", { role: "rowgroup" });
  const grid = h(
    "table",
    { "aria-label": label, role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...heads)),
    body,
  );
  const nothing = h("p.empty", { hidden: true });
  const node = h("div.table", grid, nothing);
  body.addEventListener("click", openRow);
  return { node, show };

  function show(items, sentence) {
    keyed(body, items, keyOf, () => row(columns));
    grid.hidden = items.length === 0;
    nothing.hidden = items.length > 0;
    set(nothing, sentence);
  }
}

function row(columns) {
  const cells = columns.map((column) => h("td", { class: column.class, role: "cell", "data-label": column.head }));
  const node = h("tr", { role: "row" }, ...cells);
  return { node, show: (item) => columns.forEach((column, i) => column.fill(cells[i], item)) };
}

function openRow(event) {
  if (event.target.closest("a") || !document.getSelection().isCollapsed) return;
  event.target.closest("tr")?.querySelector("[data-row]")?.click();
}

export function pager(byAge) {
  const text = h("span.num");
  const back = h("a.button", byAge ? "Newest" : "Previous");
  const next = h("a.button", byAge ? "Older" : "Next");
  return {
    node: h("nav.pager", { "aria-label": "Pages" }, text, back, next),
    cursor: (at) => (byAge ? { before: at } : { offset: at }),
    show(sentence, backHref, nextHref) {
      set(text, sentence);
      point(back, backHref);
      point(next, nextHref);
    },
  };
}

function point(link, href) {
  link.hidden = href === null;
  if (href !== null) link.setAttribute("href", href);
}
