/* pg_statements_commit.h - the statements of a commit. X(NAME, SQL)
 *
 * Each takes one array per column and works on all rows of its kind at once. A statement that must
 * touch every row it names ends with PG_ALL(cte): a text that is no number (22P02) rolls the round
 * back and tells whoever reads the server's log what it means.
 * BACKEND_END ends a backend that waits for the rest of a round that will not come. One that waits
 * for a synchronous standby is let alone: ending it would show a commit that is not safe yet.
 * The ..._THERE statements are asked after such a failure: they give the 1-based places of the
 * rows that exist. */
#ifndef HOLDFAST_PG_STATEMENTS_COMMIT_H
#define HOLDFAST_PG_STATEMENTS_COMMIT_H

#define PG_OR_BACK(condition, why) "(CASE WHEN " condition " THEN '1' ELSE '" why "' END)::int"
#define PG_ALL(cte)                                                                                \
  " SELECT " PG_OR_BACK("count(*)=cardinality($1)",                                                \
                        "holdfast takes a commit back: a row is not as it was") " FROM " cte
#define PG_THERE(columns, table, condition)                                                        \
  "SELECT m.place FROM unnest(" columns " WHERE EXISTS(SELECT 1 FROM " table " WHERE " condition ")"

/* A batch follows the newest one of its partition, or nothing is written. */
#define PG_SQL_BATCH                                                                               \
  "WITH m AS (SELECT * FROM unnest($1::int2[],$2::int8[],$3::int8[],$4::int8[],$5::int4[],"        \
  "$6::int4[],$7::int4[],$8::int8[],$9::bytea[],$10::bytea[]) AS m(partition,number,epoch,"        \
  "first_seq,entries_count,outcomes_count,rows_count,committed_us,previous,hash)),"                \
  "put AS (INSERT INTO batches(partition,number,epoch,first_seq,entries_count,outcomes_count,"     \
  "rows_count,committed_us,previous,hash) SELECT m.* FROM m LEFT JOIN LATERAL ("                   \
  "SELECT b.number,b.epoch,b.first_seq+b.entries_count AS next,b.hash FROM batches b "             \
  "WHERE b.partition=m.partition ORDER BY b.number DESC LIMIT 1) n ON true "                       \
  "WHERE m.number=coalesce(n.number,0)+1 AND m.epoch>=coalesce(n.epoch,0) "                        \
  "AND m.first_seq=coalesce(n.next,1) AND m.previous=coalesce(n.hash,m.previous) RETURNING 1)"

#define PG_SQL_NEWEST                                                                              \
  "SELECT m.place,n.number,n.epoch,n.next,n.hash FROM unnest($1::int2[]) "                         \
  "WITH ORDINALITY m(partition,place) CROSS JOIN LATERAL ("                                        \
  "SELECT b.number,b.epoch,b.first_seq+b.entries_count AS next,b.hash FROM batches b "             \
  "WHERE b.partition=m.partition ORDER BY b.number DESC LIMIT 1) n"

/* $4: look in the journal as well, whose own index would find the key anyhow, but later. */
#define PG_SQL_KEYS                                                                                \
  "unnest($1::int2[],$2::int8[],$3::uuid[],$4::bool[]) "                                           \
  "WITH ORDINALITY m(partition,user_id,key,journal,place) CROSS JOIN LATERAL ("                    \
  "SELECT 1 FROM outcomes o WHERE o.partition=m.partition AND o.user_id=m.user_id "                \
  "AND o.key=m.key UNION ALL SELECT 1 FROM journal j WHERE m.journal "                             \
  "AND j.partition=m.partition AND j.user_id=m.user_id AND j.key=m.key AND j.key IS NOT NULL) f"

#define PG_STATEMENTS_COMMIT(X)                                                                    \
  X(BATCH_PUT, PG_SQL_BATCH PG_ALL("put"))                                                         \
  /* Only behind the batch that it chains on: none where the database has gone back. */            \
  X(BATCH_FENCE,                                                                                   \
    "INSERT INTO batches(partition,number,epoch,first_seq,entries_count,outcomes_count,"           \
    "rows_count,committed_us,previous,hash) SELECT $1::int2,$2::int8,$3::int8,$4::int8,0,0,0,"     \
    "$5::int8,$6::bytea,$7::bytea WHERE $2::int8=1 OR EXISTS(SELECT 1 FROM batches b "             \
    "WHERE b.partition=$1::int2 AND b.number=$2::int8-1 AND b.hash=$6::bytea)")                    \
  X(BATCH_HASH, "SELECT hash FROM batches WHERE partition=$1::int2 AND number=$2::int8")           \
  X(BACKEND_END, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid=$1::int4 AND "  \
                 "application_name=current_setting('application_name') AND pid<>pg_backend_pid() " \
                 "AND backend_type='client backend' AND wait_event='ClientRead'")                  \
  /* The newest heartbeat of node $1 that a replica has: when it was sent, by the node's clock. */ \
  X(REPLICA_BEAT, "SELECT sent_us FROM nodes WHERE id=$1 AND pg_is_in_recovery()")                 \
  X(BATCH_NEWEST_OF, PG_SQL_NEWEST)                                                                \
  X(KEYS_ABSENT, "SELECT " PG_OR_BACK("NOT EXISTS(SELECT 1 FROM " PG_SQL_KEYS ")",                 \
                                      "holdfast takes a commit back: it has a key that is known")) \
  X(KEYS_THERE, "SELECT DISTINCT m.place FROM " PG_SQL_KEYS)                                       \
  X(VERSIONS_THERE, PG_THERE("$1::int2[],$2::int8[],$3::int8[]) "                                  \
                             "WITH ORDINALITY m(partition,user_id,version,place)",                 \
                             "journal j",                                                          \
                             "j.partition=m.partition AND j.user_id=m.user_id "                    \
                             "AND j.version=m.version"))                                           \
  X(JOURNAL_PUT,                                                                                   \
    "INSERT INTO journal(user_id,seq,version,key,partition,hash,body) SELECT * FROM "              \
    "unnest($1::int8[],$2::int8[],$3::int8[],$4::uuid[],$5::int2[],$6::bytea[],$7::bytea[])")      \
  X(OUTCOME_PUT,                                                                                   \
    "INSERT INTO outcomes(partition,user_id,key,request,code,type,version,recorded_us,batch,"      \
    "place) SELECT * FROM unnest($1::int2[],$2::int8[],$3::uuid[],$4::uuid[],$5::text[],"          \
    "$6::int2[],$7::int8[],$8::int8[],$9::int8[],$10::int4[])")                                    \
  X(BACKDATED_PUT,                                                                                 \
    "INSERT INTO backdated(partition,user_id,seq,effective_us,asset,source,target,amount) "        \
    "SELECT * FROM unnest($1::int2[],$2::int8[],$3::int8[],$4::int8[],$5::int4[],$6::int2[],"      \
    "$7::int2[],$8::bytea[])")                                                                     \
  PG_STATEMENTS_ROWS(X)

/* Per table: INSERT, UPDATE (where it has one), THERE. */
#define PG_STATEMENTS_ROWS(X)                                                                      \
  X(USER_PUT,                                                                                      \
    "INSERT INTO users(partition,id,kind,status,created_us,external_id,profile) SELECT * FROM "    \
    "unnest($1::int2[],$2::int8[],$3::int2[],$4::int2[],$5::int8[],$6::text[],$7::text[])")        \
  X(USER_SET, "WITH put AS (UPDATE users t SET status=m.status FROM unnest($1::int2[],$2::int8[]," \
              "$3::int2[]) m(partition,id,status) WHERE t.partition=m.partition AND t.id=m.id "    \
              "RETURNING 1)" PG_ALL("put"))                                                        \
  X(USER_THERE, PG_THERE("$1::int2[],$2::int8[]) WITH ORDINALITY m(partition,id,place)",           \
                         "users t", "t.partition=m.partition AND t.id=m.id"))                      \
  X(NAME_PUT,                                                                                      \
    "INSERT INTO names(partition,kind,digest,state,user_id,request,created_us) SELECT * FROM "     \
    "unnest($1::int2[],$2::int2[],$3::bytea[],$4::int2[],$5::int8[],$6::uuid[],$7::int8[])")       \
  X(NAME_SET,                                                                                      \
    "WITH put AS (UPDATE names t SET state=m.state,user_id=m.user_id FROM "                        \
    "unnest($1::int2[],$2::int2[],$3::bytea[],$4::int2[],$5::int8[]) "                             \
    "m(partition,kind,digest,state,user_id) WHERE t.partition=m.partition AND t.kind=m.kind "      \
    "AND t.digest=m.digest RETURNING 1)" PG_ALL("put"))                                            \
  X(NAME_THERE, PG_THERE("$1::int2[],$2::int2[],$3::bytea[]) "                                     \
                         "WITH ORDINALITY m(partition,kind,digest,place)",                         \
                         "names t",                                                                \
                         "t.partition=m.partition AND t.kind=m.kind "                              \
                         "AND t.digest=m.digest"))                                                 \
  X(ASSET_PUT,                                                                                     \
    "INSERT INTO assets(id,scale,chain_decimals,code,name,chain,contract,created_us) "             \
    "SELECT * FROM unnest($1::int4[],$2::int2[],$3::int2[],$4::text[],$5::text[],$6::text[],"      \
    "$7::text[],$8::int8[])")                                                                      \
  X(ASSET_THERE, PG_THERE("$1::int4[],$2::text[]) WITH ORDINALITY m(id,code,place)", "assets t",   \
                          "t.id=m.id OR t.code=m.code"))                                           \
  X(KEY_PUT,                                                                                       \
    "INSERT INTO service_keys(id,revoked_us,secret,scopes,created_us,name) SELECT * FROM "         \
    "unnest($1::text[],$2::int8[],$3::bytea[],$4::int8[],$5::int8[],$6::text[])")                  \
  X(KEY_SET,                                                                                       \
    "WITH put AS (UPDATE service_keys t SET revoked_us=m.revoked_us FROM "                         \
    "unnest($1::text[],$2::int8[]) m(id,revoked_us) WHERE t.id=m.id RETURNING 1)" PG_ALL("put"))   \
  X(KEY_THERE, PG_THERE("$1::text[]) WITH ORDINALITY m(id,place)", "service_keys t", "t.id=m.id")) \
  X(HOLD_PUT,                                                                                      \
    "INSERT INTO holds(partition,id,state,remaining,resolved_us,user_id,asset,amount,created_us,"  \
    "expires_us) SELECT * FROM unnest($1::int2[],$2::int8[],$3::int2[],$4::bytea[],$5::int8[],"    \
    "$6::int8[],$7::int4[],$8::bytea[],$9::int8[],$10::int8[])")                                   \
  X(HOLD_SET,                                                                                      \
    "WITH put AS (UPDATE holds t SET state=m.state,remaining=m.remaining,"                         \
    "resolved_us=m.resolved_us FROM unnest($1::int2[],$2::int8[],$3::int2[],$4::bytea[],"          \
    "$5::int8[]) m(partition,id,state,remaining,resolved_us) WHERE t.partition=m.partition "       \
    "AND t.id=m.id RETURNING 1)" PG_ALL("put"))                                                    \
  X(HOLD_THERE, PG_THERE("$1::int2[],$2::int8[]) WITH ORDINALITY m(partition,id,place)",           \
                         "holds t", "t.partition=m.partition AND t.id=m.id"))                      \
  X(BLOCK_PUT,                                                                                     \
    "INSERT INTO blocks(partition,id,open,remaining,resolved_us,user_id,asset,bucket,amount,"      \
    "created_us) SELECT * FROM unnest($1::int2[],$2::int8[],$3::bool[],$4::bytea[],$5::int8[],"    \
    "$6::int8[],$7::int4[],$8::int2[],$9::bytea[],$10::int8[])")                                   \
  X(BLOCK_SET,                                                                                     \
    "WITH put AS (UPDATE blocks t SET open=m.open,remaining=m.remaining,"                          \
    "resolved_us=m.resolved_us FROM unnest($1::int2[],$2::int8[],$3::bool[],$4::bytea[],"          \
    "$5::int8[]) m(partition,id,open,remaining,resolved_us) WHERE t.partition=m.partition "        \
    "AND t.id=m.id RETURNING 1)" PG_ALL("put"))                                                    \
  X(BLOCK_THERE, PG_THERE("$1::int2[],$2::int8[]) WITH ORDINALITY m(partition,id,place)",          \
                          "blocks t", "t.partition=m.partition AND t.id=m.id"))                    \
  X(TRANSFER_PUT,                                                                                  \
    "INSERT INTO transfers(partition,id,state,credit,payer,payee,asset,amount,created_us) "        \
    "SELECT * FROM unnest($1::int2[],$2::int8[],$3::int2[],$4::int8[],$5::int8[],$6::int8[],"      \
    "$7::int4[],$8::bytea[],$9::int8[])")                                                          \
  X(TRANSFER_SET,                                                                                  \
    "WITH put AS (UPDATE transfers t SET state=m.state,credit=m.credit FROM "                      \
    "unnest($1::int2[],$2::int8[],$3::int2[],$4::int8[]) m(partition,id,state,credit) "            \
    "WHERE t.partition=m.partition AND t.id=m.id RETURNING 1)" PG_ALL("put"))                      \
  X(TRANSFER_THERE, PG_THERE("$1::int2[],$2::int8[]) WITH ORDINALITY m(partition,id,place)",       \
                             "transfers t", "t.partition=m.partition AND t.id=m.id"))              \
  X(REVERSAL_PUT, "INSERT INTO reversals(partition,original,op,amount) SELECT * FROM "             \
                  "unnest($1::int2[],$2::int8[],$3::int8[],$4::bytea[])")                          \
  X(REVERSAL_THERE,                                                                                \
    PG_THERE("$1::int2[],$2::int8[],$3::int8[]) WITH ORDINALITY m(partition,original,op,place)",   \
             "reversals t", "t.partition=m.partition AND t.original=m.original AND t.op=m.op"))    \
  X(META_PUT, "INSERT INTO entry_metadata(partition,op,salt,json) SELECT * FROM "                  \
              "unnest($1::int2[],$2::int8[],$3::bytea[],$4::text[])")                              \
  X(META_ERASE,                                                                                    \
    "WITH put AS (UPDATE entry_metadata t SET salt=NULL,json=NULL FROM "                           \
    "unnest($1::int2[],$2::int8[]) m(partition,op) WHERE t.partition=m.partition AND t.op=m.op "   \
    "RETURNING 1)" PG_ALL("put"))                                                                  \
  X(META_THERE, PG_THERE("$1::int2[],$2::int8[]) WITH ORDINALITY m(partition,op,place)",           \
                         "entry_metadata t", "t.partition=m.partition AND t.op=m.op"))

#endif
