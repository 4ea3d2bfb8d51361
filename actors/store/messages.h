/* messages.h - every message between actors: name, sender, receiver, payload. The arrows table.
 *
 * docs/ARCHITECTURE.md shows the same table; a test compares them. */
#ifndef HOLDFAST_MESSAGES_H
#define HOLDFAST_MESSAGES_H

#include "holdfast/rt.h"

/* X(NAME, from, to, kind, payload, meaning). kind: ask, reply, tell, hand-over of an
 * ask, or carried ask: one that brings another, and is answered by that one's reply. A pointer in
 * the payload moves with the message; the reply brings it back. */
#define HF_MESSAGES(X)                                                                             \
  X(SUBMIT, "front, transit, peer", "user", "ask", "struct hf_op *", "judge, stage and persist")   \
  X(DONE, "user, transit, peer", "front, transit, peer", "reply", "struct hf_op *",                \
    "applied, refused or unknown; durable unless error is retryable")                              \
  X(BALANCES, "front, peer", "user", "ask", "struct hf_view *", "committed balances")              \
  X(BALANCES_DONE, "user, peer", "front, peer", "reply", "struct hf_view *",                       \
    "a copy of the committed state")                                                               \
  X(PEEK, "front, sweep, peer", "user", "ask", "struct hf_peek *",                                 \
    "does the user exist, is it open; releases what has expired")                                  \
  X(PEEK_DONE, "user, peer", "front, sweep, peer", "reply", "struct hf_peek *",                    \
    "found, status, version")                                                                      \
  X(SET_STATUS, "front, peer", "user", "ask", "struct hf_peek *",                                  \
    "open or close the user, durably")                                                             \
  X(PERSIST, "user, names, transit, catalog", "store", "ask", "struct store_unit *",               \
    "commit this unit, or chain of tied units, in order")                                          \
  X(SETTLED, "store", "user, names, transit, catalog", "reply", "struct store_unit *",             \
    "durable, or a hit, conflict or failure: see status; of a chain its last unit")                \
  X(RESUME, "user", "store", "tell", "hf_id",                                                      \
    "the user knows what was handed back: its units are fresh again")                              \
  X(READ, "front, user, names, transit, catalog, sweep, keeper", "store", "ask",                   \
    "struct store_request *", "one read; the keeper's is a heartbeat")                             \
  X(READ_DONE, "store", "front, user, names, transit, catalog, sweep, keeper", "reply",            \
    "struct store_request *", "its answer")                                                        \
  X(STORE_ANSWER, "port", "store", "tell", "struct store_request *", "the port's one answer")      \
  X(PROVED, "pool", "front", "tell", "struct api_proof *", "a proof is made, or why not")          \
  X(CREATE, "front, peer", "names", "ask", "struct hf_create *", "make a user")                    \
  X(CREATE_DONE, "names, peer", "front, peer", "reply", "struct hf_create *",                      \
    "the user, or why not")                                                                        \
  X(RESERVE, "names, peer", "names", "ask", "struct hf_create *", "second home of a create")       \
  X(RESERVE_DONE, "names, peer", "names, peer", "reply", "struct hf_create *",                     \
    "made there, or why not")                                                                      \
  X(DRIVE, "user", "transit", "hand-over", "struct hf_op *",                                       \
    "a durable debit: credit the payee, then answer the op's asker with DONE")                     \
  X(ASSET, "front, peer", "catalog", "ask", "struct hf_catalog_change *",                          \
    "make an asset or a key")                                                                      \
  X(ASSET_DONE, "catalog, peer", "front, peer", "reply", "struct hf_catalog_change *",             \
    "known on every loop")                                                                         \
  X(LEARN, "catalog, peer", "catalog", "ask", "struct hf_catalog_change *",                        \
    "copy this into your cache")                                                                   \
  X(LEARN_DONE, "catalog, peer", "catalog, peer", "reply", "struct hf_catalog_change *", "copied") \
  X(OPENED, "store", "catalog, names, transit, sweep", "tell", "uint64_t",                         \
    "open (again): resume what was under way; names: the next user's serial")                      \
  X(CLOSED, "store", "names, transit, sweep", "tell", "uint64_t",                                  \
    "the partition is not this node's any more: stop, and answer whoever waits")                   \
  X(OWN, "keeper", "store", "tell", "uint64_t", "the partition is this node's: open it")           \
  X(DROP, "keeper", "store", "tell", "uint64_t", "the partition is not: refuse what waits")        \
  X(RELEASE, "keeper", "store", "ask", "uint64_t", "finish what is in flight, take nothing more")  \
  X(RELEASED, "store", "keeper", "reply", "uint64_t", "nothing of the partition is under way")     \
  X(LOST, "store", "keeper", "tell", "uint64_t", "another writer was in the partition")            \
  X(PLACES, "keeper", "keeper", "tell", "struct keeper_places *", "what the heartbeat told")       \
  X(STALE, "keeper, front, user, catalog", "catalog", "tell", "uint64_t",                          \
    "assets or keys changed")                                                                      \
  X(FORWARD, "front, transit, names, catalog", "peer", "carried ask", "struct peer_forward",       \
    "an ask whose partition another node has")                                                     \
  X(LINK_FRAME, "link", "peer", "tell", "struct link_frame *", "bytes of another node")            \
  X(LINK_DOWN, "link", "peer", "tell", "uint64_t", "a link to or from another node ended")

enum hf_message {
  HF_MESSAGE_FIRST = RT_OP_APP - 1,
#define X(name, from, to, kind, payload, meaning) HF_##name,
  HF_MESSAGES(X)
#undef X
    HF_MESSAGE_END
};

#endif
