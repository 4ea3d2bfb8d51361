// Single bits of the database file are flipped: what changes history is found, and named.
//
// Each place is drawn from a seed, of bytes that are not zero, as many in each table and index. A
// change that no command finds must be in no row, or in a column of which OPERATIONS.md says so.
'use strict';
const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { temporaryFolder, start, stop, request, cli } = require('./lib/server.js');

const EACH = 3; // flips in a table or index
const HISTORY = new RegExp('^(journal_\\d|batches|outcomes|entry_metadata|user_index|users|names|' +
  'names_user|holds|holds_user|blocks|transfers|ledger_balances|system_totals|projection_marks)$');
const SEED = Number(process.env.HOLDFAST_SEED ?? 20261130);

// The pages of each table and index, as [name, offset] pairs; and all rows, as text.
const PAGES = `
import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(json.dumps(database.execute("SELECT name,pgoffset FROM dbstat").fetchall()))`;
const ROWS = `
import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.text_factory = bytes
tables = {}
for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type='table' AND "
                                "name NOT IN ('replay_runs','sqlite_sequence')").fetchall():
    name = name.decode()
    columns = [row[1].decode() for row in database.execute(f"PRAGMA table_info({name})")]
    tables[name] = [dict(zip(columns, map(repr, row)))
                    for row in database.execute(f"SELECT * FROM {name}")]
print(json.dumps(tables))`;

// What changes by itself, or says nothing that anything depends on; as OPERATIONS.md has it.
const UNKNOWN = new Set(['users.kind', 'users.status', 'users.created_us', 'users.profile',
  'names.state', 'names.request', 'names.user', 'names.created_us', 'batches.rows_count',
  'outcomes.id']);

function python(script, file) {
  const done = spawnSync('python3', ['-c', script, file], { encoding: 'utf8' });
  return done.status === 0 ? JSON.parse(done.stdout) : null;
}

// mulberry32: the same places for the same seed.
function random(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

async function makeLedger(data) {
  const server = await start(data, ['--partition-bits', '1', '--project-ms', '50']);
  let keys = 0;
  const post = (target, body) => request(server, 'POST', target,
    { body, headers: { 'Idempotency-Key': `flip-${keys += 1}` } });
  await post('/v1/assets', { code: 'RJV', scale: 8 });
  const users = [];
  for (let i = 0; i < 6; i += 1)
    users.push((await post('/v1/users', { kind: 'guest', external_id: `outside-${i}` })).json.id);
  for (let i = 0; i < 60; i += 1) {
    const at = { user_id: users[i % 6], asset: 'RJV' };
    for (const op of [{ type: 'grant', amount: '5', metadata: { why: `test ${i}` } },
      i % 5 === 0 && { type: 'spend', amount: '100000' },
      i % 4 === 0 && { type: 'hold', amount: '1' },
      i % 9 === 0 && { type: 'block', amount: '1' },
      i % 7 === 0 && { type: 'transfer', to_user_id: users[(i + 1) % 6], amount: '1' }]) {
      if (!op) continue;
      const { status } = await post('/v1/ops', { ...at, ...op });
      assert.strictEqual(status, op.type === 'spend' ? 409 : 201, JSON.stringify(op));
    }
  }
  assert.strictEqual((await stop(server)).code, 0);
}

// What the commands say of the file: which found it, and where.
function look(data) {
  for (const [name, ...args] of [['verify', 'ledger', 'verify'], ['replay', 'ledger', 'replay'],
    ['selfcheck', 'selfcheck']]) {
    const done = cli(...args, '--json', '--data', data);
    assert.ok([0, 1, 3].includes(done.code), `${name}: ${done.code} ${done.err}`);
    if (done.code === 0) continue;
    return { by: name, code: done.code, findings: done.code === 1 && name === 'verify'
      ? JSON.parse(done.out).findings : [] };
  }
  return { by: null };
}

function changedColumns(before, after) {
  if (after === null) return ['the file cannot be read'];
  const columns = [];
  for (const [table, rows] of Object.entries(before)) {
    const now = after[table] ?? [];
    if (now.length !== rows.length) columns.push(`${table}: ${now.length} rows`);
    for (const [i, row] of rows.entries())
      for (const [column, value] of Object.entries(row))
        if (now[i] !== undefined && now[i][column] !== value) columns.push(`${table}.${column}`);
  }
  return columns;
}

test('a bit of the file is flipped: a change of history is found and named', async () => {
  const data = temporaryFolder(), file = path.join(data, 'holdfast.db');
  await makeLedger(data);
  assert.strictEqual(look(data).by, null);
  const whole = fs.readFileSync(file), rows = python(ROWS, file), pick = random(SEED);
  const places = new Map();
  for (const [name, offset] of python(PAGES, file)) if (HISTORY.test(name))
    places.set(name, [...(places.get(name) ?? []), offset]);
  const counts = new Map();
  for (const [name, offsets] of [...places].sort()) {
    const used = offsets.flatMap((offset) => [...whole.subarray(offset, offset + 4096).keys()]
      .filter((i) => whole[offset + i] !== 0).map((i) => offset + i));
    for (let i = 0; i < EACH; i += 1) {
      const bytes = Buffer.from(whole), at = used[pick(used.length)], bit = 1 << pick(8);
      bytes[at] ^= bit;
      for (const other of fs.readdirSync(data))
        if (other.startsWith('holdfast.db-')) fs.rmSync(path.join(data, other));
      fs.writeFileSync(file, bytes);
      const where = `${name}: byte ${at} ^ ${bit}, seed ${SEED}`;
      const changed = changedColumns(rows, python(ROWS, file));
      const found = look(data);
      counts.set(found.by, 1 + (counts.get(found.by) ?? 0));
      if (found.by === null)
        assert.deepStrictEqual(changed.filter((column) => !UNKNOWN.has(column)), [], where);
      if (found.by === 'verify' && found.code === 1)
        assert.ok(found.findings[0].batch > 0 || found.findings[0].seq > 0,
          `${where}: ${JSON.stringify(found.findings)}`);
      if (/^(journal_\d|batches|entry_metadata)$/.test(name) && changed.length > 0 &&
          changed.every((column) => !UNKNOWN.has(column)))
        assert.strictEqual(found.by, 'verify', `${where}: ${changed}`);
    }
  }
  console.log('found by', Object.fromEntries(counts));
  assert.ok(counts.get('verify') > 0 && counts.get('replay') > 0 && counts.get('selfcheck') > 0);
  fs.rmSync(data, { recursive: true });
});

test('an index that cannot be read any more is a difference, not a failure of replay', async () => {
  const data = temporaryFolder(), file = path.join(data, 'holdfast.db');
  await makeLedger(data);
  const root = python(PAGES, file).find(([name]) => name === 'user_index')[1];
  const bytes = fs.readFileSync(file);
  bytes.fill(0xff, root + 3, root + 5); // the number of cells in the page
  fs.writeFileSync(file, bytes);
  const done = cli('ledger', 'replay', '--data', data);
  assert.strictEqual(done.code, 1, done.out + done.err);
  assert.match(done.out, /^index: .*a row cannot be read/m);
  fs.rmSync(data, { recursive: true });
});
