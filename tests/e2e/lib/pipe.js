// GET requests on one connection, many of them under way at a time: cheap enough to ask a server
// thousands of times a second from the machine that it runs on.
'use strict';
const net = require('node:net');
const { KEY } = require('./server.js');

class Pipe {
  // server: {port}. Connects at the first get(), and again after it broke.
  constructor(server) {
    this.server = server;
    this.socket = null;
    this.waiting = []; // of the replies, in order: {resolve, reject}
  }

  // Resolves to {status, retryAfter, text}; rejects when the connection breaks before.
  get(path) {
    if (this.socket === null) this.connect();
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\n\r\n`);
    return new Promise((resolve, reject) => { this.waiting.push({ resolve, reject }); });
  }

  connect() {
    const socket = net.connect(this.server.port, '127.0.0.1');
    let rest = '';
    socket.setNoDelay(true);
    socket.setEncoding('latin1'); // lengths are of bytes
    socket.on('data', (piece) => { rest = this.take(rest + piece); });
    socket.on('error', (error) => this.fail(socket, error));
    socket.on('close', () => this.fail(socket, new Error('closed')));
    this.socket = socket;
  }

  // Takes the whole replies; returns what is left.
  take(text) {
    for (;;) {
      const head = text.indexOf('\r\n\r\n');
      if (head < 0) return text;
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(text);
      const size = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head + 2))[1]);
      if (text.length < head + 4 + size) return text;
      const retry = /\r\nretry-after: (\d+)/i.exec(text.slice(0, head + 2));
      this.waiting.shift().resolve({ status: Number(status), retryAfter: retry && Number(retry[1]),
        text: text.slice(head + 4, head + 4 + size) });
      text = text.slice(head + 4 + size);
    }
  }

  fail(socket, error) {
    if (socket !== this.socket) return;
    this.socket = null;
    socket.destroy();
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }

  close() { if (this.socket) this.fail(this.socket, new Error('closed')); }
}

module.exports = { Pipe };
