/* store_text.h - the answer of a store request as text, so that two engines can be compared. */
#ifndef HOLDFAST_TESTS_STORE_TEXT_H
#define HOLDFAST_TESTS_STORE_TEXT_H

#include "actors/store/port.h"

/* Appends lines that say all that the answer holds, with a NUL behind that is not counted. What
 * the port leaves open is left out or put in order: how long a commit took, whether a projection
 * that used its limit up has more, and the order of reserved names. */
void store_text_answer(const struct store_request *request, struct hf_bytes *text);

#endif
