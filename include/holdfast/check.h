/* check.h - assertions that stay in every build, for programmer errors only.
 *
 * CHECK(x) dumps the loop's trace ring to stderr and aborts. Never on bytes from outside. */
#ifndef HOLDFAST_CHECK_H
#define HOLDFAST_CHECK_H

_Noreturn void hf_check_failed(const char *file, int line, const char *what);

#define CHECK(condition) ((condition) ? (void)0 : hf_check_failed(__FILE__, __LINE__, #condition))

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
