// A runbook's Markdown as elements. Whatever is not known here stays text.

import { h } from "./dom.js";
import { visible } from "./format.js";
import { runbookHref } from "./route.js";

const FENCE = /^\s*```/;
const ITEM = /^(\s*)(?:[-*]|\d+\.)\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)/;

export function markdown(text, top) {
  const node = h("div.prose");
  blocks(text.split("\n"), node, top);
  return node;
}

function blocks(lines, into, top = 2) {
  let i = 0;
  while (i < lines.length) {
    const line = lines[i];
    if (!line.trim()) i += 1;
    else if (FENCE.test(line)) i = code(lines, i, into);
    else if (HEADING.test(line)) i = heading(lines, i, into, top);
    else if (line.startsWith("|")) i = grid(lines, i, into);
    else if (ITEM.test(line)) i = items(lines, i, into);
    else i = paragraph(lines, i, into);
  }
}

function code(lines, start, into) {
  const indent = lines[start].search(/\S/);
  let end = start + 1;
  while (end < lines.length && !FENCE.test(lines[end])) end += 1;
  const body = lines.slice(start + 1, end).map((line) => (line.slice(0, indent).trim() ? line : line.slice(indent)));
  into.append(h("pre", { tabindex: "0" }, h("code", body.map(visible).join("\n"))));
  return end + 1;
}

function heading(lines, i, into, top) {
  const [, marks, text] = HEADING.exec(lines[i]);
  into.append(h(`h${Math.min(marks.length + top - 1, 6)}`, {}, ...inline(text)));
  return i + 1;
}

function grid(lines, start, into) {
  let end = start;
  while (end < lines.length && lines[end].startsWith("|")) end += 1;
  const rows = lines.slice(start, end).map((line) => line.replace(/^\||\|\s*$/g, "").split("|").map((cell) => cell.trim()));
  const [head, , ...body] = rows;
  const tr = (cells, tag) => h("tr", ...cells.map((cell) => h(tag, ...inline(cell))));
  into.append(h("div.contained", { tabindex: "0" }, h("table", h("thead", tr(head, "th")), h("tbody", ...body.map((cells) => tr(cells, "td"))))));
  return end;
}

/** An item goes on over indented lines, and may hold code and lists of its own. */
function items(lines, start, into) {
  const [, indent] = ITEM.exec(lines[start]);
  const list = into.appendChild(h(/^\s*\d/.test(lines[start]) ? "ol" : "ul"));
  let i = start;
  while (i < lines.length) {
    const found = ITEM.exec(lines[i]);
    if (!found || found[1].length !== indent.length) break;
    let end = i + 1;
    while (end < lines.length && belongs(lines, end, indent.length)) end += 1;
    const inner = lines[i].length - found[2].length;
    blocks([found[2], ...lines.slice(i + 1, end).map((line) => line.slice(Math.min(inner, Math.max(0, line.search(/\S/)))))], list.appendChild(h("li")));
    i = end;
    while (i < lines.length && !lines[i].trim()) i += 1;
  }
  return i;
}

function belongs(lines, i, indent) {
  const rest = lines.slice(i).find((line) => line.trim());
  return rest !== undefined && rest.search(/\S/) > indent;
}

function paragraph(lines, start, into) {
  let end = start + 1;
  while (end < lines.length && lines[end].trim() && ![FENCE, HEADING, ITEM, /^\|/].some((other) => other.test(lines[end]))) end += 1;
  into.append(h("p", ...inline(lines.slice(start, end).join(" "))));
  return end;
}

function inline(text) {
  const parts = [];
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    parts.push(visible(rest.slice(0, found.index)), mark(found));
    rest = rest.slice(found.index + found[0].length);
  }
  return [...parts, visible(rest)];
}

function mark([, code_, strong, words, address]) {
  if (code_) return h("code", visible(code_));
  if (strong) return h("strong", visible(strong));
  const runbook = /^(Afterword\w+)\.md/.exec(address);
  // Other pages are not served here.
  return runbook ? h("a", { href: runbookHref(runbook[1]) }, visible(words)) : h("span", { title: visible(address) }, visible(words));
}
