-- The two ledgers that pgbench drives: the same tables, another way to lock.
CREATE TABLE accounts (
  id bigint PRIMARY KEY,
  balance bigint NOT NULL CHECK (balance >= 0),
  version bigint NOT NULL DEFAULT 0
);
CREATE TABLE postings (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key uuid NOT NULL,
  account_id bigint NOT NULL,
  amount bigint NOT NULL,
  balance_after bigint,
  version bigint,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (key, account_id)
);
CREATE INDEX postings_account ON postings (account_id, id);
INSERT INTO accounts (id, balance) SELECT id, 1000000000 FROM generate_series(1, 10000) AS id;
VACUUM ANALYZE;
