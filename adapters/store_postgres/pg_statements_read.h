/* pg_statements_read.h - the statements of reads, openings, leases and projections. X(NAME, SQL)
 *
 * $1 is the partition, a smallint, wherever a table is partitioned. Every read finds its rows by an
 * index that begins with it and looks at a bounded number; a test asks EXPLAIN. What has to be true
 * at one moment is one statement: two statements of a round may see different moments. */
#ifndef HOLDFAST_PG_STATEMENTS_READ_H
#define HOLDFAST_PG_STATEMENTS_READ_H

/* Of the row functions in pg_read.h, in their order. */
#define PG_ENTRY_COLUMNS "seq,user_id,version,hash,body"
#define PG_USER_COLUMNS "id,kind,status,created_us,external_id,profile"
#define PG_NAME_COLUMNS "partition,kind,digest,state,request,user_id,created_us"
#define PG_HOLD_COLUMNS "id,user_id,asset,state,amount,remaining,created_us,expires_us,resolved_us"
#define PG_BLOCK_COLUMNS "id,user_id,asset,bucket,open,amount,remaining,created_us,resolved_us"
#define PG_TRANSFER_COLUMNS "id,payer,payee,asset,state,amount,credit,created_us"
#define PG_OUTCOME_COLUMNS "user_id,key,request,code,type,version,recorded_us,batch"
#define PG_BATCH_COLUMNS                                                                           \
  "partition,number,epoch,first_seq,entries_count,outcomes_count,rows_count,committed_us,"         \
  "previous,hash"
#define PG_BALANCE_COLUMNS                                                                         \
  "earned,pending,claimable,held,claiming,blocked,quarantine,debt,claimed_total,spent_total"

/* Rows by a list of keys, each looked up on its own: the planner, which knows averages only, would
 * rather read everything that an average user has and filter it. OFFSET 0 keeps it from that. */
#define PG_SQL_EACH(table, inner, condition, keys)                                                 \
  "SELECT j.* FROM unnest(" keys "::bigint[]) e(key) CROSS JOIN LATERAL (SELECT " inner            \
  " FROM " table " WHERE partition=$1 AND " condition " OFFSET 0) j"

/* A user as an actor needs it, in one statement: its row (part 0), its newest entry (1), its open
 * holds (2) and blocks (3) with the versions of their entries. $3: partition bits. */
#define PG_SQL_LOAD_USER                                                                           \
  "SELECT * FROM (SELECT 0::smallint part,u.id n0,u.kind::bigint n1,u.status::bigint n2,"          \
  "u.created_us n3,(EXISTS(SELECT FROM journal k WHERE k.partition=$1 AND k.user_id=$2 "           \
  "AND k.key IS NOT NULL) OR EXISTS(SELECT FROM outcomes o WHERE o.partition=$1 "                  \
  "AND o.user_id=$2))::integer::bigint n4,0::bigint n5,0::bigint n6,0::bigint n7,"                 \
  "NULL::bytea b0,NULL::bytea b1,u.external_id t0,u.profile t1 "                                   \
  "FROM users u WHERE u.partition=$1 AND u.id=$2 "                                                 \
  "UNION ALL (SELECT 1,j.seq,j.user_id,j.version,0,0,0,0,0,j.hash,j.body,NULL,NULL "               \
  "FROM journal j WHERE j.partition=$1 AND j.user_id=$2 ORDER BY j.version DESC LIMIT 1) "         \
  "UNION ALL SELECT 2,h.id,h.user_id,h.asset,h.state,h.created_us,h.expires_us,h.resolved_us,"     \
  "(SELECT j.version FROM journal j WHERE j.partition=$1 AND j.seq=h.id>>$3::integer "             \
  "AND j.user_id=$2),h.amount,h.remaining,NULL,NULL "                                              \
  "FROM holds h WHERE h.partition=$1 AND h.user_id=$2 AND h.state=0 "                              \
  "UNION ALL SELECT 3,b.id,b.user_id,b.asset,b.bucket,b.open::integer,b.created_us,b.resolved_us," \
  "(SELECT j.version FROM journal j WHERE j.partition=$1 AND j.seq=b.id>>$3::integer "             \
  "AND j.user_id=$2),b.amount,b.remaining,NULL,NULL "                                              \
  "FROM blocks b WHERE b.partition=$1 AND b.user_id=$2 AND b.open) x ORDER BY part,n0"

/* Where a partition's writer goes on, at one moment. NULLs: nothing is there yet. */
#define PG_SQL_PARTITION_STATE                                                                     \
  "SELECT p.epoch,p.owner,(SELECT max(seq) FROM journal WHERE partition=$1),"                      \
  "(SELECT max(id) FROM users WHERE partition=$1),"                                                \
  "(SELECT max(user_id) FROM names WHERE user_partition=$1),"                                      \
  "b.number,b.first_seq,b.entries_count,b.committed_us,b.hash,"                                    \
  "(extract(epoch FROM clock_timestamp())*1000000)::bigint "                                       \
  "FROM partitions p LEFT JOIN LATERAL (SELECT * FROM batches WHERE partition=$1 "                 \
  "ORDER BY number DESC LIMIT 1) b ON true WHERE p.partition=$1"

/* Raises the epoch to $2, if it is one less still and the partition is $3's (0: anybody's), and
 * fences older writers by an empty batch. No row: it was not. */
#define PG_SQL_PARTITION_TAKE                                                                      \
  "WITH raised AS (UPDATE partitions SET epoch=$2::bigint WHERE partition=$1 "                     \
  "AND epoch=$2::bigint-1 "                                                                        \
  "AND ($3::bigint=0 OR owner=$3) RETURNING 1) "                                                   \
  "INSERT INTO batches(" PG_BATCH_COLUMNS ") "                                                     \
  "SELECT $1,$4,$2::bigint,$5,0,0,0,$6,$7,$8 FROM raised RETURNING number"

/* Nothing of a lease is done for a node that the others have buried. */
#define PG_SQL_IS_MEMBER "EXISTS(SELECT FROM nodes WHERE id=$1)"
/* Another one after a start, a failover or a restore. Every role may ask. */
#define PG_SQL_INCARNATION                                                                         \
  "hashtextextended(left(pg_walfile_name(pg_current_wal_lsn()),8)||' '||"                          \
  "extract(epoch FROM pg_postmaster_start_time()),0)&9223372036854775807"
/* $6: as many others as there may be. */
#define PG_SQL_LEASE_JOIN                                                                          \
  "INSERT INTO nodes(id,address,takes,beat,beaten_at,sent_us,lease_us) "                           \
  "SELECT $1::bigint,$2::text,$3::boolean,nextval('node_beats'),clock_timestamp(),$4::bigint,"     \
  "$5::bigint WHERE (SELECT count(*) FROM nodes WHERE id<>$1)<$6::integer ON CONFLICT (id) "       \
  "DO UPDATE SET address=excluded.address,takes=excluded.takes,beat=excluded.beat,"                \
  "beaten_at=excluded.beaten_at,sent_us=excluded.sent_us,lease_us=excluded.lease_us RETURNING "    \
  "beat"
/* $2, $3: ids and beats. Sessions are named after their node; a role ends its own only. */
#define PG_SQL_LEASE_BURY                                                                          \
  "WITH dead AS (DELETE FROM nodes n USING unnest($2::bigint[],$3::bigint[]) d(id,beat) "          \
  "WHERE n.id=d.id AND n.beat=d.beat AND n.id<>$1 AND " PG_SQL_IS_MEMBER " RETURNING n.id),"       \
  "freed AS (UPDATE partitions p SET owner=NULL FROM dead WHERE p.owner=dead.id) "                 \
  "SELECT d.id,(SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a "                \
  "WHERE a.application_name='holdfast-'||lpad(to_hex(d.id),16,'0') "                               \
  "AND a.usename=current_user AND a.pid<>pg_backend_pid()) FROM dead d"

/* Carries a partition's projections on from mark $2 to $3, if the mark is still there. $4..$7:
 * users, assets, versions and their amounts, ten each in the columns' order; $8..$11: accounts,
 * assets, labels and what is added. Amounts are decimal texts. */
#define PG_SQL_PROJECT_WRITE                                                                       \
  "WITH moved AS (UPDATE projection_marks SET seq=$3 WHERE partition=$1 AND seq=$2 RETURNING 1),"  \
  "balances AS (INSERT INTO ledger_balances(partition,user_id,asset,version," PG_BALANCE_COLUMNS   \
  ") SELECT $1,r.user_id,r.asset,r.version,"                                                       \
  "v[1],v[2],v[3],v[4],v[5],v[6],v[7],v[8],v[9],v[10] FROM moved,"                                 \
  "unnest($4::bigint[],$5::integer[],$6::bigint[],$7::text[]) r(user_id,asset,version,amounts),"   \
  "LATERAL (SELECT string_to_array(r.amounts,' ')::numeric[] v) a "                                \
  "ON CONFLICT (partition,user_id,asset) DO UPDATE SET version=excluded.version,"                  \
  "earned=excluded.earned,pending=excluded.pending,claimable=excluded.claimable,"                  \
  "held=excluded.held,claiming=excluded.claiming,blocked=excluded.blocked,"                        \
  "quarantine=excluded.quarantine,debt=excluded.debt,claimed_total=excluded.claimed_total,"        \
  "spent_total=excluded.spent_total),"                                                             \
  "totals AS (INSERT INTO system_totals AS t(partition,account,asset,label,sum) "                  \
  "SELECT $1,r.account,r.asset,r.label,r.sum::numeric FROM moved,"                                 \
  "unnest($8::smallint[],$9::integer[],$10::text[],$11::text[]) r(account,asset,label,sum) "       \
  "ON CONFLICT (partition,account,asset,label) DO UPDATE SET sum=t.sum+excluded.sum) "             \
  "SELECT 1 FROM moved"

#define PG_STATEMENTS_READ(X)                                                                      \
  X(LOAD_USER, PG_SQL_LOAD_USER)                                                                   \
  X(ENTRIES_OF_VERSIONS,                                                                           \
    PG_SQL_EACH("journal", PG_ENTRY_COLUMNS, "user_id=$2 AND version=e.key", "$3"))                \
  X(ENTRY_NEWEST, "SELECT " PG_ENTRY_COLUMNS " FROM journal WHERE partition=$1 AND user_id=$2 "    \
                  "ORDER BY version DESC LIMIT 1")                                                 \
  X(ENTRIES_BEFORE, "SELECT " PG_ENTRY_COLUMNS " FROM journal WHERE partition=$1 AND user_id=$2 "  \
                    "AND version<$3 ORDER BY version DESC LIMIT $4")                               \
  X(ENTRIES_WITHIN, "SELECT " PG_ENTRY_COLUMNS " FROM journal WHERE partition=$1 "                 \
                    "AND seq BETWEEN $2 AND $3 ORDER BY seq")                                      \
  X(ENTRIES_FROM, "SELECT " PG_ENTRY_COLUMNS ",key FROM journal WHERE partition=$1 AND seq>=$2 "   \
                  "ORDER BY seq LIMIT $3")                                                         \
  X(KEY_ENTRY, "SELECT seq FROM journal WHERE partition=$1 AND user_id=$2 AND key=$3")             \
  X(KEY_OUTCOME, "SELECT " PG_OUTCOME_COLUMNS " FROM outcomes WHERE partition=$1 AND user_id=$2 "  \
                 "AND key=$3")                                                                     \
  X(METADATA_OF, PG_SQL_EACH("entry_metadata", "op,json,salt", "op=e.key", "$2") " ORDER BY op")   \
  X(REVERSALS_OF, PG_SQL_EACH("reversals", "original,op,amount", "original=e.key",                 \
                              "$2") " ORDER BY original,op")                                       \
  X(BACKDATED_AFTER, "SELECT seq,asset,source,target,amount FROM backdated WHERE partition=$1 "    \
                     "AND user_id=$2 AND seq>$3 AND effective_us<=$4 ORDER BY seq LIMIT $5")       \
  X(USER_GET, "SELECT " PG_USER_COLUMNS " FROM users WHERE partition=$1 AND id=$2")                \
  X(USER_EXISTS, "SELECT 1 FROM users WHERE partition=$1 AND id=$2")                               \
  X(NAME_GET, "SELECT " PG_NAME_COLUMNS " FROM names WHERE partition=$1 AND kind=$2 "              \
              "AND digest=$3")                                                                     \
  X(NAMES_RESERVED, "SELECT " PG_NAME_COLUMNS " FROM names WHERE partition=$1 AND state=0 "        \
                    "ORDER BY kind,digest LIMIT $2")                                               \
  X(HOLD_GET, "SELECT " PG_HOLD_COLUMNS " FROM holds WHERE partition=$1 AND id=$2")                \
  X(HOLDS_OPEN, "SELECT " PG_HOLD_COLUMNS " FROM holds WHERE partition=$1 AND user_id=$2 "         \
                "AND state=0 AND id>$3 ORDER BY id LIMIT $4")                                      \
  X(HOLDS_ALL, "(SELECT " PG_HOLD_COLUMNS " FROM holds WHERE partition=$1 AND user_id=$2 "         \
               "AND state=0 AND id>$3 ORDER BY id LIMIT $4) UNION ALL "                            \
               "(SELECT " PG_HOLD_COLUMNS " FROM holds WHERE partition=$1 AND user_id=$2 "         \
               "AND state<>0 AND id>$3 ORDER BY id LIMIT $4) ORDER BY id LIMIT $4")                \
  X(HOLDS_DUE, "SELECT " PG_HOLD_COLUMNS " FROM holds WHERE partition=$1 AND state=0 "             \
               "AND expires_us>0 AND expires_us<=$2 AND (expires_us,id)>($4,$5) "                  \
               "ORDER BY expires_us,id LIMIT $3")                                                  \
  X(BLOCK_GET, "SELECT " PG_BLOCK_COLUMNS " FROM blocks WHERE partition=$1 AND id=$2")             \
  X(TRANSFER_GET, "SELECT " PG_TRANSFER_COLUMNS " FROM transfers WHERE partition=$1 AND id=$2")    \
  X(TRANSFERS_OPEN, "SELECT " PG_TRANSFER_COLUMNS " FROM transfers WHERE partition=$1 "            \
                    "AND state=0 AND id>$2 ORDER BY id LIMIT $3")                                  \
  X(ASSETS, "SELECT id,scale,chain_decimals,code,name,chain,contract,created_us FROM assets "      \
            "ORDER BY id")                                                                         \
  X(KEYS, "SELECT id,secret,scopes,created_us,revoked_us,name FROM service_keys "                  \
          "ORDER BY id COLLATE \"C\"")                                                             \
  X(PARTITION_STATE, PG_SQL_PARTITION_STATE)                                                       \
  X(PARTITION_TAKE, PG_SQL_PARTITION_TAKE)                                                         \
  X(LEASE_ORDER, "SELECT pg_advisory_xact_lock(1213156420,1)")                                     \
  X(LEASE_PATIENCE, "SELECT set_config('lock_timeout',$1,true)")                                   \
  X(LEASE_JOIN, PG_SQL_LEASE_JOIN)                                                                 \
  X(LEASE_BEAT, "UPDATE nodes SET address=$2,takes=$3,beat=nextval('node_beats'),"                 \
                "beaten_at=clock_timestamp(),sent_us=$4,lease_us=$5 WHERE id=$1 RETURNING beat")   \
  X(LEASE_BURY, PG_SQL_LEASE_BURY)                                                                 \
  X(LEASE_RELEASE, "UPDATE partitions SET owner=NULL WHERE partition=ANY($2) AND owner=$1 "        \
                   "AND " PG_SQL_IS_MEMBER)                                                        \
  X(LEASE_CLAIM, "UPDATE partitions p SET owner=$1 WHERE p.partition=ANY($2) "                     \
                 "AND (p.owner IS NULL OR NOT EXISTS(SELECT FROM nodes n WHERE n.id=p.owner)) "    \
                 "AND " PG_SQL_IS_MEMBER)                                                          \
  X(LEASE_NODES, "SELECT id,address,takes,beat,lease_us FROM nodes ORDER BY id")                   \
  X(LEASE_OWNERS, "SELECT p.partition,n.id FROM partitions p LEFT JOIN nodes n ON n.id=p.owner "   \
                  "ORDER BY p.partition")                                                          \
  X(CATALOG_REVISION,                                                                              \
    "SELECT value::bigint," PG_SQL_INCARNATION " FROM meta WHERE key='catalog_revision'")          \
  X(PROJECT_MARK, "SELECT seq FROM projection_marks WHERE partition=$1")                           \
  X(PROJECT_WRITE, PG_SQL_PROJECT_WRITE)

/* Those that read a whole table on purpose: a handful of rows, or at a burial one per partition. */
#define PG_STATEMENTS_WHOLE(X) X(ASSETS) X(KEYS) X(LEASE_BURY) X(LEASE_NODES) X(LEASE_OWNERS)

#endif
