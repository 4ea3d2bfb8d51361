// One partition of a database that does not open: its users get 503, everybody else is served, the
// node is ready and says what is wrong; when it opens again all is well without a restart.
// ctest: timeout=200
'use strict';
const assert = require('node:assert');
const { Cluster, PARTITIONS, verify } = require('./lib/cluster.js');
const { run } = require('./lib/parts.js');
const { request } = require('./lib/server.js');
const { until } = require('./lib/wait.js');

const BROKEN = 5;
let cluster;
let node;
const ready = async () => (await request(node, 'GET', '/readyz', { key: null })).status;

const parts = {
  'a node that starts is ready, and takes operations of all partitions but that one': async () => {
    await node.stop('SIGKILL');
    await cluster.pg.psql(`create function broken() returns trigger language plpgsql as $$
      begin raise exception 'broken on purpose'; end $$;
      create trigger broken before update of epoch on partitions for each row
      when (new.partition = ${BROKEN}) execute function broken()`);
    await node.start(); // resolves when it is ready
    await until('the others are open', async () => {
      for (let i = 0; i < PARTITIONS; i++)
        if (i !== BROKEN && !await cluster.probe(node, i)) return false;
      return true;
    });
    for (let i = 0; i < 5; i++) assert.strictEqual(await cluster.probe(node, BROKEN), false);
    assert.strictEqual(await ready(), 200);
    assert.strictEqual(await node.metric('holdfast_partitions_unopened'), 1);
    assert.match(node.log(), new RegExp(`partition ${BROKEN} does not open`));
  },

  'and of that one as soon as it opens': async () => {
    await cluster.pg.psql('drop trigger broken on partitions');
    await until('it opens', () => cluster.probe(node, BROKEN));
    assert.strictEqual(await node.metric('holdfast_partitions_unopened'), 0);
    assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
    await verify(cluster.pg);
  },
};

async function main() {
  cluster = await Cluster.start({ nodes: 1 });
  [node] = cluster.nodes;
  await cluster.makeProbes();
  const failed = await run(parts);
  await cluster.remove(node);
  await cluster.pg.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
