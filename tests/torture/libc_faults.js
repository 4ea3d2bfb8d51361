// Faults of the C library of a server: what tests/preload/failing_libc.c does, from outside.
'use strict';
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { BIN } = require('../e2e/lib/server.js');

const LIBRARY = path.join(process.env.HOLDFAST_BUILD, 'failing_libc.so');
const SHARED = { calls: 0, struck: 8, healed: 12, size: 4096 }; // struct shared

// The file that a server shares with this process, in `folder`.
class Faults {
  // fault: {id, call, manner}; null: none, the sites are recorded.
  constructor(folder, fault) {
    this.fault = fault;
    this.shared = path.join(folder, 'shared');
    this.record = path.join(folder, 'sites');
    fs.writeFileSync(this.shared, Buffer.alloc(SHARED.size));
  }

  get env() {
    const { fault } = this;
    return { LD_PRELOAD: LIBRARY, FAILING_LIBC_FILE: this.shared, ...fault === null
      ? { FAILING_LIBC_RECORD: this.record }
      : { FAILING_LIBC_SITE: `${fault.id}:${fault.call}`, FAILING_LIBC_MANNER: fault.manner } };
  }

  get words() { return fs.readFileSync(this.shared); }

  get calls() { return Number(this.words.readBigUInt64LE(SHARED.calls)); }

  get struck() { return this.words.readUInt32LE(SHARED.struck); }

  heal() {
    const file = fs.openSync(this.shared, 'r+');
    fs.writeSync(file, Buffer.from([1, 0, 0, 0]), 0, 4, SHARED.healed);
    fs.closeSync(file);
  }

  // What was recorded: {id, call, manner, frames} for each site and each manner of failing.
  faults() {
    return fs.readFileSync(this.record, 'utf8').split('\n').filter(Boolean).flatMap((line) => {
      const [id, call, manners, ...frames] = line.split(' ');
      return manners.split(',').map((manner) => ({ id, call, manner, frames }));
    });
  }
}

// Where a fault is, for people: the functions of the program by name and line, of the libraries by
// what they export.
function describe({ frames }) {
  return frames.map((frame) => {
    const [, module, offset, symbol] = /^(.+)\+([0-9a-f]+):(.*)$/.exec(frame);
    if (module !== path.basename(BIN)) return `${module}: ${symbol || `+0x${offset}`}`;
    const before = `0x${(parseInt(offset, 16) - 1).toString(16)}`; // the call, not what follows it
    const found = spawnSync('addr2line', ['-e', BIN, '-f', '-s', '-i', before],
      { encoding: 'utf8' });
    const lines = (found.stdout ?? '').trim().split('\n');
    return lines.length < 2 ? frame : `${lines[0]} (${lines[1]})`;
  }).map((line) => `    ${line}`).join('\n');
}

module.exports = { Faults, describe };
