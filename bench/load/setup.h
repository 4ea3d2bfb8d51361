/* setup.h - makes what a run needs through the API: the asset, the users, their funds.
 *
 * Thread: the caller. Ends the process with the server's answer when anything is refused. */
#ifndef BENCH_SETUP_H
#define BENCH_SETUP_H

#include <stdint.h>

#include "runner.h"
#include "users.h"

struct setup_config {
  struct generator_plan address; /* only address and address_size are read */
  const char *host;
  const char *access_key;
  const char *asset;
  unsigned scale;
  const struct process_set *servers;
  uint64_t run; /* makes external ids and keys unlike those of any other run */
};

/* Creates the asset; one that is there already with the same scale will do. */
void setup_asset(const struct setup_config *config);
/* Creates `count` registered users and adds their ids; returns users per second. */
double setup_users(const struct setup_config *config, size_t count, struct users *users);
/* Grants `amount` to every user in batches; returns grants per second. */
double setup_fund(const struct setup_config *config, const struct users *users, const char *amount);

#endif
