/* error.c - look-ups in the one error table. */
#include "holdfast/error.h"

#include <stddef.h>
#include <string.h>

#include "holdfast/check.h"

static const struct hf_error_info infos[HF_ERROR_COUNT] = {[HF_OK] = {"ok", 200, false, "OK"},
#define X(name, code, status, retryable, title) [HF_E_##name] = {code, status, retryable, title},
                                                           HF_ERRORS(X)
#undef X
};

const struct hf_error_info *hf_error_info(enum hf_error error)
{
  CHECK((unsigned)error < (unsigned)HF_ERROR_COUNT);
  return &infos[error];
}

enum hf_error hf_error_by_code(const char *code)
{
  CHECK(code != NULL);
  for (unsigned i = 1; i < (unsigned)HF_ERROR_COUNT; i++) {
    if (strcmp(infos[i].code, code) == 0)
      return (enum hf_error)i;
  }
  return HF_OK;
}
