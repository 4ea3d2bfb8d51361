// Three nodes on one database under load, and what happens to nodes: killed, stopped for longer
// than their lease, cut off from the database, added, drained. What lib/load.js says holds through
// all of it, every partition is back soon, and no node answers from what it may not know any more.
// ctest: timeout=300
'use strict';
const assert = require('node:assert');
const { ASSET, Load } = require('./lib/load.js');
const { Cluster, PARTITIONS, partitionOf } = require('./lib/cluster.js');
const { LEASE_MS } = require('./lib/limits.js');
const { run } = require('./lib/parts.js');
const { request } = require('./lib/server.js');
const { pause, randomOf, until } = require('./lib/wait.js');

// When waiting for something is given up, and no measure of anything: see takenOver().
const BACK_MS = 10 * LEASE_MS;
// Beats of a survivor until it has taken its share over: the first that finds the dead one's beat
// standing still; 0.8 of the lease in steps of 0.09, the shortest there are; the one that takes;
// and one that failed, as when both take at the same moment.
const BEATS_MAX = 1 + Math.ceil(0.8 / 0.09) + 1 + 1;
const random = randomOf();
let cluster;
let load;

const each = (count, make) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));
const post = (node, path, body, key) => request(node, 'POST', path,
  { body, headers: { 'Idempotency-Key': key }, timeout: 20000 });

// Partitions by node, as the database has them.
async function shares() {
  const rows = await cluster.pg.psql(`select count(*) from ${await table('partitions')}
    where owner <> 0 group by owner order by owner`);
  return rows.split('\n').filter(Boolean).map(Number);
}

async function table(name) {
  return cluster.pg.psql(`select quote_ident(schemaname) || '.' || quote_ident(tablename)
    from pg_tables where tablename = '${name}'`);
}

// Each of so many nodes has its share of the partitions.
const shared = (nodes) => until(`${nodes} nodes share the partitions`, async () => {
  const counts = await shares();
  return counts.length === nodes && counts.every((count) => count >= Math.floor(PARTITIONS / nodes))
    && counts.reduce((sum, count) => sum + count, 0) === PARTITIONS;
}, { ms: BACK_MS });

// Watches the tables from within the database until all that a node had is others': ms since that
// one's last beat; how late the survivors' beats were in sum after that, the later one's, by their
// plan of one in a tenth of the lease; how many they made; the longest that nothing was looked at.
const watch = (victim, nodes, partitions) => `
  create temp table seen(id int8 primary key, beat int8, at float8, late float8 not null default 0,
    beats int4 not null default 0);
  create function pg_temp.watch() returns json language plpgsql as $$
  declare
    began float8 := extract(epoch from clock_timestamp()) * 1000;
    before float8 := began; at_ms float8; gap float8 := 0; beaten int8; missing int8;
  begin
    loop
      at_ms := extract(epoch from clock_timestamp()) * 1000;
      gap := greatest(gap, at_ms - before);
      before := at_ms;
      select beat into beaten from seen where id = ${victim};
      insert into seen as s select id, beat, at_ms from ${nodes}
        on conflict (id) do update set beat = excluded.beat, at = excluded.at, beats = s.beats + 1,
          late = s.late + greatest(0, excluded.at - s.at - ${LEASE_MS / 10})
        where s.beat <> excluded.beat;
      if beaten <> (select beat from seen where id = ${victim}) then
        update seen set late = 0, beats = 0;
      end if;
      select count(*) into missing from ${partitions}
        where owner is null or owner in (0, ${victim});
      exit when missing = 0 or at_ms > began + ${BACK_MS};
      perform pg_sleep(0.005);
    end loop;
    return (select json_build_object('missing', missing, 'gap', gap,
      'ms', at_ms - (select at from seen where id = ${victim}),
      'late', max(late), 'beats', max(beats)) from seen where id <> ${victim});
  end $$;
  select pg_temp.watch()`;

// What `lose` takes from the victim is the others' within as many of their beats as the lease has,
// and answers. Times are printed beside what the machine was late by, and judge nothing.
async function takenOver(victim, others, lose) {
  const [own] = (await each(PARTITIONS, async (partition) => {
    const reply = await request(victim, 'GET', `/readyz?partition=${partition}`, { key: null });
    return reply.status === 200 ? partition : -1;
  })).filter((partition) => partition >= 0);
  const id = await cluster.pg.psql(
    `select owner from ${await table('partitions')} where partition = ${own}`);
  const watching = cluster.pg.psql(watch(id, await table('nodes'), await table('partitions')));
  await until('the watch runs', async () =>
    await cluster.pg.psql(`select count(*) from pg_stat_activity
      where state = 'active' and query like '%pg_temp.watch%'`) >= 2);
  let late = 0; // this process's own timers, in sum
  let last = performance.now();
  const timer = setInterval(() => {
    late += Math.max(0, performance.now() - last - 10);
    last = performance.now();
  }, 5);
  await lose();
  const ms = await cluster.available(others, BACK_MS);
  const round = await cluster.available(others, BACK_MS); // all of them answer: what asking takes
  clearInterval(timer);
  const seen = JSON.parse((await watching).trim().split('\n').pop());
  const told = `${JSON.stringify(seen)}, all answer after ${ms} ms; asking takes ${round} ms, ` +
    `timers were ${Math.round(late)} ms late; the lease is ${LEASE_MS} ms`;
  console.log(`      ${told}`);
  assert.strictEqual(seen.missing, 0, told);
  assert.ok(seen.beats <= BEATS_MAX, told);
}

// Runs `during` under load on `nodes`, all of them unless told.
async function loaded(nodes, during) {
  load.servers = nodes;
  load.start(16);
  try {
    await load.progress(50);
    await during();
    await load.progress(50);
  } catch (error) {
    error.message += cluster.nodes.map((node) => `\n-- port ${node.port}\n${node.log()}`).join('');
    throw error;
  } finally {
    await load.stop();
  }
}

const parts = {
  'the nodes share the partitions': () => shared(3),

  'every node takes everybody\'s requests, and the sum stays': () =>
    loaded(cluster.nodes, () => load.progress(300)),

  'a transfer between users of different nodes': async () => {
    for (let i = 0; i < PARTITIONS; i++) {
      const from = cluster.probes.get(i), to = cluster.probes.get((i + 5) % PARTITIONS);
      const node = cluster.nodes[i % 3];
      const grant = await post(node, '/v1/ops',
        { type: 'grant', user_id: from, asset: ASSET, amount: '5.00' }, `fund-${i}`);
      assert.strictEqual(grant.status, 201, grant.text);
      const op = { type: 'transfer', user_id: from, to_user_id: to, asset: ASSET, amount: '5.00' };
      const first = await post(node, '/v1/ops', op, `move-${i}`);
      assert.strictEqual(first.status, 201, first.text);
      const again = await post(cluster.nodes[(i + 1) % 3], '/v1/ops', op, `move-${i}`);
      assert.strictEqual(again.text, first.text);
      assert.strictEqual(again.headers['idempotency-replayed'], 'true');
    }
  },

  'an asset made on one node is usable on all at once': async () => {
    for (const [i, node] of cluster.nodes.entries()) {
      const made = await post(node, '/v1/assets', { code: `NEW${i}`, scale: 0 }, `asset-${i}`);
      assert.strictEqual(made.status, 201, made.text);
      await each(PARTITIONS, async (partition) => {
        const reply = await post(cluster.nodes[(i + 1 + partition % 2) % 3], '/v1/ops',
          { type: 'grant', user_id: cluster.probes.get(partition), asset: `NEW${i}`, amount: '1' },
          `new-${i}-${partition}`);
        assert.strictEqual(reply.status, 201, reply.text);
      });
      const seen = await request(cluster.nodes[(i + 1) % 3], 'GET', `/v1/assets/NEW${i}`);
      assert.strictEqual(seen.status, 200, seen.text);
    }
    const twice = await each(6, (i) => post(cluster.nodes[i % 3], '/v1/assets',
      { code: 'SAME', scale: i % 3 }, `same-${i}`));
    assert.strictEqual(twice.filter((reply) => reply.status === 201 &&
      reply.headers['idempotency-replayed'] !== 'true').length >= 1, true);
    const scales = new Set(twice.filter((reply) => reply.status === 201)
      .map((reply) => reply.json.scale));
    assert.strictEqual(scales.size, 1, 'one scale');
  },

  'one create key is one user, whichever nodes get it': async () => {
    for (let round = 0; round < 8; round++) {
      const replies = await each(6, (i) => post(cluster.nodes[i % 3], '/v1/users',
        { kind: 'guest' }, `create-${round}`));
      const made = replies.filter((reply) => reply.status === 201);
      assert.ok(made.length >= 1, replies[0].text);
      assert.strictEqual(new Set(made.map((reply) => reply.json.id)).size, 1);
      for (const reply of replies)
        assert.ok(reply.status === 201 || reply.headers['retry-after'], reply.text);
    }
  },

  'one external id is one user, whichever nodes get it': async () => {
    for (let round = 0; round < 8; round++) {
      const replies = await each(6, (i) => post(cluster.nodes[i % 3], '/v1/users',
        { kind: 'guest', external_id: `outside-${round}` }, `outside-${round}-${i}`));
      assert.strictEqual(replies.filter((reply) => reply.status === 201).length, 1,
        replies.map((reply) => reply.text).join('\n'));
      const made = replies.find((reply) => reply.status === 201).json.id;
      for (const node of cluster.nodes) {
        const found = await request(node, 'GET', `/v1/users?external_id=outside-${round}`);
        assert.strictEqual(found.status, 200, found.text);
        assert.ok(found.text.includes(`"${made}"`), found.text);
      }
    }
  },

  'kill -9 of a node: its partitions are back soon, and it comes back': async () => {
    const [victim, ...others] = cluster.nodes;
    await loaded(others, async () => {
      await takenOver(victim, others, () => victim.stop('SIGKILL'));
      await victim.start();
    });
    await shared(3);
  },

  'a node that was stopped for longer than its lease knows nothing any more': async () => {
    const [, victim] = cluster.nodes;
    const others = cluster.nodes.filter((node) => node !== victim);
    await loaded(cluster.nodes, async () => {
      let asked = [];
      await takenOver(victim, others, () => {
        // These are in its sockets when it stops, and are judged when it wakes.
        asked = Array.from({ length: 64 }, () => load.read(victim).catch((error) => {
          if (error.code === 'ERR_ASSERTION') throw error;
        }));
        load.takeAway();
        victim.pause();
        load.servers = others;
      });
      await pause(LEASE_MS);
      await load.progress(100);
      const late = Array.from({ length: 64 }, () => load.read(victim).catch((error) => {
        if (error.code === 'ERR_ASSERTION') throw error;
      }));
      await load.progress(20); // what the late readers were told of when they asked grows on
      victim.resume();
      await Promise.all([...asked, ...late]);
      load.servers = cluster.nodes;
      await each(200, () => load.read(victim));
      await cluster.available(cluster.nodes, BACK_MS);
    });
    await shared(3);
  },

  'a node without its database: others take over, and it returns': async () => {
    for (const how of ['refuse', 'blackhole']) {
      const victim = cluster.nodes[2];
      const others = cluster.nodes.filter((node) => node !== victim);
      await loaded(cluster.nodes, async () => {
        await victim.proxy[how]();
        await cluster.available(others, BACK_MS);
        await load.progress(50);
        await victim.proxy.forward();
        if (how === 'blackhole') victim.proxy.cut();
        await cluster.available(cluster.nodes, BACK_MS);
      });
      await shared(3);
    }
  },

  'the database restarts under three nodes': async () => {
    await loaded(cluster.nodes, async () => {
      await cluster.pg.restart('immediate');
      await cluster.available(cluster.nodes, BACK_MS);
    });
    await shared(3);
  },

  'a node is added and takes its share; drained, it hands it over': async () => {
    await loaded(cluster.nodes, async () => {
      const fourth = await cluster.add();
      load.servers = cluster.nodes;
      await shared(4);
      await load.progress(50);
      const staying = cluster.nodes.filter((node) => node !== fourth);
      load.servers = staying;
      const { refusedAtDoor } = load;
      assert.deepStrictEqual(await fourth.stop(), { code: 0, signal: null }, fourth.lastLog);
      const ms = await cluster.available(staying, BACK_MS);
      console.log(`      all partitions ${ms} ms after the drained node ended, ` +
        `${load.refusedAtDoor - refusedAtDoor} times 503 while it did`);
      await cluster.remove(fourth);
    });
    await shared(3);
  },

  'a front node owns nothing and serves everybody': async () => {
    const front = await cluster.add('--own', 'none');
    const before = await shares();
    assert.strictEqual(before.length, 3);
    await loaded([front], () => load.progress(100));
    await cluster.available([front], BACK_MS);
    assert.deepStrictEqual(await front.stop(), { code: 0, signal: null }, front.lastLog);
    await cluster.remove(front);
  },

  'afterwards everything is as it was acknowledged, on every node': async () => {
    load.servers = cluster.nodes;
    await load.settle();
    await load.check();
    for (const [partition, user] of cluster.probes) {
      assert.strictEqual(partitionOf(user), partition);
      const replies = await each(3, (i) => request(cluster.nodes[i], 'GET',
        `/v1/users/${user}/balances`));
      const texts = new Set(replies.map((reply) =>
        JSON.stringify({ ...reply.json, as_of: null })));
      assert.strictEqual(texts.size, 1, [...texts].join('\n'));
    }
    await cluster.finish();
    console.log(`      ${load.summary()}`);
  },
};

async function main() {
  cluster = await Cluster.start({ nodes: 3 });
  load = new Load({ random, servers: cluster.nodes, users: 32, name: 'cluster', timeout: 15000 });
  await cluster.makeProbes();
  await load.prepare();
  process.exit(await run(parts) === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
