"""Charts as SVG text, with nothing but the standard library: bars, stacked bars, percentiles."""

import math
from xml.sax.saxutils import escape

FONT = "font-family=\"'DejaVu Sans', Verdana, sans-serif\""
INK, SOFT, GRID = "#1f2937", "#6b7280", "#e5e7eb"
ROLES = {  # role -> colour, name in the legend
    "server": ("#2563eb", "Holdfast"),
    "limit": ("#9ca3af", "R: the store alone"),
    "lookups": ("#d1d5db", "R with look-ups of keys"),
    "peer": ("#d97706", "peer"),
}
# One colour per curve, from calm to alarming.
CURVES = ["#0d9488", "#2563eb", "#9333ea", "#dc2626", "#ea580c", "#4b5563"]


class Canvas:
    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def rect(self, x, y, width, height, fill, radius=0):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
                          f'height="{height:.1f}" fill="{fill}" rx="{radius}"/>')

    def line(self, x1, y1, x2, y2, stroke=GRID, width=1.0, dash=""):
        dash = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{stroke}" stroke-width="{width}"{dash}/>')

    def path(self, points, stroke):
        data = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{data}" fill="none" stroke="{stroke}" '
                          f'stroke-width="2.5" stroke-linejoin="round"/>')

    def dot(self, x, y, fill):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}"/>')

    def text(self, x, y, text, size=13, anchor="start", fill=INK, bold=False):
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" '
                          f'text-anchor="{anchor}"{weight}>{escape(text)}</text>')

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
                       f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" {FONT}>\n'
                       f'<rect width="100%" height="100%" fill="white"/>\n')
            file.write("\n".join(self.parts))
            file.write("\n</svg>\n")


def nice_step(top, steps=4):
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that needs at most `steps` steps."""
    if top <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(top / steps))
    for factor in (1, 2, 2.5, 5, 10):
        if factor * power * steps >= top:
            return factor * power
    return 10 * power


def short(value):
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    if value >= 1e3:
        return f"{value / 1e3:g}k"
    return f"{value:g}"


def bars(path, title, subtitle, panels):
    """panels: [(title, unit, [bar])]; bar: label, role, median, low, high, note, goal (or None)."""
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        return False
    left, right, width, row = 210, 190, 960, 30
    height = 118 + sum(86 + row * len(panel[2]) for panel in panels)
    canvas = Canvas(width, height)
    canvas.text(24, 38, title, 20, bold=True)
    canvas.text(24, 60, subtitle, 12.5, fill=SOFT)
    x = 24
    shown = {bar["role"] for panel in panels for bar in panel[2]}
    for role, (colour, name) in ROLES.items():
        if role in shown:
            canvas.rect(x, 76, 14, 14, colour, 2)
            canvas.text(x + 20, 88, name, 12.5)
            x += 44 + 8 * len(name)
    canvas.text(width - 24, 88, "bar: median; whisker: lowest and highest run", 12, "end", SOFT)
    y = 118
    for panel_title, unit, panel_bars in panels:
        canvas.text(24, y + 18, panel_title, 15, bold=True)
        canvas.text(width - right, y + 18, unit, 12, "end", SOFT)
        top = max(max(bar["high"], bar["goal"] or 0) for bar in panel_bars)
        step = nice_step(top)
        scale = (width - left - right) / (step * math.ceil(top / step))
        y += 32
        bottom = y + row * len(panel_bars)
        tick = 0.0
        while tick * scale <= width - left - right + 0.5:
            canvas.line(left + tick * scale, y, left + tick * scale, bottom + 4)
            canvas.text(left + tick * scale, bottom + 20, short(tick), 11.5, "middle", SOFT)
            tick += step
        for bar in panel_bars:
            middle = y + row / 2
            colour = ROLES[bar["role"]][0]
            canvas.text(left - 10, middle + 4.5, bar["label"], 13, "end")
            canvas.rect(left, y + 5, bar["median"] * scale, row - 10, colour, 2)
            if bar["high"] > bar["low"]:
                low, high = left + bar["low"] * scale, left + bar["high"] * scale
                canvas.line(low, middle, high, middle, INK, 1.4)
                canvas.line(low, middle - 5, low, middle + 5, INK, 1.4)
                canvas.line(high, middle - 5, high, middle + 5, INK, 1.4)
            if bar["goal"]:
                goal = left + bar["goal"] * scale
                canvas.line(goal, y + 1, goal, y + row - 1, "#dc2626", 2, "4 3")
            value = f"{bar['median']:,.0f}" + (f"\u2003{bar['note']}" if bar["note"] else "")
            canvas.text(width - right + 12, middle + 4.5, value, 13, bold=bar["role"] == "server")
            y += row
        y = bottom + 54
    if any(bar["goal"] for panel in panels for bar in panel[2]):
        canvas.line(24, height - 22, 44, height - 22, "#dc2626", 2, "4 3")
        canvas.text(52, height - 17, "goal", 12.5, fill=SOFT)
    canvas.write(path)
    return True


def stacked(path, title, subtitle, parts, rows, unit):
    """rows: [(label, [value of each part])]; too long a bar is cut and its number tells."""
    if not rows:
        return False
    left, right, width, row = 210, 190, 960, 34
    canvas = Canvas(width, 150 + row * len(rows))
    canvas.text(24, 38, title, 20, bold=True)
    canvas.text(24, 60, subtitle, 12.5, fill=SOFT)
    x = 24
    for index, name in enumerate(parts):
        canvas.rect(x, 76, 14, 14, CURVES[index], 2)
        canvas.text(x + 20, 88, name, 12.5)
        x += 44 + 8 * len(name)
    totals = sorted(sum(values) for _, values in rows)
    # One that is far beyond the others would make them invisible.
    top = totals[-1] if len(totals) < 2 or totals[-1] < 4 * totals[-2] else 1.25 * totals[-2]
    step = nice_step(top)
    edge = step * math.ceil(top / step)
    scale = (width - left - right) / edge
    y = 108
    bottom = y + row * len(rows)
    for index in range(round(edge / step) + 1):
        canvas.line(left + index * step * scale, y, left + index * step * scale, bottom + 4)
        canvas.text(left + index * step * scale, bottom + 20, short(index * step), 11.5, "middle",
                    SOFT)
    for label, values in rows:
        canvas.text(left - 10, y + row / 2 + 4.5, label, 13, "end")
        x = 0.0
        for index, value in enumerate(values):
            shown = min(value, max(edge - x, 0))
            canvas.rect(left + x * scale, y + 5, shown * scale, row - 10, CURVES[index])
            x += shown
        total = sum(values)
        if total > edge:
            for offset in (0, 7):
                canvas.line(width - right - 14 + offset, y + row - 3, width - right - 8 + offset,
                            y + 3, "white", 3)
        canvas.text(width - right + 12, y + row / 2 + 4.5, f"{total:,.1f} {unit}", 13)
        y += row
    canvas.write(path)
    return True


def percentiles(path, title, subtitle, curves, goal_us):
    """curves: [(label, [(percent, microseconds)])]; the x axis is how many nines are in percent."""
    curves = [curve for curve in curves if curve[1]]
    if not curves:
        return False
    width, height, left, right, top, bottom = 960, 540, 84, 190, 96, 64
    canvas = Canvas(width, height)
    canvas.text(24, 38, title, 20, bold=True)
    canvas.text(24, 60, subtitle, 12.5, fill=SOFT)
    values = [us for _, points in curves for _, us in points if us > 0] + [goal_us]
    low = math.floor(math.log10(min(values)))
    high = math.ceil(math.log10(max(values)))
    nines_max = 4.0

    def x_of(percent):
        nines = -math.log10(max(1 - percent / 100, 10 ** -nines_max))
        return left + nines / nines_max * (width - left - right)

    def y_of(us):
        share = (math.log10(max(us, 1)) - low) / max(high - low, 1)
        return height - bottom - share * (height - top - bottom)

    for percent, label in ((0, "0"), (50, "50"), (90, "90"), (99, "99"), (99.9, "99.9"),
                           (99.99, "99.99")):
        canvas.line(x_of(percent), top, x_of(percent), height - bottom)
        canvas.text(x_of(percent), height - bottom + 20, label, 12, "middle", SOFT)
    canvas.text((left + width - right) / 2, height - 16,
                "percentile of requests (each decade is one nine more)", 12.5, "middle", SOFT)
    for power in range(low, high + 1):
        for factor in (1, 2, 5):
            us = factor * 10.0 ** power
            if us > 10.0 ** high:
                break
            canvas.line(left, y_of(us), width - right, y_of(us), GRID, 1.0 if factor == 1 else 0.5)
            if factor == 1:
                label = f"{us / 1e6:g} s" if us >= 1e6 else (
                    f"{us / 1e3:g} ms" if us >= 1e3 else f"{us:g} \u00b5s")
                canvas.text(left - 10, y_of(us) + 4, label, 12, "end", SOFT)
    canvas.line(left, y_of(goal_us), width - right, y_of(goal_us), "#dc2626", 1.5, "6 4")
    canvas.text(left + 8, y_of(goal_us) - 6, f"goal for p99: {goal_us / 1000:g} ms", 12,
                fill="#dc2626")
    ends = []
    for index, (label, points) in enumerate(curves):
        colour = CURVES[index % len(CURVES)]
        shown = [(x_of(percent), y_of(us)) for percent, us in points
                 if us > 0 and percent <= 100 - 10 ** (2 - nines_max)]
        canvas.path(shown, colour)
        for percent, us in points:
            if percent in (50, 90, 99, 99.9) and us > 0:
                canvas.dot(x_of(percent), y_of(us), colour)
        ends.append([shown[-1][1], label, colour])
    # Labels at the ends of the curves, pushed apart where they would overlap.
    ends.sort()
    for index in range(1, len(ends)):
        ends[index][0] = max(ends[index][0], ends[index - 1][0] + 18)
    for y, label, colour in ends:
        canvas.text(width - right + 10, y + 4, label, 12.5, fill=colour, bold=True)
    canvas.write(path)
    return True
