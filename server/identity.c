/* See identity.h. */
#include "server/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/actors.h"
#include "holdfast/hash.h"

#define TEXT_SIZE 51u /* three numbers of 16 hexadecimal digits, each with a blank or line end */
#define PATH_MAX_SIZE 4096u

/* The file as it was written last. */
struct record {
  uint64_t id;    /* 0: there is none, as in a new file or one that a power loss cut */
  uint64_t boot;  /* of the machine */
  uint64_t place; /* of the file on its disk */
};

static bool refuse(struct identity *identity, char why[256], const char *what, const char *path)
{
  snprintf(why, 256, "%s %.180s", what, path);
  identity_close(identity);
  return false;
}

static bool read_number(const char *text, uint64_t *ret_number)
{
  uint64_t number = 0;
  for (unsigned i = 0; i < 16u; i++) {
    static const char digits[] = "0123456789abcdef";
    const char *digit = memchr(digits, text[i], 16);
    if (digit == NULL)
      return false;
    number = number << 4 | (uint64_t)(digit - digits);
  }
  *ret_number = number;
  return true;
}

static struct record read_record(int file)
{
  char text[TEXT_SIZE + 1u];
  struct record record = {0};
  ssize_t size = pread(file, text, sizeof text, 0);
  if (size == (ssize_t)TEXT_SIZE && text[16] == '\n' && text[33] == ' ' && text[50] == '\n' &&
      read_number(text, &record.id) && read_number(text + 17, &record.boot) &&
      read_number(text + 34, &record.place) && record.id <= INT64_MAX)
    return record;
  return (struct record){0};
}

static uint64_t fold(const void *bytes, size_t size)
{
  struct hf_hash hash = hf_sha256(bytes, size);
  uint64_t number;
  memcpy(&number, hash.bytes, sizeof number);
  return number;
}

/* Another number after each start of the machine, and on each machine; 0: the kernel tells none. */
static uint64_t boot_now(void)
{
  char text[64];
  int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t size = file < 0 ? -1 : read(file, text, sizeof text);
  if (file >= 0)
    close(file);
  return size <= 0 ? 0 : fold(text, (size_t)size);
}

static uint64_t place_of(int file)
{
  struct stat status;
  if (fstat(file, &status) != 0)
    return 0;
  const uint64_t at[] = {(uint64_t)status.st_dev, (uint64_t)status.st_ino};
  return fold(at, sizeof at);
}

/* Another life of the folder's node: its low bits are drawn anew. 0: a node of its own. */
static uint64_t next_life(uint64_t id)
{
  const uint64_t lives = (1ull << HF_NODE_LIFE_BITS) - 1u;
  uint64_t drawn;
  do {
    hf_random_bytes(&drawn, sizeof drawn);
    if (id > lives)
      drawn = (id & ~lives) | (drawn & lives);
    drawn &= INT64_MAX;
  } while (drawn <= lives || drawn == id);
  return drawn;
}

/* Durable before anybody is told the number. */
static bool write_record(int file, const struct record *record)
{
  char text[TEXT_SIZE + 1u];
  snprintf(text, sizeof text, "%016" PRIx64 "\n%016" PRIx64 " %016" PRIx64 "\n", record->id,
           record->boot, record->place);
  return pwrite(file, text, TEXT_SIZE, 0) == (ssize_t)TEXT_SIZE && fsync(file) == 0;
}

/* The number of a file that was copied may be another process's. A number of one's own is always
 * safe: its node waits for the old one's lease to end. */
static bool take_number(struct identity *identity)
{
  struct record old = read_record(identity->file);
  struct record record = {.boot = boot_now(), .place = place_of(identity->file)};
  bool same = old.boot == record.boot && old.place == record.place;
  identity->copied = old.id != 0 && old.place != record.place;
  record.id = next_life(same ? old.id : 0);
  identity->id = record.id;
  return write_record(identity->file, &record);
}

bool identity_open(struct identity *identity, const char *data_folder, char ret_why[256])
{
  char path[PATH_MAX_SIZE];
  *identity = (struct identity){.file = -1};
  if (mkdir(data_folder, 0700) != 0 && errno != EEXIST)
    return refuse(identity, ret_why, "cannot make the data folder", data_folder);
  if ((size_t)snprintf(path, sizeof path, "%s/node.id", data_folder) >= sizeof path)
    return refuse(identity, ret_why, "the path is too long:", data_folder);
  identity->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (identity->file < 0)
    return refuse(identity, ret_why, "cannot open", path);
  if (flock(identity->file, LOCK_EX | LOCK_NB) != 0)
    return refuse(identity, ret_why, "another process is the node of", data_folder);
  if (!take_number(identity))
    return refuse(identity, ret_why, "cannot write", path);
  return true;
}

void identity_close(struct identity *identity)
{
  if (identity->file >= 0)
    close(identity->file);
  identity->file = -1;
}
