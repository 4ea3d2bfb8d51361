"""Files of the same shape as the real ones, traps included, from a seed: for machines without them.

usage: generate.py FOLDER SEED
"""
import csv
import os
import random
import sys


def address(rng):
    return "0x%040x" % rng.getrandbits(160)


def write(folder, name, header, rows):
    with open(os.path.join(folder, name), "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def claims(rng, count):
    return [(address(rng), rng.randint(100, 66249)) for _ in range(count)]


def refunds(rng, count):
    """Repeated payouts to the same users; two amounts have a digit more than any asset can."""
    people = [address(rng) for _ in range(count * 2 // 3)]
    rows = []
    for number in range(count):
        digits = rng.randint(1, 18)
        amount = "%d.%0*d" % (rng.randint(0, 2000), digits, rng.randint(1, 10**digits - 1))
        rows.append((f"2{1 + number * 3 // count}_09", rng.choice(people), amount))
    for at, digit in ((count // 2, 5), (count * 9 // 10, 9)):
        amount = "0.00776483831708639%03d%d" % (rng.randint(0, 999), digit)
        rows[at] = (rows[at][0], address(rng), amount)
    return rows


def transfers(rng, count):
    """Hot senders and receivers, 0.16 % of the transfers to oneself, some of less than a gwei."""
    people = [address(rng) for _ in range(count * 3 // 5)]
    rows = []
    for number in range(count):
        some = people[int(rng.paretovariate(1.1)) % len(people)]
        sender = people[0] if rng.random() < 0.118 else some
        to = people[1] if rng.random() < 0.108 else rng.choice(people)
        if number % 617 == 616:
            to = sender
        elif to == sender:
            to = people[(people.index(to) + 1) % len(people)]
        value = rng.randint(1, 10 ** rng.randint(6, 22))
        rows.append(("0x%064x" % rng.getrandbits(256), 3300000 + number // 3, number % 3,
                     1488771105 + number * 4, sender, to, value))
    return rows


def bank(rng, count):
    """A bank's day book. Its own running balance follows the true order, in which no account is
    ever short; within a day the lines are shuffled."""
    accounts = [rng.randint(1, 11000) for _ in range(max(8, count // 40))]
    balances = {}
    days = ["93%02d%02d" % (month, day) for month in range(1, 13) for day in range(1, 29)]
    rows, number = [], 100000
    for index, day in enumerate(days):
        lines = []
        for _ in range(count * (index + 1) // len(days) - count * index // len(days)):
            account = rng.choice(accounts)
            have = balances.get(account, 0)
            number += rng.randint(1, 30)
            if have < 2000 or rng.random() < 0.45:
                kind, how = "PRIJEM", rng.choice(("VKLAD", "PREVOD Z UCTU"))
                amount = rng.randint(10000, 5000000)
            else:
                kind = "VYBER" if rng.random() < 0.03 else "VYDAJ"
                how = rng.choice(("VYBER", "PREVOD NA UCET"))
                amount = rng.randint(10, have)
            have += amount if kind == "PRIJEM" else -amount
            balances[account] = have
            lines.append((number, account, day, kind, how, "%d.%02d" % divmod(amount, 100),
                          "%d.%02d" % divmod(have, 100), "", rng.choice(("", "AB", "YZ")), ""))
        rng.shuffle(lines)
        rows += lines
    return rows


def main():
    folder, rng = sys.argv[1], random.Random(int(sys.argv[2]))
    os.makedirs(folder, exist_ok=True)
    write(folder, "safe_airdrop_claims.csv", ("address", "amount_safe"), claims(rng, 12000))
    write(folder, "oneinch_gas_refunds.csv", ("period", "address", "amount_1inch"),
          refunds(rng, 20000))
    write(folder, "eth_native_transfers.csv",
          ("tx_hash", "block_number", "tx_index", "block_timestamp", "from", "to", "value_wei"),
          transfers(rng, 8000))
    write(folder, "berka_bank_transactions.csv",
          ("trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol",
           "bank", "account"), bank(rng, 15000))


if __name__ == "__main__":
    main()
