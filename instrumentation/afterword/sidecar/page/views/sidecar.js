// How well the sidecar itself sees.

import { agoNode } from "../clock.js";
import { count, duration, visible } from "../format.js";
import { section, setWord, showFacts, showLines } from "../parts.js";
import { h } from "../dom.js";
import { keptSentence } from "./lists.js";
import { troubles } from "../notices.js";

export function sidecar() {
  const word = h("span");
  const list = h("ul.troubles");
  const general = h("dl.facts");
  const numbers = h("dl.facts");
  const kept = h("p");
  const node = h(
    "div.stack",
    h("header.head", h("h1", word, "Sidecar"), list),
    h("div.halves", section("Where it looks", null, general), section("What it met", null, numbers)),
    section("History of bad endings", null, kept),
  );
  return {
    node,
    title: "Sidecar",
    load: async () => null,
    show(_, { sidecar: it, at }) {
      const found = troubles(it);
      setWord(word, found.length ? (it.problem ? "blind" : "degraded") : "ok", ["ok", "degraded", "blind"]);
      showLines(list, found);
      showFacts(general, generalFacts(it, at));
      showFacts(numbers, numberFacts(it));
      kept.textContent = keptSentence(it.history);
    },
  };
}

const generalFacts = (it, at) => [
  ["Directory", h("code", visible(it.directory))],
  ["Version", visible(it.version)],
  ["Started", agoNode(it.started)],
  ["Last word", agoNode(at)],
  ["One look takes", duration(it.scan_seconds)],
];

const byName = (word, amounts) => Object.entries(amounts).map(([name, n]) => [`${word}: ${visible(name)}`, count(n)]);

const numberFacts = (it) => [
  ["Ledgers", count(it.ledgers)],
  ["Ledgers that cannot be opened", count(it.unknown)],
  ...byName("Unreadable ledgers", it.unreadable),
  ...byName("Processes without accounts", it.unaccounted),
  ["Dead ledgers that could not be added up", count(it.fold_errors)],
  ["Spans that wait to be sent", count(it.spans_waiting)],
  ...byName("Spans given up", it.spans_dropped),
];
