// A soak: three nodes on one PostgreSQL, each behind a fault proxy, and an embedded store beside
// them, under a bank's workload at a bounded rate while faults come and go; what must hold is held
// against them every minute and at the end, and what the processes take is sampled and judged.
//
//   node soak.js [--minutes N] [--seed N] [--out FOLDER]
//
// The first node is harmed through its proxy alone and the embedded server not at all, so that each
// is one process for the whole run: theirs is the memory that is judged.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Bank } = require('./bank.js');
const { Cluster, verify } = require('./cluster.js');
const { Crowd } = require('./crowd.js');
const { Stream, pages } = require('./events.js');
const { Deck } = require('./faults.js');
const limits = require('./limits.js');
const { Samples, judge, PIECE } = require('./samples.js');
const { Node, cli, command, temporaryFolder } = require('./server.js');
const { numbersOf, pause, randomOf, until } = require('./wait.js');

// times in seconds, rates a second for each server
const LONG = { harm: 25, calm: 35, warm: 40, every: 2, crowd: 2000, reads: 500, ops: 60, old: 200 };
const SHORT = { harm: 5, calm: 4, warm: 2, every: 0.3, crowd: 200, reads: 60, ops: 60, old: 50 };
const SETTLE_S = 2;   // from the start of the load until it is the usual one
const LEASE_MS = 2 * limits.LEASE_MS; // other work on the machine must not cost leases all the time
const HEAL_MS = 20 * LEASE_MS; // every partition through every node, after the last fault

// Small caches, which are full soon, so that what grows later is no cache.
const ARGS = ['--seal-every-s', '20', '--cache-mib', '4', '--readers', '1'];
const WARM_RATE = 8; // times the usual rate of operations, for the same reason

class Soak {
  constructor({ seconds, seed, out, sizes, tell }) {
    Object.assign(this, { seconds, out, sizes, tell });
    this.random = randomOf(seed); // of the faults: the same ones in the same order
    this.chance = numbersOf(1 + this.random(1000000)); // of the work, which takes its own time
    this.checks = 0;
    this.fault = '';
    fs.mkdirSync(out, { recursive: true });
    this.samples = new Samples(path.join(out, 'soak.csv'));
  }

  get left() { return this.seconds - this.samples.seconds; }

  async start() {
    const { sizes, chance: random } = this;
    this.cluster = await Cluster.start({ nodes: 3, args: ARGS, leaseMs: LEASE_MS });
    const file = temporaryFolder();
    this.single = new Node({ store: `sqlite:${path.join(file, 'holdfast.db')}`, folder: file,
      args: [...ARGS, '--live-users', '600', '--op-timeout-ms', '3000'] });
    await this.single.start();
    await this.cluster.makeProbes();
    this.asked = [...this.cluster.nodes]; // of the cluster, those that requests go to
    this.banks = [['pg', this.asked], ['lite', [this.single]]].map(([name, servers]) =>
      new Bank({ random, servers, users: 24, name, timeout: 8000, rate: sizes.ops }));
    // What each fault may cost is bounded where it is the only one: see takeAway() in load.js.
    // The embedded server lives, and answers every request.
    this.banks[0].mayBreak = Infinity;
    this.crowds = this.banks.map(({ name, servers }) =>
      new Crowd({ random, servers, users: sizes.crowd, name, rate: sizes.reads }));
    for (const each of [...this.banks, ...this.crowds]) await each.prepare();
    this.first = [this.cluster.nodes[0], this.single].map((node) => node.up.child.pid);
    this.cluster.nodes.forEach((node, i) => this.samples.add(`node-${i + 1}`, node));
    this.samples.add('sqlite', this.single);
    this.deck = new Deck(this.random, [this.cluster.nodes[0]]);
    this.streams = this.cluster.nodes.map((node) =>
      new Stream(node, random(16)));
    this.sampling = this.sample();
  }

  leave(node) {
    const at = this.asked.indexOf(node);
    if (at >= 0 && this.asked.length > 1) this.asked.splice(at, 1);
  }

  enter(node) { if (!this.asked.includes(node)) this.asked.push(node); }

  async sample() {
    while (!this.over) {
      const next = performance.now() + this.sizes.every * 1000;
      await this.samples.take();
      this.progress();
      await pause(Math.max(10, next - performance.now()));
    }
  }

  progress() {
    const { samples } = this;
    const newest = (name) => samples.of(name).at(-1) ?? { anon_kib: 0, descriptors: 0 };
    const mine = ['node-1', 'sqlite'].map((name) =>
      `${name} ${(newest(name).anon_kib / 1024).toFixed(1)} MiB ${newest(name).descriptors} fds`);
    const done = this.banks.reduce((all, bank) => all + bank.decided, 0);
    this.tell.progress(`${samples.seconds.toFixed(0)}/${this.seconds.toFixed(0)} s  ` +
      `${samples.phase}  ${done} ops  ${this.checks} checks  ${mine.join('  ')}  ${this.fault}`);
  }

  async phase(name, during) {
    this.samples.phase = name;
    this.failed ??= new Promise((_, reject) => { this.fail = reject; });
    this.failed.catch(() => {});
    // What a worker finds ends the run at once, while the servers' logs still tell of it.
    try {
      await Promise.race([during(), this.failed]);
    } finally {
      this.samples.measured = false;
      this.fault = '';
    }
  }

  begin() {
    for (const bank of this.banks) {
      bank.start(16);
      bank.running.catch(this.fail);
    }
    for (const crowd of this.crowds) {
      crowd.start();
      crowd.running.catch(this.fail);
    }
  }

  async end() {
    for (const each of [...this.banks, ...this.crowds]) await each.stop();
    for (const stream of this.streams) if (stream.failure) throw stream.failure;
  }

  // Faults, one after the other, until the time is over; then everything comes back by itself.
  async harm() {
    const end = this.samples.seconds + this.sizes.harm;
    while (this.samples.seconds < end && !this.over) {
      await this.deck.play(this, (text) => { this.fault = text; this.tell.event(text); });
      await pause(this.random(1500));
    }
    this.samples.phase = 'heal';
    this.fault = '';
    const ms = await this.cluster.available(this.cluster.nodes, HEAL_MS);
    for (const node of [...this.cluster.nodes, this.single]) await node.ready(HEAL_MS);
    const pids = [this.cluster.nodes[0], this.single].map((node) => node.up.child.pid);
    assert.deepStrictEqual(pids, this.first, 'the servers that nobody kills are as they were');
    this.tell.event(`all partitions through all nodes ${ms} ms after the last fault`);
  }

  async calm(seconds) {
    await pause(Math.min(SETTLE_S, seconds / 4) * 1000);
    this.samples.measured = true;
    await pause(seconds * 1000);
    this.samples.measured = false;
  }

  // What must hold, through the API. Keys without an outcome get theirs and keep it; old ones
  // replay: all of them, or some.
  async check(all) {
    for (const bank of this.banks) {
      const open = bank.ops.filter((op) => op.status === undefined);
      const old = all ? bank.ops : Array.from({ length: this.sizes.old }, () =>
        bank.ops[this.chance(bank.ops.length)]);
      await bank.settle(open);
      await bank.settle([...new Set(old)], 1);
      await bank.check();
    }
    this.checks++;
  }

  async run() {
    await this.start();
    await this.phase('warm', async () => {
      this.banks.forEach((bank) => { bank.rate = this.sizes.ops * WARM_RATE; });
      this.begin();
      await pause(this.sizes.warm * 1000);
      this.banks.forEach((bank) => { bank.rate = this.sizes.ops; });
    });
    do {
      await this.phase('harm', () => this.harm());
      await this.phase('calm', () => this.calm(this.sizes.calm));
      await this.phase('check', async () => {
        await this.end();
        await this.check(false);
        this.begin();
      });
    } while (this.left > 0);
    await this.end();
    await this.phase('check', () => this.check(true));
    this.over = true;
    await this.sampling;
    this.samples.close();
  }

  // What the streams brought is what the journal has.
  async checkStreams() {
    for (const stream of this.streams) {
      const journal = await pages(this.cluster.nodes[0], stream.partition, { retry: true });
      await until('the stream has all', () => stream.entries.length >= journal.length);
      await stream.stop();
      const of = (entries) => entries.map(({ seq, hash }) => `${seq} ${hash}`);
      assert.deepStrictEqual(of(stream.entries), of(journal));
    }
  }

  // Stops everything, and lets the command line look.
  async finish() {
    await this.checkStreams();
    const nodes = [...this.cluster.nodes, this.single];
    for (const node of nodes) {
      assert.deepStrictEqual(await node.stop(), { code: 0, signal: null }, node.lastLog);
    }
    await verify(this.cluster.pg);
    for (const node of nodes) { // with the seals that each of them made
      const store = node.store.startsWith('sqlite') ? node.store : this.cluster.pg.dsn();
      const done = await command(['ledger', 'verify', '--store', store, '--data', node.folder]);
      assert.strictEqual(done.code, 0, `${done.out}${done.err}`);
    }
    const replay = cli('ledger', 'replay', '--store', this.single.store);
    assert.strictEqual(replay.code, 0, `${replay.out}${replay.err}`);
  }

  // Lines that say what was done; throws when a process took more and more.
  report({ memoryKib } = {}) {
    const lines = this.banks.map((bank) => `${bank.name}: ${bank.summary()}; ` +
      [...bank.counts].sort().map(([type, count]) => `${count} ${type}`).join(', '));
    lines.push(...this.crowds.map((crowd) => `${crowd.name} crowd: ${crowd.users.length} users, ` +
      `${crowd.answered} reads, ${crowd.refused} times 503, ${crowd.broken} broken`));
    lines.push(`${this.checks} checks; faults: ` +
      [...this.deck.played].map(([name, count]) => `${count} ${name}`).join(', '));
    const faults = [];
    for (const name of ['node-1', 'sqlite']) {
      const verdict = judge(this.samples.of(name), { memoryKib });
      const { memory, descriptors, threads } = verdict.growth;
      lines.push(`${name}: ${verdict.measured} samples; memory ${memory} KiB, descriptors ` +
        `${descriptors}, threads ${threads} more, over ${verdict.requests} requests: a leak of ` +
        `${verdict.piece} bytes each would show` +
        (verdict.piece <= PIECE ? `, and malloc gives no less than ${PIECE}` : ''));
      faults.push(...verdict.faults.map((fault) => `${name}: ${fault}`));
    }
    return { lines, faults };
  }

  async remove() {
    this.over = true;
    for (const crowd of this.crowds ?? []) crowd.close();
    for (const stream of this.streams ?? []) { stream.stopped = true; stream.cut(); }
    for (const node of [...(this.cluster?.nodes ?? [])]) await this.cluster.remove(node);
    await this.cluster?.pg.remove();
    await this.single?.remove();
  }
}

// A line that is written over on a terminal; events each on a line of its own.
function teller() {
  const terminal = process.stdout.isTTY;
  const clear = terminal ? '\r\x1b[K' : '';
  return {
    progress(text) { if (terminal) process.stdout.write(`${clear}${text.slice(0, 200)}`); },
    event(text) { process.stdout.write(`${clear}  ${text}\n`); },
  };
}

// What a log tells, apart from requests.
const events = (log) => log.split('\n').filter((line) => !line.includes('"component":"http"'))
  .join('\n').slice(-3000);

// Resolves to the reasons to fail.
async function soak({ seconds, seed, out, sizes, memoryKib, tell = teller() }) {
  const run = new Soak({ seconds, seed, out, sizes, tell });
  try {
    await run.run();
    await run.finish();
    const { lines, faults } = run.report({ memoryKib });
    for (const text of [...lines, ...faults]) tell.event(text);
    return faults;
  } catch (error) {
    const nodes = [...(run.cluster?.nodes ?? []), run.single].filter(Boolean);
    error.message += `\nafter ${run.samples.seconds.toFixed(1)} s, phase ${run.samples.phase}` +
      nodes.map((node) => `\n-- port ${node.port}\n${events(node.log())}`).join('');
    throw error;
  } finally {
    await run.remove();
  }
}

async function main(args) {
  const options = { '--minutes': '20', '--out': path.join(process.cwd(), 'build', 'soak') };
  for (let i = 0; i + 1 < args.length; i += 2) options[args[i]] = args[i + 1];
  const seconds = Number(options['--minutes']) * 60;
  if (!(seconds > 0)) throw new Error('usage: soak.js [--minutes N] [--seed N] [--out FOLDER]');
  const seed = options['--seed'] === undefined ? undefined : Number(options['--seed']);
  const faults = await soak({ seconds, seed, out: options['--out'],
    sizes: seconds < 300 ? { ...LONG, harm: 12, calm: 12, warm: 20, every: 1 } : LONG });
  process.exit(faults.length === 0 ? 0 : 1);
}

if (require.main === module)
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.message, error.stack); // the message has grown since the stack was made
    process.exit(1);
  });

module.exports = { soak, SHORT };
