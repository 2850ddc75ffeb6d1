// What happens to tasks, as parts of commits. A task is an entry task/<id>, which says in which state it is,
// and exactly one empty or small entry by which it is found: among those that wait, or among those that run.
// Every move reads task/<id>, so that of two moves at most one is committed.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/tasks.h"
#include "services/tasks_record.h"

namespace holdfast {

struct ClaimRules {
  Bytes session = {};
  Bytes type = {};
  std::uint32_t max_failures = 0;
  std::size_t room = 0;
  std::size_t max_running_total = 0;  ///< 0: any number
};

struct Claimed {
  std::vector<Task> tasks = {};
  bool is_session_over = false;
};

struct AttemptEnd {
  AttemptResult result = AttemptResult::done;
  Bytes error = {};
  std::chrono::milliseconds wait{0};  ///< until the next attempt
  std::uint32_t max_failures = 0;
};

class TaskMoves {
 public:
  TaskMoves(TaskKeys keys, std::shared_ptr<Random> random)
      : keys_(std::move(keys)), random_(std::move(random)) {}

  const TaskKeys& keys() const { return keys_; }
  Random& random() const { return *random_; }

  /// Nothing if its unique key is taken.
  std::optional<TaskId> add(Transaction& transaction, View type, const NewTask& task, View added_by) const;
  /// Of `ids` those that are due and that there is room for. Buries those that have no attempts left.
  Claimed claim(Transaction& transaction, const ClaimRules& rules, std::span<const TaskId> ids) const;
  /// Whether `running`, as it was claimed, is still being run by who claimed it.
  bool is_owned(Transaction& transaction, const Task& running) const;
  /// False, and nothing is done, unless is_owned().
  bool end(Transaction& transaction, const Task& running, const AttemptEnd& end) const;
  bool cancel(Transaction& transaction, View id) const;
  bool revive(Transaction& transaction, View id) const;

  void begin_session(Transaction& transaction, View id, std::chrono::milliseconds lease) const;
  /// False if others have found it dead.
  bool keep_session(Transaction& transaction, View id, std::chrono::milliseconds lease) const;
  void end_session(Transaction& transaction, View id) const;
  /// Whether the session is over: its lease has ended, now or before.
  bool bury_session(Transaction& transaction, View id) const;
  /// Lets those of `ids` wait again that the session has, which is over; how many.
  std::size_t take_over(Transaction& transaction, View session, std::span<const TaskId> ids) const;

 private:
  std::optional<Task> find(Transaction& transaction, View id) const;
  void put_waiting(Transaction& transaction, Task task, UnixMs due_at_ms) const;
  void bury(Transaction& transaction, Task task) const;
  void free_unique_key(Transaction& transaction, const Task& task) const;
  void finish(Transaction& transaction, Task task, const AttemptEnd& end) const;

  TaskKeys keys_;
  std::shared_ptr<Random> random_;
};

}  // namespace holdfast
