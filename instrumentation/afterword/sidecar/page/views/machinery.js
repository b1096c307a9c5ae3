// What carries the work: workers, processes, routes.

import { h, keyed, set } from "../dom.js";
import { count, duration } from "../format.js";
import { listing } from "../listing.js";
import { agoCell, healthCell, made, nameCell, numberCell, processOf, serviceCell, setLink, setName, setText, textCell, workCell } from "../parts.js";
import { taskHref, to } from "../route.js";

const machinery = (title, path, words, nothing, columns) =>
  listing({ title, path, asks: ["service", "offset"], columns, keyOf, words, nothing });

const keyOf = (item) => JSON.stringify([item.service, item.process ?? item.task ?? item.method, item.route ?? ""]);

export const workers = () =>
  machinery("Workers", "/api/workers", ["worker"], "No worker is known. A task or thread that is started in the lifespan and stays is one.", [
    healthCell,
    nameCell("Worker", (worker) => taskHref({ ...worker, kind: "worker" })),
    serviceCell,
    textCell("Importance", (worker) => worker.importance.replace("_", " "), "pale tight"),
    numberCell("Running", (worker) => worker.running, count),
    numberCell("Ended", (worker) => worker.ended, count, { alarm: true }),
    numberCell("Stalled", (worker) => worker.stalled, count, { alarm: true }),
    agoCell("Last progress", (worker) => worker.progress),
    textCell("Stuck at", (worker) => worker.stuck_at.at(-1) ?? "", "cut route"),
  ]);

export const processes = () =>
  machinery("Processes", "/api/processes", ["process", "processes"], "No process that lives keeps a ledger here.", [
    workCell,
    {
      head: "Process",
      class: "wide",
      fill(td, item) {
        const link = made(td, () => h("a", { "data-row": true, class: "cut" }));
        setText(link, processOf(item));
        setLink(link, to(["runs"], { process: item.process }));
      },
    },
    serviceCell,
    numberCell("Waiting", (process) => process.waiting, count),
    numberCell("Running", (process) => process.running, count),
    numberCell("Loop lag", (process) => process.loop_lag, duration, { title: "How late the event loop's last tick was" }),
    numberCell("Loop blocked", (process) => process.loop_blocked, duration, { alarm: true, title: "How long the event loop has not turned" }),
    textCell("On the loop", (process) => process.on_loop, "cut route"),
    textCell("Threads", pool, "number"),
    textCell("Version", (process) => process.version, "pale cut"),
    agoCell("Started", (process) => process.started),
  ]);

const pool = ({ pool_busy, pool_limit, pool_waiting }) =>
  pool_limit ? `${count(pool_busy)} of ${count(pool_limit)}${pool_waiting ? `, ${count(pool_waiting)} wait` : ""}` : "–";

export const routes = () =>
  machinery("Routes", "/api/routes", ["route"], "No route has scheduled work yet.", [
    textCell("Method", (route) => route.method, "tight pale"),
    { head: "Route", class: "wide", fill: (td, item) => setText(made(td, () => h("span.cut", { tabindex: "0", "data-row": true })), item.route) },
    serviceCell,
    numberCell("Scheduling", (route) => route.scheduling, count, { title: "Successful responses that handed work over" }),
    numberCell("Without", (route) => route.without, count, { title: "Successful responses that handed nothing over" }),
    { head: "Scheduled", class: "amounts", fill: (td, item) => amounts(td, item.scheduled) },
    { head: "Missed", class: "amounts", fill: (td, item) => amounts(td, item.missed) },
  ]);

function amounts(td, tasks) {
  const entries = Object.entries(tasks);
  td.classList.toggle("none", !entries.length);
  keyed(td, entries, ([task]) => task, amount);
}

function amount([task]) {
  const name = h("span");
  const times = h("span.num");
  setName(name, task);
  return { node: h("div.amount", name, times), show: ([, n]) => set(times, count(n)) };
}
