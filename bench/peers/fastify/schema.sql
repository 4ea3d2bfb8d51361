-- The ledger of the Fastify peer, as a service on this stack is commonly made: accounts with a
-- balance row each, payments with their events, ledger transactions with postings, and the replies
-- of idempotency keys.
CREATE TABLE accounts (
  user_id bigint NOT NULL,
  bucket text NOT NULL,
  balance bigint NOT NULL CHECK (balance >= 0),
  version bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, bucket)
);
CREATE TABLE payments (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL,
  amount bigint NOT NULL CHECK (amount > 0),
  status text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE payment_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  payment_id bigint NOT NULL REFERENCES payments,
  type text NOT NULL,
  data jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger_transactions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  type text NOT NULL,
  payment_id bigint REFERENCES payments,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger_postings (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transaction_id bigint NOT NULL REFERENCES ledger_transactions,
  user_id bigint NOT NULL,
  account text NOT NULL,
  amount bigint NOT NULL,
  balance_after bigint
);
CREATE INDEX ledger_postings_user ON ledger_postings (user_id, id);
CREATE TABLE idempotency_keys (
  user_id bigint NOT NULL,
  key text NOT NULL,
  request_hash bytea NOT NULL,
  status integer NOT NULL,
  response jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, key)
);
INSERT INTO accounts (user_id, bucket, balance)
  SELECT user_id, bucket, CASE bucket WHEN 'claimable' THEN 100000000000000 ELSE 0 END
  FROM generate_series(1, 10000) AS user_id, unnest(ARRAY['claimable', 'held']) AS bucket;
VACUUM ANALYZE;
