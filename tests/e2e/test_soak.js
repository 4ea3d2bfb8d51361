// A short soak: some faults, some calm, everything that a long one looks at (./dev soak). And the
// judge of what processes take: what it must see, it sees.
// ctest: timeout=180
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { run } = require('./lib/parts.js');
const { MEMORY_KIB, PIECE, judge } = require('./lib/samples.js');
const { temporaryFolder } = require('./lib/server.js');
const { SHORT, soak } = require('./lib/soak.js');

// Samples of a process that serves 300 requests a second for 20 minutes.
function life({ bytesEach = 0, descriptorsEach = 0, threadsEach = 0, measured = 1 } = {}) {
  return Array.from({ length: 600 }, (_, i) => {
    const requests = i * 600;
    const noise = (i * 7919) % 512; // KiB
    return { t_s: i * 2, requests, measured, connections: 20 + i % 3,
      anon_kib: 20000 + noise + bytesEach * requests / 1024,
      descriptors: 60 + i % 3 + Math.floor(descriptorsEach * requests),
      threads: 9 + Math.floor(threadsEach * requests) };
  });
}

const parts = {
  async 'the judge lets a flat process pass'() {
    const verdict = judge(life());
    assert.deepStrictEqual(verdict.faults, []);
    assert.ok(verdict.piece <= PIECE, `${verdict.piece} bytes`);
  },

  async 'the judge sees the smallest leak of each request, of a descriptor now and then'() {
    assert.match(judge(life({ bytesEach: PIECE })).faults.join(), /memory/);
    assert.match(judge(life({ descriptorsEach: 1 })).faults.join(), /descriptors/);
    assert.match(judge(life({ descriptorsEach: 1 / 60000 })).faults.join(), /descriptors/);
    assert.match(judge(life({ threadsEach: 1 / 60000 })).faults.join(), /threads/);
    assert.throws(() => judge(life({ measured: 0 })), /to judge by/);
    assert.ok(MEMORY_KIB < life().length * 300 * PIECE / 1024, 'a margin below what leaks');
  },

  async 'faults and calm, and nothing is lost'() {
    const out = temporaryFolder();
    // Too short for a heap to become flat: what shows are large leaks, descriptors and threads.
    const faults = await soak({ seconds: 15, out, sizes: SHORT, memoryKib: 32 * MEMORY_KIB });
    assert.deepStrictEqual(faults, []);
    fs.rmSync(out, { recursive: true });
  },
};

run(parts).then((failed) => process.exit(failed === 0 ? 0 : 1));
