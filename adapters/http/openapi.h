/* openapi.h - the OpenAPI 3.1 document, made of the route table and api_schema.h. Pure. */
#ifndef HOLDFAST_OPENAPI_H
#define HOLDFAST_OPENAPI_H

#include "adapters/http/json_out.h"

/* Writes the whole document. */
void openapi_write(struct json_out *out, const char *version);

#endif
