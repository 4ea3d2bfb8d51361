"""Runs wrk with one thread and tells what a request cost it, for comparison with hfbench.

usage: wrk.py URL CONNECTIONS SECONDS          prints one JSON object.
"""

import json
import math
import re
import resource
import subprocess
import sys


def main():
    url, connections, seconds = sys.argv[1], sys.argv[2], math.ceil(float(sys.argv[3]))
    text = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", url],
                          check=True, capture_output=True, text=True).stdout
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    print(json.dumps({
        "requests": requests,
        "requests_per_s": float(re.search(r"Requests/sec:\s*([0-9.]+)", text).group(1)),
        "generator_cpu_us_per_request": (used.ru_utime + used.ru_stime) * 1e6 / max(requests, 1),
    }))


if __name__ == "__main__":
    main()
