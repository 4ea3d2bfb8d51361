-- The ledger of most tutorials: lock both balance rows, insert two postings, update, commit. The
-- rows are locked in the order of their ids, so that no two transactions wait for each other.
\set payer random(1, 10000)
\set payee 1 + (:payer + random(0, 9998)) % 10000
\set amount random(1, 100)
BEGIN;
SELECT id, balance FROM accounts WHERE id IN (:payer::bigint, :payee::bigint) ORDER BY id FOR UPDATE;
INSERT INTO postings (key, account_id, amount)
  SELECT key, side.account_id, side.amount
  FROM (SELECT gen_random_uuid() AS key OFFSET 0) AS once,
    (VALUES (:payer::bigint, -(:amount::bigint)), (:payee::bigint, :amount::bigint)) AS side (account_id, amount);
UPDATE accounts SET balance = balance + CASE id WHEN :payer::bigint THEN -(:amount::bigint)
  ELSE :amount::bigint END, version = version + 1 WHERE id IN (:payer::bigint, :payee::bigint);
COMMIT;
