// Open runs, nearest to their limits or oldest first, a page at a time.

import { KINDS, STATES, ageCell, choiceOf, kindCell, processCell, routeCell, runCell, serviceCell, stateCell } from "../parts.js";
import { listing } from "../listing.js";
import { table } from "../table.js";

const keyOf = ({ id }) => id;

export const runTable = () => table("Open runs", [stateCell, runCell, ageCell, routeCell, processCell], keyOf);

export const runs = () =>
  listing({
    title: "Open runs",
    path: "/api/runs",
    asks: ["service", "task", "kind", "state", "process", "sort", "offset"],
    choices: [
      choiceOf("state", STATES),
      choiceOf("kind", KINDS),
      { name: "sort", label: "Order", options: [["", "nearest to the limit"], ["age", "oldest first"]] },
    ],
    columns: [stateCell, runCell, ageCell, kindCell, serviceCell, routeCell, processCell],
    keyOf,
    words: ["open run"],
    nothing: "Nothing waits and nothing runs.",
  });
