// One run: what happened to it, where it is stuck, and what to do about runs like it.

import { clockTime, duration, fullTime, visible } from "../format.js";
import { ENDINGS, STATES, gaugeBox, section, setName, setWord, showFacts, showLines, since, whyOf } from "../parts.js";
import { get, Problem } from "../load.js";
import { h, icon, keyed, set } from "../dom.js";
import { markdown } from "../markdown.js";
import { runbookHref, taskHref, to } from "../route.js";

export function run() {
  const word = h("span");
  const name = h("a");
  const why = h("p.why");
  const age = gaugeBox();
  const timeline = h("ol.timeline");
  const about = h("dl.facts");
  const stack = h("ol.calls");
  const stackCard = section("Where it is stuck, the innermost call last", null, stack);
  const book = h("div");
  const node = h(
    "div.stack",
    h("header.head", h("h1", word, name), why, age.node),
    h("div.halves", section("Timeline", null, timeline), section("About it", null, about)),
    stackCard,
    h("section.card", book),
  );
  let shownBook = null;
  const self = {
    node,
    title: "Run",
    load,
    show(detail) {
      const { run: open, ending } = detail;
      const it = open ?? ending;
      self.under = open ? "runs" : "endings";
      setWord(word, open ? open.state : ending.ending, open ? STATES : ENDINGS);
      setName(name, it.task);
      name.setAttribute("href", taskHref(it));
      why.hidden = Boolean(open);
      age.node.hidden = !open;
      if (open) age.show(since(open), open.limit);
      else set(why, visible(whyOf(ending)));
      keyed(timeline, withGaps(detail.timeline), (step) => step.what, stepRow);
      showFacts(about, aboutFacts(it, detail));
      stackCard.hidden = !open?.stack.length;
      showLines(stack, (open?.stack ?? []).map(visible));
      if (shownBook !== detail.runbook) {
        shownBook = detail.runbook;
        book.replaceChildren(detail.runbook ? markdown(detail.runbook, 2) : h("p.empty", "No alert speaks of runs like this."));
      }
    },
  };
  return self;
}

async function load({ parts: [id] }, signal) {
  try {
    return await get(`/api/runs/${encodeURIComponent(id ?? "")}`, {}, signal);
  } catch (problem) {
    if (problem.status !== 404) throw problem;
    throw new Problem(404, `No run ${visible(id ?? "")} is open or kept. A run that ended well is counted in its task's books and not kept by itself; of those that ended badly only the newest are kept.`);
  }
}

const withGaps = (steps) => steps.map((step, i) => ({ ...step, gap: i ? step.at - steps[i - 1].at : 0 }));

function stepRow() {
  const what = h("b");
  const gap = h("span.pale.num");
  const time = h("time.num");
  const note = h("span.pale");
  const node = h("li", time, h("div", what, " ", gap, h("br"), note));
  return {
    node,
    show(step) {
      node.className = `step-${step.what}`;
      set(what, visible(step.what));
      set(gap, step.gap < 0.001 ? "" : `+ ${duration(step.gap)}`);
      set(time, clockTime(step.at));
      time.title = fullTime(step.at);
      set(note, visible(step.note));
    },
  };
}

function aboutFacts(it, { trace_url, alert }) {
  const service = h("a", { href: to([], { service: it.service }) }, visible(it.service));
  const process = h("a", { href: to(["runs"], { process: it.process }) }, `${visible(it.process)} (pid ${it.pid})`);
  const traced = /^https?:\/\//.test(trace_url) ? h("a", { href: trace_url, rel: "noreferrer", target: "_blank" }, `${it.trace_id} `, icon("i-out")) : it.trace_id;
  return [
    ["Service", service],
    ["Kind", visible(it.kind)],
    ["Route", visible(it.route)],
    ["Process", process],
    ["Run", h("code", it.id)],
    ["Trace", it.trace_id && h("code", traced)],
    ["Span", it.span_id && h("code", it.span_id)],
    ["Alert", alert && h("a", { href: runbookHref(alert) }, visible(alert))],
  ];
}
