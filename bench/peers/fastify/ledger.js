// What the service does to the database: one transaction per request, the idempotency key in it.
import { createHash } from 'node:crypto';
import { sql } from 'kysely';

const SCALE = 8;
const UNIQUE_VIOLATION = '23505';

export class Refusal extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

// "12.5" -> 1250000000n
export function toUnits(text) {
  const [whole, fraction = ''] = text.split('.');
  if (fraction.length > SCALE) throw new Refusal(400, 'invalid_amount');
  const units = BigInt(whole + fraction.padEnd(SCALE, '0'));
  if (units <= 0n) throw new Refusal(400, 'invalid_amount');
  return units;
}

function toText(units) {
  const digits = units.toString().padStart(SCALE + 1, '0');
  return `${digits.slice(0, -SCALE)}.${digits.slice(-SCALE)}`;
}

// Changes one balance; a debit that the balance cannot bear changes nothing.
async function move(trx, userId, bucket, delta) {
  const row = await trx
    .updateTable('accounts')
    .set({ balance: sql`balance + ${delta}`, version: sql`version + 1` })
    .where('user_id', '=', userId)
    .where('bucket', '=', bucket)
    .where(sql`balance + ${delta}`, '>=', 0)
    .returning(['balance', 'version'])
    .executeTakeFirst();
  if (row === undefined) throw new Refusal(409, 'insufficient_funds');
  return row;
}

async function post(trx, type, paymentId, postings) {
  const { id } = await trx
    .insertInto('ledger_transactions')
    .values({ type, payment_id: paymentId })
    .returning('id')
    .executeTakeFirstOrThrow();
  await trx
    .insertInto('ledger_postings')
    .values(postings.map((posting) => ({ transaction_id: id, ...posting })))
    .execute();
  return id;
}

async function addEvent(trx, paymentId, type, data) {
  await trx
    .insertInto('payment_events')
    .values({ payment_id: paymentId, type, data: JSON.stringify(data) })
    .execute();
}

function reply(id, type, userId, claimable, more) {
  return {
    op_id: id, type, status: 'applied', user_id: userId, version: Number(claimable.version),
    balances: { claimable: toText(BigInt(claimable.balance)) }, ...more,
  };
}

const kinds = {
  // One posting: claimable -> spent.
  async spend(trx, { user_id: userId, amount }) {
    const units = toUnits(amount);
    const claimable = await move(trx, userId, 'claimable', -units);
    const id = await post(trx, 'spend', null, [
      { user_id: userId, account: 'claimable', amount: -units, balance_after: claimable.balance },
      { user_id: userId, account: 'sys:spent', amount: units, balance_after: null },
    ]);
    return reply(id, 'spend', userId, claimable, {});
  },

  // Authorizes a payment: claimable -> held.
  async hold(trx, { user_id: userId, amount }) {
    const units = toUnits(amount);
    const claimable = await move(trx, userId, 'claimable', -units);
    const held = await move(trx, userId, 'held', units);
    const payment = await trx
      .insertInto('payments')
      .values({ user_id: userId, amount: units, status: 'authorized' })
      .returning('id')
      .executeTakeFirstOrThrow();
    await addEvent(trx, payment.id, 'authorized', { amount });
    const id = await post(trx, 'authorize', payment.id, [
      { user_id: userId, account: 'claimable', amount: -units, balance_after: claimable.balance },
      { user_id: userId, account: 'held', amount: units, balance_after: held.balance },
    ]);
    return reply(id, 'hold', userId, claimable, { hold_id: payment.id });
  },

  // Captures it: payment, event, ledger transaction and balance in one transaction.
  async capture(trx, { user_id: userId, hold_id: paymentId }) {
    const payment = await trx
      .updateTable('payments')
      .set({ status: 'captured' })
      .where('id', '=', paymentId)
      .where('user_id', '=', userId)
      .where('status', '=', 'authorized')
      .returning('amount')
      .executeTakeFirst();
    if (payment === undefined) throw new Refusal(409, 'hold_resolved');
    const units = BigInt(payment.amount);
    const held = await move(trx, userId, 'held', -units);
    await addEvent(trx, paymentId, 'captured', { amount: toText(units) });
    const id = await post(trx, 'capture', paymentId, [
      { user_id: userId, account: 'held', amount: -units, balance_after: held.balance },
      { user_id: userId, account: 'sys:spent', amount: units, balance_after: null },
    ]);
    return reply(id, 'capture', userId, held, { hold_id: paymentId });
  },
};

// Runs the op once for its key. The key's row goes in last: when another request was first, the
// unique key fails, everything is rolled back, and the stored reply is given.
export async function run(db, key, op) {
  const hash = createHash('sha256').update(JSON.stringify(op)).digest();
  try {
    return await db.transaction().execute(async (trx) => {
      const body = await kinds[op.type](trx, op);
      await trx
        .insertInto('idempotency_keys')
        .values({ user_id: op.user_id, key, request_hash: hash, status: 201,
          response: JSON.stringify(body) })
        .execute();
      return { status: 201, body };
    });
  } catch (error) {
    if (error.code !== UNIQUE_VIOLATION) throw error;
    const stored = await db
      .selectFrom('idempotency_keys')
      .select(['request_hash', 'status', 'response'])
      .where('user_id', '=', op.user_id)
      .where('key', '=', key)
      .executeTakeFirstOrThrow();
    if (!hash.equals(stored.request_hash)) throw new Refusal(422, 'idempotency_conflict');
    return { status: stored.status, body: stored.response };
  }
}
