// A view that is one list: narrowed by choices, a page at a time, all of it in the address.

import { h, keyed, set, setTitle } from "./dom.js";
import { count, plural, visible } from "./format.js";
import { list } from "./load.js";
import { changed } from "./route.js";
import { pager, table } from "./table.js";

const PAGE = 100;

/**
 * `asks` are the names in the address that the API takes, `choices` the filters ({name, label, options}),
 * `words` what one and what many are called, `remark` a sentence on the status.
 */
export function listing({ title, path, asks, choices = [], columns, keyOf, words, nothing, remark }) {
  const choice = filters(choices);
  const said = h("p.pale");
  const rows = table(title, columns, keyOf);
  const pages = pager(asks.includes("before"));
  return {
    node: h("section.card", h("div.card-head", h("h1", title), choice.node), said, rows.node, pages.node),
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

const GIVEN = ["task", "process", "reason", "search"];

function filters(choices) {
  const selects = choices.map(({ name, label, options }) =>
    h("select", { "aria-label": label, name, onchange: choose }, ...options.map(([value, text]) => h("option", { value }, text))),
  );
  const given = h("ul.chips");
  return {
    node: h("div.filters", given, ...selects),
    show(query) {
      for (const select of selects) select.value = query[select.name] ?? "";
      const pairs = GIVEN.filter((name) => query[name]).map((name) => ({ name, value: visible(query[name]) }));
      keyed(given, pairs, ({ name }) => name, chip);
    },
  };
}

function chip() {
  const word = h("span.cut");
  const link = h("a.chip", word, h("span", { "aria-hidden": "true" }, "×"));
  return {
    node: h("li", link),
    show({ name, value }) {
      set(word, `${name === "search" ? "name has" : name} ${value}`);
      setTitle(link, `Not only ${value}`);
      link.setAttribute("href", changed({ [name]: "", offset: "", before: "" }));
    },
  };
}

function choose({ target }) {
  location.hash = changed({ [target.name]: target.value, offset: "", before: "" });
}
