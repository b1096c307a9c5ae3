// What keeps the sidecar from seeing everything, in sentences.

import { count, plural, visible } from "./format.js";

const total = (amounts) => Object.values(amounts).reduce((all, n) => all + n, 0);

export function troubles(sidecar) {
  const unreadable = total(sidecar.unreadable);
  const unaccounted = total(sidecar.unaccounted);
  return [
    sidecar.problem && `The directory of the ledgers: ${visible(sidecar.problem)}.`,
    unreadable && `${plural(unreadable, "ledger")} cannot be read (${reasons(sidecar.unreadable)}): what they account for is not shown.`,
    sidecar.unknown && `${plural(sidecar.unknown, "ledger")} cannot be opened: the sidecar has to run as the user of the application.`,
    unaccounted && `${plural(unaccounted, "process", "processes")} keep no accounts (${reasons(sidecar.unaccounted)}): what they owe is not shown.`,
    sidecar.fold_errors && `${plural(sidecar.fold_errors, "dead ledger")} could not be added to the totals.`,
    sidecar.history.problem && `The history of bad endings ${visible(sidecar.history.problem)}.`,
  ].filter(Boolean);
}

const reasons = (amounts) => Object.entries(amounts).map(([name, n]) => `${visible(name)} ${count(n)}`).join(", ");
