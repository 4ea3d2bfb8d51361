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

// Of /metrics: what stands behind the name.
async function metric(server, name) {
  const { text } = await request(server, 'GET', '/metrics', { key: null });
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  assert.ok(line, `${name}: ${text}`);
  return Number(line.slice(name.length));
}

// An old copy of the database; a log of the newer one has no place beside it.
function putBack(data, copy) {
  for (const name of fs.readdirSync(data))
    if (name.startsWith('holdfast.db-')) fs.rmSync(path.join(data, name));
  fs.writeFileSync(path.join(data, 'holdfast.db'), copy);
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
  assert.strictEqual(prove(data, file, '--user', users[1]).version, 2, 'its one entry since then');
  assert.strictEqual(check(file, '0'.repeat(64)).code, 1, 'another key');
  fs.rmSync(data, { recursive: true });
});

test('verify finds a past that was exchanged whole, which hashes alone do not tell', async () => {
  const { data, users, key } = await sealed();
  const copy = fs.readFileSync(path.join(data, 'holdfast.db'));
  await work(data, users);
  seal(data);
  const verify = () => ledger(data, 'verify', '--key', key);
  assert.strictEqual(verify().code, 0, verify().err);
  putBack(data, copy);
  const found = verify();
  assert.match(found.out, /whole/, 'the chains of the old copy are whole');
  assert.strictEqual(found.code, 1);
  assert.match(found.out, /^seal 2: a sealed batch is missing/m);
  assert.match(found.out, new RegExp(`user ${users[0]}`));
  const told = ledger(data, 'verify', '--key', key, '--json');
  assert.strictEqual(told.code, 1);
  const { ok, findings, seals } = JSON.parse(told.out);
  assert.strictEqual(ok, false, 'of the seals as well');
  assert.strictEqual(seals, 2);
  assert.ok(findings.some((each) => each.seal === 2 && each.batch > 0 &&
    each.what === 'a sealed batch is missing'), told.out);
  assert.ok(findings.some((each) => each.user_id === users[0]), told.out);
  const refused = ledger(data, 'seal');
  assert.strictEqual(refused.code, 3, 'and no seal covers it');
  assert.match(refused.err, /the database is not what the last seal saw/);
  await work(data, users); // as many batches as were sealed, and others
  const other = verify();
  assert.strictEqual(other.code, 1);
  assert.match(other.out, /^seal 2: a sealed batch has another hash now/m);
  assert.strictEqual(ledger(data, 'seal').code, 3);
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
  assert.match(ledger(data, 'verify', '--key', key).out, /not those that were sealed|not what was/);
  assert.strictEqual(ledger(data, 'proof', '--user', users[0]).code, 3);
  await work(data, users.slice(0, 2));
  seal(data);
  for (const [user, version] of [[users[0], 6], [users[1], 3], [users[3], 2]])
    assert.strictEqual(prove(data, path.join(data, 'proof'), '--user', user).version, version);
  assert.strictEqual(ledger(data, 'verify', '--key', key).code, 0);
  const text = fs.readFileSync(statement, 'utf8');
  fs.writeFileSync(statement, text.replace(/users (\d)/, (_, n) => `users ${9 - n}`));
  const found = ledger(data, 'verify', '--key', key);
  assert.strictEqual(found.code, 1);
  assert.match(found.out, /seal 1: its signature does not hold/);
  assert.strictEqual(ledger(data, 'seal').code, 1, 'nothing is sealed behind a broken log');
  fs.rmSync(data, { recursive: true });
});

// Seals 1 to 3 in a folder, and a way to look at it without some of its files.
async function threeSeals() {
  const made = await sealed();
  const folder = path.join(made.data, 'seals');
  for (let i = 0; i < 2; i += 1) { await work(made.data, made.users.slice(0, 1)); seal(made.data); }
  const without = (names, look) => {
    for (const name of names) fs.renameSync(path.join(folder, name), path.join(made.data, name));
    look();
    for (const name of names) fs.renameSync(path.join(made.data, name), path.join(folder, name));
  };
  return { ...made, folder, without };
}

const SEALS = [1, 2, 3].map((number) => `0000000${number}.seal`);

test('verify misses seals that are gone, and nothing is sealed in their place', async () => {
  const { data, folder, without } = await threeSeals();
  for (const [gone, why] of [
    [SEALS.slice(0, 1), /seal 1 is missing, .* the number 3/],
    [SEALS.slice(1, 2), /seal 2 is missing, .* the number 3/],
    [SEALS, /the key is there that has signed seals, and no seal in/],
    [[...SEALS, 'key'], /the key is there/],
    [[...SEALS, 'key.pub'], /the key is there/],
  ])
    without(gone, () => {
      const before = fs.readdirSync(folder).sort();
      const found = ledger(data, 'verify');
      assert.strictEqual(found.code, 1, `${gone}: ${found.out}`);
      assert.match(found.out, why);
      assert.strictEqual(JSON.parse(ledger(data, 'verify', '--json').out).ok, false);
      const refused = ledger(data, 'seal');
      assert.strictEqual(refused.code, 1, `${gone}: ${refused.out}`);
      assert.match(refused.err, why);
      assert.deepStrictEqual(fs.readdirSync(folder).sort(), before);
    });
  assert.strictEqual(ledger(data, 'verify').code, 0, 'they are back');
  fs.rmSync(data, { recursive: true });
});

test('without any seal: a failure when a key or a folder was given, else said', async () => {
  const { data, folder, without } = await threeSeals();
  const key = fs.readFileSync(path.join(folder, 'key.pub'), 'utf8').trim();
  const look = () => {
    const plain = ledger(data, 'verify');
    assert.strictEqual(plain.code, 0, plain.out);
    assert.match(plain.out, /^no seals to compare with$/m);
    for (const given of [['--key', key], ['--seal-dir', folder]]) {
      const found = ledger(data, 'verify', ...given);
      assert.strictEqual(found.code, 1, given.join(' '));
      assert.match(found.out, /there is no seal in/);
      assert.strictEqual(JSON.parse(ledger(data, 'verify', '--json', ...given).out).ok, false);
    }
  };
  without([...SEALS, 'key', 'key.pub'], look);
  fs.rmSync(folder, { recursive: true });
  look();
  fs.rmSync(data, { recursive: true });
});

test('the newest seals, gone with the newest data, are missed by a copy of the seals', async () => {
  const { data, users, key } = await sealed();
  const copies = temporaryFolder();
  const old = fs.readFileSync(path.join(data, 'holdfast.db'));
  const leaves = path.join(data, 'seals', 'users.leaves');
  const oldLeaves = fs.readFileSync(leaves);
  await work(data, users);
  seal(data);
  for (const name of SEALS.slice(0, 2))
    fs.copyFileSync(path.join(data, 'seals', name), path.join(copies, name));
  const byCopy = () => ledger(data, 'verify', '--key', key, '--seal-dir', copies);
  const whole = byCopy();
  assert.strictEqual(whole.code, 0, whole.out + whole.err);
  assert.match(whole.out, /^2 seals, 0 sealed users \(without users.leaves\): as they were$/m);
  putBack(data, old);
  fs.rmSync(path.join(data, 'seals', SEALS[1]));
  assert.match(ledger(data, 'verify').out, /the leaves are of another seal/, 'left behind');
  fs.writeFileSync(leaves, oldLeaves);
  assert.strictEqual(ledger(data, 'verify', '--key', key).code, 0, 'nothing here can tell');
  assert.strictEqual(byCopy().code, 1);
  assert.match(byCopy().out, /^seal 2: a sealed batch is missing/m);
  for (const folder of [data, copies]) fs.rmSync(folder, { recursive: true });
});

test('a server that has no seal of one number any more makes none, and says so', async () => {
  const { data, users } = await sealed();
  const folder = path.join(data, 'seals');
  const server = await start(data, ['--seal-every-s', '1']);
  await until('the next seal', () => fs.existsSync(path.join(folder, SEALS[1])));
  await until('its count', async () => await metric(server, 'holdfast_seals_made_total') > 0);
  assert.strictEqual(await metric(server, 'holdfast_seals_failed_total'), 0);
  await post(server, '/v1/ops', { type: 'grant', user_id: users[0], asset: 'RJV', amount: '1' });
  fs.renameSync(path.join(folder, SEALS[0]), path.join(data, SEALS[0]));
  await until('the warning', () => /seal 1 is missing/.test(server.log()));
  const before = fs.readdirSync(folder).filter((name) => name.endsWith('.seal'));
  await until('another one', () => server.log().match(/seal 1 is missing/g).length > 1);
  assert.ok(await metric(server, 'holdfast_seals_failed_total') > 1);
  const age = await metric(server, 'holdfast_seal_age_seconds');
  assert.ok(age > 0);
  await until('it grows', async () => await metric(server, 'holdfast_seal_age_seconds') > age);
  assert.deepStrictEqual(fs.readdirSync(folder).filter((name) => name.endsWith('.seal')), before);
  fs.renameSync(path.join(data, SEALS[0]), path.join(folder, SEALS[0]));
  const more = path.join(folder, `${before.length + 2}.seal`.padStart(13, '0'));
  await until('it goes on', () => fs.existsSync(more));
  assert.strictEqual((await stop(server)).code, 0);
  assert.strictEqual(ledger(data, 'verify').code, 0);
  fs.rmSync(data, { recursive: true });
});

test('a server that was too short for a seal leaves no key behind', async () => {
  const data = temporaryFolder();
  const server = await start(data);
  const age = await metric(server, 'holdfast_seal_age_seconds');
  await stop(server);
  assert.ok(age > 0, 'it waited for the first one');
  assert.deepStrictEqual(fs.readdirSync(path.join(data, 'seals')), ['lock']);
  assert.strictEqual(ledger(data, 'verify').code, 0);
  fs.rmSync(data, { recursive: true });
});

test('arguments that are wrong, or do not go together, are named before anything is read',
  async () => {
    const { data, file } = await threeSeals();
    fs.writeFileSync(file, '');
    for (const [code, why, ...args] of [
      [2, /--from does not go with it|--user does not go with --from/, 'proof', '--user', '1',
        '--from', '1', '--to', '2'],
      [2, /verify: --user does not go with it/, 'verify', '--user', '3'],
      [2, /seal: --user does not go with it/, 'seal', '--user', '3'],
      [2, /replay: --key does not go with it/, 'replay', '--key', '3'],
      [2, /verify: --repair does not go with it/, 'verify', '--repair'],
      [2, /--user x: not an id/, 'proof', '--user', 'x'],
      [2, /--to 0: not the number of a seal/, 'proof', '--from', '1', '--to', '0'],
      [2, /--user ID, or proof --from SEAL --to SEAL/, 'proof', '--from', '1'],
      [2, /--key is 64 hexadecimal digits/, 'verify', '--key', 'zz'],
      [2, /a folder, not a proof/, 'check', '--file', data],
      [2, /\/dev\/null: not a file/, 'check', '--file', '/dev/null'],
      [2, /: empty/, 'check', '--file', file],
      [2, /nowhere: No such file/, 'check', '--file', `${data}/nowhere`],
      [1, /no seal 2 with a newer seal 9 in the folder, which has 1 to 3/, 'proof', '--from', '2',
        '--to', '9'],
      [1, /no seal 3 with a newer seal 2 /, 'proof', '--from', '3', '--to', '2'],
    ]) {
      const done = ledger(data, ...args);
      assert.strictEqual(done.code, code, `${args.join(' ')}: ${done.out}${done.err}`);
      assert.match(done.err, why);
      assert.strictEqual(done.out, '', args.join(' '));
    }
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
  assert.match(found.out, /seal 2: a sealed batch is missing/);
  await pg.remove();
  fs.rmSync(data, { recursive: true });
});
