// A line chart over time, in SVG, redrawn as a whole: a few hundred points at most.

import { el, svg } from "./dom.js";

const width = 480;
const height = 170;
const edge = { left: 52, right: 8, top: 8, bottom: 20 };

/** The next of 1, 2, 5, 10, 20 … at or above a value. */
function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

function pathOf(points, x, y) {
  let path = "";
  let pen = false;
  for (const point of points) {
    if (point.value === null) {
      pen = false;
      continue;
    }
    path += `${pen ? "L" : "M"}${x(point.time).toFixed(1)} ${y(point.value).toFixed(1)}`;
    pen = true;
  }
  return path;
}

function areaOf(points, x, y) {
  const known = points.filter((point) => point.value !== null);
  if (known.length < 2) return "";
  const last = known[known.length - 1];
  const back = `L${x(last.time).toFixed(1)} ${y(0)}L${x(known[0].time).toFixed(1)} ${y(0)}Z`;
  return pathOf(known, x, y) + back;
}

/**
 * A panel with a chart in it.
 * series: [{name, points: [{time (ms), value | null}]}]; span: milliseconds shown.
 */
export function chart({ title, series, span, format, now }) {
  const highest = Math.max(0, ...series.flatMap((one) =>
    one.points.map((point) => point.value ?? 0)));
  const top = niceCeiling(highest);
  const x = (time) => edge.left + (width - edge.left - edge.right) * (1 - (now - time) / span);
  const y = (value) => edge.top + (height - edge.top - edge.bottom) * (1 - value / top);
  const lines = [0, 0.5, 1].map((share) => {
    const at = y(top * share);
    return [
      svg("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: at, y2: at }),
      svg("text", { x: edge.left - 6, y: at + 4, "text-anchor": "end" }, format(top * share)),
    ];
  });
  const seconds = Math.round(span / 1000);
  const ago = seconds > 90 ? `${Math.round(seconds / 60)} min ago` : `${seconds} s ago`;
  const marks = [
    svg("text", { x: edge.left, y: height - 4 }, ago),
    svg("text", { x: width - edge.right, y: height - 4, "text-anchor": "end" }, "now"),
  ];
  const traces = series.map((one, index) => svg("g", { class: `series-${index}` },
    index === 0 ? svg("path", { class: "area", d: areaOf(one.points, x, y) }) : null,
    svg("path", { class: "trace", d: pathOf(one.points, x, y) })));
  const latest = (one) => format(one.points[one.points.length - 1]?.value ?? null);
  return el("div", { class: "panel" },
    el("div", { class: "head" },
      el("h2", {}, title),
      el("div", { class: "legend" }, series.map((one, index) =>
        el("span", { class: `series-${index}` }, `${one.name} ${latest(one)}`)))),
    svg("svg", {
      class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `${title}: ${series.map((one) => `${one.name} ${latest(one)}`).join(", ")}`,
    }, lines.flat(), marks, traces));
}
