"""Imports the four files with the server's own binary and compares everything with expect.py.

usage: run.py BINARY INPUT_FOLDER WORK_FOLDER REAL|GENERATED SEED [DSN DSN]

With the DSNs of two empty PostgreSQL databases: two files go there, one of them killed twice.
"""
import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import expect

BINARY, FOLDER, WORK, KIND, SEED = sys.argv[1:6]
DATABASES = sys.argv[6:8]
RNG = random.Random(int(SEED))
SAFE, ONEINCH = "safe_airdrop_claims.csv", "oneinch_gas_refunds.csv"
ETH, BANK = "eth_native_transfers.csv", "berka_bank_transactions.csv"
MAPPING = {
    SAFE: ["--asset", "SAFE", "--scale", "18", "--type", "grant", "--user-column", "address",
           "--amount-column", "amount_safe", "--key", "safe:{address}", "--label", "safe-airdrop"],
    ONEINCH: ["--asset", "1INCH", "--scale", "18", "--type", "grant", "--user-column", "address",
              "--amount-column", "amount_1inch", "--metadata-columns", "period"],
    ETH: ["--asset", "ETH", "--scale", "18", "--type", "transfer", "--user-column", "from",
          "--to-user-column", "to", "--amount-column", "value_wei", "--amount-unit", "base",
          "--key", "{tx_hash}", "--effective-column", "block_timestamp", "--effective-format",
          "unix", "--prefund", "deposit"],
    BANK: ["--profile", os.path.join(WORK, "bank.ini")],
}
PROFILE = """asset = CZK
scale = 2
user-column = account_id
type-column = type
type-map = PRIJEM=deposit,VYDAJ=spend,VYBER=spend
amount-column = amount
key = berka:{trans_id}
effective-column = date
effective-format = yymmdd
credits-first = date
metadata-columns = operation,k_symbol
"""
TABLE = []
checks = 0


def check(truth, *what):
    global checks
    checks += 1
    if not truth:
        raise AssertionError(" ".join(str(word) for word in what))


def equal(got, want, *what):
    check(got == want, *what, f"- got {got!r}, want {want!r}")


def run(*arguments, codes=(0,)):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True)
    check(done.returncode in codes, "exit code", done.returncode, "of", *arguments, done.stderr)
    return done.stdout


def command(name, data, *more):
    return ["import", os.path.join(FOLDER, name), "--data", data, "--json", *MAPPING[name], *more]


def load(name, data, *more, codes=(0, 1)):
    return json.loads(run(*command(name, data, *more), codes=codes))


def whole(data):
    """Both checks of the ledger pass."""
    for verb in ("verify", "replay"):
        report = json.loads(run("ledger", verb, "--data", data, "--json"))
        check(report["ok"], verb, report)
    return report


def exported(data, asset, folder=WORK):
    path = os.path.join(folder, "balances.csv")
    run("export", "--data", data, "--what", "balances", "--asset", asset, "--output", path)
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def same_balances(data, want):
    """Every balance to the last base unit, in every bucket. Returns how many."""
    got = {}
    zero = "0." + "0" * want.scale
    others = ("earned", "pending", "held", "claiming", "blocked", "quarantine", "debt")
    for row in exported(data, want.asset):
        if any(row[bucket] != zero for bucket in others):
            check(False, "money in another bucket", row)
        if not row["available"] == row["total"] == row["claimable"]:
            check(False, "available and total", row)
        got[row["external_id"]] = expect.units(row["claimable"], want.scale)
    equal(len(got), len(want.balances), "users with a balance in", want.asset)
    if got != want.balances:
        for user, amount in want.balances.items():
            equal(got.get(user), amount, "balance of", user, "in", want.asset)
    global checks
    checks += len(got)
    return len(got)


def same_counts(report, want, replayed):
    """The import's own report; `replayed`: how many operations may have been there, None: any."""
    sums = dict(want.sums)
    operations = want.applied + len(want.prefund)
    equal(report["lines"], want.lines, "lines of", want.asset)
    equal(report["applied"] + report["replayed"], operations, "operations of", want.asset)
    if replayed is not None:
        equal(report["replayed"], replayed, "operations already there of", want.asset)
    equal(report["rejected_by_code"], want.rejected, "rejects of", want.asset)
    equal(report["out_of_order"], 0, "order of", want.asset)
    if want.prefund:
        sums["prefund"] = sum(want.prefund.values())
    for kind, amount in sums.items():
        equal(expect.units(report["types"][kind]["amount"], want.scale), amount, "sum of", kind)
    equal(set(report["types"]), set(sums), "kinds of operations of", want.asset)


def entries_of(data, want):
    """The journal itself: so many entries, effective when the file says so."""
    count = 0
    path = os.path.join(WORK, "entries.ndjson")
    run("export", "--data", data, "--what", "entries", "--asset", want.asset, "--format", "ndjson",
        "--columns", "type,amount,effective_at,recorded_at,actor,metadata", "--output", path)
    with open(path) as file:
        for line in file:
            entry = json.loads(line)
            count += 1
            if entry["actor"] not in ("import", "system"):
                check(False, "actor", entry)
            if want.asset == "CZK":
                kept = (entry["metadata"] or {}).get("metadata", {})
                if entry["effective_at"][:3] != "199" or "" in kept.values() or \
                        not set(kept) <= {"operation", "k_symbol"}:
                    check(False, "time or metadata", entry)
    moves = want.applied * (2 if want.asset == "ETH" else 1) + len(want.prefund)
    equal(count, moves, "entries in", want.asset)


def import_one(name, data, want):
    dry_folder = os.path.join(WORK, "dry")
    dry = load(name, dry_folder, "--dry-run")
    check(not os.path.exists(dry_folder), "a dry run made", dry_folder)
    equal(dry["applied"], want.applied, "dry run of", name)
    equal(dry["users_named"], len(want.users), "users of a dry run of", name)
    equal(dry["rejected_by_code"], want.rejected, "rejects of a dry run of", name)
    if want.prefund:
        equal(expect.units(dry["short_amount"], want.scale), sum(want.prefund.values()), "short")

    rejects = os.path.join(WORK, "rejects.csv")
    report = load(name, data, "--rejects", rejects, codes=(1,) if want.rejected else (0,))
    same_counts(report, want, 0)
    with open(rejects, newline="") as file:
        got = sorted((int(row["line"]), row["code"]) for row in csv.DictReader(file))
    equal(got, sorted(want.reject_lines), "rejected lines of", name)
    users = same_balances(data, want)
    entries_of(data, want)
    again = load(name, data, "--allow-rejects", codes=(0,))
    same_counts(again, want, want.applied + len(want.prefund))
    equal(again["users_created"], 0, "users made by a second run of", name)
    equal(same_balances(data, want), users, "balances after a second run of", name)
    TABLE.append([name, f"{report['lines']:,}", f"{report['users_created']:,}",
                  f"{report['applied']:,}", f"{report['rejected']:,}", f"{users:,}",
                  f"{report['seconds']:.2f}", f"{report['ops_per_second']:,.0f}",
                  f"{again['seconds']:.2f}"])
    return report


def banks_word(data, want):
    """The bank's own running balance, where its file lets it be reproduced."""
    got = {row["external_id"]: expect.units(row["claimable"], 2) for row in exported(data, "CZK")}
    for account, balance in want.own_end.items():
        equal(got[account], balance, "the bank's own end balance of", account)
    # Elsewhere its lines are in another order within a day, or rounded: the end then is on one of
    # the last day's lines, for those accounts whose amounts are exact.
    days = sum(got[account] in balances for account, balances in want.own_last_day.items())
    check(len(want.own_end) > len(want.balances) // 10, "reproducible accounts", len(want.own_end))
    check(days >= len(want.own_end), "accounts that end on a line of their last day", days)
    if KIND == "GENERATED":
        equal(days, len(want.balances), "accounts that end on a line of their last day")
    return len(want.own_end), days


def known_facts(wants):
    """Figures that were published with, or counted of, the real files."""
    equal(wants[SAFE].applied, 43469, "grants")
    equal(wants[SAFE].sums["grant"], 47037456 * 10**18, "sum of grants")
    equal(wants[ONEINCH].lines, 77536, "payouts")
    equal(wants[ONEINCH].rejected, {"invalid_amount": 2}, "payouts with 19 digits")
    equal(wants[ETH].lines, 17987, "transfers")
    equal(wants[ETH].rejected, {"self_transfer": 29}, "transfers to oneself")
    equal(wants[BANK].lines, 49009, "lines of the bank")
    equal(len(wants[BANK].balances), 1229, "accounts")
    equal(sum(wants[BANK].balances.values()), 3955374040, "net of the bank")


def truncated(data, want):
    """--truncate takes the lines with too many digits, and says what it cut off."""
    report = load(ONEINCH, data, "--truncate", codes=(0,))
    whole_sum = cut = 0
    for _, row in expect.rows(FOLDER, ONEINCH):
        exact = expect.units(row["amount_1inch"], 38)
        cut += exact % 10**20
        whole_sum += exact // 10**20
    equal(report["truncated"], sum(want.rejected.values()), "truncated lines")
    equal(report["rejected"], 0, "rejects with --truncate")
    equal(expect.units(report["truncated_amount"], 38), cut, "what was cut off")
    equal(expect.units(report["types"]["grant"]["amount"], 18), whole_sum, "sum with --truncate")


def as_ndjson(want):
    """The same transfers as NDJSON, amounts as integers where JSON has them: the same end."""
    path, data = os.path.join(WORK, ETH + ".ndjson"), os.path.join(WORK, "ndjson")
    with open(path, "w") as out:
        for _, row in expect.rows(FOLDER, ETH):
            row["block_timestamp"] = int(row["block_timestamp"])
            if int(row["value_wei"]) < 2**63:
                row["value_wei"] = int(row["value_wei"])
            out.write(json.dumps(row) + "\n")
    arguments = ["import", path, "--data", data, "--json", *MAPPING[ETH]]
    report = json.loads(run(*arguments, codes=(1,)))
    same_counts(report, want, 0)
    same_balances(data, want)


def in_the_files_order():
    """Without --prefund transfers fail: exactly those that fail when done one after the other."""
    senders, want = expect.unfunded(FOLDER, ETH)
    grants, data = os.path.join(WORK, "start.csv"), os.path.join(WORK, "unfunded")
    with open(grants, "w") as file:
        file.write("user,amount\n" + "".join(f"{user},1\n" for user in sorted(senders)))
    run("import", grants, "--data", data, "--asset", "ETH", "--scale", "18", "--type", "grant",
        "--user-column", "user", "--amount-column", "amount")
    mapping = MAPPING[ETH][:-2]  # without --prefund
    rejects = os.path.join(WORK, "rejects.csv")
    report = json.loads(run("import", os.path.join(FOLDER, ETH), "--data", data, "--json", *mapping,
                            "--rejects", rejects, codes=(1,)))
    same_counts(report, want, 0)
    with open(rejects, newline="") as file:
        got = sorted((int(row["line"]), row["code"]) for row in csv.DictReader(file))
    equal(got, sorted(want.reject_lines), "lines that fail in the file's order")
    same_balances(data, want)
    return report


def kill_in_the_middle(name, want, seconds, times):
    """Kills an import at random points, runs it again, and must find the same end."""
    data = os.path.join(WORK, "killed-" + name)
    killed, share = 0, 1.0
    points = []
    while killed < times:
        process = subprocess.Popen([BINARY, *command(name, data)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        delay = seconds * share * RNG.uniform(0.1, 0.9)
        time.sleep(delay)  # not to wait for something: where it strikes is up to chance
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            killed += 1
            points.append(f"{delay:.2f} s")
        else:  # it was faster than thought: from the start, and sooner
            shutil.rmtree(data)
            share /= 2
            killed, points = 0, []
            check(share > 0.001, "the import of", name, "cannot be hit")
    report = load(name, data)
    same_counts(report, want, None)
    same_balances(data, want)
    whole(data)
    entries_of(data, want)
    return points, report["replayed"]


def amount_blob(value):
    """As the store writes amounts: 16 bytes, big endian, with the sign bit turned."""
    return (value + 2**127).to_bytes(16, "big")


def tamper(path, *statements):
    with sqlite3.connect(path) as database:
        for text, *parameters in statements:
            database.execute(text, parameters)
    database.close()


def damaged(data):
    """Changes behind the store's back are found and named; projections can be repaired."""
    copy = os.path.join(WORK, "damaged")
    path = os.path.join(copy, "holdfast.db")
    shutil.copytree(data, copy)
    users = exported(data, "CZK")
    user = users[len(users) // 2]["user_id"]

    # A hold that no entry made, then, all projections being written, a balance that is not true.
    tamper(path, ("INSERT INTO holds VALUES(?1,?1&15,?1,1,0,1,?2,?2,1,0,0)", int(user) + (9 << 40),
                  amount_blob(5)))
    report = json.loads(run("ledger", "replay", "--data", copy, "--json", codes=(1,)))
    equal([row["table"] for row in report["differences"]], ["holds"], "differences")
    report = json.loads(run("ledger", "replay", "--repair", "--data", copy, "--json"))
    check(report["repaired"], report)
    equal(whole(copy)["lagging"], 0, "entries that the projections have not seen after a repair")
    tamper(path, ("UPDATE ledger_balances SET claimable=?2 WHERE user=?1 AND asset="
                  "(SELECT id FROM assets WHERE code='CZK')", int(user), amount_blob(123456)))
    before = expect.units(next(row["claimable"] for row in users if row["user_id"] == user), 2)
    report = json.loads(run("ledger", "replay", "--data", copy, "--json", codes=(1,)))
    equal(len(report["differences"]), 1, "differences")
    found = report["differences"][0]
    equal((found["user_id"], found["asset"], found["field"]), (user, "CZK", "claimable"), "named")
    equal(expect.units(found["delta"].lstrip("-"), 2), abs(123456 - before), "delta")
    run("ledger", "replay", "--repair", "--data", copy)
    whole(copy)
    with sqlite3.connect(path) as database:
        runs = database.execute(
            "SELECT differences,repaired FROM replay_runs ORDER BY id").fetchall()
    database.close()
    # The first is of the intact database, before it was copied.
    equal(runs[-6:], [(1, 0), (1, 1), (0, 0), (1, 0), (1, 1), (0, 0)], "runs that were kept")

    # One byte of one entry: the chain breaks there, and says where.
    with sqlite3.connect(path) as database:
        (seq, user, body), = database.execute(
            "SELECT seq,user,body FROM journal_3 ORDER BY seq LIMIT 1 OFFSET 20")
    database.close()
    changed = bytearray(body)
    changed[-1 - RNG.randrange(20)] ^= 1 << RNG.randrange(8)
    trigger = "CREATE TRIGGER journal_3_update BEFORE UPDATE ON journal_3 BEGIN " \
              "SELECT RAISE(ABORT,'the journal is append-only'); END"
    tamper(path, ("DROP TRIGGER journal_3_update",),
           ("UPDATE journal_3 SET body=? WHERE seq=?", bytes(changed), seq), (trigger,))
    report = json.loads(run("ledger", "verify", "--data", copy, "--json", codes=(1,)))
    equal(len(report["findings"]), 1, "findings")
    equal((report["findings"][0]["partition"], report["findings"][0]["seq"]), (3, seq), "first bad")


def print_table():
    heads = ["file", "lines", "users made", "applied", "rejected", "balances equal", "seconds",
             "ops/s", "again, s"]
    widths = [max(len(row[i]) for row in [heads, *TABLE]) for i in range(len(heads))]
    for row in [heads, *TABLE]:
        print("  ".join(cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i])
                        for i, cell in enumerate(row)))


def on_postgres():
    """Transfers and a bank's book; the transfers once more, killed twice on the way."""
    wants = {ETH: expect.transfers(FOLDER, ETH), BANK: expect.bank(FOLDER, BANK)}
    data = os.path.join(WORK, "data")
    seconds = {}
    os.environ["HOLDFAST_STORE"] = DATABASES[0]
    for name, want in wants.items():
        seconds[name] = import_one(name, data, want)["seconds"]
    whole(data)
    print_table()
    os.environ["HOLDFAST_STORE"] = DATABASES[1]
    points, replayed = kill_in_the_middle(ETH, wants[ETH], seconds[ETH], 2)
    print(f"{ETH}: killed after {', then '.join(points)}; the last run found {replayed:,} "
          "operations there and brought in the rest: same end")


def main():
    with open(os.path.join(WORK, "bank.ini"), "w") as file:
        file.write(PROFILE)
    if DATABASES:
        on_postgres()
        print(f"{checks:,} checks passed")
        return
    wants = {
        SAFE: expect.grants(FOLDER, SAFE, "address", "amount_safe", "SAFE"),
        ONEINCH: expect.grants(FOLDER, ONEINCH, "address", "amount_1inch", "1INCH"),
        ETH: expect.transfers(FOLDER, ETH),
        BANK: expect.bank(FOLDER, BANK),
    }
    if KIND == "REAL":
        known_facts(wants)
    data = os.path.join(WORK, "data")
    seconds = {}
    for name, want in wants.items():
        seconds[name] = import_one(name, data, want)["seconds"]
    ends, days = banks_word(data, wants[BANK])
    whole(data)
    print_table()
    print(f"bank: {ends:,} accounts whose lines reproduce its own running balance end at it; "
          f"{days:,} of {len(wants[BANK].balances):,} end on a line of its last day")
    truncated(data, wants[ONEINCH])
    as_ndjson(wants[ETH])
    report = in_the_files_order()
    print(f"{ETH} without --prefund: {report['rejected']:,} of {report['lines']:,} lines refused, "
          f"the same as one after the other ({report['ops_per_second']:,.0f} ops/s)")
    for name in (ONEINCH, ETH):
        points, replayed = kill_in_the_middle(name, wants[name], seconds[name], 2)
        print(f"{name}: killed after {', then '.join(points)}; the last run found {replayed:,} "
              "operations there and brought in the rest: same end")
    damaged(data)
    print(f"{checks:,} checks passed")


main()
