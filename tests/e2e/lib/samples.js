// What server processes take, every so often: memory, descriptors, threads, users awake. Written
// to a CSV, and judged: a process that does the same amount of the same work must not take more at
// the end of its life than at its beginning.
//
// Judged are the samples that were taken under the usual load, with no fault and no check going on,
// after the first fifth of the run, in which caches and pools fill. Of these the medians of the
// first and of the last third are compared. Threads may not grow. Descriptors are counted without
// those of client connections, of which the clients decide; they may grow by DESCRIPTORS, because a
// session with the database may be just about to connect again. Memory is what is anonymous
// (RssAnon), as files of the database are the kernel's to keep; it may grow by MEMORY_KIB, which is
// what a heap moves by when faults have torn holes into it, or by EACH bytes a request if that is
// more, as caches of pages that are seldom met go on filling. The smallest piece that malloc gives
// takes 32 bytes, so a leak of one piece a request shows when MEMORY_KIB / 32 bytes requests lie
// between the two: judge() says whether they did.
'use strict';
const fs = require('node:fs');
const { request } = require('./server.js');

const MEMORY_KIB = 1536;
const EACH = 8;
const DESCRIPTORS = 3;
const THREADS = 0;
const PIECE = 32; // bytes: the smallest that malloc takes
const ENOUGH = 9; // samples: three a third
const COLUMNS = ['t_s', 'phase', 'process', 'pid', 'rss_kib', 'anon_kib', 'descriptors',
  'connections', 'threads', 'users_awake', 'requests', 'measured'];

const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const line = (text, name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]);
const sum = (text, name) => text.split('\n').filter((row) => row.startsWith(name))
  .reduce((all, row) => all + Number(row.slice(row.lastIndexOf(' ') + 1)), 0);

// One process now, or null when it does not answer.
async function look(server, pid) {
  try {
    const reply = await request(server, 'GET', '/metrics', { key: null, timeout: 2000 });
    const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
    const descriptors = fs.readdirSync(`/proc/${pid}/fd`).length;
    if (reply.status !== 200) return null;
    return {
      rss_kib: line(status, 'VmRSS'),
      anon_kib: line(status, 'RssAnon'),
      descriptors,
      connections: sum(reply.text, 'holdfast_http_connections'),
      threads: line(status, 'Threads'),
      users_awake: sum(reply.text, 'rt_actors_live{class="user"}'),
      requests: sum(reply.text, 'holdfast_http_requests_total'),
    };
  } catch {
    return null;
  }
}

class Samples {
  // file: of the CSV. Processes are added with add(); phase and measured are the caller's to set.
  constructor(file) {
    this.out = fs.openSync(file, 'w');
    fs.writeSync(this.out, `${COLUMNS.join(',')}\n`);
    this.began = performance.now();
    this.processes = new Map(); // name -> node: {port, agent, up}
    this.rows = [];
    this.phase = 'start';
    this.measured = false;
  }

  get seconds() { return (performance.now() - this.began) / 1000; }

  add(name, node) { this.processes.set(name, node); }

  async take() {
    await Promise.all([...this.processes].map(async ([name, node]) => {
      if (node.up === null) return;
      const { pid } = node.up.child;
      const { phase, measured } = this;
      const seen = await look(node, pid);
      if (seen === null) return;
      const row = { t_s: this.seconds.toFixed(1), phase, process: name, pid, ...seen,
        // The load may have ended while the process was asked.
        measured: Number(measured && this.measured) };
      this.rows.push(row);
      fs.writeSync(this.out, `${COLUMNS.map((column) => row[column]).join(',')}\n`);
    }));
  }

  of(name) { return this.rows.filter((row) => row.process === name); }

  close() { fs.closeSync(this.out); }
}

// The rows of one process: {measured, requests, growth: {...}, faults: [text], piece}: piece is the
// least leak of each request, in bytes, that would have been found.
function judge(rows, { memoryKib = MEMORY_KIB } = {}) {
  const filled = rows.length === 0 ? 0 : Number(rows.at(-1).t_s) / 5;
  const measured = rows.filter((row) => row.measured && Number(row.t_s) >= filled);
  if (measured.length < ENOUGH) throw new Error(`only ${measured.length} samples to judge by`);
  const third = Math.floor(measured.length / 3);
  const first = measured.slice(0, third), last = measured.slice(-third);
  const of = (part, value) => median(part.map(value));
  const grown = (value) => of(last, value) - of(first, value);
  const growth = {
    memory: grown((row) => row.anon_kib),
    descriptors: grown((row) => row.descriptors - row.connections),
    threads: grown((row) => row.threads),
  };
  const requests = grown((row) => row.requests);
  const most = Math.max(memoryKib, Math.ceil(EACH * requests / 1024));
  const limits = { memory: most, descriptors: DESCRIPTORS, threads: THREADS };
  const faults = Object.keys(limits).filter((name) => growth[name] > limits[name])
    .map((name) => `${name} grew by ${growth[name]} (at most ${limits[name]}) ` +
      `over ${requests} requests`);
  return { measured: measured.length, requests, growth, faults,
    piece: Math.ceil(most * 1024 / Math.max(1, requests)) };
}

module.exports = { Samples, judge, PIECE, MEMORY_KIB };
