// The disk takes no more: writes are answered 503 with Retry-After, reads go on, and when there is
// room again the server goes on by itself. What lib/load.js says must hold; chains verify, replay
// equals live balances.
//
// Two ways to get there: a small file system with a ballast in it (ENOSPC; needs the
// right to mount), and a limit on the size of the server's files (EFBIG, which SQLite takes for an
// I/O error), which everybody may set.
// ctest: timeout=300
'use strict';
const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-full-'));

// A write over the limit raises a signal, too: the server is started with that one ignored, so that
// the write fails as writes do.
function wrap(bin) {
  const wrapper = path.join(folder, 'holdfast');
  fs.writeFileSync(wrapper, `#!/bin/sh\nexec env --ignore-signal=XFSZ '${bin}' "$@"\n`);
  fs.chmodSync(wrapper, 0o755);
  return wrapper;
}
process.env.HOLDFAST_BIN = wrap(process.env.HOLDFAST_BIN);

const { ASSET, Load } = require('./lib/load.js');
const { request, start, stop, cli } = require('./lib/server.js');
const { randomOf, until } = require('./lib/wait.js');

const ROUNDS = 3;
// With room for the log of 32 MiB that a large disk has, and without.
const MEBIBYTES = [96, 24];
const TIGHT = 1 << 20; // bytes that are left, to be used up by the server itself

// ---- ways to be full ----------------------------------------------------------------------------

class Ballast {
  constructor(mebibytes) {
    this.name = `disk-${mebibytes}-MiB`;
    this.why = /disk is full|no room/;
    this.data = path.join(folder, `small-${mebibytes}`);
    this.file = path.join(this.data, 'ballast');
    fs.mkdirSync(this.data);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'holdfast-test', this.data],
      { stdio: 'pipe' });
  }

  // Leaves less than a page.
  fill() {
    const file = fs.openSync(this.file, 'a');
    for (const size of [1 << 16, 1 << 12]) {
      try {
        for (;;) fs.writeSync(file, Buffer.alloc(size, 'x'));
      } catch (error) {
        assert.strictEqual(error.code, 'ENOSPC');
      }
    }
    fs.closeSync(file);
  }

  // Leaves so much that the server works on for a while, also when that has just made room.
  tighten() {
    const { bavail, bsize } = fs.statfsSync(this.data);
    if (bavail * bsize > TIGHT)
      fs.appendFileSync(this.file, Buffer.alloc(bavail * bsize - TIGHT, 'x'));
  }

  empty() { fs.rmSync(this.file); }

  remove() { execFileSync('umount', ['-l', this.data]); }
}

class Limit {
  constructor() {
    this.name = 'limit';
    this.why = /disk I\/O error/;
    this.data = path.join(folder, 'limited');
    fs.mkdirSync(this.data);
  }

  set(server, bytes) {
    execFileSync('prlimit', ['--pid', String(server.child.pid), `--fsize=${bytes}:`]);
  }

  fill(server) { this.set(server, 4096); }

  empty(server) { this.set(server, 'unlimited'); }

  remove() {}
}

// ---- what must hold -----------------------------------------------------------------------------

let grants = 0;

function grant(server, user) {
  return request(server, 'POST', '/v1/ops', {
    body: { type: 'grant', user_id: user, asset: ASSET, amount: '1.00' },
    headers: { 'Idempotency-Key': `beside-${++grants}` },
  });
}

// A user of its own, so that the load knows all ops of its users.
async function makeUser(server) {
  const reply = await request(server, 'POST', '/v1/users',
    { body: { kind: 'registered' }, headers: { 'Idempotency-Key': `beside-${++grants}` } });
  assert.strictEqual(reply.status, 201, reply.text);
  return reply.json.id;
}

// The server may make room once more, by cutting its log: that is taken, too.
async function refused(ask, fill) {
  await until('writes are refused', async () => {
    fill();
    const reply = await ask();
    if (reply.status === 201) return false;
    assert.strictEqual(reply.status, 503, reply.text);
    assert.ok(Number(reply.headers['retry-after']) >= 1, `no Retry-After: ${reply.text}`);
    return true;
  }, { ms: 60000 });
}

// Every write is refused, and every read is answered.
async function whileFull(server, load, user, version, fill) {
  for (let i = 0; i < 6; i++) {
    await refused(() => grant(server, user), fill);
    await refused(() => request(server, 'POST', '/v1/users', { body: { kind: 'guest' },
      headers: { 'Idempotency-Key': `beside-${++grants}` } }), fill);
    for (const id of load.users) {
      const paths = [`/v1/users/${id}`, `/v1/users/${id}/balances`, `/v1/users/${id}/entries`];
      for (const at of paths) {
        const reply = await request(server, 'GET', at);
        assert.strictEqual(reply.status, 200, `${at}: ${reply.text}`);
      }
    }
    const reply = await request(server, 'GET', `/v1/users/${user}/balances`);
    assert.strictEqual(reply.status, 200, reply.text);
    assert.ok(reply.json.version >= version, 'an acknowledged grant is gone');
  }
  assert.strictEqual((await request(server, 'GET', '/livez', { key: null })).status, 200);
}

function checkFolder(data) {
  for (const verb of ['verify', 'replay']) {
    const run = cli('ledger', verb, '--data', data);
    assert.strictEqual(run.code, 0, `ledger ${verb}: ${run.out}${run.err}`);
  }
}

// A server whose log is looked through for the reason.
async function serve(disk) {
  const server = await start(disk.data, ['--seal-every-s', '1']);
  server.child.stderr.on('data', (piece) => {
    for (const [, text] of String(piece).matchAll(/"component":"sqlite","msg":"([^"]*)/g))
      disk.named ||= disk.why.test(text);
  });
  return server;
}

async function run(random, disk) {
  const { name } = disk;
  let server = await serve(disk);
  const load = new Load({ random, servers: [server], name });
  await load.prepare();
  const user = await makeUser(server);
  for (let round = 0; round < ROUNDS; round++) {
    load.start(8);
    await load.progress(150);
    const before = await grant(server, user);
    assert.strictEqual(before.status, 201, before.text);
    await whileFull(server, load, user, before.json.version, () => disk.fill(server));
    disk.empty(server);
    await until('writes are taken again', async () => (await grant(server, user)).status === 201);
    await load.progress(150);
    await load.stop();
  }

  // It fills the rest by itself, until its log has no room and cannot be copied back either.
  if (disk instanceof Ballast) {
    load.start(8);
    await whileFull(server, load, user, 1, () => disk.tighten());
    disk.empty();
    await until('writes are taken again', async () => (await grant(server, user)).status === 201);
    await load.progress(150);
    await load.stop();
  }

  // It dies, and stops, while nothing can be written; then it starts again, with room.
  for (const signal of ['SIGKILL', 'SIGTERM']) {
    load.start(8);
    await load.progress(50);
    await whileFull(server, load, user, 1, () => disk.fill(server));
    load.takeAway(); // at SIGTERM: a connection may be closed as it is used again
    server.child.kill(signal);
    await load.stop();
    server.agent.destroy();
    const how = await server.ended;
    if (signal === 'SIGTERM') assert.deepStrictEqual(how, { code: 0, signal: null });
    if (disk instanceof Ballast) disk.empty(server);
    server = await serve(disk);
    load.servers = [server];
  }
  await load.settle();
  await load.check();
  assert.deepStrictEqual(await stop(server), { code: 0, signal: null });
  checkFolder(disk.data);
  assert.ok(disk.named, 'the log does not say why');
  console.log(`${name}: ${load.summary()}`);
}

async function main() {
  const random = randomOf();
  const disks = [new Limit()];
  try {
    if (process.getuid() === 0)
      for (const mebibytes of MEBIBYTES) disks.push(new Ballast(mebibytes));
    else
      console.log(`NOT TRIED without the right to mount: file systems of ${MEBIBYTES} MiB`);
    for (const disk of disks) await run(random, disk);
  } finally {
    for (const disk of disks) disk.remove();
    fs.rmSync(folder, { recursive: true });
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
