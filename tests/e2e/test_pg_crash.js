// The server killed with kill -9, PostgreSQL crashed, and both at once, at random points under
// concurrent load: what lib/load.js says must hold, chains verify, replay equals live balances.
// ctest: timeout=300
'use strict';
const assert = require('node:assert');
const { verify } = require('./lib/cluster.js');
const { LEASE_MS } = require('./lib/limits.js');
const { Load } = require('./lib/load.js');
const { Postgres } = require('./lib/postgres.js');
const { Node } = require('./lib/server.js');
const { pause, randomOf } = require('./lib/wait.js');

const SERVER_KILLS = 12;
const DATABASE_CRASHES = 5;
const BOTH = 3;

async function main() {
  const random = randomOf();
  const pg = await Postgres.start();
  const node = new Node({ store: pg.dsn(), args: ['--lease-ms', String(LEASE_MS)] });
  await node.start();
  const load = new Load({ random, servers: [node], name: 'crash' });
  await load.prepare();
  for (let round = 0; round < SERVER_KILLS + BOTH; round++) {
    const both = round >= SERVER_KILLS;
    load.start(24, { repeat: false });
    await load.progress(20);
    await pause(random(150)); // the random point
    load.takeAway(); // the server's; while the database alone is away, it answers
    if (both) await Promise.all([node.stop('SIGKILL'), pg.stop('immediate')]);
    else await node.stop('SIGKILL');
    await load.stop();
    if (both) await pg.start();
    await node.start();
  }
  const before = load.broken + load.unheard;
  load.start(24);
  for (let round = 0; round < DATABASE_CRASHES; round++) {
    await load.progress(100);
    await pause(random(150));
    await pg.stop('immediate');
    await pause(random(300));
    await pg.start();
  }
  await load.progress(100); // the same server goes on
  await load.stop();
  assert.strictEqual(load.broken + load.unheard, before, `it answers: ${load.lastBroken}`);
  await load.settle();
  await load.check();
  assert.deepStrictEqual(await node.stop(), { code: 0, signal: null });
  await verify(pg);
  await node.remove();
  await pg.remove();
  console.log(`${SERVER_KILLS} kills, ${DATABASE_CRASHES} crashes of the database, ${BOTH} of ` +
    `both; ${load.summary()}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
