// kill -9 at random points under concurrent load, 50 rounds: what lib/load.js says must hold,
// chains verify, replay equals live balances.
// ctest: timeout=400 serial
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { Load } = require('./lib/load.js');
const { temporaryFolder, start, stop, cli } = require('./lib/server.js');
const { pause, randomOf } = require('./lib/wait.js');

const ROUNDS = 50;

async function main() {
  const random = randomOf();
  const data = temporaryFolder();
  let server = await start(data);
  const load = new Load({ random, servers: [server], name: 'crash' });
  await load.prepare();
  for (let round = 0; round < ROUNDS; round++) {
    load.servers = [server];
    load.start(24, { repeat: false });
    await pause(20 + random(180)); // the random point
    load.takeAway();
    server.child.kill('SIGKILL');
    server.agent.destroy();
    await load.stop();
    await server.ended;
    server = await start(data);
  }
  load.servers = [server];
  await load.settle();
  await load.check();
  assert.deepStrictEqual(await stop(server), { code: 0, signal: null });
  for (const verb of ['verify', 'replay']) {
    const run = cli('ledger', verb, '--data', data);
    assert.strictEqual(run.code, 0, `ledger ${verb}: ${run.out}${run.err}`);
  }
  fs.rmSync(data, { recursive: true });
  console.log(`${ROUNDS} kills, ${load.summary()}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
