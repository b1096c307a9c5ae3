// The runs that ended badly, newest first, as far as they are kept one by one.

import { ENDINGS, KINDS, agoCell, choiceOf, endingCell, processCell, routeCell, runCell, serviceCell, textCell } from "../parts.js";
import { clockTime, count, visible } from "../format.js";
import { listing } from "../listing.js";
import { table } from "../table.js";

const keyOf = ({ number }) => String(number);
const reasonCell = textCell("Reason", ({ reason, phase }) => (phase ? `${reason}, while ${phase}` : reason), "cut reason-cell");
const endedCell = agoCell("Ended", ({ ended }) => ended);

export const endingTable = () => table("Bad endings", [endingCell, runCell, reasonCell, routeCell, processCell, endedCell], keyOf);

export const endings = () =>
  listing({
    title: "Bad endings",
    path: "/api/endings",
    asks: ["service", "task", "kind", "ending", "reason", "before"],
    choices: [choiceOf("ending", ENDINGS), choiceOf("kind", KINDS)],
    columns: [endingCell, runCell, reasonCell, serviceCell, routeCell, processCell, endedCell],
    keyOf,
    words: ["bad ending"],
    nothing: "No run that is kept ended badly.",
    remark: ({ sidecar }) => keptSentence(sidecar.history),
  });

export function keptSentence(history) {
  if (history.problem) return `The history ${visible(history.problem)}.`;
  const since = history.since === null ? "" : `, since ${clockTime(history.since)}`;
  const missed = history.missed ? `; ${count(history.missed)} more were never kept one by one` : "";
  return `${count(history.kept)} of at most ${count(history.limit)} are kept${since}${missed}.`;
}
