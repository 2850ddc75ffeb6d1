// Seeds every canary (src/contract/canary.h) in turn and demands that a case fails whose name says why. First
// it demands that everything passes while none is seeded. Ends with "canaries: 20/20 caught".
#include "contract/canary.h"

#include <cstdio>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "backends/memory/memory_backend.h"
#include "tests/conformance/disk_cases.h"
#include "tests/conformance/harness.h"
#include "tests/conformance/interference_check.h"

namespace holdfast::conformance {
namespace {

/// Runs the cases whose name a regular expression finds, and says what became of them.
using RunCases = std::function<std::vector<Result>(const std::regex&)>;

struct Canary {
  int number;
  char variant;
  std::string fault;
  std::string caught_by;  ///< a regular expression on the names of cases
  RunCases run;
};

std::vector<Result> run_on_memory(const std::regex& wanted) {
  Target target;
  target.name = "memory";
  target.cheap_commits = true;
  target.new_store = [] { return OpenStore(memory_backend); };
  std::vector<Result> results;
  Suite suite(target);
  for (const Case& one : cases_for(target)) {
    if (std::regex_search(one.name, wanted)) results.push_back(suite.run(one));
  }
  return results;
}

std::vector<Result> run_interference(const std::regex& /*wanted*/) {
  return {check_interference(20, 20'000)};
}

std::vector<Canary> canaries() {
  const RunCases memory = run_on_memory;
  const RunCases disk = run_on_disk;
  return {
      {1, 'a', "writes of a batch whose second check fails are applied",
       "s3_4f_a_batch_whose_second_check_fails_applies_nothing", memory},
      {1, 'b', "a batch that fails uses a seq", "s3_4f_a_batch_that_fails_uses_no_seq", memory},
      {2, 'a', "checks are judged before the lock is taken", "no_update_is_lost_between_judging_and_writing",
       memory},
      {3, 'a', "unchanged ignores erased keys", "s4_3_unchanged_fails_after_an_erase", memory},
      {4, 'a', "unchanged counts the commit at since itself", "s4_3_unchanged_holds_since_the_commit",
       memory},
      {4, 'b', "unchanged accepts a since below the floor", "s4_3_unchanged_fails_below_the_floor", memory},
      {5, 'a', "unchanged ignores what has expired since the read",
       "s4_3_unchanged_fails_when_an_entry_of_the_range_has_expired", memory},
      {6, 'a', "an entry is live at the millisecond of its expiry",
       "s1_10_an_entry_is_live_before_its_expiry", memory},
      {6, 'b', "the backend's own clock decides", "s1_10_the_callers_clock_decides_and_no_other", memory},
      {7, 'a', "the time of an operation is the caller's now alone",
       "s1_9_a_caller_with_a_slow_clock_does_not_see_an_expired_lock_alive", memory},
      {8, 'a', "reap erases whatever is there", "s5_4_reap_leaves", memory},
      {8, 'b', "reap is logged when it removed nothing", "s5_4_what_removes_nothing_is_not_logged", memory},
      {9, 'a', "a retry is applied again", "s3_4a_a_retry_is_not_applied_again", memory},
      {9, 'b', "the content of a group is not compared",
       "s3_4a_the_same_number_with_other_content_is_refused", memory},
      {10, 'a', "a parked copy with a lower number is applied", "s3_4a_a_parked_copy_with_a_lower_number",
       memory},
      {10, 'b', "the retry of an all-conflict group is not recorded",
       "s3_4g_a_retried_conflict_is_recorded_so_that_a_parked_copy_never_applies", memory},
      {11, 'a', "a stamp counts the batches that failed",
       "s3_4f_a_stamp_after_a_failed_batch_is_the_seq_that_was_given", memory},
      {12, 'a', "of two blind puts of a key in a group the first wins",
       "s3_3_of_two_blind_puts_of_one_key_in_a_group_the_later_stays", memory},
      {12, 'b', "the engine lets an erase follow a put of its key in one group",
       "engine_groups_judged_at_once_equal_batches_one_after_another", run_interference},
      {13, 'a', "a read takes its position after its rows",
       "s2_1_a_reader_never_sees_half_a_commit_nor_a_position_newer_than_its_data", memory},
      {14, 'a', "keys sort by length first", "s1_2_keys_sort_as_unsigned_bytes_a_prefix_first", memory},
      {14, 'b', "keys sort as signed bytes", "s1_2_keys_sort_as_unsigned_bytes_a_prefix_first", memory},
      {14, 'c', "a scan gives the end of its range too", "s2_3_a_range_has_its_begin_and_not_its_end",
       memory},
      {15, 'a', "changes says it has gone through to the head when its limit cut the list",
       "s6_2_through_is_not_beyond_what_the_page_holds", memory},
      {15, 'b', "changes splits a commit of 2,000 writes", "s6_2_a_page_never_splits_a_commit", memory},
      {16, 'a', "compact trims the log without raising the floor",
       "s6_4_after_a_compaction_an_old_cursor_is_told_instead_of_missing_an_erase", memory},
      {16, 'f', "compact trims the log and does not make the floor durable",
       "s6_4_a_crash_in_compact_hides_no_erase", disk},
      {17, 'a', "a database that is dropped and written again keeps its history",
       "s8_2_after_a_drop_the_history_is_another", memory},
      {18, 'f', "the history stays though acknowledged commits may be lost",
       "s1_5_the_history_changes_when_acknowledged_commits_may_be_lost", disk},
      {19, 'a', "wait looks at the heads before it listens",
       "s8_4_no_wake_up_is_lost_between_looking_and_waiting", memory},
      {19, 'b', "a commit that was judged before the freeze is written after it",
       "s7_1_no_commit_slips_in_after_the_freeze", memory},
      {19, 'c', "a read is served after the move", "s7_1_no_read_is_served_after_the_move", memory},
      {20, 'f', "a commit is seen before it is durable", "s3_5_what_a_reader_saw_is_there_after_a_power_loss",
       disk},
      {20, 'g', "a failed write is taken for done", "s3_5_a_commit_whose_write_failed_is_not_acknowledged",
       disk},
      {20, 'h', "records are not checked", "s3_5_a_torn_tail_is_not_taken_for_a_commit", disk},
      {20, 'i', "values are not checked", "s3_5_a_damaged_value_is_not_given_out", disk},
  };
}

std::vector<const Result*> failures(const std::vector<Result>& results) {
  std::vector<const Result*> failed;
  for (const Result& result : results) {
    if (!result.passed()) failed.push_back(&result);
  }
  return failed;
}

/// Whether everything passes with no canary seeded.
bool passes_unharmed() {
  std::size_t count = 0;
  bool passes = true;
  for (const RunCases& run : {RunCases(run_on_memory), RunCases(run_interference), RunCases(run_on_disk)}) {
    const std::vector<Result> results = run(std::regex(""));
    count += results.size();
    for (const Result* result : failures(results)) {
      std::printf("FAILED without a canary: %s: %s\n", result->name.c_str(), result->reason.c_str());
      passes = false;
    }
  }
  std::printf("without a canary: %zu cases%s\n", count, passes ? " pass" : "");
  return passes;
}

constexpr int kRuns = 10;

/// Whether a case whose name says why fails under the canary.
bool catches(const Canary& canary) {
  seed_canary(canary.number, canary.variant);
  std::vector<Result> results;
  // A fault that is a race may not happen in one run of its case, least of all on a machine that is busy.
  for (int run = 0; run < kRuns && failures(results).empty(); ++run) {
    results = canary.run(std::regex(canary.caught_by));
  }
  seed_canary(0);
  const std::vector<const Result*> failed = failures(results);
  std::printf("%2d%c %s\n    %s\n", canary.number, canary.variant, canary.fault.c_str(),
              failed.empty() ? "NOT CAUGHT" : ("caught by " + failed[0]->name).c_str());
  if (!failed.empty()) std::printf("    %s\n", failed[0]->reason.c_str());
  std::fflush(stdout);
  return !failed.empty();
}

int run_all() {
  bool good = passes_unharmed();
  std::map<int, bool> caught;
  for (const Canary& canary : canaries()) {
    const bool found = catches(canary);
    caught[canary.number] = found && caught.emplace(canary.number, true).first->second;
  }
  std::size_t numbers = 0;
  for (const auto& [number, all_variants] : caught) numbers += all_variants ? 1 : 0;
  std::printf("canaries: %zu/%zu caught\n", numbers, caught.size());
  return good && numbers == caught.size() ? 0 : 1;
}

}  // namespace
}  // namespace holdfast::conformance

int main() { return holdfast::conformance::run_all(); }
