/* pg_migrations.c - see the header. */
#include "adapters/store_postgres/pg_migrations.h"

#include <stddef.h>

/* ---- 1: the journal and what commits write --------------------------------------------------- */

static const char META_1[] =
  "CREATE TABLE schema_migrations("
  "version integer CONSTRAINT schema_migrations_pkey PRIMARY KEY,checksum bytea NOT NULL,"
  "applied_at timestamptz NOT NULL DEFAULT clock_timestamp());"
  "CREATE TABLE meta(key text CONSTRAINT meta_pkey PRIMARY KEY,value text NOT NULL);"
  "INSERT INTO meta(key,value) VALUES('program','holdfast'),('partition_bits','{bits}'),"
  "('catalog_revision','1'),('secret',"
  "encode(sha256(uuid_send(gen_random_uuid())||uuid_send(gen_random_uuid())),'hex'));"

  "CREATE FUNCTION hf_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
  "RAISE EXCEPTION '% is append-only',TG_TABLE_NAME USING ERRCODE='HF002'; END $$;";

/* Rows that never change are frozen while their pages are still in the same checkpoint: 15 bytes of
 * log for each, and 119 later. docs/SIZING.md. */
#define FREEZE_EARLY                                                                               \
  " WITH(autovacuum_freeze_min_age=0,autovacuum_vacuum_insert_scale_factor=0,"                     \
  "autovacuum_vacuum_insert_threshold=100000)"

/* The newest entry of a user carries the balances; there is no balance row for a commit to write.
 * key: the idempotency key's digest, on the first entry of an op that a client named; the unique
 * index over it is what judges a repeated key. */
static const char JOURNAL_1[] =
  "CREATE TABLE journal("
  "user_id bigint NOT NULL,seq bigint NOT NULL,version bigint NOT NULL,key uuid,"
  "partition smallint NOT NULL,hash bytea NOT NULL,body bytea NOT NULL,"
  "CONSTRAINT journal_pkey PRIMARY KEY(partition,seq))" FREEZE_EARLY ";"
  "CREATE UNIQUE INDEX journal_version ON journal(partition,user_id,version);"
  "CREATE UNIQUE INDEX journal_key ON journal(partition,user_id,key) WHERE key IS NOT NULL;"
  "CREATE TRIGGER journal_rows BEFORE UPDATE OR DELETE ON journal FOR EACH ROW "
  "EXECUTE FUNCTION hf_append_only();"
  "CREATE TRIGGER journal_all BEFORE TRUNCATE ON journal FOR EACH STATEMENT "
  "EXECUTE FUNCTION hf_append_only();"

  "CREATE TABLE batches("
  "number bigint NOT NULL,epoch bigint NOT NULL,first_seq bigint NOT NULL,"
  "committed_us bigint NOT NULL,entries_count integer NOT NULL,outcomes_count integer NOT NULL,"
  "rows_count integer NOT NULL,partition smallint NOT NULL,previous bytea NOT NULL,"
  "hash bytea NOT NULL,CONSTRAINT batches_pkey PRIMARY KEY(partition,number))" FREEZE_EARLY ";"
  "CREATE TRIGGER batches_rows BEFORE UPDATE OR DELETE ON batches FOR EACH ROW "
  "EXECUTE FUNCTION hf_append_only();"
  "CREATE TRIGGER batches_all BEFORE TRUNCATE ON batches FOR EACH STATEMENT "
  "EXECUTE FUNCTION hf_append_only();"

  /* place: 0-based among the outcomes of its batch; the batch's hash is over them in this order. */
  "CREATE TABLE outcomes("
  "partition smallint NOT NULL,user_id bigint NOT NULL,key uuid NOT NULL,request uuid NOT NULL,"
  "code text NOT NULL,type smallint NOT NULL,version bigint NOT NULL,recorded_us bigint NOT NULL,"
  "batch bigint NOT NULL,place integer NOT NULL,"
  "CONSTRAINT outcomes_pkey PRIMARY KEY(partition,user_id,key));"
  "CREATE UNIQUE INDEX outcomes_batch ON outcomes(partition,batch,place);"
  "CREATE TRIGGER outcomes_rows BEFORE UPDATE OR DELETE ON outcomes FOR EACH ROW "
  "EXECUTE FUNCTION hf_append_only();"
  "CREATE TRIGGER outcomes_all BEFORE TRUNCATE ON outcomes FOR EACH STATEMENT "
  "EXECUTE FUNCTION hf_append_only();"

  "CREATE FUNCTION hf_erase_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
  "IF TG_OP='UPDATE' AND NEW.partition=OLD.partition AND NEW.op=OLD.op AND NEW.salt IS NULL "
  "AND NEW.json IS NULL THEN RETURN NEW; END IF;"
  "RAISE EXCEPTION 'metadata can only be erased' USING ERRCODE='HF002'; END $$;"
  "CREATE TABLE entry_metadata("
  "partition smallint NOT NULL,op bigint NOT NULL,salt bytea,json text,"
  "CONSTRAINT entry_metadata_pkey PRIMARY KEY(partition,op));"
  "CREATE TRIGGER entry_metadata_rows BEFORE UPDATE OR DELETE ON entry_metadata FOR EACH ROW "
  "EXECUTE FUNCTION hf_erase_only();"
  "CREATE TRIGGER entry_metadata_all BEFORE TRUNCATE ON entry_metadata FOR EACH STATEMENT "
  "EXECUTE FUNCTION hf_append_only();"

  /* Entries that take effect before they were recorded: what a balance at an effective time is
   * corrected by, in the order in which they were recorded. */
  "CREATE TABLE backdated("
  "partition smallint NOT NULL,user_id bigint NOT NULL,seq bigint NOT NULL,"
  "effective_us bigint NOT NULL,asset integer NOT NULL,source smallint NOT NULL,"
  "target smallint NOT NULL,amount bytea NOT NULL,"
  "CONSTRAINT backdated_pkey PRIMARY KEY(partition,user_id,seq));"

  "REVOKE UPDATE,DELETE,TRUNCATE ON journal,batches,outcomes,backdated FROM PUBLIC;"
  "REVOKE DELETE,TRUNCATE ON entry_metadata FROM PUBLIC;";

static const char ROWS_1[] =
  "CREATE TABLE users("
  "partition smallint NOT NULL,id bigint NOT NULL,kind smallint NOT NULL,status smallint NOT NULL,"
  "created_us bigint NOT NULL,external_id text,profile text,"
  "CONSTRAINT users_pkey PRIMARY KEY(partition,id));"

  /* user_id: 0 while it is reserved for a user that another partition is to make. */
  "CREATE TABLE names("
  "partition smallint NOT NULL,kind smallint NOT NULL,digest bytea NOT NULL,"
  "state smallint NOT NULL,request uuid NOT NULL,user_id bigint NOT NULL,"
  "created_us bigint NOT NULL,"
  "user_partition smallint GENERATED ALWAYS AS ((user_id&{mask})::smallint) STORED,"
  "CONSTRAINT names_pkey PRIMARY KEY(partition,kind,digest));"
  "CREATE INDEX names_user ON names(user_partition,user_id);"
  "CREATE INDEX names_reserved ON names(partition,kind,digest) WHERE state=0;"

  "CREATE TABLE holds("
  "partition smallint NOT NULL,id bigint NOT NULL,user_id bigint NOT NULL,asset integer NOT NULL,"
  "state smallint NOT NULL,amount bytea NOT NULL,remaining bytea NOT NULL,"
  "created_us bigint NOT NULL,expires_us bigint NOT NULL,resolved_us bigint NOT NULL,"
  "CONSTRAINT holds_pkey PRIMARY KEY(partition,id));"
  "CREATE INDEX holds_open ON holds(partition,user_id,id) WHERE state=0;"
  "CREATE INDEX holds_closed ON holds(partition,user_id,id) WHERE state<>0;"
  "CREATE INDEX holds_due ON holds(partition,expires_us,id) WHERE state=0 AND expires_us>0;"

  "CREATE TABLE blocks("
  "partition smallint NOT NULL,id bigint NOT NULL,user_id bigint NOT NULL,asset integer NOT NULL,"
  "bucket smallint NOT NULL,open boolean NOT NULL,amount bytea NOT NULL,"
  "remaining bytea NOT NULL,created_us bigint NOT NULL,resolved_us bigint NOT NULL,"
  "CONSTRAINT blocks_pkey PRIMARY KEY(partition,id));"
  "CREATE INDEX blocks_open ON blocks(partition,user_id,id) WHERE open;"

  /* partition: the payer's, which is the id's. */
  "CREATE TABLE transfers("
  "partition smallint NOT NULL,id bigint NOT NULL,payer bigint NOT NULL,payee bigint NOT NULL,"
  "asset integer NOT NULL,state smallint NOT NULL,amount bytea NOT NULL,credit bigint NOT NULL,"
  "created_us bigint NOT NULL,CONSTRAINT transfers_pkey PRIMARY KEY(partition,id));"
  "CREATE INDEX transfers_transit ON transfers(partition,id) WHERE state=0;"

  "CREATE TABLE reversals("
  "partition smallint NOT NULL,original bigint NOT NULL,op bigint NOT NULL,amount bytea NOT NULL,"
  "CONSTRAINT reversals_pkey PRIMARY KEY(partition,original,op));";

/* Small tables of the whole database. catalog_revision moves with the transaction that changed an
 * asset or a key: whoever sees the new number sees the change. */
static const char CATALOG_1[] =
  "CREATE TABLE assets("
  "id integer CONSTRAINT assets_pkey PRIMARY KEY,scale smallint NOT NULL,"
  "chain_decimals smallint NOT NULL,code text NOT NULL CONSTRAINT assets_code UNIQUE,"
  "name text NOT NULL,chain text NOT NULL,contract text NOT NULL,created_us bigint NOT NULL);"
  "CREATE TABLE service_keys("
  "id text CONSTRAINT service_keys_pkey PRIMARY KEY,secret bytea NOT NULL,scopes bigint NOT NULL,"
  "created_us bigint NOT NULL,revoked_us bigint NOT NULL,name text NOT NULL);"
  "CREATE FUNCTION hf_catalog_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
  "UPDATE meta SET value=(value::bigint+1)::text WHERE key='catalog_revision';"
  "RETURN NULL; END $$;"
  "CREATE TRIGGER assets_changed AFTER INSERT OR UPDATE OR DELETE ON assets "
  "FOR EACH STATEMENT EXECUTE FUNCTION hf_catalog_changed();"
  "CREATE TRIGGER service_keys_changed AFTER INSERT OR UPDATE OR DELETE ON service_keys "
  "FOR EACH STATEMENT EXECUTE FUNCTION hf_catalog_changed();"

  /* epoch: of the newest writer; owner: the node that has the partition, NULL when it is free. */
  "CREATE TABLE partitions("
  "partition smallint CONSTRAINT partitions_pkey PRIMARY KEY,epoch bigint NOT NULL,owner bigint)"
  " WITH (fillfactor=50);"
  "INSERT INTO partitions(partition,epoch) SELECT p,0 FROM generate_series(0,{mask}) p;"
  /* No beat comes twice, not even of a node that was buried and came back. */
  "CREATE SEQUENCE node_beats;"
  "CREATE TABLE nodes("
  "id bigint CONSTRAINT nodes_pkey PRIMARY KEY,address text NOT NULL,takes boolean NOT NULL,"
  "beat bigint NOT NULL,beaten_at timestamptz NOT NULL) WITH (fillfactor=50);";

/* ---- 2: projections, and the journal for people ---------------------------------------------- */

static const char PROJECTIONS_2[] =
  "CREATE TABLE ledger_balances("
  "partition smallint NOT NULL,user_id bigint NOT NULL,asset integer NOT NULL,"
  "version bigint NOT NULL,earned numeric(39,0) NOT NULL,pending numeric(39,0) NOT NULL,"
  "claimable numeric(39,0) NOT NULL,held numeric(39,0) NOT NULL,claiming numeric(39,0) NOT NULL,"
  "blocked numeric(39,0) NOT NULL,quarantine numeric(39,0) NOT NULL,debt numeric(39,0) NOT NULL,"
  "claimed_total numeric(39,0) NOT NULL,spent_total numeric(39,0) NOT NULL,"
  "CONSTRAINT ledger_balances_pkey PRIMARY KEY(partition,user_id,asset)) WITH (fillfactor=80);"
  "CREATE TABLE system_totals("
  "partition smallint NOT NULL,account smallint NOT NULL,asset integer NOT NULL,"
  "label text COLLATE \"C\" NOT NULL,sum numeric(39,0) NOT NULL,"
  "CONSTRAINT system_totals_pkey PRIMARY KEY(partition,account,asset,label)) "
  "WITH (fillfactor=50);"
  "CREATE TABLE projection_marks("
  "partition smallint CONSTRAINT projection_marks_pkey PRIMARY KEY,seq bigint NOT NULL) "
  "WITH (fillfactor=50);"
  "INSERT INTO projection_marks(partition,seq) SELECT p,0 FROM generate_series(0,{mask}) p;"
  "CREATE TABLE replay_runs("
  "id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT replay_runs_pkey PRIMARY KEY,"
  "started_us bigint NOT NULL,ended_us bigint NOT NULL,entries bigint NOT NULL,"
  "users bigint NOT NULL,differences bigint NOT NULL,repaired boolean NOT NULL);";

/* The canonical bytes of an entry, read in SQL. Every function is a pure one of its arguments. */
static const char DECODER_2[] =
  "CREATE FUNCTION hf_amount(amount bytea) RETURNS numeric LANGUAGE plpgsql "
  "IMMUTABLE STRICT PARALLEL SAFE AS $$ DECLARE total numeric:=0; BEGIN "
  "FOR i IN 0..15 LOOP total:=total*256+get_byte(amount,i); END LOOP;"
  "RETURN total-170141183460469231731687303715884105728; END $$;"

  /* A varint: seven bits a byte, the lowest first. */
  "CREATE FUNCTION hf_varint(body bytea,INOUT at integer,OUT value numeric) LANGUAGE plpgsql "
  "IMMUTABLE STRICT PARALLEL SAFE AS $$ DECLARE byte integer; unit numeric:=1; BEGIN value:=0;"
  "LOOP byte:=get_byte(body,at); at:=at+1; value:=value+(byte&127)*unit;"
  "EXIT WHEN byte<128; unit:=unit*128; END LOOP; END $$;"
  /* A signed one: zigzag. */
  "CREATE FUNCTION hf_signed(body bytea,INOUT at integer,OUT value numeric) LANGUAGE plpgsql "
  "IMMUTABLE STRICT PARALLEL SAFE AS $$ BEGIN "
  "SELECT v.at,CASE WHEN v.value%2=0 THEN div(v.value,2) ELSE -div(v.value+1,2) END "
  "INTO at,value FROM hf_varint(body,at) v; END $$;"
  "CREATE FUNCTION hf_text(body bytea,INOUT at integer,OUT value text) LANGUAGE plpgsql "
  "IMMUTABLE STRICT PARALLEL SAFE AS $$ DECLARE size integer; BEGIN "
  "size:=get_byte(body,at); value:=convert_from(substr(body,at+2,size),'UTF8');"
  "at:=at+1+size; END $$;"

  "CREATE FUNCTION hf_type_name(type integer) RETURNS text LANGUAGE sql "
  "IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT (ARRAY["
  "'earn','settle','mature','grant','deposit','spend','hold','capture','void','block','unblock',"
  "'transfer','adjust','quarantine','release','reverse','expire','credit','bounce'])[type] $$;"
  "CREATE FUNCTION hf_account_name(account integer) RETURNS text LANGUAGE sql "
  "IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT CASE WHEN account<16 THEN (ARRAY["
  "'earned','pending','claimable','held','claiming','blocked','quarantine','debt'])[account+1] "
  "ELSE (ARRAY['sys:issuance','sys:rewards','sys:spend','sys:onchain_paid','sys:fees',"
  "'sys:psp_clearing','sys:chain_in','sys:adjustments','sys:goodwill','sys:transit'])"
  "[account-15] END $$;";

static const char ENTRY_2[] =
  "CREATE FUNCTION hf_entry(body bytea,OUT user_id bigint,OUT version bigint,OUT type integer,"
  "OUT op_index integer,OUT op_count integer,OUT from_account integer,OUT to_account integer,"
  "OUT asset integer,OUT amount numeric,OUT after numeric[],OUT recorded_us bigint,"
  "OUT effective_us bigint,OUT key uuid,OUT request uuid,OUT ref bigint,OUT ref_left numeric,"
  "OUT counterparty bigint,OUT expires_us bigint,OUT label text,OUT actor text,"
  "OUT correlation text,OUT metadata_hash bytea,OUT others bigint[]) "
  "LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$ "
  "DECLARE at integer:=1; value numeric; other numeric; BEGIN "
  "IF get_byte(body,0)<>1 THEN RAISE EXCEPTION 'not an entry' USING ERRCODE='HF003'; END IF;"
  "SELECT * INTO at,user_id FROM hf_varint(body,at);"
  "SELECT * INTO at,version FROM hf_varint(body,at);"
  "type:=get_byte(body,at); op_index:=get_byte(body,at+1); op_count:=get_byte(body,at+2);"
  "from_account:=get_byte(body,at+3); to_account:=get_byte(body,at+4); at:=at+5;"
  "SELECT * INTO at,asset FROM hf_varint(body,at);"
  "SELECT * INTO at,amount FROM hf_signed(body,at);"
  "FOR i IN 1..10 LOOP SELECT * INTO at,value FROM hf_signed(body,at);"
  "after[i]:=value; END LOOP;"
  "SELECT * INTO at,recorded_us FROM hf_signed(body,at);"
  "SELECT * INTO at,effective_us FROM hf_signed(body,at);"
  "effective_us:=recorded_us+effective_us;"
  "key:=encode(substr(body,at+1,16),'hex')::uuid;"
  "request:=encode(substr(body,at+17,16),'hex')::uuid; at:=at+32;"
  "SELECT * INTO at,ref FROM hf_varint(body,at);"
  "SELECT * INTO at,ref_left FROM hf_signed(body,at);"
  "SELECT * INTO at,counterparty FROM hf_varint(body,at);"
  "SELECT * INTO at,expires_us FROM hf_signed(body,at);"
  "SELECT * INTO at,label FROM hf_text(body,at);"
  "SELECT * INTO at,actor FROM hf_text(body,at);"
  "SELECT * INTO at,correlation FROM hf_text(body,at);"
  "IF get_byte(body,at)=1 THEN metadata_hash:=substr(body,at+2,32); at:=at+32; END IF;"
  "SELECT * INTO at,value FROM hf_varint(body,at+1); others:='{}';"
  "FOR i IN 1..value::integer LOOP SELECT * INTO at,value FROM hf_varint(body,at);"
  "SELECT * INTO at,other FROM hf_varint(body,at);"
  "others:=others||value::bigint||other::bigint; END LOOP;"
  "IF at<>length(body) THEN RAISE EXCEPTION 'not an entry' USING ERRCODE='HF003'; END IF;"
  "END $$;";

static const char VIEWS_2[] =
  "CREATE FUNCTION hf_time(us bigint) RETURNS timestamptz LANGUAGE sql "
  "IMMUTABLE STRICT PARALLEL SAFE AS $$ "
  "SELECT timestamptz 'epoch'+us*interval '1 microsecond' $$;"
  "CREATE VIEW ledger_transactions AS SELECT "
  "(j.seq<<{bits})|j.partition AS id,((j.seq-e.op_index)<<{bits})|j.partition AS op_id,"
  "j.partition,j.seq,j.user_id,j.version,hf_type_name(e.type) AS type,e.op_index,e.op_count,"
  "e.asset AS asset_id,a.code AS asset,a.scale,"
  "hf_account_name(e.from_account) AS from_account,hf_account_name(e.to_account) AS to_account,"
  "e.amount AS amount_units,e.amount*('1e-'||a.scale)::numeric AS amount,"
  "e.after[1] AS earned,e.after[2] AS pending,e.after[3] AS claimable,e.after[4] AS held,"
  "e.after[5] AS claiming,e.after[6] AS blocked,e.after[7] AS quarantine,e.after[8] AS debt,"
  "e.after[9] AS claimed_total,e.after[10] AS spent_total,"
  "hf_time(e.effective_us) AS effective_at,hf_time(e.recorded_us) AS recorded_at,"
  "e.key AS key_digest,e.request AS request_digest,nullif(e.ref,0) AS ref,e.ref_left,"
  "nullif(e.counterparty,0) AS counterparty,hf_time(nullif(e.expires_us,0)) AS expires_at,"
  "nullif(e.label,'') AS label,e.actor,nullif(e.correlation,'') AS correlation_id,"
  "m.json AS metadata,e.metadata_hash,j.hash "
  "FROM journal j CROSS JOIN LATERAL hf_entry(j.body) e "
  "LEFT JOIN assets a ON a.id=e.asset "
  "LEFT JOIN entry_metadata m ON m.partition=j.partition "
  "AND m.op=((j.seq-e.op_index)<<{bits})|j.partition;";

/* ---- 3: user_earnings ------------------------------------------------------------------------ */

/* The table may be there already, with any of its columns missing. */
static const char EARNINGS_3[] =
  "CREATE TABLE IF NOT EXISTS user_earnings("
  "partition smallint NOT NULL,id bigint GENERATED BY DEFAULT AS IDENTITY,user_id bigint NOT NULL,"
  "CONSTRAINT user_earnings_pkey PRIMARY KEY(partition,id));"
  "ALTER TABLE user_earnings "
  "ADD COLUMN IF NOT EXISTS id bigint GENERATED BY DEFAULT AS IDENTITY,"
  "ADD COLUMN IF NOT EXISTS partition smallint,"
  "ADD COLUMN IF NOT EXISTS user_id bigint,"
  "ADD COLUMN IF NOT EXISTS current_earnings numeric(18,8) DEFAULT 0,"
  "ADD COLUMN IF NOT EXISTS earning_rate numeric(18,8) DEFAULT 0,"
  "ADD COLUMN IF NOT EXISTS last_update timestamptz DEFAULT CURRENT_TIMESTAMP,"
  "ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT CURRENT_TIMESTAMP,"
  "ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT CURRENT_TIMESTAMP,"
  "ADD COLUMN IF NOT EXISTS total_earned numeric(18,8) DEFAULT 0,"
  "ADD COLUMN IF NOT EXISTS start_date timestamptz DEFAULT CURRENT_TIMESTAMP,"
  "ADD COLUMN IF NOT EXISTS base_earning_rate numeric(18,8) DEFAULT 0,"
  "ADD COLUMN IF NOT EXISTS sync_status varchar(20) DEFAULT 'synced',"
  "ADD COLUMN IF NOT EXISTS last_sync_attempt timestamptz,"
  "ADD COLUMN IF NOT EXISTS retry_count integer DEFAULT 0;"
  "CREATE INDEX IF NOT EXISTS idx_user_earnings_user_sync "
  "ON user_earnings(user_id,sync_status,last_update);"
  "CREATE INDEX IF NOT EXISTS idx_user_earnings_retry "
  "ON user_earnings(retry_count,last_sync_attempt) WHERE sync_status='failed';";

/* ---- 4: heartbeats tell how far a replica is, and by which lease their node lives ------------ */

static const char BEATS_4[] =
  "ALTER TABLE nodes ADD COLUMN sent_us bigint,ADD COLUMN lease_us bigint;";

const struct pg_migration pg_migrations[] = {
  {"journal, users, names, holds, catalogue, nodes", {META_1, JOURNAL_1, ROWS_1, CATALOG_1}},
  {"projections and the journal for people", {PROJECTIONS_2, DECODER_2, ENTRY_2, VIEWS_2}},
  {"user_earnings with its synchronisation columns", {EARNINGS_3}},
  {"heartbeats say when they were sent, and by which lease", {BEATS_4}},
};
const unsigned pg_migrations_count = sizeof pg_migrations / sizeof pg_migrations[0];

const char *const pg_table_names[] = {
  "assets",
  "backdated",
  "batches",
  "blocks",
  "entry_metadata",
  "holds",
  "journal",
  "ledger_balances",
  "ledger_transactions",
  "meta",
  "names",
  "nodes",
  "node_beats",
  "outcomes",
  "partitions",
  "projection_marks",
  "replay_runs",
  "reversals",
  "schema_migrations",
  "service_keys",
  "system_totals",
  "transfers",
  "users",
};
const unsigned pg_table_names_count = sizeof pg_table_names / sizeof pg_table_names[0];
