// The peer: POST /v1/ops of a payments service with a ledger, in as many processes as told. It
// takes the same requests as Holdfast, so that one generator drives both.
//
// usage: node server.js PORT PROCESSES     PGHOST, PGPORT, PGUSER and PGDATABASE name the database
import cluster from 'node:cluster';
import Fastify from 'fastify';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { Refusal, run } from './ledger.js';

const POOL_SIZE = 16; // connections per process

const body = {
  type: 'object',
  required: ['type', 'user_id', 'asset', 'amount'],
  additionalProperties: false,
  properties: {
    type: { enum: ['spend', 'hold', 'capture'] },
    user_id: { type: 'string', pattern: '^[0-9]{1,16}$' },
    asset: { const: 'COIN' },
    amount: { type: 'string', pattern: '^[0-9]{1,12}(\\.[0-9]{1,8})?$' },
    hold_id: { type: 'string', pattern: '^[0-9]{1,16}$' },
    timeout_s: { type: 'integer', minimum: 1 },
  },
};
const headers = {
  type: 'object',
  required: ['idempotency-key'],
  properties: { 'idempotency-key': { type: 'string', minLength: 1, maxLength: 255 } },
};
const response = {
  201: {
    type: 'object',
    properties: {
      op_id: { type: 'string' }, type: { type: 'string' }, status: { type: 'string' },
      user_id: { type: 'string' }, version: { type: 'integer' }, hold_id: { type: 'string' },
      balances: { type: 'object', properties: { claimable: { type: 'string' } } },
    },
  },
};

async function serve(port) {
  const db = new Kysely({
    dialect: new PostgresDialect({ pool: new pg.Pool({ max: POOL_SIZE }) }),
  });
  const app = Fastify({ logger: false });
  app.post('/v1/ops', { schema: { body, headers, response } }, async (request, answer) => {
    try {
      const result = await run(db, request.headers['idempotency-key'], request.body);
      answer.code(result.status);
      return result.body;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answer.code(error.status).type('application/problem+json');
      return { title: error.code, status: error.status, code: error.code };
    }
  });
  app.get('/readyz', async () => ({ status: 'ready' }));
  await app.listen({ host: '127.0.0.1', port });
  process.on('SIGTERM', async () => {
    await app.close();
    await db.destroy();
    process.exit(0);
  });
}

const [port, processes] = process.argv.slice(2).map(Number);
if (cluster.isPrimary) {
  for (let i = 0; i < processes; i++) cluster.fork();
  cluster.on('exit', (worker, code) => process.exit(code === 0 ? 0 : 1));
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
  });
} else {
  await serve(port);
}
