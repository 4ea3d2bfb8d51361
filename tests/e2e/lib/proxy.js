// A TCP proxy that does to a connection what a network does. It stands between a client under test
// and any server; where that is PostgreSQL it also understands enough of the protocol to cut at a
// chosen message. A library, or a program with a control port:
//
//   node proxy.js --target HOST:PORT [--listen PORT] [--control PORT]
//   curl -d '{"do":"hang"}' http://127.0.0.1:CONTROL/     the methods of Proxy, with "args": [...]
//
// Modes, for connections that there are and new ones:
//   forward   what comes goes on
//   hang      nothing is read any more: buffers fill, nobody is told
//   blackhole everything is read and thrown away
//   delay     each piece goes on after `delayMs`, in order
//   reset     new connections are reset at once, as with a server that dies on accept
//   refuse    nobody listens
'use strict';
const http = require('node:http');
const net = require('node:net');

// ---- PostgreSQL's protocol, as far as needed: what a client asks for up to each Sync ------------

// Follows the client's bytes of one connection. `onSync(texts, end)`: a pipeline or a simple query
// ends at offset `end` of the piece that was given; texts are the SQL of the statements that it
// runs, those that were prepared earlier as well. What is encrypted, or another protocol, it does
// not look at.
const START_MAX = 10000; // bytes of a first message, as in the server

class ClientReader {
  constructor(onSync) {
    this.onSync = onSync;
    this.rest = Buffer.alloc(0);
    this.started = false;
    this.blind = false;
    this.prepared = new Map();
    this.texts = [];
  }

  read(piece) {
    if (this.blind) return;
    const before = this.rest.length;
    const bytes = Buffer.concat([this.rest, piece]);
    let at = 0;
    for (;;) {
      const head = this.started ? 1 : 0;
      if (bytes.length < at + head + 4) break;
      const size = head + bytes.readUInt32BE(at + head);
      if (!this.started && size > START_MAX) {
        this.blind = true;
        this.rest = null;
        return;
      }
      if (bytes.length < at + size) break;
      const message = bytes.subarray(at, at + size);
      at += size;
      if (this.started) this.take(message, at - before);
      // Requests for TLS (80877103) and GSS (80877104) come before the real start.
      else this.started = (message.readUInt32BE(4) >>> 16) === 3;
    }
    this.rest = bytes.subarray(at);
  }

  take(message, end) {
    const type = String.fromCharCode(message[0]);
    const strings = message.subarray(5).toString('latin1').split('\0', 2);
    if (type === 'P') this.prepared.set(strings[0], strings[1]);
    else if (type === 'B') this.texts.push(this.prepared.get(strings[1]) ?? '');
    else if (type === 'Q') this.texts.push(strings[0]);
    if (type === 'S' || type === 'Q') {
      const { texts } = this;
      this.texts = [];
      this.onSync(texts, end);
    }
  }
}

// Follows the server's bytes: calls `onReady` at each ReadyForQuery.
class ServerReader {
  constructor(client, onReady) {
    this.client = client;
    this.onReady = onReady;
    this.rest = Buffer.alloc(0);
  }

  read(piece) {
    // The answer to a request for TLS or GSS is one byte, and comes before the real start.
    if (!this.client.started) return;
    this.rest = Buffer.concat([this.rest, piece]);
    for (;;) {
      if (this.rest.length < 5) return;
      const size = 1 + this.rest.readUInt32BE(1);
      if (this.rest.length < size) return;
      if (this.rest[0] === 0x5a) this.onReady();
      this.rest = this.rest.subarray(size);
    }
  }
}

// ---- one connection -----------------------------------------------------------------------------

class Link {
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.server = net.connect({ ...proxy.target, allowHalfOpen: true });
    this.halves = new Set(); // sides that were cut off alone
    this.lines = { client: [], server: [] }; // what is delayed, by sender
    this.swallow = false;    // the server's answers
    this.pending = 0;        // Syncs that the server has not answered
    this.trap = null;
    this.reader = new ClientReader((texts, end) => this.onSync(texts, end));
    this.answers = new ServerReader(this.reader, () => this.onReady());
    for (const side of ['client', 'server']) {
      const socket = this[side];
      socket.setNoDelay(true);
      socket.on('data', (piece) => this.onData(side, piece));
      socket.on('end', () => this.onEnd(side));
      socket.on('error', () => this.onClose(side));
      socket.on('close', () => this.onClose(side));
    }
    this.apply();
  }

  other(side) { return side === 'client' ? this.server : this.client; }

  apply() {
    for (const socket of [this.client, this.server])
      if (this.proxy.mode === 'hang') socket.pause(); else socket.resume();
  }

  onData(side, piece) {
    if (this.proxy.mode === 'blackhole' || this.halves.size > 0) return;
    if (side === 'client') this.cutAt = null;
    (side === 'client' ? this.reader : this.answers).read(piece);
    if (side === 'client' && this.cutAt !== null) {
      // The trap wants the message not to arrive.
      this.proxy.count(side, this.cutAt);
      this.server.write(piece.subarray(0, Math.max(0, this.cutAt)), () => this.reset());
      return;
    }
    if (side === 'server' && this.swallow) return;
    this.proxy.count(side, piece.length);
    this.later(side, () => this.pass(side, piece));
  }

  // After the delay, and never before what came earlier, also when the delay has become less.
  later(side, action) {
    const line = this.lines[side];
    const { delayMs } = this.proxy;
    if (line.length === 0 && delayMs === 0) {
      action();
      return;
    }
    line.push({ at: performance.now() + delayMs, action });
    if (line.length === 1) this.next(side);
  }

  next(side) {
    const line = this.lines[side];
    setTimeout(() => {
      line[0].action();
      line.shift();
      if (line.length > 0) this.next(side);
    }, Math.max(0, line[0].at - performance.now()));
  }

  pass(side, piece) {
    const from = this[side], to = this.other(side);
    if (to.destroyed || to.write(piece)) return;
    from.pause();
    to.once('drain', () => { if (this.proxy.mode !== 'hang') from.resume(); });
  }

  onSync(texts, end) {
    const trap = this.trap === null ? this.proxy.spring(texts) : null;
    if (trap) {
      this.trap = trap;
      if (trap.lose === 'request') this.cutAt = end - 1; // all but the last byte
      else this.swallow = true;
      if (trap.lose === 'both') setImmediate(() => this.reset());
    }
    this.pending++;
  }

  // With everything answered that was asked up to the trap, the outcome is decided.
  onReady() {
    this.pending = Math.max(0, this.pending - 1);
    if (this.trap?.lose === 'answer' && this.pending === 0) setImmediate(() => this.reset());
  }

  onEnd(side) {
    if (this.halves.size > 0 || this.proxy.mode === 'blackhole') return;
    this.later(side, () => this.other(side).end());
  }

  onClose(side) {
    if (this.halves.size === 0) this.other(side).destroy();
    if (this.client.destroyed && this.server.destroyed) this.proxy.links.delete(this);
  }

  reset() {
    for (const socket of [this.client, this.server])
      if (!socket.destroyed) socket.resetAndDestroy();
    this.proxy.links.delete(this);
    if (this.trap) {
      const { trap } = this;
      this.trap = null;
      trap.done();
    }
  }

  // One side's connection is closed, the other side is not told and hears nothing any more.
  cutHalf(side) {
    this.halves.add(side);
    this[side].resetAndDestroy();
  }
}

// ---- the proxy ----------------------------------------------------------------------------------

class Proxy {
  static async start(target, port = 0) {
    const proxy = new Proxy(target);
    await proxy.listen(port);
    return proxy;
  }

  constructor(target) {
    this.target = target; // {host, port}
    this.mode = 'forward';
    this.delayMs = 0;
    this.links = new Set();
    this.traps = [];
    this.accepted = 0;
    this.bytes = { client: 0, server: 0 }; // by sender
    this.listener = null;
    this.port = 0;
  }

  listen(port) {
    return new Promise((resolve, reject) => {
      this.listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true },
        (client) => this.accept(client));
      this.listener.on('error', reject);
      this.listener.listen(port, '127.0.0.1', () => {
        this.port = this.listener.address().port;
        resolve();
      });
    });
  }

  accept(client) {
    this.accepted++;
    if (this.mode === 'reset') {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    this.links.add(new Link(this, client));
  }

  count(side, size) { this.bytes[side] += size; }

  async to(mode) {
    if (mode === 'refuse' && this.listener) {
      const { listener } = this;
      this.listener = null;
      listener.close(); // connections that there are stay
    }
    if (mode !== 'refuse' && !this.listener) await this.listen(this.port);
    this.mode = mode;
    for (const link of this.links) link.apply();
  }

  async forward() { this.delayMs = 0; await this.to('forward'); }

  async hang() { await this.to('hang'); }

  async blackhole() { await this.to('blackhole'); }

  async reset() { await this.to('reset'); this.cut(); }

  async refuse() { await this.to('refuse'); this.cut(); }

  async delay(ms) { await this.to('forward'); this.delayMs = ms; }

  // Resets every connection that there is; new ones are taken.
  cut() { for (const link of [...this.links]) link.reset(); }

  // Closes one side's connections; the other side is left with ones that are dead.
  cutHalf(side) { for (const link of this.links) link.cutHalf(side); }

  // New connections go there; old ones are reset, as a virtual address does when it moves.
  switchTo(target) {
    this.target = target;
    this.cut();
  }

  // Resets a connection at the next pipeline one of whose statements fits `pattern`, after `skip`
  // of those. lose: 'answer': the server has carried it out and its answer is thrown away;
  // 'request': its last byte never arrives; 'both': sent and reset at once, so that nobody knows.
  // Resolves when it was done.
  cutWhen(pattern, { lose = 'answer', skip = 0 } = {}) {
    return new Promise((done) => {
      this.traps.push({ pattern: new RegExp(pattern, 'i'), lose, skip, done });
    });
  }

  // Takes the trap whose pattern fits, if any.
  spring(texts) {
    const at = this.traps.findIndex((trap) => texts.some((text) => trap.pattern.test(text)));
    if (at < 0 || this.traps[at].skip-- > 0) return null;
    return this.traps.splice(at, 1)[0];
  }

  state() {
    return { port: this.port, target: this.target, mode: this.mode, delay_ms: this.delayMs,
      open: this.links.size, accepted: this.accepted, bytes: this.bytes, traps: this.traps.length };
  }

  close() {
    this.cut();
    if (this.listener) this.listener.close();
    this.listener = null;
  }
}

// ---- as a program -------------------------------------------------------------------------------

const VERBS = ['forward', 'hang', 'blackhole', 'reset', 'refuse', 'delay', 'cut', 'cutHalf',
  'switchTo', 'cutWhen', 'state'];

function control(proxy, port) {
  const server = http.createServer((call, reply) => {
    let body = '';
    call.on('data', (piece) => { body += piece; });
    call.on('end', async () => {
      try {
        const { do: verb = 'state', args = [] } = body ? JSON.parse(body) : {};
        if (!VERBS.includes(verb)) throw new Error(`no such verb: ${verb}`);
        const result = proxy[verb](...args);
        if (verb !== 'cutWhen') await result; // that one is done when it happens
        reply.end(`${JSON.stringify(proxy.state())}\n`);
      } catch (error) {
        reply.statusCode = 400;
        reply.end(`${error.message}\n`);
      }
    });
  });
  return new Promise((done) => server.listen(port, '127.0.0.1', () => done(server)));
}

async function main(args) {
  const options = { '--listen': '0', '--control': '0' };
  for (let i = 0; i + 1 < args.length; i += 2) options[args[i]] = args[i + 1];
  const [host, port] = (options['--target'] ?? '').split(':');
  if (!port) {
    console.error('usage: node proxy.js --target HOST:PORT [--listen PORT] [--control PORT]');
    process.exit(2);
  }
  const proxy = await Proxy.start({ host, port: Number(port) }, Number(options['--listen']));
  const server = await control(proxy, Number(options['--control']));
  console.log(`forwards 127.0.0.1:${proxy.port} control 127.0.0.1:${server.address().port}`);
}

if (require.main === module) main(process.argv.slice(2));

module.exports = { Proxy };
