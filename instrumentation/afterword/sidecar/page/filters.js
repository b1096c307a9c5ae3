// Choices that narrow a list. They live in the address, so that a reload and the back button keep them.

import { h, keyed, setTitle, set } from "./dom.js";
import { visible } from "./format.js";
import { changed } from "./route.js";

/** What a link from elsewhere may have narrowed a list to: said, and taken away with a click. */
const GIVEN = ["task", "process", "reason", "search"];

/** @param {{name: string, label: string, options: [string, string][]}[]} choices */
export function filters(choices) {
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
