/* See cmd_seal.h. */
#include "server/cmd_seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/store/store_admin.h"
#include "server/cli.h"
#include "server/seal_proof.h"
#include "server/sealer.h"

#define PROOF_FILE_MAX (4u << 20)

void seal_folder_of(const struct options *options, char *out, size_t room)
{
  if (options->seal_dir[0] != '\0')
    snprintf(out, room, "%s", options->seal_dir);
  else
    snprintf(out, room, "%s/seals", options->data);
}

bool seal_is_verb(const char *verb)
{
  return strcmp(verb, "seal") == 0 || strcmp(verb, "proof") == 0 || strcmp(verb, "check") == 0;
}

static int fail(int code, const char *why)
{
  fprintf(stderr, "holdfast ledger: %s\n", why);
  return code;
}

/* "0123.." of 64 digits, or the name of a file that begins with them. */
static bool read_key(const char *text, uint8_t ret_key[HF_SIGN_KEY_SIZE])
{
  char digits[2u * HF_SIGN_KEY_SIZE];
  if (hf_unhex(text, strlen(text), ret_key, HF_SIGN_KEY_SIZE))
    return true;
  FILE *file = fopen(text, "rbe");
  if (file == NULL)
    return false;
  bool good = fread(digits, 1, sizeof digits, file) == sizeof digits &&
              hf_unhex(digits, sizeof digits, ret_key, HF_SIGN_KEY_SIZE);
  fclose(file);
  return good;
}

/* ---- seal ------------------------------------------------------------------------------------ */

static void on_progress(void *arg, uint64_t entries, uint64_t users)
{
  (void)arg;
  (void)users;
  cli_progress("sealing: entries", entries, 0);
}

static int run_seal(const struct options *options, struct store_engine *engine,
                    struct seal_folder *folder)
{
  char why[SEAL_WHY_MAX] = "", root[2u * HF_HASH_SIZE + 1u];
  struct sealer sealer = {.engine = engine, .folder = folder, .progress = on_progress};
  bool sealed = sealer_run(&sealer, why);
  cli_progress_end();
  if (!sealed)
    return fail(EXIT_STORE, why);
  hf_hex(folder->last.users_root.bytes, HF_HASH_SIZE, root);
  printf(options->json ? "{\"seal\":%" PRIu64 ",\"users\":%" PRIu64 ",\"root\":\"%s\"}\n"
                       : "seal %" PRIu64 ": %" PRIu64 " users under %s\n",
         folder->last.number, folder->last.users_count, root);
  return EXIT_DONE;
}

/* ---- proof ----------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t *ret_number)
{
  hf_id id;
  if (text == NULL || !hf_id_parse(text, strlen(text), &id))
    return false;
  *ret_number = id;
  return true;
}

static int run_proof(const struct seal_arguments *arguments, struct store_engine *engine,
                     const struct seal_folder *folder)
{
  char why[SEAL_WHY_MAX] = "";
  struct json_out out = {0};
  uint64_t user, from, to;
  int code = EXIT_DONE;
  if (parse_number(arguments->user, &user)) {
    enum hf_error error = seal_prove_user(folder, engine, user, &out, why);
    if (error == HF_E_USER_NOT_FOUND)
      code = fail(EXIT_FOUND, "the newest seal has no such user");
    else if (error != HF_OK)
      code = fail(error == HF_E_INTERNAL ? EXIT_FOUND : EXIT_STORE, why);
  } else if (parse_number(arguments->from, &from) && parse_number(arguments->to, &to)) {
    if (!seal_prove_log(folder, from, to, &out, why))
      code = fail(EXIT_FOUND, why);
  } else {
    code = fail(EXIT_USAGE, "proof --user ID, or proof --from SEAL --to SEAL");
  }
  if (code == EXIT_DONE)
    printf("%.*s\n", (int)out.size, out.at);
  json_out_deinit(&out);
  return code;
}

/* ---- check: needs neither store nor folder --------------------------------------------------- */

static int run_check(const struct seal_arguments *arguments)
{
  uint8_t key[HF_SIGN_KEY_SIZE];
  json_error_t error;
  if (arguments->file == NULL)
    return fail(EXIT_USAGE, "check --file PROOF [--key KEY]");
  if (arguments->key != NULL && !read_key(arguments->key, key))
    return fail(EXIT_USAGE, "--key is 64 hexadecimal digits, or a file that has them");
  struct stat status;
  if (stat(arguments->file, &status) != 0 || status.st_size > (off_t)PROOF_FILE_MAX)
    return fail(EXIT_USAGE, "the proof cannot be read");
  json_t *proof = json_load_file(arguments->file, JSON_REJECT_DUPLICATES, &error);
  if (proof == NULL)
    return fail(EXIT_FOUND, "the proof is no JSON");
  const char *wrong = seal_check(proof, arguments->key != NULL ? key : NULL);
  json_decref(proof);
  if (wrong != NULL)
    return fail(EXIT_FOUND, wrong);
  printf("the proof holds%s\n", arguments->key == NULL ? ", for whoever signed it" : "");
  return EXIT_DONE;
}

int seal_run(const char *verb, const struct options *options,
             const struct seal_arguments *arguments)
{
  char path[SEAL_PATH_MAX + 1u], why[SEAL_WHY_MAX] = "";
  struct seal_folder *folder;
  bool seals = strcmp(verb, "seal") == 0;
  int code = EXIT_STORE;
  if (strcmp(verb, "check") == 0)
    return run_check(arguments);
  struct store_engine *engine = cli_open_store(options, true);
  if (engine == NULL)
    return EXIT_STORE;
  folder = rt_alloc(sizeof *folder);
  seal_folder_of(options, path, sizeof path);
  if (store_admin_of(engine) == NULL)
    code = fail(EXIT_STORE, "this store keeps nothing that could be sealed");
  else if (!seal_folder_open(folder, path, seals, why))
    code = fail(EXIT_FOUND, why);
  else {
    code = seals ? run_seal(options, engine, folder) : run_proof(arguments, engine, folder);
    seal_folder_close(folder);
  }
  rt_free(folder);
  engine->ops->close(engine);
  return code;
}

/* ---- verify ---------------------------------------------------------------------------------- */

static void on_found(void *arg, const struct seal_finding *finding)
{
  (void)arg;
  fprintf(stderr, "seal %" PRIu64 ": %s", finding->seal, finding->what);
  if (finding->user != 0)
    fprintf(stderr, ": user %" PRIu64, finding->user);
  if (finding->batch != 0)
    fprintf(stderr, ": partition %u batch %" PRIu64, (unsigned)finding->partition, finding->batch);
  fprintf(stderr, "\n");
}

static void on_verified(void *arg, uint64_t users, uint64_t total)
{
  (void)arg;
  cli_progress("verifying seals", users, total);
}

int seal_run_verify(const struct options *options, const struct seal_arguments *arguments,
                    struct store_engine *engine)
{
  char path[SEAL_PATH_MAX + 1u], why[SEAL_WHY_MAX] = "";
  uint8_t key[HF_SIGN_KEY_SIZE];
  struct seal_report report = {.found = on_found, .progress = on_verified};
  seal_folder_of(options, path, sizeof path);
  if (arguments->key != NULL && !read_key(arguments->key, key))
    return fail(EXIT_USAGE, "--key is 64 hexadecimal digits, or a file that has them");
  if (access(path, F_OK) != 0)
    return options->seal_dir[0] == '\0' ? EXIT_DONE : fail(EXIT_FOUND, "no such --seal-dir");
  struct seal_folder *folder = rt_alloc(sizeof *folder);
  int code = EXIT_DONE;
  if (!seal_folder_open(folder, path, false, why)) {
    code = fail(EXIT_FOUND, why);
  } else {
    enum hf_error error = seal_verify(folder, engine, arguments->key != NULL ? key : NULL, &report);
    cli_progress_end();
    if (error != HF_OK)
      code = fail(EXIT_STORE, "the store cannot be read to its end");
    else if (report.findings > 0)
      code = EXIT_FOUND;
    fprintf(stderr, "%" PRIu64 " seals, %" PRIu64 " sealed users: %s\n", report.seals, report.users,
            report.findings == 0 ? "as they were" : "CHANGED");
    seal_folder_close(folder);
  }
  rt_free(folder);
  return code;
}
