// A reader of /v1/changes: pages of it, and a stream of server-sent events that holds the order.
'use strict';
const assert = require('node:assert');
const http = require('node:http');
const { KEY, request } = require('./server.js');
const { pause } = require('./wait.js');

async function partitionsOf(server) {
  return (await request(server, 'GET', '/v1/config')).json.limits.partitions;
}

// All entries of a partition from `from` on, page by page. retry: a page that gets 503.
async function pages(server, partition, { from = 1, limit = 500, retry = false } = {}) {
  const entries = [];
  let next = from;
  for (;;) {
    const reply = await request(server, 'GET',
      `/v1/changes?partition=${partition}&from_seq=${next}&limit=${limit}`);
    if (retry && reply.status === 503) {
      await pause(50);
      continue;
    }
    assert.strictEqual(reply.status, 200, reply.text);
    assert.strictEqual(reply.headers['content-type'], 'application/x-ndjson');
    const lines = reply.text === '' ? [] : reply.text.replace(/\n$/, '').split('\n');
    assert.ok(lines.length <= limit);
    for (const line of lines) {
      const entry = JSON.parse(line);
      assert.strictEqual(entry.partition, partition);
      assert.strictEqual(entry.seq, next++, 'a gap in the pages');
      entries.push(entry);
    }
    assert.strictEqual(reply.headers['next-from-seq'], String(next));
    if (lines.length === 0) return entries;
  }
}

// A stream of one partition. Every event must be the one after the last; what is broken off is gone
// on with, by Last-Event-ID, until stop() is called.
class Stream {
  constructor(server, partition, { from = 1, key = KEY, again = true } = {}) {
    Object.assign(this, { server, partition, key, again });
    this.path = `/v1/changes?partition=${partition}&from_seq=${from}`;
    this.next = from;
    this.entries = [];
    this.arrived = [];     // when each of them did, ms
    this.comments = 0;
    this.connections = 0;
    this.ends = [];        // codes of `end` events
    this.status = null;    // of the last reply
    this.failure = null;
    this.stopped = false;
    this.call = null;
    this.running = this.run();
  }

  async run() {
    try {
      do {
        await this.connect();
        if (!this.stopped && this.again) await pause(20);
      } while (!this.stopped && this.again);
    } catch (error) {
      this.failure = error;
    }
  }

  connect() {
    return new Promise((done, fail) => {
      const headers = { Accept: 'text/event-stream', Authorization: `Bearer ${this.key}` };
      if (this.entries.length > 0) headers['Last-Event-ID'] = `${this.partition}:${this.next - 1}`;
      this.call = http.get({ host: '127.0.0.1', port: this.server.port, path: this.path, headers,
        agent: false }, (reply) => {
        this.status = reply.statusCode;
        this.retryAfter = reply.headers['retry-after'];
        if (reply.statusCode === 200) {
          this.connections++;
          assert.strictEqual(reply.headers['content-type'], 'text/event-stream');
        }
        let text = '';
        reply.setEncoding('utf8');
        reply.on('data', (piece) => {
          if (reply.statusCode !== 200) return;
          text += piece;
          try {
            for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n')) {
              this.take(text.slice(0, at));
              text = text.slice(at + 2);
            }
          } catch (error) {
            fail(error);
            this.call.destroy();
          }
        });
        reply.on('error', () => done());
        reply.on('close', () => done());
      });
      this.call.on('error', () => done());
      if (this.stopped) this.call.destroy();
    });
  }

  take(block) {
    const fields = {};
    for (const line of block.split('\n')) {
      if (line.startsWith(':')) { this.comments++; continue; }
      const colon = line.indexOf(': ');
      fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (fields.retry !== undefined) this.retry = Number(fields.retry);
    if (fields.event === 'end') this.ends.push(JSON.parse(fields.data).code);
    else if (fields.data !== undefined) {
      const entry = JSON.parse(fields.data);
      assert.strictEqual(entry.seq, this.next, `partition ${this.partition}: a gap or a duplicate`);
      assert.strictEqual(fields.id, `${this.partition}:${entry.seq}`);
      assert.strictEqual(entry.partition, this.partition);
      this.next++;
      this.entries.push(entry);
      this.arrived.push(Date.now());
    }
  }

  // The connection goes; the stream comes back.
  cut() { this.call?.destroy(); }

  async stop() {
    this.stopped = true;
    this.call?.destroy();
    await this.running;
    if (this.failure) throw this.failure;
  }
}

module.exports = { Stream, pages, partitionsOf };
