"""What an import of the four files must lead to, computed from the files alone in exact integers.

Shares nothing with the server: own reading, own scaling, own order, own balances."""
import csv
import itertools
import os


class Expected:
    """Counts, sums and end balances of one file, in base units."""

    def __init__(self, asset, scale):
        self.asset, self.scale = asset, scale
        self.lines = self.applied = 0
        self.rejected = {}   # code -> lines
        self.reject_lines = []
        self.users = set()   # of lines that are good as far as the file tells
        self.sums = {}       # operation -> amount
        self.prefund = {}    # user -> amount
        self.balances = {}   # user -> amount

    def reject(self, line, code):
        self.rejected[code] = self.rejected.get(code, 0) + 1
        self.reject_lines.append((line, code))

    def count(self, kind, amount):
        self.applied += 1
        self.sums[kind] = self.sums.get(kind, 0) + amount

    def move(self, user, amount):
        self.balances[user] = self.balances.get(user, 0) + amount


def rows(folder, name):
    with open(os.path.join(folder, name), newline="") as file:
        yield from enumerate(csv.DictReader(file), start=2)


def units(text, scale):
    """Decimal text in base units; None when it has more digits than the scale."""
    whole, _, behind = text.partition(".")
    behind = behind.rstrip("0")
    if len(behind) > scale:
        return None
    return int(whole) * 10**scale + int(behind.ljust(scale, "0") or "0")


def grants(folder, name, user, amount, asset):
    want = Expected(asset, 18)
    for line, row in rows(folder, name):
        want.lines += 1
        value = units(row[amount], 18)
        if value is None:
            want.reject(line, "invalid_amount")
            continue
        want.users.add(row[user])
        want.count("grant", value)
        want.move(row[user], value)
    return want


def unfunded(folder, name):
    """The same transfers with nothing given beforehand but 1 ETH to each address that sends: most
    fail, and which of them depends on the order alone."""
    want = Expected("ETH", 18)
    senders = {row["from"] for _, row in rows(folder, name)}
    for user in senders:
        want.move(user, 10**18)
    for line, row in rows(folder, name):
        want.lines += 1
        value, sender, to = int(row["value_wei"]), row["from"], row["to"]
        want.users |= {sender, to}
        if sender == to:
            want.reject(line, "self_transfer")
        elif want.balances[sender] < value:
            want.reject(line, "insufficient_funds")
        else:
            want.count("transfer", value)
            want.move(sender, -value)
            want.move(to, value)
    return senders, want


def transfers(folder, name):
    want = Expected("ETH", 18)
    lowest = {}
    for line, row in rows(folder, name):
        want.lines += 1
        value, sender, to = int(row["value_wei"]), row["from"], row["to"]
        want.users |= {sender, to}
        if sender == to:
            want.reject(line, "self_transfer")
            continue
        want.count("transfer", value)
        want.move(sender, -value)
        lowest[sender] = min(lowest.get(sender, 0), want.balances[sender])
        want.move(to, value)
    for user, short in lowest.items():
        if short < 0:
            want.prefund[user] = -short
            want.move(user, -short)
    return want


def bank(folder, name):
    """Also what the bank itself says: the balances on the lines of each account's last day, one of
    which is its end balance, and the end balance itself where the lines are in their true order."""
    want = Expected("CZK", 2)
    running, broken, own, last_day = {}, set(), {}, {}
    for _, row in rows(folder, name):
        account, amount = row["account_id"], units(row["amount"], 2)
        signed = amount if row["type"] == "PRIJEM" else -amount
        running[account] = running.get(account, 0) + signed
        own[account] = units(row["balance"], 2)
        if own[account] != running[account]:
            broken.add(account)
        if last_day.setdefault(account, (row["date"], set()))[0] != row["date"]:
            last_day[account] = (row["date"], set())
        last_day[account][1].add(own[account])
    for _, day in itertools.groupby(rows(folder, name), key=lambda item: item[1]["date"]):
        day = list(day)
        for kind in ("credit", "debit"):
            for _, row in day:
                credit = row["type"] == "PRIJEM"
                if credit != (kind == "credit"):
                    continue
                account, amount = row["account_id"], units(row["amount"], 2)
                want.lines += 1
                want.users.add(account)
                if not credit and want.balances.get(account, 0) < amount:
                    raise AssertionError(f"account {account} is short in this order")
                want.count("deposit" if credit else "spend", amount)
                want.move(account, amount if credit else -amount)
    want.own_end = {account: own[account] for account in own if account not in broken}
    want.own_last_day = {account: balances for account, (_, balances) in last_day.items()}
    return want
