// Reading Prometheus' text format, and what a chart wants of it: rates and quantiles.

const samplePattern = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const labelPattern = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** name -> [{labels, value}] */
export function parseMetrics(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : samplePattern.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] || "").matchAll(labelPattern)) labels[name] = value;
    if (!families.has(match[1])) families.set(match[1], []);
    families.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return families;
}

function fits(sample, wanted) {
  return Object.entries(wanted).every(([name, value]) => sample.labels[name] === value);
}

/** Sum of a family's samples that have the wanted labels. */
export function sum(families, name, wanted = {}) {
  return (families.get(name) || [])
    .filter((sample) => fits(sample, wanted))
    .reduce((total, sample) => total + sample.value, 0);
}

/** The values of a label, in order of appearance. */
export function labelValues(families, name, label) {
  return [...new Set((families.get(name) || []).map((sample) => sample.labels[label]))];
}

/** Cumulative buckets of a histogram: Map(bound -> count), summed over what fits. */
export function buckets(families, name, wanted = {}) {
  const found = new Map();
  for (const sample of families.get(`${name}_bucket`) || []) {
    if (!fits(sample, wanted)) continue;
    const bound = sample.labels.le === "+Inf" ? Infinity : Number(sample.labels.le);
    found.set(bound, (found.get(bound) || 0) + sample.value);
  }
  return found;
}

/** What came between two readings of cumulative buckets. */
export function difference(newer, older) {
  return new Map([...newer].map(([bound, count]) => [bound, count - (older?.get(bound) || 0)]));
}

/** The quantile of cumulative buckets, interpolated within its bucket; null when empty. */
export function quantile(cumulative, share) {
  const bounds = [...cumulative.keys()].sort((a, b) => a - b);
  const total = cumulative.get(Infinity) || 0;
  if (total <= 0) return null;
  const rank = share * total;
  let below = 0;
  let start = 0;
  for (const bound of bounds) {
    const count = cumulative.get(bound);
    if (count >= rank) {
      if (bound === Infinity) return start;
      return start + (bound - start) * ((rank - below) / (count - below || 1));
    }
    below = count;
    start = bound;
  }
  return start;
}

/** 1234567 -> "1.23 M" */
export function formatCount(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  const whole = value >= 100 || Number.isInteger(value);
  return whole ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

/** Seconds -> "1.2 ms" */
export function formatSeconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 1) return `${value.toFixed(2)} s`;
  if (value >= 0.1) return `${Math.round(value * 1e3)} ms`;
  if (value >= 0.001) return `${(value * 1e3).toFixed(1)} ms`;
  return `${Math.round(value * 1e6)} µs`;
}
