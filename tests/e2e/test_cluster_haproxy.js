// HAProxy before three nodes, with the configuration of docs/examples: it finds the node that has a
// user's partition, so that hardly anything is forwarded, and it follows when partitions move.
// ctest: timeout=240
'use strict';
const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Cluster } = require('./lib/cluster.js');
const { LEASE_MS } = require('./lib/limits.js');
const { ASSET, Load } = require('./lib/load.js');
const { run } = require('./lib/parts.js');
const { freePort } = require('./lib/postgres.js');
const { request, temporaryFolder } = require('./lib/server.js');
const { randomOf, until } = require('./lib/wait.js');

const EXAMPLE = path.join(__dirname, '../../docs/examples/haproxy.cfg');
const FORWARDED = 'holdfast_forwarded_total';
const random = randomOf();
let cluster;
let front; // HAProxy, as a server for request()

async function startHaproxy() {
  const folder = temporaryFolder();
  const port = await freePort();
  const ports = cluster.nodes.map((node) => node.port);
  const text = fs.readFileSync(EXAMPLE, 'utf8').replace('bind :8080', `bind 127.0.0.1:${port}`)
    .replace(/10\.0\.0\.(\d):8080/g, (all, number) => `127.0.0.1:${ports[number - 1]}`);
  assert.ok(!text.includes(':8080'), 'every address was replaced');
  const file = path.join(folder, 'haproxy.cfg');
  fs.writeFileSync(file, text);
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'haproxy', '-db', '-f', file],
    { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (piece) => { log = (log + piece).slice(-5000); });
  const ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  front = { port, agent, child, ended, folder, log: () => log };
  await until('HAProxy passes requests on', async () =>
    (await request(front, 'GET', '/readyz', { key: null, timeout: 2000 })).status === 200);
}

const forwarded = async () => (await Promise.all(cluster.nodes.filter((node) => node.up)
  .map((node) => node.metric(FORWARDED)))).reduce((sum, count) => sum + count, 0);

// The part of `count` operations on all partitions, sent by `to`, that nodes forwarded.
let sent = 0;
async function forwardedShare(to, count = 320) {
  const users = [...cluster.probes.values()];
  const before = await forwarded();
  for (let at = 0; at < count; at += 16)
    await Promise.all(Array.from({ length: 16 }, async (_, i) => {
      const user = users[(at + i) % users.length];
      const server = to(at + i);
      const reply = i % 4 === 0
        ? await request(server, 'GET', `/v1/users/${user}/balances`)
        : await request(server, 'POST', '/v1/ops', {
          body: { type: 'grant', user_id: user, asset: ASSET, amount: '1.00' },
          headers: { 'Idempotency-Key': `share-${++sent}` } });
      if (reply.status === 503) throw new Error(`not available: ${reply.text}`);
      assert.ok(reply.status === 200 || reply.status === 201, reply.text);
    }));
  return (await forwarded() - before) / count;
}

const follows = () => until('HAProxy knows the owners', async () =>
  await forwardedShare(() => front, 64) === 0, { ms: 20 * LEASE_MS, every: 200 });

const parts = {
  'without a look at the user most requests are forwarded': async () => {
    const share = await forwardedShare((i) => cluster.nodes[i % 3]);
    console.log(`      ${(100 * share).toFixed(1)} % forwarded`);
    assert.ok(share > 0.4, `${share}`);
  },

  'HAProxy finds the owner: hardly any is forwarded': async () => {
    await follows();
    const share = await forwardedShare(() => front);
    console.log(`      ${(100 * share).toFixed(1)} % forwarded`);
    assert.ok(share < 0.05, `${share}`);
  },

  'a large body and a request without an id find a node too': async () => {
    const user = cluster.probes.get(3);
    const large = await request(front, 'POST', '/v1/ops', {
      body: { metadata: { text: 'x'.repeat(3900) }, type: 'grant', asset: ASSET, amount: '1.00',
        user_id: user }, headers: { 'Idempotency-Key': 'large' } });
    assert.strictEqual(large.status, 201, large.text);
    const many = await request(front, 'POST', '/v1/ops/batch', { body: {
      ops: Array.from({ length: 500 }, (_, i) => ({ type: 'grant', asset: ASSET, amount: '1.00',
        user_id: cluster.probes.get(i % 16), idempotency_key: `many-${i}` })) } });
    assert.strictEqual(many.status, 200, many.text);
    assert.ok(many.json.results.every((result) => result.status === 201 ||
      result.status === 'applied'), many.text.slice(0, 500));
    for (const target of ['/v1/users/nobody/balances', '/v1/users/99999999999999999999', '/v1/no'])
      assert.ok([400, 404].includes((await request(front, 'GET', target)).status), target);
    const broken = await request(front, 'POST', '/v1/ops', { body: '{"user_id":',
      headers: { 'Idempotency-Key': 'broken' } });
    assert.strictEqual(broken.status, 400, broken.text);
  },

  'nodes die and come back behind it, and nothing acknowledged is lost': async () => {
    const load = new Load({ random, servers: [front], users: 24, name: 'front', timeout: 40000 });
    await load.prepare();
    load.start(16);
    const [first, second] = cluster.nodes;
    await load.progress(100);
    load.takeAway(); // the front passes a reply on that breaks off
    await first.stop('SIGKILL');
    await load.progress(100);
    await first.start();
    await load.progress(100);
    assert.deepStrictEqual(await second.stop(), { code: 0, signal: null }, second.lastLog);
    await load.progress(100);
    await second.start();
    await load.progress(100);
    await load.stop();
    await load.settle();
    await load.check();
    console.log(`      ${load.summary()}`);
  },

  'afterwards HAProxy knows the new owners': async () => {
    await follows();
    const share = await forwardedShare(() => front);
    console.log(`      ${(100 * share).toFixed(1)} % forwarded`);
    assert.ok(share < 0.05, `${share}`);
  },
};

async function main() {
  cluster = await Cluster.start({ nodes: 3 });
  await cluster.makeProbes();
  await startHaproxy();
  let failed = await run(parts);
  front.agent.destroy();
  front.child.kill('SIGTERM');
  await front.ended;
  fs.rmSync(front.folder, { recursive: true });
  failed += await run({ 'the database is as it should be': () => cluster.finish() });
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(front?.log()); console.error(error); process.exit(1); });
