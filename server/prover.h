/* prover.h - proofs for the front door: the newest seal, its leaves and the journal, read by one
 * job at a time through an engine of its own that is opened at the first proof.
 *
 * It reads the folder that a sealer of this or another process writes. */
#ifndef HOLDFAST_PROVER_H
#define HOLDFAST_PROVER_H

#include "adapters/http/front.h"
#include "server/options.h"

struct prover;
struct prover *prover_new(const struct options *options); /* NULL: a store that is never sealed */
void prover_free(struct prover *prover);                  /* no job runs any more */
/* For struct front_prover; arg: the prover. */
enum hf_error prover_prove(void *arg, uint64_t user, struct json_out *out);

#endif
