/* sqlite_statements.h - every prepared statement of the SQLite store, as one table.
 *
 * ids are hf_id; `user_order` and users.id are SQLITE_ORDER(partition, serial), so that the rows
 * of a partition lie together and its largest serial is found by one seek. A unit test asks
 * EXPLAIN QUERY PLAN of each: none but those in SQLITE_SCANS may look at a whole table. */
#ifndef HOLDFAST_SQLITE_STATEMENTS_H
#define HOLDFAST_SQLITE_STATEMENTS_H

#define SQLITE_ORDER_SHIFT 44u

#define SQLITE_HOLD_COLUMNS "id,user,asset,state,amount,remaining,created_us,expires_us,resolved_us"
#define SQLITE_BLOCK_COLUMNS "id,user,asset,bucket,open,amount,remaining,created_us,resolved_us"
#define SQLITE_USER_COLUMNS "id,kind,status,created_us,external_id,profile"
#define SQLITE_NAME_COLUMNS "partition,kind,digest,state,request,user,created_us"
#define SQLITE_TRANSFER_COLUMNS "id,payer,payee,asset,state,amount,credit,created_us"
#define SQLITE_OUTCOME_COLUMNS "user,key,request,code,type,version,recorded_us,batch"
#define SQLITE_BATCH_COLUMNS                                                                       \
  "partition,number,epoch,first_seq,entries_count,outcomes_count,rows_count,committed_us,"         \
  "previous,hash"

#define SQLITE_STATEMENTS(X)                                                                       \
  X(BEGIN_READ, "BEGIN")                                                                           \
  X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                                \
  X(COMMIT, "COMMIT")                                                                              \
  X(ROLLBACK, "ROLLBACK")                                                                          \
  X(FENCE, "INSERT INTO meta(key,value) VALUES('fence',1) "                                        \
           "ON CONFLICT(key) DO UPDATE SET value=value+1")                                         \
  X(PARTITION_EPOCH, "SELECT epoch FROM partitions WHERE partition=?1")                            \
  X(PARTITION_RAISE, "INSERT INTO partitions(partition,epoch) VALUES(?1,1) "                       \
                     "ON CONFLICT(partition) DO UPDATE SET epoch=epoch+1 RETURNING epoch")         \
  X(BATCH_INSERT, "INSERT INTO batches(" SQLITE_BATCH_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"  \
                  "?9,?10)")                                                                       \
  X(BATCH_HASH, "SELECT hash FROM batches WHERE partition=?1 AND number=?2")                       \
  X(BATCH_NEWEST, "SELECT " SQLITE_BATCH_COLUMNS " FROM batches WHERE partition=?1 "               \
                  "ORDER BY number DESC LIMIT 1")                                                  \
  X(BATCH_EACH, "SELECT " SQLITE_BATCH_COLUMNS " FROM batches WHERE partition=?1 "                 \
                "AND number BETWEEN ?2 AND ?3 ORDER BY number")                                    \
  X(INDEX_INSERT, "INSERT INTO user_index(user,slot,ref) VALUES(?1,?2,?3)")                        \
  X(INDEX_GET, "SELECT ref FROM user_index WHERE user=?1 AND slot=?2")                             \
  X(INDEX_NEWEST, "SELECT slot,ref FROM user_index WHERE user=?1 AND slot<9223372036854775807 "    \
                  "ORDER BY slot DESC LIMIT 1")                                                    \
  X(INDEX_ANY_KEY, "SELECT 1 FROM user_index WHERE user=?1 AND slot>=x'' LIMIT 1")                 \
  X(INDEX_EACH, "SELECT user,slot,ref FROM user_index ORDER BY user,slot")                         \
  X(BACKDATED_INSERT, "INSERT INTO backdated(user,seq,effective_us,asset,source,target,amount) "   \
                      "VALUES(?1,?2,?3,?4,?5,?6,?7)")                                              \
  X(BACKDATED_AFTER, "SELECT asset,source,target,amount FROM backdated WHERE user=?1 AND seq>?2 "  \
                     "AND effective_us<=?3 ORDER BY seq")                                          \
  X(OUTCOME_INSERT, "INSERT INTO outcomes(user,key,request,code,type,version,recorded_us,batch,"   \
                    "partition) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")                               \
  X(OUTCOME_GET, "SELECT " SQLITE_OUTCOME_COLUMNS " FROM outcomes WHERE id=?1")                    \
  X(OUTCOME_EACH, "SELECT " SQLITE_OUTCOME_COLUMNS ",id FROM outcomes WHERE partition=?1 "         \
                  "AND id>?2 ORDER BY id")                                                         \
  X(USER_INSERT, "INSERT INTO users(" SQLITE_USER_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6)")           \
  X(USER_UPDATE, "UPDATE users SET status=?2 WHERE id=?1")                                         \
  X(USER_GET, "SELECT " SQLITE_USER_COLUMNS " FROM users WHERE id=?1")                             \
  X(USER_EXISTS, "SELECT 1 FROM users WHERE id=?1")                                                \
  X(USER_MAX, "SELECT max(id) FROM users WHERE id BETWEEN ?1 AND ?2")                              \
  X(USER_EACH, "SELECT " SQLITE_USER_COLUMNS " FROM users WHERE id BETWEEN ?1 AND ?2 ORDER BY id") \
  X(NAME_INSERT, "INSERT INTO names(" SQLITE_NAME_COLUMNS ",user_order) "                          \
                 "VALUES(?1,?2,?3,?4,?5,?6,?7,?8)")                                                \
  X(NAME_UPDATE, "UPDATE names SET state=?4,user=?6,user_order=?8 "                                \
                 "WHERE partition=?1 AND kind=?2 AND digest=?3")                                   \
  X(NAME_GET, "SELECT " SQLITE_NAME_COLUMNS " FROM names WHERE partition=?1 AND kind=?2 "          \
              "AND digest=?3")                                                                     \
  X(NAME_RESERVED, "SELECT " SQLITE_NAME_COLUMNS " FROM names WHERE partition=?1 AND state=0 "     \
                   "ORDER BY kind,digest LIMIT ?2")                                                \
  X(NAME_USER_MAX, "SELECT max(user_order) FROM names WHERE user_order BETWEEN ?1 AND ?2")         \
  X(ASSET_INSERT, "INSERT INTO assets(id,scale,chain_decimals,code,name,chain,contract,"           \
                  "created_us) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)")                                   \
  X(ASSET_EACH, "SELECT id,scale,chain_decimals,code,name,chain,contract,created_us FROM assets "  \
                "ORDER BY id")                                                                     \
  X(KEY_INSERT, "INSERT INTO service_keys(id,secret,scopes,created_us,revoked_us,name) "           \
                "VALUES(?1,?2,?3,?4,?5,?6)")                                                       \
  X(KEY_UPDATE, "UPDATE service_keys SET revoked_us=?2 WHERE id=?1")                               \
  X(KEY_EACH, "SELECT id,secret,scopes,created_us,revoked_us,name FROM service_keys ORDER BY id")  \
  X(HOLD_INSERT, "INSERT INTO holds(" SQLITE_HOLD_COLUMNS ",partition,open) "                      \
                 "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)")                                     \
  X(HOLD_UPDATE, "UPDATE holds SET state=?2,open=?3,remaining=?4,resolved_us=?5 WHERE id=?1")      \
  X(HOLD_GET, "SELECT " SQLITE_HOLD_COLUMNS " FROM holds WHERE id=?1")                             \
  X(HOLD_OPEN, "SELECT " SQLITE_HOLD_COLUMNS " FROM holds WHERE user=?1 AND open=1 AND id>?2 "     \
               "ORDER BY id LIMIT ?3")                                                             \
  X(HOLD_ALL, "SELECT " SQLITE_HOLD_COLUMNS " FROM holds WHERE user=?1 AND open=1 AND id>?2 "      \
              "UNION ALL "                                                                         \
              "SELECT " SQLITE_HOLD_COLUMNS " FROM holds WHERE user=?1 AND open=0 AND id>?2 "      \
              "ORDER BY id LIMIT ?3")                                                              \
  X(HOLD_DUE, "SELECT " SQLITE_HOLD_COLUMNS " FROM holds WHERE partition=?1 AND open=1 "           \
              "AND expires_us>0 AND expires_us<=?2 AND (expires_us,id)>(?4,?5) "                   \
              "ORDER BY expires_us,id LIMIT ?3")                                                   \
  X(HOLD_EACH, "SELECT " SQLITE_HOLD_COLUMNS ",open FROM holds WHERE partition=?1 ORDER BY id")    \
  X(BLOCK_INSERT, "INSERT INTO blocks(" SQLITE_BLOCK_COLUMNS ",partition) "                        \
                  "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")                                        \
  X(BLOCK_UPDATE, "UPDATE blocks SET open=?2,remaining=?3,resolved_us=?4 WHERE id=?1")             \
  X(BLOCK_GET, "SELECT " SQLITE_BLOCK_COLUMNS " FROM blocks WHERE id=?1")                          \
  X(BLOCK_OPEN, "SELECT " SQLITE_BLOCK_COLUMNS " FROM blocks WHERE user=?1 AND open=1 "            \
                "ORDER BY id")                                                                     \
  X(BLOCK_EACH, "SELECT " SQLITE_BLOCK_COLUMNS " FROM blocks WHERE partition=?1 ORDER BY id")      \
  X(TRANSFER_INSERT, "INSERT INTO transfers(" SQLITE_TRANSFER_COLUMNS ",partition) "               \
                     "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")                                         \
  X(TRANSFER_UPDATE, "UPDATE transfers SET state=?2,credit=?3 WHERE id=?1")                        \
  X(TRANSFER_GET, "SELECT " SQLITE_TRANSFER_COLUMNS " FROM transfers WHERE id=?1")                 \
  X(TRANSFER_OPEN, "SELECT " SQLITE_TRANSFER_COLUMNS " FROM transfers WHERE partition=?1 "         \
                   "AND state=0 AND id>?2 ORDER BY id LIMIT ?3")                                   \
  X(REVERSAL_INSERT, "INSERT INTO reversals(original,op,amount) VALUES(?1,?2,?3)")                 \
  X(REVERSAL_OF, "SELECT op,amount FROM reversals WHERE original=?1 ORDER BY op")                  \
  X(META_INSERT, "INSERT INTO entry_metadata(op,salt,json) VALUES(?1,?2,?3)")                      \
  X(META_ERASE, "UPDATE entry_metadata SET salt=NULL,json=NULL WHERE op=?1")                       \
  X(META_GET, "SELECT json,salt FROM entry_metadata WHERE op=?1")                                  \
  X(META_EACH, "SELECT op FROM entry_metadata WHERE op>?1 AND op&?3=?2 ORDER BY op")               \
  X(MARK_GET, "SELECT seq FROM projection_marks WHERE partition=?1")                               \
  X(MARK_SET, "INSERT INTO projection_marks(partition,seq) VALUES(?1,?2) "                         \
              "ON CONFLICT(partition) DO UPDATE SET seq=excluded.seq")                             \
  X(BALANCE_SET, "INSERT OR REPLACE INTO ledger_balances(user,asset,version,earned,pending,"       \
                 "claimable,held,claiming,blocked,quarantine,debt,claimed_total,spent_total) "     \
                 "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")                             \
  X(BALANCE_EACH, "SELECT user,asset,version,earned,pending,claimable,held,claiming,blocked,"      \
                  "quarantine,debt,claimed_total,spent_total FROM ledger_balances "                \
                  "ORDER BY user,asset")                                                           \
  X(SYSTEM_GET, "SELECT sum FROM system_totals WHERE partition=?1 AND account=?2 AND asset=?3 "    \
                "AND label=?4")                                                                    \
  X(SYSTEM_SET, "INSERT OR REPLACE INTO system_totals(partition,account,asset,label,sum) "         \
                "VALUES(?1,?2,?3,?4,?5)")                                                          \
  X(SYSTEM_EACH, "SELECT partition,account,asset,label,sum FROM system_totals "                    \
                 "WHERE partition BETWEEN ?1 AND ?2 ORDER BY partition,account,asset,label")       \
  X(TRANSFER_EACH, "SELECT " SQLITE_TRANSFER_COLUMNS ",partition FROM transfers "                  \
                   "WHERE partition BETWEEN ?1 AND ?2 ORDER BY id")                                \
  X(REVERSAL_EACH, "SELECT original,op,amount FROM reversals ORDER BY original,op")                \
  X(BACKDATED_EACH, "SELECT user,seq,effective_us,asset,source,target,amount FROM backdated "      \
                    "ORDER BY user,seq")                                                           \
  X(NAME_EACH, "SELECT " SQLITE_NAME_COLUMNS " FROM names WHERE partition BETWEEN ?1 AND ?2 "      \
               "ORDER BY partition,kind,digest")                                                   \
  X(REPLAY_INSERT, "INSERT INTO replay_runs(started_us,ended_us,entries,users,differences,"        \
                   "repaired) VALUES(?1,?2,?3,?4,?5,?6)")

/* %u is the partition. */
#define SQLITE_JOURNAL_STATEMENTS(X)                                                               \
  X(INSERT, "INSERT INTO journal_%u(seq,user,version,hash,body) VALUES(?1,?2,?3,?4,?5)")           \
  X(GET, "SELECT seq,user,version,hash,body FROM journal_%u WHERE seq=?1")                         \
  X(VERSION, "SELECT user,version FROM journal_%u WHERE seq=?1")                                   \
  X(SCAN, "SELECT seq,user,version,hash,body FROM journal_%u WHERE seq>=?1 ORDER BY seq LIMIT ?2") \
  X(BODIES, "SELECT seq,body FROM journal_%u WHERE seq>?1 ORDER BY seq")                           \
  X(LAST, "SELECT max(seq) FROM journal_%u")

/* Statements that read a whole table on purpose: small tables, and the offline checks. */
#define SQLITE_SCANS(X)                                                                            \
  X(ASSET_EACH)                                                                                    \
  X(KEY_EACH)                                                                                      \
  X(INDEX_EACH)                                                                                    \
  X(HOLD_EACH) X(BLOCK_EACH) X(BALANCE_EACH) X(TRANSFER_EACH) X(REVERSAL_EACH) X(BACKDATED_EACH)

#endif
