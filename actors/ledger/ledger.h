/* ledger.h - the functional core: a user's balances, and what each command does to them.
 *
 * Pure: no I/O, no clock, no randomness; time comes in with the command. Refusals are values.
 * A command becomes 0..LEDGER_OP_ENTRIES_MAX entries; each moves one amount between two accounts
 * of one user, one of which may be a system account, and carries the asset's balances after it.
 * Limits: below. Errors: HF_E_* of the "refused by the ledger" group, or HF_E_INVALID_AMOUNT. */
#ifndef HOLDFAST_LEDGER_H
#define HOLDFAST_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/amount.h"
#include "holdfast/bytes.h"
#include "holdfast/hash.h"
#include "holdfast/id.h"

#define LEDGER_OP_ENTRIES_MAX 8u
#define LEDGER_ASSETS_MAX 64u     /* per user: limit_exceeded beyond */
#define LEDGER_HOLDS_MAX 1000u    /* open, per user */
#define LEDGER_BLOCKS_MAX 1000u   /* open, per user */
#define LEDGER_REVERSALS_MAX 100u /* of one original; the last one takes all that is left */
#define LEDGER_LABEL_MAX 32u      /* [A-Za-z0-9._:-]: partner of a spend, source of a credit */
#define LEDGER_ACTOR_MAX 40u      /* who asked: "key:<id>", "system" */
#define LEDGER_CORRELATION_MAX 64u

/* ---- accounts -------------------------------------------------------------------------------- */

/* X(NAME, number, text). Numbers are in the canonical bytes: never changed, never reused. */
#define LEDGER_BUCKETS(X)                                                                          \
  X(EARNED, 0, "earned")                                                                           \
  X(PENDING, 1, "pending")                                                                         \
  X(CLAIMABLE, 2, "claimable")                                                                     \
  X(HELD, 3, "held")                                                                               \
  X(CLAIMING, 4, "claiming")                                                                       \
  X(BLOCKED, 5, "blocked")                                                                         \
  X(QUARANTINE, 6, "quarantine")                                                                   \
  X(DEBT, 7, "debt")
#define LEDGER_SYSTEM_ACCOUNTS(X)                                                                  \
  X(ISSUANCE, 16, "sys:issuance")                                                                  \
  X(REWARDS, 17, "sys:rewards")                                                                    \
  X(SPEND, 18, "sys:spend")                                                                        \
  X(ONCHAIN_PAID, 19, "sys:onchain_paid")                                                          \
  X(FEES, 20, "sys:fees")                                                                          \
  X(PSP_CLEARING, 21, "sys:psp_clearing")                                                          \
  X(CHAIN_IN, 22, "sys:chain_in")                                                                  \
  X(ADJUSTMENTS, 23, "sys:adjustments")                                                            \
  X(GOODWILL, 24, "sys:goodwill")                                                                  \
  X(TRANSIT, 25, "sys:transit")

enum ledger_account {
#define X(name, number, text) LEDGER_##name = number,
  LEDGER_BUCKETS(X) LEDGER_SYSTEM_ACCOUNTS(X)
#undef X
};
#define LEDGER_BUCKET_COUNT 8u
#define LEDGER_ACCOUNT_COUNT 26u

static inline bool ledger_is_bucket(unsigned account)
{
  return account < LEDGER_BUCKET_COUNT;
}
/* NULL for a number that is no account. */
const char *ledger_account_text(unsigned account);
/* The bucket of that name; false when there is none. */
bool ledger_bucket_by_text(const char *text, size_t size, unsigned *ret_bucket);

/* ---- commands -------------------------------------------------------------------------------- */

/* X(NAME, number, text). Numbers are in the canonical bytes. The last three are the server's. */
#define LEDGER_TYPES(X)                                                                            \
  X(EARN, 1, "earn")          /* issuance -> earned */                                             \
  X(SETTLE, 2, "settle")      /* earned -> pending */                                              \
  X(MATURE, 3, "mature")      /* pending -> claimable */                                           \
  X(GRANT, 4, "grant")        /* rewards -> claimable */                                           \
  X(DEPOSIT, 5, "deposit")    /* psp_clearing, or chain_in with source "chain" -> claimable */     \
  X(SPEND, 6, "spend")        /* claimable -> spend */                                             \
  X(HOLD, 7, "hold")          /* claimable -> held */                                              \
  X(CAPTURE, 8, "capture")    /* held -> spend; final: the rest held -> claimable */               \
  X(VOID, 9, "void")          /* held -> claimable */                                              \
  X(BLOCK, 10, "block")       /* bucket -> blocked */                                              \
  X(UNBLOCK, 11, "unblock")   /* blocked -> the block's bucket */                                  \
  X(TRANSFER, 12, "transfer") /* payer: claimable -> transit */                                    \
  X(ADJUST, 13, "adjust")     /* adjustments -> claimable, or back when negative */                \
  X(QUARANTINE_IN, 14, "quarantine") /* issuance -> quarantine */                                  \
  X(RELEASE, 15, "release")          /* quarantine -> pending */                                   \
  X(REVERSE, 16, "reverse")          /* mirror of the original; a shortfall goes to debt */        \
  X(EXPIRE, 17, "expire")            /* held -> claimable, by the server's clock */                \
  X(CREDIT, 18, "credit")            /* payee: transit -> claimable; closed: -> blocked */         \
  X(BOUNCE, 19, "bounce")            /* payer: transit -> claimable, when the payee overflows */

enum ledger_type {
#define X(name, number, text) LEDGER_T_##name = number,
  LEDGER_TYPES(X)
#undef X
};
#define LEDGER_TYPE_COUNT 20u
const char *ledger_type_text(unsigned type); /* NULL for no type */
bool ledger_type_by_text(const char *text, size_t size, unsigned *ret_type);

struct ledger_balance { /* of one asset; every bucket >= 0, debt too: what the user owes */
  hf_amount bucket[LEDGER_BUCKET_COUNT];
  hf_amount claimed_total; /* lifetime */
  hf_amount spent_total;   /* lifetime: spend + capture less their reversals */
};
/* available = claimable; total = all buckets less debt (cannot overflow: checked on each entry). */
hf_amount ledger_total(const struct ledger_balance *balance);

struct ledger_other { /* another asset of the user and its newest entry */
  uint16_t asset;
  uint64_t version;
};

/* One journal row. Canonical bytes: all but id, op_id, hash and metadata, in the order of
 * entry.c's table. hash = SHA-256(previous entry's hash of this user, canonical bytes). */
struct ledger_entry {
  hf_id id; /* 0 until its batch gave it a sequence number */
  hf_id user;
  uint64_t version; /* of the user, after it; 1 is the first */
  uint8_t type;     /* enum ledger_type of its op */
  uint8_t op_index; /* 0-based place in its op */
  uint8_t op_count; /* entries of its op */
  uint8_t from, to; /* enum ledger_account */
  uint16_t asset;
  hf_amount amount; /* > 0 */
  struct ledger_balance after;
  int64_t effective_us;     /* unix; = recorded_us unless the caller backdated it */
  int64_t recorded_us;      /* unix; strictly increasing per user op */
  struct hf_digest key;     /* of the idempotency key */
  struct hf_digest request; /* of the canonical request */
  hf_id ref;                /* hold, block, original op or transfer that it resolves; 0 */
  hf_amount ref_left;       /* of that, after it: hold/block remaining, original not yet reversed */
  hf_id counterparty;       /* payee of a transfer, payer of a credit; 0 */
  int64_t expires_us;       /* of a hold; 0: never */
  char label[LEDGER_LABEL_MAX + 1];
  char actor[LEDGER_ACTOR_MAX + 1];
  char correlation[LEDGER_CORRELATION_MAX + 1];
  bool has_metadata;
  struct hf_hash metadata_hash; /* SHA-256(salt, metadata) when has_metadata */
  uint16_t others_count;
  /* The user's other assets, ascending. Borrowed: of the ledger_result or of the decoder's arena.
   * May be NULL in a copy that outlives those; the entry can be folded then, but not encoded. */
  const struct ledger_other *others;
  struct hf_hash hash;
};

struct ledger_asset { /* 176 bytes */
  uint64_t version;   /* of the newest entry in this asset */
  uint16_t asset;
  struct ledger_balance balance;
};

struct ledger_hold {  /* open ones only */
  hf_id id;           /* 0 while its entry is staged */
  uint64_t version;   /* of its entry: names it while staged */
  int64_t expires_us; /* 0: never */
  hf_amount amount, remaining;
  uint16_t asset;
};

struct ledger_block {
  hf_id id;
  uint64_t version;
  hf_amount amount, remaining;
  uint16_t asset;
  uint8_t bucket; /* where it came from and goes back to */
};

enum ledger_status { LEDGER_OPEN = 0, LEDGER_CLOSED = 1 };

/* A user. Assets ascending by number; holds and blocks in order of their versions. */
struct ledger_user {
  hf_id id;
  uint64_t version;
  int64_t recorded_us; /* of the newest entry; 0 */
  struct hf_hash head; /* hash of the newest entry; zero */
  uint8_t status;      /* enum ledger_status */
  uint16_t assets_count, holds_count, blocks_count;
  uint16_t assets_room, holds_room, blocks_room; /* of user.c: what is allocated */
  struct ledger_asset *assets;
  struct ledger_hold *holds;
  struct ledger_block *blocks;
};

void ledger_user_init(struct ledger_user *user, hf_id id);
void ledger_user_deinit(struct ledger_user *user);
/* Deep copy; `copy` is uninitialised memory or a deinitialised user. */
void ledger_user_copy(struct ledger_user *copy, const struct ledger_user *user);
/* For loading a user, within the limits above (CHECKed): assets in any order, each once; holds and
 * blocks in order of their versions. */
void ledger_user_add_asset(struct ledger_user *user, const struct ledger_asset *asset);
void ledger_user_add_hold(struct ledger_user *user, const struct ledger_hold *hold);
void ledger_user_add_block(struct ledger_user *user, const struct ledger_block *block);
/* Gives the hold or block that the entry of `version` opened its id (its op's), once that is known:
 * until then nothing can refer to it. False when there is no such hold or block. */
bool ledger_user_name(struct ledger_user *user, uint64_t version, hf_id id);
/* NULL when the user has no entry in it. */
const struct ledger_asset *ledger_user_asset(const struct ledger_user *user, uint16_t asset);
const struct ledger_hold *ledger_user_hold(const struct ledger_user *user, hf_id id);
const struct ledger_block *ledger_user_block(const struct ledger_user *user, hf_id id);
/* The time by which the user's next op is judged and recorded. It never goes back, whatever a wall
 * clock does: a hold that was seen to have expired stays so. */
int64_t ledger_user_time(const struct ledger_user *user, int64_t now_us);
/* The first hold that has expired at `now_us`, or NULL. One without an id yet is passed over. */
const struct ledger_hold *ledger_user_expired(const struct ledger_user *user, int64_t now_us);
/* Invariants: buckets >= 0, sums of open holds/blocks = held/blocked buckets, order, versions.
 * NULL when they hold, else what is wrong (static text). */
const char *ledger_user_check(const struct ledger_user *user);

/* What a reverse needs to know of the original; read from the journal by the caller. */
struct ledger_original {
  bool found;                /* and belongs to this user */
  struct ledger_entry first; /* its op_index 0 entry */
  hf_amount reversed;        /* by earlier reversals, all of them durable */
  size_t reversals;          /* how many they were */
};
/* What became of a hold or block that is not open; for the right refusal. */
enum ledger_fate { LEDGER_FATE_UNKNOWN, LEDGER_FATE_RESOLVED, LEDGER_FATE_EXPIRED };

/* One request to change a user's balances. */
struct ledger_command {
  uint8_t type;
  uint8_t bucket;    /* block: from; default LEDGER_CLAIMABLE */
  bool final;        /* capture: release the rest; default true */
  bool asset_known;  /* the asset code was found */
  bool asset_given;  /* the caller named an asset at all */
  bool amount_given; /* may be absent for capture, void, unblock, expire, reverse: all of it */
  bool payee_closed; /* transfer */
  bool has_metadata;
  uint8_t fate;  /* enum ledger_fate, when the caller looked ref up */
  uint8_t scale; /* of the asset; what refers to something takes it from scale_of instead */
  uint16_t asset;
  struct hf_decimal amount; /* > 0; adjust: != 0 */
  hf_id ref;                /* hold, block, original op, transfer */
  hf_id counterparty;       /* transfer: payee; credit: payer */
  uint32_t timeout_s;       /* hold; 0: never */
  int64_t effective_us;     /* 0: now; later than recorded_us: recorded_us */
  int64_t if_version;       /* -1: any */
  int64_t now_us;           /* wall clock: see ledger_user_time */
  struct hf_digest key, request;
  struct hf_hash metadata_hash;
  char label[LEDGER_LABEL_MAX + 1];
  char actor[LEDGER_ACTOR_MAX + 1];
  char correlation[LEDGER_CORRELATION_MAX + 1];
  const struct ledger_original *original; /* reverse */
  /* The scale of any asset; capture, void, unblock and reverse take theirs from what they refer
   * to. `scale_of` returns > HF_SCALE_MAX for an unknown asset. */
  unsigned (*scale_of)(const void *arg, uint16_t asset);
  const void *scale_arg;
};

struct ledger_result {
  enum hf_error error; /* HF_OK: applied. else refused: entries_count is 0, user unchanged */
  uint8_t entries_count;
  struct ledger_entry entries[LEDGER_OP_ENTRIES_MAX];
  /* The canonical bytes of the entries, one after the other: cleared and filled by each apply, so
   * that nobody encodes them twice. */
  struct hf_bytes body;
  uint16_t body_size[LEDGER_OP_ENTRIES_MAX];
  struct ledger_other others[LEDGER_ASSETS_MAX]; /* what entries[].others point to */
};

/* Before the first and after the last use; one result serves any number of applies. */
void ledger_result_init(struct ledger_result *result);
void ledger_result_deinit(struct ledger_result *result);

/* Judges and applies `command` to `user`. On a refusal the user is untouched. Order of judgement:
 * user closed, if_version, asset, referred hold/block/original, amount against scale, transition,
 * funds, overflow, limits. Entries come complete but for id (and a new hold's or block's id).
 * What the front door has to see to is CHECKed: fields that the type requires, terminated texts. */
void ledger_apply(struct ledger_user *user, const struct ledger_command *command,
                  struct ledger_result *ret_result);

/* Brings `user` from entry->version - 1 to entry->version, when the entry follows from it: replay,
 * settling. Sets holds and blocks too (their id = the entry's op id). NULL, or what does not fit
 * (version gap, balances that do not follow, hash): a corrupt journal or a lost write; the user is
 * untouched then. The hash is checked when `verify_hash`, which needs entry->others. */
const char *ledger_fold(struct ledger_user *user, const struct ledger_entry *entry,
                        unsigned partition_bits, bool verify_hash);

/* ---- canonical bytes (entry.c) --------------------------------------------------------------- */

#define LEDGER_ENTRY_BYTES_MAX 2048u
/* Appends the canonical bytes. */
void ledger_entry_encode(const struct ledger_entry *entry, struct hf_bytes *bytes);
struct hf_hash ledger_entry_hash(const struct hf_hash *previous, const void *body, size_t size);
/* Reads canonical bytes; false when they are not exactly that. `others` has room for
 * LEDGER_ASSETS_MAX and is what entry->others points to afterwards. id and hash stay untouched. */
MUST_CHECK bool ledger_entry_decode(const void *body, size_t size, struct ledger_other *others,
                                    struct ledger_entry *ret_entry);
/* Id of the op that an entry (with its id set) belongs to. */
hf_id ledger_entry_op(const struct ledger_entry *entry, unsigned partition_bits);

#endif
