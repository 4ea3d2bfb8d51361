// TLS to PostgreSQL: with verify-full, only a server of the right authority and name is spoken to.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Node, command, request, temporaryFolder } = require('./lib/server.js');
const { makeAuthority, makeServer } = require('./lib/tls.js');

const EXIT_STORE = 3;
let folder;
let right;
let wrong;
let pg;

const dsn = (authority, more = {}) =>
  pg.dsn({ sslmode: 'verify-full', sslrootcert: authority.cert, ...more });

// Every command that opens a store refuses, says why in words, and changes nothing.
async function refuses(store, why) {
  for (const args of [['migrate'], ['selfcheck'], ['serve', '--listen', '127.0.0.1:0']]) {
    const data = fs.mkdtempSync(`${folder}/data-`);
    const done = await command([...args, '--store', store, '--data', data]);
    assert.strictEqual(done.code, EXIT_STORE, `${args[0]}: ${done.code} ${done.out}${done.err}`);
    assert.match(done.err, why, args[0]);
  }
}

const parts = {
  'the right authority and name: the server runs, and over TLS': async () => {
    const node = await new Node({ store: dsn(right) }).start();
    assert.strictEqual((await request(node, 'POST', '/v1/assets',
      { body: { code: 'COIN', scale: 2 } })).status, 201);
    const plain = await pg.psql(`select count(*) filter (where not ssl), count(*) from
      pg_stat_ssl join pg_stat_activity using (pid) where client_port > 0`);
    assert.match(plain, /^0\|[1-9]/);
    assert.deepStrictEqual(await node.stop(), { code: 0, signal: null });
    await node.remove();
  },

  'another authority is refused': () => refuses(dsn(wrong), /certificate verify failed/),

  'another name is refused': () =>
    refuses(dsn(right, { host: 'localhost' }), /certificate .* does not match host name/),

  'no TLS where the server wants it is refused': () =>
    refuses(pg.dsn({ sslmode: 'disable' }), /no encryption|SSL/),

  'a missing file of the authority is refused': () =>
    refuses(dsn({ cert: `${folder}/absent.pem` }), /absent\.pem/),

  'nothing was changed by what was refused': async () => {
    await pg.createDatabase('untouched');
    await refuses(dsn(wrong, { database: 'untouched' }), /certificate verify failed/);
    assert.strictEqual(await pg.psql(`select count(*) from pg_class c join pg_namespace n on
      n.oid = relnamespace where nspname !~ '^pg_|information_schema'`,
    { database: 'untouched' }), '0');
  },
};

async function main() {
  folder = temporaryFolder();
  process.env.HOME = folder; // libpq looks for certificates there
  right = makeAuthority(folder, 'right');
  wrong = makeAuthority(folder, 'wrong');
  pg = await Postgres.start({ tls: makeServer(folder, 'database', right, ['IP:127.0.0.1']) });
  const failed = await run(parts);
  await pg.remove();
  fs.rmSync(folder, { recursive: true });
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
