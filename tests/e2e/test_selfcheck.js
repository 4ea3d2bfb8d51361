// `holdfast selfcheck`: what it says of a sound store, of one changed by hand, and of none.
'use strict';
const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { run } = require('./lib/parts.js');
const { BIN, cli, temporaryFolder } = require('./lib/server.js');

const EXIT_FOUND = 1;
const EXIT_STORE = 3;
const NAMES = ['sha-256', 'store', 'clock', 'descriptors', 'disk', 'fdatasync'];
const folder = temporaryFolder();
const data = `${folder}/data`;

const verdicts = (out) =>
  Object.fromEntries(JSON.parse(out).checks.map((each) => [each.check, each.verdict]));

const parts = {
  'a sound store: every check says so, and nothing stays behind': () => {
    const done = cli('selfcheck', '--data', data, '--json');
    assert.strictEqual(done.code, 0, done.err);
    assert.strictEqual(JSON.parse(done.out).ok, true);
    assert.deepStrictEqual(Object.keys(verdicts(done.out)), NAMES);
    assert.strictEqual(verdicts(done.out).store, 'ok');
    assert.deepStrictEqual(fs.readdirSync(data).filter((name) => name.startsWith('selfcheck')), []);
    const text = cli('selfcheck', '--data', data).out.trim().split('\n');
    assert.deepStrictEqual(text.map((line) => line.split(' ')[0]), NAMES);
  },

  'fewer descriptors than connections: a warning, which is no failure': () => {
    const done = spawnSync('prlimit', ['--nofile=1000', BIN, 'selfcheck', '--data', data, '--json'],
      { encoding: 'utf8' });
    assert.strictEqual(done.status, 0, done.stderr);
    assert.strictEqual(verdicts(done.stdout).descriptors, 'warning');
    assert.strictEqual(verdicts(done.stdout).store, 'ok');
  },

  'a clock of before this program: a warning': () => {
    // faketime is preloaded, before AddressSanitizer where that is built in: it has to allow that.
    const options = `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`;
    const done = spawnSync('faketime', ['2001-02-03 04:05:06', BIN, 'selfcheck', '--data', data,
      '--json'], { encoding: 'utf8', env: { ...process.env, ASAN_OPTIONS: options } });
    assert.strictEqual(done.status, 0, done.stderr);
    assert.strictEqual(verdicts(done.stdout).clock, 'warning');
  },

  'a trigger that is gone: wrong, named, exit code 1': () => {
    const script = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])';
    const done = spawnSync('python3', ['-c', script, `${data}/holdfast.db`,
      'DROP TRIGGER journal_3_delete'], { encoding: 'utf8' });
    assert.strictEqual(done.status, 0, done.stderr);
    const checked = cli('selfcheck', '--data', data, '--json');
    assert.strictEqual(checked.code, EXIT_FOUND, checked.err);
    assert.strictEqual(JSON.parse(checked.out).ok, false);
    assert.strictEqual(verdicts(checked.out).store, 'wrong');
    assert.match(cli('selfcheck', '--data', data).out, /^store +WRONG +.*append-only/m);
  },

  'a store that is none: exit code 3, and the other checks all the same': () => {
    fs.writeFileSync(`${folder}/no.db`, 'this is no database, but long enough to look like a file');
    const done = cli('selfcheck', '--data', data, '--store', `sqlite:${folder}/no.db`, '--json');
    assert.strictEqual(done.code, EXIT_STORE);
    assert.deepStrictEqual(Object.keys(verdicts(done.out)), NAMES);
    assert.strictEqual(verdicts(done.out).store, 'wrong');
  },
};

(async () => {
  const failed = await run(parts);
  fs.rmSync(folder, { recursive: true });
  process.exitCode = failed > 0 ? 1 : 0;
})();
