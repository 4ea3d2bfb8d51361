// Bad input on a real server: each case is answered with a 4xx problem of the right code, and none
// of them writes anything.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { Api, run } = require('./lib/api.js');
const { KEY, request, start, stop, temporaryFolder } = require('./lib/server.js');

let api;
let server;
let user;
let other;
let hold;
let block;
let spent;
const data = temporaryFolder();

const NOBODY = `${2 ** 50}`;

// [what, body, code]; the rest of a valid op is filled in around it.
function opCases() {
  const grant = { type: 'grant', user_id: user, asset: 'COIN', amount: '1' };
  const spend = { type: 'spend', user_id: user, asset: 'COIN', amount: '1' };
  const amounts = [1, 1.5, -1, 0, true, {}, [], '', ' ', '0', '0.00', '-1', '+1', '1e3', '1E3',
    '1.', '.5', '01', '00', '1,5', '1_000', ' 1', '1 ', '0x1f', 'NaN', 'Infinity', '1.2.3', '--1',
    '1.123456789', '0.000000001', '1'.repeat(39), '1'.repeat(300), '９', '١'];
  const ids = [1, 17.5, true, {}, [], '', '0', '-1', '01', '1.0', ' 1', 'abc', '9007199254740992',
    '99999999999999999999', '1e3'];
  const assets = [1, {}, '', 'A B', 'ÄÖ', '-COIN', 'A'.repeat(17), 'CO/IN',
    "'; DROP TABLE users"];
  const times = [1, '', 'now', '2026-01-01', '2026-02-30T00:00:00Z', '2999-01-01T00:00:00Z',
    '2026-01-01T00:00:00', '2026-01-01T25:00:00Z', '1960-01-01T00:00:00Z'];
  const texts = [1, {}, '', 'x'.repeat(257), 'a\nb', 'a\u0007b'];
  const labels = [1, '', 'a b', '-a', 'é', 'x'.repeat(33)];
  const objects = ['x', 1, [], true, { x: 'y'.repeat(4097) }];
  return [
    ...amounts.map((amount) => ['amount', { ...spend, amount }, 'invalid_amount']),
    ...ids.map((id) => ['user_id', { ...grant, user_id: id }, 'invalid_id']),
    ...ids.map((id) =>
      ['to_user_id', { ...spend, type: 'transfer', to_user_id: id }, 'invalid_id']),
    ...ids.map((id) => ['hold_id', { type: 'void', user_id: user, hold_id: id }, 'invalid_id']),
    ...assets.map((asset) => ['asset', { ...grant, asset }, 'invalid_field']),
    ...times.map((time) => ['effective_at', { ...grant, effective_at: time }, 'invalid_time']),
    ...texts.map((reason) => ['reason', { ...grant, reason }, 'invalid_field']),
    ...labels.map((to) => ['to', { ...spend, to }, 'invalid_field']),
    ...objects.map((metadata) => ['metadata', { ...grant, metadata }, 'invalid_field']),
    ...[-1, 1.5, '1', true].map((n) =>
      ['if_version', { ...grant, if_version: n }, 'invalid_field']),
    ...[0, -1, 1.5, '60', 1e12].map((n) =>
      ['timeout_s', { ...spend, type: 'hold', timeout_s: n }, 'invalid_field']),
    ...['x', 1, 'blocked', 'debt', 'sys:spend'].map((bucket) =>
      ['bucket', { ...spend, type: 'block', bucket }, 'invalid_field']),
    ...[1, 'true'].map((final) =>
      ['final', { type: 'capture', user_id: user, hold_id: hold, final }, 'invalid_field']),
    ...['', 'Grant', 'nope', 'expire', 'credit', 'bounce', 'claim_start', 1, {}, []].map((type) =>
      ['type', { ...grant, type }, 'invalid_field']),
    ['no type', { ...grant, type: undefined }, 'missing_field'],
    ['no user', { ...grant, user_id: undefined }, 'missing_field'],
    ['no asset', { ...grant, asset: undefined }, 'missing_field'],
    ['no amount', { ...grant, amount: undefined }, 'missing_field'],
    ['null amount', { ...grant, amount: null }, 'missing_field'],
    ['no hold', { type: 'capture', user_id: user, amount: '1' }, 'missing_field'],
    ['no block', { type: 'unblock', user_id: user }, 'missing_field'],
    ['no original', { type: 'reverse', user_id: user }, 'missing_field'],
    ['no payee', { ...spend, type: 'transfer' }, 'missing_field'],
    ['no reason', { ...spend, type: 'adjust' }, 'missing_field'],
    ['unknown field', { ...grant, foo: 1 }, 'unknown_field'],
    ['unknown field', { ...grant, Amount: '1' }, 'unknown_field'],
    ['field of another type', { ...grant, hold_id: hold }, 'unknown_field'],
    ['field of another type', { ...spend, source: 'x' }, 'unknown_field'],
    ['key in the body', { ...grant, idempotency_key: 'k' }, 'unknown_field'],
    ['unknown user', { ...grant, user_id: NOBODY }, 'user_not_found'],
    ['unknown user', { ...grant, user_id: '9007199254740991' }, 'user_not_found'],
    ['unknown payee', { ...spend, type: 'transfer', to_user_id: NOBODY }, 'user_not_found'],
  ];
}

// [what, method, path, {body, headers}, status, code]
function requestCases() {
  const ops = '/v1/ops';
  const headers = { 'Idempotency-Key': 'bad-1' };
  const raw = (body, code = 'invalid_json') =>
    ['raw body', 'POST', ops, { body, headers }, 400, code];
  const valid = { type: 'grant', user_id: user, asset: 'COIN', amount: '1' };
  const key = (value, code = 'invalid_idempotency_key') =>
    ['key', 'POST', ops, { body: valid, headers: { 'Idempotency-Key': value } }, 400, code];
  const get = (path, code, status = 400) => ['query', 'GET', path, {}, status, code];
  const post = (path, body, code, status = 400) => ['body', 'POST', path, { body }, status, code];
  const entries = `/v1/users/${user}/entries`;
  const deep = (n) => `${'{"a":'.repeat(n)}1${'}'.repeat(n)}`;
  return [
    raw(''), raw('{'), raw('nonsense'), raw('{"a":1'), raw('{"a":1}}'), raw('{"type":"grant",}'),
    raw("{'type':'grant'}"), raw('{"type":"grant","type":"spend"}'), raw('[]', 'invalid_body'),
    raw('"grant"', 'invalid_body'), raw('7', 'invalid_body'), raw('null', 'invalid_body'),
    raw(deep(33)), raw(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])),
    raw(Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d])),
    raw(`${JSON.stringify(valid)}\0`), raw('{"reason":"\\u0000"}'), raw('{"reason":"\\ud800"}'),
    raw(`{"reason":"${'x'.repeat(16385)}"}`), raw('{"amount":1e999}'), raw('\ufeff{}'),
    ['no key', 'POST', ops, { body: valid }, 400, 'idempotency_key_required'],
    key('a b'), key('"a'), key('"a"b'), key('x'.repeat(256)), key('""'), key('"a b"'),
    ['key twice', 'POST', ops, { body: valid, headers: { 'Idempotency-Key': ['a', 'b'] } }, 400,
      'invalid_idempotency_key'],
    ['media', 'POST', ops, { body: JSON.stringify(valid),
      headers: { ...headers, 'Content-Type': 'text/plain' } }, 415, 'unsupported_media_type'],
    ['media', 'POST', ops, { body: JSON.stringify(valid),
      headers: { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' } }, 415,
    'unsupported_media_type'],
    ['charset', 'POST', ops, { body: JSON.stringify(valid),
      headers: { ...headers, 'Content-Type': 'application/json; charset=latin1' } }, 415,
    'unsupported_media_type'],
    ['accept', 'POST', ops, { body: valid, headers: { ...headers, Accept: 'text/html' } }, 406,
      'not_acceptable'],
    ['accept', 'GET', `/v1/users/${user}`, { headers: { Accept: 'application/json;q=0' } }, 406,
      'not_acceptable'],
    ['size', 'POST', ops, { body: { ...valid, reason: 'x'.repeat(70000) }, headers }, 413,
      'payload_too_large'],
    ['body on GET', 'GET', `/v1/users/${user}`, { body: { a: 1 } }, 400, 'invalid_body'],
    get(`${entries}?limit=0`, 'invalid_query'), get(`${entries}?limit=501`, 'invalid_query'),
    get(`${entries}?limit=x`, 'invalid_query'), get(`${entries}?limit=1&limit=2`, 'invalid_query'),
    get(`${entries}?foo=1`, 'invalid_query'), get(`${entries}?type=nope`, 'invalid_query'),
    get(`${entries}?from=x`, 'invalid_time'), get(`${entries}?to=2026-01-01`, 'invalid_time'),
    get(`${entries}?cursor=x`, 'invalid_cursor'), get(`${entries}?cursor=`, 'invalid_cursor'),
    get(`${entries}?cursor=${'A'.repeat(32)}`, 'invalid_cursor'),
    get(`${entries}?limit=%zz`, 'invalid_query'), get(`${entries}?asset=A%20B`, 'invalid_query'),
    get(`${entries}?asset=NOPE`, 'asset_not_found', 404),
    get(`/v1/users/${user}/balances?at=2999-01-01T00:00:00Z`, 'invalid_time'),
    get(`/v1/users/${user}/balances?axis=x`, 'invalid_query'),
    get(`/v1/users/${user}/balances?axis=`, 'invalid_query'),
    get(`/v1/users/${user}/balances?axis=Effective`, 'invalid_query'),
    get(`/v1/users/${user}/balances?axis=effective&at=2999-01-01T00:00:00Z`, 'invalid_time'),
    get(`/v1/users/${user}/balances?axis=effective&at=x`, 'invalid_time'),
    get('/v1/changes', 'invalid_query'), get('/v1/changes?from_seq=1', 'invalid_query'),
    ...['', '-1', '16', '01', '1.5', 'x', '%00', '1e1', '99999999999999999999', '0x1',
      '1&partition=1'].map((value) => get(`/v1/changes?partition=${value}`, 'invalid_query')),
    ...['', '0', '-1', '01', '1.5', 'x', '1e3', '9007199254740992', '18446744073709551617', '%201',
      '%31x'].map((value) => get(`/v1/changes?partition=0&from_seq=${value}`, 'invalid_query')),
    ...['', '0', '501', '-1', '010', 'x', '4294967297'].map((value) =>
      get(`/v1/changes?partition=0&limit=${value}`, 'invalid_query')),
    get('/v1/changes?partition=0&cursor=x', 'invalid_query'),
    ['accept', 'GET', '/v1/changes?partition=0', { headers: { Accept: 'text/html' } }, 406,
      'not_acceptable'],
    ['event', 'GET', '/v1/changes?partition=0',
      { headers: { Accept: 'text/event-stream', 'Last-Event-ID': '1:1' } }, 400, 'invalid_query'],
    ['pages', 'GET', '/v1/changes?partition=0&limit=5',
      { headers: { Accept: 'text/event-stream' } }, 400, 'invalid_query'],
    ['method', 'POST', '/v1/changes?partition=0', { body: {} }, 405, 'method_not_allowed'],
    get(`/v1/users/${user}/balances?asset=NOPE`, 'asset_not_found', 404),
    get(`/v1/users/${user}/holds?state=x`, 'invalid_query'),
    get('/v1/users', 'invalid_query'), get('/v1/users?external_id=', 'invalid_query'),
    get('/v1/users/abc', 'invalid_id'), get('/v1/users/0/balances', 'invalid_id'),
    get('/v1/users/01/entries', 'invalid_id'), get('/v1/ops/x', 'invalid_id'),
    get('/v1/entries/-1', 'invalid_id'), get('/v1/holds/1.5', 'invalid_id'),
    get('/v1/blocks/%31x', 'invalid_id'), get('/v1/assets/A%20B', 'invalid_id'),
    get("/v1/users/1'%20OR%201=1", 'invalid_id'),
    post('/v1/users', {}, 'missing_field'), post('/v1/users', { kind: 'robot' }, 'invalid_field'),
    post('/v1/users', { kind: 1 }, 'invalid_field'),
    post('/v1/users', { kind: 'guest', external_id: '' }, 'invalid_field'),
    post('/v1/users', { kind: 'guest', external_id: 'x'.repeat(129) }, 'invalid_field'),
    post('/v1/users', { kind: 'guest', external_id: 'a\tb' }, 'invalid_field'),
    post('/v1/users', { kind: 'guest', profile: [] }, 'invalid_field'),
    post('/v1/users', { kind: 'guest', profile: { a: 'x'.repeat(4096) } }, 'invalid_field'),
    post('/v1/users', { kind: 'guest', id: '17' }, 'unknown_field'),
    post(`/v1/users/${user}/status`, {}, 'missing_field'),
    post(`/v1/users/${user}/status`, { status: 'frozen' }, 'invalid_field'),
    post('/v1/assets', { code: 'X' }, 'missing_field'),
    post('/v1/assets', { scale: 2 }, 'missing_field'),
    post('/v1/assets', { code: 'X', scale: 19 }, 'invalid_field'),
    post('/v1/assets', { code: 'X', scale: -1 }, 'invalid_field'),
    post('/v1/assets', { code: 'X', scale: '2' }, 'invalid_field'),
    post('/v1/assets', { code: 'X', scale: 1.5 }, 'invalid_field'),
    post('/v1/assets', { code: '_X', scale: 2 }, 'invalid_field'),
    post('/v1/assets', { code: 'X'.repeat(17), scale: 2 }, 'invalid_field'),
    post('/v1/assets', { code: 'X', scale: 2, name: '' }, 'invalid_field'),
    post('/v1/assets', { code: 'X', scale: 2, contract: '0x1' }, 'missing_field'),
    post('/v1/assets', { code: 'X', scale: 2, foo: 1 }, 'unknown_field'),
    post('/v1/assets', { code: 'COIN', scale: 3 }, 'asset_conflict', 409),
    post('/v1/admin/keys', {}, 'missing_field'),
    post('/v1/admin/keys', { scopes: [] }, 'invalid_field'),
    post('/v1/admin/keys', { scopes: 'admin' }, 'invalid_field'),
    post('/v1/admin/keys', { scopes: ['root'] }, 'invalid_field'),
    post('/v1/admin/keys', { scopes: ['admin'], id: 'UPPER' }, 'invalid_field'),
    post('/v1/admin/keys', { scopes: ['admin'], id: 'test0' }, 'key_conflict', 409),
    ['delete', 'DELETE', '/v1/admin/keys/nobody', {}, 404, 'key_not_found'],
    ['delete', 'DELETE', '/v1/admin/keys/X', {}, 400, 'invalid_id'],
    post('/v1/ops/batch', {}, 'missing_field'), post('/v1/ops/batch', { ops: {} }, 'invalid_field'),
    post('/v1/ops/batch', { ops: [] }, 'invalid_field'),
    post('/v1/ops/batch', { ops: [valid], atomic: 1 }, 'invalid_field'),
    post('/v1/ops/batch', { ops: [valid], atomic: true }, 'idempotency_key_required'),
    post('/v1/ops/batch', { ops: Array(8193).fill({}) }, 'invalid_field'),
    ['route', 'GET', '/v1/nope', {}, 404, 'route_not_found'],
    ['route', 'GET', '/nope', {}, 404, 'route_not_found'],
    ['route', 'GET', '/v1/ops/1/2/3', {}, 404, 'route_not_found'],
    ['method', 'PUT', '/v1/ops', { body: {} }, 405, 'method_not_allowed'],
    ['method', 'DELETE', `/v1/users/${user}`, {}, 405, 'method_not_allowed'],
    ['method', 'GET', '/v1/ops', {}, 405, 'method_not_allowed'],
    ['method', 'POST', '/livez', {}, 405, 'method_not_allowed'],
    ['key', 'GET', `/v1/users/${user}`, { key: null }, 401, 'unauthenticated'],
    ['key', 'GET', `/v1/users/${user}`, { key: 'nonsense' }, 401, 'unauthenticated'],
    ['key', 'GET', `/v1/users/${user}`, { key: `${KEY}x` }, 401, 'unauthenticated'],
    ['key', 'GET', '/v1/nope', { key: null }, 401, 'unauthenticated'],
  ];
}

async function counts() {
  const versions = [];
  for (const id of [user, other])
    versions.push((await api.call('GET', `/v1/users/${id}/balances`)).json);
  return {
    versions: versions.map(({ as_of: asOf, ...rest }) => rest),
    assets: (await api.call('GET', '/v1/assets?limit=500')).json.data,
    keys: (await api.call('GET', '/v1/admin/keys?limit=500')).json.data,
    hold: (await api.call('GET', `/v1/holds/${hold}`)).json,
    block: (await api.call('GET', `/v1/blocks/${block}`)).json,
    spent: (await api.call('GET', `/v1/ops/${spent}`)).json,
    entries: await api.metric('holdfast_journal_entries_total'),
    ops: await api.metric('holdfast_ops_total'),
  };
}

async function setUp() {
  await api.call('POST', '/v1/assets', { body: { code: 'COIN', scale: 8 } });
  user = await api.user({ external_id: 'one' });
  other = await api.user();
  const base = { user_id: user, asset: 'COIN' };
  await api.applied({ ...base, type: 'grant', amount: '100' });
  hold = (await api.applied({ ...base, type: 'hold', amount: '5' })).hold_id;
  block = (await api.applied({ ...base, type: 'block', amount: '5' })).block_id;
  spent = (await api.applied({ ...base, type: 'spend', amount: '1' })).op_id;
}

const parts = {
  async 'bad operations are refused and write nothing'() {
    const before = await counts();
    const cases = opCases();
    for (const [what, body, code] of cases) {
      const reply = await api.op(body);
      const at = `${what}: ${JSON.stringify(body).slice(0, 160)}: ${reply.text}`;
      assert.strictEqual(reply.json?.code, code, at);
      assert.ok(reply.status === 400 || reply.status === 404, at);
      if (code === 'invalid_amount') assert.ok(reply.json.suggestion, at);
      if (reply.status === 400) assert.ok(reply.json.field, at);
    }
    assert.deepStrictEqual(await counts(), before);
    assert.ok(cases.length >= 120, `${cases.length} cases`);
    console.log(`      ${cases.length} bad operations`);
  },

  async 'the same in a batch fails item by item'() {
    const before = await counts();
    const cases = opCases().filter(([what]) => what !== 'key in the body');
    const ops = cases.map(([, body]) => ({ ...body, idempotency_key: api.nextKey() }));
    const reply = await api.call('POST', '/v1/ops/batch', { body: { ops } });
    assert.strictEqual(reply.status, 200, reply.text);
    reply.json.results.forEach((one, i) => {
      assert.strictEqual(one.status, 'failed', JSON.stringify([cases[i], one]));
      assert.strictEqual(one.code, cases[i][2], JSON.stringify([cases[i], one]));
    });
    assert.deepStrictEqual(await counts(), before);
  },

  async 'bad requests are refused and write nothing'() {
    const before = await counts();
    const cases = requestCases();
    for (const [what, method, path, options, status, code] of cases) {
      const reply = await api.call(method, path, options);
      const at = `${what}: ${method} ${path}: ${reply.status} ${reply.text.slice(0, 300)}`;
      assert.strictEqual(reply.json?.code, code, at);
      assert.strictEqual(reply.status, status, at);
      if (status === 405) assert.ok(reply.headers.allow, at);
    }
    assert.deepStrictEqual(await counts(), before);
    console.log(`      ${cases.length} bad requests`);
  },

  async 'nothing internal leaks'() {
    const reply = await request(server, 'POST', '/v1/ops', { body: '{"type":',
      headers: { 'Idempotency-Key': 'x', 'X-Request-Id': 'mine-1234' } });
    assert.strictEqual(reply.headers['x-request-id'], 'mine-1234');
    assert.doesNotMatch(reply.text, /\.c:|sqlite|jansson|\/home|\/work|0x[0-9a-f]{6}/i);
  },
};

async function main() {
  server = await start(data);
  api = await Api.open(server);
  await setUp();
  const failed = await run(parts);
  const { code } = await stop(server);
  fs.rmSync(data, { recursive: true, force: true });
  assert.strictEqual(code, 0, server.log());
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  server?.child.kill('SIGKILL');
  process.exit(1);
});
