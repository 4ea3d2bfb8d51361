/* store_memory.h - the same store in memory: for tests and the simulator; nothing survives it.
 *
 * Deterministic: no hashing by address, no iteration in hash order. A lock makes it safe for the
 * same threads as the SQLite store. */
#ifndef HOLDFAST_STORE_MEMORY_H
#define HOLDFAST_STORE_MEMORY_H

#include "actors/store/port.h"

struct store_engine *store_memory_new(unsigned partition_bits);

#endif
