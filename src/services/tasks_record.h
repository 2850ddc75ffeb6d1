// The keys and the values of tasks; the table of the layout is in docs/services/tasks.md.
#pragma once

#include <cstdint>

#include "holdfast/tasks.h"

namespace holdfast {

inline constexpr std::size_t kTaskIdBytes = 32;

class TaskKeys {
 public:
  /// Throws invalid_argument for what is no prefix.
  explicit TaskKeys(View prefix);

  Bytes task(View id) const { return base_ + "task/" + Bytes(id); }
  /// What tells engines that there may be something to do: waiting() and running().
  Bytes live() const { return base_ + "live/"; }
  Bytes waiting() const { return base_ + "live/wait/"; }
  Bytes waiting(View type) const;
  Bytes waiting(View type, UnixMs due_at_ms, View id) const;
  Bytes running() const { return base_ + "live/run/"; }
  Bytes running(View type) const;
  Bytes running(View type, View id) const { return running(type) + Bytes(id); }
  Bytes unique(View type, View key) const;
  Bytes dead() const { return base_ + "dead/"; }
  Bytes dead(View id) const { return dead() + Bytes(id); }
  Bytes sessions() const { return base_ + "session/"; }
  Bytes session(View id) const { return sessions() + Bytes(id); }
  Bytes attempts(View id) const { return base_ + "attempt/" + Bytes(id) + '/'; }
  Bytes attempt(View id, std::uint32_t number) const;
  /// In the order in which attempts ended: "<ended><time>/<task>/<number>".
  Bytes ended() const { return base_ + "ended/"; }
  Bytes ended(UnixMs at_ms) const;
  Bytes ended(const TaskAttempt& attempt) const;
  /// The key of the record that a key of ended() stands for.
  Bytes attempt_of_ended(View key) const;
  /// The instant in a key of waiting().
  static UnixMs due_at_ms(View key);

 private:
  Bytes base_;
};

/// The id that a key of a task ends with.
inline TaskId task_id_of(View key) { return TaskId(key.substr(key.size() - kTaskIdBytes)); }
/// Throw invalid_argument.
void validate_task_id(View id);
void validate_task_type(View type);
void validate_new_task(View type, const NewTask& task);
/// 12 digits of the time and 20 at random.
TaskId new_task_id(UnixMs now_ms, Random& random);
/// `text` as an entry can hold it: UTF-8, up to limits::kTaskErrorBytes.
Bytes task_error(View text);

/// Those that parse throw corruption.
Bytes text_of(const Task& task);
Task parse_task(View id, View text);
Bytes text_of(const TaskAttempt& attempt);
TaskAttempt parse_attempt(View text);
Bytes text_of(const TaskSession& session);
TaskSession parse_session(View id, View text);

}  // namespace holdfast
