#!/usr/bin/env python3
"""Draws what a soak sampled: soak.py SAMPLES.csv OUT.svg. See tests/e2e/lib/samples.js."""

import csv
import sys

from svg import CURVES, GRID, SOFT, Canvas, nice_step, short

PHASES = {"harm": "#fee2e2", "heal": "#fef3c7", "calm": "#dcfce7", "check": "#e0e7ff"}
JUDGED = ("node-1", "sqlite")  # the processes that live as long as the run
WIDTH, LEFT, RIGHT, HEIGHT = 1080, 90, 40, 210


def load(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name, value in row.items():
            if name not in ("phase", "process"):
                row[name] = float(value)
    return rows


def phases(rows):
    """[(phase, from, to)] in the order of time."""
    spans = []
    for row in sorted(rows, key=lambda row: row["t_s"]):
        if not spans or spans[-1][0] != row["phase"]:
            spans.append([row["phase"], row["t_s"], row["t_s"]])
        spans[-1][2] = row["t_s"]
    return spans


class Panel:
    def __init__(self, canvas, top, title, end, high):
        self.canvas, self.top, self.end = canvas, top, max(end, 1.0)
        self.step = nice_step(high)
        self.high = self.step * max(1, -(-high // self.step))
        canvas.text(LEFT, top - 10, title, 13, bold=True)

    def x(self, seconds):
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.end

    def y(self, value):
        return self.top + HEIGHT * (1 - value / self.high)

    def ground(self, spans):
        for index, (phase, begin, end) in enumerate(spans):
            until = spans[index + 1][1] if index + 1 < len(spans) else end
            if phase in PHASES:
                self.canvas.rect(self.x(begin), self.top, self.x(until) - self.x(begin), HEIGHT,
                                 PHASES[phase])
        value = 0.0
        while value <= self.high * 1.001:
            self.canvas.line(LEFT, self.y(value), WIDTH - RIGHT, self.y(value))
            self.canvas.text(LEFT - 8, self.y(value) + 4, short(value), 11, "end", SOFT)
            value += self.step
        minutes = nice_step(self.end / 60, 10)
        at = 0.0
        while at * 60 <= self.end:
            self.canvas.line(self.x(at * 60), self.top + HEIGHT, self.x(at * 60),
                             self.top + HEIGHT + 4, GRID)
            self.canvas.text(self.x(at * 60), self.top + HEIGHT + 17, f"{at:g} min", 11, "middle",
                             SOFT)
            at += minutes

    def curve(self, points, colour):
        """[(seconds, value, pid)]: one line for each life of a process."""
        life = []
        for index, (seconds, value, pid) in enumerate(points):
            if index > 0 and points[index - 1][2] != pid:
                self.canvas.path(life, colour)
                life = []
            if len(life) > 1 and life[-1][1] == life[-2][1] == self.y(value):
                life.pop()  # in the middle of a level line
            life.append((self.x(seconds), self.y(value)))
        if life:
            self.canvas.path(life, colour)


def draw(rows, path):
    names = sorted({row["process"] for row in rows}, key=lambda name: (name not in JUDGED, name))
    colours = dict(zip(names, CURVES))
    spans, end = phases(rows), max(row["t_s"] for row in rows)
    panels = [
        ("Anonymous memory, MiB", lambda row: row["anon_kib"] / 1024),
        ("Descriptors, without those of client connections",
         lambda row: max(0.0, row["descriptors"] - row["connections"])),
        ("Threads", lambda row: row["threads"]),
        ("Users in memory", lambda row: row["users_awake"]),
    ]
    canvas = Canvas(WIDTH, 110 + len(panels) * (HEIGHT + 66))
    canvas.text(24, 36, "Soak: what each server took", 20, bold=True)
    at = 24
    for name in names:
        label = f"{name} (one process all the time)" if name in JUDGED else name
        canvas.rect(at, 54, 14, 14, colours[name], 3)
        canvas.text(at + 20, 66, label, 12)
        at += 46 + 7 * len(label)
    for phase, colour in PHASES.items():
        canvas.rect(at, 54, 14, 14, colour, 3)
        canvas.text(at + 20, 66, phase, 12)
        at += 70
    for index, (title, value) in enumerate(panels):
        panel = Panel(canvas, 116 + index * (HEIGHT + 66), title, end,
                      max(value(row) for row in rows))
        panel.ground(spans)
        for name in reversed(names):
            panel.curve([(row["t_s"], value(row), row["pid"]) for row in rows
                         if row["process"] == name], colours[name])
    canvas.write(path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: soak.py SAMPLES.csv OUT.svg")
    draw(load(sys.argv[1]), sys.argv[2])
