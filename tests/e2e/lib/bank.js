// A Load with everything that a bank's customers do: besides grants, spends, transfers and holds it
// voids, lets holds expire, reverses, and sends atomic batches. What must hold is the same.
'use strict';
const assert = require('node:assert');
const { ASSET, Load } = require('./load.js');
const { until } = require('./wait.js');

const HOLDS_MAX = 64; // open ones, of all users: what they take must not grow for ever
const BATCH_MAX = 5;
const HOLD_S = 2; // of the holds that nobody resolves in time

class Bank extends Load {
  constructor(options) {
    super(options);
    this.spends = [];         // {user_id, op_id}: may be reversed
    this.expiring = new Map(); // hold_id -> user, of holds with a timeout that were acknowledged
    this.counts = new Map();  // type -> how many were sent
  }

  draw() {
    const { random } = this;
    const kind = random(20);
    let body = super.draw();
    if (this.holds.length > (kind === 0 ? 0 : HOLDS_MAX)) {
      const hold = this.holds.splice(random(this.holds.length), 1)[0];
      body = { type: 'void', user_id: hold.user_id, hold_id: hold.hold_id };
    } else if (kind <= 2 && this.spends.length > 0) {
      // Left in the list now and then, so that some are reversed twice, which is refused.
      const at = random(this.spends.length);
      const { user_id, op_id } = random(4) > 0 ? this.spends.splice(at, 1)[0] : this.spends[at];
      body = { type: 'reverse', user_id, reverses: op_id };
    } else if (kind <= 5) {
      body = this.drawBatch();
    } else if (body.type === 'hold' && random(4) === 0) {
      body.timeout_s = HOLD_S;
    }
    const type = body.atomic ? 'batch' : body.type;
    this.counts.set(type, (this.counts.get(type) ?? 0) + 1);
    return body;
  }

  // Of one user; half of them ask for more than there is, so that nothing of them may happen.
  drawBatch() {
    const { random, users } = this;
    const user = users[random(users.length)];
    const key = `${this.name}-${this.ops.length}`;
    const ops = Array.from({ length: 2 + random(BATCH_MAX - 1) }, (_, i) => ({
      type: ['grant', 'spend', 'hold'][random(3)], user_id: user, asset: ASSET,
      amount: `${1 + random(20)}.00`, idempotency_key: `${key}-${i}`,
    }));
    if (random(2) === 0)
      Object.assign(ops[ops.length - 1], { type: 'spend', amount: '1000000.00' });
    return { atomic: true, ops };
  }

  async send(server, op) {
    return op.body.atomic ? this.sendBatch(server, op) : super.send(server, op);
  }

  async sendBatch(server, op) {
    const reply = await this.request(server, 'POST', '/v1/ops/batch', { body: op.body });
    const what = `${op.key} ${JSON.stringify(op.body)}: ${reply.status} ${reply.text}`;
    if ([502, 504].includes(reply.status)) throw new Error(what);
    if ([503, 429].includes(reply.status)) {
      assert.ok(Number(reply.headers['retry-after']) >= 1, `no Retry-After: ${what}`);
      this.refusedAtDoor++;
      return false;
    }
    assert.strictEqual(reply.status, 200, what);
    const { results } = reply.json;
    const applied = results.filter((one) => one.status === 'applied').length;
    assert.ok(applied === 0 || applied === results.length, `not all or none: ${what}`);
    if (results.some((one) => one.retry_after)) {
      assert.strictEqual(applied, 0, what);
      this.refusedAtDoor++;
      return false;
    }
    if (results.some((one) => !one.replayed)) {
      op.fresh = (op.fresh ?? 0) + 1;
      assert.strictEqual(op.fresh, 1, `${op.key} was done twice`);
    }
    const text = JSON.stringify(results.map(({ replayed, ...rest }) => rest));
    if (op.status !== undefined) {
      assert.strictEqual(text, op.text, `${op.key} changed`);
      return true;
    }
    this.decide(op, applied > 0 ? 201 : 409, text);
    if (applied > 0)
      for (const [i, result] of results.entries()) this.learn({ body: op.body.ops[i] }, result);
    return true;
  }

  learn(op, reply) {
    super.learn(op, reply);
    const { body } = op;
    if (body.type === 'spend') this.spends.push({ user_id: body.user_id, op_id: reply.op_id });
    if (body.timeout_s) this.expiring.set(reply.hold_id, body.user_id);
  }

  results(op) { return op.body.atomic ? JSON.parse(op.text) : super.results(op); }

  // Until no hold is open that is going to expire by itself.
  async quiet() {
    for (const user of this.users)
      await until(`holds of ${user} expire`, async () => {
        const reply = await this.request(this.server(), 'GET',
          `/v1/users/${user}/holds?state=open&limit=500`);
        return reply.status === 200 && reply.json.data.every((hold) => hold.expires_at === null);
      });
  }

  async check() {
    await this.quiet();
    this.expired = new Set();
    await super.check();
  }

  // Nobody asks for an expiry: each hold that may expire does so once at the most.
  checkEntry(user, entry, version, context) {
    if (entry.type !== 'expire') {
      super.checkEntry(user, entry, version, context);
      return;
    }
    const at = `${user} ${version}: ${JSON.stringify(entry)}`;
    assert.strictEqual(entry.version, version, at);
    assert.strictEqual(this.expiring.get(entry.hold_id), user, `a hold without a timeout: ${at}`);
    assert.ok(!this.expired.has(entry.hold_id), `expired twice: ${at}`);
    this.expired.add(entry.hold_id);
    this.move(context.sum, entry);
  }
}

module.exports = { Bank };
