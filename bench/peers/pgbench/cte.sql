-- The tuned ledger: one statement debits the account if it has enough and inserts the posting with
-- the balance after it; the unique key makes a retry fail.
\set account random(1, 10000)
\set amount random(1, 100)
WITH debit AS (
  UPDATE accounts SET balance = balance - :amount::bigint, version = version + 1
  WHERE id = :account::bigint AND balance >= :amount::bigint
  RETURNING id, balance, version
)
INSERT INTO postings (key, account_id, amount, balance_after, version)
  SELECT gen_random_uuid(), id, -(:amount::bigint), balance, version FROM debit;
