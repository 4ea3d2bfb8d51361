// The schema in PostgreSQL: migrations that are killed or run at once, a database that belongs to
// somebody else or to a newer program, and one that is not there.
// ctest: timeout=240
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Proxy } = require('./lib/proxy.js');
const { command, temporaryFolder } = require('./lib/server.js');
const { pause, randomOf } = require('./lib/wait.js');

const EXIT_STORE = 3;
const random = randomOf();
let plain;

// What the schema is, without what differs between databases.
async function schemaOf(database) {
  const dump = await plain.dump(database, '--schema-only', '--no-owner');
  return dump.split('\n').filter((line) => !line.startsWith('\\') && !line.startsWith('--'))
    .join('\n');
}

const parts = {
  'a migration that was killed anywhere is finished by the next one': async () => {
    const migrate = (database, port, more = {}) =>
      command(['migrate', '--store', plain.dsn({ database, port })], more);
    await plain.createDatabase('whole');
    assert.strictEqual((await migrate('whole', plain.port)).code, 0);
    const whole = await schemaOf('whole');
    assert.match(whole, /CREATE TABLE/);
    const proxy = await Proxy.start({ host: '127.0.0.1', port: plain.port });
    await proxy.delay(2);
    let killed = 0;
    for (let i = 0; i < 8; i++) {
      const name = `half${i}`;
      await plain.createDatabase(name);
      for (let tries = 0; tries < 2; tries++) {
        const stop = new AbortController();
        const going = migrate(name, proxy.port, { signal: stop.signal });
        await pause(random(120));
        stop.abort();
        if ((await going).signal !== null || (await going).code !== 0) killed++;
      }
      const done = await migrate(name, plain.port);
      assert.strictEqual(done.code, 0, done.err);
      assert.strictEqual(await schemaOf(name), whole, name);
    }
    proxy.close();
    assert.ok(killed > 0, 'none was killed under way');
  },

  'two migrations at once are one': async () => {
    await plain.createDatabase('twice');
    const done = await Promise.all([0, 1, 2].map(() =>
      command(['migrate', '--store', plain.dsn({ database: 'twice' })])));
    for (const { code, err } of done) assert.strictEqual(code, 0, err);
    assert.strictEqual(await schemaOf('twice'), await schemaOf('whole'));
  },

  'tables of somebody else are refused and left alone': async () => {
    await plain.createDatabase('foreign');
    await plain.psql(`create table users(id int primary key, name text);
      create table batches(id int); insert into users values (1, 'x')`, { database: 'foreign' });
    const before = await schemaOf('foreign');
    const folder = temporaryFolder();
    for (const args of [['migrate'], ['serve', '--listen', '127.0.0.1:0']]) {
      const done = await command([...args, '--store', plain.dsn({ database: 'foreign' }),
        '--data', folder]);
      assert.strictEqual(done.code, EXIT_STORE, `${args[0]}: ${done.code} ${done.err}`);
      assert.match(done.err, /another program's tables/);
    }
    assert.strictEqual(await schemaOf('foreign'), before);
    assert.strictEqual(await plain.psql('select name from users', { database: 'foreign' }), 'x');
    fs.rmSync(folder, { recursive: true });
  },

  'a newer schema is refused': async () => {
    await plain.createDatabase('newer');
    const store = plain.dsn({ database: 'newer' });
    assert.strictEqual((await command(['migrate', '--store', store])).code, 0);
    const table = await plain.psql(`select quote_ident(schemaname) || '.schema_migrations' from
      pg_tables where tablename = 'schema_migrations'`, { database: 'newer' });
    await plain.psql(`create temp table m as select * from ${table} order by version desc limit 1;
      update m set version = version + 1000; insert into ${table} select * from m`,
    { database: 'newer' });
    const done = await command(['migrate', '--store', store]);
    assert.strictEqual(done.code, EXIT_STORE, done.err);
    assert.match(done.err, /newer/);
  },

  'no database, no server, no such role: said in words': async () => {
    for (const [store, why] of [
      [plain.dsn({ database: 'absent' }), /absent/],
      [plain.dsn({ port: 1 }), /refused/],
      [plain.dsn().replace('holdfast@', 'nobody@'), /nobody/],
    ]) {
      const done = await command(['migrate', '--store', store]);
      assert.strictEqual(done.code, EXIT_STORE, done.err);
      assert.match(done.err, why);
    }
  },
};

async function main() {
  plain = await Postgres.start();
  const failed = await run(parts);
  await plain.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
