// Three small charts that share their time, drawn by uPlot.

import { h, set } from "./dom.js";
import { count, timeOfDay } from "./format.js";

const HEIGHT = 112;
const PANELS = [
  { title: "Runs per second", unit: "/s", lines: [["scheduled", "--text"], ["succeeded", "--ok"]] },
  { title: "Open runs", unit: "", lines: [["waiting", "--waiting"], ["running", "--accent"]] },
  { title: "Bad endings", unit: "", lines: [["bad", "--bad"]], bars: true },
];

export function charts() {
  const panels = PANELS.map(panel);
  const node = h("div.charts", ...panels.map((one) => one.node));
  const resized = new ResizeObserver(() => panels.forEach((one) => one.fit()));
  resized.observe(node);
  return {
    node,
    show(series) {
      const values = columns(series);
      for (const one of panels) one.show(series.at, values);
    },
    close() {
      resized.disconnect();
      for (const one of panels) one.close();
    },
  };
}

function columns(series) {
  const growth = (total) => total.map((value, i) => (i ? Math.max(0, value - total[i - 1]) : null));
  const rate = (total) => growth(total).map((value) => (value === null ? null : value / series.step));
  return {
    waiting: series.waiting,
    running: series.running,
    scheduled: rate(series.scheduled),
    succeeded: rate(series.succeeded),
    bad: growth(series.bad),
  };
}

function panel({ title, unit, lines, bars }) {
  const values = lines.map(() => h("b.num"));
  const legend = lines.map(([name], i) => h("span", h("i", { class: `swatch t-${name}` }), `${name} `, values[i]));
  const when = h("span.pale.num");
  const place = h("div.plot", { "aria-hidden": "true" });
  const node = h("figure", h("figcaption", h("h3", title), ...legend, when), place);
  let plot = null;

  function read(index) {
    const data = plot.data;
    const at = index ?? data[0].length - 1;
    lines.forEach((_, i) => set(values[i], spoken(data[i + 1][at], unit)));
    set(when, index === null || index === undefined ? "" : timeOfDay(data[0][at]));
  }

  return {
    node,
    show(at, found) {
      const data = [at, ...lines.map(([name]) => found[name])];
      if (at.length < 2) return lines.forEach((_, i) => set(values[i], "–"));
      plot ??= draw(place, lines, bars, read);
      plot.setData(data);
      read(plot.cursor.idx);
    },
    fit() {
      if (plot && place.clientWidth && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: HEIGHT });
    },
    close: () => plot?.destroy(),
  };
}

function spoken(value, unit) {
  if (value === null || value === undefined) return "–";
  return `${Number.isInteger(value) ? count(value) : value.toFixed(1)}${unit}`;
}

function draw(place, lines, bars, read) {
  const paths = bars ? uPlot.paths.bars({ size: [0.8, 12, 2], align: -1 }) : uPlot.paths.linear();
  const series = lines.map(([, colour]) => ({
    stroke: () => paint(colour),
    fill: () => faint(paint(colour), bars ? 0.9 : 0.12),
    width: bars ? 0 : 1.5,
    paths,
    points: { show: false },
  }));
  const options = {
    width: place.clientWidth || 300,
    height: HEIGHT,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: "afterword" }, y: false, drag: { x: false, y: false }, points: { show: !bars, size: 6 } },
    scales: { y: { range: (_, low, high) => [0, Math.max(bars ? 4 : 1, high * 1.1)] } },
    axes: [
      axis({ space: 72, size: 24, values: (_, ticks, _axis, _space, step) => ticks.map((at) => timeOfDay(at).slice(0, step < 60 ? 8 : 5)) }),
      axis({ space: 32, size: (_, values) => 12 + 7 * Math.max(1, ...(values ?? []).map((value) => value.length)) }),
    ],
    series: [{}, ...series],
    hooks: { setCursor: [(plot) => read(plot.cursor.idx)] },
  };
  return new uPlot(options, [[], ...lines.map(() => [])], place);
}

const axis = (more) => ({
  stroke: () => paint("--pale"),
  font: "11px system-ui, sans-serif",
  grid: { stroke: () => paint("--line"), width: 1 },
  ticks: { show: false },
  gap: 4,
  ...more,
});

let probe = null;

/** A colour of the style sheet, resolved for the theme that holds now. */
function paint(name) {
  probe ??= document.body.appendChild(h("span", { hidden: true }));
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

const faint = (colour, alpha) => colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
