/* See prover.h. */
#include "server/prover.h"

#include <string.h>
#include <unistd.h>

#include "adapters/store/store_admin.h"
#include "server/cli.h"
#include "server/cmd_seal.h"
#include "server/log.h"
#include "server/seal_proof.h"

struct prover {
  const struct options *options;
  struct store_engine *engine; /* NULL until the first proof */
  struct seal_folder folder;   /* as it was read last */
  bool opened;                 /* the folder was there */
};

struct prover *prover_new(const struct options *options)
{
  if (strcmp(options->store, "memory") == 0)
    return NULL;
  struct prover *prover = rt_alloc(sizeof *prover);
  prover->options = options;
  return prover;
}

void prover_free(struct prover *prover)
{
  if (prover == NULL)
    return;
  if (prover->opened)
    seal_folder_close(&prover->folder);
  if (prover->engine != NULL)
    prover->engine->ops->close(prover->engine);
  rt_free(prover);
}

/* The folder with what is new in it. */
static enum hf_error folder_now(struct prover *prover, char why[SEAL_WHY_MAX])
{
  char path[SEAL_PATH_MAX + 1u];
  seal_folder_of(prover->options, path, sizeof path);
  if (!prover->opened && access(path, F_OK) != 0)
    return HF_E_PROOF_NOT_FOUND;
  if (!prover->opened)
    prover->opened = seal_folder_open(&prover->folder, path, false, why);
  else if (!seal_folder_refresh(&prover->folder, why))
    return HF_E_UNAVAILABLE;
  if (!prover->opened)
    return HF_E_UNAVAILABLE;
  return prover->folder.newest == 0 ? HF_E_PROOF_NOT_FOUND : HF_OK;
}

enum hf_error prover_prove(void *arg, uint64_t user, struct json_out *out)
{
  struct prover *prover = arg;
  char why[SEAL_WHY_MAX] = "";
  enum hf_error error = folder_now(prover, why);
  if (error == HF_OK && prover->engine == NULL)
    prover->engine = cli_open_store(prover->options, true);
  if (error == HF_OK && prover->engine == NULL)
    error = HF_E_UNAVAILABLE;
  if (error == HF_OK)
    error = seal_prove_user(&prover->folder, prover->engine, user, out, why);
  if (why[0] != '\0')
    log_line(LOG_WARNING, "seal", why);
  return error == HF_E_USER_NOT_FOUND ? HF_E_PROOF_NOT_FOUND : error;
}
