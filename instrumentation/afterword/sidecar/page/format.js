// Numbers, times and names as people read them.

const GROUPED = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });
const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
// What hides or reorders other characters: a name must not look like another one.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

export const count = (n) => (Number.isFinite(n) ? GROUPED.format(n) : "–");

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** 0.0002 → < 1 ms, 0.34 → 340 ms, 3.25 → 3.3 s, 7500 → 2 h 5 m. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) return `−${duration(-seconds)}`;
  if (seconds < 0.001) return "< 1 ms";
  if (seconds < 0.9995) return `${trim(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${trim(seconds)} s`;
  return whole(seconds);
}

export function whole(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const first = UNITS.findIndex(([, size]) => rest >= size);
  if (first === -1) return "0 s";
  const words = [];
  for (const [unit, size] of UNITS.slice(first, first + 2)) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n) words.push(`${n} ${unit}`);
  }
  return words.join(" ");
}

const trim = (n) => (n < 9.95 ? n.toFixed(1).replace(/\.0$/, "") : n.toFixed(0));

export const timeOfDay = (at) => CLOCK.format(new Date(at * 1000));

export function clockTime(at) {
  const date = new Date(at * 1000);
  return (date.toDateString() === new Date().toDateString() ? CLOCK : DAY).format(date);
}

export const fullTime = (at) => FULL.format(new Date(at * 1000));

export function ago(at, now) {
  const seconds = now - at;
  if (seconds < -1) return `in ${whole(-seconds)}`;
  return seconds < 1 ? "now" : `${whole(seconds)} ago`;
}

/** The user's own text; what hides is spelt out. */
export const visible = (text) =>
  String(text).replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** "a.b.c" → ["a.b.", "c"]: where it lives, and what it is. */
export function nameParts(name) {
  const cut = name.slice(0, -1).lastIndexOf(".") + 1;
  return [name.slice(0, cut), name.slice(cut)];
}
