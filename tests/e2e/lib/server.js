// A real server process for a test: own data folder, own port, stopped by its process id.
'use strict';
const assert = require('node:assert');
const { execFile, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { PATIENCE, until } = require('./wait.js');

const BIN = process.env.HOLDFAST_BIN;
const KEY = 'hfk_test0_' + 'a1B2c3D4e5'.repeat(4);

function temporaryFolder() {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-test-'));
}

const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

// Starts `serve` and resolves when it says where it listens; rejects when it ends before. The
// kernel ends it should this process be killed. env: of the server alone.
function start(data, extra = [], listen = '127.0.0.1:0', env = {}) {
  return new Promise((resolve, reject) => {
    const own = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'env', ...own, BIN, 'serve', '--data',
      data, '--listen', listen, ...extra], {
      env: { ...process.env, HOLDFAST_ADMIN_KEY: KEY },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let log = '';
    running.add(child);
    child.on('exit', () => running.delete(child));
    const ended = new Promise((done) => { // not at 'exit': its last words may still be on their way
      child.on('close', (code, signal) => done({ code, signal }));
    });
    child.stderr.on('data', (piece) => { log = (log + piece).slice(-20000); });
    child.stdout.on('data', (piece) => {
      out += piece;
      const found = /serves on http:\/\/127\.0\.0\.1:(\d+)/.exec(out);
      if (found) {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
        resolve({ child, port: Number(found[1]), ended, agent, log: () => log, out: () => out });
      }
    });
    ended.then(({ code, signal }) => reject(Object.assign(
      new Error(`serve ended: ${code} ${signal}\n${log}`), { ended: { code, signal }, log })));
  });
}

async function stop(server, signal = 'SIGTERM') {
  server.agent.destroy();
  server.child.kill(signal);
  return server.ended;
}

// A server that goes down and comes back: same folder, same port, the same object for request().
class Node {
  // store: for --store; the node's own folder keeps who it is among the nodes of a database.
  constructor({ store, args = [], folder = temporaryFolder() }) {
    this.store = store;
    this.folder = folder;
    this.args = args;
    this.listen = '127.0.0.1:0';
    this.up = null;
    this.agent = null;
    this.port = 0;
    this.killed = false; // until it is started again
  }

  // ready: waits until /readyz says so.
  async start({ ready = true } = {}) {
    this.up = await start(this.folder, ['--store', this.store, ...this.args], this.listen);
    this.killed = false;
    this.port = this.up.port;
    this.agent = this.up.agent;
    this.listen = `127.0.0.1:${this.port}`;
    if (ready) await this.ready();
    return this;
  }

  async isReady() {
    const reply = await request(this, 'GET', '/readyz', { key: null, timeout: 2000 });
    return reply.status === 200;
  }

  ready(ms = 30000) {
    return until('the server is ready', async () => {
      if (this.up === null || this.up.child.exitCode !== null || this.up.child.signalCode !== null)
        assert.fail('the server ended');
      return this.isReady();
    }, { ms }).catch((error) => { error.message += `\n${this.log()}`; throw error; });
  }

  log() { return this.up ? this.up.log() : ''; }

  pause() { this.up.child.kill('SIGSTOP'); }

  resume() { this.up.child.kill('SIGCONT'); }

  // Resolves to {code, signal}. SIGTERM drains, SIGKILL does not ask.
  async stop(signal = 'SIGTERM') {
    const { up } = this;
    this.killed = signal === 'SIGKILL';
    up.child.kill(signal);
    const how = await up.ended;
    up.agent.destroy();
    this.up = null;
    this.lastLog = up.log();
    return how;
  }

  async remove() {
    if (this.up !== null) await this.stop('SIGKILL');
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  // Sum of the series whose name starts so.
  async metric(name) {
    const reply = await request(this, 'GET', '/metrics', { key: null });
    return reply.text.split('\n').filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}

// One request; resolves to {status, headers, text, json} or rejects when no whole reply came, or
// none within `timeout` ms, if that is not 0.
function request(server, method, target, { body, headers = {}, key = KEY, timeout = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const data = body === undefined ? undefined
      : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const all = { ...headers };
    if (key) all.Authorization = `Bearer ${key}`;
    if (data !== undefined) {
      all['Content-Type'] ??= 'application/json';
      all['Content-Length'] = Buffer.byteLength(data);
    }
    const call = http.request({
      host: '127.0.0.1', port: server.port, method, path: target, headers: all, agent: server.agent,
    }, (reply) => {
      const pieces = [];
      reply.on('data', (piece) => pieces.push(piece));
      reply.on('aborted', () => reject(new Error('aborted')));
      reply.on('error', reject);
      reply.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        let json = null;
        try { json = JSON.parse(text); } catch { json = null; }
        resolve({ status: reply.statusCode, headers: reply.headers, text, json });
      });
    });
    call.on('error', reject);
    if (timeout > 0) {
      const ms = timeout * PATIENCE;
      const timer = setTimeout(() => call.destroy(new Error(`no reply in ${ms} ms`)), ms);
      call.on('close', () => clearTimeout(timer));
    }
    call.end(data);
  });
}

// The command line: {code, out, err}.
function cli(...args) {
  const done = spawnSync(BIN, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

// The same without blocking this process, which may be running a proxy on the command's way.
function command(args, { signal, env = {}, timeout = 60000 } = {}) {
  return new Promise((resolve) => {
    execFile(BIN, args, { encoding: 'utf8', maxBuffer: 1 << 26, signal, timeout: timeout * PATIENCE,
      killSignal: 'SIGKILL', env: { ...process.env, HOLDFAST_ADMIN_KEY: KEY, ...env } },
    (error, out, err) => resolve({ code: error ? error.code : 0, signal: error?.signal ?? null,
      out, err }));
  });
}

module.exports = { BIN, KEY, Node, temporaryFolder, start, stop, request, cli, command };
