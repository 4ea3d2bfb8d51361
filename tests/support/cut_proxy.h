/* cut_proxy.h - a TCP proxy in the process that cuts connections at a moment of the test's choice.
 *
 * A thread of its own forwards bytes between clients on a loopback port and a server on another.
 * Owner: a test; the functions may be called from any of its threads. */
#ifndef HOLDFAST_TESTS_CUT_PROXY_H
#define HOLDFAST_TESTS_CUT_PROXY_H

enum cut {
  CUT_NEVER,
  CUT_BEFORE, /* what a client sends next never arrives: the connection ends on both sides */
  CUT_AFTER,  /* it arrives whole; when the server answers, both sides end and nothing is passed */
  CUT_WITHIN, /* half of it arrives; the client's side ends, the server's side stays silent */
  CUT_SILENT, /* nothing passes any more, in either direction, and nothing ends */
};

enum cut_way { CUT_TO_SERVER, CUT_TO_CLIENT };

struct cut_proxy;
struct cut_proxy *cut_proxy_new(int server_port);
void cut_proxy_free(struct cut_proxy *proxy);
int cut_proxy_port(const struct cut_proxy *proxy);
/* Arms the next cut. It happens once; connections that come later are forwarded again, unless
 * `refuse` was set: they end at once until it is cleared. */
void cut_proxy_arm(struct cut_proxy *proxy, enum cut cut);
void cut_proxy_refuse(struct cut_proxy *proxy, int refuse);
/* The connection that passes the n-th byte from now on in this direction ends on both sides right
 * behind it, by a reset or in order; once. bytes < 0: none does any more. */
void cut_proxy_limit(struct cut_proxy *proxy, enum cut_way way, long bytes, int reset);
/* Bytes passed in this direction since the start. */
long cut_proxy_passed(const struct cut_proxy *proxy, enum cut_way way);
/* Where messages of PostgreSQL's protocol have ended, in bytes passed in this direction since the
 * start, ascending: copies `room` at the most, returns their number. Known are those since the last
 * call of cut_proxy_forget, 4096 at the most. */
unsigned cut_proxy_ends(const struct cut_proxy *proxy, enum cut_way way, long *ends, unsigned room);
void cut_proxy_forget(struct cut_proxy *proxy);

#endif
