"""The runs of a report: raw.jsonl, medians, ratios within a repeat, bars of a plot."""

import json
import statistics

# "Not slower" cannot be told from noise below this on a shared machine.
NOISE = 0.95


class Runs:
    def __init__(self, path):
        self.lines = []
        with open(path, encoding="utf-8", errors="replace") as file:
            self.lines = [json.loads(line) for line in file if line.strip()]

    def keys(self):
        return list(dict.fromkeys((line["scenario"], line["variant"], line["role"])
                                  for line in self.lines if line["repeat"] > 0))

    def values(self, scenario, variant, role, metric):
        """repeat -> value of the metric ("latency_us.p99" looks into an inner object)."""
        found = {}
        for line in self.lines:
            if (line["scenario"], line["variant"], line["role"]) != (scenario, variant, role):
                continue
            value = line["result"]
            for name in metric.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None and line["repeat"] > 0:
                found[line["repeat"]] = float(value)
        return found

    def ratio(self, one, other):
        """Median over the repeats of one's value by the other's; None when there is none."""
        ones, others = self.values(*one), self.values(*other)
        ratios = [ones[i] / others[i] for i in ones if others.get(i)]
        return statistics.median(ratios) if ratios else None

    def curves(self, scenario):
        """[(label, [(percent, microseconds)])] of an open loop, by share of the peak."""
        curves = []
        for share in ("30%", "50%", "70%", "90%"):
            lines = [line["result"] for line in self.lines if line["repeat"] > 0 and
                     (line["scenario"], line["variant"]) == (scenario, share)]
            if not lines:
                continue
            points = [(lines[0]["percentiles"][i][0],
                       statistics.median(line["percentiles"][i][1] for line in lines))
                      for i in range(len(lines[0]["percentiles"]))]
            rate = statistics.median(line["requests_per_s"] for line in lines)
            curves.append((f"{share} of peak: {rate:,.0f}/s", points))
        return curves


class Figure:
    """Median, lowest and highest of a metric's repeats."""

    def __init__(self, values):
        self.all = list(values.values())
        self.median = statistics.median(self.all) if self.all else None
        self.low = min(self.all, default=None)
        self.high = max(self.all, default=None)


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def bar(runs, label, key, beside=None, goal=None, metric="ops_per_s"):
    """One bar, or none when it was not measured; the note is its factor against `beside`."""
    figure = Figure(runs.values(*key, metric))
    if figure.median is None:
        return []
    ratio = runs.ratio((*key, metric), beside) if beside else None
    note = f"{ratio:.2f}\u00d7" if ratio is not None else ""
    return [{"label": label, "role": key[2], "median": figure.median, "low": figure.low,
             "high": figure.high, "note": note, "goal": goal}]
