// Which view is shown, when it is refreshed, and what stands around it.

import { changed, current, to } from "./route.js";
import { follow, status } from "./live.js";
import { h, keyed, set } from "./dom.js";
import { endings, runs, tasks } from "./views/lists.js";
import { listenToKeys } from "./keyboard.js";
import { nobody, overview } from "./views/overview.js";
import { misread, Problem } from "./load.js";
import { processes, routes, workers } from "./views/machinery.js";
import { run } from "./views/run.js";
import { runbook } from "./views/runbook.js";
import { showNotices } from "./notices.js";
import { sidecar } from "./views/sidecar.js";
import { task } from "./views/task.js";
import { tick } from "./clock.js";
import { visible } from "./format.js";

const VIEWS = new Map(Object.entries({ "": overview, tasks, runs, endings, workers, processes, routes, sidecar, task, run, runbook }));
const NAMES = { "": "Overview", tasks: "Tasks", runs: "Open runs", endings: "Bad endings", workers: "Workers", processes: "Processes", routes: "Routes", sidecar: "Sidecar" };
const PACE = 1000; // milliseconds between two refreshes, at least

const [main, nav, search, service, spoken, theme] = ["main", "nav", "search", "service", "spoken", "theme"].map((id) => document.getElementById(id));

let view = null;
let route = current();
let leaving = new AbortController();
let problem = null;
let failures = 0;

let busy = false;
let wanted = false;
let nothing = null; // what stands in an empty place
let timer = 0;
let last = 0;

function refresh() {
  wanted = true;
  if (busy || document.hidden || !status || timer) return;
  const pause = failures ? Math.min(1000 * 2 ** (failures - 1), 30000) : PACE;
  timer = setTimeout(load, Math.max(0, last + pause - Date.now()));
}

async function load() {
  timer = 0;
  busy = true;
  wanted = false;
  last = Date.now();
  const { signal } = leaving;
  try {
    const data = await view.load(route, signal);
    if (!signal.aborted) show(data);
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
  if (signal.aborted) return;
  busy = false;
  if (wanted || failures) refresh();
}

function show(data) {
  view.show(data, status, route);
  problem = null;
  failures = 0;
  const node = emptyPlace() ? (nothing ??= nobody(status.sidecar)) : view.node;
  if (node.parentNode !== main) {
    main.replaceChildren(node);
    arrive();
  }
  around();
}

function fail(error) {
  problem = error;
  if (!(error instanceof Problem)) {
    console.error(error); // a fault of the page, or an answer of another shape than it knows
    problem = misread();
  }
  if (problem.status !== 404) failures += 1;
  else showMissing();
  around();
}

function showMissing() {
  const node = h("section.card.nobody", h("h1", "Not here"), h("p", problem.message), h("a", { href: "#/" }, "To the overview"));
  if (!main.firstChild?.isEqualNode(node)) main.replaceChildren(node);
}

const unknown = () => ({
  title: "Not here",
  async load({ view }) {
    throw new Problem(404, `This page has no view ${visible(view)}.`);
  },
});

// Going from view to view. A change of the query alone keeps the view and its elements.

const places = new Map(); // address → how far it was scrolled
let came = null; // the address that was left
let deeper = 0; // how many steps Esc can go back within the page
let clicked = false;

function go() {
  const before = route;
  route = current();
  leaving.abort();
  leaving = new AbortController();
  clearTimeout(timer);
  busy = false;
  timer = failures = last = 0;
  problem = null;
  if (!view || before.path !== route.path) {
    view?.close?.();
    view = (VIEWS.get(route.view) ?? unknown)();
  } else if (clicked) {
    clicked = false;
    scrollTo(0, 0); // another page of the same list
  }
  if (search !== document.activeElement) search.value = route.query.search ?? "";
  around();
  refresh();
}

/** Scrolls to where the view was left when one comes back, to its top otherwise. */
function arrive() {
  const place = clicked ? 0 : (places.get(location.hash) ?? 0);
  clicked = false;
  scrollTo({ top: place, behavior: "instant" });
  if (search === document.activeElement || came === null) return;
  const left = [...main.querySelectorAll("a[data-row]")].find((link) => link.getAttribute("href") === came);
  (left || main).focus({ preventScroll: true });
}

function leave(address) {
  came = address;
  places.set(came, scrolled);
}

addEventListener("hashchange", (event) => {
  leave(new URL(event.oldURL).hash);
  go();
});
let scrolled = 0;
addEventListener("scroll", () => (scrolled = scrollY), { passive: true });
document.addEventListener("click", (event) => {
  const href = event.target.closest("a[href^='#']")?.getAttribute("href");
  if (href === "#main") {
    event.preventDefault();
    main.focus();
  } else if (href && href !== location.hash) {
    clicked = true;
    deeper += 1;
  }
});

function back() {
  if (deeper > 0) {
    deeper -= 1;
    history.back();
  } else if (route.path) location.hash = to([], { service: route.query.service });
}

// Around the view.

for (const [name, label] of Object.entries(NAMES)) nav.append(h("a", { "data-view": name }, label));

function around() {
  for (const link of nav.children) {
    const name = link.dataset.view;
    link.setAttribute("href", to(name ? [name] : [], { service: route.query.service }));
    const here = name === (view.under ?? route.view);
    if (here === link.hasAttribute("aria-current")) continue;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (here) nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
  }
  showNotices(status, problem);
  if (!status) return;
  const known = status.services.map((one) => one.service);
  const chosen = route.query.service ?? "";
  keyed(service, ["", ...new Set([...known, chosen].filter(Boolean))], (name) => name, option);
  service.value = chosen;
  service.hidden = known.length < 2 && !chosen;
  document.body.classList.toggle("one-service", known.length < 2 || chosen !== "");
  speak();
}

function option(name) {
  const node = h("option", { value: name }, name ? visible(name).slice(0, 60) : "All services");
  return { node, show() {} };
}

let told = "";

/** Only when the verdict changes: its sentence has numbers that change all the time. */
function speak() {
  document.title = `${status.verdict} – ${view.title} – afterword`;
  if (told === status.verdict) return;
  told = status.verdict;
  set(spoken, `Verdict: ${status.verdict}. ${visible(status.sentence)}`);
}

service.addEventListener("change", () => {
  const single = ["task", "run", "runbook"].includes(route.view);
  location.hash = single ? to([], { service: service.value }) : changed({ service: service.value, offset: "", before: "" });
});

search.addEventListener("input", () => {
  const address = to(["tasks"], { ...(route.view === "tasks" ? route.query : { service: route.query.service }), search: search.value, offset: "" });
  // One step back leaves the search, however much was typed.
  if (route.view === "tasks") history.replaceState(null, "", address);
  else {
    leave(location.hash);
    deeper += 1;
    history.pushState(null, "", address);
  }
  go();
});

theme.addEventListener("click", () => {
  const { dataset } = document.documentElement;
  const before = dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  dataset.theme = before === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("afterword-theme", dataset.theme);
  } catch {
    // Storage is forbidden.
  }
  refresh(); // the charts are drawn, not styled
});

/** Nothing was ever seen here, and nothing hides it. */
function emptyPlace() {
  const { services, sidecar: eye } = status;
  return !route.view && !services.length && !eye.ledgers && !eye.problem && !eye.unknown;
}

function word(found) {
  if (found && !(view.once && view.node.parentNode)) refresh();
  around();
}

document.addEventListener("visibilitychange", refresh);
listenToKeys(back);
go();
follow(word);
setInterval(() => {
  tick();
  showNotices(status, problem);
}, 1000);
