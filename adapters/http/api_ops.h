/* api_ops.h - what the handlers of single operations and of batches share. */
#ifndef HOLDFAST_API_OPS_H
#define HOLDFAST_API_OPS_H

#include "adapters/http/api_call.h"
#include "adapters/http/api_parse.h"
#include "adapters/http/api_write.h"

/* The loop's parser, set up for the ops of this call; while its handler runs. */
struct api_parse *api_parse_of(struct api_call *call, bool batch);
/* api_parse_op and, when the asset is known, api_parse_amount. */
void api_parse_whole_op(struct api_call *call, struct api_parse *parse, const json_t *object,
                        struct hf_op *op, struct json_problem *problem);
/* Must it be known whether the payee exists, before it is submitted? */
bool api_op_needs_peek(const struct hf_op *op);
/* A writer to the loop's reply buffer. */
struct api_write api_write_to(struct api_call *call);
/* More than the error's title, the same for every occurrence of it, or "". */
const char *api_error_detail(enum hf_error error);
void api_op_work_free(void *op);
/* Asks, or frees the request and answers the call. */
void api_read(struct api_call *call, struct store_request *request);

#endif
