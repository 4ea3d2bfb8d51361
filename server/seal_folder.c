/* See seal_folder.h. */
#include "server/seal_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_PATH_MAX (SEAL_PATH_MAX + 64u)
#define KEY_BESIDE "key.new"
#define KEY_TEXT_SIZE (2u * HF_SIGN_SEED_SIZE + 1u) /* hex and a line end */

static bool refuse(char why[SEAL_WHY_MAX], const char *what, const char *name)
{
  snprintf(why, SEAL_WHY_MAX, "%s %.160s", what, name);
  return false;
}

static void path_of(const struct seal_folder *folder, const char *name, char out[FILE_PATH_MAX])
{
  snprintf(out, FILE_PATH_MAX, "%s/%s", folder->path, name);
}

static void name_of(uint64_t number, char out[32])
{
  snprintf(out, 32, "%08" PRIu64 ".seal", number);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* 0, or an errno. A file longer than `max` is EFBIG. */
static int read_file(const char *path, size_t max, struct hf_bytes *bytes)
{
  int code = 0, file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  size_t left = max + 1u;
  if (file < 0)
    return errno;
  while (left > 0) {
    ssize_t size = read(file, hf_bytes_reserve(bytes, left), left);
    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0)
      code = errno;
    if (size <= 0)
      break;
    bytes->size += (size_t)size;
    left -= (size_t)size;
  }
  close(file);
  return code != 0 ? code : left == 0 ? EFBIG : 0;
}

static bool write_all(int file, const uint8_t *at, size_t size)
{
  while (size > 0) {
    ssize_t written = write(file, at, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    at += written;
    size -= (size_t)written;
  }
  return true;
}

static bool sync_folder(const char *path)
{
  int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0)
    return false;
  bool synced = fsync(file) == 0;
  close(file);
  return synced;
}

static bool exists(const struct seal_folder *folder, const char *name)
{
  char path[FILE_PATH_MAX];
  path_of(folder, name, path);
  return access(path, F_OK) == 0;
}

static bool has_seal(const struct seal_folder *folder, uint64_t number)
{
  char name[32];
  name_of(number, name);
  return exists(folder, name);
}

/* The file is there with all of its bytes, or not at all. */
static bool write_file(const struct seal_folder *folder, const char *name, mode_t mode,
                       const void *bytes, size_t size)
{
  char path[FILE_PATH_MAX], beside[FILE_PATH_MAX];
  path_of(folder, name, path);
  path_of(folder, "new", beside);
  int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (file < 0)
    return false;
  bool written = write_all(file, bytes, size) && fsync(file) == 0;
  written = close(file) == 0 && written;
  return written && rename(beside, path) == 0 && sync_folder(folder->path);
}

/* ---- the key --------------------------------------------------------------------------------- */

static bool write_hex(const struct seal_folder *folder, const char *name, mode_t mode,
                      const uint8_t bytes[HF_SIGN_SEED_SIZE])
{
  char text[KEY_TEXT_SIZE + 1u];
  hf_hex(bytes, HF_SIGN_SEED_SIZE, text);
  text[KEY_TEXT_SIZE - 1u] = '\n';
  return write_file(folder, name, mode, text, KEY_TEXT_SIZE);
}

/* The seed in that file. 0, an errno, or -1: it is none. */
static int read_seed(const struct seal_folder *folder, const char *name,
                     uint8_t ret_seed[HF_SIGN_SEED_SIZE])
{
  char path[FILE_PATH_MAX];
  struct hf_bytes text = {0};
  path_of(folder, name, path);
  int code = read_file(path, KEY_TEXT_SIZE, &text);
  if (code == 0 && (text.size != KEY_TEXT_SIZE || text.at[text.size - 1u] != '\n' ||
                    !hf_unhex((const char *)text.at, text.size - 1u, ret_seed, HF_SIGN_SEED_SIZE)))
    code = -1;
  hf_bytes_deinit(&text);
  return code;
}

/* Behind the first seal: a key without any says that there were some. */
static bool key_keep(struct seal_folder *folder, char why[SEAL_WHY_MAX])
{
  char from[FILE_PATH_MAX], to[FILE_PATH_MAX];
  uint8_t key[HF_SIGN_KEY_SIZE];
  path_of(folder, KEY_BESIDE, from);
  path_of(folder, "key", to);
  hf_sign_key(folder->seed, key);
  if (rename(from, to) != 0 || !sync_folder(folder->path) ||
      !write_hex(folder, "key.pub", 0644, key))
    return refuse(why, "cannot write the signing key:", strerror(errno));
  folder->key_is_new = false;
  return true;
}

static bool key_open(struct seal_folder *folder, char why[SEAL_WHY_MAX])
{
  uint8_t key[HF_SIGN_KEY_SIZE];
  int code = read_seed(folder, "key", folder->seed);
  if (code == ENOENT && folder->newest == 0) {
    hf_random_bytes(folder->seed, sizeof folder->seed);
    folder->key_is_new = true;
    return true;
  }
  if (code == ENOENT && read_seed(folder, KEY_BESIDE, folder->seed) == 0) {
    hf_sign_key(folder->seed, key); /* the process ended behind its first seal */
    if (memcmp(key, folder->last.key, sizeof key) == 0)
      return key_keep(folder, why);
  }
  if (code < 0)
    return refuse(why, "not a signing key, in", folder->path);
  return code == 0 || refuse(why, "the signing key of the seals cannot be read:", strerror(code));
}

/* ---- statements ------------------------------------------------------------------------------ */

bool seal_folder_text(const struct seal_folder *folder, uint64_t number, struct hf_bytes *text,
                      char ret_why[SEAL_WHY_MAX])
{
  char path[FILE_PATH_MAX], name[32];
  name_of(number, name);
  path_of(folder, name, path);
  int code = read_file(path, SEAL_TEXT_MAX, text);
  if (code == 0)
    return true;
  snprintf(ret_why, SEAL_WHY_MAX, "seal %" PRIu64 ": %s", number, strerror(code));
  return false;
}

/* One statement after the other, each with its place in the log of those before it. */
static bool statement_take(struct seal_folder *folder, char why[SEAL_WHY_MAX])
{
  struct hf_bytes text = {0};
  uint64_t number = folder->newest + 1u;
  const char *wrong = NULL;
  bool good = seal_folder_text(folder, number, &text, why);
  if (good) {
    struct hf_hash log = merkle_root(&folder->log);
    wrong = seal_read((const char *)text.at, text.size, &folder->last);
    if (wrong == NULL && folder->last.number != number)
      wrong = "it has another number than its file";
    else if (wrong == NULL && !hf_hash_equal(&folder->last.log_root, &log))
      wrong = "the statements before it are not those that it was made with";
  }
  if (wrong != NULL) {
    snprintf(why, SEAL_WHY_MAX, "seal %" PRIu64 ": %s", number, wrong);
    good = false;
  }
  if (good) {
    struct hf_hash leaf = merkle_leaf(text.at, text.size);
    merkle_add(&folder->log, &leaf);
    folder->newest = number;
  }
  hf_bytes_deinit(&text);
  return good;
}

static bool folder_lock(struct seal_folder *folder, char why[SEAL_WHY_MAX])
{
  char path[FILE_PATH_MAX];
  if (mkdir(folder->path, 0700) != 0 && errno != EEXIST)
    return refuse(why, "cannot make the folder of seals:", strerror(errno));
  path_of(folder, "lock", path);
  folder->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (folder->lock < 0)
    return refuse(why, "cannot write to the folder of seals:", strerror(errno));
  if (flock(folder->lock, LOCK_EX | LOCK_NB) != 0)
    return refuse(why, "another process seals in", folder->path);
  return true;
}

/* How many statements lie there, and the highest number of them. */
static bool count_seals(const struct seal_folder *folder, uint64_t *ret_count,
                        uint64_t *ret_highest)
{
  /* ThreadSanitizer follows open(), and would take opendir()'s descriptor for one of before. */
  int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *listing = fd < 0 ? NULL : fdopendir(fd);
  uint64_t count = 0, highest = 0;
  if (listing == NULL) {
    int code = errno;
    if (fd >= 0)
      close(fd);
    errno = code;
    return false;
  }
  for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
    char name[32];
    uint64_t number = strtoull(entry->d_name, NULL, 10);
    name_of(number, name);
    if (number == 0 || strcmp(name, entry->d_name) != 0)
      continue;
    count++;
    highest = number > highest ? number : highest;
  }
  closedir(listing);
  *ret_count = count;
  *ret_highest = highest;
  return true;
}

bool seal_folder_whole(const struct seal_folder *folder, char ret_why[SEAL_WHY_MAX])
{
  uint64_t count, highest;
  if (!count_seals(folder, &count, &highest))
    return refuse(ret_why, "the folder of seals cannot be read:", strerror(errno));
  if (highest < folder->newest)
    highest = folder->newest;
  for (uint64_t i = 1; count != highest && i <= highest; i++) {
    if (has_seal(folder, i))
      continue; /* or it was written while the folder was read */
    snprintf(ret_why, SEAL_WHY_MAX,
             "seal %" PRIu64 " is missing, and there was one with the number %" PRIu64, i, highest);
    return false;
  }
  if (highest == 0 && (exists(folder, "key") || exists(folder, "key.pub")))
    return refuse(ret_why, "the key is there that has signed seals, and no seal in", folder->path);
  return true;
}

bool seal_folder_refresh(struct seal_folder *folder, char ret_why[SEAL_WHY_MAX])
{
  bool good = true;
  while (good && has_seal(folder, folder->newest + 1u))
    good = statement_take(folder, ret_why);
  return good;
}

bool seal_folder_open(struct seal_folder *folder, const char *path, bool write,
                      char ret_why[SEAL_WHY_MAX])
{
  *folder = (struct seal_folder){.lock = -1};
  if (strlen(path) > SEAL_PATH_MAX)
    return refuse(ret_why, "the path is too long:", path);
  memcpy(folder->path, path, strlen(path) + 1u);
  if (write && !folder_lock(folder, ret_why)) {
    seal_folder_close(folder);
    return false;
  }
  bool good = seal_folder_refresh(folder, ret_why) && seal_folder_whole(folder, ret_why);
  if (good && write)
    good = key_open(folder, ret_why);
  if (!good)
    seal_folder_close(folder);
  return good;
}

void seal_folder_close(struct seal_folder *folder)
{
  if (folder->lock >= 0)
    close(folder->lock);
  folder->lock = -1;
}

bool seal_folder_add(struct seal_folder *folder, struct seal *seal, char ret_why[SEAL_WHY_MAX])
{
  struct hf_bytes text = {0};
  char name[32];
  CHECK(folder->lock >= 0);
  if (!seal_folder_whole(folder, ret_why))
    return false;
  if (folder->key_is_new && !write_hex(folder, KEY_BESIDE, 0600, folder->seed))
    return refuse(ret_why, "cannot write the signing key:", strerror(errno));
  seal->number = folder->newest + 1u;
  seal->log_size = folder->newest;
  seal->log_root = merkle_root(&folder->log);
  seal_write(seal, folder->seed, &text);
  name_of(seal->number, name);
  bool good = write_file(folder, name, 0644, text.at, text.size);
  if (good) {
    struct hf_hash leaf = merkle_leaf(text.at, text.size);
    merkle_add(&folder->log, &leaf);
    folder->newest = seal->number;
    folder->last = *seal;
  } else {
    refuse(ret_why, "cannot write a seal:", strerror(errno));
  }
  hf_bytes_deinit(&text);
  return good && (!folder->key_is_new || key_keep(folder, ret_why));
}
