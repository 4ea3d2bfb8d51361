// An asset that a node was not told of yet: an operation that names it is never refused for ever.
//
// The asset is written into the database as a node writes it that cannot reach the others; their
// heartbeats, which would tell, are seconds apart.
// ctest: timeout=300
'use strict';
const assert = require('node:assert');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Node, request } = require('./lib/server.js');
const { until } = require('./lib/wait.js');

const ARGS = ['--lease-ms', '60000', '--workers', '2'];
const USERS = 8;
let pg;
let nodes;
let users;
let made = 0;

const post = (node, path, body, key) => request(node, 'POST', path,
  { body, headers: { 'Idempotency-Key': key }, timeout: 20000 });

async function unannounced() {
  const code = `QUIET${++made}`;
  await pg.psql(`insert into assets(id,scale,chain_decimals,code,name,chain,contract,created_us)
    select max(id)+1,2,255,'${code}','','','',0 from assets`);
  return code;
}

const parts = {
  'an operation with it is tried again until it is applied, and never refused': async () => {
    let untold = 0;
    for (let i = 0; i < 12; i++) {
      const code = await unannounced();
      const node = nodes[i % nodes.length];
      const body = { type: 'grant', user_id: users[i % USERS], asset: code, amount: '1.00' };
      await until(`${code} is usable`, async () => {
        const answer = await post(node, '/v1/ops', body, `quiet-${i}`);
        assert.ok([201, 503].includes(answer.status), answer.text);
        if (answer.status === 503) {
          assert.ok(Number(answer.headers['retry-after']) >= 1, answer.text);
          untold++;
        }
        return answer.status === 201;
      });
    }
    assert.ok(untold > 0, 'no node was without the asset');
  },

  'a batch with it neither': async () => {
    const code = await unannounced();
    const ops = [0, 1].map((i) => ({ type: 'grant', user_id: users[0], amount: '1.00',
      asset: i === 0 ? 'COIN' : code, idempotency_key: `quiet-batch-${i}` }));
    await until('the batch is applied', async () => {
      const answer = await post(nodes[1], '/v1/ops/batch', { atomic: true, ops }, 'unused');
      assert.ok([200, 503].includes(answer.status), answer.text);
      const codes = answer.status === 503 ? [] : answer.json.results.map((result) => result.code);
      assert.ok(!codes.includes('asset_not_found'), answer.text);
      return answer.status === 200 && codes.every((given) => given === undefined);
    });
  },

  'one that does not exist is refused, for ever': async () => {
    const body = { type: 'grant', user_id: users[0], asset: 'NOWHERE', amount: '1.00' };
    const first = await post(nodes[0], '/v1/ops', body, 'nowhere');
    assert.strictEqual(first.json.code, 'asset_not_found', first.text);
    const again = await post(nodes[1], '/v1/ops', body, 'nowhere');
    assert.strictEqual(again.json.code, 'asset_not_found', again.text);
    assert.strictEqual(again.headers['idempotency-replayed'], 'true');
  },
};

async function main() {
  pg = await Postgres.start();
  nodes = [await new Node({ store: pg.dsn(), args: ARGS }).start()];
  nodes.push(await new Node({ store: pg.dsn(), args: ARGS }).start());
  await until('an asset', async () => {
    const reply = await post(nodes[0], '/v1/assets', { code: 'COIN', scale: 2 }, 'coin');
    return reply.status === 201;
  });
  users = [];
  for (let i = 0; i < USERS; i++)
    users.push(await until('a user', async () => {
      const reply = await post(nodes[i % 2], '/v1/users', { kind: 'guest' }, `user-${i}`);
      return reply.status === 201 && reply.json.id;
    }));
  const failed = await run(parts);
  for (const node of nodes) await node.remove();
  await pg.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
