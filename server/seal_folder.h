/* seal_folder.h - the folder of seals: the signing key, and one statement per file, kept for ever.
 *
 *   key            the Ed25519 seed in hex, readable by its owner only; made with the first seal
 *   key.pub        the public key in hex: keep a copy elsewhere
 *   00000012.seal  statement 12 (actors/seal/seal.h)
 *
 * One process writes it (flock on the folder). Blocking; one thread. Statements are durable before
 * they count. Errors: false, and a text for a person. */
#ifndef HOLDFAST_SEAL_FOLDER_H
#define HOLDFAST_SEAL_FOLDER_H

#include "actors/seal/merkle.h"
#include "actors/seal/seal.h"

#define SEAL_PATH_MAX 3900u
#define SEAL_WHY_MAX 256u

struct seal_folder {
  char path[SEAL_PATH_MAX + 1u];
  int lock;                        /* -1: opened to read only */
  uint8_t seed[HF_SIGN_SEED_SIZE]; /* when opened to write */
  bool key_is_new;                 /* no seal was made with it yet */
  uint64_t newest;                 /* number; 0: none yet */
  struct merkle_tree log;          /* over statements 1..newest */
  struct seal last;                /* the newest */
};

/* Reads and judges every statement; false when one is missing, as below. `write`: makes the folder,
 * takes the lock. */
MUST_CHECK bool seal_folder_open(struct seal_folder *folder, const char *path, bool write,
                                 char ret_why[SEAL_WHY_MAX]);
void seal_folder_close(struct seal_folder *folder);
/* Reads the statements that were written since. */
MUST_CHECK bool seal_folder_refresh(struct seal_folder *folder, char ret_why[SEAL_WHY_MAX]);
/* False: a statement is missing in front of another one that is there, or was read; or there is a
 * key, and none. That the newest are gone is to be seen by their copies alone. */
MUST_CHECK bool seal_folder_whole(const struct seal_folder *folder, char ret_why[SEAL_WHY_MAX]);
/* The bytes of statement `number`, 1..newest, appended to `text`. */
MUST_CHECK bool seal_folder_text(const struct seal_folder *folder, uint64_t number,
                                 struct hf_bytes *text, char ret_why[SEAL_WHY_MAX]);
/* Numbers, signs and writes the next statement, if the folder is whole: time, partition_bits, users
 * and batches are the caller's. */
MUST_CHECK bool seal_folder_add(struct seal_folder *folder, struct seal *seal,
                                char ret_why[SEAL_WHY_MAX]);

#endif
