// Concurrent operations against one or more servers while they fail, and what must hold of them:
//
//   every acknowledged operation is in the journal exactly once, as it was acknowledged; a refused
//   one is not; one of unknown outcome is there wholly or not at all, and a retry with its key says
//   which; versions have no gaps; balances are the sums of what was acknowledged; no reader sees an
//   older balance than anybody was told of before it asked, and nobody two balances of one version;
//   and every request gets a whole reply in time, but for those that were on their way to a server
//   that the test took away.
//
// A Load owns its users, and nothing else may touch these.
'use strict';
const assert = require('node:assert');
const { isDeepStrictEqual } = require('node:util');
const { request } = require('./server.js');
const { pause, until } = require('./wait.js');

const cents = (text) => BigInt(text.replace('.', ''));
const ASSET = 'COIN';

class Load {
  // random: from wait.js. servers: those that requests go to; the caller may change it at any time.
  // timeout: ms for one request, 0: none. rate: requests a second, 0: as fast as they are answered.
  constructor({ random, servers, users = 12, name = 'load', timeout = 0, rate = 0 }) {
    this.random = random;
    this.servers = servers;
    this.name = name;
    this.timeout = timeout;
    this.rate = rate;
    this.turnAt = 0;        // when the next request may go out, ms
    this.usersCount = users;
    this.users = [];
    this.ops = [];          // {key, body, text?, status?}: text is the first whole reply
    this.decided = 0;       // of these have a status
    this.holds = [];
    this.told = new Map();  // user -> newest version that a whole reply has named
    this.seen = new Map();  // "user version" -> its balances
    this.reads = 0;
    this.refusedAtDoor = 0; // 503 and 429
    this.broken = 0;        // requests without a whole reply, in time
    this.lastBroken = null; // why
    this.mayBreak = 0;      // so many of these are the test's own doing
    this.unheard = 0;       // nobody listened, or the server had been killed before; likewise
    this.fromProxy = 0;     // 502 and 504: what a proxy says for a server that it lost
    this.workers = 0;
    this.stopped = false;
  }

  server() { return this.servers[this.random(this.servers.length)]; }

  request(server, method, path, options = {}) {
    return request(server, method, path, { timeout: this.timeout, ...options });
  }

  async prepare() {
    const make = (path, body, key) => until(`make ${path}`, async () => {
      const reply = await this.request(this.server(), 'POST', path,
        { body, headers: { 'Idempotency-Key': key } });
      if (reply.status === 503) return null;
      const there = path === '/v1/assets' && reply.status === 409;
      assert.ok(reply.status === 201 || there, reply.text);
      return reply.json;
    });
    await make('/v1/assets', { code: ASSET, scale: 2 }, `${this.name}-asset`);
    for (let i = 0; i < this.usersCount; i++) {
      const body = { kind: 'registered', external_id: `${this.name}-${i}` };
      this.users.push((await make('/v1/users', body, `${this.name}-user-${i}`)).id);
    }
  }

  // ---- operations ------------------------------------------------------------------------------

  draw() {
    const { random, users } = this;
    const user = random(users.length);
    const amount = `${1 + random(50)}.${String(random(100)).padStart(2, '0')}`;
    const body = { user_id: users[user], asset: ASSET, amount };
    const kind = random(10);
    if (kind < 3) body.type = 'grant';
    else if (kind < 5) body.type = 'spend';
    else if (kind < 7) {
      body.type = 'transfer';
      body.to_user_id = users[(user + 1 + random(users.length - 1)) % users.length];
    } else if (kind < 9 || this.holds.length === 0) body.type = 'hold';
    else {
      const hold = this.holds.splice(random(this.holds.length), 1)[0];
      return { type: 'capture', user_id: hold.user_id, hold_id: hold.hold_id };
    }
    return body;
  }

  // Some say what they are for, some what must not have changed meanwhile.
  decorate(body) {
    const { random } = this;
    if (body.atomic) return body;
    if (random(4) === 0) body.metadata = { order: random(1000), note: 'über "alles"' };
    if (random(8) === 0) body.reason = `load ${random(100)}`;
    if (random(8) === 0) body.if_version = this.told.get(body.user_id) ?? 0;
    return body;
  }

  // False: not an outcome, to be tried again. Throws what request() throws.
  async send(server, op) {
    const reply = await this.request(server, 'POST', '/v1/ops',
      { body: op.body, headers: { 'Idempotency-Key': op.key } });
    const what = `${op.key} ${JSON.stringify(op.body)}: ${reply.status} ${reply.text}`;
    if ([502, 504].includes(reply.status)) // a proxy's: nobody knows
      throw Object.assign(new Error(what), { fromProxy: true });
    if ([503, 429].includes(reply.status) || reply.headers['retry-after']) {
      assert.ok([503, 429, 409].includes(reply.status), what);
      assert.ok(Number(reply.headers['retry-after']) >= 1, `no Retry-After: ${what}`);
      this.refusedAtDoor++;
      return false;
    }
    assert.ok(reply.status === 201 || reply.status === 409, what);
    if (reply.headers['idempotency-replayed'] !== 'true') {
      op.fresh = (op.fresh ?? 0) + 1;
      assert.strictEqual(op.fresh, 1, `${op.key} was done twice`);
    }
    if (op.status === undefined) {
      this.decide(op, reply.status, reply.text);
      if (reply.status === 201) this.learn(op, reply.json);
      return true;
    }
    // It was answered before: the same outcome again. One reply of all may be the first one, and
    // only when both were on their way at the same time does it come second.
    assert.strictEqual(reply.status, op.status, `${op.key} flipped`);
    if (op.status === 201) assert.strictEqual(reply.text, op.text, `${op.key} changed`);
    else assert.strictEqual(reply.json.code, JSON.parse(op.text).code);
    return true;
  }

  decide(op, status, text) {
    op.status = status;
    op.text = text;
    this.decided++;
  }

  learn(op, reply) {
    const { metadata = null, if_version: version } = op.body;
    const [first] = reply.entries;
    assert.deepStrictEqual(first.metadata ?? null, metadata, `metadata of ${op.key}`);
    if (version !== undefined)
      assert.strictEqual(first.version, version + 1, `if_version of ${op.key}`);
    if (op.body.type === 'hold')
      this.holds.push({ user_id: op.body.user_id, hold_id: reply.hold_id });
    this.saw(op.body.user_id, reply.version, reply.balances[ASSET]);
  }

  // A version of a user has one balance, whoever asks, whenever.
  saw(user, version, balance) {
    if (version > (this.told.get(user) ?? 0)) this.told.set(user, version);
    const name = `${user} ${version}`;
    const known = this.seen.get(name);
    if (!known) this.seen.set(name, balance);
    else assert.ok(isDeepStrictEqual(known, balance), `two balances of ${name}`);
  }

  async read(server) {
    const user = this.users[this.random(this.users.length)];
    const before = this.told.get(user) ?? 0;
    const reply = await this.request(server, 'GET', `/v1/users/${user}/balances`);
    if ([502, 504].includes(reply.status))
      throw Object.assign(new Error(reply.text), { fromProxy: true });
    if (reply.status === 503) {
      assert.ok(Number(reply.headers['retry-after']) >= 1, `no Retry-After: ${reply.text}`);
      this.refusedAtDoor++;
      return;
    }
    assert.strictEqual(reply.status, 200, reply.text);
    assert.ok(reply.json.version >= before,
      `stale: ${user} was at ${before} before the read, which says ${reply.json.version}`);
    this.reads++;
    if (reply.json.version > 0) this.saw(user, reply.json.version, reply.json.balances[ASSET]);
  }

  // Waits until the rate allows one more; what was missed while nobody asked is not made up for.
  async turn() {
    if (this.rate === 0) return;
    const now = performance.now();
    this.turnAt = Math.max(this.turnAt + 1000 / this.rate, now);
    if (this.turnAt > now) await pause(this.turnAt - now);
  }

  async worker(repeat) {
    for (;;) {
      await this.turn();
      if (this.stopped) return;
      const { ops, random } = this;
      const server = this.server();
      const killed = server.killed === true; // it is asked all the same
      try {
        if (random(4) === 0) await this.read(server);
        else {
          const old = ops.length > 0 && random(20) === 0 ? ops[random(ops.length)] : null;
          const op = old || { key: `${this.name}-${ops.length}`, body: this.decorate(this.draw()) };
          if (!old) ops.push(op);
          if (!await this.send(server, op)) await pause(5 + random(20));
        }
      } catch (error) {
        if (error.code === 'ERR_ASSERTION') throw error;
        this.noReply(error, killed);
        if (!repeat) return; // the connection went with the process
        await pause(5 + random(20));
      }
    }
  }

  // A connection to a server that was killed may be refused, or end as its process does.
  noReply(error, killed) {
    if (error.fromProxy) this.fromProxy++;
    else if (error.code === 'ECONNREFUSED' || killed) this.unheard++;
    else this.broken++;
    this.lastBroken = error;
  }

  // Before a server is killed, or stops for longer than a request may take: a worker has one
  // request on its way at the most, and that may be lost.
  takeAway() { this.mayBreak += this.workers; }

  // A server that lives answers.
  checkBroken() {
    assert.ok(this.broken <= this.mayBreak, `${this.broken} requests without a whole reply, ` +
      `${this.mayBreak} may be, the last one: ${this.lastBroken?.stack}`);
    assert.ok(this.unheard === 0 || this.mayBreak > 0, 'nobody listens');
  }

  // Starts workers; stop() ends them and throws what they threw. repeat: they go on when a
  // connection breaks.
  start(workers = 24, { repeat = true } = {}) {
    this.stopped = false;
    this.workers = workers;
    this.running = Promise.all(Array.from({ length: workers }, () => this.worker(repeat)));
    this.running.catch(() => { this.stopped = true; });
  }

  async stop() {
    this.stopped = true;
    await this.running;
  }

  // Operations with an outcome from now on: waits for so many of them.
  async progress(count, ms = 30000) {
    const start = this.decided;
    await until(`${count} operations`, () => this.stopped || this.decided >= start + count, { ms });
    if (this.stopped) await this.running;
  }

  // ---- what must hold --------------------------------------------------------------------------

  // Every key once more, twice: acknowledged ones replay, the others get their one outcome now and
  // keep it. ops: only these.
  async settle(ops = this.ops, passes = 2) {
    for (let pass = 0; pass < passes; pass++)
      for (let at = 0; at < ops.length; at += 64)
        await Promise.all(ops.slice(at, at + 64).map((op) =>
          until(op.key, () => this.send(this.server(), op), { ms: 60000, every: 50 })));
  }

  // What the replies to an operation that was applied say: one, but of a batch.
  results(op) { return [JSON.parse(op.text)]; }

  // What the clients were told, added up: an entry moves its amount between two accounts of its
  // user; a transfer's credit is known from the payer's reply.
  expected() {
    const sums = new Map(this.users.map((id) => [id, { claimable: 0n, held: 0n, spent: 0n }]));
    for (const op of this.ops) {
      if (op.status !== 201) continue;
      for (const entry of this.results(op).flatMap((reply) => reply.entries))
        this.move(sums.get(entry.user_id), entry);
      if (op.body.type === 'transfer')
        sums.get(op.body.to_user_id).claimable += cents(op.body.amount);
    }
    return sums;
  }

  move(sum, entry) {
    const amount = cents(entry.amount);
    if (entry.from in sum) sum[entry.from] -= amount;
    if (entry.to in sum) sum[entry.to] += amount;
    if (entry.to.startsWith('sys:spend')) sum.spent += amount;
    if (entry.from.startsWith('sys:spend')) sum.spent -= amount;
  }

  // A read whose answer counts. On a machine with other work a node may miss a beat, too.
  answer(server, path) {
    return until(path, async () => {
      const reply = await this.request(server, 'GET', path);
      if (reply.status === 503) return null;
      assert.strictEqual(reply.status, 200, `${path}: ${reply.text}`);
      return reply.json;
    });
  }

  async entriesOf(server, user) {
    const entries = [];
    let cursor = '';
    do {
      const page = await this.answer(server,
        `/v1/users/${user}/entries?limit=500${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      entries.push(...page.data);
      cursor = page.next_cursor;
    } while (cursor);
    return entries;
  }

  // Through the API, on every server that there is, after settle().
  async check() {
    this.checkBroken();
    const applied = this.ops.filter((op) => op.status === 201).flatMap((op) => this.results(op));
    const promised = new Map(applied.flatMap((reply) =>
      reply.entries.map((entry) => [entry.id, entry])));
    const transfers = new Map(applied.filter((reply) => reply.transfer_id)
      .map((reply) => [reply.transfer_id, reply]));
    assert.strictEqual(promised.size,
      applied.reduce((sum, reply) => sum + reply.entries.length, 0), 'an entry told of twice');
    const sums = this.expected();
    const flows = new Map(); // account of the system -> what it got
    let held = 0n;           // by all users
    for (const user of this.users) {
      const entries = await this.entriesOf(this.server(), user);
      entries.forEach((entry, i) => this.checkEntry(user, entry, entries.length - i,
        { promised, transfers, flows, sum: sums.get(user) }));
      held += await this.checkBalances(user, sums.get(user), entries);
    }
    assert.strictEqual(promised.size, 0, `not in the journal: ${[...promised.keys()].join(' ')}`);
    assert.strictEqual(transfers.size, 0, `not credited: ${[...transfers.keys()].join(' ')}`);
    assert.strictEqual([...flows.values()].reduce((sum, flow) => sum + flow, held), 0n, 'sum');
    assert.strictEqual(flows.get('sys:transit') ?? 0n, 0n, 'nothing is in transit');
  }

  checkEntry(user, entry, version, { promised, transfers, flows }) {
    const at = `${user} ${version}`;
    assert.strictEqual(entry.version, version, `a gap in the versions of ${user}`);
    const amount = cents(entry.amount);
    for (const [account, sign] of [[entry.from, -1n], [entry.to, 1n]])
      if (account.startsWith('sys:'))
        flows.set(account, (flows.get(account) ?? 0n) + sign * amount);
    if (entry.type === 'credit') {
      const transfer = transfers.get(entry.transfer_id);
      assert.ok(transfer, `${at}: a credit nobody was told of, or one credited twice`);
      assert.strictEqual(transfer.entries[0].amount, entry.amount, at);
      transfers.delete(entry.transfer_id);
    } else {
      const told = promised.get(entry.id);
      assert.ok(told, `${at}: an entry that nobody was told of: ${JSON.stringify(entry)}`);
      for (const field of ['op_id', 'type', 'from', 'to', 'amount', 'hash', 'seq', 'user_id'])
        assert.strictEqual(entry[field], told[field], `${at}: ${field}`);
      for (const field of ['metadata', 'reason'])
        assert.deepStrictEqual(entry[field], told[field], `${at}: ${field}`);
      promised.delete(entry.id);
    }
    const seen = this.seen.get(at);
    if (seen) assert.deepStrictEqual(seen, entry.balances_after, `balances seen of ${at}`);
  }

  // Returns what the user has in all buckets.
  async checkBalances(user, sum, entries) {
    let total = 0n;
    for (const server of this.servers) {
      const reply = await this.answer(server, `/v1/users/${user}/balances`);
      assert.strictEqual(reply.version, entries.length, `version of ${user}`);
      if (entries.length === 0) continue;
      const balance = reply.balances[ASSET];
      assert.deepStrictEqual(balance, entries[0].balances_after, `balances of ${user}`);
      assert.strictEqual(cents(balance.claimable), sum.claimable, `claimable of ${user}`);
      assert.strictEqual(cents(balance.held), sum.held, `held of ${user}`);
      assert.strictEqual(cents(balance.spent_total), sum.spent, `spent by ${user}`);
      total = cents(balance.total);
    }
    return total;
  }

  summary() {
    const done = this.ops.filter((op) => op.status === 201).length;
    return `${this.ops.length} operations, ${done} applied, ${this.ops.length - done} refused; ` +
      `${this.reads} reads; ${this.refusedAtDoor} times 503; ${this.broken} broken connections` +
      (Number.isFinite(this.mayBreak) ? ` of ${this.mayBreak} that may` : '');
  }
}

module.exports = { Load, ASSET, cents };
