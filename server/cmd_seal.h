/* cmd_seal.h - the verbs of `holdfast ledger` that are about seals. */
#ifndef HOLDFAST_CMD_SEAL_H
#define HOLDFAST_CMD_SEAL_H

#include "actors/store/port.h"
#include "server/options.h"

struct seal_arguments {         /* as on the command line; NULL: not given */
  const char *user, *from, *to; /* proof */
  const char *file;             /* check */
  const char *key;              /* verify, check: the public key, hex, or a file that has it */
};

/* seal, proof, check. */
bool seal_is_verb(const char *verb);
/* Runs it; returns the exit code. */
int seal_run(const char *verb, const struct options *options,
             const struct seal_arguments *arguments);
/* The part of `ledger verify` that looks at the seals, when there are some: prints what it finds to
 * stderr, and how much it looked at. Exit code. */
int seal_run_verify(const struct options *options, const struct seal_arguments *arguments,
                    struct store_engine *engine);
/* The folder that the options name. */
void seal_folder_of(const struct options *options, char *out, size_t room);

#endif
