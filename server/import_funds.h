/* import_funds.h - what each user of a file has and is short of when it starts with nothing: for
 * --prefund and --dry-run. One entry of about 200 bytes for each user of the file. */
#ifndef HOLDFAST_IMPORT_FUNDS_H
#define HOLDFAST_IMPORT_FUNDS_H

#include "server/import_map.h"

struct import_fund;
struct import_funds {
  struct import_fund *users; /* in order of first appearance */
  size_t count;
  bool overflow; /* a sum left the range; the figures are of no use then */
};

/* Counts a row, in the order of import. One to oneself moves nothing. */
void import_funds_add(struct import_funds *funds, const struct import_row *row);
/* Steps through the users that are ever short, in order of appearance, with the most that each is
 * short of: NULL starts, NULL ends. */
const struct import_fund *import_funds_next_short(const struct import_funds *funds,
                                                  const struct import_fund *after,
                                                  const char **ret_user, hf_amount *ret_short);
void import_funds_free(struct import_funds *funds);

#endif
