/* seal_proof.h - proofs as JSON, their offline check, and the database against its seals.
 *
 * inclusion:   {"proof":"inclusion","user_id","version","leaf","index","size","hashes":[..],"seal"}
 *              the leaf (hex of actors/seal/seal.h's bytes) is under the root that the seal signs
 * consistency: {"proof":"consistency","inclusion":[..],"consistency":[..],"from","to"}
 *              the seal `from` is in the log that the seal `to` signs, and its own log begins that
 * one
 * Seals stand in them as text, hashes as hex. Blocking; any one thread. */
#ifndef HOLDFAST_SEAL_PROOF_H
#define HOLDFAST_SEAL_PROOF_H

#include "actors/store/port.h"
#include "adapters/http/json_out.h"
#include "server/seal_folder.h"

/* HF_OK and the object appended to `out`; HF_E_USER_NOT_FOUND: the newest seal has no such user;
 * else `ret_why` says what is wrong. `folder` is opened to read, or to write. */
MUST_CHECK enum hf_error seal_prove_user(const struct seal_folder *folder,
                                         struct store_engine *engine, hf_id user,
                                         struct json_out *out, char ret_why[SEAL_WHY_MAX]);
/* 1 <= from < to <= newest. */
MUST_CHECK bool seal_prove_log(const struct seal_folder *folder, uint64_t from, uint64_t to,
                               struct json_out *out, char ret_why[SEAL_WHY_MAX]);
/* Judges a proof of either kind, from anywhere. `key`: the only one that may have signed; NULL:
 * any. NULL when it holds, else what is wrong (static text). */
MUST_CHECK const char *seal_check(const json_t *proof, const uint8_t *key);

struct seal_finding {
  const char *what; /* lasts for the call */
  uint64_t seal;    /* number; 0: the folder */
  hf_id user;       /* 0: none */
  uint32_t partition;
  uint64_t batch; /* 0: none */
};
struct seal_report {
  uint64_t seals, users; /* looked at */
  bool without_leaves;   /* there are none here, as in a copy of the statements: no users */
  uint64_t findings;
  void (*found)(void *arg, const struct seal_finding *finding);
  void (*progress)(void *arg, uint64_t users, uint64_t total);
  void *arg;
};
/* Every sealed batch is in the database with its hash, and every user of the newest seal was at its
 * version what the seal says, if the leaves are there: what the users had follows from the batches
 * as well, when those are whole. HF_OK when all was read, whatever was found. Beside a server:
 * seals that it makes meanwhile are read as well. */
MUST_CHECK enum hf_error seal_verify(struct seal_folder *folder, struct store_engine *engine,
                                     const uint8_t *key, struct seal_report *report);

#endif
