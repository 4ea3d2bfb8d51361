// Tamper evidence: seals, proofs, and what verify says when somebody changes the past.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { Postgres } = require('./lib/postgres.js');
const { temporaryFolder, start, stop, request, cli } = require('./lib/server.js');
const { until } = require('./lib/wait.js');

const USERS = 5;
let keys = 0;

async function post(server, target, body) {
  const reply = await request(server, 'POST', target,
    { body, headers: { 'Idempotency-Key': `seal-${keys += 1}` } });
  assert.strictEqual(reply.status, 201, reply.text);
  return reply.json;
}

// Users with two assets, so that a leaf needs more than the newest entry.
async function work(data, users, store = []) {
  const server = await start(data, ['--seal-every-s', '0', ...store]);
  if (users.length === 0) {
    await post(server, '/v1/assets', { code: 'RJV', scale: 8 });
    await post(server, '/v1/assets', { code: 'XP', scale: 0 });
    for (let i = 0; i < USERS; i += 1)
      users.push((await post(server, '/v1/users', { kind: 'guest' })).id);
  }
  for (const [i, user] of users.entries()) {
    const grant = { type: 'grant', user_id: user, metadata: { why: 'test' } };
    await post(server, '/v1/ops', { ...grant, asset: 'RJV', amount: `${i + 1}.5` });
    if (i % 2 === 0) await post(server, '/v1/ops', { ...grant, asset: 'XP', amount: '7' });
  }
  await stop(server);
}

const ledger = (data, ...args) => cli('ledger', ...args, '--data', data);

function seal(data) {
  const done = ledger(data, 'seal');
  assert.strictEqual(done.code, 0, done.err);
  return done.out;
}

function prove(data, file, ...what) {
  const done = ledger(data, 'proof', ...what);
  assert.strictEqual(done.code, 0, done.err);
  fs.writeFileSync(file, done.out);
  return JSON.parse(done.out);
}

const check = (file, key) => cli('ledger', 'check', '--file', file, '--key', key);

async function sealed() {
  const data = temporaryFolder();
  const users = [];
  await work(data, users);
  seal(data);
  return { data, users, key: path.join(data, 'seals', 'key.pub'), file: path.join(data, 'proof') };
}

test('proofs hold, also of users who went on, and fall with any change', async () => {
  const { data, users, key, file } = await sealed();
  await work(data, users); // versions move on: the sealed ones are in the past now
  for (const user of users) {
    const proof = prove(data, file, '--user', user);
    assert.strictEqual(proof.user_id, user);
    assert.strictEqual(check(file, key).code, 0);
    for (const change of [{ user_id: '999' }, { version: proof.version + 1 }, { index: 99 },
      { size: proof.size + 1 }, { leaf: proof.leaf.replace(/.$/, (c) => (c === '0' ? '1' : '0')) },
      { hashes: proof.hashes.slice(1) }, { seal: proof.seal.replace('number 1', 'number 2') },
      { proof: 'consistency' }]) {
      fs.writeFileSync(file, JSON.stringify({ ...proof, ...change }));
      assert.strictEqual(check(file, key).code, 1, JSON.stringify(change));
    }
  }
  assert.strictEqual(ledger(data, 'proof', '--user', '424242').code, 1);
  for (let i = 0; i < 3; i += 1) { await work(data, users.slice(0, 1)); seal(data); }
  for (const [from, to] of [[1, 2], [1, 4], [2, 4], [3, 4]]) {
    const proof = prove(data, file, '--from', `${from}`, '--to', `${to}`);
    assert.strictEqual(check(file, key).code, 0, `${from} to ${to}`);
    fs.writeFileSync(file, JSON.stringify({ ...proof, from: proof.to, to: proof.from }));
    assert.strictEqual(check(file, key).code, 1);
  }
  prove(data, file, '--user', users[0]);
  assert.strictEqual(check(file, '0'.repeat(64)).code, 1, 'another key');
  fs.rmSync(data, { recursive: true });
});

test('verify finds a past that was exchanged whole, which hashes alone do not tell', async () => {
  const { data, users, key } = await sealed();
  const database = path.join(data, 'holdfast.db');
  const copy = fs.readFileSync(database);
  await work(data, users);
  seal(data);
  const verify = () => ledger(data, 'verify', '--key', key);
  assert.strictEqual(verify().code, 0, verify().err);
  for (const name of fs.readdirSync(data)) // a log of the newer database has no place beside it
    if (name.startsWith('holdfast.db-')) fs.rmSync(path.join(data, name));
  fs.writeFileSync(database, copy);
  const found = verify();
  assert.match(found.out, /whole/, 'the chains of the old copy are whole');
  assert.strictEqual(found.code, 1);
  assert.match(found.err, /seal 2: a sealed batch is missing/);
  assert.match(found.err, new RegExp(`user ${users[0]}`));
  fs.rmSync(data, { recursive: true });
});

test('a statement or a leaf that was changed is noticed, and leaves are made anew', async () => {
  const { data, users, key } = await sealed();
  await work(data, users);
  seal(data);
  const leaves = path.join(data, 'seals', 'users.leaves');
  const statement = path.join(data, 'seals', '00000001.seal');
  const bytes = fs.readFileSync(leaves);
  bytes[20] ^= 1;
  fs.writeFileSync(leaves, bytes);
  assert.match(ledger(data, 'verify', '--key', key).err, /not those that were sealed|not what was/);
  assert.strictEqual(ledger(data, 'proof', '--user', users[0]).code, 3);
  await work(data, users.slice(0, 2));
  seal(data);
  assert.strictEqual(ledger(data, 'verify', '--key', key).code, 0);
  const text = fs.readFileSync(statement, 'utf8');
  fs.writeFileSync(statement, text.replace(/users (\d)/, (_, n) => `users ${9 - n}`));
  const found = ledger(data, 'verify', '--key', key);
  assert.strictEqual(found.code, 1);
  assert.match(found.err, /seal 1: its signature does not hold/);
  assert.strictEqual(ledger(data, 'seal').code, 1, 'nothing is sealed behind a broken log');
  fs.rmSync(data, { recursive: true });
});

test('a server seals by itself, and proves what it sealed', async () => {
  const { data, users, key, file } = await sealed();
  const server = await start(data, ['--seal-every-s', '1']);
  const proof = await request(server, 'GET', `/v1/users/${users[0]}/proof`);
  assert.strictEqual(proof.status, 200, proof.text);
  fs.writeFileSync(file, proof.text);
  assert.strictEqual(check(file, key).code, 0, 'what the route gives is a proof');
  const stranger = await post(server, '/v1/users', { kind: 'guest' });
  for (const id of [stranger.id, '7777777'])
    assert.strictEqual((await request(server, 'GET', `/v1/users/${id}/proof`)).json.code,
      'proof_not_found');
  await until('the next seal', () => fs.existsSync(path.join(data, 'seals', '00000002.seal')));
  assert.strictEqual((await stop(server)).code, 0);
  assert.strictEqual(ledger(data, 'verify').code, 0);
  fs.rmSync(data, { recursive: true });
});

test('PostgreSQL is sealed, proved and verified alike, also a copy of its past', async () => {
  const pg = await Postgres.start();
  const data = temporaryFolder();
  const key = path.join(data, 'seals', 'key.pub'), file = path.join(data, 'proof');
  const users = [];
  const store = ['--store', pg.dsn()], older = ['--store', pg.dsn({ database: 'older' })];
  await work(data, users, store);
  assert.strictEqual(ledger(data, 'seal', ...store).code, 0);
  await pg.psql('create database older template holdfast', { database: 'postgres' });
  await work(data, users, store);
  assert.strictEqual(ledger(data, 'seal', ...store).code, 0);
  for (const what of [['--user', users[0]], ['--from', '1', '--to', '2']]) {
    prove(data, file, ...what, ...store);
    assert.strictEqual(check(file, key).code, 0, what.join(' '));
  }
  const whole = ledger(data, 'verify', '--key', key, ...store);
  assert.strictEqual(whole.code, 0, whole.out + whole.err);
  const found = ledger(data, 'verify', '--key', key, ...older);
  assert.match(found.out, /whole/, 'the chains of the old copy are whole');
  assert.strictEqual(found.code, 1);
  assert.match(found.err, /seal 2: a sealed batch is missing/);
  await pg.remove();
  fs.rmSync(data, { recursive: true });
});
