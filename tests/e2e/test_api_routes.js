// Who may do what, and the conventions around every route: each operation of /openapi.json with
// each role, HEAD, OPTIONS and CORS, tags, request ids, compression, rates, health, metrics.
'use strict';
const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const { Api, run } = require('./lib/api.js');
const { KEY, request, start, stop, temporaryFolder } = require('./lib/server.js');
const { until } = require('./lib/wait.js');

const SCOPES = ['ledger:write', 'ledger:read', 'users:write', 'users:read', 'admin'];
const ORIGIN = 'https://app.example.com';
const data = temporaryFolder();
const servers = [];

let api;
let user;
const keys = {}; // scope -> key

async function serve(folder, extra) {
  const server = await start(folder, extra);
  servers.push(server);
  return server;
}

async function makeKey(scopes, more = {}) {
  const reply = await api.call('POST', '/v1/admin/keys', { body: { scopes, ...more } });
  assert.strictEqual(reply.status, 201, reply.text);
  assert.match(reply.json.key, /^hfk_[a-z0-9]{4,32}_[A-Za-z0-9]{32,128}$/);
  return reply.json;
}

// A request that is valid for each operation; run with a role that may not, it must change nothing.
function requestOf(operationId) {
  const op = { type: 'grant', user_id: user, asset: 'COIN', amount: '1' };
  const bodies = {
    opsPost: { body: op, headers: { 'Idempotency-Key': api.nextKey() } },
    batchPost: { body: { ops: [{ ...op, idempotency_key: api.nextKey() }] } },
    userPost: { body: { kind: 'guest' } },
    userStatus: { body: { status: 'open' } },
    assetPost: { body: { code: 'COIN', scale: 8 } },
    keyPost: { body: { scopes: ['ledger:read'] } },
  };
  return bodies[operationId] ?? {};
}

function pathOf(template) {
  const values = { user_id: user, op_id: user, entry_id: user, hold_id: user, block_id: user,
    code: 'COIN', key_id: 'nobody', file: 'style.css' };
  const path = template.replace(/\{(\w+)\}/g, (all, name) => values[name]);
  if (template === '/v1/changes') return `${path}?partition=${Number(BigInt(user) % 16n)}`;
  return template === '/v1/users' ? `${path}?external_id=one` : path;
}

function operations() {
  return Object.entries(api.document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ template, operation,
      method: method.toUpperCase(), path: method === 'get' ? pathOf(template)
        : pathOf(template).split('?')[0],
      open: operation.security.length === 0,
      scopes: SCOPES.filter((scope) => operation.description.includes(`\`${scope}\``)),
      anyKey: operation.description.includes('Any service key') })));
}

function raw(port, text) {
  return new Promise((resolve, reject) => {
    let reply = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (piece) => { reply += piece.toString('latin1'); });
    socket.on('end', () => resolve(reply));
    socket.on('error', reject);
  });
}

const parts = {
  async 'each route with each role'() {
    let checked = 0;
    for (const { template, method, path, operation, open, scopes, anyKey } of operations()) {
      const roles = { nobody: null, stranger: `hfk_test0_${'x'.repeat(40)}`, ...keys };
      for (const [role, key] of Object.entries(roles)) {
        const reply = await api.call(method, path, { ...requestOf(operation.operationId), key });
        const at = `${method} ${template} as ${role}: ${reply.status} ${reply.text.slice(0, 200)}`;
        const known = role !== 'nobody' && role !== 'stranger';
        const may = open || (known && (anyKey || role === 'admin' || scopes.includes(role)));
        if (may) assert.ok(reply.status < 400 || reply.status === 404, at);
        else assert.strictEqual(reply.status, known ? 403 : 401, at);
        checked++;
      }
    }
    assert.ok(checked > 150);
    console.log(`      ${checked} pairs`);
  },

  async 'every operation was answered with success by somebody'() {
    await api.call('POST', '/v1/ops', { ...requestOf('opsPost') });
    const entries = await api.entries(user);
    const base = { user_id: user, asset: 'COIN', amount: '1' };
    const hold = await api.applied({ ...base, type: 'hold' });
    const block = await api.applied({ ...base, type: 'block' });
    const made = await makeKey(['ledger:read']);
    for (const path of [`/v1/ops/${entries[0].op_id}`, `/v1/entries/${entries[0].id}`,
      `/v1/holds/${hold.hold_id}`, `/v1/blocks/${block.block_id}`]) {
      const reply = await api.call('GET', path);
      assert.strictEqual(reply.status, 200, `${path}: ${reply.text}`);
    }
    const reply = await api.call('DELETE', `/v1/admin/keys/${made.id}`);
    assert.ok(reply.json.revoked_at);
    await until('a seal with the user', async () =>
      (await api.call('GET', `/v1/users/${user}/proof`)).status === 200);
    for (const { operation } of operations()) {
      const seen = [...api.seen].some((one) => one.startsWith(`${operation.operationId} 2`));
      assert.ok(seen, operation.operationId);
    }
  },

  async 'a key is refused as soon as it is revoked, and never shown again'() {
    const made = await makeKey(['ledger:read'], { id: 'shortlived', name: 'for a test' });
    const path = `/v1/users/${user}/balances`;
    for (let i = 0; i < 8; i++)
      assert.strictEqual((await api.call('GET', path, { key: made.key })).status, 200);
    let reply = await api.call('POST', '/v1/admin/keys',
      { body: { id: 'shortlived', scopes: ['admin'] } });
    assert.strictEqual(reply.json.code, 'key_conflict');
    reply = await api.call('GET', '/v1/admin/keys?limit=500');
    assert.ok(reply.json.data.some((key) => key.id === 'shortlived' && key.revoked_at === null));
    assert.ok(!reply.text.includes(made.key.split('_')[2]));
    await api.call('DELETE', '/v1/admin/keys/shortlived');
    for (let i = 0; i < 8; i++)
      assert.strictEqual((await api.call('GET', path, { key: made.key })).status, 401);
  },

  async 'HEAD is GET without a body'() {
    for (const { template, method, path, open } of operations()) {
      if (method !== 'GET' || template === '/metrics') continue;
      const get = await api.call('GET', path, { key: open ? null : KEY });
      const head = await api.call('HEAD', path, { key: open ? null : KEY });
      assert.strictEqual(head.status, get.status, path);
      assert.strictEqual(head.headers['content-type'], get.headers['content-type'], path);
    }
  },

  async 'OPTIONS tells the methods; other origins get nothing'() {
    const reply = await api.call('OPTIONS', '/v1/users', { key: null,
      headers: { Origin: ORIGIN, 'Access-Control-Request-Method': 'POST' } });
    assert.strictEqual(reply.status, 204);
    assert.strictEqual(reply.headers.allow, 'GET, HEAD, POST, OPTIONS');
    assert.ok(!('access-control-allow-origin' in reply.headers));
    assert.strictEqual((await api.call('OPTIONS', '/v1/nope', { key: null })).status, 404);
  },

  async 'tags save what the client has'() {
    for (const path of ['/openapi.json', '/docs', '/admin/', '/admin/admin.js', '/v1/assets',
      '/v1/assets/COIN', `/v1/users/${user}`, '/v1/config', '/v1/flags']) {
      const first = await api.call('GET', path);
      const etag = first.headers.etag;
      assert.match(etag, /^"[0-9a-f]{32}"$/, path);
      for (const list of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const again = await api.call('GET', path, { headers: { 'If-None-Match': list } });
        assert.strictEqual(again.status, 304, path);
        assert.strictEqual(again.headers.etag, etag);
      }
      const other = await api.call('GET', path, { headers: { 'If-None-Match': '"x"' } });
      assert.strictEqual(other.status, 200, path);
    }
  },

  async 'request ids are taken over when they are sane'() {
    const id = 'Trace-0123.abc_DEF';
    let reply = await api.call('GET', '/livez', { headers: { 'X-Request-Id': id } });
    assert.strictEqual(reply.headers['x-request-id'], id);
    for (const bad of ['short', 'x'.repeat(65), 'with space 1', 'quote"1234']) {
      reply = await api.call('GET', '/livez', { headers: { 'X-Request-Id': bad } });
      assert.notStrictEqual(reply.headers['x-request-id'], bad);
    }
    const done = await api.applied({ type: 'grant', user_id: user, asset: 'COIN', amount: '1' },
      { headers: { 'X-Request-Id': id } });
    assert.strictEqual(done.entries[0].correlation_id, id);
    assert.strictEqual(done.entries[0].actor, 'key:test0');
  },

  async 'replies with data are not stored, large ones are compressed'() {
    let reply = await api.call('GET', `/v1/users/${user}/balances`);
    assert.strictEqual(reply.headers['cache-control'], 'no-store');
    reply = await request(api.server, 'GET', '/openapi.json',
      { headers: { 'Accept-Encoding': 'gzip' } });
    assert.strictEqual(reply.headers['content-encoding'], 'gzip');
  },

  async 'pages come with a strict policy'() {
    for (const path of ['/docs', '/admin/', '/admin', '/docs/docs.js', '/admin/style.css']) {
      const reply = await api.call('GET', path, { key: null });
      assert.strictEqual(reply.status, 200, path);
      assert.match(reply.headers['content-security-policy'], /default-src 'none'/);
      assert.strictEqual(reply.headers['x-content-type-options'], 'nosniff');
      assert.doesNotMatch(reply.text, /https?:\/\/(?!www\.w3\.org\/2000\/svg)/, path);
    }
    const page = (await api.call('GET', '/admin/', { key: null })).text;
    assert.doesNotMatch(page, /<script>|<style|style=|onclick=/);
    for (const path of ['/docs/nope.js', '/admin/..%2fadmin.html', '/docs/README.md'])
      assert.strictEqual((await api.call('GET', path, { key: null })).status, 404, path);
  },

  async 'health is public'() {
    let reply = await api.call('GET', '/readyz?verbose', { key: null });
    assert.deepStrictEqual(reply.json, { status: 'ready', checks: { store: 'ok' } });
    // Of an embedded store every partition is here.
    for (const [partition, status] of [[0, 200], [15, 200], [16, 400], ['x', 400]]) {
      reply = await api.call('GET', `/readyz?partition=${partition}`, { key: null });
      assert.strictEqual(reply.status, status, reply.text);
    }
    reply = await api.call('GET', '/livez', { key: null });
    assert.deepStrictEqual(reply.json, { status: 'ok' });
  },

  async 'metrics are what promtool accepts'() {
    const reply = await api.call('GET', '/metrics', { key: null });
    assert.match(reply.headers['content-type'], /^text\/plain; version=0\.0\.4/);
    for (const { template, method } of operations()) {
      const labels = `method="${method}",route="${template}"`;
      for (const status of ['2xx', '3xx', '4xx', '5xx']) {
        const series = `holdfast_http_requests_total{${labels},status="${status}"}`;
        assert.ok(reply.text.includes(series), series);
      }
      const series = `holdfast_http_request_duration_seconds_count{${labels}}`;
      assert.ok(reply.text.includes(series), series);
    }
    assert.doesNotMatch(reply.text, new RegExp(`"/v1/users/${user}`), 'no ids in labels');
    const tool = spawnSync('promtool', ['check', 'metrics'],
      { input: reply.text, encoding: 'utf8' });
    if (tool.error?.code === 'ENOENT') console.log('      promtool is not installed: not asked');
    else assert.strictEqual(tool.status, 0, tool.stderr + tool.stdout);
  },

  async 'a large body needs a key before it is read'() {
    const head = 'POST /v1/ops/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
      'Content-Length: 8000000\r\n';
    assert.match(await raw(api.server.port, `${head}Connection: close\r\n\r\n`),
      /^HTTP\/1\.1 401 [^]*\r\nWWW-Authenticate: Bearer/);
    const tooLarge = head.replace('8000000', '9000000');
    assert.match(await raw(api.server.port, `${tooLarge}Authorization: Bearer ${KEY}\r\n\r\n`),
      /^HTTP\/1\.1 413 /);
    assert.match(await raw(api.server.port, `${tooLarge.replace('/batch', '/nope/x')}\r\n`),
      /^HTTP\/1\.1 401 /);
  },

  async 'a rate limit counts per key'() {
    const folder = temporaryFolder();
    const server = await serve(folder,
      ['--rate-limit', '30', '--allowed-origins', `${ORIGIN},https://b.example`]);
    const statuses = [];
    for (let i = 0; i < 40; i++) {
      const reply = await request(server, 'GET', '/v1/config');
      assert.strictEqual(reply.headers['ratelimit-policy'], '"key";q=30;w=60');
      assert.match(reply.headers.ratelimit, /^"key";r=\d+;t=\d+$/);
      if (reply.status === 429) {
        assert.ok(Number(reply.headers['retry-after']) >= 1);
        assert.strictEqual(reply.json.code, 'rate_limited');
      }
      statuses.push(reply.status);
    }
    assert.ok(statuses.filter((status) => status === 429).length >= 1);
    assert.ok(statuses.slice(0, 30).every((status) => status === 200));
    assert.strictEqual((await request(server, 'GET', '/livez')).status, 200);
    // An allowed origin, on the same server.
    const reply = await request(server, 'OPTIONS', '/v1/ops', { key: null,
      headers: { Origin: ORIGIN, 'Access-Control-Request-Method': 'POST' } });
    assert.strictEqual(reply.headers['access-control-allow-origin'], ORIGIN);
    assert.match(reply.headers['access-control-allow-headers'], /Idempotency-Key/);
    assert.match(reply.headers.vary, /Origin/);
    const other = await request(server, 'GET', '/livez',
      { key: null, headers: { Origin: 'https://evil.example' } });
    assert.ok(!('access-control-allow-origin' in other.headers));
    assert.strictEqual((await stop(server)).code, 0);
    fs.rmSync(folder, { recursive: true, force: true });
  },

  async 'with a second listener the first keeps its metrics to itself'() {
    const folder = temporaryFolder();
    const probe = net.createServer().listen(0, '127.0.0.1');
    await new Promise((done) => probe.on('listening', done));
    const { port } = probe.address();
    await new Promise((done) => probe.close(done));
    const server = await serve(folder, ['--admin-listen', `127.0.0.1:${port}`]);
    const second = { ...server, port };
    for (const path of ['/livez', '/readyz', '/metrics'])
      assert.strictEqual((await request(second, 'GET', path, { key: null })).status, 200, path);
    for (const path of ['/v1/assets', '/docs', '/openapi.json'])
      assert.strictEqual((await request(second, 'GET', path)).status, 404, path);
    assert.strictEqual((await request(server, 'GET', '/metrics', { key: null })).status, 401);
    assert.strictEqual((await request(server, 'GET', '/metrics')).status, 200);
    const { json: reader } = await request(server, 'POST', '/v1/admin/keys',
      { body: { scopes: ['ledger:read'] } });
    assert.strictEqual((await request(server, 'GET', '/metrics', { key: reader.key })).status, 403);
    assert.strictEqual((await request(server, 'GET', '/readyz', { key: reader.key })).status, 200);
    assert.strictEqual((await stop(server)).code, 0);
    fs.rmSync(folder, { recursive: true, force: true });
  },
};

async function main() {
  const server = await serve(data, ['--seal-every-s', '1']); // a proof needs a seal
  api = await Api.open(server);
  await api.call('POST', '/v1/assets', { body: { code: 'COIN', scale: 8 } });
  user = await api.user({ external_id: 'one' });
  await api.applied({ type: 'grant', user_id: user, asset: 'COIN', amount: '100' });
  for (const scope of SCOPES) keys[scope] = (await makeKey([scope])).key;
  const failed = await run(parts);
  const { code } = await stop(server);
  for (const one of servers) one.child.kill('SIGKILL'); // those that a failed part left behind
  fs.rmSync(data, { recursive: true, force: true });
  assert.strictEqual(code, 0, server.log());
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  for (const server of servers) server.child.kill('SIGKILL');
  process.exit(1);
});
