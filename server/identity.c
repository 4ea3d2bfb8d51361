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

#define TEXT_SIZE 17u /* 16 hexadecimal digits and a line end */
#define PATH_MAX_SIZE 4096u

static bool refuse(struct identity *identity, char why[256], const char *what, const char *path)
{
  snprintf(why, 256, "%s %.180s", what, path);
  identity_close(identity);
  return false;
}

/* The file's number; 0: there is none, as in a new file or one that a power loss cut. A new number
 * is always safe: its node waits for the old one's lease to end. */
static uint64_t read_id(int file)
{
  char text[TEXT_SIZE + 2u];
  ssize_t size = pread(file, text, sizeof text, 0);
  uint64_t id = 0;
  if (size != (ssize_t)TEXT_SIZE || text[TEXT_SIZE - 1u] != '\n')
    return 0;
  for (unsigned i = 0; i < TEXT_SIZE - 1u; i++) {
    static const char digits[] = "0123456789abcdef";
    const char *digit = memchr(digits, text[i], 16);
    if (digit == NULL)
      return 0;
    id = id << 4 | (uint64_t)(digit - digits);
  }
  return id > INT64_MAX ? 0 : id;
}

/* Another life of the folder's node: its low bits are drawn anew, so that even two copies of a
 * folder are not one node. A folder without a number gets one. */
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
static bool write_id(int file, uint64_t id)
{
  char text[TEXT_SIZE + 1u];
  snprintf(text, sizeof text, "%016" PRIx64 "\n", id);
  return pwrite(file, text, TEXT_SIZE, 0) == (ssize_t)TEXT_SIZE && fsync(file) == 0;
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
  identity->id = next_life(read_id(identity->file));
  if (!write_id(identity->file, identity->id))
    return refuse(identity, ret_why, "cannot write", path);
  return true;
}

void identity_close(struct identity *identity)
{
  if (identity->file >= 0)
    close(identity->file);
  identity->file = -1;
}
