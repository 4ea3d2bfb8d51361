// The importer on PostgreSQL: transfers and a bank's book from real_input, compared to the last
// base unit with what real_input/expect.py computes; killed on the way, twice; replay and verify.
// ctest: timeout=600
'use strict';
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { Postgres } = require('./lib/postgres.js');
const { BIN, temporaryFolder } = require('./lib/server.js');

const here = path.join(__dirname, 'real_input');
const seed = process.env.HF_SEED ?? String(Date.now() % 1000000);

// The files that were published where they are at hand, else generated ones of the same shape.
function input(work) {
  const real = process.env.HOLDFAST_REAL_INPUT ?? path.join(__dirname, '../../../shared/data');
  if (fs.existsSync(path.join(real, 'oneinch_gas_refunds.csv'))) return [real, 'REAL'];
  const made = path.join(work, 'input');
  const done = spawnSync('python3', [path.join(here, 'generate.py'), made, seed],
    { stdio: 'inherit' });
  if (done.status !== 0) throw new Error('no input was generated');
  return [made, 'GENERATED'];
}

// The beginnings of the two files: a database's fsync bounds what a test can bring in.
function shortened(folder, work) {
  const short = path.join(work, 'short');
  fs.mkdirSync(short);
  for (const [file, lines] of [['eth_native_transfers.csv', 5000],
    ['berka_bank_transactions.csv', 15000]]) {
    const text = fs.readFileSync(path.join(folder, file), 'utf8').split('\n');
    fs.writeFileSync(path.join(short, file), `${text.slice(0, lines + 1).join('\n')}\n`);
  }
  return short;
}

async function main() {
  const work = temporaryFolder();
  process.env.PYTHONDONTWRITEBYTECODE = '1';
  const [folder, kind] = input(work);
  const pg = await Postgres.start();
  await pg.createDatabase('killed');
  console.log(`input: ${kind.toLowerCase()}; seed ${seed} (HF_SEED repeats it)`);
  const child = spawn('python3', [path.join(here, 'run.py'), BIN, shortened(folder, work), work,
    kind, seed, pg.dsn(), pg.dsn({ database: 'killed' })], { stdio: 'inherit' });
  const code = await new Promise((done) => child.on('exit', done));
  await pg.remove();
  fs.rmSync(work, { recursive: true, force: true });
  process.exit(code === 0 ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
