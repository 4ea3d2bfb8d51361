// What is done to a cluster while it works, drawn from a seed: to the wire between a node and its
// database, to nodes, to the database. Each fault undoes itself and resolves when it has.
'use strict';
const assert = require('node:assert');
const { pause, until } = require('./wait.js');

const COMMIT = 'insert into [a-z_.]*batches'; // the statement that every commit has
const CUT_MS = 5000; // for a commit to come by

// A node that cannot start yet, for the database is away, is started again, as a supervisor would.
function restart(node) {
  return until('the node starts again', async () => {
    if (node.up !== null) await node.stop('SIGKILL');
    await node.start();
    return true;
  }, { ms: 60000, every: 200 });
}

// While it is away nobody asks it.
async function without(world, node, during) {
  world.leave(node);
  try { await during(); } finally { world.enter(node); }
}

// world: {random, cluster, leave(node), enter(node)}; node: one of cluster.nodes.
const wire = {
  async hang({ random }, { proxy }) {
    await proxy.hang();
    await pause(300 + random(3000));
    await proxy.forward();
  },
  async reset({ random }, { proxy }) {
    await proxy.reset();
    await pause(100 + random(1500));
    await proxy.forward();
  },
  async refuse({ random }, { proxy }) {
    await proxy.refuse();
    await pause(100 + random(3000));
    await proxy.forward();
  },
  async blackhole({ random }, { proxy }) {
    await proxy.blackhole();
    await pause(300 + random(3000));
    await proxy.forward();
    proxy.cut(); // what was thrown away cannot go on
  },
  async delay({ random }, { proxy }) {
    await proxy.delay(20 + random(130));
    await pause(1000 + random(2000));
    await proxy.forward();
  },
  async 'cut at COMMIT'({ random }, { proxy }) {
    for (let i = 2 + random(6); i > 0; i--) {
      const lose = ['answer', 'request', 'both'][random(3)];
      const cut = proxy.cutWhen(COMMIT, { lose, skip: random(3) });
      await Promise.race([cut, pause(CUT_MS)]); // a node that owns nothing yet commits nothing
      await pause(random(200));
    }
    proxy.traps.length = 0;
  },
  async 'half cut'({ random }, { proxy }) {
    proxy.cutHalf(random(2) ? 'server' : 'client');
    await pause(200 + random(1000));
  },
};

const process = {
  'kill -9': (world, node) => without(world, node, async () => {
    await node.stop('SIGKILL');
    await pause(world.random(3000));
    await restart(node);
  }),
  'SIGSTOP beyond the lease': (world, node) => without(world, node, async () => {
    node.pause();
    const { leaseMs } = world.cluster;
    await pause(1.5 * leaseMs + world.random(leaseMs));
    node.resume();
  }),
  'SIGSTOP within the lease': async ({ cluster, random }, node) => {
    node.pause();
    await pause(50 + random(cluster.leaseMs / 2));
    node.resume();
  },
  'drain': (world, node) => without(world, node, async () => {
    const how = await node.stop('SIGTERM');
    // Without its database it cannot hand over, and gives up when its grace ends.
    assert.ok(how.signal === null && how.code <= 1, JSON.stringify(how));
    await restart(node);
  }),
};

const database = {
  'PostgreSQL restarts': ({ cluster }) => cluster.pg.restart('fast'),
  'PostgreSQL crashes': ({ cluster }) => cluster.pg.restart('immediate'),
  async 'PostgreSQL ends sessions'({ cluster, random }) {
    for (let i = 1 + random(4); i > 0; i--) {
      await cluster.pg.psql(`select pg_terminate_backend(pid) from pg_stat_activity
        where client_port > 0 and pid <> pg_backend_pid() order by random() limit 3`)
        .catch(() => {}); // it is away itself
      await pause(random(300));
    }
  },
};

// Cards, shuffled when they are used up: each fault has its turn.
class Deck {
  // spared: nodes whose process is left alone.
  constructor(random, spared) {
    this.random = random;
    this.spared = spared;
    this.cards = [];
    this.played = new Map(); // name -> how often
  }

  draw() {
    const { random } = this;
    if (this.cards.length === 0) {
      this.cards = Object.entries({ ...wire, ...process, ...database });
      for (let i = this.cards.length - 1; i > 0; i--) {
        const j = random(i + 1);
        [this.cards[i], this.cards[j]] = [this.cards[j], this.cards[i]];
      }
    }
    return this.cards.pop();
  }

  // One fault, or two at a time on different nodes. Resolves to their names when they are over.
  async play(world, tell) {
    const { nodes } = world.cluster;
    const free = [...nodes];
    const faults = [];
    let databases = 0;
    for (let left = this.random(3) === 0 ? 2 : 1; left > 0; left--) {
      const [name, fault] = this.draw();
      if (name in database && databases++ > 0) continue; // one server, one restart at a time
      const may = name in process ? free.filter((node) => !this.spared.includes(node)) : free;
      const node = may[this.random(may.length)];
      free.splice(free.indexOf(node), 1);
      const at = nodes.indexOf(node) + 1;
      faults.push({ text: name in database ? name : `${name} (node ${at})`,
        begin: () => fault(world, node) });
      this.played.set(name, (this.played.get(name) ?? 0) + 1);
    }
    tell(faults.map((fault) => fault.text).join(' + '));
    await Promise.all(faults.map((fault) => fault.begin()));
  }
}

module.exports = { Deck, restart };
