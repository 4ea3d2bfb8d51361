"""The report's part about PostgreSQL: goals, tables and plots of the scenarios pg_*."""

import os

import svg
from runs import NOISE, Figure, bar, number

# Published or measured elsewhere, durable, one op per call: the best of them with 256 clients.
PEERS_BEST = 20400
SINGLE = ("pg_single", "256", "server", "ops_per_s")


def peer(variant):
    return ("pg_single", variant, "peer", "ops_per_s")


def _by_pgbench(runs, key):
    """What pgbench says of the same statements, as a clause; "" when it did not run them."""
    limit = (key[0], key[1], "pgbench", "rows_per_s")
    ratio = runs.ratio(key, limit)
    if ratio is None:
        return ""
    return f"; {ratio:.2f} of {number(Figure(runs.values(*limit)).median)} rows/s by pgbench"


def _single_goals(runs, add):
    figure = Figure(runs.values(*SINGLE))
    limit = ("pg_single", "256", "limit", "rows_per_s")
    ratio = runs.ratio(SINGLE, limit)
    if figure.median is None:
        return
    add("Single durable ops, 256 connections", f"{number(figure.median)}/s", "",
        "≥ 20,000/s, aim 25,000", figure.median >= 20000)
    if ratio is not None:
        batch = Figure(runs.values(*limit[:3], "batch")).median
        sessions = Figure(runs.values(*limit[:3], "connections")).median
        add("the same by R", f"{ratio:.2f} R",
            f"R = {number(Figure(runs.values(*limit)).median)} rows/s at {number(batch)} rows a "
            f"transaction on {number(sessions)} connections" + _by_pgbench(runs, SINGLE),
            "≥ 0.40 R", ratio >= 0.4)
    add("the same by the best one-op-per-call figure of others",
        f"{figure.median / PEERS_BEST:.2f}×", f"{number(PEERS_BEST)}/s, 256 clients",
        "ahead of it", figure.median > PEERS_BEST)
    for what, variant, goal in (("the same by a CTE ledger, pgbench, 64 clients", "cte-64", 3),
                                ("the same by a row-lock ledger, pgbench, 64 clients",
                                 "row_lock-64", 5),
                                ("the same by Fastify + Kysely, 256 connections", "fastify-256",
                                 12),
                                ("the same by Redis, Lua, appendfsync always, 256 clients",
                                 "redis-256", 1)):
        ratio = runs.ratio(SINGLE, peer(variant))
        if ratio is not None:
            add(what, f"{ratio:.2f}×", f"{number(Figure(runs.values(*peer(variant))).median)}/s",
                f"≥ {goal}×", ratio >= goal)
    flow = ("pg_single", "256-hold", "server", "ops_per_s")
    ratio = runs.ratio(flow, peer("fastify-256-hold"))
    if ratio is not None:
        add("Authorize and capture by Fastify + Kysely, 256 connections", f"{ratio:.2f}×",
            f"{number(Figure(runs.values(*flow)).median)}/s and "
            f"{number(Figure(runs.values(*peer('fastify-256-hold'))).median)}/s", "≥ 12×",
            ratio >= 12)


def goals(runs):
    """(what, measured, beside, goal, met) for each goal on PostgreSQL that was measured."""
    rows = []

    def add(what, measured, beside, goal, met):
        rows.append((f"PostgreSQL: {what}", measured, beside, goal, met))

    _single_goals(runs, add)
    batch = ("pg_batch", "50", "server", "ops_per_s")
    ratio = runs.ratio(batch, ("pg_batch", "50", "limit", "rows_per_s"))
    if ratio is not None:
        limit = Figure(runs.values("pg_batch", "50", "limit", "rows_per_s")).median
        add("batches of 50, by R", f"{ratio:.2f} R",
            f"{number(Figure(runs.values(*batch)).median)}/s; R = {number(limit)}" +
            _by_pgbench(runs, batch), "≥ 0.70 R", ratio >= 0.7)
    p99 = Figure(runs.values("pg_latency", "70%", "server", "latency_us.p99")).median
    if p99 is not None:
        rate = Figure(runs.values("pg_latency", "70%", "server", "requests_per_s")).median
        add("p99 at 70 % of the peak, open loop", f"{p99 / 1000:.1f} ms", f"{number(rate)}/s",
            "≤ 20 ms", p99 <= 20000)
    hot = ("pg_choice", "hot", "server", "ops_per_s")
    uniform = ("pg_choice", "uniform", "server", "ops_per_s")
    ratio = runs.ratio(hot, uniform)
    if ratio is not None:
        add("one hot user by uniform users", f"{ratio:.2f}",
            f"{number(Figure(runs.values(*hot)).median)}/s and "
            f"{number(Figure(runs.values(*uniform)).median)}/s",
            f"not slower (≥ {NOISE} within noise)", ratio >= NOISE)
    size = Figure(runs.values("pg_size", "bytes", "server", "bytes_per_entry")).median
    if size is not None:
        wal = Figure(runs.values("pg_size", "bytes", "server", "wal_bytes_per_entry")).median
        add("bytes per entry on disk, indexes included", f"{number(size)} bytes",
            f"{number(wal)} bytes of write-ahead log", "≤ 400 bytes", size <= 400)
    ratio = runs.ratio(("pg_nodes", "beside", "server", "ops_per_s"),
                       ("pg_nodes", "alone", "server", "ops_per_s"))
    if ratio is not None:
        add("a node beside an idle second one, by alone", f"{ratio:.3f}", "", "≥ 0.95",
            ratio >= 0.95)
    return rows


LOAD = [("ops/s (lowest–highest)", "ops_per_s", 0), ("limit rows/s", "rows_per_s", 0),
        ("p50 µs", "latency_us.p50", 0), ("p99 µs", "latency_us.p99", 0),
        ("p99.9 µs", "latency_us.p999", 0), ("server µs/op", "server_cpu_us_per_op", 1),
        ("database µs/op", "store_cpu_us_per_op", 1),
        ("generator µs/op", "generator_cpu_us_per_op", 1)]
SECTIONS = [
    ("pg_single", "PostgreSQL: single durable ops and the peers, by number of clients", LOAD),
    ("pg_batch", "PostgreSQL: batches, by size", LOAD),
    ("pg_choice", "PostgreSQL: which users", LOAD),
    ("pg_latency", "PostgreSQL: open loop, by share of the peak", LOAD),
    ("pg_nodes", "PostgreSQL: a second node on the same database", LOAD),
    ("pg_size", "PostgreSQL: what an entry takes", LOAD[:1] + [
        ("bytes per entry", "bytes_per_entry", 1), ("bytes per user", "bytes_per_user", 1),
        ("log bytes per entry", "wal_bytes_per_entry", 1)]),
]

PEERS = [("cte-64", "CTE ledger, 64 clients"), ("row_lock-64", "row-lock ledger, 64 clients"),
         ("redis-256", "Redis Lua, 256 clients"), ("fastify-256", "Fastify + Kysely, 256")]


def _peer_bar(runs, label, variant, holdfast):
    """A peer's bar; its note is how many times as fast Holdfast was beside it."""
    rows = bar(runs, label, ("pg_single", variant, "peer"))
    ratio = runs.ratio(holdfast, peer(variant))
    for row in rows:
        row["note"] = f"Holdfast {ratio:.1f}\u00d7" if ratio is not None else ""
    return rows


def _plot_throughput(runs, folder):
    limit = ("pg_single", "256", "limit", "rows_per_s")
    rows = Figure(runs.values(*limit)).median
    single = bar(runs, "256 connections", SINGLE[:3], limit, 0.4 * rows if rows else None)
    single += bar(runs, "R", limit[:3], metric="rows_per_s")
    for connections in ("64", "8"):
        single += bar(runs, f"{connections} connections", ("pg_single", connections, "server"))
    beside = bar(runs, "Holdfast, 256 connections", SINGLE[:3])
    for variant, label in PEERS:
        beside += _peer_bar(runs, label, variant, SINGLE)
    flow = ("pg_single", "256-hold", "server", "ops_per_s")
    capture = bar(runs, "Holdfast, hold + capture", flow[:3])
    capture += _peer_bar(runs, "Fastify + Kysely", "fastify-256-hold", flow)
    batch = []
    for size in ("8", "50", "1000"):
        rows = ("pg_batch", size, "limit", "rows_per_s")
        value = Figure(runs.values(*rows)).median
        batch += bar(runs, f"batches of {size}", ("pg_batch", size, "server"), rows,
                     0.7 * value if value and size == "50" else None)
        batch += bar(runs, "R", rows[:3], metric="rows_per_s")
    return svg.bars(os.path.join(folder, "postgres.svg"), "Durable throughput on PostgreSQL",
                    "generator, server and database share one machine; fsync and "
                    "synchronous_commit on; closed loop; factors within the same run",
                    [("Single ops: POST /v1/ops, beside the store's limit", "ops/s", single),
                     ("Single ops, beside the peers", "ops/s", beside),
                     ("Authorize, then capture, 256 connections", "ops/s", capture),
                     ("Batches: POST /v1/ops/batch, by R of the same size", "ops/s", batch)])


def _plot_users(runs, folder):
    uniform = ("pg_choice", "uniform", "server", "ops_per_s")
    alone = ("pg_nodes", "alone", "server", "ops_per_s")
    choice = bar(runs, "uniform", uniform[:3])
    for name, label in (("zipf", "Zipf 1.0"), ("hot", "one hot user")):
        choice += bar(runs, label, ("pg_choice", name, "server"), uniform)
    nodes = bar(runs, "alone", alone[:3])
    for name, label in (("beside", "second node idle"), ("half", "second node has half")):
        nodes += bar(runs, label, ("pg_nodes", name, "server"), alone)
    return svg.bars(os.path.join(folder, "postgres-users.svg"),
                    "PostgreSQL: who is written to, and by how many nodes",
                    "256 connections, one op per request; the factor is against the first bar of "
                    "the panel", [("Choice of users", "ops/s", choice),
                                  ("Nodes on one database", "ops/s", nodes)])


def _plot_latency(runs, folder):
    return svg.percentiles(os.path.join(folder, "postgres-latency.svg"),
                           "Latency of single durable ops on PostgreSQL under a given load",
                           "open loop with Poisson arrivals, measured from the scheduled time; "
                           "median of the runs at each percentile", runs.curves("pg_latency"),
                           20000)


def _plot_processor(runs, folder):
    kinds = [("Holdfast, 256", "pg_single", "256", "server"),
             ("Holdfast, 8", "pg_single", "8", "server"),
             ("Holdfast, batches of 50", "pg_batch", "50", "server"),
             ("Holdfast, hold + capture", "pg_single", "256-hold", "server"),
             ("CTE ledger, 64", "pg_single", "cte-64", "peer"),
             ("row-lock ledger, 64", "pg_single", "row_lock-64", "peer"),
             ("Redis Lua, 256", "pg_single", "redis-256", "peer"),
             ("Fastify + Kysely, 256", "pg_single", "fastify-256", "peer")]
    rows = []
    for label, *key in kinds:
        parts = [Figure(runs.values(*key, f"{part}_cpu_us_per_op")).median or 0.0
                 for part in ("generator", "server", "store")]
        if any(parts):
            rows.append((label, parts))
    return svg.stacked(os.path.join(folder, "postgres-processor.svg"),
                       "Processor time of one durable op",
                       "microseconds, user and system, of all processes of a part; medians",
                       ["generator", "server", "database"], rows, "µs/op")


PLOTS = {"postgres": _plot_throughput, "postgres-users": _plot_users,
         "postgres-latency": _plot_latency, "postgres-processor": _plot_processor}
