// kill -9 at random points under concurrent load, 50 rounds: every acknowledged operation is there
// exactly once, every other one wholly or not at all, chains verify, replay equals live balances.
// ctest: timeout=400 serial
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { temporaryFolder, start, stop, request, cli } = require('./lib/server.js');

const ROUNDS = 50;
const USERS = 12;
const WORKERS = 24;
let seed = Number(process.env.HF_SEED || Date.now() % 1000000007);
console.log(`seed ${seed} (HF_SEED repeats it)`);

function random(below) { // xorshift32
  seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5;
  return (seed >>> 0) % below;
}

const users = [];
const ops = []; // {key, body, text?, status?}: text is the first whole reply
let holds = [];

function draw() {
  const user = random(USERS);
  const amount = `${1 + random(50)}.${String(random(100)).padStart(2, '0')}`;
  const body = { user_id: users[user], asset: 'COIN', amount };
  const kind = random(10);
  if (kind < 3) body.type = 'grant';
  else if (kind < 5) body.type = 'spend';
  else if (kind < 7) {
    body.type = 'transfer';
    body.to_user_id = users[(user + 1 + random(USERS - 1)) % USERS];
  }
  else if (kind < 9 || holds.length === 0) body.type = 'hold';
  else {
    const hold = holds.splice(random(holds.length), 1)[0];
    return { type: 'capture', user_id: hold.user_id, hold_id: hold.hold_id };
  }
  return body;
}

async function send(server, op) {
  const reply = await request(server, 'POST', '/v1/ops',
    { body: op.body, headers: { 'Idempotency-Key': op.key } });
  if (reply.status === 503 || reply.status === 429) return false; // not an outcome: try again
  assert.ok(reply.status === 201 || reply.status === 409,
    `${op.key} ${JSON.stringify(op.body)}: ${reply.status} ${reply.text}`);
  if (reply.headers['idempotency-replayed'] !== 'true') {
    op.fresh = (op.fresh ?? 0) + 1;
    assert.strictEqual(op.fresh, 1, `${op.key} was done twice`);
  }
  if (op.status === undefined) {
    op.status = reply.status;
    op.text = reply.text;
    if (op.body.type === 'hold' && reply.status === 201)
      holds.push({ user_id: op.body.user_id, hold_id: reply.json.hold_id });
    return true;
  }
  // It was answered before: the same outcome again. One reply of all may be the first one, and
  // only when both were on their way at the same time does it come second.
  assert.strictEqual(reply.status, op.status, `${op.key} flipped`);
  if (op.status === 201) assert.strictEqual(reply.text, op.text, `${op.key} changed`);
  else assert.strictEqual(reply.json.code, JSON.parse(op.text).code);
  return true;
}

async function worker(server, state) {
  while (!state.killed) {
    const old = ops.length > 0 && random(20) === 0 ? ops[random(ops.length)] : null;
    const op = old || { key: `op-${ops.length}`, body: draw() };
    if (!old) ops.push(op);
    try { await send(server, op); } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
      return; // the connection went with the process
    }
  }
}

async function prepare(server) {
  const asset = await request(server, 'POST', '/v1/assets', { body: { code: 'COIN', scale: 2 } });
  assert.strictEqual(asset.status, 201, asset.text);
  for (let i = 0; i < USERS; i++) {
    const user = await request(server, 'POST', '/v1/users',
      { body: { kind: 'registered', external_id: `crash-${i}` } });
    assert.strictEqual(user.status, 201, user.text);
    users.push(user.json.id);
  }
}

const cents = (text) => BigInt(text.replace('.', ''));

// What the clients were told, added up: an entry moves its amount between two accounts of its user;
// a transfer's credit is known from the payer's reply.
function expected() {
  const sums = new Map(users.map((id) => [id, { claimable: 0n, held: 0n, spent: 0n }]));
  for (const op of ops) {
    if (op.status !== 201) continue;
    const reply = JSON.parse(op.text);
    for (const entry of reply.entries) {
      const sum = sums.get(entry.user_id);
      if (entry.from in sum) sum[entry.from] -= cents(entry.amount);
      if (entry.to in sum) sum[entry.to] += cents(entry.amount);
      if (entry.to.startsWith('sys:spend')) sum.spent += cents(entry.amount);
    }
    if (op.body.type === 'transfer')
      sums.get(op.body.to_user_id).claimable += cents(op.body.amount);
  }
  return sums;
}

async function main() {
  const data = temporaryFolder();
  let server = await start(data);
  await prepare(server);
  for (let round = 0; round < ROUNDS; round++) {
    const state = { killed: false };
    const workers = Array.from({ length: WORKERS }, () => worker(server, state));
    await new Promise((done) => setTimeout(done, 20 + random(180))); // the random point
    server.child.kill('SIGKILL');
    state.killed = true;
    server.agent.destroy();
    await Promise.all(workers);
    await server.ended;
    server = await start(data);
  }
  // Every key once more: acknowledged ones replay, the others get their one outcome now and keep
  // it.
  for (const pass of [1, 2])
    for (let at = 0; at < ops.length; at += 64)
      await Promise.all(ops.slice(at, at + 64).map(async (op) => {
        for (let tries = 0; !(await send(server, op)); tries++) assert.ok(tries < 100, op.key);
      }));
  const sums = expected();
  for (const id of users) {
    const reply = await request(server, 'GET', `/v1/users/${id}/balances`);
    assert.strictEqual(reply.status, 200, reply.text);
    const coin = reply.json.balances.COIN;
    const sum = sums.get(id);
    assert.ok(coin, `balances of ${id}`);
    assert.strictEqual(cents(coin.claimable), sum.claimable, `claimable of ${id}`);
    assert.strictEqual(cents(coin.held), sum.held, `held of ${id}`);
    assert.strictEqual(cents(coin.spent_total), sum.spent, `spent by ${id}`);
  }
  assert.deepStrictEqual(await stop(server), { code: 0, signal: null });
  for (const verb of ['verify', 'replay']) {
    const run = cli('ledger', verb, '--data', data);
    assert.strictEqual(run.code, 0, `ledger ${verb}: ${run.out}${run.err}`);
  }
  fs.rmSync(data, { recursive: true });
  const done = ops.filter((op) => op.status === 201).length;
  const refused = ops.length - done;
  console.log(`${ROUNDS} kills, ${ops.length} operations, ${done} applied, ${refused} refused`);
}

main().catch((error) => { console.error(error); process.exit(1); });
