// The only way this page makes elements: text is text, never markup.

/** `h("p.pale", { title }, "text", node)`; attributes and children may be left out. */
export function h(name, ...parts) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  const attributes = parts[0]?.constructor === Object ? parts.shift() : {};
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...parts.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets a text only when it is another one: a selection inside it survives. */
export function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setTitle(node, text) {
  if (node.title !== text) node.title = text;
}

export const icon = (sign) => h("span", { class: `icon ${sign}`, "aria-hidden": "true" });

const KEPT = new WeakMap();

/** What we remember of an element: not on it, where browsers keep adding names of their own. */
export function kept(node) {
  if (!KEPT.has(node)) KEPT.set(node, {});
  return KEPT.get(node);
}

/**
 * Makes the parent's children those of the items; what is there already stays the same element.
 * `make(item)` returns `{node, show(item)}`.
 */
export function keyed(parent, items, keyOf, make) {
  const before = kept(parent).rows ?? new Map();
  const after = new Map();
  for (const item of items) {
    let key = keyOf(item);
    while (after.has(key)) key += "+";
    const row = before.get(key) ?? make(item);
    row.show(item);
    after.set(key, row);
  }
  kept(parent).rows = after;
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const place = focused ? [...before.values()].findIndex((row) => row.node.contains(focused)) : -1;
  for (const [key, row] of before) if (!after.has(key)) row.node.remove();
  arrange(parent, [...after.values()]);
  if (focused) keepFocus(parent, focused, place);
}

function arrange(parent, rows) {
  const selection = document.getSelection();
  const selecting = !selection.isCollapsed && parent.contains(selection.anchorNode);
  let next = parent.firstChild;
  for (const { node } of rows) {
    if (node === next) next = next.nextSibling;
    // Moving an element drops the selection in it.
    else if (!selecting || node.parentNode !== parent) parent.insertBefore(node, next);
  }
}

/** Focus stays where it was; when its row is gone, on the row that took its place. */
function keepFocus(parent, focused, place) {
  if (document.activeElement === focused) return;
  const row = parent.children[Math.min(place, parent.children.length - 1)];
  const target = focused.isConnected ? focused : row?.querySelector("[data-row]");
  target?.focus({ preventScroll: true });
}
