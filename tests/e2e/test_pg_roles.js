// The two roles and the native partitioning of docs/OPERATIONS.md: its own SQL, as it stands there,
// is run; then a server serves as the role that can only add to the journal.
// ctest: timeout=240
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Api, run } = require('./lib/api.js');
const { verify } = require('./lib/cluster.js');
const { Postgres } = require('./lib/postgres.js');
const { Node, command } = require('./lib/server.js');

const OWNER = 'holdfast_owner';
const SERVER = 'holdfast_server';
const APPEND_ONLY = ['journal', 'batches', 'outcomes'];
const page = fs.readFileSync(path.join(process.env.HOLDFAST_ROOT, 'docs', 'OPERATIONS.md'), 'utf8');

// The SQL of a section, block by block.
function blocksOf(heading) {
  const [, section] = page.split(`\n### ${heading}\n`);
  assert.ok(section, `OPERATIONS.md has "${heading}"`);
  return [...section.split('\n##')[0].matchAll(/```sql\n(.*?)```/gs)].map((match) => match[1]);
}

const [MAKE, GRANT] = blocksOf('Two roles');
const [PARTITION] = blocksOf('Tables in partitions');
// Statement by statement: a database cannot be made within a transaction.
const statements = (block) => block.split(/;\s*\n/).filter((text) => text.trim() !== '');

let pg;
let node;

const dsnOf = (role) => pg.dsn().replace('holdfast@', `${role}@`);

// The database of the page does not exist before, and neither do the roles.
async function begin(native) {
  await pg.psql('drop database if exists holdfast', { database: 'postgres' });
  for (const role of [OWNER, SERVER])
    await pg.psql(`drop role if exists ${role}`, { database: 'postgres' });
  for (const one of statements(MAKE)) await pg.psql(one, { database: 'postgres' });
  const done = await command(['migrate', '--store', dsnOf(OWNER)]);
  assert.strictEqual(done.code, 0, done.err);
  if (native) await pg.psql(PARTITION, { role: OWNER });
  for (const one of statements(GRANT)) await pg.psql(one, { role: OWNER });
}

async function selfcheck() {
  const done = await command(['selfcheck', '--store', dsnOf(OWNER)]);
  assert.strictEqual(done.code, 0, `${done.out}${done.err}`);
}

// Something of every kind that writes.
async function work(api) {
  const keys = { count: 0 };
  const must = async (method, to, body, status = 201) => {
    const headers = { 'Idempotency-Key': `k${keys.count++}` };
    const reply = await api.call(method, to, { body, headers });
    assert.strictEqual(reply.status, status, reply.text);
    return reply.json;
  };
  await must('POST', '/v1/assets', { code: 'COIN', scale: 2 });
  const made = await must('POST', '/v1/admin/keys', { scopes: ['ledger:read'] });
  await must('DELETE', `/v1/admin/keys/${made.id}`, undefined, 200);
  const users = [];
  for (const name of ['one', 'two', 'three'])
    users.push((await must('POST', '/v1/users', { kind: 'registered', external_id: name })).id);
  const [one, two] = users;
  const op = (type, more) => ({ type, user_id: one, asset: 'COIN', amount: '5.00', ...more });
  const grant = await must('POST', '/v1/ops', op('grant', { metadata: { why: 'test' } }));
  await must('POST', '/v1/ops', op('earn', { effective_at: '2026-01-01T00:00:00Z' }));
  await must('POST', '/v1/ops', op('transfer', { to_user_id: two, amount: '1.00' }));
  const hold = await must('POST', '/v1/ops', op('hold', { amount: '2.00' }));
  await must('POST', '/v1/ops', { type: 'capture', user_id: one, hold_id: hold.hold_id });
  const block = await must('POST', '/v1/ops', op('block', { amount: '1.00' }));
  await must('POST', '/v1/ops', { type: 'unblock', user_id: one, block_id: block.block_id });
  await must('POST', '/v1/ops', op('spend', { amount: '999.00' }), 409);
  const other = await must('POST', '/v1/ops', op('grant', { user_id: two }));
  await must('POST', '/v1/ops', { type: 'reverse', user_id: two, reverses: other.op_id });
  await must('POST', `/v1/users/${users[2]}/status`, { status: 'closed' }, 200);
  const replay = await api.call('POST', '/v1/ops', {
    body: op('grant', { metadata: { why: 'test' } }), headers: { 'Idempotency-Key': 'k6' } });
  assert.strictEqual(replay.json.op_id, grant.op_id);
  assert.strictEqual(replay.headers['idempotency-replayed'], 'true');
}

const denied = (sql, role, why) => assert.rejects(pg.psql(sql, { role }), why, `${role}: ${sql}`);

// Triggers of statements are not those of a partition's own table: there the owner, who could drop
// all of them anyway, may TRUNCATE.
async function cannotChangeThePast(tables, { children = false } = {}) {
  for (const table of tables) {
    const column = await pg.psql(`select attname from pg_attribute where attnum = 1 and
      attrelid = '${table}'::regclass`);
    for (const sql of [`update ${table} set ${column} = ${column}`, `delete from ${table}`,
      `truncate ${table}`]) {
      await denied(sql, SERVER, /permission denied/);
      if (!children || !sql.startsWith('truncate')) await denied(sql, OWNER, /append-only/);
    }
  }
  await denied('drop trigger journal_rows on journal', SERVER, /must be owner/);
  await denied('alter table journal disable trigger all', SERVER, /must be owner/);
  await denied('insert into schema_migrations values (99, \'x\')', SERVER, /permission denied/);
  await denied('insert into meta values (\'x\', \'y\')', SERVER, /permission denied/);
}

async function wholeLife(native) {
  await begin(native);
  await selfcheck();
  node = await new Node({ store: dsnOf(SERVER), args: ['--migrate', 'off'] }).start();
  await work(await Api.open(node));
  assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
  assert.ok(!/permission denied/.test(node.lastLog), node.lastLog);
  for (const table of APPEND_ONLY)
    assert.notStrictEqual(await pg.psql(`select count(*) from ${table}`), '0', `rows in ${table}`);
  await cannotChangeThePast(APPEND_ONLY);
  await selfcheck();
  for (const verb of ['verify', 'replay']) {
    const done = await command(['ledger', verb, '--store', dsnOf(SERVER), '--migrate', 'off']);
    assert.strictEqual(done.code, 0, `ledger ${verb}: ${done.out}${done.err}`);
  }
  await verify(pg);
}

const parts = {
  'a server that can only add serves, and cannot change the past': async () => {
    await wholeLife(false);
    await node.remove();
  },

  'the same where each partition has tables of its own': async () => {
    await wholeLife(true);
    const children = await pg.psql(`select inhrelid::regclass from pg_inherits
      where inhparent = 'journal'::regclass`);
    assert.ok(children.split('\n').length >= 16, children);
    const used = await pg.psql('select distinct tableoid::regclass from journal');
    await cannotChangeThePast(used.split('\n'), { children: true });
    await node.remove();
  },
};

async function main() {
  pg = await Postgres.start();
  const failed = await run(parts);
  if (node?.up) await node.remove();
  await pg.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
