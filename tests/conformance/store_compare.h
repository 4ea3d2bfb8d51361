/* store_compare.h - the same random work on two engines must give the same answers. */
#ifndef HOLDFAST_TESTS_STORE_COMPARE_H
#define HOLDFAST_TESTS_STORE_COMPARE_H

/* Prints its seeds; HOLDFAST_TEST_SEED=<number> runs that one alone. */
void test_engines_when_random_work_then_equal_answers(void **state);

#endif
