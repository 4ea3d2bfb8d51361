/* pg_names.c - see the header.
 *
 * Happy path: the hosts are looked up one after the other by the system's resolver, on a thread of
 *   libuv's; each address becomes a host of its own in the lists that libpq takes.
 * Ways to fail: a host does not resolve (it is left out); none does (`why`).
 * Invariants: one lookup at a time; `done` is called once for each pg_names_resolve that began. */
#include "adapters/store_postgres/pg_names.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "holdfast/check.h"

struct pg_names {
  uv_loop_t *uv;
  pg_names_done done;
  void *arg;
  char hosts[PG_TARGET_TEXT], ports[PG_TARGET_TEXT]; /* the DSN's own lists, ended by zeros */
  unsigned hosts_count, ports_count;
  const char *host[PG_NAMES_HOSTS], *port[PG_NAMES_HOSTS];
  unsigned at; /* the host that is looked up */
  bool busy, closing;
  uv_getaddrinfo_t lookup;
  struct pg_target target;
  unsigned found;
  char why[256];
};

/* ---- the DSN --------------------------------------------------------------------------------- */

/* Parts of a list between commas; 0: too many, or too long. */
static unsigned split(const char *list, char *text, const char **parts)
{
  unsigned count = 0;
  if (strlen(list) >= PG_TARGET_TEXT)
    return 0;
  memcpy(text, list, strlen(list) + 1u);
  for (char *at = text; at != NULL && count <= PG_NAMES_HOSTS; count++) {
    char *comma = strchr(at, ',');
    if (comma != NULL)
      *comma++ = '\0';
    if (count < PG_NAMES_HOSTS)
      parts[count] = at;
    at = comma;
  }
  return count > PG_NAMES_HOSTS ? 0 : count;
}

/* Neither an address nor the folder of a socket. */
static bool is_name(const char *host)
{
  uint8_t address[16];
  return host[0] != '\0' && host[0] != '/' && host[0] != '@' &&
         inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
}

static const char *option(const PQconninfoOption *options, const char *keyword)
{
  for (; options->keyword != NULL; options++)
    if (strcmp(options->keyword, keyword) == 0)
      return options->val == NULL ? "" : options->val;
  return "";
}

/* False: there is nothing to resolve. */
static bool take_dsn(struct pg_names *names, const char *dsn)
{
  PQconninfoOption *options = PQconninfoParse(dsn, NULL);
  bool any = false;
  if (options == NULL)
    return false; /* connecting says what is wrong */
  if (option(options, "hostaddr")[0] == '\0') {
    names->hosts_count = split(option(options, "host"), names->hosts, names->host);
    names->ports_count = split(option(options, "port"), names->ports, names->port);
  }
  PQconninfoFree(options);
  for (unsigned i = 0; i < names->hosts_count; i++)
    any = any || is_name(names->host[i]);
  return any && (names->ports_count == 1u || names->ports_count == names->hosts_count);
}

/* ---- looking up ------------------------------------------------------------------------------ */

static void append(char *list, const char *text, bool first)
{
  size_t size = strlen(list);
  CHECK(size < PG_TARGET_TEXT);
  (void)snprintf(list + size, PG_TARGET_TEXT - size, "%s%s", first ? "" : ",", text);
}

/* More than fits is left out. */
static void add(struct pg_names *names, const char *address)
{
  struct pg_target *target = &names->target;
  const char *host = names->host[names->at];
  const char *port = names->port[names->ports_count == 1u ? 0 : names->at];
  bool first = names->found == 0;
  if (strlen(target->hosts) + strlen(host) + 2u > PG_TARGET_TEXT ||
      strlen(target->addresses) + strlen(address) + 2u > PG_TARGET_TEXT ||
      strlen(target->ports) + strlen(port) + 2u > PG_TARGET_TEXT)
    return;
  append(target->hosts, host, first);
  append(target->addresses, address, first);
  append(target->ports, port, first);
  names->found++;
}

static void lookup_next(struct pg_names *names);

static void take_addresses(struct pg_names *names, const struct addrinfo *all)
{
  for (; all != NULL; all = all->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    int failed = all->ai_family == AF_INET
                   ? uv_ip4_name((const void *)all->ai_addr, text, sizeof text)
                   : uv_ip6_name((const void *)all->ai_addr, text, sizeof text);
    if (failed == 0)
      add(names, text);
  }
}

static void on_addresses(uv_getaddrinfo_t *lookup, int status, struct addrinfo *all)
{
  struct pg_names *names = lookup->data;
  names->busy = false;
  if (names->closing) {
    uv_freeaddrinfo(all);
    return;
  }
  if (status == 0)
    take_addresses(names, all);
  else
    (void)snprintf(names->why, sizeof names->why, "the host \"%.100s\" does not resolve: %s",
                   names->host[names->at], uv_strerror(status));
  uv_freeaddrinfo(all);
  names->at++;
  lookup_next(names);
}

static void lookup_next(struct pg_names *names)
{
  static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  for (; names->at < names->hosts_count; names->at++) {
    if (!is_name(names->host[names->at])) {
      add(names, "");
      continue;
    }
    names->busy = uv_getaddrinfo(names->uv, &names->lookup, on_addresses, names->host[names->at],
                                 NULL, &hints) == 0;
    if (names->busy)
      return;
    (void)snprintf(names->why, sizeof names->why, "the host \"%.100s\" cannot be looked up",
                   names->host[names->at]);
  }
  names->done(names->arg, names->found > 0 ? &names->target : NULL, names->why);
}

struct pg_names *pg_names_new(uv_loop_t *uv, const char *dsn, pg_names_done done, void *arg)
{
  struct pg_names *names = rt_alloc(sizeof *names);
  if (!take_dsn(names, dsn)) {
    rt_free(names);
    return NULL;
  }
  names->uv = uv;
  names->done = done;
  names->arg = arg;
  names->lookup.data = names;
  names->at = names->hosts_count;
  return names;
}

void pg_names_resolve(struct pg_names *names)
{
  if (names->busy)
    return;
  names->target = (struct pg_target){0};
  names->found = names->at = 0;
  names->why[0] = '\0';
  lookup_next(names);
}

void pg_names_free(struct pg_names *names)
{
  if (names == NULL)
    return;
  names->closing = true;
  if (names->busy)
    (void)uv_cancel((uv_req_t *)&names->lookup);
  while (names->busy)
    (void)uv_run(names->uv, UV_RUN_ONCE);
  rt_free(names);
}
