/* See cmd_seal.h. */
#include "server/cmd_seal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/store/store_admin.h"
#include "server/cli.h"
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

/* An argument that is a number: absent, or 1 and more. */
static bool read_number(const char *flag, const char *text, const char *what, uint64_t *ret_number)
{
  hf_id id;
  if (text == NULL)
    return true;
  if (!hf_id_parse(text, strlen(text), &id)) {
    fprintf(stderr, "holdfast ledger: --%s %s: not %s\n", flag, text, what);
    return false;
  }
  *ret_number = id;
  return true;
}

bool seal_read_arguments(const char *verb, struct seal_arguments *arguments)
{
  if (arguments->key != NULL && !read_key(arguments->key, arguments->key_bytes)) {
    fail(EXIT_USAGE, "--key is 64 hexadecimal digits, or a file that begins with them");
    return false;
  }
  if (!read_number("user", arguments->user, "an id", &arguments->user_id) ||
      !read_number("from", arguments->from, "the number of a seal", &arguments->from_seal) ||
      !read_number("to", arguments->to, "the number of a seal", &arguments->to_seal))
    return false;
  const char *wrong = NULL;
  if (strcmp(verb, "check") == 0 && arguments->file == NULL)
    wrong = "check --file PROOF [--key KEY]";
  else if (strcmp(verb, "proof") != 0)
    wrong = NULL;
  else if (arguments->user != NULL && (arguments->from != NULL || arguments->to != NULL))
    wrong = "proof: --user does not go with --from and --to";
  else if (arguments->user == NULL && (arguments->from == NULL || arguments->to == NULL))
    wrong = "proof --user ID, or proof --from SEAL --to SEAL";
  if (wrong != NULL)
    fail(EXIT_USAGE, wrong);
  return wrong == NULL;
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

static int run_proof(const struct seal_arguments *arguments, struct store_engine *engine,
                     const struct seal_folder *folder)
{
  char why[SEAL_WHY_MAX] = "";
  struct json_out out = {0};
  int code = EXIT_DONE;
  if (arguments->user != NULL) {
    enum hf_error error = seal_prove_user(folder, engine, arguments->user_id, &out, why);
    if (error == HF_E_USER_NOT_FOUND)
      code = fail(EXIT_FOUND, "the newest seal has no such user");
    else if (error != HF_OK)
      code = fail(error == HF_E_INTERNAL ? EXIT_FOUND : EXIT_STORE, why);
  } else if (!seal_prove_log(folder, arguments->from_seal, arguments->to_seal, &out, why)) {
    code = fail(EXIT_FOUND, why);
  }
  if (code == EXIT_DONE)
    printf("%.*s\n", (int)out.size, out.at);
  json_out_deinit(&out);
  return code;
}

/* ---- check: needs neither store nor folder --------------------------------------------------- */

/* NULL: it may be one. */
static const char *not_a_proof(const struct stat *status)
{
  if (S_ISDIR(status->st_mode))
    return "a folder, not a proof";
  if (!S_ISREG(status->st_mode))
    return "not a file";
  if (status->st_size == 0)
    return "empty";
  return status->st_size > (off_t)PROOF_FILE_MAX ? "longer than any proof" : NULL;
}

static int run_check(const struct seal_arguments *arguments)
{
  json_error_t error;
  struct stat status;
  const char *unfit = stat(arguments->file, &status) != 0 ? strerror(errno) : not_a_proof(&status);
  if (unfit != NULL) {
    fprintf(stderr, "holdfast ledger: %s: %s\n", arguments->file, unfit);
    return EXIT_USAGE;
  }
  json_t *proof = json_load_file(arguments->file, JSON_REJECT_DUPLICATES, &error);
  if (proof == NULL)
    return fail(EXIT_FOUND, "the proof is no JSON");
  const char *wrong = seal_check(proof, arguments->key != NULL ? arguments->key_bytes : NULL);
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

static void found(struct seal_report *report, const char *what)
{
  struct seal_finding finding = {.what = what};
  report->findings++;
  report->found(report->arg, &finding);
}

int seal_run_verify(const struct options *options, const struct seal_arguments *arguments,
                    struct store_engine *engine, struct seal_report *report)
{
  char path[SEAL_PATH_MAX + 1u], why[SEAL_WHY_MAX] = "";
  bool wanted = arguments->key != NULL || options->seal_dir[0] != '\0';
  enum hf_error error = HF_OK;
  seal_folder_of(options, path, sizeof path);
  struct seal_folder *folder = rt_alloc(sizeof *folder);
  bool is_there = access(path, F_OK) == 0;
  if (is_there && !seal_folder_open(folder, path, false, why)) {
    found(report, why);
  } else if (is_there) {
    error =
      seal_verify(folder, engine, arguments->key != NULL ? arguments->key_bytes : NULL, report);
    cli_progress_end();
    seal_folder_close(folder);
  }
  rt_free(folder);
  if (error != HF_OK)
    return fail(EXIT_STORE, "the store cannot be read to its end");
  if (wanted && report->seals == 0 && report->findings == 0) {
    snprintf(why, sizeof why, "there is no seal in %.200s", path);
    found(report, why);
  }
  return report->findings > 0 ? EXIT_FOUND : EXIT_DONE;
}
