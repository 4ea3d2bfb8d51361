/* api_stream.h - change streams: a partition's entries as server-sent events, as they are written.
 *
 * Owner: one loop. A stream is the `work` of its call and lives as long as that.
 * Time: rt_now_us. A tick of the front door's actor looks after all streams of its loop.
 * Limits: one read under way per stream, one page rendered, and what http_limits.write_buffer_max
 *         lets a connection queue; streams_max of the configuration. A reader that is too slow is
 *         cut off by the transport (write_timeout_us).
 * New entries: what this process commits is told by hf_setup.tails. In partitions of other nodes,
 * and in all where there are no tails, one stream of the partition and loop looks every 50 to
 * 500 ms, for all of them. */
#ifndef HOLDFAST_API_STREAM_H
#define HOLDFAST_API_STREAM_H

#include "adapters/http/api_call.h"

/* An allowed call becomes a stream of the partition's entries from next_seq on; or it is answered,
 * 429 when too many are open. */
void api_stream_start(struct api_call *call, uint32_t partition, uint64_t next_seq);
/* A timer's tick. */
void api_streams_tick(struct front_loop *loop);
/* The server stops: ends all of them. */
void api_streams_end(struct front_loop *loop);

/* api_changes.c: the entries of the scan that can be shown, from its first on: a node may not know
 * yet of an asset that another one has just made. False: the scan has a gap, which must not be. */
MUST_CHECK bool api_changes_count(const struct api_call *call, const struct store_scan *scan,
                                  size_t *ret_count);
/* Appends entry `index` as one line without its end. */
void api_changes_line(struct api_call *call, const struct store_scan *scan, size_t index);
/* Appends text as it is. */
void api_changes_text(struct json_out *out, const char *text);
/* Asks for up to `limit` entries; false: no room. */
MUST_CHECK bool api_changes_ask(struct api_call *call, uint32_t partition, uint64_t from_seq,
                                uint32_t limit);

#endif
