// Who a node is: a folder that is started again is the same node, a copy of it is another one, also
// while the original runs.
// ctest: timeout=300
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { PARTITIONS, verify } = require('./lib/cluster.js');
const { limits } = require('./lib/limits.js');
const { Load } = require('./lib/load.js');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Node, temporaryFolder } = require('./lib/server.js');
const { randomOf, until } = require('./lib/wait.js');

const ARGS = limits();
const LIFE_DIGITS = 4; // HF_NODE_LIFE_BITS: they differ from start to start
const TAKEN = 'holdfast_partitions_taken_over_total';
const nodeOf = (node) => fs.readFileSync(path.join(node.folder, 'node.id'), 'utf8')
  .slice(0, 16 - LIFE_DIGITS);

let pg;
let first;
let copy;

const owners = async () => (await pg.psql(`select count(*) from partitions where owner in
  (select id from nodes) group by owner order by 1`)).split('\n').filter(Boolean).map(Number);

const shared = (nodes) => until(`${nodes} nodes share the partitions`, async () => {
  const counts = await owners();
  return counts.length === nodes && counts.every((count) => count === PARTITIONS / nodes);
}, { ms: 60000 });

const parts = {
  'a folder that is started again is the same node': async () => {
    const before = nodeOf(first);
    await first.stop('SIGKILL');
    await first.start();
    assert.strictEqual(nodeOf(first), before);
    assert.ok(!first.log().includes('copied'), first.log());
    await shared(1);
  },

  'a copy of a folder in use is a node of its own': async () => {
    const folder = temporaryFolder();
    fs.cpSync(first.folder, folder, { recursive: true, preserveTimestamps: true });
    copy = new Node({ store: pg.dsn(), args: ARGS, folder });
    await copy.start();
    assert.match(copy.log(), /copied or moved/);
    assert.notStrictEqual(nodeOf(copy), nodeOf(first));
    await shared(2);
  },

  'and neither buries the other, under load': async () => {
    const load = new Load({ random: randomOf(), servers: [first, copy], timeout: 20000 });
    const beats = () => pg.psql('select min(beat) from nodes');
    await load.prepare();
    const taken = async () => await first.metric(TAKEN) + await copy.metric(TAKEN);
    const takenBefore = await taken();
    load.start(8);
    try {
      for (let i = 0; i < 20; i++) { // two leases of heartbeats, each of which could bury
        const before = await beats();
        await until('both nodes beat', async () => await beats() !== before);
        assert.strictEqual(await pg.psql('select count(*) from nodes'), '2');
      }
      await load.progress(100);
    } finally {
      await load.stop();
    }
    await load.settle();
    await load.check();
    for (const node of [first, copy])
      assert.ok(!node.log().includes('gave this one up'), node.log());
    assert.strictEqual(await taken(), takenBefore);
    console.log(`      ${load.summary()}`);
  },

  'a copy that is started again stays what it became': async () => {
    const before = nodeOf(copy);
    await copy.stop('SIGKILL');
    await copy.start();
    assert.strictEqual(nodeOf(copy), before);
    assert.ok(!copy.log().includes('copied'), copy.log());
    await shared(2);
  },

  'the journal is whole': async () => {
    for (const node of [first, copy])
      assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
    await verify(pg);
  },
};

async function main() {
  pg = await Postgres.start();
  first = await new Node({ store: pg.dsn(), args: ARGS }).start();
  const failed = await run(parts);
  for (const node of [first, copy]) if (node) await node.remove();
  await pg.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
