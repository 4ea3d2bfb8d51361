/* identity.h - who this node is among the nodes of a shared database.
 *
 * A random number in DATA/node.id, under flock: only the process that holds the lock has it. Its
 * low bits are another start's each time (HF_NODE_LIFE_BITS), so a node that comes back after a
 * crash knows its earlier lives, takes their partitions over at once, and what one of them may
 * still have on its way to the database is not taken for the new one's.
 * The file also says on which disk and at which place of it it was written, and since when that
 * machine runs. Where that differs the folder may be a copy whose original is in use: the node gets
 * a number of its own, and the partitions of the old one are free when its lease has ended. */
#ifndef HOLDFAST_IDENTITY_H
#define HOLDFAST_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

struct identity {
  int file;    /* holds the lock; -1: none */
  uint64_t id; /* 1..INT64_MAX */
  bool copied; /* the folder was copied or moved: the number is a new one */
};

/* Makes the folder and the file when they are missing. False: `ret_why` says what to do. */
bool identity_open(struct identity *identity, const char *data_folder, char ret_why[256]);
void identity_close(struct identity *identity);

#endif
