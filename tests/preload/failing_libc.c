/* failing_libc.c - loaded before the C library of a real process (LD_PRELOAD): calls of it fail.
 *
 * Which: a session makes tens of thousands of calls, most of them from where one came before. So a
 * call is known by its site: a hash over the call's name and the return addresses above it, each
 * relative to its module, which is the same in every process of the same build. A first run with
 * FAILING_LIBC_RECORD=FILE writes a line for each site when it is first reached:
 *   <id> <call> <manners> <module>+<offset>:<symbol> ...
 * A later one with FAILING_LIBC_SITE=<id> and FAILING_LIBC_MANNER fails that one:
 *   once          the first time that it is reached
 *   on            that call fails then, wherever it comes from, until the test says that it is over
 *   interrupted   the first time, with EINTR
 *   short         the first time, half of the bytes are read or written
 * A call fails as its manual page says that it may on such a descriptor, and does nothing then.
 * FAILING_LIBC_FILE is shared with the test: see struct shared.
 * Limits: what libc calls inside of itself cannot be seen from here; counting begins when the
 * libraries have been set up, right before main. Threads: any. */
/* It defines what the fortified headers define as well. */
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* What the test reads and writes in the file that both have mapped. */
struct shared {
  atomic_uint_fast64_t calls; /* of all that are watched; counted while recording */
  _Atomic uint32_t struck;    /* calls that were made to fail */
  _Atomic uint32_t healed;    /* by the test: nothing fails any more */
};

enum manner { ONCE, ON, INTERRUPTED, SHORT, MANNERS };
static const char *const manner_names[MANNERS] = {"once", "on", "interrupted", "short"};

/* X(call, errno of a failure, 1 if EINTR is another one). Not here: what cannot fail on Linux, as
 * making a mutex or a condition (their pages say so), and what is told nowhere if it does. */
#define CALLS(X)                                                                                   \
  X(malloc, ENOMEM, 0)                                                                             \
  X(calloc, ENOMEM, 0)                                                                             \
  X(realloc, ENOMEM, 0)                                                                            \
  X(posix_memalign, ENOMEM, 0)                                                                     \
  X(aligned_alloc, ENOMEM, 0)                                                                      \
  X(mmap, ENOMEM, 0)                                                                               \
  X(mmap64, ENOMEM, 0)                                                                             \
  X(mremap, ENOMEM, 0)                                                                             \
  X(socket, EMFILE, 0)                                                                             \
  X(accept4, EMFILE, 1)                                                                            \
  X(eventfd, ENFILE, 0)                                                                            \
  X(epoll_create1, EMFILE, 0)                                                                      \
  X(pipe2, EMFILE, 0)                                                                              \
  X(open, ENFILE, 1)                                                                               \
  X(open64, EMFILE, 1)                                                                             \
  X(__open64_2, EMFILE, 1)                                                                         \
  X(fopen, EMFILE, 0)                                                                              \
  X(mkstemp, ENOSPC, 0)                                                                            \
  X(epoll_ctl, ENOSPC, 0)                                                                          \
  X(epoll_wait, 0, 1)                                                                              \
  X(epoll_pwait, 0, 1)                                                                             \
  X(poll, ENOMEM, 1)                                                                               \
  X(bind, EADDRINUSE, 0)                                                                           \
  X(listen, EADDRINUSE, 0)                                                                         \
  X(connect, EADDRNOTAVAIL, 1)                                                                     \
  X(setsockopt, ENOBUFS, 0)                                                                        \
  X(getsockname, ENOBUFS, 0)                                                                       \
  X(getpeername, ENOTCONN, 0)                                                                      \
  X(shutdown, ENOTCONN, 0)                                                                         \
  X(getaddrinfo, EAI_MEMORY, 0)                                                                    \
  X(recv, ECONNRESET, 1)                                                                           \
  X(send, ECONNRESET, 1)                                                                           \
  X(recvmsg, ECONNRESET, 1)                                                                        \
  X(sendmsg, ECONNRESET, 1)                                                                        \
  X(read, EIO, 1)                                                                                  \
  X(write, ENOSPC, 1)                                                                              \
  X(writev, ENOSPC, 1)                                                                             \
  X(pread, EIO, 1)                                                                                 \
  X(pread64, EIO, 1)                                                                               \
  X(pwrite, ENOSPC, 1)                                                                             \
  X(pwrite64, ENOSPC, 1)                                                                           \
  X(close, EIO, 0)                                                                                 \
  X(fsync, EIO, 1)                                                                                 \
  X(fdatasync, EIO, 1)                                                                             \
  X(ftruncate, EIO, 1)                                                                             \
  X(ftruncate64, EIO, 1)                                                                           \
  X(fcntl, ENOLCK, 0)                                                                              \
  X(fcntl64, ENOLCK, 0)                                                                            \
  X(flock, ENOLCK, 1)                                                                              \
  X(fstat, ENOMEM, 0)                                                                              \
  X(fstat64, ENOMEM, 0)                                                                            \
  X(stat, ENOMEM, 0)                                                                               \
  X(stat64, ENOMEM, 0)                                                                             \
  X(lstat64, ENOMEM, 0)                                                                            \
  X(statvfs, EIO, 0)                                                                               \
  X(access, EIO, 0)                                                                                \
  X(readlink, EIO, 0)                                                                              \
  X(mkdir, ENOSPC, 0)                                                                              \
  X(rename, ENOSPC, 0)                                                                             \
  X(unlink, EIO, 0)                                                                                \
  X(pthread_create, EAGAIN, 0)                                                                     \
  X(pthread_key_create, EAGAIN, 0)

enum call {
#define X(name, error, interruptible) CALL_##name,
  CALLS(X)
#undef X
    CALL_COUNT
};

static struct {
  const char *name;
  int error;
  bool interruptible;
  void *next; /* the C library's own */
} calls[CALL_COUNT] = {
#define X(name, error, interruptible) {#name, error, interruptible != 0, NULL},
  CALLS(X)
#undef X
};

enum { FRAMES_MAX = 6, FRAMES_HEAP = 3, FRAMES_ALL = 14, SITES = 1 << 16, LINE_MAX = 2048 };

static struct shared *shared; /* NULL: nothing is counted and nothing fails */
static int record = -1;
static uint64_t target;
static atomic_int target_call = -1; /* -1: none any more */
static enum manner target_manner;
static atomic_bool is_on;             /* ON: the target has been reached */
static _Atomic uint64_t sites[SITES]; /* recorded ones; 0: free */
static const struct link_map *own_module;
static _Thread_local bool is_inside __attribute__((tls_model("initial-exec")));

/* ---- sites ----------------------------------------------------------------------------------- */

struct site {
  uint64_t id;
  unsigned count;
  struct frame {
    const struct link_map *module;
    uintptr_t offset;
    void *address;
  } frames[FRAMES_MAX];
};

static const char *module_name(const struct link_map *module)
{
  const char *slash = strrchr(module->l_name, '/');
  return module->l_name[0] == '\0' ? "holdfast" : slash != NULL ? slash + 1 : module->l_name;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ at[i]) * 0x100000001b3u;
  return hash;
}

/* What asks for memory in our own code asks rt_alloc and ends without it, whatever is above. */
static bool is_enough(enum call call, const struct site *site)
{
  return site->count == FRAMES_MAX || (call <= CALL_aligned_alloc && site->count == FRAMES_HEAP &&
                                       site->frames[0].module->l_name[0] == '\0');
}

static struct site site_here(enum call call)
{
  void *addresses[FRAMES_ALL];
  struct site site = {.id = mix(0xcbf29ce484222325u, calls[call].name, strlen(calls[call].name))};
  int count = backtrace(addresses, FRAMES_ALL);
  for (int i = 0; i < count && !is_enough(call, &site); i++) {
    struct dl_find_object found;
    if (_dl_find_object(addresses[i], &found) != 0 || found.dlfo_link_map == own_module)
      continue;
    struct frame *frame = &site.frames[site.count++];
    const char *name = module_name(found.dlfo_link_map);
    *frame = (struct frame){found.dlfo_link_map,
                            (uintptr_t)addresses[i] - found.dlfo_link_map->l_addr, addresses[i]};
    site.id = mix(site.id, name, strlen(name));
    site.id = mix(site.id, &frame->offset, sizeof frame->offset);
  }
  site.id += site.id == 0;
  return site;
}

/* True: it is new. */
static bool remember(uint64_t id)
{
  for (uint64_t i = id;; i++) {
    uint64_t known = 0;
    if (atomic_compare_exchange_strong(&sites[i % SITES], &known, id))
      return true;
    if (known == id)
      return false;
  }
}

/* ---- failing --------------------------------------------------------------------------------- */

/* How this call may fail on this descriptor (-1: it has none); 0: not at all. */
static int error_of(enum call call, int fd)
{
  struct stat status;
  if (fd < 0 || calls[call].error == 0)
    return calls[call].error;
  memset(&status, 0, sizeof status);
  if (syscall(SYS_fstat, fd, &status) != 0)
    return 0;
  if (S_ISREG(status.st_mode))
    return calls[call].error;
  switch ((int)call) {
  case CALL_read:
    return S_ISSOCK(status.st_mode) ? ECONNRESET : 0;
  case CALL_write:
  case CALL_writev:
    return S_ISSOCK(status.st_mode) ? EPIPE : 0;
  case CALL_close: /* other descriptors have nothing that could be lost */
    return 0;
  default:
    return calls[call].error;
  }
}

/* Of others, as an eventfd, all is read or written, or nothing. */
static bool is_stream(int fd)
{
  struct stat status;
  memset(&status, 0, sizeof status);
  return syscall(SYS_fstat, fd, &status) == 0 &&
         (S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode));
}

static bool may(enum manner manner, enum call call, int fd, bool has_size)
{
  if (manner == INTERRUPTED)
    return calls[call].interruptible;
  return manner == SHORT ? has_size && is_stream(fd) : error_of(call, fd) != 0;
}

static void write_site(enum call call, int fd, bool has_size, const struct site *site)
{
  char line[LINE_MAX];
  const char *comma = "";
  size_t used = (size_t)snprintf(line, sizeof line, "%016llx %s ", (unsigned long long)site->id,
                                 calls[call].name);
  size_t before = used;
  for (enum manner manner = 0; manner < MANNERS; manner++)
    if (may(manner, call, fd, has_size)) {
      used +=
        (size_t)snprintf(line + used, sizeof line - used, "%s%s", comma, manner_names[manner]);
      comma = ",";
    }
  if (used == before)
    return;
  for (unsigned i = 0; i < site->count && used < sizeof line - 256u; i++) {
    const struct frame *frame = &site->frames[i];
    Dl_info info = {0};
    const char *symbol = dladdr(frame->address, &info) != 0 ? info.dli_sname : NULL;
    used += (size_t)snprintf(line + used, sizeof line - used, " %.60s+%llx:%.100s",
                             module_name(frame->module), (unsigned long long)frame->offset,
                             symbol != NULL ? symbol : "");
  }
  line[used++] = '\n';
  (void)syscall(SYS_write, record, line, used);
}

/* An errno, or -1: half of it. */
static int struck(enum call call, int fd)
{
  const int error = target_manner == SHORT         ? -1
                    : target_manner == INTERRUPTED ? EINTR
                                                   : error_of(call, fd);
  if (error == 0)
    return 0;
  if (error == ECONNRESET || error == EPIPE) /* such a connection is over, whatever is done next */
    (void)syscall(SYS_shutdown, fd, SHUT_RDWR);
  atomic_fetch_add(&shared->struck, 1);
  return error;
}

static int judge(enum call call, int fd, bool has_size)
{
  if (record < 0 && target_manner == ON && atomic_load(&is_on))
    return struck(call, fd);
  const struct site site = site_here(call);
  if (record >= 0) {
    atomic_fetch_add(&shared->calls, 1);
    if (remember(site.id))
      write_site(call, fd, has_size, &site);
    return 0;
  }
  if (site.id != target || (target_manner != ON && !may(target_manner, call, fd, has_size)))
    return 0;
  if (target_manner == ON)
    atomic_store(&is_on, true);
  else if (!atomic_compare_exchange_strong(&target_call, &(int){(int)call}, -1))
    return 0; /* another thread was there at the same time */
  return struck(call, fd);
}

/* What to fail with, 0: not to; -1: half of it. errno stays as it is. */
static int verdict(enum call call, int fd, bool has_size)
{
  int error = 0;
  if (shared == NULL || is_inside || (record < 0 && atomic_load(&target_call) != (int)call) ||
      atomic_load(&shared->healed) != 0)
    return 0;
  const int before = errno;
  is_inside = true;
  error = judge(call, fd, has_size);
  is_inside = false;
  errno = before;
  return error;
}

static bool fails(enum call call, int fd)
{
  const int error = verdict(call, fd, false);
  if (error != 0)
    errno = error;
  return error != 0;
}

/* 0: the call fails; else how many bytes of it are asked for. */
static size_t allowed(enum call call, int fd, size_t size)
{
  const int error = verdict(call, fd, size > 1);
  if (error > 0)
    errno = error;
  return error > 0 ? 0 : error < 0 ? size / 2 : size;
}

/* ---- setting up ------------------------------------------------------------------------------ */

static void *next_of(enum call call)
{
  if (calls[call].next == NULL)
    calls[call].next = dlsym(RTLD_NEXT, calls[call].name);
  return calls[call].next;
}

static void choose(const char *site, const char *manner)
{
  const char *colon = strchr(site, ':');
  target = strtoull(site, NULL, 16);
  for (int i = 0; i < MANNERS; i++)
    if (strcmp(manner, manner_names[i]) == 0)
      target_manner = (enum manner)i;
  for (int i = 0; i < CALL_COUNT && colon != NULL; i++)
    if (strcmp(colon + 1, calls[i].name) == 0)
      atomic_store(&target_call, i);
}

__attribute__((constructor)) static void set_up(void)
{
  const char *file = getenv("FAILING_LIBC_FILE"), *to = getenv("FAILING_LIBC_RECORD");
  const char *site = getenv("FAILING_LIBC_SITE"), *manner = getenv("FAILING_LIBC_MANNER");
  struct dl_find_object found;
  void *address;
  is_inside = true;
  (void)backtrace(&address, 1); /* loads what it needs */
  for (int i = 0; i < CALL_COUNT; i++)
    (void)next_of((enum call)i);
  if (file != NULL && _dl_find_object((void *)&calls, &found) == 0) {
    own_module = found.dlfo_link_map;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    if (to != NULL)
      record = open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    else if (site != NULL && manner != NULL)
      choose(site, manner);
    void *map = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    shared = map == MAP_FAILED ? NULL : map;
  }
  is_inside = false;
}

/* ---- the calls ------------------------------------------------------------------------------- */

/* Other names of parameters than glibc's, which all begin with two underscores.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

/* The heap's own names, which need no looking up: dlsym may ask for memory itself. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
  return fails(CALL_malloc, -1) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
  return fails(CALL_calloc, -1) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
  return fails(CALL_realloc, -1) ? NULL : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
  return fails(CALL_aligned_alloc, -1) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_block, size_t alignment, size_t size)
{
  const int error = verdict(CALL_posix_memalign, -1, false);
  if (error != 0)
    return error;
  void *block = __libc_memalign(alignment, size);
  if (block == NULL)
    return ENOMEM;
  *ret_block = block;
  return 0;
}

#define NEXT(name)                                                                                 \
  __typeof__(name) *next = NULL;                                                                   \
  void *found = next_of(CALL_##name);                                                              \
  memcpy(&next, &found, sizeof next)

/* A call that says so with `failed`, and errno. */
#define CALL_AS(type, name, parameters, arguments, fd, failed)                                     \
  type name parameters                                                                             \
  {                                                                                                \
    if (fails(CALL_##name, fd))                                                                    \
      return failed;                                                                               \
    NEXT(name);                                                                                    \
    return next arguments;                                                                         \
  }
#define CALL(name, parameters, arguments, fd) CALL_AS(int, name, parameters, arguments, fd, -1)

/* A call that returns its error. */
#define CALL_ERROR(name, parameters, arguments)                                                    \
  int name parameters                                                                              \
  {                                                                                                \
    const int error = verdict(CALL_##name, -1, false);                                             \
    if (error != 0)                                                                                \
      return error;                                                                                \
    NEXT(name);                                                                                    \
    return next arguments;                                                                         \
  }

/* A call that moves `size` bytes. */
#define CALL_IO(name, parameters, arguments)                                                       \
  ssize_t name parameters                                                                          \
  {                                                                                                \
    const size_t whole = size;                                                                     \
    size = allowed(CALL_##name, fd, size);                                                         \
    if (size == 0 && whole > 0)                                                                    \
      return -1;                                                                                   \
    NEXT(name);                                                                                    \
    return next arguments;                                                                         \
  }

CALL_AS(void *, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
        (at, size, prot, flags, fd, offset), -1, MAP_FAILED)
CALL_AS(void *, mmap64, (void *at, size_t size, int prot, int flags, int fd, off64_t offset),
        (at, size, prot, flags, fd, offset), -1, MAP_FAILED)
CALL_AS(FILE *, fopen, (const char *path, const char *mode), (path, mode), -1, NULL)

CALL(socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
CALL(accept4, (int fd, __SOCKADDR_ARG from, socklen_t *size, int flags), (fd, from, size, flags),
     -1)
CALL(eventfd, (unsigned count, int flags), (count, flags), -1)
CALL(epoll_create1, (int flags), (flags), -1)
CALL(pipe2, (int ends[2], int flags), (ends, flags), -1)
CALL(mkstemp, (char *path), (path), -1)
CALL(epoll_ctl, (int fd, int op, int of, struct epoll_event *event), (fd, op, of, event), -1)
CALL(epoll_wait, (int fd, struct epoll_event *events, int max, int ms), (fd, events, max, ms), -1)
CALL(epoll_pwait, (int fd, struct epoll_event *events, int max, int ms, const sigset_t *mask),
     (fd, events, max, ms, mask), -1)
CALL(poll, (struct pollfd * set, nfds_t count, int ms), (set, count, ms), -1)
CALL(bind, (int fd, __CONST_SOCKADDR_ARG to, socklen_t size), (fd, to, size), -1)
CALL(listen, (int fd, int backlog), (fd, backlog), -1)
CALL(connect, (int fd, __CONST_SOCKADDR_ARG to, socklen_t size), (fd, to, size), -1)
CALL(setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size), -1)
CALL(getsockname, (int fd, __SOCKADDR_ARG name, socklen_t *size), (fd, name, size), -1)
CALL(getpeername, (int fd, __SOCKADDR_ARG name, socklen_t *size), (fd, name, size), -1)
CALL(shutdown, (int fd, int how), (fd, how), -1)
CALL(fsync, (int fd), (fd), fd)
CALL(fdatasync, (int fd), (fd), fd)
CALL(ftruncate, (int fd, off_t size), (fd, size), fd)
CALL(ftruncate64, (int fd, off64_t size), (fd, size), fd)
CALL(flock, (int fd, int operation), (fd, operation), fd)
CALL(fstat, (int fd, struct stat *status), (fd, status), fd)
CALL(fstat64, (int fd, struct stat64 *status), (fd, status), fd)
CALL(stat, (const char *path, struct stat *status), (path, status), -1)
CALL(stat64, (const char *path, struct stat64 *status), (path, status), -1)
CALL(lstat64, (const char *path, struct stat64 *status), (path, status), -1)
CALL(statvfs, (const char *path, struct statvfs *status), (path, status), -1)
CALL(access, (const char *path, int mode), (path, mode), -1)
CALL(mkdir, (const char *path, mode_t mode), (path, mode), -1)
CALL(rename, (const char *from, const char *to), (from, to), -1)
CALL(unlink, (const char *path), (path), -1)
CALL_AS(ssize_t, readlink, (const char *path, char *to, size_t size), (path, to, size), -1, -1)
CALL_AS(ssize_t, writev, (int fd, const struct iovec *pieces, int count), (fd, pieces, count), fd,
        -1)
CALL_AS(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), fd, -1)
CALL_AS(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
        fd, -1)

CALL_ERROR(getaddrinfo,
           (const char *host, const char *service, const struct addrinfo *hints,
            struct addrinfo **ret_found),
           (host, service, hints, ret_found))
CALL_ERROR(pthread_create,
           (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg),
           (thread, attributes, run, arg))
CALL_ERROR(pthread_key_create, (pthread_key_t * key, void (*end)(void *)), (key, end))

CALL_IO(read, (int fd, void *to, size_t size), (fd, to, size))
CALL_IO(write, (int fd, const void *from, size_t size), (fd, from, size))
CALL_IO(recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags))
CALL_IO(send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags))
CALL_IO(pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
CALL_IO(pread64, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
CALL_IO(pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
CALL_IO(pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))

/* It is closed all the same, as Linux does it. */
int close(int fd)
{
  const bool failed = fails(CALL_close, fd);
  NEXT(close);
  const int error = errno;
  const int result = next(fd);
  if (failed)
    errno = error;
  return failed ? -1 : result;
}

/* The optional argument is a word in every use of these. */
#define CALL_OPEN(name)                                                                            \
  int name(const char *path, int flags, ...)                                                       \
  {                                                                                                \
    va_list rest;                                                                                  \
    va_start(rest, flags);                                                                         \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;           \
    va_end(rest);                                                                                  \
    if (fails(CALL_##name, -1))                                                                    \
      return -1;                                                                                   \
    NEXT(name);                                                                                    \
    return next(path, flags, mode);                                                                \
  }
CALL_OPEN(open)
CALL_OPEN(open64)

int __open64_2(const char *path, int flags);
CALL(__open64_2, (const char *path, int flags), (path, flags), -1)

#define CALL_FCNTL(name)                                                                           \
  int name(int fd, int command, ...)                                                               \
  {                                                                                                \
    va_list rest;                                                                                  \
    va_start(rest, command);                                                                       \
    void *arg = va_arg(rest, void *);                                                              \
    va_end(rest);                                                                                  \
    if ((command == F_SETLK || command == F_SETLKW) && fails(CALL_##name, fd))                     \
      return -1;                                                                                   \
    NEXT(name);                                                                                    \
    return next(fd, command, arg);                                                                 \
  }
CALL_FCNTL(fcntl)
CALL_FCNTL(fcntl64)

void *mremap(void *at, size_t before, size_t size, int flags, ...)
{
  va_list rest;
  va_start(rest, flags);
  void *to = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void *) : NULL;
  va_end(rest);
  if (fails(CALL_mremap, -1))
    return MAP_FAILED;
  NEXT(mremap);
  return next(at, before, size, flags, to);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
