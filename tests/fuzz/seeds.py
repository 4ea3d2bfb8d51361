#!/usr/bin/env python3
"""Writes the seeds that are not text: tests/fuzz/seeds.py [FOLDER] (tests/fuzz/corpus).

The encodings are written down here once more, from the headers: a seed that the target refuses
shows that one of the two is wrong. Inputs that a fuzzer found lie beside them and stay.
"""

import json
import os
import struct
import sys


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def amount(value):
    return varint(value << 1 if value >= 0 else ~(value << 1))


def blob(data):
    return varint(len(data)) + data


def u64(value):
    return struct.pack(">Q", value)


EARNED, PENDING, CLAIMABLE, HELD, BLOCKED, DEBT = 0, 1, 2, 3, 5, 7
ISSUANCE, REWARDS, SPEND, TRANSIT = 16, 17, 18, 25


class User:
    """The entries of a user, with the balances that follow."""

    def __init__(self, number):
        self.number, self.version, self.balances, self.newest = number, 0, {}, {}
        self.journal = []

    def entry(self, kind, source, target, asset, value, ref=0, left=0, label=b"", expires=0,
              place=(0, 1), metadata=None, backdated=0, claimed=0, spent=0, payee=0):
        balance = self.balances.setdefault(asset, [0] * 10)
        for account, sign in ((source, -1), (target, 1)):
            if account < 8:
                balance[account] += -sign * value if account == DEBT else sign * value
        balance[8] += claimed
        balance[9] += spent
        self.version += 1
        recorded = 1763700000000000 + self.version
        others = sorted((a, v) for a, v in self.newest.items() if a != asset)
        self.newest[asset] = self.version
        body = bytes([1]) + varint(self.number) + varint(self.version) + bytes([kind, *place])
        body += bytes([source, target]) + varint(asset) + amount(value)
        body += b"".join(amount(part) for part in balance)
        body += amount(recorded) + amount(-backdated) + bytes(16) + bytes(range(16))
        body += varint(ref) + amount(left) + varint(payee) + amount(expires)
        body += blob(label) + blob(b"key:seed") + blob(b"r-1")
        body += bytes([0]) if metadata is None else bytes([1]) + metadata
        body += varint(len(others)) + b"".join(varint(a) + varint(v) for a, v in others)
        self.journal.append(body)

    def text(self, bits):
        return bytes([bits]) + b"".join(struct.pack(">H", len(b)) + b for b in self.journal)

    def leaf(self):
        out = bytes([1]) + varint(self.number) + varint(self.version) + bytes(range(32))
        out += varint(len(self.newest))
        for asset in sorted(self.newest):
            out += varint(asset) + varint(self.newest[asset])
            out += b"".join(amount(part) for part in self.balances[asset])
        return out


def journals():
    one = User(37)
    one.entry(4, REWARDS, CLAIMABLE, 1, 1000)
    one.entry(6, CLAIMABLE, SPEND, 1, 300, label=b"shop", spent=300)
    holds = User(1000003)
    holds.entry(1, ISSUANCE, EARNED, 2, 50, backdated=3600000000)
    holds.entry(4, REWARDS, CLAIMABLE, 1, 900, metadata=bytes(32))
    holds.entry(7, CLAIMABLE, HELD, 1, 400, left=400, expires=1763800000000000)
    holds.entry(10, CLAIMABLE, BLOCKED, 1, 100, left=100)
    holds.entry(12, CLAIMABLE, TRANSIT, 1, 7, payee=55)
    large = User((1 << 53) - 1)
    large.entry(1, ISSUANCE, EARNED, 65535, (1 << 127) - 1)
    return {"journal_spend": one, "journal_holds": holds, "journal_large": large}


def seal_text(number, bits):
    line = "holdfast seal 1\nnumber %d\ntime 2026-11-21T09:00:00.000000Z\npartition_bits %d\n"
    text = line % (number, bits) + "users 1000000 " + "ab" * 32 + "\n"
    for part in range(1 << bits):
        text += "batch %d %d %s\n" % (part, part * 7, ("%02x" % part) * 32)
    return (text + "log %d %s\n" % (number - 1, "cd" * 32)).encode()


def decimals():
    texts = ["0", "1", "12.50", "-12.5", "0.000000000000000001", "9" * 38, "1" + "0" * 38,
             "0." + "0" * 37 + "1", "170141183460469231731.687303715884105727", "00.5", "1.", "-0"]
    for place, text in enumerate(texts):
        wide = ((1 << 127) - 1) // (place * place * place + 1) * (-1 if place % 2 else 1)
        scale = [8, 2, 0, 18][place % 4]
        yield text, bytes([scale, 1]) + (wide % (1 << 128)).to_bytes(16, "big") + text.encode()


def times():
    texts = ["2026-11-21T05:06:44.123456Z", "2024-02-29T23:59:59z", "1900-02-29T00:00:00Z",
             "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999999999-00:00",
             "2026-01-31t12:00:00.1+23:59", "1969-12-31T23:59:59.5Z", "2026-04-31T00:00:60Z"]
    for place, text in enumerate(texts):
        yield text, u64(place * 39446000000000000 + 1) + text.encode()


# ---- what a PostgreSQL server answers: fuzz_pg_talk.c -------------------------------------------

INT8, BYTES32, BYTES16, TEXT = 0, 5, 6, 7  # places in the target's table of types
LOAD_USER, LIST_HOLDS, OPEN_PARTITION = 1, 8, 11
NULL = bytes([255])
USER_53 = bytes([199])  # the target puts it in


def any_size(data):
    return bytes([254, len(data)]) + data


def answer(types, *rows):
    out = bytes([0, len(types), len(rows)]) + bytes(types)
    return out + b"".join(b"".join(row) for row in rows)


def small(*values):
    return [bytes([value]) for value in values]


def loaded():
    user = User(53)
    user.entry(4, REWARDS, CLAIMABLE, 1, 1000)
    columns = [INT8] * 9 + [BYTES32, BYTES32, TEXT, TEXT]
    row = small(0) + [USER_53] + small(0, 0, 9, 1, 0, 0, 0) + [NULL, NULL, NULL, NULL]
    entry = small(1, 4) + [USER_53] + small(1, 0, 0, 0, 0, 0)
    entry += [bytes([1]), any_size(user.journal[0]), NULL, NULL]
    hold = small(2, 117) + [USER_53] + small(1, 0, 5, 6, 0, 1)
    hold += [any_size(bytes(16)), any_size(bytes(16)), NULL, NULL]
    return bytes([LOAD_USER, 0, 0]) + answer(columns, row, entry, hold)


def opened():
    columns = [INT8] * 9 + [BYTES32, INT8]
    row = small(1, 0, 8, 0, 0, 6, 4, 5, 7) + [bytes([3])] + small(9)
    return bytes([OPEN_PARTITION, 0, 0]) + answer(columns, row) + answer([INT8], small(1))


def held():
    columns = [INT8, INT8, INT8, INT8, BYTES16, BYTES16, INT8, INT8, INT8]
    row = small(117) + [USER_53] + small(1, 0, 9, 9, 5, 6, 0)
    return bytes([LIST_HOLDS, 1, 0]) + answer(columns, row, row)


# ---- scripts of a link: fuzz_link.c --------------------------------------------------------------

def record(how, data):
    return bytes([how, len(data) - 1]) + data


def scripts():
    frames = record(0, b"one") + record(16, b"two") + record(1, b"\3\0\0\0abc\0\0\0\0")
    yield "frames", bytes([0]) + frames
    yield "pieces", bytes([0]) + record(1, b"\4\0\0") + record(17, b"\0ab") + record(1, b"cd")
    yield "large", bytes([0]) + record(0, b"good") + record(17, b"\1\0\0\1x")
    yield "changed", bytes([0]) + record(0, b"good") + record(128, b"evil") + bytes([5, 1])
    yield "twice", bytes([0]) + frames + record(64, b"again") + frames
    yield "cut", bytes([0]) + frames + record(96, b"cut") + bytes([9])
    yield "proof", bytes([210, 60]) + frames
    yield "header", bytes([210, 90]) + frames
    yield "raw", bytes([255]) + b"HFLINK01" + struct.pack("<QQ", 22, 11) + bytes(32)


# ---- proofs: fuzz_proof.c ------------------------------------------------------------------------

def proofs():
    text = seal_text(12, 1).decode() + "key %s\nsignature %s\n" % ("ab" * 32, "cd" * 64)
    yield "user", bytes([0, 0, 60, 1, 9, 3, 4, 2, 100, 7])
    yield "log", bytes([1, 1, 200, 2, 11, 4])
    yield "first", bytes([1, 0, 0, 0, 0, 0])
    yield "alone", bytes([0, 0, 0, 0, 0, 0, 1, 0])
    yield "unnamed_index", bytes([0, 0, 134, 5])
    yield "unsigned", b"\2" + json.dumps({
        "proof": "inclusion", "user_id": "155", "version": 1, "leaf": User(155).leaf().hex(),
        "index": 0, "size": 1, "hashes": ["00" * 32], "seal": text}).encode()
    yield "unsigned_log", b"\2" + json.dumps({
        "proof": "consistency", "inclusion": ["00" * 32], "consistency": [], "from": text,
        "to": text}).encode()


def seeds():
    for name, data in proofs():
        yield "proof/" + name, data
    for name, data in scripts():
        yield "link/" + name, data
    for name, data in [("loaded", loaded()), ("opened", opened()), ("held", held())]:
        yield "pg_talk/" + name, data
    for name, user in journals().items():
        yield "entry/" + name, user.text(4)
        yield "leaf/" + name, user.leaf()
    for bits in (0, 2):
        yield "seal/bits_%d" % bits, struct.pack(">HB", 300, 1) + seal_text(12, bits)
    for place, (_, data) in enumerate(decimals()):
        yield "amount/%02d" % place, data
    for place, (_, data) in enumerate(times()):
        yield "time/%02d" % place, data
    for place, text in enumerate(["1", "9007199254740991", "9007199254740992", "017", "42x"]):
        yield "id/%02d" % place, bytes([4]) + u64(1234567 << 4 | place) + text.encode()
    query = b"/v1/users/17/entries\nasset=COIN"
    yield "cursor/made", b"k" + u64(17) + bytes([5, 1, len(query)]) + query + b"A" * 32
    steps = bytes([1, 2, 3, 0, 4, 6, 12])
    values = varint(300) + amount(-(1 << 126)) + blob(b"text") + b"\x07" + b"fixed!!" + varint(1)
    yield "reader/values", bytes([len(steps)]) + steps + values + amount(5)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "corpus")
    for name, data in seeds():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


main()
