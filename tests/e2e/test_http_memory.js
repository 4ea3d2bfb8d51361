// Clients that ask for much and read nothing: what the server keeps for them is bounded, nobody
// else is held up, and they get every reply once they read.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const { Api, run } = require('./lib/api.js');
const { KEY, Node, temporaryFolder } = require('./lib/server.js');
const { until } = require('./lib/wait.js');

const CONNECTIONS = 4;
const PIPELINED = 60;
const ENTRIES = 500;
const METADATA = 4000;

const folder = temporaryFolder();
let api;
let node;
let user;

// The most memory that the process ever had, in bytes.
function peak() {
  const status = fs.readFileSync(`/proc/${node.up.child.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) * 1024;
}

async function grants() {
  const ops = Array.from({ length: ENTRIES }, (_, i) => ({ type: 'grant', user_id: user,
    asset: 'COIN', amount: '1', idempotency_key: `m${i}`, metadata: { x: 'y'.repeat(METADATA) } }));
  const reply = await api.call('POST', '/v1/ops/batch', { body: { ops } });
  assert.ok(reply.json.results.every((result) => result.status === 'applied'));
}

// A connection that asks and does not read. `replies` resolves to their number once it does.
function silent() {
  const one = `GET /v1/users/${user}/entries?limit=${ENTRIES} HTTP/1.1\r\nHost: a\r\n` +
    `Authorization: Bearer ${KEY}\r\n\r\n`;
  const socket = net.connect(node.port, '127.0.0.1');
  socket.pause();
  socket.write(one.repeat(PIPELINED));
  const replies = () => new Promise((resolve, reject) => {
    let count = 0;
    let tail = '';
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${count} replies`)));
    socket.on('data', (piece) => {
      tail += piece.toString('latin1');
      count += tail.split('HTTP/1.1 200 OK').length - 1;
      tail = tail.slice(-14); // Shorter than the line: none is counted twice.
      if (count < PIPELINED) return;
      resolve(count);
      socket.removeAllListeners('close');
      socket.destroy();
    });
    socket.resume();
  });
  return replies;
}

const parts = {
  'a user with a long history': async () => {
    node = await new Node({ store: `sqlite:${folder}/holdfast.db`, folder,
      args: ['--workers', '1', '--write-timeout-ms', '60000'] }).start();
    api = await Api.open(node);
    await api.call('POST', '/v1/assets', { body: { code: 'COIN', scale: 0 } });
    user = (await api.call('POST', '/v1/users', { body: { kind: 'guest' } })).json.id;
    await grants();
  },
  'large replies that nobody reads are not made ahead': async () => {
    const before = peak();
    const all = Array.from({ length: CONNECTIONS }, silent);
    await until('every connection waits for its reader', async () =>
      await node.metric('holdfast_http_deferred_total') >= CONNECTIONS);
    for (let i = 0; i < 20; i++) {
      const reply = await api.call('POST', '/v1/ops', { body: { type: 'grant', user_id: user,
        asset: 'COIN', amount: '1' }, headers: { 'Idempotency-Key': `small${i}` } });
      assert.strictEqual(reply.status, 201, reply.text);
    }
    const page = ENTRIES * (METADATA + 500);
    // A page as rows, as text, in the output, and half of a growing buffer: with the megabyte that
    // may wait. All of them at once would be fifteen times as much.
    const bound = CONNECTIONS * (6 * page + (1 << 20));
    assert.ok(await node.metric('holdfast_http_buffer_bytes') < bound);
    for (const replies of all) assert.strictEqual(await replies(), PIPELINED);
    assert.ok(peak() - before < bound, `${peak() - before} bytes more, bound ${bound}`);
  },
  'the server ends': async () => {
    assert.strictEqual((await node.stop()).code, 0);
    await node.remove();
  },
};

run(parts).then((failed) => { process.exitCode = failed === 0 ? 0 : 1; });
