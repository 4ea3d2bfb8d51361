/* store_suite.h - what every store engine must do, as one list of tests over struct store_engine.
 *
 * test_store.c stamps the list for each engine; *state is a struct store_fixture whose world is
 * empty. The tests stand in store_suite_*.c by subject. */
#ifndef HOLDFAST_TESTS_STORE_SUITE_H
#define HOLDFAST_TESTS_STORE_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define STORE_SUITE(X)                                                                             \
  /* store_suite_commit.c */                                                                       \
  X(test_open_partition_when_empty_then_everything_starts_at_one)                                  \
  X(test_open_partition_when_batches_are_there_then_it_goes_on_behind_them)                        \
  X(test_open_partition_when_a_name_reserves_a_user_then_its_serial_is_used)                       \
  X(test_commit_when_another_writer_took_the_number_then_fenced)                                   \
  X(test_commit_when_the_epoch_was_raised_then_fenced_before_the_new_writer_wrote)                 \
  X(test_commit_when_the_batch_before_is_missing_then_unavailable_until_it_is_there)               \
  X(test_commit_when_the_key_of_an_applied_op_comes_again_then_hit_and_nothing_written)            \
  X(test_commit_when_the_key_of_a_refusal_comes_again_then_hit_with_the_refusal)                   \
  X(test_commit_when_a_known_key_is_not_probed_then_hit_all_the_same)                              \
  X(test_commit_when_another_user_has_the_key_then_no_hit)                                         \
  X(test_commit_when_two_units_bring_the_same_key_then_the_second_conflicts)                       \
  X(test_commit_when_a_row_is_there_then_conflict_and_nothing_written)                             \
  X(test_commit_when_a_row_to_update_is_missing_then_conflict)                                     \
  X(test_commit_when_two_units_insert_the_same_row_then_the_second_conflicts)                      \
  X(test_commit_when_only_refusals_or_rows_then_a_batch_without_entries)                           \
  X(test_commit_when_8192_units_then_all_are_there_and_chained)                                    \
  X(test_commit_many_when_outcomes_differ_then_each_has_its_own)                                   \
  /* store_suite_read.c */                                                                         \
  X(test_load_user_when_unknown_then_not_found)                                                    \
  X(test_load_user_when_new_then_a_row_and_nothing_else)                                           \
  X(test_load_user_when_many_assets_then_the_newest_entry_of_each)                                 \
  X(test_load_user_when_many_holds_and_blocks_then_the_open_ones_by_id)                            \
  X(test_get_user_when_updated_then_only_the_status_is_new)                                        \
  X(test_get_user_when_texts_are_unusual_then_they_come_back_byte_for_byte)                        \
  X(test_get_op_when_asked_by_entry_then_the_whole_op)                                             \
  X(test_get_op_when_id_is_no_op_then_not_found)                                                   \
  X(test_get_key_op_when_known_then_the_op_or_the_refusal)                                         \
  X(test_get_hold_when_it_lives_then_every_state_is_seen)                                          \
  X(test_get_block_when_it_lives_then_every_state_is_seen)                                         \
  /* store_suite_rows.c */                                                                         \
  X(test_get_name_when_reserved_and_confirmed_then_its_state)                                      \
  X(test_reserved_names_when_some_are_confirmed_then_the_others)                                   \
  X(test_transfers_when_on_their_way_then_open_until_credited_or_bounced)                          \
  X(test_reversals_when_partial_then_each_once_and_summed)                                         \
  X(test_reversals_when_too_many_then_only_what_takes_the_rest)                                    \
  X(test_metadata_when_erased_then_gone_and_the_chain_is_whole)                                    \
  X(test_catalog_when_assets_and_keys_are_made_then_by_id)                                         \
  X(test_amounts_when_128_bits_then_exact)                                                         \
  X(test_project_when_repeated_then_it_comes_to_an_end)                                            \
  /* store_suite_list.c */                                                                         \
  X(test_list_holds_when_paged_then_each_once_in_order)                                            \
  X(test_due_holds_when_time_passes_then_the_expired_by_time)                                      \
  X(test_list_entries_when_unknown_user_then_not_found_is_said)                                    \
  X(test_list_entries_when_filtered_and_paged_then_as_the_model)                                   \
  X(test_list_entries_when_scan_max_is_small_then_empty_pages_go_on)                               \
  X(test_list_entries_when_bounds_are_before_1970_then_they_bound)                                 \
  X(test_balance_at_when_any_time_then_as_the_model)                                               \
  X(test_balance_at_when_unknown_or_before_all_then_nothing)                                       \
  X(test_scan_when_paged_then_the_journal_in_order_with_its_bytes)                                 \
  X(test_scan_when_reversals_are_asked_for_then_the_newest_of_each_op)                             \
  /* store_suite_effective.c */                                                                    \
  X(test_effective_balance_when_nothing_is_backdated_then_as_recorded)                             \
  X(test_effective_balance_when_some_are_backdated_then_the_sum_of_the_effective)                  \
  X(test_effective_balance_when_recorded_later_then_there_before_the_first_entry)                  \
  X(test_effective_balance_when_spent_before_it_was_earned_then_negative)                          \
  X(test_effective_balance_when_a_debt_is_netted_then_it_counts_against_the_total)                 \
  X(test_effective_balance_when_a_sum_leaves_the_range_then_that_is_said)                          \
  X(test_effective_balance_when_unknown_user_then_not_found_is_said)

#define X(name) void name(void **state);
STORE_SUITE(X)
#undef X

#endif
