// A real PostgreSQL for a test: own folder, own port, ended with the test's process.
//
// PostgreSQL refuses to run as root, so that a test of root's runs it as the user postgres. Nothing
// here blocks the event loop: a proxy of the same process may stand before the server.
'use strict';
const { execFile, execFileSync, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { until } = require('./wait.js');

const ROLE = 'holdfast';
const STOPS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' };

// The folder of the server's programs: what pg_config says, else the newest that Debian has.
function findPrograms() {
  const folders = [];
  try {
    const told = execFileSync('pg_config', ['--bindir'], { encoding: 'utf8', stdio: 'pipe' });
    folders.push(told.trim());
  } catch { /* there is no pg_config */ }
  const debian = '/usr/lib/postgresql';
  if (fs.existsSync(debian)) {
    const versions = fs.readdirSync(debian).map(Number).filter(Boolean).sort((a, b) => b - a);
    folders.push(...versions.map((version) => path.join(debian, String(version), 'bin')));
  }
  const found = folders.find((folder) => fs.existsSync(path.join(folder, 'initdb')));
  if (!found) throw new Error('PostgreSQL is not here: ./dev test installs it');
  return found;
}

// What somebody has set for his own use of PostgreSQL is not for the tests.
for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name];

const programs = findPrograms();
const isRoot = process.getuid() === 0;
// Runs a command as the server's user. The kernel sends `signal` when this process is gone.
const asServer = (signal = 'KILL') => ['setpriv', '--pdeathsig', signal,
  ...(isRoot ? ['--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'] : [])];

const owner = isRoot
  ? ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres'])))
  : [process.getuid(), process.getgid()];

// A program run to its end, as the server's user: what it printed; rejects with what it said.
function run(program, args, { env = process.env, before = [] } = {}) {
  const [command, ...rest] = [...asServer(), ...before, path.join(programs, program), ...args];
  return new Promise((resolve, reject) => {
    execFile(command, rest, { encoding: 'utf8', maxBuffer: 1 << 26, env, cwd: '/' },
      (error, out, err) => {
        if (error) reject(Object.assign(new Error(`${program}: ${err || error.message}`), { err }));
        else resolve(out);
      });
  });
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

// libfaketime, for a server whose clock jumps.
function findFaketime() {
  const places = ['/usr/lib', ...fs.readdirSync('/usr/lib').map((name) => `/usr/lib/${name}`),
    '/usr/lib64', '/usr/local/lib'];
  const found = places.map((place) => path.join(place, 'faketime', 'libfaketime.so.1'))
    .find((file) => fs.existsSync(file));
  if (!found) throw new Error('libfaketime is not here: ./dev test installs it');
  return found;
}

const living = new Set();
process.on('exit', () => { for (const server of living) server.abandon(); });

class Postgres {
  // settings: {name: value} of postgresql.conf. tls: {cert, key}: TLS only, on TCP. mebibytes: the
  // data folder is a file system of that size. clock: jump() works.
  static async start({ settings = {}, tls = null, mebibytes = 0, clock = false } = {}) {
    const server = new Postgres({ settings, tls, clock });
    try {
      if (mebibytes > 0) await server.mount(mebibytes);
      await run('initdb', ['-D', server.data, '-U', ROLE, '-A', 'trust', '-E', 'UTF8', '--locale',
        'C', '-N', '--wal-segsize', '1'], { before: server.inside });
      server.configure();
      await server.start();
      await server.createDatabase('holdfast');
    } catch (error) {
      server.abandon();
      throw error;
    }
    return server;
  }

  constructor({ settings = {}, tls = null, clock = false }) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-pg-'));
    this.data = path.join(this.folder, 'data');
    this.log = path.join(this.folder, 'log');
    this.settings = settings;
    this.tls = tls;
    this.clock = clock ? path.join(this.folder, 'clock') : null;
    this.holder = null;     // keeps the small file system of a test that is not root
    this.inside = [];       // how to get to where that is mounted
    this.files = this.data; // the data folder, as this process sees it
    this.mounted = false;
    this.port = 0;
    this.child = null;
    fs.mkdirSync(this.data, { mode: 0o700 });
    for (const place of [this.folder, this.data]) fs.chownSync(place, ...owner);
    living.add(this);
  }

  // Root mounts it for all to see; anybody else does it in a name space of a process of his.
  async mount(mebibytes) {
    const mount = ['mount', '-t', 'tmpfs', '-o',
      `size=${mebibytes}m,mode=700,uid=${owner[0]},gid=${owner[1]}`, 'tmpfs', this.data];
    if (isRoot) {
      execFileSync(mount[0], mount.slice(1), { stdio: 'pipe' });
      this.mounted = true;
      return;
    }
    const [command, ...rest] = [...asServer(), 'unshare', '--user', '--map-current-user',
      '--keep-caps', '--mount', 'sh', '-c', '"$@" && echo mounted && exec cat', 'sh', ...mount];
    this.holder = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
      this.holder.stdout.once('data', resolve);
      this.holder.once('exit', () => reject(new Error('cannot mount a small file system')));
    });
    this.inside = ['nsenter', '--preserve-credentials', '--user', '--mount', '--target',
      String(this.holder.pid)];
    this.files = `/proc/${this.holder.pid}/root${this.data}`;
  }

  configure() {
    const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: this.folder,
      shared_buffers: '32MB', fsync: 'on', synchronous_commit: 'on', min_wal_size: '2MB',
      recovery_init_sync_method: 'syncfs', dynamic_shared_memory_type: 'mmap', ...this.settings };
    if (this.tls) {
      for (const file of ['cert', 'key']) {
        const copy = path.join(this.folder, `server.${file}`);
        fs.copyFileSync(this.tls[file], copy);
        fs.chmodSync(copy, 0o600);
        fs.chownSync(copy, ...owner);
        settings[`ssl_${file}_file`] = copy;
      }
      settings.ssl = 'on';
      fs.writeFileSync(path.join(this.files, 'pg_hba.conf'),
        'local all all trust\nhostssl all all 127.0.0.1/32 trust\n');
    }
    fs.appendFileSync(path.join(this.files, 'postgresql.conf'),
      Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`).join(''));
  }

  // Until it takes connections, which a hot standby does too. The first start looks for a port.
  async start() {
    for (let tries = this.port === 0 ? 20 : 1; ; tries--) {
      if (this.child === null && !this.hasRun) this.port = await freePort();
      if (await this.tryStart()) break;
      if (tries <= 1) throw new Error(`PostgreSQL does not start\n${this.tail()}`);
    }
    this.hasRun = true;
  }

  async tryStart() {
    const [command, ...before] = [...asServer('QUIT'), ...this.inside];
    if (this.clock) {
      if (!fs.existsSync(this.clock)) this.jump(0);
      // Not into setpriv: what the library makes as root the server could not open.
      before.push('env', `LD_PRELOAD=${findFaketime()}`, `FAKETIME_TIMESTAMP_FILE=${this.clock}`,
        'FAKETIME_NO_CACHE=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'FAKETIME_DISABLE_SHM=1');
    }
    const log = fs.openSync(this.log, 'a');
    const child = spawn(command, [...before, path.join(programs, 'postgres'), '-D', this.data,
      '-p', String(this.port)], { cwd: this.folder, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    const ended = new Promise((done) => child.on('exit', (code) => done({ code })));
    this.child = child;
    this.ended = ended;
    let over = false;
    ended.then(() => { over = true; if (this.child === child) this.child = null; });
    await until('PostgreSQL gets ready', () => over || this.isReady(child.pid), { ms: 60000 });
    return !over;
  }

  isReady(pid) {
    const lines = fs.readFileSync(path.join(this.files, 'postmaster.pid'), 'utf8').split('\n');
    return Number(lines[0]) === pid && (lines[7] ?? '').trim() === 'ready';
  }

  tail() {
    try { return fs.readFileSync(this.log, 'utf8').slice(-4000); } catch { return ''; }
  }

  get running() { return this.child !== null; }

  // 'immediate' is a crash: no checkpoint, recovery at the next start.
  async stop(mode = 'fast') {
    if (this.child === null) return;
    this.child.kill(STOPS[mode]);
    await this.ended;
  }

  async restart(mode = 'fast') {
    await this.stop(mode);
    await this.start();
  }

  // For --store and libpq; `port` is another one when a proxy stands before the server.
  dsn({ database = 'holdfast', port = this.port, host = '127.0.0.1', ...parameters } = {}) {
    const query = new URLSearchParams({ sslmode: this.tls ? 'require' : 'disable', ...parameters });
    return `postgres://${ROLE}@${host}:${port}/${database}?${query}`;
  }

  // SQL through the socket in the folder: past TLS and every proxy. What it gives, as text: rows in
  // lines, values with | between them.
  async psql(sql, { database = 'holdfast', role = ROLE, env = {} } = {}) {
    const out = await run('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', this.folder,
      '-p', String(this.port), '-U', role, '-d', database, '-c', sql],
    { env: { ...process.env, ...env } });
    return out.replace(/\n$/, '');
  }

  async createDatabase(name) {
    await this.psql(`create database "${name}"`, { database: 'postgres' });
  }

  async dump(database = 'holdfast', ...more) {
    return run('pg_dump', ['-h', this.folder, '-p', String(this.port), '-U', ROLE, ...more,
      database]);
  }

  // Changes settings of the running server: null takes one back.
  async set(settings) {
    for (const [name, value] of Object.entries(settings))
      await this.psql(value === null ? `alter system reset ${name}`
        : `alter system set ${name} = '${value}'`,
      { env: { PGOPTIONS: '-c default_transaction_read_only=off' } });
    await this.psql('select pg_reload_conf()');
  }

  // Process ids of the backends that `where` names, of clients over TCP.
  async backends(where = 'true') {
    const out = await this.psql(`select pid from pg_stat_activity where backend_type =
      'client backend' and client_port > 0 and (${where})`);
    return out.split('\n').filter(Boolean).map(Number);
  }

  // A streaming standby of this server. Once it streams, a commit here waits until it has it too,
  // so that nothing acknowledged is lost when it takes over.
  async standby() {
    const standby = new Postgres({ settings: this.settings, tls: this.tls });
    try {
      fs.rmdirSync(standby.data);
      await run('pg_basebackup', ['-D', standby.data, '-R', '-X', 'stream', '-c', 'fast', '-N',
        '-h', this.folder, '-p', String(this.port), '-U', ROLE]);
      fs.appendFileSync(path.join(standby.data, 'postgresql.conf'),
        `unix_socket_directories = '${standby.folder}'\nwal_retrieve_retry_interval = 100ms\n`);
      await standby.start();
      await this.set({ synchronous_standby_names: '*' });
      await until('the standby streams', async () =>
        await this.psql('select count(*) from pg_stat_replication where sync_state = \'sync\'')
          === '1');
    } catch (error) {
      error.message += `\n${standby.tail()}`;
      standby.abandon();
      throw error;
    }
    return standby;
  }

  // A standby becomes a server of its own that waits for nobody.
  async promote() {
    await this.psql('select pg_promote(true, 60)');
    await this.set({ synchronous_standby_names: null });
  }

  // The clock that the server sees, in seconds beside the true one.
  jump(seconds) {
    fs.writeFileSync(`${this.clock}.new`, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`);
    fs.chmodSync(`${this.clock}.new`, 0o644);
    fs.renameSync(`${this.clock}.new`, this.clock);
  }

  // Takes the space that is left in a small data folder; unfill gives it back.
  fill() {
    const file = fs.openSync(path.join(this.files, 'ballast'), 'w');
    for (const size of [1 << 20, 4096]) {
      const block = Buffer.alloc(size, 1);
      try { for (;;) if (fs.writeSync(file, block) < size) break; } catch (error) {
        if (error.code !== 'ENOSPC') throw error;
      }
    }
    fs.closeSync(file);
  }

  unfill() {
    fs.rmSync(path.join(this.files, 'ballast'), { force: true });
  }

  async remove() {
    await this.stop('immediate');
    this.clean();
  }

  clean() {
    if (this.mounted) spawnSync('umount', ['-l', this.data]);
    if (this.holder) this.holder.stdin.end();
    fs.rmSync(this.folder, { recursive: true, force: true });
    living.delete(this);
  }

  // For the way out of a failed test, where nothing can be waited for by events.
  abandon() {
    if (this.child !== null) {
      const { pid } = this.child;
      this.child.kill('SIGQUIT');
      spawnSync('timeout', ['10', 'tail', '--pid', String(pid), '-f', '/dev/null']);
    }
    try { this.clean(); } catch { /* what is left is a folder below $TMPDIR */ }
  }
}

module.exports = { Postgres, freePort };
