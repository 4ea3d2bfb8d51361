// A page's cursor is good for ever: after a start, after service keys came and went, on any node.
// ctest: timeout=180
'use strict';
const assert = require('node:assert');
const { Api, run } = require('./lib/api.js');
const { Cluster } = require('./lib/cluster.js');
const { Node, request, temporaryFolder } = require('./lib/server.js');

const ENTRIES = 5;

async function userWithEntries(node) {
  const api = await Api.open(node);
  const asset = await request(node, 'POST', '/v1/assets', { body: { code: 'COIN', scale: 0 } });
  assert.strictEqual(asset.status, 201, asset.text);
  const { json: { id } } = await api.call('POST', '/v1/users', { body: { kind: 'guest' } });
  for (let i = 0; i < ENTRIES; i++) {
    const reply = await api.call('POST', '/v1/ops', { body: { type: 'grant', user_id: id,
      asset: 'COIN', amount: '1' }, headers: { 'Idempotency-Key': `c${i}` } });
    assert.strictEqual(reply.status, 201, reply.text);
  }
  return id;
}

// One entry a page, each from another node; `between` happens after the first page.
async function pagesOver(nodes, user, between) {
  const seen = [];
  let cursor = '';
  for (let page = 0; page < ENTRIES; page++) {
    const node = nodes()[page % nodes().length];
    const reply = await request(node, 'GET', `/v1/users/${user}/entries?limit=1${cursor}`);
    assert.strictEqual(reply.status, 200, reply.text);
    seen.push(...reply.json.data.map((entry) => entry.version));
    cursor = `&cursor=${reply.json.next_cursor}`;
    if (page === 0) await between();
  }
  assert.deepStrictEqual(seen, [5, 4, 3, 2, 1]);
}

// Ids of keys are drawn, so that one of them is likely to come before all that were there.
async function keysComeAndGo(node) {
  for (let i = 0; i < 8; i++) {
    const made = await request(node, 'POST', '/v1/admin/keys', { body: { scopes: ['admin'] } });
    assert.strictEqual(made.status, 201, made.text);
    if (i % 2 === 1) continue;
    const gone = await request(node, 'DELETE', `/v1/admin/keys/${made.json.id}`);
    assert.strictEqual(gone.status, 200, gone.text);
  }
}

const parts = {
  async 'SQLite: a cursor survives new keys and a start'() {
    const folder = temporaryFolder();
    const node = await new Node({ store: `sqlite:${folder}/holdfast.db`, folder }).start();
    const user = await userWithEntries(node);
    await pagesOver(() => [node], user, async () => {
      await keysComeAndGo(node);
      assert.strictEqual((await node.stop()).code, 0);
      await node.start();
    });
    assert.strictEqual((await node.stop()).code, 0);
    await node.remove();
  },

  async 'PostgreSQL: a cursor is good on a node that came later'() {
    const cluster = await Cluster.start({ nodes: 1 });
    const user = await userWithEntries(cluster.nodes[0]);
    await pagesOver(() => cluster.nodes, user, async () => {
      await keysComeAndGo(cluster.nodes[0]);
      await cluster.add();
    });
    await cluster.finish();
  },
};

run(parts).then((failed) => process.exit(failed === 0 ? 0 : 1),
  (error) => { console.error(error); process.exit(1); });
