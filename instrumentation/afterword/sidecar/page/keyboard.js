// The keys that the help in index.html lists; Enter on a row is the browser's own.

const main = document.getElementById("main");
const search = document.getElementById("search");
const help = document.getElementById("help");

export function listenToKeys(back) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.key === "Escape") escape(event, back);
    else if (!event.target.closest("input, select, textarea")) press(event);
    else if (event.target === search && event.key === "ArrowDown") walk(event, 1);
  });
  document.getElementById("keys").addEventListener("click", () => help.showModal());
  document.getElementById("help-close").addEventListener("click", () => help.close());
}

function press(event) {
  if (event.key === "/") {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "?") help.showModal();
  else if (event.key === "j" || event.key === "ArrowDown") walk(event, 1);
  else if (event.key === "k" || event.key === "ArrowUp") walk(event, -1);
}

function escape(event, back) {
  event.preventDefault();
  if (event.target === search && search.value) {
    search.value = "";
    search.dispatchEvent(new Event("input"));
  } else if (event.target.closest("input, select")) main.focus();
  else back();
}

/** Arrows scroll until a row has the focus: then they walk, as j and k always do. */
function walk(event, step) {
  const rows = [...main.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
  const at = rows.indexOf(document.activeElement);
  if (!rows.length || (at === -1 && event.key.startsWith("Arrow") && event.target !== search)) return;
  event.preventDefault();
  const next = rows[at === -1 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}
