// A real server process for a test: own data folder, own port, stopped by its process id.
'use strict';
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const BIN = process.env.HOLDFAST_BIN;
const KEY = 'hfk_test0_' + 'a1B2c3D4e5'.repeat(4);

function temporaryFolder() {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-test-'));
}

const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

// Starts `serve` and resolves when it says where it listens; rejects when it ends before.
function start(data, extra = [], listen = '127.0.0.1:0') {
  return new Promise((resolve, reject) => {
    const child = spawn(BIN, ['serve', '--data', data, '--listen', listen, ...extra], {
      env: { ...process.env, HOLDFAST_ADMIN_KEY: KEY },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let log = '';
    running.add(child);
    child.on('exit', () => running.delete(child));
    const ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
    child.stderr.on('data', (piece) => { log = (log + piece).slice(-20000); });
    child.stdout.on('data', (piece) => {
      out += piece;
      const found = /serves on http:\/\/127\.0\.0\.1:(\d+)/.exec(out);
      if (found) {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
        resolve({ child, port: Number(found[1]), ended, agent, log: () => log, out: () => out });
      }
    });
    ended.then(({ code, signal }) => reject(new Error(`serve ended: ${code} ${signal}\n${log}`)));
  });
}

async function stop(server, signal = 'SIGTERM') {
  server.agent.destroy();
  server.child.kill(signal);
  return server.ended;
}

// One request; resolves to {status, headers, text, json} or rejects when no whole reply came.
function request(server, method, target, { body, headers = {}, key = KEY } = {}) {
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
    call.end(data);
  });
}

// The command line: {code, out, err}.
function cli(...args) {
  const done = spawnSync(BIN, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

module.exports = { BIN, KEY, temporaryFolder, start, stop, request, cli };
