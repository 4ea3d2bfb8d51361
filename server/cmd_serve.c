/* serve: opens the store, runs the loops and the front door until a signal drains them.
 *
 * Happy path: store, first admin key on an empty database, loops, listeners, one line that says
 *   where; SIGTERM or SIGINT: stop accepting, finish what was accepted, exit 0.
 * Ways to fail: the store or the address cannot be had (exit 3); the drain does not end in the
 *   grace time (exit 1: nothing acknowledged is lost); a second signal (the process just dies). */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "actors/metrics.h"
#include "adapters/http/front.h"
#include "holdfast/check.h"
#include "server/cli.h"
#include "server/direct.h"
#include "server/log.h"
#include "server/prover.h"
#include "server/seal_thread.h"
#include "server/serve.h"

#define ORIGINS_MAX 32u
#define START_WAIT_US 10000000u

struct serve {
  struct options options;
  struct node node;
  struct front *front;
  struct front_config front_config;
  struct prover *prover; /* NULL: there is nothing to prove with */
  struct seal_watch seals;
  char host[256], admin_host[256];
  char *origins_text;
  const char *origins[ORIGINS_MAX];
  atomic_bool failed; /* a loop cannot go on: set before the process signals itself */
};

/* ---- hooks of the runtime -------------------------------------------------------------------- */

/* Once, whoever else fails for the same reason: a second signal would end the process at once. */
static void stop_self(struct serve *serve, const char *why)
{
  log_line(LOG_ERROR, "serve", why);
  if (!atomic_exchange(&serve->failed, true))
    kill(getpid(), SIGTERM);
}

static void on_loop_start(void *arg, rt_ctx *ctx)
{
  struct serve *serve = arg;
  int code = front_start(serve->front, ctx);
  if (code != 0)
    stop_self(serve, strerror(-code));
}

static void on_loop_stop(void *arg, rt_ctx *ctx)
{
  (void)arg;
  front_stop(ctx);
}

static void on_ingress(void *arg, rt_ctx *ctx)
{
  (void)arg;
  front_ingress(ctx);
}

static void on_failure(void *arg, const char *why)
{
  stop_self(arg, why);
}

static void on_front_log(void *arg, int level, const char *json)
{
  (void)arg;
  /* The front door builds a JSON object: its inside becomes our line's fields. */
  char fields[1024];
  size_t size = strlen(json);
  int mine = level == FRONT_LOG_WARN ? LOG_WARNING : level == FRONT_LOG_INFO ? LOG_INFO : LOG_DEBUG;
  if (size < 2u || size - 2u >= sizeof fields)
    return;
  memcpy(fields, json + 1, size - 2u);
  fields[size - 2u] = '\0';
  log_fields(mine, "http", "request", fields);
}

static void on_metrics(void *arg, void (*sink)(void *to, const char *text, size_t size), void *to)
{
  const struct serve *serve = arg;
  seal_watch_write(&serve->seals, sink, to);
}

/* ---- configuration --------------------------------------------------------------------------- */

/* "HOST:PORT" or "[IPv6]:PORT". */
static bool split_address(const char *text, char *host, size_t room, uint16_t *ret_port)
{
  const char *colon = strrchr(text, ':');
  char *end;
  if (colon == NULL || colon[1] == '\0')
    return false;
  unsigned long port = strtoul(colon + 1, &end, 10);
  size_t size = (size_t)(colon - text);
  if (size >= 2u && text[0] == '[' && text[size - 1u] == ']') {
    text++;
    size -= 2u;
  }
  if (*end != '\0' || port > 65535u || size == 0 || size >= room)
    return false;
  memcpy(host, text, size);
  host[size] = '\0';
  *ret_port = (uint16_t)port;
  return true;
}

/* "hfk_<id>_<secret>"; see API conventions. */
static bool parse_admin_key(const char *text, struct api_admin_key *ret_key)
{
  *ret_key = (struct api_admin_key){0};
  if (text[0] == '\0')
    return true;
  const char *id = text + 4;
  const char *mark = strncmp(text, "hfk_", 4) == 0 ? strchr(id, '_') : NULL;
  if (mark == NULL)
    return false;
  size_t id_size = (size_t)(mark - id), secret_size = strlen(mark + 1);
  if (id_size < 4u || id_size > HF_KEY_ID_MAX || secret_size < 32u || secret_size > 128u ||
      strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789") != id_size ||
      strspn(mark + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") !=
        secret_size)
    return false;
  memcpy(ret_key->id, id, id_size);
  ret_key->secret = hf_sha256(mark + 1, secret_size);
  ret_key->given = true;
  return true;
}

static void split_origins(struct serve *serve)
{
  serve->origins_text = strdup(serve->options.allowed_origins);
  CHECK(serve->origins_text != NULL);
  char *rest = serve->origins_text, *origin;
  while ((origin = strsep(&rest, ",")) != NULL)
    if (origin[0] != '\0' && serve->front_config.origins_count < ORIGINS_MAX)
      serve->origins[serve->front_config.origins_count++] = origin;
  serve->front_config.origins = serve->origins;
}

static bool configure_front(struct serve *serve)
{
  const struct options *options = &serve->options;
  struct front_config *config = &serve->front_config;
  unsigned loops = node_loops(options);
  front_config_default(config);
  if (!split_address(options->listen, serve->host, sizeof serve->host, &config->port)) {
    fprintf(stderr, "holdfast: --listen is HOST:PORT\n");
    return false;
  }
  config->host = serve->host;
  if (options->admin_listen[0] != '\0') {
    if (!split_address(options->admin_listen, serve->admin_host, sizeof serve->admin_host,
                       &config->admin_port)) {
      fprintf(stderr, "holdfast: --admin-listen is HOST:PORT\n");
      return false;
    }
    config->admin_host = serve->admin_host;
  }
  if (!parse_admin_key(options->admin_key, &config->admin)) {
    fprintf(stderr, "holdfast: HOLDFAST_ADMIN_KEY is hfk_<id>_<secret>: id of 4 to 32 of [a-z0-9], "
                    "secret of 32 to 128 of [A-Za-z0-9]\n");
    return false;
  }
  config->limits.connections_max = (unsigned)((options->connections + loops - 1u) / loops);
  config->limits.per_address_max = (unsigned)options->per_address;
  config->limits.loopback_capped = options->loopback_capped;
  config->limits.handler_timeout_us = options->handler_timeout_ms * 1000u;
  config->limits.idle_timeout_us = options->idle_timeout_ms * 1000u;
  config->limits.write_timeout_us = options->write_timeout_ms * 1000u;
  config->streams_max = (unsigned)options->streams;
  config->stream_beat_us = options->stream_beat_ms * 1000u;
  config->rate_loopback = options->loopback_capped;
  config->key_rate = (struct front_rate){.requests = (uint32_t)options->rate_limit, .window_s = 60};
  config->version = HF_VERSION;
  config->metric_base = HF_METRIC_COUNT;
  config->log_level = log_wants(LOG_DEBUG) ? FRONT_LOG_DEBUG : FRONT_LOG_INFO;
  config->log = on_front_log;
  config->metrics = on_metrics;
  config->metrics_arg = serve;
  config->failed = on_failure;
  config->failed_arg = serve;
  split_origins(serve);
  return true;
}

/* A cursor is good on every node and after every start, whatever becomes of the service keys. */
static void derive_cursor_secret(struct front_config *config, const struct store_engine *engine)
{
  static const char label[crypto_kdf_CONTEXTBYTES] = {'h', 'f', 'c', 'u', 'r', 's', 'o', 'r'};
  _Static_assert(STORE_SECRET_SIZE == crypto_kdf_KEYBYTES, "the secret is the master key");
  _Static_assert(API_CURSOR_KEY_SIZE >= crypto_kdf_BYTES_MIN &&
                   API_CURSOR_KEY_SIZE <= crypto_kdf_BYTES_MAX,
                 "one derivation is enough");
  const int failed = crypto_kdf_derive_from_key(config->cursor_secret, API_CURSOR_KEY_SIZE, 1,
                                                label, engine->secret);
  CHECK(failed == 0);
}

/* On a database without keys, and with none given, makes the first admin key. */
static bool prepare_keys(struct serve *serve, struct store_engine *engine,
                         char first_key[HF_KEY_TEXT_MAX])
{
  struct store_request *catalog = direct_catalog(engine);
  first_key[0] = '\0';
  if (catalog != NULL && catalog->catalog.keys_count == 0 && !serve->front_config.admin.given) {
    store_request_free(catalog);
    if (direct_key_create(engine, NULL, "first admin", HF_SCOPE_ADMIN, first_key) != HF_OK)
      return false;
    catalog = direct_catalog(engine);
  }
  if (catalog == NULL)
    return false;
  derive_cursor_secret(&serve->front_config, engine);
  store_request_free(catalog);
  return true;
}

/* ---- running --------------------------------------------------------------------------------- */

static void block_signals(sigset_t *set)
{
  sigemptyset(set);
  sigaddset(set, SIGTERM);
  sigaddset(set, SIGINT);
  pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void say_started(const struct serve *serve, const char *first_key)
{
  unsigned port = front_port(serve->front);
  bool six = strchr(serve->host, ':') != NULL;
  const char *left = six ? "[" : "", *right = six ? "]" : "";
  const char *key = first_key[0] != '\0'              ? first_key
                    : serve->front_config.admin.given ? "$HOLDFAST_ADMIN_KEY"
                                                      : "<service key>";
  printf("holdfast %s serves on http://%s%s%s:%u\n", HF_VERSION, left, serve->host, right, port);
  if (first_key[0] != '\0')
    printf("admin key (shown this once): %s\n", first_key);
  printf("try: curl -H \"Authorization: Bearer %s\" http://%s%s%s:%u/v1/assets\n", key, left,
         serve->host, right, port);
  fflush(stdout);
}

/* Waits until the listeners are there: true; until a loop has failed: false. A signal ends it too,
 * with its number. */
static bool wait_listening(struct serve *serve, const sigset_t *set, int *ret_signal)
{
  struct timespec pause = {.tv_nsec = 200000};
  for (unsigned waited_us = 0; waited_us < START_WAIT_US; waited_us += 200) {
    if (front_ready(serve->front))
      return true;
    int number = sigtimedwait(set, NULL, &pause);
    if (number <= 0)
      continue;
    *ret_signal = number;
    return !atomic_load(&serve->failed); /* looked at behind its signal, or that would come later */
  }
  /* The store is slow to open: the listeners are up and answer 503 until it has. */
  return front_port(serve->front) != 0;
}

/* Signals that came for the same reason are over; from here a further one ends the process. */
static void unblock_signals(const sigset_t *set)
{
  struct timespec now = {0};
  while (sigtimedwait(set, NULL, &now) > 0) {
  }
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

static int run(struct serve *serve, const char *first_key)
{
  sigset_t set;
  int number = 0, code = EXIT_STORE;
  block_signals(&set);
  if (!node_start(&serve->node)) {
    fprintf(stderr, "holdfast: cannot start the loops: %s\n", strerror(errno));
    return EXIT_STORE;
  }
  if (wait_listening(serve, &set, &number)) {
    bool failed;
    struct seal_thread *sealer = seal_thread_start(&serve->options, &serve->seals, &failed);
    code = failed ? EXIT_STORE : EXIT_DONE;
    if (number == 0 && !failed) {
      say_started(serve, first_key);
      sigwait(&set, &number);
    }
    log_line(LOG_INFO, "serve", "draining");
    seal_thread_stop(sealer);
  }
  unblock_signals(&set);
  return code;
}

/* The loops share the port by SO_REUSEPORT, which would let another server of ours in as well. */
static bool port_is_free(const char *host, uint16_t port)
{
  char service[8];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
  struct addrinfo *found = NULL;
  bool is_free = true;
  int on = 1;
  snprintf(service, sizeof service, "%u", port);
  if (port == 0 || getaddrinfo(host, service, &hints, &found) != 0)
    return true; /* the listeners say what is wrong with the address */
  int probe = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe >= 0) {
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    is_free = bind(probe, found->ai_addr, found->ai_addrlen) == 0 || errno != EADDRINUSE;
    close(probe);
  }
  freeaddrinfo(found);
  return is_free;
}

int cmd_serve(int argc, char **argv)
{
  static struct serve serve; /* one per process; its address goes to the loops */
  char first_key[HF_KEY_TEXT_MAX];
  int code = EXIT_USAGE;
  if (cli_help(argc, argv, "serve [options]", NULL, ""))
    return EXIT_DONE;
  if (!options_read(&serve.options, "serve", argc, argv, NULL))
    goto out;
  if (serve.options.arguments_count > 0 || !log_level_set(serve.options.log_level)) {
    fprintf(stderr, "holdfast serve: see holdfast serve --help\n");
    goto out;
  }
  if (!configure_front(&serve))
    goto out;
  code = EXIT_STORE;
  if (!port_is_free(serve.front_config.host, serve.front_config.port)) {
    fprintf(stderr, "holdfast: %s is in use\n", serve.options.listen);
    goto out;
  }
  struct store_engine *engine = cli_open_store(&serve.options, false);
  if (engine == NULL)
    goto out;
  if (!prepare_keys(&serve, engine, first_key)) {
    fprintf(stderr, "holdfast: the service keys cannot be read\n");
    engine->ops->close(engine);
    goto out;
  }
  serve.prover = prover_new(&serve.options);
  if (serve.prover != NULL)
    serve.front_config.prover = (struct front_prover){
      .prove = prover_prove, .arg = serve.prover, .pool = node_proof_pool(&serve.options)};
  serve.front = front_new(&serve.front_config, node_loops(&serve.options));
  struct node_use use = {.front = &hf_front_class,
                         .metrics = front_metrics,
                         .metrics_count = FRONT_METRIC_COUNT,
                         .loop_start = on_loop_start,
                         .loop_stop = on_loop_stop,
                         .ingress = on_ingress,
                         .escalate = on_failure,
                         .arg = &serve};
  if (!node_init(&serve.node, &serve.options, engine, &use)) {
    front_free(serve.front);
    prover_free(serve.prover);
    goto out;
  }
  code = run(&serve, first_key);
  bool complete = node_stop(&serve.node, serve.options.grace_ms * 1000u);
  if (atomic_load(&serve.failed) || !complete)
    code = code == EXIT_DONE ? EXIT_FOUND : code;
  log_line(LOG_INFO, "serve", complete ? "stopped" : "stopped before everything was answered");
  front_free(serve.front);
  if (complete)
    prover_free(serve.prover); /* else a job may still use it */
out:
  free(serve.origins_text);
  options_free(&serve.options);
  return code;
}
