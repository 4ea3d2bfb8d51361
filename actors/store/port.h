/* port.h - the database behind a narrow interface: rows, requests, engines and the port.
 *
 * A *request* carries one question to the database (commit, load, read ...) and its answer. The
 * *port* takes requests from a loop's store actor and gives exactly one answer message for each:
 * HF_STORE_ANSWER with the request's pointer. An *engine* is a store that answers by blocking
 * (SQLite, memory); pool_port.h makes a port of it over the worker pools. PostgreSQL has a port of
 * its own on the loops, and an engine over the same code for the command line.
 *
 * Owner: the submitter owns a request before submit and after its answer; in between the port.
 * Units: times unix microseconds; amounts base units. Partition first in every key. */
#ifndef HOLDFAST_STORE_PORT_H
#define HOLDFAST_STORE_PORT_H

#include "actors/ledger/ledger.h"
#include "holdfast/arena.h"

/* ---- rows ------------------------------------------------------------------------------------ */

#define HF_ASSET_CODE_MAX 16u   /* [A-Za-z0-9][A-Za-z0-9._-]* */
#define HF_EXTERNAL_ID_MAX 128u /* UTF-8 without control characters */
#define HF_JSON_MAX 4096u       /* profile, metadata */
#define HF_KEY_ID_MAX 32u       /* of a service key: [a-z0-9]{4,32} */
#define HF_REASON_MAX 256u

enum hf_user_kind { HF_USER_GUEST = 0, HF_USER_REGISTERED = 1 };

struct store_text { /* a view: of a unit's or an arena's memory; at == NULL: SQL NULL */
  const char *at;
  size_t size;
};

struct store_user_row { /* users(partition, serial) */
  hf_id id;
  uint8_t kind;   /* enum hf_user_kind */
  uint8_t status; /* enum ledger_status */
  int64_t created_us;
  struct store_text external_id; /* NULL: none */
  struct store_text profile;     /* JSON object; NULL: none */
};

enum store_name_kind { STORE_NAME_EXTERNAL_ID = 1, STORE_NAME_CREATE_KEY = 2 };
enum store_name_state { STORE_NAME_RESERVED = 0, STORE_NAME_CONFIRMED = 1 };

struct store_name_row {     /* names(partition, kind, digest): a global name's home */
  uint32_t partition;       /* of hash(value) */
  uint8_t kind;             /* enum store_name_kind */
  uint8_t state;            /* enum store_name_state */
  struct hf_hash digest;    /* SHA-256 of the value */
  struct hf_digest request; /* create keys: of the canonical request; else zero */
  hf_id user;               /* allocated beforehand */
  int64_t created_us;
};

struct store_asset_row { /* assets(id): the system partition */
  uint16_t id;           /* 1.. in order of creation; in canonical bytes for ever */
  uint8_t scale;
  uint8_t chain_decimals; /* 255: none */
  char code[HF_ASSET_CODE_MAX + 1];
  char name[65];
  char chain[33];
  char contract[129];
  int64_t created_us;
};

/* Scopes of a service key, a bit set. X(NAME, bit, text) */
#define HF_SCOPES(X)                                                                               \
  X(LEDGER_WRITE, 1u, "ledger:write")                                                              \
  X(LEDGER_READ, 2u, "ledger:read")                                                                \
  X(USERS_WRITE, 4u, "users:write")                                                                \
  X(USERS_READ, 8u, "users:read")                                                                  \
  X(ADMIN, 16u, "admin") /* everything */
enum hf_scope {
#define X(name, bit, text) HF_SCOPE_##name = bit,
  HF_SCOPES(X)
#undef X
};

struct store_key_row { /* service_keys(id): the system partition */
  char id[HF_KEY_ID_MAX + 1];
  struct hf_hash secret; /* SHA-256 of the secret: it is random, so no slow hash is needed */
  uint32_t scopes;
  int64_t created_us;
  int64_t revoked_us; /* 0: valid */
  char name[65];
};

enum store_hold_state {
  STORE_HOLD_OPEN,
  STORE_HOLD_CAPTURED,
  STORE_HOLD_VOIDED,
  STORE_HOLD_EXPIRED
};
struct store_hold_row { /* holds(partition, id), a projection of the journal kept by the commit */
  hf_id id, user;
  uint16_t asset;
  uint8_t state; /* enum store_hold_state */
  hf_amount amount, remaining;
  int64_t created_us, expires_us, resolved_us; /* 0: never, not yet */
};
struct store_block_row { /* blocks(partition, id); likewise */
  hf_id id, user;
  uint16_t asset;
  uint8_t bucket;
  bool open;
  hf_amount amount, remaining;
  int64_t created_us, resolved_us;
};

enum store_transfer_state {
  STORE_TRANSFER_TRANSIT,
  STORE_TRANSFER_CREDITED,
  STORE_TRANSFER_BOUNCED
};
struct store_transfer_row { /* transfers(partition of the payer, id) */
  hf_id id, payer, payee;
  uint16_t asset;
  uint8_t state;
  hf_amount amount;
  hf_id credit; /* op id of the payee's credit, or of the payer's bounce; 0 in transit */
  int64_t created_us;
};

struct store_reversal_row { /* reversals(partition, original, op): sums of what was reversed */
  hf_id original, op;
  hf_amount amount;
};

struct store_meta_row { /* entry_metadata(partition, seq): beside the journal, erasable */
  hf_id op;
  uint8_t salt[16];
  struct store_text json; /* {"reason":..., "metadata":...}; hash = SHA-256(salt, json) */
};

/* ---- what is written ------------------------------------------------------------------------- */

enum store_table {
  STORE_T_USER = 1,
  STORE_T_NAME,
  STORE_T_ASSET,
  STORE_T_KEY,
  STORE_T_HOLD,
  STORE_T_BLOCK,
  STORE_T_TRANSFER,
  STORE_T_REVERSAL,
  STORE_T_META
};
enum store_action {
  STORE_INSERT, /* a duplicate key is a conflict of the unit */
  STORE_UPDATE, /* user: status alone; name: state, user; key: revoked_us; hold, block: remaining,
                   state, resolved_us; transfer: state, credit. A missing row is a conflict of the
                   unit */
  STORE_ERASE,  /* meta only: salt and json become NULL */
};
struct store_row {
  uint8_t table;  /* enum store_table */
  uint8_t action; /* enum store_action */
  union {
    struct store_user_row user;
    struct store_name_row name;
    struct store_asset_row *asset; /* borrowed */
    struct store_key_row *key;     /* borrowed */
    struct store_hold_row hold;
    struct store_block_row block;
    struct store_transfer_row transfer;
    struct store_reversal_row reversal;
    struct store_meta_row meta;
  };
};

struct store_outcome { /* outcomes(partition, user, key): a refusal that the ledger gave */
  hf_id user;
  struct hf_digest key, request;
  uint16_t error;   /* enum hf_error, written as its wire code */
  uint8_t type;     /* enum ledger_type */
  uint64_t version; /* of the user when it was judged */
  int64_t recorded_us;
  uint64_t batch; /* the batch that brought it: set when read back */
};

/* One thing that is committed whole: an op, or some rows. Embedded in its owner's struct. The
 * entries' ids are 0 until the store actor numbers them; rows that name the op's own id have 0
 * there too and get it from the engine-independent store_unit_number (unit.h). */
struct store_unit {
  struct store_unit *next; /* in the owner's or the store actor's list */
  rt_id asker;             /* who gets the answer, and with which corr */
  uint32_t corr;
  uint32_t partition;
  hf_id user;   /* 0: none */
  bool probe;   /* its key must be looked up by the commit */
  bool has_key; /* entries[0].key or outcome.key is a client's */
  bool has_outcome;
  uint32_t tenure; /* of the partition (cluster.h) when this was judged: under another one
                               it is not taken */
  bool tied;       /* with the next unit: both in one batch or none. A chain of tied units
                               comes in one PERSIST and is answered by its last unit alone */
  uint8_t entries_count;
  uint16_t rows_count;
  struct ledger_entry *entries;
  const uint8_t *bodies; /* concatenated canonical bytes of the entries */
  const uint16_t *body_sizes;
  struct store_row *rows;
  struct store_outcome outcome;
  /* answer */
  uint8_t status;       /* enum store_status; for a hit STORE_HIT */
  struct store_op *hit; /* owned by the unit's owner (store_op_free) when STORE_HIT */
};

/* What the journal knows of an op (or of a refusal): reads and hits. One block of memory. */
struct store_op {
  struct hf_arena arena;
  bool refused; /* outcome is set, else entries */
  struct store_outcome outcome;
  size_t entries_count;
  struct ledger_entry *entries; /* with ids and hashes */
  struct store_text metadata;   /* the meta row's json, or NULL */
  size_t reversals_count;
  struct store_reversal_row *reversals;
  bool has_transfer;
  struct store_transfer_row transfer;
};
struct store_op *store_op_new(void); /* zeroed */
void store_op_free(struct store_op *op);

/* The head of one partition's batch, all hashes computed. */
struct store_batch {
  uint32_t partition;
  uint64_t number;    /* batch_no: primary key with the partition; the compare-and-swap */
  uint64_t epoch;     /* of the partition's owner */
  uint64_t first_seq; /* of its first entry; the next one when it has none */
  uint32_t entries_count, outcomes_count, rows_count;
  int64_t committed_us;
  struct hf_hash previous, hash; /* hash: batch.h */
};

/* ---- requests -------------------------------------------------------------------------------- */

enum store_status {
  STORE_OK,
  STORE_HIT,      /* unit: its key exists; commit: some units hit, nothing was written */
  STORE_CONFLICT, /* unit: a row exists or misses, or an earlier unit of the same commit has its
                        key; commit: likewise, nothing was written. The first such unit is named */
  STORE_FENCED,   /* the batch number is taken or the epoch is an old one: another writer owns
                        the partition */
  STORE_NOT_FOUND,
  STORE_UNAVAILABLE, /* surely not done; try later. Also a commit whose batch does not follow the
                        newest one, because that was refused */
  STORE_UNKNOWN,     /* a commit that may be there or not */
  STORE_CORRUPT,     /* what was read is impossible */
  STORE_BUSY,        /* a read that was not done: too many of its kind wait */
  STORE_RESTAGE,     /* unit, by the store actor: not done, because an earlier unit of the same
                        user was a hit or conflict; judge it again on the committed state */
};

enum store_kind {
  STORE_COMMIT,
  STORE_LOAD_USER,
  STORE_GET_USER,
  STORE_GET_NAME,
  STORE_GET_OP,
  STORE_GET_KEY_OP,
  STORE_GET_HOLD,
  STORE_GET_BLOCK,
  STORE_LIST_HOLDS,
  STORE_LIST_ENTRIES,
  STORE_BALANCE_AT,
  STORE_OPEN_PARTITION,
  STORE_DUE_HOLDS,
  STORE_OPEN_TRANSFERS,
  STORE_RESERVED_NAMES,
  STORE_CATALOG,
  STORE_SCAN,
  STORE_PROJECT,
  STORE_LEASE
};

struct store_loaded_user { /* LOAD_USER: all that an actor needs */
  struct store_user_row row;
  bool has_keys;        /* any idempotency key of this user is known */
  size_t entries_count; /* newest entry of each asset; the overall newest first */
  struct ledger_entry *entries;
  size_t holds_count; /* open, by id */
  struct store_hold_row *holds;
  size_t blocks_count; /* open, by id */
  struct store_block_row *blocks;
  uint64_t *hold_versions, *block_versions; /* of their entries, parallel */
};

struct store_partition { /* OPEN_PARTITION: where a partition's writer goes on */
  uint32_t partition;
  /* Shared only: the node that opens it. In the transaction that raises the epoch the partition
   * must be this node's, else STORE_FENCED and nothing was done: a node that slept through the loss
   * of its partitions must not write where the new owner answers from memory. */
  uint64_t owner;
  uint64_t epoch;      /* raised by one, durably, by this call */
  uint64_t next_batch; /* number */
  uint64_t next_seq;   /* 1 on an empty partition */
  uint64_t next_user_serial;
  struct hf_hash head; /* of the newest batch; zero */
  /* Of the newest batch that this call did not write itself: where a store fences by an empty
   * batch, `head` is that one's. A writer that left off at `follows` has missed nothing. */
  struct hf_hash follows;
};

/* LEASE: one heartbeat of a node among the nodes of a database, and what it does to the others, in
 * one transaction, in the order of the fields. Only ports that are shared (store_port.shared). */
#define STORE_NODES_MAX 64u
#define STORE_ADDRESS_MAX 128u
struct store_node {
  uint64_t id;       /* random, > 0, <= INT64_MAX: of one data folder, which one process holds */
  uint64_t beat;     /* grows with each heartbeat, and no value comes twice, whoever was buried */
  uint64_t lease_us; /* its own, by which others judge its silence: nodes may have different ones
                        while that option is changed; 0: an older program's, which did not say */
  bool takes;        /* it takes partitions; a stateless node does not */
  char address[STORE_ADDRESS_MAX + 1]; /* HOST:PORT of its node listener */
};
struct store_lease {
  struct store_node self; /* beat: out */
  bool join;              /* make the node's row, or take an old one of this id over, unless there
                             are STORE_NODES_MAX others; else one that is gone is not made again */
  size_t buried_count;    /* nodes that are dead unless their beat has moved: their rows go, */
  struct store_node *buried; /* their partitions are free, their sessions are ended */
  size_t released_count;
  uint32_t *released; /* partitions of this node that are free from now on */
  size_t claimed_count;
  uint32_t *claimed;    /* taken if free */
  uint64_t patience_us; /* it waits for no lock longer; 0: as long as the store's sessions do */
  /* out */
  bool member; /* false: the others have buried this node, or there are too many of them; nothing
                  was done */
  size_t nodes_count;
  struct store_node *nodes;  /* by id */
  uint64_t *owners;          /* by partition: the id of its node, 0 for none */
  uint64_t catalog_revision; /* changes whenever an asset or a service key is made or changed */
  uint64_t incarnation;      /* changes when the database may have gone back */
};

struct store_list_entries {
  hf_id user;
  uint16_t asset;          /* 0: any */
  uint8_t type;            /* 0: any */
  int64_t from_us, to_us;  /* recorded, [from, to); 0: open */
  uint64_t before_version; /* 0: from the newest */
  uint32_t limit;          /* 1..500 */
  uint32_t scan_max;       /* rows looked at, at the most */
  /* out */
  bool user_found;
  bool more; /* next_before goes on, perhaps with an empty page */
  uint64_t next_before;
  size_t entries_count;
  struct ledger_entry *entries; /* newest first */
  struct store_text *metadata;  /* parallel */
  hf_amount *reversed;          /* parallel: op_index 0 entries; reversed so far */
  hf_id *reversed_by;           /* parallel: newest reversal's op, 0 */
};

struct store_scan { /* the journal of a partition in order of seq */
  uint32_t partition;
  uint64_t from_seq;
  uint32_t limit;
  bool reversals; /* fill reversed_by */
  /* out: entries ascending; bodies parallel (canonical bytes, views into the arena) */
  size_t entries_count;
  struct ledger_entry *entries;
  struct store_text *bodies;
  struct store_text *metadata; /* parallel; NULL when none or erased */
  struct store_salt {
    uint8_t bytes[16];
  } * salts;          /* of metadata, parallel; else zero */
  hf_id *reversed_by; /* parallel, as in store_list_entries; NULL when it was not asked for */
};

struct store_request {
  enum store_kind kind;
  uint8_t status; /* out: enum store_status */
  rt_id asker;    /* kept by the store actor: whom the answer goes to */
  uint32_t corr;
  void *owner; /* the asker's own */
  uint64_t submitted_us;
  struct store_request *next; /* of whoever owns it */
  struct store_port *port;    /* the port's own: set while the port has it */
  uint8_t port_state;         /* likewise */
  struct hf_arena arena;      /* of the answer; freed by store_request_free */
  union {
    struct {
      struct store_batch *batches;
      size_t batches_count;
      struct store_unit **units;
      size_t units_count; /* in order of their numbering */
      uint64_t commit_us; /* out: how long the transaction took */
      bool leads;         /* out: the first of the requests that share the transaction */
    } commit;
    /* tenure: of the partition when the store actor let the read go, its own word to the asker */
    struct {
      hf_id id;
      uint32_t tenure;
      struct store_loaded_user out;
    } load_user;
    struct {
      hf_id id;
      struct store_user_row out;
    } get_user;
    struct {
      uint32_t partition;
      uint8_t name_kind;
      struct hf_hash digest;
      struct store_name_row out;
    } get_name;
    struct {
      hf_id id;
      bool entry; /* id is an entry's, any of its op's */
      struct store_op *out;
    } get_op;
    struct {
      hf_id user;
      struct hf_digest key;
      struct store_op *out;
    } get_key_op;
    struct {
      hf_id id;
      struct store_hold_row out;
    } get_hold;
    struct {
      hf_id id;
      struct store_block_row out;
    } get_block;
    struct {
      hf_id user;
      bool open_only;
      hf_id after;
      uint32_t limit;
      bool user_found;
      bool more;
      size_t count;
      struct store_hold_row *out;
    } list_holds;
    struct store_list_entries list_entries;
    /* recorded axis: the balances at T from each asset's newest entry with recorded_us <= T.
     * effective axis: the sums of the entries with effective_us <= T, made of the recorded balances
     * at T and the backdated entries (effective_us < recorded_us), which have an index of their
     * own; buckets may be negative there (out: only the balances; versions are the recorded ones,
     * 0 for an asset that has none by then). overflow: a sum leaves the 128-bit range, out is
     * empty. */
    struct {
      hf_id user;
      int64_t at_us;
      bool effective;
      bool user_found;
      bool overflow;
      uint64_t version;
      size_t count;
      struct ledger_asset *out;
    } balance_at;
    struct store_partition open_partition;
    struct {
      uint32_t partition;
      int64_t now_us;
      int64_t after_us; /* behind the hold that expires then and has ... */
      hf_id after_id;   /* ... this id; 0, 0: from the first */
      uint32_t limit;
      size_t count;
      struct store_hold_row *out;
    } due_holds;
    struct {
      uint32_t partition;
      hf_id after;
      uint32_t limit;
      size_t count;
      struct store_transfer_row *out;
    } open_transfers;
    struct {
      uint32_t partition;
      uint32_t limit;
      size_t count;
      struct store_name_row *out;
    } reserved;
    struct {
      size_t assets_count;
      struct store_asset_row *assets;
      size_t keys_count;
      struct store_key_row *keys;
    } catalog;
    struct store_scan scan;
    /* advances ledger_balances and system_totals by up to `limit` entries of the partition; more:
     * there may be more */
    struct {
      uint32_t partition;
      uint32_t limit;
      bool more;
    } project;
    struct store_lease lease;
  };
};

struct store_request *store_request_new(enum store_kind kind); /* zeroed */
/* Frees the answer too, unless its taker set get_op.out or get_key_op.out to NULL. Not the units;
 * the commit's arrays only when they are in the request's arena. */
void store_request_free(struct store_request *request);

/* ---- engines --------------------------------------------------------------------------------- */

struct store_engine;
struct store_admin_ops;
struct store_engine_ops {
  const char *name;
  /* Any thread; STORE_COMMIT, STORE_OPEN_PARTITION and STORE_PROJECT from one thread at a time
   * (the write pool), reads from several beside it. Fills request->status and the out fields. */
  void (*execute)(struct store_engine *engine, struct store_request *request);
  /* Several commits of disjoint partitions in one transaction, each with its own status: one that
   * hits, conflicts or is fenced does not fail the others. One thread at a time. */
  void (*commit_many)(struct store_engine *engine, struct store_request **requests, size_t count);
  void (*close)(struct store_engine *engine);
  const struct store_admin_ops *admin; /* adapters/store/store_admin.h; NULL: none */
};
#define STORE_SECRET_SIZE 32u
struct store_engine {
  const struct store_engine_ops *ops;
  unsigned partition_bits; /* as the database was made with */
  /* Random, kept in the database: the same for all that use it, for ever. What is shown to anybody
   * is derived from it, with a label of its own. */
  uint8_t secret[STORE_SECRET_SIZE];
};

/* ---- the port -------------------------------------------------------------------------------- */

struct store_port {
  const char *name;
  unsigned window; /* commit requests in flight that one store actor may have */
  bool shared;     /* other nodes may use the database: partitions are leased (STORE_LEASE) */
  /* Takes the request; the answer is the message HF_STORE_ANSWER (messages.h) to rt_self(ctx).
   * RT_AGAIN: no room, not taken. */
  rt_status (*submit)(struct store_port *port, rt_ctx *ctx, struct store_request *request);
  void *impl;
};

#endif
