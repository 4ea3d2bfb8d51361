"""One measured run of pgbench as a JSON object with the fields that hfbench has.

usage: pgbench.py --database D --script FILE --clients N --warmup S --seconds S --postmaster PID
"""

import argparse
import glob
import json
import os
import resource
import subprocess
import sys
import tempfile

import processor

SAMPLE = 0.2  # share of the transactions whose latency is logged


def run(arguments, seconds, log_prefix=None):
    command = ["pgbench", "-n", "-M", "prepared", "-c", str(arguments.clients), "-j",
               str(min(2, arguments.clients)), "-T", str(max(1, round(seconds))),
               "-f", arguments.script]
    if log_prefix is not None:
        command += ["-l", "--log-prefix", log_prefix, "--sampling-rate", str(SAMPLE)]
    command.append(arguments.database)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"pgbench.py: {done.stderr.strip()[-500:]}")
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("tps ="):
            found["tps"] = float(line.split()[2])
        if line.startswith("number of transactions actually processed:"):
            found["count"] = int(line.split(":")[1].split("/")[0])
        if line.startswith("number of failed transactions:"):
            found["failed"] = int(line.split(":")[1].split()[0])
    return found


def own_cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def latencies_us(folder):
    found = []
    for path in glob.glob(os.path.join(folder, "log*")):
        with open(path, encoding="utf-8") as file:
            found += [float(line.split()[2]) for line in file]
    return sorted(found)


def at(values, share):
    return round(values[min(len(values) - 1, int(share * len(values)))]) if values else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--script", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--warmup", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--postmaster", type=int, required=True)
    arguments = parser.parse_args()
    if arguments.warmup >= 1:
        run(arguments, arguments.warmup)
    with tempfile.TemporaryDirectory() as folder:
        cpu, store_cpu = own_cpu_s(), processor.of_tree(arguments.postmaster)
        found = run(arguments, arguments.seconds, os.path.join(folder, "log"))
        cpu, store_cpu = own_cpu_s() - cpu, processor.of_tree(arguments.postmaster) - store_cpu
        latencies = latencies_us(folder)
    count = max(1, found["count"])
    print(json.dumps({
        "connections": arguments.clients, "requests": found["count"],
        "requests_per_s": round(found["tps"], 1), "ops_per_s": round(found["tps"], 1),
        "latency_us": {"p50": at(latencies, 0.5), "p90": at(latencies, 0.9),
                       "p99": at(latencies, 0.99), "p999": at(latencies, 0.999)},
        "generator_cpu_us_per_request": round(cpu * 1e6 / count, 2),
        "generator_cpu_us_per_op": round(cpu * 1e6 / count, 2),
        "store_cpu_us_per_op": round(store_cpu * 1e6 / count, 2),
        "unexpected": found.get("failed", 0),
    }))


if __name__ == "__main__":
    main()
