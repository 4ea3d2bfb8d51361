// The ledger routes on a real server: each type of operation and its refusals, replays, batches,
// pages, holds that expire, concurrency on one key. Every reply is held against /openapi.json.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { Api, run } = require('./lib/api.js');
const { request, start, stop, temporaryFolder } = require('./lib/server.js');

let api;
let server;
const data = temporaryFolder();

async function funded(amount = '100') {
  const user = await api.user();
  await api.applied({ type: 'grant', user_id: user, asset: 'COIN', amount });
  return user;
}

function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function eventually(what, check) {
  for (let i = 0; i < 200; i++) {
    if (await check()) return;
    await delay(25);
  }
  assert.fail(`never: ${what}`);
}

const parts = {
  async 'assets are created once and listed'() {
    const coin = { code: 'COIN', scale: 8, name: 'Coin' };
    let reply = await api.call('POST', '/v1/assets', { body: coin });
    assert.strictEqual(reply.status, 201);
    reply = await api.call('POST', '/v1/assets', { body: coin });
    assert.strictEqual(reply.status, 200);
    reply = await api.call('POST', '/v1/assets',
      { body: coin, headers: { 'Idempotency-Key': 'asset-1' } });
    assert.strictEqual(reply.status, 201);
    assert.strictEqual(reply.headers['idempotency-replayed'], 'true');
    reply = await api.call('POST', '/v1/assets', { body: { ...coin, scale: 2 } });
    assert.strictEqual(reply.json.code, 'asset_conflict');
    await api.call('POST', '/v1/assets', { body: { code: 'GEM', scale: 0 } });
    reply = await api.call('GET', '/v1/assets?limit=1');
    assert.deepStrictEqual(reply.json.data.map((asset) => asset.code), ['COIN']);
    reply = await api.call('GET', `/v1/assets?limit=1&cursor=${reply.json.next_cursor}`);
    assert.deepStrictEqual(reply.json.data.map((asset) => asset.code), ['GEM']);
    assert.strictEqual(reply.json.next_cursor, null);
    reply = await api.call('GET', '/v1/assets/GEM');
    assert.strictEqual(reply.json.scale, 0);
    reply = await api.call('GET', '/v1/assets/NOPE');
    assert.strictEqual(reply.json.code, 'asset_not_found');
  },

  async 'an operation is reversed in at most 100 parts, of which the last takes the rest'() {
    const user = await api.user();
    const grant = await api.applied({ type: 'grant', user_id: user, asset: 'COIN', amount: '50' });
    const part = { type: 'reverse', user_id: user, reverses: grant.op_id, amount: '0.1' };
    for (let i = 0; i < 98; i++) await api.applied(part);
    const pair = [part, part].map((op, i) => ({ ...op, idempotency_key: `reverse-pair-${i}` }));
    const reply = await api.call('POST', '/v1/ops/batch', { body: { atomic: true, ops: pair } });
    assert.deepStrictEqual(reply.json.results.map((result) => result.code),
      ['batch_aborted', 'limit_exceeded']);
    await api.applied(part);
    await api.refused(part, 'limit_exceeded');
    await api.applied({ ...part, amount: '40.1' });
    await api.refused(part, 'already_reversed');
    const op = await api.call('GET', `/v1/ops/${grant.op_id}`);
    assert.strictEqual(op.json.reversals.length, 100);
  },

  async 'users are created once and found by both ids'() {
    const body = { kind: 'guest', external_id: 'customer é 1', profile: { b: [1, 0.1], a: null } };
    const headers = { 'Idempotency-Key': 'user-1' };
    const first = await api.call('POST', '/v1/users', { body, headers });
    assert.strictEqual(first.status, 201);
    assert.deepStrictEqual(first.json.profile, body.profile);
    const again = await api.call('POST', '/v1/users', { body, headers });
    assert.strictEqual(again.text, first.text);
    assert.strictEqual(again.headers['idempotency-replayed'], 'true');
    let reply = await api.call('POST', '/v1/users',
      { body: { ...body, kind: 'registered' }, headers });
    assert.strictEqual(reply.json.code, 'idempotency_conflict');
    reply = await api.call('POST', '/v1/users',
      { body: { kind: 'guest', external_id: 'customer é 1' } });
    assert.strictEqual(reply.json.code, 'external_id_taken');
    reply = await api.call('GET', `/v1/users/${first.json.id}`);
    assert.strictEqual(reply.text, first.text);
    const query = new URLSearchParams({ external_id: 'customer é 1' });
    reply = await api.call('GET', `/v1/users?${query}`);
    assert.strictEqual(reply.text, first.text);
    reply = await api.call('GET', '/v1/users?external_id=nobody');
    assert.strictEqual(reply.json.code, 'user_not_found');
    const nobody = `${2 ** 50}`;
    for (const path of ['', '/balances', '/entries', '/holds']) {
      reply = await api.call('GET', `/v1/users/${nobody}${path}`);
      assert.strictEqual(reply.json.code, 'user_not_found', path);
    }
  },

  async 'a closed user keeps what he is and only receives'() {
    const body = { kind: 'guest', external_id: 'closing', profile: { a: 1 } };
    const { json: user } = await api.call('POST', '/v1/users', { body });
    await api.applied({ type: 'grant', user_id: user.id, asset: 'COIN', amount: '5' });
    const path = `/v1/users/${user.id}/status`;
    let reply = await api.call('POST', path, { body: { status: 'closed' } });
    assert.strictEqual(reply.json.status, 'closed');
    reply = await api.call('GET', `/v1/users/${user.id}`);
    assert.deepStrictEqual(reply.json, { ...user, status: 'closed' });
    await api.refused({ type: 'spend', user_id: user.id, asset: 'COIN', amount: '1' },
      'user_closed');
    const payer = await funded();
    await api.refused({ type: 'transfer', user_id: payer, to_user_id: user.id, asset: 'COIN',
      amount: '1' }, 'user_closed');
    reply = await api.call('POST', path, { body: { status: 'open' } });
    assert.strictEqual(reply.json.status, 'open');
    await api.applied({ type: 'spend', user_id: user.id, asset: 'COIN', amount: '1' });
    reply = await api.call('POST', `/v1/users/${2 ** 50}/status`, { body: { status: 'open' } });
    assert.strictEqual(reply.json.code, 'user_not_found');
  },

  async 'a user without entries has zeros'() {
    const user = await api.user();
    const reply = await api.call('GET', `/v1/users/${user}/balances`);
    assert.strictEqual(reply.json.version, 0);
    assert.strictEqual(reply.json.balances.COIN.available, '0.00000000');
    assert.strictEqual(reply.json.balances.GEM.total, '0');
    assert.deepStrictEqual(await api.entries(user), []);
  },

  async 'earnings move from earned to claimable'() {
    const user = await api.user();
    const base = { user_id: user, asset: 'COIN' };
    let done = await api.applied({ ...base, type: 'earn', amount: '10', source: 'ads' });
    assert.strictEqual(done.entries[0].from, 'sys:issuance');
    assert.strictEqual(done.entries[0].label, 'ads');
    assert.strictEqual(done.balances.COIN.earned, '10.00000000');
    await api.refused({ ...base, type: 'settle', amount: '10.00000001' }, 'insufficient_funds');
    await api.applied({ ...base, type: 'settle', amount: '8' });
    done = await api.applied({ ...base, type: 'mature', amount: '5' });
    const { COIN } = done.balances;
    assert.deepStrictEqual([COIN.earned, COIN.pending, COIN.claimable, COIN.available, COIN.total],
      ['2.00000000', '3.00000000', '5.00000000', '5.00000000', '10.00000000']);
    assert.deepStrictEqual(await api.balance(user), COIN);
    done = await api.applied({ ...base, type: 'quarantine', amount: '4' });
    assert.strictEqual(done.balances.COIN.quarantine, '4.00000000');
    done = await api.applied({ ...base, type: 'release', amount: '4' });
    assert.strictEqual(done.balances.COIN.pending, '7.00000000');
  },

  async 'deposits, spends and adjustments balance against system accounts'() {
    const user = await api.user();
    const base = { user_id: user, asset: 'COIN' };
    let done = await api.applied({ ...base, type: 'deposit', amount: '3', source: 'chain' });
    assert.strictEqual(done.entries[0].from, 'sys:chain_in');
    done = await api.applied({ ...base, type: 'deposit', amount: '4' });
    assert.strictEqual(done.entries[0].from, 'sys:psp_clearing');
    done = await api.applied({ ...base, type: 'spend', amount: '2.5', to: 'shop:1',
      metadata: { order: 'A-1' } });
    assert.strictEqual(done.entries[0].to, 'sys:spend');
    assert.deepStrictEqual(done.entries[0].metadata, { order: 'A-1' });
    assert.strictEqual(done.balances.COIN.spent_total, '2.50000000');
    done = await api.applied({ ...base, type: 'adjust', amount: '-0.5', reason: 'a miscount' });
    assert.strictEqual(done.entries[0].reason, 'a miscount');
    assert.strictEqual(done.entries[0].amount, '0.50000000');
    assert.strictEqual(done.balances.COIN.claimable, '4.00000000');
    await api.refused({ ...base, type: 'adjust', amount: '-4.5', reason: 'r' },
      'insufficient_funds');
    await api.refused({ ...base, type: 'spend', asset: 'NOPE', amount: '1' }, 'asset_not_found');
    await api.refused({ ...base, type: 'spend', user_id: `${2 ** 50}`, amount: '1' },
      'user_not_found');
    await api.refused({ ...base, type: 'spend', amount: '1', if_version: 1 }, 'version_mismatch');
    await api.applied({ ...base, type: 'spend', amount: '1', if_version: done.version });
  },

  async 'holds are captured in parts, voided, and refused when resolved'() {
    const user = await funded();
    const base = { user_id: user };
    const hold = await api.applied({ ...base, type: 'hold', asset: 'COIN', amount: '40',
      timeout_s: 600 });
    assert.strictEqual(hold.hold_id, hold.op_id);
    const id = hold.hold_id;
    assert.strictEqual(hold.balances.COIN.held, '40.00000000');
    await api.refused({ ...base, type: 'capture', hold_id: id, amount: '41' },
      'amount_exceeds_hold');
    await api.refused({ ...base, type: 'capture', hold_id: id, amount: '1', asset: 'GEM' },
      'asset_mismatch');
    await api.applied({ ...base, type: 'capture', hold_id: id, amount: '10', final: false });
    let reply = await api.call('GET', `/v1/holds/${id}`);
    assert.strictEqual(reply.json.state, 'open');
    assert.strictEqual(reply.json.remaining, '30.00000000');
    const done = await api.applied({ ...base, type: 'capture', hold_id: id, amount: '10' });
    assert.strictEqual(done.entries.length, 2);
    assert.strictEqual(done.balances.COIN.claimable, '80.00000000');
    assert.strictEqual(done.balances.COIN.spent_total, '20.00000000');
    await api.refused({ ...base, type: 'capture', hold_id: id, amount: '1' }, 'hold_resolved');
    await api.refused({ ...base, type: 'void', hold_id: id }, 'hold_resolved');
    reply = await api.call('GET', `/v1/holds/${id}`);
    assert.strictEqual(reply.json.state, 'captured');
    const other = await api.applied({ ...base, type: 'hold', asset: 'COIN', amount: '5' });
    await api.applied({ ...base, type: 'void', hold_id: other.hold_id });
    reply = await api.call('GET', `/v1/holds/${other.hold_id}`);
    assert.strictEqual(reply.json.state, 'voided');
    reply = await api.call('GET', `/v1/users/${user}/holds`);
    assert.deepStrictEqual(reply.json.data.map((one) => one.state), ['captured', 'voided']);
    reply = await api.call('GET', `/v1/users/${user}/holds?state=open`);
    assert.deepStrictEqual(reply.json.data, []);
    const stranger = await funded();
    await api.refused({ type: 'void', user_id: stranger, hold_id: other.hold_id },
      'hold_not_found');
    reply = await api.call('GET', `/v1/holds/${2 ** 50}`);
    assert.strictEqual(reply.json.code, 'hold_not_found');
  },

  async 'a hold expires by the clock'() {
    const user = await funded('10');
    const hold = await api.applied({ user_id: user, type: 'hold', asset: 'COIN', amount: '7',
      timeout_s: 1 });
    await eventually('the hold expires', async () => {
      const reply = await api.call('GET', `/v1/holds/${hold.hold_id}`);
      return reply.json.state === 'expired';
    });
    await eventually('the money is back', async () =>
      (await api.balance(user)).available === '10.00000000');
    await api.refused({ user_id: user, type: 'capture', hold_id: hold.hold_id, amount: '1' },
      'hold_expired');
  },

  async 'blocks never lose anything'() {
    const user = await funded('10');
    const block = await api.applied({ user_id: user, type: 'block', asset: 'COIN', amount: '6' });
    assert.strictEqual(block.balances.COIN.total, '10.00000000');
    assert.strictEqual(block.balances.COIN.blocked, '6.00000000');
    const base = { user_id: user, type: 'unblock', block_id: block.block_id };
    await api.refused({ ...base, amount: '7' }, 'amount_exceeds_block');
    await api.applied({ ...base, amount: '2' });
    let reply = await api.call('GET', `/v1/blocks/${block.block_id}`);
    assert.strictEqual(reply.json.remaining, '4.00000000');
    const done = await api.applied(base);
    assert.strictEqual(done.balances.COIN.claimable, '10.00000000');
    await api.refused(base, 'block_resolved');
    reply = await api.call('GET', `/v1/blocks/${block.block_id}`);
    assert.strictEqual(reply.json.state, 'resolved');
    await api.refused({ ...base, block_id: `${2 ** 50}` }, 'block_not_found');
    reply = await api.call('GET', `/v1/blocks/${2 ** 50}`);
    assert.strictEqual(reply.json.code, 'block_not_found');
  },

  async 'a transfer is answered when both sides are durable'() {
    const payer = await funded('10');
    const payee = await api.user();
    const base = { type: 'transfer', user_id: payer, asset: 'COIN' };
    const done = await api.applied({ ...base, to_user_id: payee, amount: '4' });
    assert.strictEqual(done.transfer_id, done.op_id);
    assert.ok(done.entries.every((entry) => entry.user_id === payer));
    assert.strictEqual((await api.balance(payee)).available, '4.00000000');
    const reply = await api.call('GET', `/v1/ops/${done.op_id}`);
    assert.strictEqual(reply.json.transfer.state, 'credited');
    const partner = await api.call('GET', `/v1/ops/${reply.json.transfer.partner_op_id}`);
    assert.strictEqual(partner.json.type, 'credit');
    assert.strictEqual(partner.json.user_id, payee);
    await api.refused({ ...base, to_user_id: payer, amount: '1' }, 'self_transfer');
    await api.refused({ ...base, to_user_id: payee, amount: '7' }, 'insufficient_funds');
    const nobody = await api.refused({ ...base, to_user_id: `${2 ** 50}`, amount: '1' },
      'user_not_found');
    assert.strictEqual(nobody.json.field, 'to_user_id');
  },

  async 'a reversal is linked, and only once in sum'() {
    const user = await funded('10');
    const spend = await api.applied({ user_id: user, type: 'spend', asset: 'COIN', amount: '6' });
    const base = { user_id: user, type: 'reverse', reverses: spend.op_id };
    const part = await api.applied({ ...base, amount: '2' });
    assert.strictEqual(part.reverses, spend.op_id);
    const rest = await api.applied(base);
    assert.strictEqual(rest.balances.COIN.available, '10.00000000');
    await api.refused(base, 'already_reversed');
    let reply = await api.call('GET', `/v1/ops/${spend.op_id}`);
    assert.deepStrictEqual(reply.json.reversals.map((one) => one.amount),
      ['2.00000000', '4.00000000']);
    assert.strictEqual(reply.json.entries[0].reversed_by, rest.op_id);
    reply = await api.call('GET', `/v1/entries/${spend.entries[0].id}`);
    assert.strictEqual(reply.json.reversed_by, rest.op_id);
    const listed = (await api.entries(user)).find((entry) => entry.op_id === spend.op_id);
    assert.strictEqual(listed.reversed_by, rest.op_id);
    assert.ok(!('reversed_by' in spend.entries[0]));
    await api.refused({ ...base, reverses: `${2 ** 50}` }, 'original_not_found');
    reply = await api.call('GET', `/v1/ops/${2 ** 50}`);
    assert.strictEqual(reply.json.code, 'op_not_found');
    reply = await api.call('GET', `/v1/entries/${2 ** 50}`);
    assert.strictEqual(reply.json.code, 'entry_not_found');
  },

  async 'replays have the same bytes; another body is a conflict'() {
    const user = await funded('10');
    const other = await api.user();
    const bodies = [
      { user_id: user, type: 'spend', asset: 'COIN', amount: '1.50', reason: 'ü"\\',
        metadata: { b: 1, a: [] } },
      { user_id: user, type: 'spend', asset: 'COIN', amount: '1000' },
      { user_id: user, type: 'hold', asset: 'COIN', amount: '2', timeout_s: 60 },
      { user_id: user, type: 'transfer', to_user_id: other, asset: 'COIN', amount: '1' },
      { user_id: user, type: 'capture', hold_id: `${2 ** 50}`, amount: '1' },
    ];
    for (const body of bodies) {
      const idempotencyKey = api.nextKey();
      const first = await api.op(body, { idempotencyKey });
      assert.ok(!('idempotency-replayed' in first.headers));
      const reordered = Object.fromEntries(Object.entries(body).reverse());
      if (reordered.amount === '1.50') reordered.amount = '1.5';
      for (const again of [body, reordered]) {
        const reply = await api.op(again, { idempotencyKey: `"${idempotencyKey}"` });
        assert.strictEqual(reply.status, first.status);
        assert.strictEqual(reply.headers['idempotency-replayed'], 'true');
        if (first.status === 201) assert.strictEqual(reply.text, first.text);
        else assert.deepStrictEqual({ ...reply.json, correlation_id: first.json.correlation_id },
          first.json);
      }
      const conflict = await api.op({ ...body, amount: '9' }, { idempotencyKey });
      assert.strictEqual(conflict.status, 422);
      assert.strictEqual(conflict.json.code, 'idempotency_conflict');
    }
    // What the ledger never judged is not remembered.
    const idempotencyKey = api.nextKey();
    const body = { user_id: user, type: 'spend', asset: 'COIN' };
    await api.refused({ ...body, amount: 'x' }, 'invalid_amount', { idempotencyKey });
    await api.applied({ ...body, amount: '1' }, { idempotencyKey });
  },

  async 'one key sent many times at once happens once'() {
    const user = await funded('100');
    const idempotencyKey = api.nextKey();
    const body = { user_id: user, type: 'spend', asset: 'COIN', amount: '1' };
    const replies = await Promise.all(Array.from({ length: 64 }, () =>
      api.op(body, { idempotencyKey })));
    const applied = replies.filter((reply) => reply.status === 201);
    assert.ok(applied.length >= 1);
    assert.ok(applied.every((reply) => reply.text === applied[0].text));
    assert.ok(replies.every((reply) =>
      reply.status === 201 || reply.json.code === 'request_in_progress'));
    assert.strictEqual(applied.filter((reply) => !reply.headers['idempotency-replayed']).length, 1);
    assert.strictEqual((await api.balance(user)).available, '99.00000000');
  },

  async 'nobody overspends'() {
    const user = await funded('10');
    const replies = await Promise.all(Array.from({ length: 40 }, () =>
      api.op({ user_id: user, type: 'spend', asset: 'COIN', amount: '1' })));
    assert.strictEqual(replies.filter((reply) => reply.status === 201).length, 10);
    assert.strictEqual((await api.balance(user)).available, '0.00000000');
  },

  async 'a batch answers in its places'() {
    const user = await funded('10');
    const payee = await api.user();
    const item = (type, more) => ({ type, user_id: user, asset: 'COIN', amount: '1',
      idempotency_key: api.nextKey(), ...more });
    const grant = item('grant', {});
    const ops = [
      grant,
      item('spend', { amount: '1000' }),
      item('spend', { amount: 5 }),
      item('spend', { idempotency_key: undefined }),
      item('transfer', { to_user_id: payee, amount: '2' }),
      item('transfer', { to_user_id: '4711', amount: '2' }),
      item('spend', { user_id: `${2 ** 50}` }),
      'nonsense',
    ];
    const reply = await api.call('POST', '/v1/ops/batch', { body: { ops } });
    assert.strictEqual(reply.status, 200);
    const said = reply.json.results.map((one) => [one.index, one.status, one.code]);
    assert.deepStrictEqual(said, [
      [0, 'applied', undefined], [1, 'refused', 'insufficient_funds'],
      [2, 'failed', 'invalid_amount'], [3, 'failed', 'idempotency_key_required'],
      [4, 'applied', undefined], [5, 'failed', 'user_not_found'],
      [6, 'failed', 'user_not_found'], [7, 'failed', 'invalid_body']]);
    assert.strictEqual((await api.balance(user)).available, '9.00000000');
    const again = await api.call('POST', '/v1/ops/batch', { body: { ops } });
    assert.deepStrictEqual(again.json.results.map((one) => one.replayed ?? false),
      [true, true, false, false, true, false, false, false]);
    const { replayed, ...first } = again.json.results[0];
    assert.strictEqual(replayed, true);
    assert.deepStrictEqual(first, reply.json.results[0]);
    const { idempotency_key: idempotencyKey, ...single } = grant;
    const alone = await api.op(single, { idempotencyKey });
    assert.strictEqual(alone.headers['idempotency-replayed'], 'true');
    assert.strictEqual(alone.json.op_id, first.op_id);
  },

  async 'an atomic batch is all or none'() {
    const user = await funded('10');
    const other = await funded('10');
    const spend = (amount, more = {}) => ({ type: 'spend', user_id: user, asset: 'COIN', amount,
      idempotency_key: api.nextKey(), ...more });
    let reply = await api.call('POST', '/v1/ops/batch',
      { body: { atomic: true, ops: [spend('4'), spend('4'), spend('4')] } });
    assert.deepStrictEqual(reply.json.results.map((one) => one.code),
      ['batch_aborted', 'batch_aborted', 'insufficient_funds']);
    assert.strictEqual((await api.balance(user)).available, '10.00000000');
    reply = await api.call('POST', '/v1/ops/batch',
      { body: { atomic: true, ops: [spend('4'), spend('6')] } });
    assert.ok(reply.json.results.every((one) => one.status === 'applied'));
    assert.strictEqual((await api.balance(user)).available, '0.00000000');
    reply = await api.call('POST', '/v1/ops/batch',
      { body: { atomic: true, ops: [spend('1'), spend('1', { user_id: other })] } });
    assert.strictEqual(reply.status, 409);
    assert.strictEqual(reply.json.code, 'cross_user_atomic');
    reply = await api.call('POST', '/v1/ops/batch',
      { body: { atomic: true, ops: [spend('1'), spend('x')] } });
    assert.strictEqual(reply.status, 400);
    assert.strictEqual(reply.json.field, 'ops[1].amount');
  },

  async 'a large batch is applied in order'() {
    const users = await Promise.all(Array.from({ length: 10 }, () => api.user()));
    const ops = Array.from({ length: 4000 }, (_, i) => ({ type: i % 2 ? 'spend' : 'grant',
      user_id: users[(i >> 1) % 10], asset: 'COIN', amount: '1', idempotency_key: api.nextKey() }));
    const reply = await request(server, 'POST', '/v1/ops/batch', { body: { ops } });
    assert.strictEqual(reply.status, 200, reply.text.slice(0, 300));
    assert.strictEqual(reply.json.results.length, ops.length);
    assert.ok(reply.json.results.every((one, i) => one.index === i && one.status === 'applied'));
    for (const user of users) assert.strictEqual((await api.balance(user)).available, '0.00000000');
  },

  async 'pages are stable while entries are added'() {
    const user = await funded('1000');
    for (let i = 0; i < 24; i++)
      await api.applied({ user_id: user, type: i % 3 ? 'spend' : 'grant',
        asset: i % 3 && i % 2 ? 'COIN' : 'GEM', amount: i % 3 ? '1' : '5' });
    const all = await api.entries(user);
    assert.deepStrictEqual(all.map((entry) => entry.version),
      Array.from({ length: all.length }, (_, i) => all.length - i));
    const seen = [];
    let cursor = '';
    do {
      const more = cursor && `&cursor=${cursor}`;
      const reply = await api.call('GET', `/v1/users/${user}/entries?limit=7${more}`);
      seen.push(...reply.json.data);
      cursor = reply.json.next_cursor;
      await api.applied({ user_id: user, type: 'grant', asset: 'COIN', amount: '1' });
    } while (cursor);
    assert.deepStrictEqual(seen, all);
    const spends = await api.entries(user, '&type=spend&asset=COIN');
    assert.deepStrictEqual(spends,
      all.filter((entry) => entry.type === 'spend' && entry.asset === 'COIN'));
    assert.ok(spends.length > 0);
    const middle = all[5].recorded_at;
    const until = await api.entries(user, `&to=${middle}`);
    assert.strictEqual(until[0].version, all[6].version);
    const since = await api.entries(user, `&from=${middle}&to=${all[2].recorded_at}`);
    assert.deepStrictEqual(since, [all[3], all[4], all[5]]);
    const first = await api.call('GET', `/v1/users/${user}/entries?limit=1`);
    const other = await funded('1');
    for (const path of [`/v1/users/${other}/entries?cursor=${first.json.next_cursor}`,
      `/v1/users/${user}/entries?type=spend&cursor=${first.json.next_cursor}`,
      `/v1/users/${user}/holds?cursor=${first.json.next_cursor}`]) {
      const reply = await api.call('GET', path);
      assert.strictEqual(reply.json.code, 'invalid_cursor', path);
    }
  },

  async 'balances at a past time are those of then'() {
    const user = await funded('10');
    const { recorded_at: then } = (await api.entries(user))[0];
    await api.applied({ user_id: user, type: 'spend', asset: 'COIN', amount: '3' });
    let reply = await api.call('GET', `/v1/users/${user}/balances?at=${then}&axis=recorded`);
    assert.strictEqual(reply.json.balances.COIN.available, '10.00000000');
    assert.strictEqual(reply.json.version, 1);
    reply = await api.call('GET', `/v1/users/${user}/balances?at=2020-01-01T00:00:00Z`);
    assert.strictEqual(reply.json.balances.COIN.available, '0.00000000');
    reply = await api.call('GET', `/v1/users/${user}/balances?axis=effective`);
    assert.strictEqual(reply.json.balances.COIN.available, '7.00000000');
  },

  async 'every entry is found by its id and op'() {
    const user = await funded('10');
    const entries = await api.entries(user);
    for (const entry of entries) {
      const reply = await api.call('GET', `/v1/entries/${entry.id}`);
      assert.deepStrictEqual(reply.json, entry);
      const op = await api.call('GET', `/v1/ops/${entry.op_id}`);
      assert.deepStrictEqual(op.json.entries, [entry]);
    }
  },

  async 'cursors and keys survive a restart'() {
    const user = await funded('10');
    await api.applied({ user_id: user, type: 'spend', asset: 'COIN', amount: '1' });
    const idempotencyKey = api.nextKey();
    const body = { user_id: user, type: 'spend', asset: 'COIN', amount: '2' };
    const before = await api.op(body, { idempotencyKey });
    const page = await api.call('GET', `/v1/users/${user}/entries?limit=1`);
    assert.strictEqual((await stop(server)).code, 0);
    server = await start(data);
    api.server = server;
    const cursor = page.json.next_cursor;
    const next = await api.call('GET', `/v1/users/${user}/entries?limit=1&cursor=${cursor}`);
    assert.strictEqual(next.json.data[0].version, 2);
    const again = await api.op(body, { idempotencyKey });
    assert.strictEqual(again.text, before.text);
    assert.strictEqual(again.headers['idempotency-replayed'], 'true');
  },
};

async function main() {
  server = await start(data);
  api = await Api.open(server);
  const failed = await run(parts);
  console.log(`${api.replies} replies held against the document`);
  const { code } = await stop(server);
  fs.rmSync(data, { recursive: true, force: true });
  assert.strictEqual(code, 0, server.log());
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  server?.child.kill('SIGKILL');
  process.exit(1);
});
