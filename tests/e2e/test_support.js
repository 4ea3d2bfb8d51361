// The parts that other tests stand on: PostgreSQL with its faults, and the proxy before it.
'use strict';
const assert = require('node:assert');
const { execFile, spawn } = require('node:child_process');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { promisify } = require('node:util');
const { run } = require('./lib/parts.js');
const { Postgres } = require('./lib/postgres.js');
const { Proxy } = require('./lib/proxy.js');
const { pause, until } = require('./lib/wait.js');

const execute = promisify(execFile);
const psql = (dsn, sql) => execute('psql', ['-XAtq', dsn, '-c', sql], { timeout: 30000 });

// 0 when nothing comes of it for a while.
const soon = (promise) => Promise.race([promise, pause(200).then(() => 0)]);

let pg;
let proxy;

const through = () => pg.dsn({ port: proxy.port });
const count = async () => Number(await pg.psql('select count(*) from t'));

const parts = {
  'a commit whose answer is lost has happened, one whose request is lost has not': async () => {
    await pg.psql('create table t(n int)');
    for (const [lose, rows] of [['answer', 1], ['request', 1]]) {
      const sprung = proxy.cutWhen('insert into t', { lose });
      await assert.rejects(psql(through(), 'insert into t values (1)'));
      await sprung;
      assert.strictEqual(await count(), rows, lose);
    }
    const sprung = proxy.cutWhen('insert into t', { lose: 'both', skip: 1 });
    await psql(through(), 'insert into t values (2)');
    await assert.rejects(psql(through(), 'insert into t values (3)'));
    await sprung;
    await psql(through(), 'select 1');
  },

  'each mode does what it says, and forward ends it': async () => {
    await proxy.hang();
    const hung = psql(through(), 'select 7');
    assert.strictEqual(await soon(hung), 0);
    await proxy.forward();
    assert.strictEqual((await hung).stdout, '7\n');
    await proxy.blackhole();
    const { accepted } = proxy;
    const lost = psql(through(), 'select 7');
    lost.catch(() => {});
    await until('it connects', () => proxy.accepted > accepted);
    assert.strictEqual(await soon(lost), 0);
    await proxy.forward();
    proxy.cut();
    await assert.rejects(lost);
    await proxy.refuse();
    await assert.rejects(psql(through(), 'select 1'), /refused/);
    await proxy.reset();
    await assert.rejects(psql(through(), 'select 1'));
    await proxy.delay(20);
    await psql(through(), 'select 1');
    await proxy.forward();
  },

  'what was delayed keeps its order when the delay ends': async () => {
    let got = '';
    const server = net.createServer((socket) => {
      socket.on('data', (piece) => { got += piece; });
      socket.on('error', () => {}); // it is cut at the end
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const slow = await Proxy.start({ host: '127.0.0.1', port: server.address().port });
    const client = net.connect(slow.port, '127.0.0.1');
    await slow.delay(100);
    client.on('error', () => {});
    const { client: sent } = slow.bytes;
    client.write('first ');
    await until('the proxy has it', () => slow.bytes.client > sent);
    await slow.forward();
    client.write('second');
    await until('both are there', () => got.length === 12);
    assert.strictEqual(got, 'first second');
    client.destroy();
    slow.close();
    server.close();
  },

  'a client whose half is cut is told nothing': async () => {
    const waiting = psql(through(), 'select pg_sleep(60)');
    waiting.catch(() => {});
    await until('it runs', async () => (await pg.backends('state = \'active\'')).length > 0);
    proxy.cutHalf('server');
    assert.strictEqual(await soon(waiting), 0);
    waiting.child.kill();
    await assert.rejects(waiting);
  },

  'the proxy is a program too': async () => {
    const child = spawn(process.execPath, [path.join(__dirname, 'lib/proxy.js'),
      '--target', `127.0.0.1:${pg.port}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise((done) => child.stdout.once('data', (text) => done(`${text}`)));
    const [, port, control] = /forwards 127.0.0.1:(\d+) control 127.0.0.1:(\d+)/.exec(line);
    assert.strictEqual((await psql(pg.dsn({ port }), 'select 7')).stdout, '7\n');
    await new Promise((done) => {
      http.request({ host: '127.0.0.1', port: control, method: 'POST' }, done)
        .end('{"do":"refuse"}');
    });
    await assert.rejects(psql(pg.dsn({ port }), 'select 7'), /refused/);
    const over = new Promise((done) => child.on('exit', done));
    child.kill();
    await over;
  },

  'a standby takes over with everything that was committed': async () => {
    const standby = await pg.standby();
    await psql(through(), 'insert into t values (5)');
    const before = await count();
    await pg.stop('immediate');
    await standby.promote();
    proxy.switchTo({ host: '127.0.0.1', port: standby.port });
    assert.strictEqual((await psql(through(), 'select count(*) from t')).stdout, `${before}\n`);
    await psql(through(), 'insert into t values (6)');
    await standby.remove();
  },

  'a server with a small disk and a clock of its own': async () => {
    const small = await Postgres.start({ clock: true, mebibytes: 64 });
    const seconds = async () => Number(await small.psql('select extract(epoch from now())'));
    const before = await seconds();
    small.jump(86400);
    assert.ok(await seconds() >= before + 86400);
    small.fill();
    await assert.rejects(small.psql('create table t as select generate_series(1, 100000)'),
      /No space left/);
    small.unfill();
    await small.psql('create table t as select generate_series(1, 100000)');
    await small.remove();
  },
};

async function main() {
  pg = await Postgres.start();
  proxy = await Proxy.start({ host: '127.0.0.1', port: pg.port });
  const failed = await run(parts);
  proxy.close();
  await pg.remove();
  process.exit(failed === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
