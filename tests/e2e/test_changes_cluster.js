// The change stream where several nodes write: each node gives every partition, its own and those
// of the others, without a gap or a duplicate, also to who goes from one node to the other.
// ctest: timeout=180
'use strict';
const assert = require('node:assert');
const { Cluster, PARTITIONS } = require('./lib/cluster.js');
const { Stream, pages, partitionsOf } = require('./lib/events.js');
const { Load } = require('./lib/load.js');
const { run } = require('./lib/parts.js');
const { request } = require('./lib/server.js');
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

  // Each node has half of the partitions: of its own it is told, of the others one stream looks.
  async 'streams that have nothing to say ask the store for as good as nothing'() {
    const BEAT_MS = 100;
    const STREAMS = 20;
    const BEATS = 30; // of every stream, so much as was looked at
    const cluster = await Cluster.start({ nodes: 2, args: ['--stream-beat-ms', String(BEAT_MS)] });
    await cluster.makeProbes();
    await cluster.available();
    for (const node of cluster.nodes) {
      const owned = (await Promise.all(Array.from({ length: PARTITIONS }, async (_, partition) =>
        (await request(node, 'GET', `/readyz?partition=${partition}`, { key: null })).status)));
      const own = owned.indexOf(200);
      const other = owned.indexOf(503);
      assert.ok(own >= 0 && other >= 0, `each node has some: ${owned}`);
      for (const [partition, looks] of [[own, 0], [other, 1]]) {
        // One of them begins far behind the end: it has nothing to tell the others.
        const streams = Array.from({ length: STREAMS }, (_, i) => new Stream(node, partition,
          i === 0 ? { from: 1000000 } : {}));
        const caught = () => streams.every((stream, i) => stream.comments > 0 &&
          (i === 0 || stream.entries.length === streams[1].entries.length));
        await until('all streams wait', caught);
        const reads = await node.metric('holdfast_http_stream_reads_total');
        const goals = streams.map((stream) => stream.comments + BEATS);
        await until('some beats', () => streams.every((one, i) => one.comments >= goals[i]));
        const more = await node.metric('holdfast_http_stream_reads_total') - reads;
        const beats = streams[1].comments - goals[1] + BEATS;
        // Both loops look, each at most twice in a second once it has found nothing for a while,
        // and so less often than its streams beat. Each stream by itself would ask for twenty
        // times as much.
        const bound = looks * 2 * (4 + beats);
        assert.ok(more <= bound, `${more} pages were asked for, bound ${bound}`);
        // And what is written shows.
        const before = streams[1].entries.length;
        await until('an operation', () => cluster.probe(node, partition));
        await until('all have it', () => streams.every((stream, i) =>
          i === 0 || stream.entries.length > before));
        await Promise.all(streams.map((stream) => stream.stop()));
      }
    }
    await cluster.finish();
  },
};

run(parts).then((failed) => process.exit(failed === 0 ? 0 : 1),
  (error) => { console.error(error); process.exit(1); });
