#!/usr/bin/env python3
"""Plants the bugs of mutants.txt, one at a time, and looks whether the named checkers see them.

usage: mutants.py [--write] [--seeds N] [--limit SECONDS] [--list] [PATTERN]

A copy of the tree is kept below build/mutants/, so that only the changed file is compiled for each
mutant. First the checkers run on the copy as it is: they must pass. A mutant that expects a text of
the simulator's is caught by nothing else that the simulator may say. Exit code: 0 when every mutant
was caught but those of which the list says why not, 1 when that is otherwise, 2 when something else
is wrong (a text that is not there any more, a check of the simulator's that no mutant expects).
"""

import argparse
import concurrent.futures
import filecmp
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "mutants")
TREE, BUILD = os.path.join(WORK, "tree"), os.path.join(WORK, "build")
COPIED = ["CMakeLists.txt", "cmake", "include", "runtime", "actors", "adapters", "clients",
          "server", "tests", "web", "docs", "README.md"]
LEFT_OUT = {"node_modules", "corpus"}
CHUNK = 5  # seeds that one run of the simulator takes
DIRECTIVE = re.compile(r"%[a-z]+")
JOBS = int(os.environ.get("JOBS") or os.cpu_count() or 2)


class Wrong(Exception):
    pass


class Mutant:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.file = self.old = self.new = self.says = None
        self.checkers, self.because = [], None
        self.expect = self.expected = None  # a part of a text, the text
        self.caught_by = self.after = None
        self.is_wrong = False  # it does not compile
        self.others = []  # what the simulator said instead of what is expected


class Unproven:
    """A check of the simulator's that no mutant reaches, and why."""

    def __init__(self, text, line):
        self.text, self.line, self.because = text, line, None


# ---- the list ------------------------------------------------------------------------------------

def read_list(path):
    """Blocks of "key: value" lines; `old:` and `new:` are followed by lines that begin with |."""
    mutants, unproven, mutant, field = [], [], None, None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("|"):
                if field is None:
                    raise Wrong(f"{path}:{number}: a text without old: or new:")
                so_far = getattr(mutant, field)
                setattr(mutant, field, (so_far + "\n" if so_far else "") + line[1:])
                continue
            field = None
            if not line or line.startswith("#"):
                continue
            key, _, value = line.partition(":")
            value = value.strip()
            if key == "mutant":
                mutant = Mutant(value, number)
                mutants.append(mutant)
            elif key == "unproven":
                mutant = Unproven(value, number)
                unproven.append(mutant)
            elif key == "because" and mutant is not None:
                mutant.because = value
            elif not isinstance(mutant, Mutant):
                raise Wrong(f"{path}:{number}: not within a mutant")
            elif key in ("old", "new"):
                field = key
                setattr(mutant, key, "")
            elif key == "caught by":
                mutant.checkers = value.split()
            elif key in ("file", "says", "expect"):
                setattr(mutant, key, value)
            else:
                raise Wrong(f"{path}:{number}: what is {key}?")
    return mutants, unproven


def sim_texts():
    """What the simulator's checks say, as the sources have it: the formats of all sim_fail()."""
    texts = []
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "sim", "*.c"))):
        with open(path, encoding="utf-8") as file:
            calls = re.findall(r"\bsim_fail\(([^;]*)\);", file.read())
        for call in calls:
            found = re.search(r'"[^"]*"(?:\s*"[^"]*")*', call)
            if found is None:
                raise Wrong(f"{path}: a sim_fail without a text")
            texts.append("".join(re.findall(r'"([^"]*)"', found.group())))
    return texts


def text_of(part, texts):
    """The one text of which it is a part; None of several, or of none."""
    found = [text for text in texts if part in text]
    return found[0] if len(found) == 1 else None


def printed(text):
    """A pattern for what comes out of a format."""
    return re.compile(".*".join(re.escape(part) for part in DIRECTIVE.split(text)))


def check_texts(mutants, unproven):
    """Each check of the simulator's is expected by a mutant, or it is said why by none."""
    texts, proven, problems = sim_texts(), set(), []
    problems += [f"{text}: two checks say it" for text in set(texts) if texts.count(text) > 1]
    for mutant in mutants:
        if mutant.expect is None:
            continue
        mutant.expected = text_of(mutant.expect, texts)
        if mutant.expected is None:
            problems.append(f"{mutant.name}: it is no part of one text of sim: {mutant.expect}")
        elif mutant.checkers[0] != "sim":
            problems.append(f"{mutant.name}: expects what sim says, and sim is not asked first")
        elif mutant.because is None:
            proven.add(mutant.expected)
    for each in unproven:
        text = text_of(each.text, texts)
        if text is None or not each.because:
            problems.append(f"unproven, line {each.line}: no part of one text, or no because")
        elif text in proven:
            problems.append(f"{text}: a mutant expects it, so it is not unproven")
        proven.add(text)
    problems += [f"{text}: no mutant expects it" for text in texts if text not in proven]
    if problems:
        raise Wrong("mutants.txt does not fit the simulator:\n  " + "\n  ".join(problems))
    return len(texts), len(unproven)


def check_list(mutants):
    """Every old text stands exactly once in its file, so that the list cannot rot."""
    names, problems = set(), []
    for mutant in mutants:
        missing = [key for key in ("file", "says", "old", "new", "checkers")
                   if getattr(mutant, key) in (None, [])]
        if missing or mutant.name in names:
            problems.append(f"{mutant.name}: no {', '.join(missing) or 'name of its own'}")
            continue
        names.add(mutant.name)
        with open(os.path.join(ROOT, mutant.file), encoding="utf-8") as file:
            count = file.read().count(mutant.old)
        if count != 1 or mutant.old == mutant.new:
            problems.append(f"{mutant.name}: its old text stands {count} times in {mutant.file}")
    if problems:
        raise Wrong("mutants.txt does not fit the tree:\n  " + "\n  ".join(problems))


# ---- the copy ------------------------------------------------------------------------------------

def copy_file(source, target):
    if os.path.exists(target) and filecmp.cmp(source, target, shallow=False):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def sync_tree():
    """Brings the copy up to date; what is the same keeps its time, and is not compiled again."""
    wanted = set()
    for top in COPIED:
        start = os.path.join(ROOT, top)
        if os.path.isfile(start):
            copy_file(start, os.path.join(TREE, top))
            wanted.add(top)
        for folder, folders, files in os.walk(start):
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            for name in files:
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                copy_file(os.path.join(ROOT, path), os.path.join(TREE, path))
                wanted.add(path)
    for folder, _, files in os.walk(TREE):
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), TREE)
            if path not in wanted:
                os.remove(os.path.join(TREE, path))


def write_file(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Planted:
    """The mutant's text while in the block; the file as it was afterwards."""

    def __init__(self, mutant):
        self.path, self.mutant = os.path.join(TREE, mutant.file), mutant

    def __enter__(self):
        with open(self.path, encoding="utf-8") as file:
            self.before = file.read()
        write_file(self.path, self.before.replace(self.mutant.old, self.mutant.new))

    def __exit__(self, *_):
        write_file(self.path, self.before)


def script_of(checker):
    """Of a test that node runs; None of the others."""
    kind, _, name = checker.partition(".")
    path = os.path.join(TREE, "tests", kind, name + ".js")
    return path if os.path.exists(path) else None


def target_of(checker):
    if checker == "sim":
        return "sim_run"
    return "holdfast" if script_of(checker) else checker.partition("@")[0]


def targets_of(checkers):
    return sorted({target_of(checker) for checker in checkers})


def build(targets):
    run = subprocess.run(["cmake", "--build", BUILD, "--parallel", str(JOBS), "--target", *targets],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode != 0:
        raise Wrong("it does not build:\n" + run.stdout[-3000:])


def configure():
    command = ["cmake", "-S", TREE, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
               "-DCMAKE_C_FLAGS_DEBUG=-O1", "-DHF_WERROR=OFF", "-DHF_BENCH=OFF"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         check=False)
    if run.returncode != 0:
        raise Wrong(run.stdout)


# ---- the checkers --------------------------------------------------------------------------------

class Run:
    """A program in a process group of its own, until it ends, fails a test, comes to a test whose
    name begins with `until`, or takes longer than `limit` seconds; `stop` ends it too."""

    def __init__(self, command, limit, stop, until=None):
        self.late, self.text, self.code = False, "", None
        # A server that was killed just now may still write into it.
        with tempfile.TemporaryDirectory(prefix="holdfast-mutants-",
                                         ignore_cleanup_errors=True) as scratch:
            os.chmod(scratch, 0o755)
            environment = dict(os.environ, HOLDFAST_ROOT=TREE, HOLDFAST_BUILD=BUILD,
                               HOLDFAST_BIN=os.path.join(BUILD, "holdfast"), TMPDIR=scratch)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, cwd=TREE, env=environment,
                                       start_new_session=True, text=True, errors="replace")
            watch = threading.Thread(target=self.guard, args=(process, limit, stop))
            watch.start()
            for each in process.stdout:
                self.text = (self.text + each)[-100000:]
                if "[  FAILED  ]" in each:
                    self.code = 1
                elif until and f"[ RUN      ] {until}" in each:
                    self.code = 0
                if self.code is not None:
                    self.end(process)
            code = process.wait()
            self.code = code if self.code is None else self.code
            watch.join()

    @staticmethod
    def end(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def guard(self, process, limit, stop):
        """Counts in small steps: a machine that sleeps makes nothing late."""
        waited, last = 0.0, time.monotonic()
        while process.poll() is None:
            now = time.monotonic()
            waited += min(now - last, 1)
            last = now
            self.late = waited > limit
            if self.late or stop.is_set():
                self.end(process)
                return
            time.sleep(0.05)


def run_sim(seeds, limit, patience, expected=None):
    """(what failed first or None, how many seeds were begun, what failed otherwise than expected).
    Chunks of seeds, several at a time: `limit` seconds for all of them, `patience` for one."""
    stop, found, others = threading.Event(), [], []
    end = time.monotonic() + limit

    def part(first, last):
        """Up to the first seed that fails: the one to go on with."""
        run = Run([os.path.join(BUILD, "sim_run"), "--seed", str(first),
                   "--seeds", str(last - first + 1)], patience, stop)
        if run.code == 0 or stop.is_set():
            return last + 1
        named = re.search(r"--seed (\d+)|seed (\d+)", run.text)
        seed = named.group(1) or named.group(2) if named else f"{first}-{last}"
        why = "does not end" if run.late else said(run.text)
        if expected is None or printed(expected).search(run.text):
            found.append((seed, why))
            stop.set()
        else:
            others.append((seed, why))
        return int(seed) + 1 if named else last + 1

    def chunk(first):
        last = min(first + CHUNK - 1, seeds)
        at = first
        while at <= last and not stop.is_set() and time.monotonic() < end:
            at = part(at, last)
        return at - first

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        done = sum(pool.map(chunk, range(1, seeds + 1, CHUNK)))
    return (found[0] if found else None), done, others


def said(text):
    """The line that says why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for pattern in ("CHECK failed", "FAILED", "failed", "Error", "seed"):
        for line in lines:
            if pattern in line:
                return line.replace(TREE + "/", "")[:160]
    return lines[-1][:160] if lines else "ended by a signal"


def command_of(checker):
    kind, _, name = checker.partition(".")
    if script_of(checker):
        return ["node", script_of(checker)]
    return [os.path.join(BUILD, "tests", kind, name.partition("@")[0])]


def check(checker, options, mutant=None):
    """(None or why it failed, how much was done)."""
    start = time.monotonic()
    patience = options.patience.get(checker, options.limit)
    if checker == "sim":
        expected = mutant.expected if mutant else None
        failure, done, others = run_sim(options.seeds, options.limit, patience, expected)
        if mutant:
            mutant.others = others
        seconds = time.monotonic() - start
        if failure is None:
            return None, f"{done} seeds, {seconds:.0f} s"
        return failure[1], f"seed {failure[0]}, {seconds:.0f} s"
    until = checker.partition("@")[2]
    run = Run(command_of(checker), patience, threading.Event(), until)
    why = None if run.code == 0 else "does not end" if run.late else said(run.text)
    return why, f"{time.monotonic() - start:.1f} s"


# ---- all of it -----------------------------------------------------------------------------------

def progress(done, total, text):
    if not sys.stdout.isatty():
        return
    filled = 24 * done // max(total, 1)
    print(f"\r\x1b[K[{'#' * filled}{'.' * (24 - filled)}] {done}/{total} {text}"[:120], end="",
          flush=True)


def line(text):
    print(("\r\x1b[K" if sys.stdout.isatty() else "") + text, flush=True)


def try_mutant(mutant, options):
    with Planted(mutant):
        build(targets_of(mutant.checkers))
        for checker in mutant.checkers:
            why, mutant.after = check(checker, options, mutant)
            if why is not None:
                mutant.caught_by = checker
                return why
    return None


def others_show(mutant):
    """What was not expected, each sort once, numbers apart."""
    shown = set()
    for seed, why in mutant.others:
        sort = re.sub(r"\d+", "N", why)
        if sort not in shown:
            line(f"        seed {seed}, not as expected: {why}")
        shown.add(sort)


def try_all(mutants, options):
    checkers = sorted({checker for mutant in mutants for checker in mutant.checkers})
    progress(0, len(mutants), "building")
    build(targets_of(checkers))
    for checker in checkers:
        progress(0, len(mutants), "without a mutant: " + checker)
        start = time.monotonic()
        why, after = check(checker, options)
        seconds = time.monotonic() - start
        if checker == "sim":
            seconds *= JOBS * CHUNK / options.seeds
        options.patience[checker] = 60 + 10 * seconds
        if why is not None:
            raise Wrong(f"{checker} fails without a mutant, after {after}: {why}")
        line(f"passes  {checker}, {after}")
    for number, mutant in enumerate(mutants):
        progress(number, len(mutants), mutant.name)
        try:
            why = try_mutant(mutant, options)
        except Wrong as wrong:
            line(f"WRONG   {mutant.name}: {wrong}")
            mutant.is_wrong = True
            continue
        if mutant.caught_by:
            line(f"caught  {mutant.name}: {mutant.caught_by} after {mutant.after}: {why}")
        else:
            known = f"; known: {mutant.because}" if mutant.because else ""
            line(f"MISSED  {mutant.name}: {', '.join(mutant.checkers)} ({mutant.after}){known}")
        others_show(mutant)


def columns(mutant):
    """What its row in the page says of it, whatever became of it."""
    link = f"[{os.path.basename(mutant.file)}](../{mutant.file})"
    return f"| {mutant.name} | {link} | {mutant.says} | "


def digest(mutant):
    """Of what a row is the outcome of: the edit, what is expected, the checkers in order."""
    parts = [mutant.file, mutant.old, mutant.new, mutant.expect or "", *mutant.checkers]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def row(mutant):
    by, after = f"`{mutant.caught_by}`", mutant.after
    if mutant.caught_by == "sim" and mutant.expect:
        text = DIRECTIVE.sub("...", mutant.expect)
        by += f": \"{text}\""
    if not mutant.caught_by:
        by, after = "**nobody**", mutant.because or mutant.after
    return columns(mutant) + f"{by} | {after} | {digest(mutant)} |"


def table(every, rows, options):
    """`rows` by name: of this run, or as the page has them from an earlier one."""
    caught = sum(mutant.name in rows and "**nobody**" not in rows[mutant.name] for mutant in every)
    tried = sum(mutant.name in rows for mutant in every)
    yield "# Planted bugs\n"
    yield ("`./dev mutants --write` plants each of these bugs, one at a time, runs the checkers "
           "that\nought to see it, and writes this table: see "
           "[mutants](../tests/mutants/README.md). With a pattern it\nbrings the rows of those "
           "up to date and leaves the others as they are. The digest is of a bug's edit, "
           "expected text and\ncheckers: a row stays only while the list still gives the same.\n")
    yield (f"**Caught {caught} of {tried}**, with up to {options.seeds} seeds of the simulator for "
           f"each" + ("." if tried == len(every) else f"; {len(every) - tried} not tried yet.") +
           "\n")
    yield "| bug | in | what it does | caught by | after | digest |"
    yield "|---|---|---|---|---|---|"
    for mutant in sorted(every, key=lambda each: (each.file, each.name)):
        yield rows.get(mutant.name, columns(mutant) + "not tried yet | | |")


def rows_of(path, every):
    """By name, the rows of the page that are of the mutants as the list has them now."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    return {mutant.name: each for mutant in every for each in lines
            if each.startswith(columns(mutant)) and each.endswith(f" | {digest(mutant)} |")}


def write_page(path, every, tried, options):
    """Rows of other mutants stay as they are, unless the list says something else of them now."""
    rows = rows_of(path, every)
    for mutant in tried:
        if not mutant.is_wrong:
            rows[mutant.name] = row(mutant)
    write_file(path, "\n".join(table(every, rows, options)) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="./dev mutants")
    parser.add_argument("pattern", nargs="?", default="", help="only mutants whose name has it")
    parser.add_argument("--write", action="store_true", help="bring docs/MUTANTS.md up to date")
    parser.add_argument("--seeds", type=int, default=400, help="of the simulator (400)")
    parser.add_argument("--limit", type=float, default=300, help="seconds for a checker (300)")
    parser.add_argument("--list", action="store_true", help="check and show the list, run nothing")
    options = parser.parse_args()
    options.patience = {}  # by checker, seconds: what takes much longer than without a mutant hangs
    page = os.path.join(ROOT, "docs", "MUTANTS.md")
    every, unproven = read_list(os.path.join(HERE, "mutants.txt"))
    mutants = [mutant for mutant in every if re.search(options.pattern, mutant.name)]
    if not mutants:
        raise Wrong(f"no mutant is called {options.pattern}")
    check_list(every)
    checks, missing = check_texts(every, unproven)
    if options.list:
        print("\n".join(f"{mutant.name}: {mutant.says}" for mutant in mutants))
        print(f"{checks} checks of the simulator, {checks - missing} of them expected by mutants")
        print(f"{len(rows_of(page, every))} of {len(every)} have a row in docs/MUTANTS.md")
        return 0
    sync_tree()
    configure()
    try_all(mutants, options)
    if options.write:
        write_page(page, every, mutants, options)
    caught = sum(mutant.caught_by is not None for mutant in mutants)
    surprises = [each.name for each in mutants
                 if not each.is_wrong and (each.caught_by is None) != bool(each.because)]
    line(f"caught {caught} of {len(mutants)}")
    if surprises:
        line("not as the list has it: " + ", ".join(surprises))
    wrong = [mutant.name for mutant in mutants if mutant.is_wrong]
    if wrong:
        raise Wrong("these do not compile: " + ", ".join(wrong))
    return 1 if surprises else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong_one:
        print(f"mutants: {wrong_one}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
