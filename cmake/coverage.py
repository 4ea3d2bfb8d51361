#!/usr/bin/env python3
"""Sums up what gcov counted, per folder: two columns of branches, a table, a picture, a bound.

usage: coverage.py COUNTS.json OUT [--write] [--least PERCENT]

COUNTS.json is gcovr's own format (gcovr --json). OUT gets coverage.md and coverage.svg; --write
puts both into docs/ as well, the table between the marks of docs/COVERAGE.md. Exit code: 1 when
the branches of runtime/ or actors/ that a test may take are covered by less than PERCENT (90).
"""

import argparse
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "COVERAGE.md")
BEGIN, END = "<!-- table: coverage -->", "<!-- end: coverage -->"
BOUND = ["runtime", "actors"]  # whole trees, which have to reach the bound
# Lines whose branches no test may take (the failing side of a CHECK ends the process), or that are
# inside of uthash's macros.
EXCLUDED = re.compile(r"\b(CHECK|HASH_[A-Z_]+)\(")


class Count:
    def __init__(self):
        self.lines, self.branches, self.takeable = [0, 0], [0, 0], [0, 0]

    def add(self, file, text):
        for line in file["lines"]:
            if line.get("gcovr/noncode"):
                continue
            tally(self.lines, line["count"])
            number = line["line_number"]
            excluded = number <= len(text) and EXCLUDED.search(text[number - 1])
            for branch in line["branches"]:
                tally(self.branches, branch["count"])
                if not excluded:
                    tally(self.takeable, branch["count"])


def tally(pair, count):
    pair[0] += count > 0
    pair[1] += 1


def percent(pair):
    return 100.0 * pair[0] / pair[1] if pair[1] else 100.0


def folders_of(path):
    """The folders whose sums a file is part of: its own, and the whole tree of a bound one."""
    own = os.path.dirname(path)
    top = path.split("/", 1)[0]
    return {own, top} if top in BOUND else {own}


def read_counts(path):
    sums = {}
    with open(path, encoding="utf-8") as file:
        counts = json.load(file)
    for entry in counts["files"]:
        with open(os.path.join(ROOT, entry["file"]), encoding="utf-8") as source:
            text = source.read().split("\n")
        for folder in folders_of(entry["file"]):
            sums.setdefault(folder, Count()).add(entry, text)
    return sums


def order(folder):
    tops = BOUND + ["adapters", "server", "clients"]
    top = folder.split("/", 1)[0]
    return (tops.index(top) if top in tops else len(tops), folder)


def table(sums):
    rows = ["| folder | lines | branches | branches without CHECK and uthash |",
            "|---|---|---|---|"]
    for folder in sorted(sums, key=order):
        strong = "**" if folder in BOUND else ""
        cells = [percent(pair) for pair in (sums[folder].lines, sums[folder].branches,
                                            sums[folder].takeable)]
        rows.append(f"| {strong}{folder}{strong} | "
                    + " | ".join(f"{strong}{cell:.1f} %{strong}" for cell in cells) + " |")
    return "\n".join(rows) + "\n"


# ---- the picture ---------------------------------------------------------------------------------

LEFT, WIDTH, ROW, TOP = 190, 560, 26, 84
LINES, BRANCHES, BELOW, TEXT, FAINT = "#9ca3af", "#2563eb", "#d97706", "#1f2937", "#6b7280"


def text_at(x, y, words, size=12.5, fill=TEXT, anchor="start", weight="normal"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{words}</text>')


def rect_at(x, y, width, height, fill):
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{fill}" rx="2"/>'


def bars(folder, count, y, least):
    takeable, lines = percent(count.takeable), percent(count.lines)
    fill = BRANCHES if takeable >= least else BELOW
    weight = "bold" if folder in BOUND else "normal"
    return [text_at(LEFT - 10, y + 14, folder, anchor="end", weight=weight),
            rect_at(LEFT, y + 2, WIDTH * takeable / 100, 12, fill),
            rect_at(LEFT, y + 16, WIDTH * lines / 100, 4, LINES),
            text_at(LEFT + WIDTH + 10, y + 14, f"{takeable:.1f} %", weight=weight)]


def picture(sums, least):
    folders = sorted(sums, key=order)
    bottom = TOP + ROW * len(folders)
    total = LEFT + WIDTH + 80
    # Its own light background: it is read on a dark page as well.
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{bottom + 40}" '
             f'viewBox="0 0 {total} {bottom + 40}" font-family="sans-serif">',
             '<rect width="100%" height="100%" fill="white"/>',
             text_at(24, 34, "What the suite takes, per folder", 18, weight="bold"),
             rect_at(24, 50, 14, 12, BRANCHES),
             text_at(44, 60, "branches without CHECK and uthash"),
             rect_at(290, 50, 14, 12, BELOW), text_at(310, 60, f"the same, below {least:.0f} %"),
             rect_at(476, 54, 14, 4, LINES), text_at(496, 60, "lines")]
    for tick in range(0, 101, 20):
        x = LEFT + WIDTH * tick / 100
        parts.append(f'<line x1="{x}" y1="{TOP - 4}" x2="{x}" y2="{bottom}" stroke="#e5e7eb"/>')
        parts.append(text_at(x, bottom + 18, f"{tick} %", 11.5, FAINT, "middle"))
    for row, folder in enumerate(folders):
        parts += bars(folder, sums[folder], TOP + ROW * row, least)
    x = LEFT + WIDTH * least / 100
    parts.append(f'<line x1="{x}" y1="{TOP - 4}" x2="{x}" y2="{bottom}" stroke="{BELOW}" '
                 'stroke-dasharray="4 3"/>')
    parts.append(text_at(x, bottom + 18, f"{least:.0f} %", 11.5, BELOW, "middle"))
    return "\n".join(parts + ["</svg>"]) + "\n"


# ---- output --------------------------------------------------------------------------------------

def put(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_docs(rows, drawn):
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    put(PAGE, f"{before}{BEGIN}\n{rows}{END}{after}")
    put(os.path.join(ROOT, "docs", "coverage.svg"), drawn)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("counts")
    parser.add_argument("out")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--least", type=float, default=90.0)
    options = parser.parse_args()
    sums = read_counts(options.counts)
    rows, drawn = table(sums), picture(sums, options.least)
    put(os.path.join(options.out, "coverage.md"), rows)
    put(os.path.join(options.out, "coverage.svg"), drawn)
    if options.write:
        write_docs(rows, drawn)
    print(rows, end="")
    low = [tree for tree in BOUND
           if tree not in sums or percent(sums[tree].takeable) < options.least]
    for tree in low:
        print(f"coverage: {tree}/ has less than {options.least:.0f} % of its branches",
              file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
