/* http_head.h - what a request's head means: method, target, framing, Host, persistence.
 *
 * Internal to the parser: http_parser.c cuts the bytes, http_head.c judges them. Pure. */
#ifndef HOLDFAST_HTTP_HEAD_H
#define HOLDFAST_HTTP_HEAD_H

#include "http_parser.h"

/* The method's name is complete. */
void http_head_method(struct http_parser *parser, const char *name, size_t size);
/* The request line is complete, request->path is the whole target: splits it by its form (RFC 9112
 * section 3.2). MORE, or ERROR. */
enum http_parse http_head_line(struct http_parser *parser);
/* request->fields[fields_count] is complete: takes it in. MORE, or ERROR. */
enum http_parse http_head_field(struct http_parser *parser);
/* The empty line was read: HEAD when a body follows, DONE when none does, or ERROR. */
enum http_parse http_head_end(struct http_parser *parser);

#endif
