// The calls of the C library that the server makes fail, each in turn: see libc_faults.js.
//
// A first run of a scripted session records from where which calls come. Then each of these sites
// is failed in each way that it can fail, every time in a fresh server on a fresh folder. The
// server goes on, and every request has its outcome; or it ends, where that is by design, and says
// why. Started again without faults it has what was acknowledged, once, and both checks of the
// ledger find nothing.
//
// In a test run an even sample, which HF_SEED moves; `./dev torture` has all of them, and
// `./dev torture ID:CALL:MANNER` one.
// ctest: timeout=400
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Postgres } = require('../e2e/lib/postgres.js');
const { command, start, temporaryFolder } = require('../e2e/lib/server.js');
const { PATIENCE, pause, until } = require('../e2e/lib/wait.js');
const { Faults, describe } = require('./libc_faults.js');
const { Script } = require('./libc_script.js');

const SAMPLE = { sqlite: 50, postgres: 20 }; // trials of a test run
const AT_A_TIME = 4;          // they wait more than they work
const TIMEOUT = 15000;      // ms, for one request
const TIMEOUT_ON = 1500;    // likewise, while a call keeps failing
const HEALS = 4000;         // ms, for a start while a call keeps failing
const HANGS = 20000;        // ms, for a start
const TRIES = 200;          // of one request, until it has its outcome
const AGAIN = 50;           // ms, between two of them
const FAILING_STEPS = 3;    // without an outcome, until what keeps failing is healed
const OPTIONS = ['--workers', '2', '--readers', '1', '--grace-ms', '5000'];

// Nobody can go on without memory. libuv itself ends the process when it cannot watch a descriptor,
// or has none for its own pipe when it is used first.
const MEMORY = new Set(['malloc', 'calloc', 'realloc', 'posix_memalign', 'aligned_alloc', 'mmap',
  'mmap64', 'mremap']);
const LIBUV = new Set(['epoll_ctl', 'pipe2']);

class Ended extends Error {}

let postgres = null;
let databases = 0;

// A store of its own for each trial: options of the server and of the checks.
const stores = {
  sqlite: async () => [],
  async postgres() {
    postgres ??= Postgres.start({ settings: { fsync: 'off' } });
    const database = `libc${databases++}`;
    await (await postgres).createDatabase(database);
    return ['--store', (await postgres).dsn({ database })];
  },
};

// A life of a server on `folder`, with a fault or none; `script` goes on from where it is.
class Life {
  constructor(folder, store, script, faults) {
    Object.assign(this, { folder, store, script, faults });
    this.broken = [];  // requests without a whole reply
    this.later = 0;    // requests that were told to come again
    this.server = null;
    this.check = null; // after the session
    this.most = null;  // descriptors that may be open when the clients have gone; null: any number
  }

  get call() { return this.faults?.fault?.call; }

  get manner() { return this.faults?.fault?.manner; }

  // Resolves to {code, signal}, with how far it came.
  async run() {
    let timer;
    const late = new Promise((resolve, reject) => {
      timer = setTimeout(() => {
        this.faults?.heal();
        timer = setTimeout(() => reject(new Error('it hangs at its start')), HANGS * PATIENCE);
      }, HEALS * PATIENCE);
    });
    try {
      const { env } = this.faults ?? {};
      const options = [...OPTIONS, ...this.store];
      this.server = await Promise.race([start(this.folder, options, '127.0.0.1:0', env), late]);
    } catch (error) {
      if (!error.ended) throw error;
      return { phase: 'start', log: error.log, ...error.ended };
    } finally {
      clearTimeout(timer);
    }
    this.server.ended.then((how) => { this.over = how; });
    this.script.load.servers = [this.server];
    try {
      await this.session();
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
      return { phase: 'session', log: this.server.log(), ...this.over };
    }
    await this.check?.();
    return { phase: 'end', ...await this.end() };
  }

  // Every step until it has its outcome. What keeps failing is healed when nothing goes any more.
  async session() {
    const { script } = this;
    let failing = this.manner === 'on' ? FAILING_STEPS : 0;
    if (failing > 0) script.timeout = script.load.timeout = TIMEOUT_ON;
    for (const [name, step] of script.steps) {
      if (failing === 0 || script.done.has(name)) continue;
      if (!await this.attempt(name, step)) failing--;
    }
    if (this.manner === 'on') this.faults.heal();
    script.timeout = script.load.timeout = TIMEOUT;
    this.broken.length = 0; // what kept failing may have broken any of them
    for (const [name, step] of script.steps)
      if (!script.done.has(name)) await this.insist(name, step);
  }

  async insist(name, step) {
    for (let tries = TRIES; !await this.attempt(name, step); tries--) {
      assert.ok(tries > 0, `${name}: no outcome; ${this.broken.join('; ')}`);
      await pause(AGAIN);
    }
  }

  async attempt(name, step) {
    try {
      if (!await step()) {
        this.later++;
        return false;
      }
      this.script.done.add(name);
      return true;
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
      await pause(10);
      if (this.over || error.code === 'ECONNREFUSED') await this.mustBeOver(error);
      this.broken.push(`${name}: ${error.message}`);
      return false;
    }
  }

  async mustBeOver(error) {
    await until(`the server ends, as ${error.message}`, () => this.over, { ms: 5000 });
    throw new Ended();
  }

  async end() {
    const { server } = this;
    server.agent.destroy();
    this.descriptors = await this.quiet();
    server.child.kill('SIGTERM');
    await until('the server ends after SIGTERM', () => this.over, { ms: 20000 });
    return { log: server.log(), ...this.over };
  }

  // The descriptors of the server once its clients have gone.
  async quiet() {
    const folder = `/proc/${this.server.child.pid}/fd`;
    let last = -1;
    return until('descriptors stay as they are', async () => {
      const count = fs.readdirSync(folder).length;
      const same = count === last && (this.most === null || count <= this.most);
      last = count;
      return same && count;
    }, { every: 50, ms: 10000 }).catch((error) => {
      if (this.over) return 0;
      throw new Error(`${last} descriptors are open, ${this.most} were before: ${error.message}`);
    });
  }
}

// ---- how it may end -----------------------------------------------------------------------------

// A word for the summary; throws when it may not end so.
function judgeEnd(life, how) {
  const { call, manner } = life;
  const said = how.log.trim() !== '';
  const text = `${how.phase}: ${how.code} ${how.signal}\n${how.log.slice(0, 3000)}`;
  if (how.signal !== null) {
    assert.strictEqual(how.signal, 'SIGABRT', text);
    assert.ok(['once', 'on'].includes(manner), `it ends for what is no failure: ${text}`);
    const memory = MEMORY.has(call);
    const own = how.log.includes('CHECK failed');
    assert.ok(own || memory || LIBUV.has(call), `it ends without a word: ${text}`);
    if (how.phase !== 'start')
      assert.ok(memory || LIBUV.has(call), `one failure ends it: ${text}`);
    return own ? 'ended by a CHECK' : 'ended by a library';
  }
  if (how.phase === 'start') {
    assert.ok(how.code > 0 && said, `it ends and says nothing: ${text}`);
    return 'ended with an error at its start';
  }
  assert.strictEqual(how.phase, 'end', text);
  if (how.code === 0) return life.faults.struck > 0 ? 'went on' : 'was not reached';
  assert.ok(how.code === 1 && said && ['once', 'on'].includes(manner), text);
  return 'ended with an error at its end';
}

// Requests break with the connection that fails; what is no failure breaks nothing.
function judgeBroken(life) {
  const most = { once: 1, on: 1 }[life.manner] ?? 0;
  assert.ok(life.broken.length <= most, `broken: ${life.broken.join('; ')}`);
}

// ---- trials -------------------------------------------------------------------------------------

// The life after it: all steps have their outcome, nothing is lost or doubled.
async function aftermath(folder, store, script) {
  const life = new Life(folder, store, script, null);
  life.check = async () => {
    await script.load.settle();
    await script.load.check();
  };
  script.timeout = script.load.timeout = TIMEOUT;
  const how = await life.run();
  assert.ok(how.phase === 'end' && how.code === 0, `afterwards: ${JSON.stringify(how)}`);
  assert.deepStrictEqual(life.broken, []);
  for (const verb of ['verify', 'replay']) {
    const done = await command(['ledger', verb, '--data', folder, ...store]);
    assert.strictEqual(done.code, 0, `ledger ${verb}: ${done.out}${done.err}`);
  }
}

// Resolves to how it went, in a word.
async function trial(fault) {
  const folder = temporaryFolder();
  const data = path.join(folder, 'data');
  const store = await stores[fault.store]();
  const faults = new Faults(folder, fault);
  const script = new Script({ timeout: TIMEOUT });
  const life = new Life(data, store, script, faults);
  life.most = fault.most;
  try {
    const how = await life.run();
    const word = judgeEnd(life, how);
    judgeBroken(life);
    await aftermath(data, store, script);
    return word;
  } catch (error) {
    error.message += `\nserver's log: ${life.server?.log().slice(-2000)}`;
    throw error;
  } finally {
    if (life.server && !life.over) life.server.child.kill('SIGKILL');
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

// The faults that there are over a store, {id, call, manner, frames, store, most} each. most: the
// descriptors of a session without one.
async function record(store) {
  const folder = temporaryFolder();
  const data = path.join(folder, 'data');
  const faults = new Faults(folder, null);
  const script = new Script({ timeout: TIMEOUT });
  const life = new Life(data, await stores[store](), script, faults);
  const how = await life.run();
  assert.deepStrictEqual([how.phase, how.code, life.broken], ['end', 0, []], how.log);
  await aftermath(data, life.store, script);
  const all = faults.faults();
  console.log(`${store}: ${faults.calls} calls from ` +
    `${new Set(all.map((fault) => fault.id)).size} sites, ${all.length} faults`);
  fs.rmSync(folder, { recursive: true, force: true });
  return all.map((fault) => ({ ...fault, store, most: life.descriptors }));
}

const nameOf = ({ id, call, manner }) => `${id}:${call}:${manner}`;

// What is not memory first: it fails in more ways. The sample is even over calls.
function choose(all, store) {
  const [given] = process.argv.slice(2);
  if (given === 'all') return all.sort((a, b) => MEMORY.has(a.call) - MEMORY.has(b.call));
  if (given) return all.filter((fault) => nameOf(fault).includes(given));
  all.sort((a, b) => (`${a.call} ${a.id}` < `${b.call} ${b.id}` ? -1 : 1));
  const step = all.length / SAMPLE[store];
  const first = Number(process.env.HF_SEED || 1) % Math.ceil(step);
  return Array.from({ length: SAMPLE[store] },
    (_, i) => all[Math.floor(i * step + first) % all.length]);
}

function progress(done, total, failed) {
  if (!process.stdout.isTTY) {
    if (done % 200 === 0) console.log(`${done} of ${total}, ${failed} failed`);
    return;
  }
  const width = 40;
  const bar = '#'.repeat(Math.round(width * done / total)).padEnd(width);
  process.stdout.write(`\r[${bar}] ${done} of ${total}${failed > 0 ? `, ${failed} FAILED` : ''} `);
  if (done === total) process.stdout.write('\n');
}

async function main() {
  const chosen = [];
  for (const store of Object.keys(stores)) chosen.push(...choose(await record(store), store));
  const words = new Map();
  let next = 0;
  let done = 0;
  let failed = 0;
  assert.ok(chosen.length > 0, 'no such fault');
  console.log(`${chosen.length} of them are tried`);
  const worker = async () => {
    while (next < chosen.length) {
      const fault = chosen[next++];
      const word = await trial(fault).catch((error) => {
        failed++;
        console.log(`FAIL  ${fault.store}: ${fault.call} fails (${fault.manner}) in\n` +
          `${describe(fault)}\n  repeat: ./dev torture ${nameOf(fault)}\n${error.stack}\n`);
        return 'failed';
      });
      words.set(word, (words.get(word) ?? 0) + 1);
      progress(++done, chosen.length, failed);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  for (const [word, count] of words) console.log(`${String(count).padStart(6)} ${word}`);
  assert.ok((words.get('was not reached') ?? 0) * 5 <= chosen.length, 'few faults are reached');
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
