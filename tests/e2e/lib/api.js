// The API as the tests use it: every reply is held against the server's own OpenAPI document.
'use strict';
const assert = require('node:assert');
const { run } = require('./parts.js');
const { KEY, request } = require('./server.js');

const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

function typeOf(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (Number.isInteger(value)) return 'integer';
  return typeof value;
}

// The part of JSON Schema that the document uses; an unknown keyword is an error of the test.
const KEYWORDS = new Set(['$ref', 'type', 'properties', 'required', 'additionalProperties', 'items',
  'enum', 'pattern', 'minimum', 'maximum', 'minLength', 'maxLength', 'format', 'description',
  'examples', 'default']);

class Validator {
  constructor(document) {
    this.document = document;
  }

  resolve(schema) {
    if (!schema.$ref) return schema;
    return schema.$ref.slice(2).split('/').reduce((at, name) => at[name], this.document);
  }

  // Throws at the first thing that does not fit; `at` says where.
  check(given, value, at) {
    const schema = this.resolve(given);
    for (const keyword of Object.keys(schema))
      assert.ok(KEYWORDS.has(keyword), `${at}: the test does not know the keyword ${keyword}`);
    const types = schema.type === undefined ? null : [schema.type].flat();
    const type = typeOf(value);
    if (types) {
      const fits = types.includes(type) || (type === 'integer' && types.includes('number'));
      assert.ok(fits, `${at}: ${type} instead of ${types.join(' or ')}`);
    }
    if (value === null) return;
    if (schema.enum) assert.ok(schema.enum.includes(value), `${at}: ${value} is not in the enum`);
    if (type === 'string') this.checkString(schema, value, at);
    if (type === 'integer') {
      assert.ok(value >= (schema.minimum ?? -Infinity), `${at}: ${value} is below the minimum`);
      assert.ok(value <= (schema.maximum ?? Infinity), `${at}: ${value} is above the maximum`);
    }
    if (type === 'array' && schema.items)
      value.forEach((item, i) => this.check(schema.items, item, `${at}[${i}]`));
    if (type === 'object') this.checkObject(schema, value, at);
  }

  checkString(schema, value, at) {
    if (schema.pattern)
      assert.match(value, new RegExp(schema.pattern, 'u'), `${at}: ${value}`);
    if (schema.format === 'date-time') assert.match(value, DATE_TIME, at);
    assert.ok(value.length >= (schema.minLength ?? 0), `${at}: too short`);
    assert.ok(value.length <= (schema.maxLength ?? Infinity), `${at}: too long`);
  }

  // Stricter than JSON Schema: a member that the document does not name is an error.
  checkObject(schema, value, at) {
    for (const name of schema.required ?? [])
      assert.ok(Object.hasOwn(value, name), `${at}: ${name} is missing`);
    for (const [name, member] of Object.entries(value)) {
      if (schema.properties?.[name]) this.check(schema.properties[name], member, `${at}.${name}`);
      else if (typeof schema.additionalProperties === 'object')
        this.check(schema.additionalProperties, member, `${at}.${name}`);
      else if (schema.properties)
        assert.fail(`${at}: ${name} is not in the document`);
    }
  }
}

function templateOf(document, path) {
  const parts = path.split('?')[0].replace(/(.)\/$/, '$1').split('/');
  let best = null;
  for (const template of Object.keys(document.paths)) {
    const wanted = template.split('/');
    const fits = wanted.length === parts.length &&
      wanted.every((part, i) => part === parts[i] || (part.startsWith('{') && parts[i] !== ''));
    if (fits && (best === null || !template.includes('{'))) best = template;
  }
  return best;
}

class Api {
  constructor(server, document) {
    this.server = server;
    this.document = document;
    this.validator = new Validator(document);
    this.replies = 0;
    this.seen = new Set(); // operationId + status
    this.keys = 0;
  }

  static async open(server) {
    const reply = await request(server, 'GET', '/openapi.json', { key: null });
    assert.strictEqual(reply.status, 200);
    return new Api(server, reply.json);
  }

  async call(method, path, options = {}) {
    const reply = await request(this.server, method, path, options);
    this.check(method, path, reply);
    return reply;
  }

  check(method, path, reply) {
    const at = `${method} ${path} -> ${reply.status}`;
    this.replies++;
    assert.match(reply.headers['x-request-id'] ?? '', /^[A-Za-z0-9._-]{8,64}$/, at);
    if (reply.status === 304 || reply.status === 204 || method === 'HEAD') {
      assert.strictEqual(reply.text, '', at);
      return;
    }
    if (reply.status >= 400) {
      this.checkProblem(reply, at);
      return;
    }
    const template = templateOf(this.document, path);
    const operation = this.document.paths[template]?.[method.toLowerCase()];
    assert.ok(operation, `${at}: not in the document`);
    const response = operation.responses[reply.status];
    assert.ok(response, `${at}: status is not in the document`);
    const [type, media] = Object.entries(response.content)[0];
    assert.strictEqual(reply.headers['content-type'].split(';')[0],
      template.includes('{file}') ? reply.headers['content-type'].split(';')[0] : type, at);
    if (type === 'application/json' && path !== '/openapi.json')
      this.validator.check(media.schema, reply.json, at);
    if (type === 'application/x-ndjson')
      for (const line of reply.text.split('\n').slice(0, -1))
        this.validator.check(media.schema, JSON.parse(line), at);
    this.seen.add(`${operation.operationId} ${reply.status}`);
  }

  checkProblem(reply, at) {
    assert.strictEqual(reply.headers['content-type'], 'application/problem+json', at);
    this.validator.check({ $ref: '#/components/schemas/Problem' }, reply.json, at);
    assert.strictEqual(reply.json.status, reply.status, at);
    assert.strictEqual(reply.json.correlation_id, reply.headers['x-request-id'], at);
    const known = this.document['x-errors'].find((error) => error.code === reply.json.code);
    assert.ok(known, `${at}: unknown code ${reply.json.code}`);
    assert.strictEqual(known.status, reply.status, `${at}: ${reply.json.code}`);
    assert.strictEqual(known.title, reply.json.title, at);
    if (known.retryable) assert.ok(Number(reply.headers['retry-after']) >= 1, at);
    if (reply.status === 401) assert.match(reply.headers['www-authenticate'] ?? '', /^Bearer/, at);
  }

  // A fresh key for each op unless one is given.
  nextKey() {
    return `key-${process.pid}-${++this.keys}`;
  }

  op(body, { idempotencyKey = this.nextKey(), key = KEY, headers = {} } = {}) {
    return this.call('POST', '/v1/ops',
      { body, key, headers: { 'Idempotency-Key': idempotencyKey, ...headers } });
  }

  async applied(body, options) {
    const reply = await this.op(body, options);
    assert.strictEqual(reply.status, 201, `${JSON.stringify(body)}: ${reply.text}`);
    return reply.json;
  }

  async refused(body, code, options) {
    const reply = await this.op(body, options);
    assert.strictEqual(reply.json.code, code, `${JSON.stringify(body)}: ${reply.text}`);
    return reply;
  }

  async user(more = {}) {
    const reply = await this.call('POST', '/v1/users', { body: { kind: 'registered', ...more } });
    assert.strictEqual(reply.status, 201, reply.text);
    return reply.json.id;
  }

  async balance(user, asset = 'COIN') {
    const reply = await this.call('GET', `/v1/users/${user}/balances?asset=${asset}`);
    assert.strictEqual(reply.status, 200, reply.text);
    return reply.json.balances[asset];
  }

  async entries(user, query = '') {
    const reply = await this.call('GET', `/v1/users/${user}/entries?limit=500${query}`);
    assert.strictEqual(reply.status, 200, reply.text);
    return reply.json.data;
  }

  async metric(name) {
    const reply = await request(this.server, 'GET', '/metrics', { key: null });
    return reply.text.split('\n').filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}

module.exports = { Api, KEY, run };
