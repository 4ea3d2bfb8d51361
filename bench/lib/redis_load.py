"""One measured run of redis-benchmark as a JSON object with the fields that hfbench has.

usage: redis_load.py --port N --script SHA1 --clients N --warmup S --seconds S --server PID

redis-benchmark takes a number of requests and no time: a first run, which is also the warm-up,
tells how many fill the window.
"""

import argparse
import csv
import io
import json
import resource
import subprocess
import sys

import processor

KEYS = 2000000000  # of idempotency keys: drawn at random, so that hardly any comes twice
FIRST = 20000


def run(arguments, requests):
    done = subprocess.run(
        ["redis-benchmark", "-h", "127.0.0.1", "-p", str(arguments.port), "-c",
         str(arguments.clients), "-n", str(requests), "-r", str(KEYS), "--csv", "EVALSHA",
         arguments.script, "0", "__rand_int__", "__rand_int__", "1"],
        capture_output=True, text=True, check=False)
    rows = [row for row in csv.DictReader(io.StringIO(done.stdout[done.stdout.find('"test"'):]))]
    if done.returncode != 0 or not rows:
        sys.exit(f"redis_load.py: {(done.stderr or done.stdout).strip()[-500:]}")
    return rows[0]


def own_cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--script", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--warmup", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--server", type=int, required=True)
    arguments = parser.parse_args()
    rate = float(run(arguments, FIRST)["rps"])
    requests = max(FIRST, int(rate * arguments.seconds))
    cpu, server_cpu = own_cpu_s(), processor.of_process(arguments.server)
    row = run(arguments, requests)
    cpu, server_cpu = own_cpu_s() - cpu, processor.of_process(arguments.server) - server_cpu
    rate = float(row["rps"])
    us = {name: round(float(row[f"{name}_latency_ms"]) * 1000) for name in ("p50", "p99", "max")}
    print(json.dumps({
        "connections": arguments.clients, "requests": requests, "requests_per_s": rate,
        "ops_per_s": rate, "latency_us": us,
        "generator_cpu_us_per_request": round(cpu * 1e6 / requests, 2),
        "generator_cpu_us_per_op": round(cpu * 1e6 / requests, 2),
        "server_cpu_us_per_op": round(server_cpu * 1e6 / requests, 2),
    }))


if __name__ == "__main__":
    main()
