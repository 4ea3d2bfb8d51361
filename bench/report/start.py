"""Time from starting a server to its first 200 of /readyz, asked every millisecond.

usage: start.py PORT COMMAND [ARGUMENT...]     prints one JSON object; stops the server again.
"""

import json
import signal
import socket
import subprocess
import sys
import time

GIVE_UP_S = 120.0
REQUEST = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def is_ready(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(REQUEST)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def main():
    port, command = int(sys.argv[1]), sys.argv[2:]
    started = time.monotonic()
    server = subprocess.Popen(command, stdout=sys.stderr)
    polls = 1
    while not is_ready(port):
        if server.poll() is not None or time.monotonic() - started > GIVE_UP_S:
            server.kill()
            sys.exit("start.py: the server did not become ready")
        time.sleep(0.001)
        polls += 1
    ready_s = time.monotonic() - started
    server.send_signal(signal.SIGTERM)
    stopping = time.monotonic()
    status = server.wait(timeout=60)
    print(json.dumps({
        "ready_ms": round(ready_s * 1000, 2),
        "stop_ms": round((time.monotonic() - stopping) * 1000, 2),
        "exit_status": status,
        "polls": polls,
    }))


if __name__ == "__main__":
    main()
