// Service keys from the command line beside a server that serves: it is not disturbed, learns of
// the key by itself, and of its end.
// ctest: timeout=200
'use strict';
const assert = require('node:assert');
const { verify } = require('./lib/cluster.js');
const { LEASE_MS } = require('./lib/limits.js');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Node, command, request } = require('./lib/server.js');
const { until } = require('./lib/wait.js');

let pg;
let node;
const keys = async (...args) => {
  const done = await command(['keys', ...args, '--store', pg.dsn()]);
  assert.strictEqual(done.code, 0, done.err);
  return done.out.trim();
};
const statusWith = async (key) => (await request(node, 'GET', '/v1/assets', { key })).status;
const epochs = () => pg.psql('select string_agg(epoch::text, \' \' order by partition) ' +
  'from partitions');

const parts = {
  'a key that was made beside the server is usable, and no partition was fenced': async () => {
    const before = await epochs();
    const failures = await node.metric('holdfast_store_failures_total');
    const key = await keys('create', '--name', 'beside', '--scopes', 'ledger:read');
    await until('the key is known', async () => await statusWith(key) === 200);
    assert.strictEqual(await epochs(), before);
    for (let i = 0; i < 20; i++) { // the system partition takes changes all the time
      const reply = await request(node, 'POST', '/v1/assets',
        { body: { code: `A${i}`, scale: 0 }, headers: { 'Idempotency-Key': `a${i}` } });
      assert.strictEqual(reply.status, 201, reply.text);
      if (i % 5 === 0) await keys('create', '--name', `k${i}`, '--scopes', 'users:read');
    }
    assert.strictEqual(await node.metric('holdfast_store_failures_total'), failures);
    const id = key.split('_')[1];
    assert.match(await keys('list'), new RegExp(`${id} .*valid .*beside`));
    await keys('revoke', id);
    await until('the key is of no use', async () => await statusWith(key) === 401);
    assert.strictEqual(await epochs(), before);
    await keys('revoke', id); // again: nothing to do
    assert.match(await keys('list'), new RegExp(`${id} .*revoked .*beside`));
  },

  'and the journal is whole': async () => {
    assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
    await verify(pg);
  },
};

async function main() {
  pg = await Postgres.start();
  node = await new Node({ store: pg.dsn(), args: ['--lease-ms', String(LEASE_MS)] }).start();
  const failed = await run(parts);
  await node.remove();
  await pg.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
