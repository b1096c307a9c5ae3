// The address: #/view/part/part?name=value. All that is chosen is in it.

export function current() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view = "", ...parts] = path.split("/").map(decode);
  return { view, parts, path, query: Object.fromEntries(new URLSearchParams(query)) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand, with a lone %
  }
}

export function to(parts, query = {}) {
  return `#/${parts.map(encodeURIComponent).join("/")}${queryOf(query)}`;
}

export function queryOf(query) {
  const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

export function changed(changes) {
  const { view, parts, query } = current();
  return to(view ? [view, ...parts] : [], { ...query, ...changes });
}

export const taskHref = ({ service, task, kind }) => to(["task", service, kind, task]);
export const runHref = ({ id }) => to(["run", id]);
export const runbookHref = (alert) => to(["runbook", alert]);
