// A view that is one list: narrowed by choices, a page at a time, all of it in the address.

import { filters } from "./filters.js";
import { h, set } from "./dom.js";
import { count, plural } from "./format.js";
import { list } from "./load.js";
import { changed } from "./route.js";
import { pager, table } from "./table.js";

const PAGE = 100;

/**
 * @param {object} of
 * @param {string} of.title
 * @param {string} of.path of the API
 * @param {string[]} of.asks names in the address that are parameters of the API
 * @param {{name: string, label: string, options: [string, string][]}[]} [of.choices]
 * @param {object[]} of.columns
 * @param {function} of.keyOf
 * @param {string[]} of.words one of them, many of them
 * @param {string} of.nothing what an empty list means when nothing narrows it
 * @param {function} [of.remark] a sentence above the list, of the status
 */
export function listing({ title, path, asks, choices = [], columns, keyOf, words, nothing, remark }) {
  const choice = filters(choices);
  const said = h("p", { class: "pale" });
  const rows = table(title, columns, keyOf);
  const pages = pager(asks.includes("before"));
  return {
    node: h("section", { class: "card" }, h("div", { class: "card-head" }, h("h1", {}, title), choice.node), said, rows.node, pages.node),
    title,
    load({ query }, signal) {
      const asked = Object.fromEntries(asks.map((name) => [name, query[name]]));
      return list(path, { ...asked, limit: PAGE }, signal);
    },
    show(page, status, { query }) {
      choice.show(query);
      set(said, remark?.(status) ?? "");
      const narrowed = asks.some((name) => query[name] && name !== "sort");
      rows.show(page.items, narrowed ? `There is no ${words[0]} like this.` : nothing);
      showPages(pages, page, query, words);
    },
  };
}

function showPages(pages, { items, total, next }, { offset = 0, before }, words) {
  const from = Number(offset);
  const part = total > items.length && !before ? `${count(from + 1)} to ${count(from + items.length)} of ` : "";
  const back = before ? { before: "" } : { offset: Math.max(0, from - PAGE) || "" };
  pages.show(part + plural(total, ...words), before || from ? changed(back) : null, next !== null ? changed(pages.cursor(next)) : null);
}
