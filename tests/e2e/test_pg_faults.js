// What a database does to a server that runs, under concurrent load. Callers get an outcome or 503
// with Retry-After, never a wrong success; when the fault is over all goes on, by the same process.
// What lib/load.js says holds through all of it.
// ctest: timeout=300
'use strict';
const assert = require('node:assert');
const net = require('node:net');
const { verify } = require('./lib/cluster.js');
const { limits } = require('./lib/limits.js');
const { Load } = require('./lib/load.js');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Proxy } = require('./lib/proxy.js');
const { Node } = require('./lib/server.js');
const { pause, randomOf, until } = require('./lib/wait.js');

const COMMIT = 'insert into [a-z_.]*batches'; // the statement that every commit has
const ARGS = limits({ operation: 1500, handler: 3000 });
const random = randomOf();

// A server behind a proxy before its database, and load on it.
class World {
  static async start(name, postgres = {}) {
    const world = new World();
    world.pg = await Postgres.start(postgres);
    world.proxy = await Proxy.start({ host: '127.0.0.1', port: world.pg.port });
    world.node = await new Node({ store: world.pg.dsn({ port: world.proxy.port }), args: ARGS })
      .start();
    // A reply that never comes is a failure: twice the server's own limit.
    world.load = new Load({ random, servers: [world.node], name, timeout: 20000 });
    world.pid = world.node.up.child.pid;
    await world.load.prepare();
    return world;
  }

  // Does something bad while there is load, which goes on after it was undone. during() gets a
  // function that waits until callers feel it: until then whoever asks is told 503, from now on.
  async fault(during) {
    const { load } = this;
    const felt = () => {
      const before = load.refusedAtDoor;
      return until('callers get 503', () => load.stopped || load.refusedAtDoor > before);
    };
    load.start(12);
    try {
      await load.progress(50);
      await during(felt);
      await load.progress(50);
    } catch (error) {
      error.message += `\n${this.node.log()}`;
      throw error;
    } finally {
      await load.stop();
    }
  }

  async finish() {
    const { load, node, pg } = this;
    assert.strictEqual(node.up.child.pid, this.pid, 'the same process all the time');
    await load.settle();
    await load.check();
    assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
    await verify(pg);
    await this.remove();
    console.log(`      ${load.summary()}`);
  }

  async remove() {
    this.proxy.close();
    await this.node.remove();
    await this.pg.remove();
  }
}

let world;

// Takes connections until there are none left; resolves to what gives them back.
async function takeAllConnections(pg) {
  const taken = [];
  const take = () => new Promise((resolve) => {
    const socket = net.connect(pg.port, '127.0.0.1', () => {
      const words = Buffer.from('user\0holdfast\0database\0holdfast\0\0');
      const head = Buffer.alloc(8);
      head.writeUInt32BE(8 + words.length, 0);
      head.writeUInt32BE(0x30000, 4);
      socket.write(Buffer.concat([head, words]));
    });
    socket.on('data', (piece) => {
      const text = piece.toString('latin1');
      if (text.includes('53300')) { socket.destroy(); resolve(false); }
      if (text.startsWith('R')) { taken.push(socket); resolve(true); }
    });
    socket.on('error', () => resolve(false));
  });
  while (await take());
  return () => taken.forEach((socket) => socket.destroy());
}

// Stops a backend of the server's that is inside of a transaction; resolves to its process id.
async function pauseInTransaction(pg) {
  return until('a backend is in a transaction', async () => {
    const pids = await pg.backends('state = \'active\' and pid <> pg_backend_pid()');
    for (const pid of pids) {
      process.kill(pid, 'SIGSTOP');
      const asked = pg.psql(`select count(*) from pg_locks where pid = ${pid} and
        mode = 'RowExclusiveLock'`);
      // It may have been stopped with a latch in its hand for which this question waits.
      const inside = await Promise.race([asked, pause(1000).then(() => '0')]);
      if (inside !== '0') return pid;
      process.kill(pid, 'SIGCONT');
      await asked;
    }
    return null;
  }, { every: 1 });
}

const faults = {
  'stopped and started again': () => world.fault(async (felt) => {
    await world.pg.stop('fast');
    await felt();
    await world.pg.start();
  }),

  'restarted': () => world.fault(() => world.pg.restart('fast')),

  'read-only for a while': () => world.fault(async (felt) => {
    await world.pg.set({ default_transaction_read_only: 'on' });
    await felt();
    await world.pg.set({ default_transaction_read_only: null });
  }),

  'out of connections': () => world.fault(async (felt) => {
    // The server's own connections break, and others are faster than it.
    await world.proxy.refuse();
    const give = await takeAllConnections(world.pg);
    await world.proxy.forward();
    await felt();
    give();
  }),

  'unreachable: refused, reset, silent': async () => {
    for (const mode of ['refuse', 'reset', 'hang', 'blackhole'])
      await world.fault(async (felt) => {
        await world.proxy[mode]();
        await felt();
        await world.proxy.forward();
        if (mode === 'blackhole') world.proxy.cut(); // what was thrown away cannot go on
      });
  },

  'half of every connection is cut': () => world.fault(async () => {
    world.proxy.cutHalf('server');
  }),

  'slow': () => world.fault(async () => {
    await world.proxy.delay(100);
    await world.load.progress(50);
    await world.proxy.forward();
  }),

  'connections are cut in the middle of a commit': () => world.fault(async () => {
    for (let i = 0; i < 5; i++)
      for (const lose of ['answer', 'request', 'both']) {
        await world.proxy.cutWhen(COMMIT, { lose, skip: random(3) });
        await world.load.progress(10);
      }
  }),

  'a backend stops in the middle of its transaction': () => world.fault(async (felt) => {
    const pid = await pauseInTransaction(world.pg);
    await felt();
    process.kill(pid, 'SIGCONT');
  }),

  'a standby takes the address over': () => world.fault(async () => {
    const old = world.pg;
    const standby = await old.standby();
    await world.load.progress(50);
    await old.stop('immediate');
    await standby.promote();
    world.proxy.switchTo({ host: '127.0.0.1', port: standby.port });
    world.pg = standby;
    await old.remove();
  }),

  'afterwards everything is as it was acknowledged': () => world.finish(),

  'the clock of the database jumps': async () => {
    world = await World.start('clock', { clock: true });
    await world.fault(async () => {
      for (const seconds of [86400, -86400, 3, 0]) {
        world.pg.jump(seconds);
        await world.load.progress(100);
      }
    });
    await world.finish();
  },

  'the disk of the database is full': async () => {
    world = await World.start('disk', { mebibytes: 64,
      settings: { max_wal_size: '4MB', wal_recycle: 'off' } });
    await world.fault(async (felt) => {
      world.pg.fill();
      await felt();
      world.pg.unfill();
      // Without room for its log the database may have given up.
      await until('the database runs', async () => {
        if (!world.pg.running) await world.pg.start();
        return world.pg.psql('select 1');
      });
    });
    await world.finish();
  },
};

async function main() {
  world = await World.start('faults', { settings: { max_connections: 40 } });
  process.exit(await run(faults) === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
