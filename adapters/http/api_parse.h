/* api_parse.h - from a request's JSON to an operation: fields by type, canonical digest, metadata.
 *
 * Pure but for memory and the salt. Untrusted input.
 * The digest stands for what was asked, not for how it was written: "1.0" and "1.00", another order
 * of fields, or a default that is spelled out give the same one. It is remembered with the
 * idempotency key for ever, so its bytes may only ever be added to (version byte first). */
#ifndef HOLDFAST_API_PARSE_H
#define HOLDFAST_API_PARSE_H

#include "actors/user/op.h"
#include "adapters/http/json_in.h"
#include "adapters/http/json_out.h"
#include "holdfast/bytes.h"

#define API_TIMEOUT_S_MAX 315360000u /* of a hold: ten years */
#define API_METADATA_MAX 4096u       /* canonical bytes of `metadata` alone */

struct api_parse {        /* what all ops of a request have in common, and working memory */
  int64_t now_us;         /* wall clock */
  const char *key_id;     /* of the service key that asks */
  const char *request_id; /* becomes the entries' correlation id */
  bool batch;             /* the item has an idempotency_key of its own */
  struct json_out text;   /* reused from op to op */
  struct hf_bytes bytes;
};
void api_parse_deinit(struct api_parse *parse);

/* Fills what the front door owes: user, command, asset code, metadata, request digest; in a batch
 * the key too. ret_digits: digits behind the point of the amount as written. On a problem the op is
 * only good for hf_op_free. */
void api_parse_op(struct api_parse *parse, const json_t *object, struct hf_op *op,
                  struct json_problem *problem, unsigned *ret_digits);
/* Refuses an amount that has more digits than the asset's scale, with the nearest that has not, and
 * one that does not fit. */
void api_parse_amount(const struct hf_op *op, unsigned scale, unsigned digits,
                      struct json_problem *problem);
/* A new asset's code. */
bool api_asset_code_valid(const char *text, size_t size);

#endif
