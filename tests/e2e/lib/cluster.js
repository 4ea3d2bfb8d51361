// Nodes on one database, each with a proxy of its own between itself and the database.
'use strict';
const assert = require('node:assert');
const { LEASE_MS, limits } = require('./limits.js');
const { ASSET } = require('./load.js');
const { Postgres } = require('./postgres.js');
const { Proxy } = require('./proxy.js');
const { Node, command, request } = require('./server.js');
const { until } = require('./wait.js');

const PARTITIONS = 16;
const partitionOf = (id) => Number(BigInt(id) % BigInt(PARTITIONS));

class Cluster {
  static async start({ nodes = 3, args = [], postgres = {}, leaseMs = LEASE_MS } = {}) {
    const cluster = new Cluster(args, leaseMs);
    cluster.pg = await Postgres.start(postgres);
    for (let i = 0; i < nodes; i++) await cluster.add();
    await cluster.shared();
    return cluster;
  }

  constructor(args, leaseMs) {
    this.args = args;
    this.leaseMs = leaseMs;
    this.nodes = [];
    this.probes = null; // by partition: a user
    this.probed = 0;
  }

  // Another node; resolves when it is ready.
  async add(...more) {
    const proxy = await Proxy.start({ host: '127.0.0.1', port: this.pg.port });
    const node = new Node({ store: this.pg.dsn({ port: proxy.port }),
      args: ['--workers', '2', ...limits({ leaseMs: this.leaseMs }), ...this.args, ...more] });
    node.proxy = proxy;
    await node.start();
    this.nodes.push(node);
    return node;
  }

  // Until each node has its share of the partitions, and answers for it.
  async shared() {
    const least = Math.floor(PARTITIONS / this.nodes.length);
    const owned = async (node) => (await Promise.all(Array.from({ length: PARTITIONS },
      (_, partition) => request(node, 'GET', `/readyz?partition=${partition}`, { key: null }))))
      .filter((reply) => reply.status === 200).length;
    await until('the nodes share the partitions', async () =>
      (await Promise.all(this.nodes.map(owned))).every((count) => count >= least));
  }

  async remove(node) {
    this.nodes = this.nodes.filter((other) => other !== node);
    node.proxy.close();
    await node.remove();
  }

  // A user in each partition.
  async makeProbes() {
    const probes = new Map();
    const make = (path, body, key) => until(key, async () => {
      const node = this.nodes[this.probed++ % this.nodes.length];
      const reply = await request(node, 'POST', path,
        { body, headers: { 'Idempotency-Key': key }, timeout: 10000 });
      assert.ok([201, 503].includes(reply.status), reply.text);
      return reply.status === 201 && reply.json;
    });
    await make('/v1/assets', { code: ASSET, scale: 2 }, 'probe-asset');
    for (let i = 0; probes.size < PARTITIONS; i++) {
      const { id } = await make('/v1/users', { kind: 'registered' }, `probe-user-${i}`);
      probes.set(partitionOf(id), id);
      assert.ok(i < 100 * PARTITIONS, 'users come to all partitions');
    }
    this.probes = probes;
  }

  // One op of a partition through a node: true when it was applied.
  async probe(node, partition) {
    const reply = await request(node, 'POST', '/v1/ops', {
      body: { type: 'grant', user_id: this.probes.get(partition), asset: ASSET, amount: '1.00' },
      headers: { 'Idempotency-Key': `probe-${++this.probed}` }, timeout: 3000,
    });
    assert.ok([201, 503].includes(reply.status), reply.text);
    return reply.status === 201;
  }

  // Until every partition takes operations through every one of the nodes; resolves to the ms that
  // took. Fails after `ms`.
  async available(nodes = this.nodes, ms = 30000) {
    const start = process.hrtime.bigint();
    await Promise.all(nodes.flatMap((node) => [...this.probes.keys()].map((partition) =>
      until(`partition ${partition} through port ${node.port}`,
        () => this.probe(node, partition), { ms, every: 50 }))));
    return Number((process.hrtime.bigint() - start) / 1000000n);
  }

  // Stops all, in order, and looks whether the database is as it should be.
  async finish() {
    for (const node of this.nodes)
      assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
    await verify(this.pg);
    for (const node of [...this.nodes]) await this.remove(node);
    await this.pg.remove();
  }
}

// The journal's chains, and balances against the journal.
async function verify(pg, database = 'holdfast') {
  for (const verb of ['verify', 'replay']) {
    const done = await command(['ledger', verb, '--store', pg.dsn({ database })]);
    assert.strictEqual(done.code, 0, `ledger ${verb}: ${done.out}${done.err}`);
  }
}

module.exports = { Cluster, PARTITIONS, partitionOf, verify };
