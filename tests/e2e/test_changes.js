// The change stream: pages and streams hold every entry of the journal, once, in order, as the
// users' histories show them, whatever breaks in between.
// ctest: timeout=240
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { Stream, pages, partitionsOf } = require('./lib/events.js');
const { Load } = require('./lib/load.js');
const { run } = require('./lib/parts.js');
const { KEY, Node, request, start, stop, temporaryFolder } = require('./lib/server.js');
const { pause, randomOf, until } = require('./lib/wait.js');

const random = randomOf();
const servers = [];
const kept = temporaryFolder(); // of the server that is killed

async function serve(extra = [], folder = temporaryFolder()) {
  const server = await start(folder, extra);
  server.folder = folder;
  servers.push(server);
  return server;
}

async function end(server) {
  assert.deepStrictEqual(await stop(server), { code: 0, signal: null }, server.log());
  server.agent.destroy();
  fs.rmSync(server.folder, { recursive: true, force: true });
}

async function metric(server, name) {
  const reply = await request(server, 'GET', '/metrics', { key: null });
  return reply.text.split('\n').filter((line) => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

async function must(server, method, path, options, status = 201) {
  const reply = await request(server, method, path, options);
  assert.strictEqual(reply.status, status, reply.text);
  return reply.json;
}

// A user of a fresh server, and grants of so much metadata that a few thousand fill every buffer.
async function userOf(server) {
  await must(server, 'POST', '/v1/assets', { body: { code: 'COIN', scale: 2 } });
  return (await must(server, 'POST', '/v1/users', { body: { kind: 'guest' } })).id;
}

const partitionOf = (user, count) => Number(BigInt(user) % BigInt(count));

async function grants(server, user, count, filler = '') {
  for (let done = 0; done < count; done += 500) {
    const ops = Array.from({ length: Math.min(500, count - done) }, (_, i) => ({ type: 'grant',
      user_id: user, asset: 'COIN', amount: '1', idempotency_key: `g-${Date.now()}-${done + i}`,
      metadata: { filler } }));
    const reply = await until('a batch of grants is done', async () => { // again if it was late
      const one = await request(server, 'POST', '/v1/ops/batch', { body: { ops } });
      return one.status !== 503 && one;
    });
    assert.strictEqual(reply.status, 200, reply.text);
    const { results } = reply.json;
    assert.ok(results.every((one) => one.status === 'applied'));
  }
}

// Every stream has what the pages have.
async function assertWhole(server, streams) {
  for (const stream of streams) {
    const whole = await pages(server, stream.partition);
    await until(`partition ${stream.partition} is streamed`,
      () => stream.failure || stream.entries.length >= whole.length);
    assert.strictEqual(stream.failure, null);
    assert.deepStrictEqual(stream.entries.map((entry) => entry.hash),
      whole.map((entry) => entry.hash));
  }
}

async function streamsOf(server) {
  const count = await partitionsOf(server);
  return Array.from({ length: count }, (_, partition) => new Stream(server, partition));
}

const parts = {
  async 'pages are the histories of all users'() {
    const server = await serve();
    const load = new Load({ random, servers: [server], users: 24, name: 'pages' });
    await load.prepare();
    load.start(16);
    await load.progress(800);
    await load.stop();
    await load.settle();
    // What only single operations have: metadata, a reversal, a backdated entry.
    const user = load.users[0];
    const op = { user_id: user, asset: 'COIN', amount: '3.00', type: 'grant', reason: 'a "b"',
      metadata: { text: 'line\nfeed', deep: { a: [1, null] } },
      effective_at: '2026-01-02T03:04:05Z' };
    const made = await must(server, 'POST', '/v1/ops',
      { body: op, headers: { 'Idempotency-Key': 'm' } });
    for (const amount of ['1.00', '0.50'])
      await must(server, 'POST', '/v1/ops', { headers: { 'Idempotency-Key': `r${amount}` },
        body: { type: 'reverse', user_id: user, reverses: made.op_id, amount } });
    const histories = new Map();
    let entries = 0;
    for (const one of load.users) histories.set(one, (await load.entriesOf(server, one)).reverse());
    for (let partition = 0; partition < await partitionsOf(server); partition++) {
      const whole = await pages(server, partition, { limit: 1 + random(40) });
      assert.deepStrictEqual(await pages(server, partition), whole);
      const from = 1 + random(whole.length + 2);
      assert.deepStrictEqual(await pages(server, partition, { from }), whole.slice(from - 1));
      for (const entry of whole) {
        assert.deepStrictEqual(entry, histories.get(entry.user_id).shift());
        entries++;
      }
    }
    assert.ok([...histories.values()].every((rest) => rest.length === 0));
    assert.ok(entries > 600);
    console.log(`      ${entries} entries`);
    await end(server);
  },

  async 'streams follow under load, and go on after they were cut'() {
    const server = await serve();
    const load = new Load({ random, servers: [server], users: 24, name: 'follow' });
    await load.prepare();
    const streams = await streamsOf(server);
    load.start(16);
    for (let cut = 0; cut < 60; cut++) {
      await load.progress(20);
      streams[random(streams.length - 4)].cut(); // four of them go on undisturbed
    }
    await load.stop();
    await load.settle();
    await assertWhole(server, streams);
    // When an entry was recorded is known from itself: how long it took from there to here. It is
    // said, not judged: the machine may be busy.
    const delays = streams.filter((stream) => stream.connections === 1)
      .flatMap((stream) => stream.entries.map((entry, i) =>
        stream.arrived[i] - Date.parse(entry.recorded_at))).sort((a, b) => a - b);
    console.log(`      ${delays.length} entries on streams that were not cut; delay ms: median ` +
      `${delays[delays.length >> 1]}, p99 ${delays[Math.floor(delays.length * 0.99)]}`);
    assert.ok(streams.reduce((sum, one) => sum + one.connections, 0) > streams.length);
    await until('only those are there that are followed',
      async () => await metric(server, 'holdfast_http_streams') === streams.length);
    await Promise.all(streams.map((stream) => stream.stop()));
    await until('all streams are gone',
      async () => await metric(server, 'holdfast_http_streams') === 0);
    await end(server);
  },

  async 'streams go on after the server was killed'() {
    const node = await new Node({ store: `sqlite:${path.join(kept, 'holdfast.db')}` }).start();
    const load = new Load({ random, servers: [node], users: 24, name: 'killed' });
    await load.prepare();
    const streams = await streamsOf(node);
    for (let kill = 0; kill < 4; kill++) {
      load.start(16);
      await load.progress(100);
      load.takeAway();
      await node.stop('SIGKILL');
      await pause(random(50));
      await node.start();
      await load.progress(20);
      await load.stop();
    }
    await load.settle();
    await assertWhole(node, streams);
    await load.check();
    assert.ok(streams.every((stream) => stream.connections > 1));
    await Promise.all(streams.map((stream) => stream.stop()));
    await node.remove();
  },

  async 'a reader that does not read is dropped, and may come back'() {
    const server = await serve(['--write-timeout-ms', '400']);
    const user = await userOf(server);
    const partition = partitionOf(user, await partitionsOf(server));
    await grants(server, user, 5000, 'x'.repeat(4000)); // some 23 MB
    const socket = net.connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`GET /v1/changes?partition=${partition} HTTP/1.1\r\nHost: x\r\n` +
      `Accept: text/event-stream\r\nAuthorization: Bearer ${KEY}\r\n\r\n`);
    socket.pause();
    await until('it is dropped', async () =>
      await metric(server, 'holdfast_http_refused_total{reason="slow_reader"}') === 1);
    await until('its stream is gone',
      async () => await metric(server, 'holdfast_http_streams') === 0);
    const written = await metric(server, 'holdfast_http_stream_entries_total');
    assert.ok(written < 5000, `${written} entries were rendered for nobody`);
    socket.destroy();
    // One that reads, slowly, gets everything.
    const stream = new Stream(server, partition);
    await until('the rest', () => stream.failure || stream.entries.length === 5000);
    assert.strictEqual(stream.connections, 1);
    await stream.stop();
    await end(server);
  },

  async 'no more streams than allowed; what ends one'() {
    const server = await serve(['--streams', '2', '--stream-beat-ms', '50']);
    const user = await userOf(server);
    const partition = partitionOf(user, await partitionsOf(server));
    const other = (partition + 1) % 16;
    const made = await must(server, 'POST', '/v1/admin/keys',
      { body: { scopes: ['ledger:read'] } });
    const first = new Stream(server, partition, { again: false });
    const second = new Stream(server, other, { key: made.key, again: false });
    await until('both are there', () => first.connections === 1 && second.connections === 1);
    await until('they beat', () => first.comments > 1 && second.comments > 1);
    assert.strictEqual(first.retry, 1000);
    const third = new Stream(server, other, { again: false });
    await third.running;
    assert.strictEqual(third.status, 429);
    assert.ok(Number(third.retryAfter) >= 1);
    const page = await request(server, 'GET', `/v1/changes?partition=${other}`);
    assert.deepStrictEqual([page.status, page.text], [200, ''], 'pages are not streams');

    await must(server, 'DELETE', `/v1/admin/keys/${made.id}`, {}, 200);
    await second.running;
    assert.deepStrictEqual(second.ends, ['unauthenticated']);

    // A peer that ends its side alone is gone as well.
    const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.write(`GET /v1/changes?partition=${other} HTTP/1.1\r\nHost: x\r\n` +
      `Accept: text/event-stream\r\nAuthorization: Bearer ${KEY}\r\n\r\n`);
    await new Promise((done) => socket.once('data', done));
    assert.strictEqual(await metric(server, 'holdfast_http_streams'), 2);
    const closed = new Promise((done) => socket.on('end', done).on('close', done));
    socket.on('error', () => {}).end();
    await closed;
    await until('it is gone', async () => await metric(server, 'holdfast_http_streams') === 1);

    await grants(server, user, 3);
    await until('the first still follows', () => first.entries.length === 3);
    await end(server); // with the first one open
    await first.running;
    assert.deepStrictEqual(first.ends, ['draining']);
    assert.strictEqual(first.failure, null);
  },

  async 'what is asked wrongly is told'() {
    const server = await serve();
    const user = await userOf(server);
    const partition = partitionOf(user, 16);
    await grants(server, user, 4);
    const events = { Accept: 'text/event-stream' };
    const bad = [['', {}], ['partition=16', {}], [`partition=${partition}&from_seq=0`, events],
      [`partition=${partition}&limit=10`, events],
      ...['', 'x', ':', '3', `${partition}:`, `${partition}:0`, `${partition}:-1`,
        `${partition}:1x`, `${(partition + 1) % 16}:1`, `${partition}:99999999999999999999`]
        .map((id) => [`partition=${partition}`, { ...events, 'Last-Event-ID': id }])];
    for (const [query, headers] of bad) {
      const reply = await request(server, 'GET', `/v1/changes?${query}`, { headers });
      assert.strictEqual(reply.status, 400, `${query} ${JSON.stringify(headers)}: ${reply.text}`);
      assert.strictEqual(reply.json.code, 'invalid_query');
      assert.ok(reply.json.field);
    }
    const route = `/v1/changes?partition=${partition}`;
    for (const accept of ['text/html', 'application/json', 'application/x-ndjson;q=0, image/*'])
      assert.strictEqual(
        (await request(server, 'GET', route, { headers: { Accept: accept } })).status, 406, accept);
    for (const accept of ['*/*', 'application/*', 'application/x-ndjson', undefined]) {
      const reply = await request(server, 'GET', route,
        accept ? { headers: { Accept: accept } } : {});
      assert.strictEqual(reply.headers['content-type'], 'application/x-ndjson', accept);
      assert.strictEqual(reply.headers['next-from-seq'], '5');
    }
    const head = await request(server, 'HEAD', route, { headers: events });
    assert.deepStrictEqual([head.status, head.headers['content-type'], head.text],
      [200, 'text/event-stream', '']);
    assert.strictEqual((await request(server, 'GET', route, { key: null })).status, 401);
    const ahead = await request(server, 'GET', `${route}&from_seq=99`);
    assert.deepStrictEqual([ahead.text, ahead.headers['next-from-seq']], ['', '99']);
    const zipped = await request(server, 'GET', route, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.strictEqual(zipped.status, 200);
    await until('no stream is left',
      async () => await metric(server, 'holdfast_http_streams') === 0);
    await end(server);
  },
};

async function main() {
  const failed = await run(parts);
  fs.rmSync(kept, { recursive: true, force: true });
  for (const one of servers) one.child.kill('SIGKILL'); // those that a failed part left behind
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
