"""Turns bench/out/raw.jsonl into results.csv, report.md and the plots.

usage: report.py FOLDER [--seconds N]     status 1 when some replies were not as expected.

Each line of raw.jsonl is one run: scenario, variant, role (server, limit, lookups, pgbench, peer),
repeat, result. Repeat 0 warms up and does not count. Ratios are taken within a repeat, between runs
that lay side by side, and the median of the ratios is what is reported: on a shared machine figures
of different minutes say little about each other.
"""

import argparse
import csv
import os
import platform
import shutil
import subprocess
import sys
import time

import postgres
import svg
from runs import NOISE, Figure, Runs, bar, number

# result field -> unit, in results.csv
METRICS = {
    "requests_per_s": "1/s",
    "ops_per_s": "1/s",
    "rows_per_s": "1/s",
    "fsyncs_per_s": "1/s",
    "latency_us.p50": "us",
    "latency_us.p90": "us",
    "latency_us.p99": "us",
    "latency_us.p999": "us",
    "latency_us.max": "us",
    "p50_us": "us",
    "p99_us": "us",
    "generator_cpu_us_per_request": "us",
    "server_cpu_us_per_request": "us",
    "server_cpu_us_per_op": "us",
    "store_cpu_us_per_op": "us",
    "generator_cpu_us_per_op": "us",
    "resident_kb_after": "kB",
    "bytes_per_user": "bytes",
    "activations_per_s": "1/s",
    "batch": "ops",
    "connections": "",
    "bytes_per_entry": "bytes",
    "wal_bytes_per_entry": "bytes",
    "ready_ms": "ms",
    "stop_ms": "ms",
    "setup_users_per_s": "1/s",
    "setup_grants_per_s": "1/s",
}
TROUBLES = ("unexpected", "unanswered", "broken", "bad_replies", "connects_failed")


def write_csv(runs, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["scenario", "variant", "role", "metric", "unit", "median", "lowest",
                         "highest", "runs", "values"])
        for scenario, variant, role in runs.keys():
            for metric, unit in METRICS.items():
                values = runs.values(scenario, variant, role, metric)
                if not values:
                    continue
                figure = Figure(values)
                writer.writerow([scenario, variant, role, metric, unit, f"{figure.median:g}",
                                 f"{figure.low:g}", f"{figure.high:g}", len(figure.all),
                                 " ".join(f"{value:g}" for value in figure.all)])


def goals(runs):
    """(what, measured, beside, goal, met or None) for each goal that was measured."""
    rows = []

    def median(*key):
        return Figure(runs.values(*key)).median

    def add(what, measured, beside, goal, met):
        rows.append((what, measured, beside, goal, met))

    single = ("single", "256", "server", "ops_per_s")
    limit = ("single", "256", "limit", "rows_per_s")
    ops = median(*single)
    if ops is not None:
        ratio = runs.ratio(single, limit)
        batch = median("single", "256", "limit", "batch")
        if ratio is not None:
            lookups = ("single", "256", "lookups", "rows_per_s")
            add("Single durable ops, 256 connections, by R", f"{ratio:.2f} R",
                f"R = {number(median(*limit))}/s at batches of {number(batch)}; "
                f"{runs.ratio(single, lookups):.2f} of {number(median(*lookups))}/s "
                "with look-ups of keys", "≥ 0.60 R", ratio >= 0.6)
        add("Single durable ops, 256 connections", f"{number(ops)}/s", "", "≥ 18,000/s, aim 25,000",
            ops >= 18000)
        p99 = median("single", "256", "server", "latency_us.p99") / 1000
        add("p99 of them", f"{p99:.1f} ms", "", "≤ 25 ms", p99 <= 25)
    batch = ("batch", "50", "server", "ops_per_s")
    ratio = runs.ratio(batch, ("batch", "50", "limit", "rows_per_s"))
    if ratio is not None:
        lookups = ("batch", "50", "lookups", "rows_per_s")
        add("Batches of 50, by R", f"{ratio:.2f} R",
            f"{number(median(*batch))}/s; R = "
            f"{number(median('batch', '50', 'limit', 'rows_per_s'))}/s; "
            f"{runs.ratio(batch, lookups):.2f} of {number(median(*lookups))}/s "
            "with look-ups of keys", "≥ 0.80 R", ratio >= 0.8)
    hot = ("choice", "hot", "server", "ops_per_s")
    uniform = ("choice", "uniform", "server", "ops_per_s")
    ratio = runs.ratio(hot, uniform)
    if ratio is not None:
        add("One hot user by uniform users", f"{ratio:.2f}",
            f"{number(median(*hot))}/s and {number(median(*uniform))}/s",
            f"not slower (≥ {NOISE} within noise)", ratio >= NOISE)
    reads = ("reads", "balances", "server", "ops_per_s")
    peer = ("reads", "balances", "peer", "ops_per_s")
    ratio = runs.ratio(reads, peer)
    if ratio is not None:
        add("Reads of balances by nginx with a fixed reply", f"{ratio:.2f}",
            f"{number(median(*reads))}/s and {number(median(*peer))}/s", "≥ 0.70", ratio >= 0.7)
    live = median("memory", "live", "server", "bytes_per_user")
    if live is not None:
        written = median("memory", "written", "server", "bytes_per_user")
        add("Memory of a live user", f"{number(live)} bytes",
            f"{number(written)} bytes after a spend", "≤ 512 bytes",
            max(live, written or 0) <= 512)
    idle = median("memory", "idle", "server", "bytes_per_user")
    if idle is not None:
        add("Memory of an idle user", f"{number(idle, 1)} bytes",
            "growth over users that were touched and left again", "none (≤ 8: page noise)",
            idle <= 8)
    ratio = runs.ratio(("many", "many", "server", "ops_per_s"),
                       ("many", "few", "server", "ops_per_s"))
    if ratio is not None:
        add("Many users by one thousand, once warm", f"{ratio:.2f}",
            f"{number(median('many', 'many', 'server', 'ops_per_s'))}/s and "
            f"{number(median('many', 'few', 'server', 'ops_per_s'))}/s", "≥ 0.90", ratio >= 0.9)
    ready = median("start", "ready", "server", "ready_ms")
    if ready is not None:
        add("Start to ready on the database of many users", f"{ready:.0f} ms", "", "≤ 100 ms",
            ready <= 100)
    return rows + postgres.goals(runs)


def table(runs, scenario, columns):
    """Markdown rows of a scenario; columns: (title, metric, digits)."""
    lines = ["| variant | role | " + " | ".join(title for title, _, _ in columns) + " |",
             "|---|---|" + "---:|" * len(columns)]
    for name, variant, role in runs.keys():
        if name != scenario:
            continue
        cells = []
        for _, metric, digits in columns:
            figure = Figure(runs.values(name, variant, role, metric))
            if figure.median is None:
                cells.append("")
                continue
            cell = number(figure.median, digits)
            if len(figure.all) > 1 and metric.endswith("_per_s"):
                cell += f" ({number(figure.low, digits)}–{number(figure.high, digits)})"
            cells.append(cell)
        lines.append(f"| {variant} | {role} | " + " | ".join(cells) + " |")
    return lines if len(lines) > 2 else []


LOAD = [("ops/s (lowest–highest)", "ops_per_s", 0), ("limit rows/s", "rows_per_s", 0),
        ("p50 µs", "latency_us.p50", 0), ("p99 µs", "latency_us.p99", 0),
        ("p99.9 µs", "latency_us.p999", 0), ("server µs/op", "server_cpu_us_per_op", 1),
        ("generator µs/request", "generator_cpu_us_per_request", 1)]
SECTIONS = [
    ("single", "Single durable ops (spend with balance check), by number of connections", LOAD),
    ("batch", "Batches, by size", LOAD),
    ("choice", "Which users: uniform, Zipf 1.0, one", LOAD),
    ("kinds", "Kinds of ops, 256 connections", LOAD),
    ("reads", "Reads of balances, 64 connections; the peer is nginx", LOAD),
    ("latency", "Open loop: latency from the scheduled time, by share of the peak", LOAD),
    ("many", "Few and many users, both warm; cold: first touch of each", LOAD),
    ("memory", "Memory of users", [("bytes per user", "bytes_per_user", 1),
                                   ("activations/s", "activations_per_s", 0)]),
    ("start", "Start and stop", [("ready ms", "ready_ms", 1), ("stop ms", "stop_ms", 1)]),
    ("fsync", "The disk: fdatasync of 8 KiB appends", [("per second", "fsyncs_per_s", 0),
                                                       ("p50 µs", "p50_us", 0),
                                                       ("p99 µs", "p99_us", 0)]),
    ("generator", "The generator itself, against nginx",
     [("requests/s", "requests_per_s", 0),
      ("generator µs/request", "generator_cpu_us_per_request", 2)]),
    *postgres.SECTIONS,
    ("setup", "Set-up through the API", [("users/s", "setup_users_per_s", 0),
                                         ("grants/s", "setup_grants_per_s", 0)]),
]


def with_limit(runs, scenario, variant, label):
    key = (scenario, variant, "server")
    limit = (scenario, variant, "limit")
    share = {("single", "256"): 0.6, ("batch", "50"): 0.8}.get((scenario, variant))
    rows = Figure(runs.values(*limit, "rows_per_s")).median
    goal = share * rows if share and rows else None
    return (bar(runs, label, key, (*limit, "rows_per_s"), goal) +
            bar(runs, "R", limit, metric="rows_per_s") +
            bar(runs, "R with look-ups", (scenario, variant, "lookups"), metric="rows_per_s"))


def plot_throughput(runs, folder):
    single = with_limit(runs, "single", "256", "256 connections")
    for connections in ("64", "8"):
        single += bar(runs, f"{connections} connections", ("single", connections, "server"))
    batch = []
    for size in ("8", "50", "1000"):
        batch += with_limit(runs, "batch", size, f"batches of {size}")
    peer = ("reads", "balances", "peer")
    rate = Figure(runs.values(*peer, "ops_per_s")).median
    reads = bar(runs, "Holdfast", ("reads", "balances", "server"), (*peer, "ops_per_s"),
                0.7 * rate if rate else None) + bar(runs, "nginx, fixed reply", peer)
    return svg.bars(os.path.join(folder, "throughput.svg"), "Durable throughput beside its limit",
                    "generator, server and store share one machine; closed loop; "
                    "the factor is against R or the peer of the same run",
                    [("Single ops: POST /v1/ops, one in flight per connection", "ops/s", single),
                     ("Batches: POST /v1/ops/batch", "ops/s", batch),
                     ("Reads: GET /v1/users/{id}/balances, 64 connections", "requests/s", reads)])


def plot_users(runs, folder):
    uniform = ("choice", "uniform", "server", "ops_per_s")
    few = ("many", "few", "server", "ops_per_s")
    choice = bar(runs, "uniform", uniform[:3])
    for name, label in (("zipf", "Zipf 1.0"), ("hot", "one hot user")):
        choice += bar(runs, label, ("choice", name, "server"), uniform)
    many = bar(runs, "one thousand", few[:3])
    many += bar(runs, "many, all warm", ("many", "many", "server"), few)
    many += bar(runs, "many, first touch (reads)", ("many", "cold", "server"))
    kinds = []
    for _, variant, _ in [key for key in runs.keys() if key[0] == "kinds"]:
        kinds += bar(runs, variant, ("kinds", variant, "server"))
    return svg.bars(os.path.join(folder, "users.svg"), "Who is written to, and what",
                    "256 connections, one op per request; the factor is against the first bar of "
                    "the panel",
                    [("Choice of users", "ops/s", choice), ("Number of users", "ops/s", many),
                     ("Kinds of ops (mixed: six reads in ten)", "ops/s", kinds)])


def plot_latency(runs, folder):
    return svg.percentiles(os.path.join(folder, "latency.svg"),
                           "Latency of single durable ops under a given load",
                           "open loop with Poisson arrivals, measured from the scheduled time; "
                           "median of the runs at each percentile", runs.curves("latency"), 25000)


def troubles(runs):
    lines = []
    for line in runs.lines:
        counts = {name: line["result"].get(name, 0) for name in TROUBLES}
        if not any(counts.values()):
            continue
        text = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        first = line["result"].get("first_unexpected")
        if first:
            text += f"; the first: {first['status']} `{first['body'][:200]}`"
        lines.append(f"- {line['scenario']}/{line['variant']} {line['role']} "
                     f"{line['repeat']}: {text}")
    return lines


def machine():
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.split(":", 1)[1].strip() for line in file
                         if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def write_report(runs, folder, seconds, plots):
    repeats = max((line["repeat"] for line in runs.lines), default=0)
    text = ["# Performance report", "",
            f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; {machine()}; "
            f"{repeats} run{'s' if repeats != 1 else ''} of each; took {seconds} s. "
            "Medians; ratios are medians of the ratios of neighbouring runs. "
            "Generator, server, store and peers share the machine.", ""]
    rows = goals(runs)
    if rows:
        text += ["## Goals", "", "| figure | measured | beside | goal | met |",
                 "|---|---|---|---|---|"]
        for what, measured, beside, goal, met in rows:
            text.append(f"| {what} | **{measured}** | {beside} | {goal} | "
                        f"{'yes' if met else '**no**'} |")
        text.append("")
    text += [f"![{name}]({name}.{kind})\n" for name, kind in plots]
    for scenario, title, columns in SECTIONS:
        # A column that nothing in this table has is left out.
        used = [column for column in columns
                if any(runs.values(*key, column[1]) for key in runs.keys() if key[0] == scenario)]
        lines = table(runs, scenario, used)
        if lines:
            text += [f"## {title}", ""] + lines + [""]
    bad = troubles(runs)
    if bad:
        text += ["## Replies that were not as expected", ""] + bad + [""]
    with open(os.path.join(folder, "report.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(text))
    return rows, bad


def to_png(folder, names):
    """Names with the kind of file that shows them: png where rsvg-convert is there."""
    shown = []
    for name in names:
        source, target = os.path.join(folder, name + ".svg"), os.path.join(folder, name + ".png")
        if shutil.which("rsvg-convert"):
            subprocess.run(["rsvg-convert", "--zoom", "2", "-o", target, source], check=True)
            shown.append((name, "png"))
        else:
            shown.append((name, "svg"))
    return shown


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=int, default=0)
    arguments = parser.parse_args()
    runs = Runs(os.path.join(arguments.folder, "raw.jsonl"))
    write_csv(runs, os.path.join(arguments.folder, "results.csv"))
    makers = {"throughput": plot_throughput, "latency": plot_latency, "users": plot_users,
              **postgres.PLOTS}
    made = [name for name, maker in makers.items() if maker(runs, arguments.folder)]
    rows, bad = write_report(runs, arguments.folder, arguments.seconds,
                             to_png(arguments.folder, made))
    for what, measured, beside, goal, met in rows:
        print(f"{'yes' if met else 'NO ':3} {what}: {measured} (goal {goal})"
              f"{'; ' + beside if beside else ''}")
    print(f"report: {os.path.join(arguments.folder, 'report.md')}")
    if bad:
        print("some replies were not as expected:", *bad[:10], sep="\n", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
