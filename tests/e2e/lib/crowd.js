// Many users who do nothing any more, and reads of them at a steady rate: the equal load that
// memory is measured under. Whatever happens to the servers, these users' balances stay what they
// were told to be.
'use strict';
const assert = require('node:assert');
const { ASSET } = require('./load.js');
const { Pipe } = require('./pipe.js');
const { request } = require('./server.js');
const { pause, until } = require('./wait.js');

const TICK_MS = 20;
const WAITING_MAX = 64; // requests under way to one server
const GROUP = 100;      // users made at a time

class Crowd {
  // servers: the caller may change it at any time. rate: requests a second to each of them.
  constructor({ random, servers, users, name, rate, timeout = 8000 }) {
    Object.assign(this, { random, servers, count: users, name, rate, timeout });
    this.users = [];        // {id, balance}
    this.pipes = new Map();   // server -> its connection
    this.waiting = new Map(); // server -> requests under way
    this.answered = 0;
    this.refused = 0;
    this.broken = 0;
    this.failure = null;
    this.stopped = true;
  }

  post(server, path, body, key) {
    return until(`${this.name} ${path}`, async () => {
      const reply = await request(server, 'POST', path,
        { body, headers: { 'Idempotency-Key': key }, timeout: this.timeout });
      assert.ok([200, 201, 503].includes(reply.status), reply.text);
      return reply.status !== 503 && reply.json;
    });
  }

  async prepare() {
    const [server] = this.servers;
    for (let at = 0; at < this.count; at += GROUP) {
      const size = Math.min(GROUP, this.count - at);
      const made = await Promise.all(Array.from({ length: size }, (_, i) =>
        this.post(server, '/v1/users', { kind: 'guest' }, `${this.name}-crowd-${at + i}`)));
      const ops = made.map(({ id }, i) => ({ type: 'grant', user_id: id, asset: ASSET,
        amount: `${1 + (at + i) % 997}.00`, idempotency_key: 'crowd' }));
      const { results } = await this.post(server, '/v1/ops/batch', { ops }, '');
      made.forEach(({ id }, i) => {
        assert.strictEqual(results[i].status, 'applied', JSON.stringify(results[i]));
        this.users.push({ id, balance: results[i].balances[ASSET] });
      });
    }
  }

  async read(server) {
    const user = this.users[this.random(this.users.length)];
    const what = this.random(40);
    if (what > 2) {
      this.look(user, await this.pipe(server).get(`/v1/users/${user.id}/balances`));
      return;
    }
    const path = `/v1/users/${user.id}${['', '/entries?limit=5', '/proof'][what]}`;
    const reply = await request(server, 'GET', path, { timeout: this.timeout });
    if (this.isRefused(reply.status, Number(reply.headers['retry-after']), reply.text)) return;
    if (what === 2 && reply.status === 404) return; // sealed it is a little later
    assert.strictEqual(reply.status, 200, `${path}: ${reply.text}`);
    this.answered++;
    if (what === 0) assert.strictEqual(reply.json.id, user.id);
    if (what === 1) assert.deepStrictEqual(reply.json.data.map((entry) => entry.version), [1]);
  }

  pipe(server) {
    if (!this.pipes.has(server)) this.pipes.set(server, new Pipe(server));
    return this.pipes.get(server);
  }

  isRefused(status, retryAfter, text) {
    if (status !== 503 && status !== 429) return false;
    assert.ok(retryAfter >= 1, `no Retry-After: ${text}`);
    this.refused++;
    return true;
  }

  look(user, { status, retryAfter, text }) {
    if (this.isRefused(status, retryAfter, text)) return;
    assert.strictEqual(status, 200, `${user.id}: ${text}`);
    this.answered++;
    assert.deepStrictEqual(JSON.parse(text).balances[ASSET], user.balance, user.id);
  }

  ask(server) {
    this.waiting.set(server, (this.waiting.get(server) ?? 0) + 1);
    this.read(server).catch((error) => {
      if (error.code === 'ERR_ASSERTION') this.failure ??= error;
      else this.broken++;
    }).finally(() => this.waiting.set(server, this.waiting.get(server) - 1));
  }

  async run() {
    let before = performance.now();
    const due = new Map();
    while (!this.stopped && this.failure === null) {
      await pause(TICK_MS);
      const now = performance.now();
      const more = this.rate * Math.min(now - before, 250) / 1000;
      before = now;
      for (const server of this.servers) {
        let left = (due.get(server) ?? 0) + more;
        for (; left >= 1 && (this.waiting.get(server) ?? 0) < WAITING_MAX; left--) this.ask(server);
        due.set(server, Math.min(left, 1));
      }
    }
    if (this.failure) throw this.failure;
  }

  start() {
    this.stopped = false;
    this.running = this.run();
  }

  // Ends, and throws what was wrong.
  async stop() {
    this.stopped = true;
    await this.running;
    await until('the last reads', () =>
      [...this.waiting.values()].every((count) => count === 0), { ms: 4 * this.timeout });
    if (this.failure) throw this.failure;
  }

  close() {
    this.stopped = true;
    for (const pipe of this.pipes.values()) pipe.close();
  }
}

module.exports = { Crowd };
