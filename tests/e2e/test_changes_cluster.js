// The change stream where several nodes write: each node gives every partition, its own and those
// of the others, without a gap or a duplicate, also to who goes from one node to the other.
// ctest: timeout=180
'use strict';
const assert = require('node:assert');
const { Cluster } = require('./lib/cluster.js');
const { Stream, pages, partitionsOf } = require('./lib/events.js');
const { Load } = require('./lib/load.js');
const { run } = require('./lib/parts.js');
const { randomOf, until } = require('./lib/wait.js');

const random = randomOf();

const parts = {
  async 'every node streams every partition'() {
    const cluster = await Cluster.start({ nodes: 2 });
    const { nodes } = cluster;
    const load = new Load({ random, servers: nodes, users: 16, name: 'nodes' });
    await load.prepare();
    const count = await partitionsOf(nodes[0]);
    const streams = nodes.flatMap((node) =>
      Array.from({ length: count }, (_, partition) => new Stream(node, partition)));
    load.start(12);
    for (let cut = 0; cut < 15; cut++) {
      await load.progress(20);
      const stream = streams[random(streams.length)];
      stream.server = nodes[random(nodes.length)]; // where it comes back
      stream.cut();
    }
    await load.stop();
    await load.settle();
    for (const stream of streams) {
      const whole = await pages(nodes[random(nodes.length)], stream.partition);
      await until(`partition ${stream.partition} is streamed`,
        () => stream.failure || stream.entries.length >= whole.length);
      assert.strictEqual(stream.failure, null);
      assert.deepStrictEqual(stream.entries, whole);
    }
    await Promise.all(streams.map((stream) => stream.stop()));
    await cluster.finish();
  },
};

run(parts).then((failed) => process.exit(failed === 0 ? 0 : 1),
  (error) => { console.error(error); process.exit(1); });
