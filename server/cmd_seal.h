/* cmd_seal.h - the verbs of `holdfast ledger` that are about seals. */
#ifndef HOLDFAST_CMD_SEAL_H
#define HOLDFAST_CMD_SEAL_H

#include "actors/store/port.h"
#include "server/options.h"
#include "server/seal_proof.h"

struct seal_arguments {         /* as on the command line; NULL: not given */
  const char *user, *from, *to; /* proof */
  const char *file;             /* check */
  const char *key;              /* verify, check: the public key, hex, or a file that has it */
  /* What seal_read_arguments made of them. */
  uint64_t user_id, from_seal, to_seal;
  uint8_t key_bytes[HF_SIGN_KEY_SIZE];
};

/* seal, proof, check. */
bool seal_is_verb(const char *verb);
/* False: one of them is none, or one too many or too few for the verb; told on stderr. */
MUST_CHECK bool seal_read_arguments(const char *verb, struct seal_arguments *arguments);
/* Runs it; returns the exit code. */
int seal_run(const char *verb, const struct options *options,
             const struct seal_arguments *arguments);
/* The part of `ledger verify` that looks at the seals: report->found is told what is wrong, also
 * that there are none although a key or a folder was given. Exit code; EXIT_DONE without any. */
int seal_run_verify(const struct options *options, const struct seal_arguments *arguments,
                    struct store_engine *engine, struct seal_report *report);
/* The folder that the options name. */
void seal_folder_of(const struct options *options, char *out, size_t room);

#endif
