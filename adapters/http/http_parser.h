/* http_parser.h - a strict, incremental parser of HTTP/1.1 requests (RFC 9112).
 *
 * Owner: whoever owns the buffer. No I/O, no clock, no allocation, no callback.
 * Input: the request's bytes from its first one on, in one buffer that may grow and move between
 *        calls. Every state is kept, so a byte is looked at once, and feeding byte by byte gives
 *        what feeding all at once gives, errors included.
 * Output: slices of that buffer in a struct http_request. A chunked body is decoded in place, so
 *        that the body is always one slice.
 * Limits: line_max, head_max and HTTP_FIELDS_MAX of http.h, body_max per request, and those below.
 * Refused with 400: Transfer-Encoding beside Content-Length, any Transfer-Encoding but one
 *        "chunked", any Transfer-Encoding on HTTP/1.0, a Content-Length that is not 1*DIGIT or not
 *        alone, bare CR or LF, obs-fold, white space before a colon, control characters, a missing,
 *        doubled or invalid Host, chunk sizes with anything but 1 to 8 hex digits. */
#ifndef HOLDFAST_HTTP_PARSER_H
#define HOLDFAST_HTTP_PARSER_H

#include "holdfast/check.h"
#include "http.h"

#define HTTP_EMPTY_LINES_MAX 2u  /* CRLFs that are skipped before a request line (section 2.2) */
#define HTTP_CHUNK_DIGITS_MAX 8u /* hex digits of a chunk size, leading zeros included */
#define HTTP_CHUNK_EXT_MAX 4096u /* bytes of chunk extensions per request; more: 400 */
#define HTTP_TRAILER_MAX 8192u   /* bytes of the trailer section; more: 431 */

enum http_parse {
  HTTP_PARSE_MORE,  /* all bytes were taken; the request goes on */
  HTTP_PARSE_HEAD,  /* the head is complete and announces a body: http_parser_allow, then run on */
  HTTP_PARSE_DONE,  /* the request is complete; its bytes end at http_parser.at */
  HTTP_PARSE_ERROR, /* http_parser.error and .why; the connection cannot be used any more */
};

struct http_parser {
  struct http_request *request; /* filled while parsing; slices of the buffer of the last run */
  const char *base;             /* the buffer of the last run */
  size_t line_max, head_max;
  size_t at;        /* the next byte to look at, counted from the request's first byte */
  size_t mark;      /* where the element being read began */
  size_t fields_at; /* where the header block began */
  size_t body_at;   /* where the body begins */
  size_t body_size; /* bytes of the body that were taken; decoded, when it is chunked */
  size_t body_max;
  uint64_t length; /* Content-Length, or what is left of the chunk */
  const char *why; /* of an error: one sentence that may be shown to the client; static */
  enum hf_error error;
  uint32_t ext_size;     /* bytes of chunk extensions so far */
  uint32_t trailer_size; /* bytes of the trailer section so far */
  uint16_t seen;         /* HTTP_SEEN_*: what the head announced */
  uint8_t state;
  uint8_t digits;        /* hex digits of the chunk size so far */
  uint8_t empty_lines;   /* before the request line */
  uint8_t request_id_at; /* 1 + index of the X-Request-Id field; 0: none */
  bool connect;          /* the method is CONNECT */
};

enum {
  HTTP_SEEN_HOST = 1,
  HTTP_SEEN_LENGTH = 2,
  HTTP_SEEN_CHUNKED = 4,
  HTTP_SEEN_CLOSE = 8,
  HTTP_SEEN_KEEP_ALIVE = 16,
  HTTP_SEEN_CONTINUE = 32, /* Expect: 100-continue, from an HTTP/1.1 client */
  HTTP_SEEN_EXPECT = 64,   /* another expectation: 417 */
  HTTP_SEEN_HEAD = 128,    /* the head is complete: the request's fields may be used */
};

/* Begins a request. `request` is overwritten step by step; limits may be the server's. */
void http_parser_init(struct http_parser *parser, struct http_request *request,
                      const struct http_limits *limits);
/* Parses on. data[0] is the request's first byte; `size` never shrinks between calls but by
 * http_parser_compact. May write to data (chunked bodies only). */
MUST_CHECK enum http_parse http_parser_run(struct http_parser *parser, char *data, size_t size);
/* The buffer is at `data` now; the next run would notice too, but until then the request's slices
 * would point to where it was. */
void http_parser_moved(struct http_parser *parser, const char *data);
/* After HTTP_PARSE_HEAD: the largest body that this request may bring. HF_OK, or
 * HF_E_PAYLOAD_TOO_LARGE when its Content-Length says already that it is larger. */
MUST_CHECK enum hf_error http_parser_allow(struct http_parser *parser, size_t body_max);
/* After HTTP_PARSE_MORE: gives up the bytes of chunk framing that were decoded away. Returns the
 * size that the buffer's content has now. */
size_t http_parser_compact(struct http_parser *parser);
/* The bytes of head and decoded body, from the request's first byte: what has to be kept. */
size_t http_parser_kept(const struct http_parser *parser);

/* ---- helpers of the request that the server shares ------------------------------------------- */

/* Makes the slices that point into the `size` bytes at `from` point to the same places at `to`. */
void http_request_move(struct http_request *request, const char *from, size_t size, const char *to);
/* Equal without case. `text` is lower case. */
bool http_slice_is(struct http_slice slice, const char *text);
/* Is `member` (lower case) in the comma-separated list? Parameters after ';' are ignored. */
bool http_slice_lists(struct http_slice list, const char *member);
/* Does Accept-Encoding allow gzip (RFC 9110 section 12.5.3)? */
bool http_request_accepts_gzip(const struct http_request *request);

/* ---- between http_parser.c and http_body.c --------------------------------------------------- */

enum {
  HTTP_CHAR_TOKEN = 1,  /* tchar of RFC 9110 section 5.6.2 */
  HTTP_CHAR_TARGET = 2, /* visible ASCII but '#' */
  HTTP_CHAR_VALUE = 4,  /* field-vchar, SP, HTAB */
  HTTP_CHAR_HOST = 8,   /* what a host may be made of, with brackets and colon */
};
extern const uint8_t http_chars[256];

static inline bool http_char_is(char c, unsigned kinds)
{
  return (http_chars[(unsigned char)c] & kinds) != 0;
}

enum {
  HTTP_STATE_START,
  HTTP_STATE_START_LF,
  HTTP_STATE_METHOD,
  HTTP_STATE_TARGET,
  HTTP_STATE_VERSION,
  HTTP_STATE_LINE_LF,
  HTTP_STATE_FIELD,
  HTTP_STATE_NAME,
  HTTP_STATE_SPACE,
  HTTP_STATE_VALUE,
  HTTP_STATE_VALUE_LF,
  HTTP_STATE_HEAD_LF,
  HTTP_STATE_LENGTH,
  HTTP_STATE_CHUNK_SIZE,
  HTTP_STATE_EXT_NAME_FIRST,
  HTTP_STATE_EXT_NAME,
  HTTP_STATE_EXT_VALUE_FIRST,
  HTTP_STATE_EXT_VALUE,
  HTTP_STATE_EXT_QUOTED,
  HTTP_STATE_EXT_ESCAPED,
  HTTP_STATE_EXT_END,
  HTTP_STATE_SIZE_LF,
  HTTP_STATE_DATA,
  HTTP_STATE_DATA_CR,
  HTTP_STATE_DATA_LF,
  HTTP_STATE_TRAILER,
  HTTP_STATE_TRAILER_NAME,
  HTTP_STATE_TRAILER_VALUE,
  HTTP_STATE_TRAILER_LF,
  HTTP_STATE_END_LF,
  HTTP_STATE_DONE,
  HTTP_STATE_ERROR
};

enum http_parse http_parser_fail(struct http_parser *parser, enum hf_error error, const char *why);
/* The body, once the head is complete. */
enum http_parse http_body_run(struct http_parser *parser, char *data, size_t size);

#endif
