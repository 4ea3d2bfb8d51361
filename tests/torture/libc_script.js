// What clients ask of a server while its C library fails: a bit of everything, in a fixed order,
// each step repeated with the same key until it has its outcome, which is known beforehand.
'use strict';
const assert = require('node:assert');
const http = require('node:http');
const { Bank } = require('../e2e/lib/bank.js');
const { ASSET } = require('../e2e/lib/load.js');
const { KEY, request } = require('../e2e/lib/server.js');
const { PATIENCE } = require('../e2e/lib/wait.js');

const USERS = 2;

// Of whole replies: 503 means "later".
function outcome(reply, wanted, what) {
  if (reply.status === 503) {
    assert.ok(Number(reply.headers['retry-after']) >= 1, `no Retry-After: ${what}`);
    return false;
  }
  assert.ok(wanted.includes(reply.status), `${what}: ${reply.status} ${reply.text}`);
  return true;
}

class Script {
  constructor({ timeout }) {
    this.load = new Bank({ random: () => 0, servers: [], users: 0, name: 'libc', timeout });
    this.timeout = timeout;
    this.seen = {};  // op_id and hold_id of steps
    this.done = new Set();
    this.steps = [
      ['asset', () => this.make('/v1/assets', { code: ASSET, scale: 2 }, [201, 409])],
      ...Array.from({ length: USERS }, (_, i) => [`user ${i}`, () => this.user(i)]),
      ['grant', () => this.op('grant', { amount: '100.00' })],
      ['spend', () => this.op('spend', { amount: '10.00' })],
      ['hold', () => this.op('hold', { amount: '20.00' })],
      ['capture', () => this.op('capture', { hold_id: this.seen.hold?.hold_id })],
      ['spend too much', () => this.op('spend', { amount: '1000.00' }, 409)],
      ['transfer', () => this.op('transfer', { amount: '5.00', to_user_id: this.load.users[1] })],
      ['reverse', () => this.op('reverse', { reverses: this.seen.spend?.op_id })],
      ['batch', () => this.batch('7.00', 201)],
      ['batch of too much', () => this.batch('700.00', 409)],
      ['balances', () => this.read(`/v1/users/${this.load.users[0]}/balances`)],
      ['entries', () => this.read(`/v1/users/${this.load.users[0]}/entries?limit=100`)],
      ['holds', () => this.read(`/v1/users/${this.load.users[0]}/holds`)],
      ['history', () => this.read(`/v1/users/${this.load.users[0]}/balances?axis=effective`)],
      ['changes', () => this.read(`/v1/changes?partition=${this.partition}&from_seq=1`)],
      ['stream', () => this.stream()],
      ['key', () => this.make('/v1/admin/keys', { scopes: ['ledger:read'] }, [201])],
      ['metrics', () => this.read('/metrics')],
      ['document', () => this.read('/openapi.json')],
    ];
  }

  // Partitions are in the low bits of a user's id.
  get partition() { return Number(BigInt(this.load.users[0] ?? 0) % 16n); }

  ask(method, path, options = {}) {
    return request(this.load.servers[0], method, path, { timeout: this.timeout, ...options });
  }

  async make(path, body, wanted) {
    const reply = await this.ask('POST', path,
      { body, headers: { 'Idempotency-Key': `libc-${path}` } });
    return outcome(reply, wanted, path);
  }

  async user(i) {
    const reply = await this.ask('POST', '/v1/users', { body: { kind: 'guest',
      external_id: `libc-${i}` }, headers: { 'Idempotency-Key': `libc-user-${i}` } });
    if (!outcome(reply, [201], 'user')) return false;
    this.load.users[i] ??= reply.json.id;
    assert.strictEqual(reply.json.id, this.load.users[i], 'a user was made twice');
    return true;
  }

  // An op of the first user's; false: not yet, or what it needs is not there yet.
  async op(type, more, status = 201) {
    const name = status === 201 ? type : `${type}-${status}`;
    const user_id = this.load.users[0];
    const body = { type, user_id, ...more };
    if ('amount' in more) body.asset = ASSET;
    if ([user_id, ...Object.values(body)].includes(undefined)) return false;
    return this.send({ key: `libc-${name}`, body }, name, status);
  }

  async batch(amount, status) {
    const user_id = this.load.users[1];
    if (user_id === undefined) return false;
    const one = { asset: ASSET, user_id };
    const name = `batch-${status}`;
    return this.send({ key: `libc-${name}`, body: { atomic: true, ops: [
      { ...one, type: 'grant', amount: '8.00', idempotency_key: `${name}-1` },
      { ...one, type: 'spend', amount, idempotency_key: `${name}-2` }] } }, name, status);
  }

  async send(fresh, name, status) {
    const { load } = this;
    const known = load.ops.find((one) => one.key === fresh.key);
    const op = known ?? fresh;
    if (!known) load.ops.push(op);
    if (!await load.send(load.servers[0], op)) return false;
    assert.strictEqual(op.status, status, `${name}: ${op.text}`);
    this.seen[name] = JSON.parse(op.text);
    return true;
  }

  async read(path) {
    if (path.includes('undefined')) return false;
    return outcome(await this.ask('GET', path, { headers: { 'Accept-Encoding': 'gzip' } }), [200],
      path);
  }

  // Until an event has come.
  stream() {
    if (this.load.users[0] === undefined) return false;
    const path = `/v1/changes?partition=${this.partition}&from_seq=1`;
    const headers = { Accept: 'text/event-stream', Authorization: `Bearer ${KEY}` };
    const { port } = this.load.servers[0];
    return new Promise((resolve, reject) => {
      const end = (settle, value) => { settle(value); call.destroy(); };
      const call = http.get({ host: '127.0.0.1', port, path, headers, agent: false }, (reply) => {
        let text = '';
        if (reply.statusCode === 503) end(resolve, false);
        reply.setEncoding('utf8');
        reply.on('data', (piece) => {
          text += piece;
          if (/^id: /m.test(text)) end(resolve, true);
        });
        reply.on('close', () => reject(new Error(`the stream ended: ${text}`)));
      });
      call.on('error', reject);
      call.setTimeout(this.timeout * PATIENCE, () => end(reject, new Error('no reply in time')));
    });
  }
}

module.exports = { Script };
