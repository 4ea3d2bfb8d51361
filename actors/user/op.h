/* op.h - what travels between the front door and the actors: operations, views, peeks, creates.
 *
 * Owner: who allocated it (the front door's loop); while asked about, the asked actor; the reply
 * gives it back, and the allocator frees it on the loop that allocated it. */
#ifndef HOLDFAST_OP_H
#define HOLDFAST_OP_H

#include "actors/ledger/ledger.h"
#include "actors/store/port.h"

#define HF_OP_ATTEMPTS_MAX 4u

/* HF_SUBMIT / HF_DONE: one request to change a user's balances. */
struct hf_op {
  struct store_unit unit; /* first: a unit's pointer is its op's */
  /* The asker fills this. */
  void *owner;    /* the asker's own */
  uint32_t index; /* the asker's own: place in a batch */
  hf_id user;
  uint64_t deadline_us;          /* monotonic; dropped after it only if not staged yet */
  bool has_key;                  /* a client's key: command.key, command.request are set */
  struct ledger_command command; /* now_us, scale, asset_known ... are set by the user actor */
  char asset_code[HF_ASSET_CODE_MAX + 1]; /* "": not given */
  uint8_t salt[16];                       /* of metadata */
  struct store_text metadata;             /* JSON {"reason":..,"metadata":..}; the op's memory */
  /* Atomic batch: ops of one user, all or none, no transfers. The head is asked and answered; each
   * member carries its own error. */
  struct hf_op *group_next;
  /* The answer. */
  enum hf_error error;     /* HF_OK: applied. Retryable errors: not judged for ever */
  bool replayed;           /* the journal knew the key: `replay` holds what it knows */
  struct store_op *replay; /* also set when another node judged the op: its entries, then */
  /* The user actor's own. */
  rt_id asker;
  uint32_t corr;
  uint8_t attempts;
  uint8_t state;             /* enum op_state of user.h */
  bool unknown;              /* a commit of it may have happened */
  bool looked_up;            /* what it refers to was read from the journal */
  uint32_t looked_up_tenure; /* ... under this tenure of the partition */
  bool assets_read;          /* the store knows no more assets than this loop does */
  struct hf_op *group_head;  /* NULL when alone */
  uint32_t group_left;       /* of a head: members whose fate is open; at 0 the group is answered */
  struct hf_op *next;        /* in the user actor's list */
  uint64_t judged_us;        /* monotonic */
  void *effects;             /* one block: what unit.entries, rows, bodies point to */
  struct ledger_original *original; /* reverse: read from the journal */
};

struct hf_op *hf_op_new(void);     /* zeroed but for defaults: final, if_version -1 */
void hf_op_free(struct hf_op *op); /* one op, not its group */
/* The applied op's entries, replayed or fresh, with ids, hashes and balances. NULL if refused. */
const struct ledger_entry *hf_op_entries(const struct hf_op *op, size_t *ret_count);
hf_id hf_op_id(const struct hf_op *op); /* 0 when refused */
/* The metadata JSON as stored; at == NULL when none. */
struct store_text hf_op_metadata(const struct hf_op *op);

/* HF_BALANCES: the committed balances of a user. */
struct hf_view {
  void *owner;
  hf_id user;
  enum hf_error error; /* HF_OK, HF_E_USER_NOT_FOUND, or retryable */
  uint64_t version;
  int64_t as_of_us; /* unix, when it was read */
  uint16_t assets_count;
  struct ledger_asset *assets; /* ascending by number; inline_assets or rt_alloc'ed */
  struct ledger_asset inline_assets[2];
  rt_id asker; /* the user actor's own */
  uint32_t corr;
  int64_t wait_expiry_us; /* holds that expired before this must be released first */
  struct hf_view *next;
};
struct hf_view *hf_view_new(void);
void hf_view_free(struct hf_view *view);

/* HF_PEEK, HF_SET_STATUS. */
struct hf_peek {
  void *owner;
  uint32_t index;
  hf_id user;
  uint8_t status; /* enum ledger_status; SET_STATUS: in and out */
  uint64_t version;
  enum hf_error error; /* HF_OK, HF_E_USER_NOT_FOUND, or retryable */
  rt_id asker;         /* the user actor's own */
  uint32_t corr;
  struct store_unit unit;
  struct store_row row;
  struct hf_peek *next;
};

/* HF_CREATE: makes a user. Ask hf_create_home's actor. */
struct hf_create {
  void *owner;
  /* in */
  bool has_key; /* create key = SHA-256("<service key id>\n<Idempotency-Key>") */
  struct hf_hash key;
  struct hf_digest request; /* of the canonical request */
  uint8_t kind;
  bool has_external_id;
  char external_id[HF_EXTERNAL_ID_MAX + 1];
  struct store_text profile; /* borrowed from the asker until the answer; NULL: none */
  bool existing_ok;          /* importer: the user who has this external id is the answer */
  /* out */
  enum hf_error error; /* HF_OK, EXTERNAL_ID_TAKEN, IDEMPOTENCY_CONFLICT, retryable */
  bool replayed;
  hf_id user;
  int64_t created_us;
  /* the names actors' own */
  uint8_t state;
  bool reserving; /* came as RESERVE: the answer is RESERVE_DONE */
  rt_id asker;
  uint32_t corr;
  rt_id second_asker;
  uint32_t second_corr;
  struct store_unit unit;
  struct store_row rows[3];
  struct store_request *lookup;
  struct hf_create *next;
};
/* The names actor that a create starts at: of its key, else of its external id, else any. */
rt_id hf_create_home(rt_ctx *ctx, const struct hf_create *create, unsigned partition_bits);
/* SHA-256 of an external id as the names table keeps it, and its partition. */
struct hf_hash hf_external_id_digest(const char *external_id, size_t size);
unsigned hf_digest_partition(const struct hf_hash *digest, unsigned partition_bits);

/* What the runtime's own reply to an ask (RT_OP_EXPIRED ...) means to who asked; HF_OK for any
 * other op. An actor that went DOWN may have begun what it was asked: what changes something is
 * then of unknown outcome. The other echoes come before the actor has seen the ask. */
enum hf_error hf_echo_error(unsigned op, bool changes);

#endif
