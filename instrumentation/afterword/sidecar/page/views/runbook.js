// What to do when an alert speaks.

import { get, Problem } from "../load.js";
import { h } from "../dom.js";
import { markdown } from "../markdown.js";
import { visible } from "../format.js";

export function runbook() {
  const node = h("section.card");
  return {
    node,
    title: "Runbook",
    under: "",
    once: true, // it does not change while it is read
    load,
    show: (text) => node.replaceChildren(markdown(text, 1)),
  };
}

async function load({ parts: [alert] }, signal) {
  const found = await get(`/api/runbooks/${encodeURIComponent(alert ?? "")}`, {}, signal).catch((problem) => {
    if (problem.status !== 404) throw problem;
    throw new Problem(404, `This sidecar has no runbook of ${visible(alert ?? "")}.`);
  });
  return found.text;
}
