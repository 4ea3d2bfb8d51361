// Balances at a time through the API, on both axes, held against sums over the users' histories;
// and the benchmark of long histories, small, which checks its answers.
'use strict';
const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { Api } = require('./lib/api.js');
const { run } = require('./lib/parts.js');
const { start, stop, temporaryFolder } = require('./lib/server.js');
const { pause, randomOf } = require('./lib/wait.js');

const random = randomOf();
const BUCKETS = ['earned', 'pending', 'claimable', 'held', 'claiming', 'blocked', 'quarantine',
  'debt'];
const cents = (text) => BigInt(text.replace('.', ''));
const micros = (text) => BigInt(Date.parse(text)) * 1000n + BigInt(text.slice(23, 26));
let api;

// Sums the entries that count by then.
function sums(entries, at, field) {
  const balances = {};
  for (const entry of entries) {
    if (micros(entry[field]) > at) continue;
    const sum = balances[entry.asset] ??= Object.fromEntries(
      [...BUCKETS, 'spent_total', 'claimed_total'].map((name) => [name, 0n]));
    for (const [account, amount] of [[entry.from, -cents(entry.amount)],
      [entry.to, cents(entry.amount)]]) {
      if (account === 'sys:spend') sum.spent_total += amount;
      if (account === 'debt') sum.debt -= amount; // what leaves it is owed
      else if (account in sum) sum[account] += amount;
    }
  }
  return balances;
}

const timeOf = (at) => new Date(Number(at / 1000n)).toISOString().slice(0, 19) +
  `.${String(at % 1000000n).padStart(6, '0')}Z`;

async function assertAt(user, entries, at) {
  for (const [axis, field] of [['recorded', 'recorded_at'], ['effective', 'effective_at']]) {
    const reply = await api.call('GET',
      `/v1/users/${user}/balances?at=${timeOf(at)}&axis=${axis}`);
    assert.strictEqual(reply.status, 200, reply.text);
    assert.strictEqual(reply.json.as_of, timeOf(at));
    assert.strictEqual(reply.json.version,
      entries.filter((entry) => micros(entry.recorded_at) <= at).length);
    const expected = sums(entries, at, field);
    for (const [asset, balance] of Object.entries(reply.json.balances)) {
      for (const [name, sum] of Object.entries(expected[asset] ?? {}))
        assert.strictEqual(cents(balance[name]), sum, `${axis} ${timeOf(at)} ${asset}.${name}`);
      const total = BUCKETS.reduce((all, name) =>
        all + (name === 'debt' ? -1n : 1n) * cents(balance[name]), 0n);
      assert.strictEqual(cents(balance.total), total);
      assert.strictEqual(balance.available, balance.claimable);
    }
    for (const asset of Object.keys(expected)) assert.ok(reply.json.balances[asset], asset);
  }
}

const parts = {
  async 'any time on both axes is the sum of what counts by then'() {
    const user = await api.user();
    const begin = BigInt(Date.now()) * 1000n;
    const day = 86400000000n;
    const granted = [];
    for (let i = 0; i < 120; i++) {
      const body = { user_id: user, asset: random(3) === 0 ? 'GEM' : 'COIN',
        amount: `${1 + random(40)}.${random(9)}0`,
        type: ['grant', 'earn', 'spend', 'hold', 'quarantine', 'settle'][random(6)] };
      if (random(3) === 0) body.effective_at = timeOf(begin - BigInt(random(1000)) * day / 100n);
      if (granted.length > 0 && random(10) === 0) {
        const reverses = granted.splice(random(granted.length), 1)[0];
        await api.op({ type: 'reverse', user_id: user, reverses,
          ...(body.effective_at && { effective_at: body.effective_at }) });
        continue;
      }
      const reply = await api.op(body);
      assert.ok(reply.status === 201 || reply.status === 409, reply.text);
      if (reply.status === 201 && body.type === 'grant') granted.push(reply.json.op_id);
    }
    await pause(5);
    const entries = await api.entries(user);
    assert.ok(entries.filter((entry) => entry.effective_at !== entry.recorded_at).length > 10);
    const times = [begin - 20n * day, begin, BigInt(Date.now()) * 1000n - 1000n];
    for (const entry of entries)
      for (const field of ['effective_at', 'recorded_at'])
        times.push(micros(entry[field]), micros(entry[field]) - 1n);
    for (const at of times) await assertAt(user, entries, at);
    console.log(`      ${entries.length} entries, ${times.length} times`);
  },

  async 'spent before it was granted: below zero, exactly'() {
    const user = await api.user();
    await api.applied({ type: 'grant', user_id: user, asset: 'COIN', amount: '100' });
    await api.applied({ type: 'spend', user_id: user, asset: 'COIN', amount: '0.30',
      effective_at: '2026-01-01T00:00:00Z' });
    const reply = await api.call('GET',
      `/v1/users/${user}/balances?asset=COIN&axis=effective&at=2026-02-01T00:00:00Z`);
    const { claimable, available, total, spent_total: spent } = reply.json.balances.COIN;
    assert.deepStrictEqual([claimable, available, total, spent],
      ['-0.30', '-0.30', '-0.30', '0.30']);
    assert.strictEqual(reply.json.version, 0);
    const now = await api.call('GET', `/v1/users/${user}/balances?axis=effective`);
    assert.strictEqual(now.json.balances.COIN.claimable, '99.70');
  },

  async 'a time that is still to come is the moment of recording'() {
    const user = await api.user();
    const body = { type: 'grant', user_id: user, asset: 'COIN', amount: '1' };
    const inHours = (hours) => timeOf(BigInt(Date.now() + hours * 3600000) * 1000n);
    await api.applied({ ...body, effective_at: inHours(1) });
    const [entry] = await api.entries(user);
    assert.strictEqual(entry.effective_at, entry.recorded_at);
    await api.refused({ ...body, effective_at: inHours(25) }, 'invalid_time');
  },

  async 'a sum that leaves the range is refused, not rounded'() {
    const user = await api.user();
    const amount = `${'9'.repeat(36)}.00`;
    const base = { user_id: user, asset: 'COIN', amount };
    await api.applied({ ...base, type: 'grant', effective_at: '2026-01-01T00:00:00Z' });
    await api.applied({ ...base, type: 'adjust', amount: `-${amount}`, reason: 'made room' });
    await api.applied({ ...base, type: 'grant', effective_at: '2026-01-01T00:00:00Z' });
    const reply = await api.call('GET',
      `/v1/users/${user}/balances?axis=effective&at=2026-02-01T00:00:00Z`);
    assert.deepStrictEqual([reply.status, reply.json.code], [409, 'amount_overflow']);
    const now = await api.call('GET', `/v1/users/${user}/balances?axis=effective`);
    assert.strictEqual(now.json.balances.COIN.claimable, amount);
  },

  async 'the benchmark of long histories, small: its answers hang together'() {
    const folder = temporaryFolder();
    for (const store of ['memory', `sqlite:${path.join(folder, 'history.db')}`]) {
      const done = spawnSync(path.join(process.env.HOLDFAST_BUILD, 'bench', 'bench_history'),
        ['--store', store, '--entries', '30000', '--users', '3000', '--queries', '500', '--json'],
        { encoding: 'utf8' });
      assert.strictEqual(done.status, 0, `${done.error ?? ''}${done.stderr}`);
      const result = JSON.parse(done.stdout);
      assert.strictEqual(result.entries, 30000);
      assert.ok(result.probes.length >= 8 && result.probes.every((probe) => probe.count === 500));
    }
    fs.rmSync(folder, { recursive: true, force: true });
  },
};

async function main() {
  const data = temporaryFolder();
  const server = await start(data);
  api = await Api.open(server);
  await api.call('POST', '/v1/assets', { body: { code: 'COIN', scale: 2 } });
  await api.call('POST', '/v1/assets', { body: { code: 'GEM', scale: 2 } });
  const failed = await run(parts);
  const { code } = await stop(server);
  fs.rmSync(data, { recursive: true, force: true });
  assert.strictEqual(code, 0, server.log());
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
