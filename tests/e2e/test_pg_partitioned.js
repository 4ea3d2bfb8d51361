// Tables in native partitions: the statements of docs/OPERATIONS.md, by list as they stand there
// and by hash, then a server under load on them, killed and started again. What holds for this
// holds for whatever spreads tables by their key's first column.
// ctest: timeout=300
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { verify } = require('./lib/cluster.js');
const { LEASE_MS } = require('./lib/limits.js');
const { Load } = require('./lib/load.js');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Node, command, temporaryFolder } = require('./lib/server.js');
const { randomOf } = require('./lib/wait.js');

const SPREAD = 13; // tables with users' data
const CHILDREN = 16;
const random = randomOf();
let pg;

function statements() {
  const page = fs.readFileSync(path.join(process.env.HOLDFAST_ROOT ??
    path.join(__dirname, '../..'), 'docs/OPERATIONS.md'), 'utf8');
  const found = /```sql\n(DO \$\$\nDECLARE\n  t text;[\s\S]*?END \$\$;)\n```/.exec(page);
  assert.ok(found, 'the statements are in the page');
  return found[1];
}

const byHash = (sql) => {
  const hashed = sql.replace('PARTITION BY LIST (partition)', 'PARTITION BY HASH (partition)')
    .replace('FOR VALUES IN (%s)\', t || \'_p\' || p, t, p)',
      'FOR VALUES WITH (MODULUS %s, REMAINDER %s)\', t || \'_p\' || p, t, partitions, p)');
  assert.match(hashed, /REMAINDER/);
  return hashed;
};

async function holds(database, sql) {
  const ask = (text) => pg.psql(text, { database });
  await pg.createDatabase(database);
  const store = pg.dsn({ database });
  const migrated = await command(['migrate', '--store', store]);
  assert.strictEqual(migrated.code, 0, migrated.err);
  await ask(sql);
  assert.strictEqual(await ask('select count(*) from pg_partitioned_table'), String(SPREAD));
  const folder = temporaryFolder();
  const checked = await command(['selfcheck', '--store', store, '--data', folder]);
  assert.strictEqual(checked.code, 0, checked.out + checked.err);
  fs.rmSync(folder, { recursive: true });

  const node = await new Node({ store, args: ['--lease-ms', String(LEASE_MS)] }).start();
  const load = new Load({ random, servers: [node], name: database, users: 32, timeout: 20000 });
  await load.prepare();
  for (let round = 0; round < 2; round++) {
    load.start(8);
    await load.progress(150);
    if (round === 0) {
      load.takeAway();
      await node.stop('SIGKILL');
      await node.start();
    }
    await load.progress(150);
    await load.stop();
  }
  await load.settle();
  await load.check();
  assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
  await node.remove();
  await verify(pg, database);

  // Rows lie in the children, none of which has all of them, and stay as they are.
  const journal = Number(await ask('select count(*) from journal'));
  const shares = (await ask('select count(*) from journal group by tableoid')).split('\n')
    .map(Number);
  assert.ok(journal > 300 && shares.length > CHILDREN / 4, `${journal} entries: ${shares}`);
  for (const change of ['update journal set seq = 0', 'delete from journal', 'truncate journal'])
    await assert.rejects(ask(change), /append-only/);
  console.log(`      ${load.summary()}`);
}

const parts = {
  'by list, as documented': () => holds('listed', statements()),
  'by hash': () => holds('hashed', byHash(statements())),
};

async function main() {
  pg = await Postgres.start();
  const failed = await run(parts);
  await pg.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
