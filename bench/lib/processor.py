"""Processor time of processes by their ids, from /proc: what hfbench does for its own runs."""

import os

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def of_process(pid):
    """Seconds of the process itself: fields 14 and 15 of proc(5)."""
    fields = _stat(pid)
    return 0.0 if fields is None else (int(fields[11]) + int(fields[12])) * TICK_S


def of_tree(pid):
    """Seconds of the process, of its children, and of those children that are gone (16, 17)."""
    total = 0.0
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
            children = file.read().split()
    except OSError:
        children = []
    for one in [str(pid)] + children:
        fields = _stat(one)
        if fields is not None:
            total += sum(int(field) for field in fields[11:15]) * TICK_S
    return total
